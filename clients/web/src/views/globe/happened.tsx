// What became final while one looks: the globe in words.
import type { FeedEvent } from "step-client";
import { useEffect, useRef, useState } from "preact/hooks";
import { shown } from "../../shell/amounts.ts";
import { useEvents } from "../../shell/feed.ts";
import { Id } from "../../shell/ids.tsx";
import { rich } from "../../shell/rich.ts";
import { link } from "../../shell/router.ts";
import { language, say } from "../../shell/texts.ts";
import { When } from "../../shell/when.tsx";
import { globe } from "../../texts/globe.ts";
import { GlobeButton } from "../../globe/canvas.tsx";

const KEPT_MAX = 6;
/** Events come by the hundred, people read by the second. */
const DRAWN_EVERY_MS = 500;

export const HAPPENINGS = ["proof_finalised", "triangle_subdivided", "triangle_exhausted"] as const;

export function HappenedCard({ onShow }: { onShow: (triangleId: string) => void }) {
  const events = useRecent();
  return (
    <section class="card" aria-labelledby="just-now">
      <h2 id="just-now">{say(globe.justNow)}</h2>
      {events.length === 0 && <p class="quiet">{say(globe.nothingYet)}</p>}
      <ol class="happened">
        {events.map(({ id, kind, data }) => (
          <li key={id} data-triangle={data.triangleId}>
            <span>{sentence(kind, data)}</span>
            <GlobeButton label={say(globe.show)} path="M8 14S3 9.5 3 6a5 5 0 0 1 10 0c0 3.5-5 8-5 8M8 7.5a1.5 1.5 0 1 0 0-3 1.5 1.5 0 0 0 0 3" onPress={() => onShow(data.triangleId)} />
            <small>
              <When at={data.processedAt} /> · <a href={link("proof", data.proofId)}>{say(globe.proof)}</a>
            </small>
          </li>
        ))}
      </ol>
    </section>
  );
}

function sentence(kind: string, data: FeedEvent["data"]) {
  const triangle = <Id text={data.triangleId} to={link("triangle", data.triangleId)} />;
  if (kind === "triangle_subdivided") return rich(globe.subdivided, { triangle });
  if (kind === "triangle_exhausted") return rich(globe.exhausted, { triangle });
  const account = <Id text={data.account} to={link("account", data.account)} />;
  return rich(globe.earned, { account, reward: shown(data.reward, language()), triangle });
}

/** The last ones, the newest first. */
function useRecent(): readonly FeedEvent[] {
  const [events, setEvents] = useState<readonly FeedEvent[]>([]);
  const heard = useRef<readonly FeedEvent[]>(events);
  const timer = useRef(0);
  useEffect(() => () => clearTimeout(timer.current), []);
  useEvents(HAPPENINGS, (event) => {
    if (event.kind === "gap") return;
    heard.current = [event, ...heard.current].slice(0, KEPT_MAX);
    timer.current ||= setTimeout(() => {
      timer.current = 0;
      setEvents(heard.current);
    }, DRAWN_EVERY_MS) as unknown as number;
  });
  return events;
}
