// The network in four figures.
import { useRef } from "preact/hooks";
import type { ComponentChildren } from "preact";
import { useEvents, useFeedState } from "../../shell/feed.ts";
import { written } from "../../shell/numbers.ts";
import { link } from "../../shell/router.ts";
import { say } from "../../shell/texts.ts";
import { ago, lasting } from "../../shell/times.ts";
import { useNow } from "../../shell/when.tsx";
import { useAnswer } from "../../shell/node.ts";
import { globe } from "../../texts/globe.ts";
import { Pulse, type Beat } from "../../globe/pulse.ts";

const EARLIER = { limit: 30 };

export function NetworkCard() {
  const pulse = useRef(new Pulse()).current;
  const now = useNow(1_000);
  const feed = useFeedState();
  const { answer } = useAnswer<{ batches: Beat[] }>("/batches", EARLIER);
  if (answer) pulse.begin(answer.batches, Date.now());
  useEvents(["batch", "proof_accepted", "proof_finalised"], ({ kind, data }) => {
    if (kind === "batch") pulse.beat(data, Date.now());
    else if (kind === "proof_accepted") pulse.accepted(data.proofId, Date.now());
    else if (kind === "proof_finalised") pulse.finalised(data.proofId, Date.now());
  });
  const { height, heardAtMs, proofsPerSecond, finalityMs } = pulse.figures(now);
  return (
    <section class="card" aria-labelledby="network-now">
      <h2 id="network-now">{say(globe.network)}</h2>
      <dl class="figures">
        <Figure name={say(globe.height)}>
          {height !== null ? <a href={link("batch", height)}>{number(height)}</a> : answer?.batches.length === 0 && "0"}
        </Figure>
        <Figure name={say(globe.lastBatch)}>{heardAtMs !== null && since(heardAtMs, now)}</Figure>
        <Figure name={say(globe.proofRate)}>{proofsPerSecond !== null && number(proofsPerSecond)}</Figure>
        <Figure name={say(globe.finality)} how={say(globe.finalityHow)}>
          {finalityMs !== null && lasting(finalityMs)}
        </Figure>
      </dl>
      <p role="status" class="warn">
        {feed === "lost" && say(globe.lost)}
      </p>
    </section>
  );
}

function Figure({ name, how, children }: { name: string; how?: string; children: ComponentChildren }) {
  const isKnown = children !== false;
  return (
    <div {...(how ? { title: how } : {})}>
      <dt>{name}</dt>
      <dd class={isKnown ? "" : "none"}>{isKnown ? children : say(globe.unknown)}</dd>
    </div>
  );
}

function since(atMs: number, nowMs: number): string {
  return nowMs - atMs < 1_000 ? say(globe.thisMoment) : ago(atMs, nowMs);
}

function number(value: number): string {
  return written(value, value < 10 ? 1 : 0);
}
