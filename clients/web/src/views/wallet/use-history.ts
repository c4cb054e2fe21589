// A history of the node, read page by page, that grows by itself when something new is final.
import type { StepError } from "step-client";
import { useEffect, useRef, useState } from "preact/hooks";
import { told } from "../../shell/fault.tsx";
import { useEvents } from "../../shell/feed.ts";
import { ask } from "../../shell/node.ts";
import { begun, type History, isTooLong, type PageOf, Turns, withNewer, withOlder } from "../../wallet/history.ts";

const PAGE_ENTRIES = 20;
/** Of one look for what is new; more than so many pages come with the next event. */
const NEWER_PAGES_MAX = 10;

interface Answer {
  nextCursor: string | null;
  latestCursor: string;
}

/** `field`: the answer's list. `about`: only events that name this make it look for more. */
export function useHistory<Entry>(path: string, field: string, about: string) {
  const [history, setHistory] = useState<History<Entry>>();
  const [error, setError] = useState<StepError>();
  const [isLoading, setIsLoading] = useState(true);
  // One request after another: two at once would each add what both have found.
  const turns = useRef(new Turns());
  const latest = useRef<History<Entry> | undefined>(undefined);
  /** How many of the entries a person has asked for; the others have come by themselves. */
  const askedFor = useRef(0);

  const page = async (cursor: Record<string, string>): Promise<PageOf<Entry>> => {
    const answer = await ask<Answer & Record<string, readonly Entry[]>>(path, { limit: PAGE_ENTRIES, ...cursor });
    return { entries: answer[field] ?? [], nextCursor: answer.nextCursor, latestCursor: answer.latestCursor };
  };
  const inTurn = (grow: (known: History<Entry> | undefined) => Promise<History<Entry> | undefined>) => {
    void turns.current.take(async () => {
      setIsLoading(true);
      try {
        const grown = await grow(latest.current);
        latest.current = grown;
        setHistory(grown);
        setError(undefined);
      } catch (reason) {
        setError(told(reason) as StepError);
      } finally {
        setIsLoading(false);
      }
    });
  };

  const anew = async () => {
    const first = begun(await page({}));
    askedFor.current = first.entries.length;
    return first;
  };
  const newer = () =>
    inTurn(async (known) => {
      if (!known) return anew();
      let grown = known;
      for (let pages = 0; pages < NEWER_PAGES_MAX; pages += 1) {
        const more = await page({ after: grown.newer });
        grown = withNewer(grown, more);
        if (more.nextCursor === null) break;
      }
      return isTooLong(grown, askedFor.current) ? anew() : grown;
    });
  const older = () =>
    inTurn(async (known) => {
      if (!known?.older) return known;
      const more = await page({ before: known.older });
      askedFor.current += more.entries.length;
      return withOlder(known, more);
    });

  useEffect(newer, [path]);
  useEvents(["proof_finalised", "operation_applied"], ({ kind, data }) => {
    if (kind === "gap" || JSON.stringify(data).includes(about)) newer();
  });
  return { history, error, isLoading, newer, older };
}
