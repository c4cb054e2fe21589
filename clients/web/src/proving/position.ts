// What is known of where the device is: from what the receiver has said so far, whether a place can be proven now, and if
// not, why not. No old fix is ever good (docs/clients.md, "A client's duties").

/** As the receiver gave it; `timestamp` is when it was measured, milliseconds by whichever clock the receiver goes by. */
export interface Fix {
  lat: number;
  lon: number;
  accuracy: number;
  timestamp: number;
}

/** Why there is nothing to be heard, or nothing for now. */
export type Trouble = "insecure" | "unsupported" | "denied" | "noSignal";

export interface Heard {
  fix: Fix;
  /** By the device's clock. */
  arrivedAtMs: number;
  /** When it was measured, by the device's clock; null if that may be long ago. */
  measuredAtMs: number | null;
}

export interface Watch {
  trouble: Trouble | null;
  last: Heard | null;
}

export type Signal =
  | { kind: Trouble | "searching" }
  /** `old`: not measured now, or who knows when. `silent`: there was one, and no other has come for a while. */
  | { kind: "old" | "silent" | "poor"; heard: Heard }
  | { kind: "good"; heard: Heard & { measuredAtMs: number } };

/** "More than a few seconds old" is no fix of now. */
export const AGE_MS_MAX = 10_000;
const AHEAD_MS_MAX = 5_000;
/** How far two clocks may drift apart between two fixes before they do not seem to run alike. */
const RUNNING_MS_MAX = 2_000;

export const BEGUN: Watch = { trouble: null, last: null };

/** After a fix has come. 0, 0 is what receivers say that have none. */
export function heard(watch: Watch, fix: Fix, arrivedAtMs: number): Watch {
  if (fix.lat === 0 && fix.lon === 0) return watch;
  return { trouble: null, last: { fix, arrivedAtMs, measuredAtMs: measuredAt(watch.last, fix, arrivedAtMs) } };
}

/** After the receiver has said that it has none. A fix that it gave before keeps its age. */
export function failed(watch: Watch, trouble: Trouble): Watch {
  return { ...watch, trouble };
}

export function signalOf({ trouble, last }: Watch, nowMs: number, accuracyMaxM: number): Signal {
  if (trouble && trouble !== "noSignal") return { kind: trouble };
  if (!last) return { kind: trouble ?? "searching" };
  const { measuredAtMs } = last;
  if (nowMs - last.arrivedAtMs > AGE_MS_MAX) return { kind: "silent", heard: last };
  if (measuredAtMs === null || nowMs - measuredAtMs > AGE_MS_MAX) return { kind: "old", heard: last };
  if (!(last.fix.accuracy > 0) || last.fix.accuracy > accuracyMaxM) return { kind: "poor", heard: last };
  return { kind: "good", heard: { ...last, measuredAtMs } };
}

/**
 * Some receivers go by a clock of their own (that of the satellites), and the device's may be wrong. So a fix that seems to
 * be of another time is still of now if that clock runs: it has gone on, since the fix before, by as much as the device's.
 * What is kept from an earlier place comes with the same time again and again, or all at once.
 */
function measuredAt(before: Heard | null, { timestamp }: Fix, arrivedAtMs: number): number | null {
  const ageMs = arrivedAtMs - timestamp;
  if (ageMs >= -AHEAD_MS_MAX && ageMs <= AGE_MS_MAX) return Math.min(timestamp, arrivedAtMs);
  if (!before || timestamp <= before.fix.timestamp) return null;
  const drift = timestamp - before.fix.timestamp - (arrivedAtMs - before.arrivedAtMs);
  return Math.abs(drift) <= RUNNING_MS_MAX ? arrivedAtMs : null;
}
