// A listing of the node, page after page: the first at once, further ones when they are wanted (docs/endpoints.md).
import { StepError } from "step-client";
import { useEffect, useRef, useState } from "preact/hooks";
import { ask } from "../../shell/node.ts";

export interface Listing<P> {
  pages: P[];
  error: StepError | undefined;
  isAsking: boolean;
  hasMore: boolean;
  /** The next page; after an error, the same again. */
  more: () => void;
}

const PAGE_ENTRIES = 20;

/** Begins anew when `path` or `round` changes; what is there stays until the new one has come. */
export function useListing<P extends { nextCursor: string | null }>(path: string, round = 0): Listing<P> {
  const [state, setState] = useState<{ path: string; pages: P[]; error?: StepError; isAsking: boolean }>({ path, pages: [], isAsking: true });
  const stop = useRef<AbortController | null>(null);

  const look = (before: P[]) => {
    stop.current?.abort();
    const mine = (stop.current = new AbortController());
    const cursor = before.at(-1)?.nextCursor;
    setState((last) => ({ path, pages: last.path === path ? last.pages : [], isAsking: true }));
    ask<P>(path, { limit: PAGE_ENTRIES, ...(cursor ? { before: cursor } : {}) }, mine.signal)
      .then((page) => mine.signal.aborted || setState({ path, pages: [...before, page], isAsking: false }))
      .catch((error: unknown) => {
        if (mine.signal.aborted) return;
        if (!(error instanceof StepError)) throw error;
        setState({ path, pages: before, error, isAsking: false });
      });
  };

  useEffect(() => {
    look([]);
    return () => stop.current?.abort();
  }, [path, round]);

  const pages = state.path === path ? state.pages : [];
  const last = pages.at(-1);
  return {
    pages,
    error: state.error,
    isAsking: state.isAsking,
    hasMore: last ? last.nextCursor !== null : state.error !== undefined,
    more: () => look(pages),
  };
}
