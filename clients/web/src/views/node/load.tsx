// The load of the last hour, as the node itself remembers it.
import { node } from "../../texts/node.ts";
import { say } from "../../shell/texts.ts";
import type { Load, Sample } from "./answers.ts";
import { Chart } from "./chart.tsx";
import { useHere } from "./here.ts";
import type { Point } from "./scaling.ts";

const LOOK_AGAIN_MS = 15_000;
const BYTES_IN_MB = 1_000_000;
const SECONDS_IN_MINUTE = 60;

export function LoadCurves() {
  const { answer, refused } = useHere<Load>("/status/history", LOOK_AGAIN_MS);
  if (refused?.status === 404) return <p class="quiet">{say(node.noHistory)}</p>;
  if (!answer) return null;
  const { samples, everySeconds } = answer;
  // With one there is no line yet.
  if (samples.length < 2) return <p class="quiet" role="status">{say(node.loadLater, { seconds: 2 * everySeconds })}</p>;
  const perMinute = (value: number) => (value * SECONDS_IN_MINUTE) / everySeconds;
  const of = (read: (sample: Sample) => number | null): Point[] => samples.map((one) => ({ atMs: Date.parse(one.at), value: read(one) }));
  const seconds = (ms: number | null) => (ms === null ? null : ms / 1_000);
  const batches = samples.map((one, index): Point => {
    const before = samples[index - 1];
    return { atMs: Date.parse(one.at), value: before ? perMinute(one.height - before.height) : null };
  });
  const memory = of((one) => (one.residentBytes === null ? null : one.residentBytes / BYTES_IN_MB));
  return (
    <div class="charts">
      <Chart
        title={say(node.proofsPerMinute)}
        lines={[
          { name: say(node.accepted), points: of((one) => perMinute(one.proofsAccepted)) },
          { name: say(node.finalised), points: of((one) => perMinute(one.proofsFinalised)) },
          { name: say(node.refusedProofs), points: of((one) => perMinute(one.proofsRefused)) },
        ]}
        isWhole
      />
      <Chart
        title={say(node.finality)}
        lines={[
          { name: say(node.half), points: of((one) => seconds(one.finalityP50Ms)) },
          { name: say(node.most), points: of((one) => seconds(one.finalityP95Ms)) },
        ]}
      />
      <Chart title={say(node.heights)} lines={[{ name: say(node.batches), points: batches }]} isWhole />
      <Chart title={say(node.waitingProofs)} lines={[{ name: say(node.proofs), points: of((one) => one.mempoolProofs) }]} isWhole />
      <Chart title={say(node.peerCount)} lines={[{ name: say(node.connections), points: of((one) => one.peers) }]} isWhole />
      <Chart title={say(node.lag)} lines={[{ name: say(node.most), points: of((one) => one.loopLagP95Ms) }]} isWhole />
      {memory.some((point) => point.value !== null) && <Chart title={say(node.memory)} lines={[{ name: say(node.resident), points: memory }]} />}
    </div>
  );
}
