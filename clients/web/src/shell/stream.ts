// One live feed for everybody on a page who wants to hear of something. It asks for the kinds that anybody wants, goes on
// after breaks with the last id, and can rest while nobody looks.
import type { EventFilters, FeedEvent } from "step-client";
import { StepError } from "step-client/errors.js";

/** Opens the feed: `StepClient.events`. */
export type Open = (
  filters: EventFilters,
  options: { lastEventId?: string; signal: AbortSignal; onLink: (isOpen: boolean) => void },
) => AsyncIterable<FeedEvent>;

/** How the feed is: `waiting` for a node to open it, `live`, at `rest` (nobody listens, or the page is hidden), or `lost`. */
export type FeedState = "waiting" | "live" | "rest" | "lost";

const TRY_AGAIN_MS = 5_000;
/** After a longer rest or break the feed begins anew. */
const CATCH_UP_MS_MAX = 120_000;

interface Listener {
  kinds: readonly string[];
  hear: (event: FeedEvent) => void;
}

export class Feed {
  state: FeedState = "rest";
  /** Called when `state` changes. */
  readonly watchers = new Set<() => void>();
  readonly #open: Open;
  readonly #now: () => number;
  readonly #listeners = new Set<Listener>();
  #kinds: ReadonlySet<string> = new Set();
  #lastId: string | undefined;
  /** When something was heard last, by `now`. */
  #heardAt: number | undefined;
  #stop: AbortController | undefined;
  #restsSince: number | undefined;
  #isSettling = false;

  constructor(open: Open, now: () => number = Date.now) {
    this.#open = open;
    this.#now = now;
  }

  /** Tells `hear` of events of these kinds, and of every `gap`, until the function that is given back is called. */
  follow(kinds: readonly string[], hear: (event: FeedEvent) => void): () => void {
    const listener = { kinds, hear };
    this.#listeners.add(listener);
    this.#settleSoon();
    return () => {
      this.#listeners.delete(listener);
      this.#settleSoon();
    };
  }

  /** Keeps no stream open until `resume`. */
  rest(): void {
    this.#restsSince ??= this.#now();
    this.#settle();
  }

  /** Goes on where `rest` stopped; after a long rest from now on, and then listeners hear a `gap`. */
  resume(): void {
    if (this.#restsSince === undefined) return;
    const isLong = this.#now() - this.#restsSince > CATCH_UP_MS_MAX;
    this.#restsSince = undefined;
    if (isLong) this.#forget();
    this.#settle();
  }

  /** Pages come and go: what one stops and the next begins in the same breath needs no new stream. */
  #settleSoon(): void {
    if (this.#isSettling) return;
    this.#isSettling = true;
    setTimeout(() => {
      this.#isSettling = false;
      this.#settle();
    });
  }

  /** Opens or closes the stream as what is wanted has changed. Kinds that nobody wants any more are no reason to. */
  #settle(): void {
    if (this.#listeners.size === 0 || this.#restsSince !== undefined) {
      if (this.#listeners.size === 0) this.#lastId = undefined;
      this.#stop?.abort();
      this.#stop = undefined;
      this.#become("rest");
      return;
    }
    const wanted = [...this.#listeners].flatMap((listener) => listener.kinds);
    if (this.#stop && wanted.every((kind) => this.#kinds.has(kind))) return;
    this.#kinds = new Set(wanted);
    this.#begin();
  }

  #begin(): void {
    this.#stop?.abort();
    this.#stop = new AbortController();
    void this.#run(this.#stop.signal, [...this.#kinds].sort());
  }

  /** What was missed stays so: nobody wants to watch an hour in a minute. */
  #forget(): void {
    this.#lastId = undefined;
    this.#heardAt = undefined;
    this.#tell({ kind: "gap", data: { missing: "final" } });
  }

  async #run(signal: AbortSignal, kinds: string[]): Promise<void> {
    this.#become("waiting");
    while (!signal.aborted) {
      try {
        const from = this.#lastId === undefined ? {} : { lastEventId: this.#lastId };
        const onLink = (isOpen: boolean) => {
          if (signal.aborted) return;
          this.#become(isOpen ? "live" : "lost");
          // After a long break, such as a night with the lid closed, the stream would begin with all of it.
          if (isOpen && this.#heardAt !== undefined && this.#now() - this.#heardAt > CATCH_UP_MS_MAX) {
            this.#forget();
            this.#begin();
          }
        };
        for await (const event of this.#open({ kinds }, { ...from, signal, onLink })) {
          if (signal.aborted) return;
          this.#lastId = event.id ?? this.#lastId;
          this.#heardAt = this.#now();
          this.#become("live");
          this.#tell(event);
        }
      } catch (error) {
        if (signal.aborted) return;
        if (!(error instanceof StepError)) throw error;
      }
      this.#become("lost");
      await new Promise((resolve) => setTimeout(resolve, TRY_AGAIN_MS));
    }
  }

  #tell(event: FeedEvent): void {
    for (const { kinds, hear } of [...this.#listeners]) {
      if (event.kind !== "gap" && !kinds.includes(event.kind)) continue;
      try {
        hear(event);
      } catch (error) {
        // What one listener makes nothing of (a node may tell anything) does not end the feed of all.
        console.error(error);
      }
    }
  }

  #become(state: FeedState): void {
    if (this.state === state) return;
    this.state = state;
    for (const watcher of [...this.watchers]) watcher();
  }
}
