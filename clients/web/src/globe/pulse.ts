// How the network beats, reckoned from what its feed tells: proofs a second, time to finality, and how often a batch comes.

export interface Beat {
  height: number;
  proofs: number;
  /** UTC, as the chain has it. */
  timestamp: string;
}

export interface Figures {
  height: number | null;
  /** When the last batch was heard of, by the device's clock. */
  heardAtMs: number | null;
  proofsPerSecond: number | null;
  /** From when the node told that it accepted a proof until it told that it is final: the median. */
  finalityMs: number | null;
}

const WINDOW_MS = 30_000;
/** Less would make a rate out of a single batch. */
const SPAN_MS_MIN = 2_000;
const DELAYS_MAX = 51;
/** Of proofs that were accepted and are not final; some never will be. */
const WAITING_MAX = 1_000;

export class Pulse {
  #beats: { atMs: number; proofs: number }[] = [];
  #acceptedAtMs = new Map<string, number>();
  #delaysMs: number[] = [];
  #height: number | null = null;
  #sinceMs: number | null = null;

  /** Batches from before, the newest first, as `GET /batches` has them: so that there is a rate at once. */
  begin(earlier: readonly Beat[], nowMs: number): void {
    const [newest] = earlier;
    if (!newest || this.#height !== null) return;
    for (const beat of [...earlier].reverse()) this.beat(beat, nowMs - (Date.parse(newest.timestamp) - Date.parse(beat.timestamp)));
  }

  beat({ height, proofs }: Beat, nowMs: number): void {
    if (this.#height !== null && height <= this.#height) return;
    this.#height = height;
    this.#sinceMs ??= nowMs;
    this.#beats.push({ atMs: nowMs, proofs });
    this.#beats = this.#beats.filter(({ atMs }) => atMs > nowMs - WINDOW_MS);
  }

  accepted(proofId: string, nowMs: number): void {
    this.#acceptedAtMs.set(proofId, nowMs);
    if (this.#acceptedAtMs.size > WAITING_MAX) this.#acceptedAtMs.delete(this.#acceptedAtMs.keys().next().value!);
  }

  finalised(proofId: string, nowMs: number): void {
    const acceptedAtMs = this.#acceptedAtMs.get(proofId);
    if (acceptedAtMs === undefined) return;
    this.#acceptedAtMs.delete(proofId);
    this.#delaysMs = [...this.#delaysMs, nowMs - acceptedAtMs].slice(-DELAYS_MAX);
  }

  figures(nowMs: number): Figures {
    const recent = this.#beats.filter(({ atMs }) => atMs > nowMs - WINDOW_MS);
    const spanMs = Math.min(WINDOW_MS, nowMs - (this.#sinceMs ?? nowMs));
    const proofs = recent.filter(({ atMs }) => atMs !== this.#sinceMs).reduce((sum, beat) => sum + beat.proofs, 0);
    const sorted = [...this.#delaysMs].sort((one, other) => one - other);
    return {
      height: this.#height,
      heardAtMs: this.#beats.at(-1)?.atMs ?? null,
      proofsPerSecond: spanMs >= SPAN_MS_MIN ? (proofs / spanMs) * 1000 : null,
      finalityMs: sorted[Math.floor(sorted.length / 2)] ?? null,
    };
  }
}
