// The live feed of this page: one stream, whatever and however much is listened to (docs/events.md).
import type { FeedEvent } from "step-client";
import { useEffect, useRef, useState } from "preact/hooks";
import { reader } from "./node.ts";
import { Feed, type FeedState } from "./stream.ts";

/** What docs/events.md tells of. */
export type EventKind =
  | "proof_accepted"
  | "proof_dropped"
  | "proof_finalised"
  | "triangle_subdivided"
  | "triangle_exhausted"
  | "operation_applied"
  | "validator"
  | "batch";

/** A page that was hidden for so long lets go of its stream; when it is seen again, the feed goes on. */
const HIDDEN_MS_MAX = 30_000;

const feed = new Feed(async function* (filters, options) {
  yield* (await reader()).events(filters, options);
});

let hiding = 0;
document.addEventListener("visibilitychange", () => {
  clearTimeout(hiding);
  if (document.hidden) hiding = setTimeout(() => feed.rest(), HIDDEN_MS_MAX) as unknown as number;
  else feed.resume();
});

/** Calls `hear` with each event of these kinds, and each `gap` (something is missing: ask anew), while the component is there. */
export function useEvents(kinds: readonly EventKind[], hear: (event: FeedEvent) => void): void {
  const latest = useRef(hear);
  latest.current = hear;
  useEffect(() => feed.follow(kinds, (event) => latest.current(event)), [kinds.join()]);
}

/** How the feed is now; what uses it is drawn anew when that changes. */
export function useFeedState(): FeedState {
  const [state, setState] = useState(feed.state);
  useEffect(() => {
    const changed = () => setState(feed.state);
    changed();
    feed.watchers.add(changed);
    return () => void feed.watchers.delete(changed);
  }, []);
  return state;
}
