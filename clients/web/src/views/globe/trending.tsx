// What trends in the part of the Earth that is seen, with each part of each score. Loaded when somebody first wants it.
import { useEffect } from "preact/hooks";
import { Id } from "../../shell/ids.tsx";
import { useAnswer } from "../../shell/node.ts";
import { written } from "../../shell/numbers.ts";
import { Notice } from "../../shell/notice.tsx";
import { link } from "../../shell/router.ts";
import { shortened } from "../../shell/shortened.ts";
import { language, say } from "../../shell/texts.ts";
import { lasting } from "../../shell/times.ts";
import { shell } from "../../texts/shell.ts";
import { trending as texts } from "../../texts/trending.ts";
import { radiusPx, spotOf, type Camera, type Size, type Spot } from "../../globe/camera.ts";
import { GlobeButton } from "../../globe/canvas.tsx";
import { length } from "../../globe/lengths.ts";
import { middle } from "../../globe/mesh.ts";
import { regionAt, regionsOf, wholeLevel, type Region, type Told } from "../../globe/trends.ts";
import { viewBox } from "../../globe/view-box.ts";
import { nearestCity } from "../explorer/places.ts";

interface Answer {
  height: number;
  level: number;
  halfLifeMs: number;
  windowMs: number;
  isComplete: boolean;
  completeFromHeight: number | null;
  triangles: readonly Told[];
}

interface Props {
  camera: Camera;
  size: Size;
  spot: Spot | null;
  onFound: (regions: readonly Region[]) => void;
  onShow: (triangleId: string) => void;
}

const ASK_MS = 15_000;
const NEAR_M = 5_000;
const DRAWN_MAX = 100;
const LISTED_MAX = 10;

export default function TrendingCard({ camera, size, spot, onFound, onShow }: Props) {
  const bbox = viewBox(camera, size);
  const query = { limit: DRAWN_MAX, ...(bbox === null ? { level: wholeLevel(radiusPx(camera.zoom)) } : { bbox }) };
  const { answer, error, again } = useAnswer<Answer>("/trending", query, ASK_MS);
  useEffect(() => {
    if (answer) onFound(regionsOf(answer.triangles));
  }, [answer]);
  useEffect(() => () => onFound([]), []);
  const regions = answer ? regionsOf(answer.triangles) : [];
  const tapped = spot && regionAt(regions, spot);
  const listed = [...(tapped ? [tapped] : []), ...regions.filter((one) => one !== tapped)].slice(0, LISTED_MAX);
  return (
    <section class="card trending" aria-labelledby="trending">
      <h2 id="trending">{say(texts.title)}</h2>
      {error && !answer && <Notice error={error} again={again} />}
      {!answer && !error && <p role="status">{say(shell.loading)}</p>}
      {answer && regions.length === 0 && <p>{say(texts.none)}</p>}
      <ol>
        {listed.map((region) => <Listed key={region.triangleId} region={region} isTapped={region === tapped} onShow={onShow} />)}
      </ol>
      {answer && (
        <p class="quiet">
          {say(texts.how, { level: answer.level, window: lasting(answer.windowMs), halfLife: lasting(answer.halfLifeMs) })} {say(texts.asOf, { height: written(answer.height) })}
          {!answer.isComplete && ` ${say(texts.incomplete, { height: written(answer.completeFromHeight) })}`}
        </p>
      )}
    </section>
  );
}

function Listed({ region, isTapped, onShow }: { region: Region; isTapped: boolean; onShow: (triangleId: string) => void }) {
  const { triangleId, score, parts } = region;
  const of = (name: string, thousandths = true) => written(thousandths ? Number(parts[name]) / 1_000 : parts[name], 2);
  return (
    <li data-trending={triangleId}>
      <div class="trending-head">
        <span>
          <Id text={triangleId} to={link("triangle", triangleId)} /> <small class="quiet">{whereabouts(region)}</small> {isTapped && <span class="tag">{say(texts.here)}</span>}
        </span>
        <strong>{say(texts.scoreIs, { score: written(score / 1_000, 1) })}</strong>
        <GlobeButton label={say(texts.onGlobe, { triangle: shortened(triangleId) })} path="M8 14S3 9.5 3 6a5 5 0 0 1 10 0c0 3.5-5 8-5 8M8 7.5a1.5 1.5 0 1 0 0-3 1.5 1.5 0 0 0 0 3" onPress={() => onShow(triangleId)} />
      </div>
      <meter min={0} max={1} value={region.share} aria-label={say(texts.score)} />
      <details open={isTapped}>
        <summary>{say(texts.why)}</summary>
        <dl class="facts">
          <dt>{say(texts.proofs)}</dt>
          <dd>{of("clicks", false)}</dd>
          <dt>{say(texts.decayed)}</dt>
          <dd>{of("decayedMilliclicks")}</dd>
          <dt>{say(texts.doubt)}</dt>
          <dd>{say(texts.plausible, { share: written(Number(parts.implausibilityBps) / 100, 1), left: of("plausibleMilliclicks") })}</dd>
          <dt>{say(texts.accounts)}</dt>
          <dd>{of("distinctAccounts", false)}</dd>
          <dt>{say(texts.trusted)}</dt>
          <dd>{of("plausibleMilliaccounts")}</dd>
          <dt>{say(texts.breadth)}</dt>
          <dd>{of("breadthMilli")}</dd>
          <dt>{say(texts.score)}</dt>
          <dd>{say(texts.product, { plausible: of("plausibleMilliclicks"), breadth: of("breadthMilli"), score: written(score / 1_000, 2) })}</dd>
        </dl>
      </details>
    </li>
  );
}

/** By which city it is: what a triangle is called tells nobody where it is. */
function whereabouts({ corners }: Region): string {
  const { lat, lon } = spotOf(middle(...corners));
  const { name, metres } = nearestCity(lat, lon, language());
  return metres < NEAR_M ? say(texts.near, { city: name }) : say(texts.from, { city: name, length: length(metres) });
}
