// One triangle: how it stands, what it pays, and whether one may prove in it.
import { useEffect, useRef } from "preact/hooks";
import { shown } from "../../shell/amounts.ts";
import { useEvents } from "../../shell/feed.ts";
import { CopyButton, Id } from "../../shell/ids.tsx";
import { Notice } from "../../shell/notice.tsx";
import { useAnswer } from "../../shell/node.ts";
import { link } from "../../shell/router.ts";
import { shortened } from "../../shell/shortened.ts";
import { language, say } from "../../shell/texts.ts";
import { timeOrDate } from "../../shell/times.ts";
import { globe } from "../../texts/globe.ts";
import { shell } from "../../texts/shell.ts";
import { EARTH_RADIUS_M, type Spot } from "../../globe/camera.ts";
import { length } from "../../globe/lengths.ts";
import type { Corners } from "../../globe/mesh.ts";
import type { Standing } from "../../globe/scene.ts";
import { standings, type NearbyResult } from "../../globe/standing.ts";

interface Props {
  spot: Spot;
  account: string | null;
  clicksMax: number;
  /** Which triangle it is, once that is known; null where there is none. */
  onFound: (triangle: Standing | null) => void;
  onLook: (triangle: Standing) => void;
  onClose: () => void;
}

const ASK_MS = 20_000;

export function TrianglePanel({ spot, account, clicksMax, onFound, onLook, onClose }: Props) {
  const query = { lat: spot.lat, lon: spot.lon, radius_m: 1, level: "active", maxResults: 1, ...(account ? { account } : {}) };
  const { answer, error, again } = useAnswer<{ result: NearbyResult }>("/mesh/nearby", query, ASK_MS);
  const triangle = answer && (standings(answer.result.triangles)[0] ?? null);
  useEffect(() => {
    if (triangle !== undefined) onFound(triangle);
  }, [triangle?.triangleId, answer === undefined]);
  useEvents(["proof_finalised", "triangle_subdivided", "triangle_exhausted"], ({ kind, data }) => {
    if (kind === "gap" || data.triangleId === triangle?.triangleId) again();
  });
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => heading.current?.focus({ preventScroll: true }), [spot]);
  return (
    <section class="card globe-panel" aria-labelledby="chosen-triangle">
      <header>
        <h2 id="chosen-triangle" ref={heading} tabIndex={-1}>
          {say(globe.triangle, { name: triangle ? shortened(triangle.triangleId) : "" })}
        </h2>
        <button type="button" onClick={onClose}>
          {say(globe.close)}
        </button>
      </header>
      {error && <Notice error={error} again={again} />}
      {triangle === undefined && !error && <p role="status">{say(shell.loading)}</p>}
      {triangle === null && <p>{say(globe.nobody)}</p>}
      {triangle && <Facts triangle={triangle} clicksMax={clicksMax} />}
      <div class="actions">
        {triangle && (
          <>
            <a class="button main" href={link("prove")}>{say(globe.proveIt)}</a>
            <button type="button" onClick={() => onLook(triangle)}>{say(globe.lookCloser)}</button>
            <a class="button" href={link("triangle", triangle.triangleId)}>{say(globe.allAbout)}</a>
          </>
        )}
        <CopyButton text={location.href} what="" label={say(globe.copyLink)} />
      </div>
    </section>
  );
}

function Facts({ triangle, clicksMax }: { triangle: Standing; clicksMax: number }) {
  const { triangleId, level, clicks, reward, corners } = triangle;
  return (
    <dl class="facts">
      <dt>{say(globe.id)}</dt>
      <dd>
        <Id text={triangleId} to={link("triangle", triangleId)} copies />
      </dd>
      <dt>{say(globe.level)}</dt>
      <dd>{say(globe.levelOf, { level })}</dd>
      <dt>{say(globe.side)}</dt>
      <dd>{length(sideM(corners))}</dd>
      <dt>{say(globe.state)}</dt>
      <dd>{say(STATES[triangle.state])}</dd>
      <dt>{say(globe.clicks)}</dt>
      <dd>
        {say(globe.clicksOf, { clicks, max: clicksMax })}
        <meter min={0} max={clicksMax} value={clicks} aria-label={say(globe.clicks)} />
      </dd>
      <dt>{say(globe.reward)}</dt>
      <dd>{shown(reward, language())} STEP</dd>
      <dt>{say(globe.mayProve)}</dt>
      <dd data-may-mine={String(triangle.mayMine ?? "unknown")}>{permission(triangle)}</dd>
    </dl>
  );
}

const STATES = { active: globe.active, subdivided: globe.stateSubdivided, exhausted: globe.stateExhausted } as const;

function permission({ mayMine, mayMineFrom }: Standing): string {
  if (mayMine) return say(globe.mayNow);
  if (mayMineFrom) return say(globe.mayFrom, { time: timeOrDate(mayMineFrom) });
  return say(globe.mayAnybody);
}

/** The mean of its sides. */
export function sideM([a, b, c]: Corners): number {
  const sides = [[a, b], [b, c], [c, a]] as const;
  const angles = sides.map(([from, to]) => 2 * Math.asin(Math.min(1, Math.hypot(from[0] - to[0], from[1] - to[1], from[2] - to[2]) / 2)));
  return (angles.reduce((sum, angle) => sum + angle, 0) / 3) * EARTH_RADIUS_M;
}
