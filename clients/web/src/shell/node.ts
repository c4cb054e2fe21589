// The nodes that the app speaks with: the one that served it, and those that its operator names in `nodes.json`.
import type { ClientOptions, Query, StepClient } from "step-client";
import { StepError } from "step-client/errors.js";
import { StepReader } from "step-client/reader.js";
import { useEffect, useState } from "preact/hooks";

/** The origin of the node that served this page, with the path before `/app/`, where a proxy put one. */
export const HOME_NODE = new URL("..", document.baseURI).href.replace(/\/$/, "");

let reading: Promise<StepReader> | undefined;
let signing: Promise<StepClient> | undefined;

/** What asks for this page: enough to show things, and small. */
export function reader(): Promise<StepReader> {
  reading ??= nodes().then((urls) => new StepReader(urls));
  return reading;
}

/** The one client of this page that signs and submits, too; fetched when a page first wants it. */
export function client(): Promise<StepClient> {
  signing ??= clientWith({}).catch((error: unknown) => {
    signing = undefined;
    throw error;
  });
  return signing;
}

/** One of the same nodes that has patience of its own. */
export async function clientWith(options: Partial<ClientOptions>): Promise<StepClient> {
  const [{ StepClient }, urls] = await Promise.all([import("step-client/client.js"), nodes()]);
  return new StepClient(urls, options);
}

/** A GET of the API, from whichever node answers. `T` is what docs/http-api.md says of the path. */
export async function ask<T>(path: string, query?: Query, signal?: AbortSignal): Promise<T> {
  return (await reader()).get(path, query, signal ? { signal } : {});
}

/** What a page knows of an answer: nothing yet, the answer, or why there is none (with the last answer, if there was one). */
export interface Asked<T> {
  answer: T | undefined;
  error: StepError | undefined;
  /** Asks again now. */
  again: () => void;
}

/** Asks when first drawn, whenever `path` or `query` changes, and every `everyMs`, if given, while the page is seen. */
export function useAnswer<T>(path: string | null, query?: Query, everyMs?: number): Asked<T> {
  const [state, setState] = useState<{ answer?: T; error?: StepError }>({});
  const [round, setRound] = useState(0);
  const asksFor = JSON.stringify([path, query]);
  useEffect(() => setState({}), [asksFor]);
  useEffect(() => {
    if (path === null) return undefined;
    const stop = new AbortController();
    let timer = 0;
    const look = async () => {
      if (!document.hidden) {
        try {
          const answer = await ask<T>(path, query, stop.signal);
          if (!stop.signal.aborted) setState({ answer });
        } catch (error) {
          if (stop.signal.aborted) return;
          if (!(error instanceof StepError)) throw error;
          setState(({ answer }) => ({ ...(answer === undefined ? {} : { answer }), error }));
        }
      }
      if (everyMs !== undefined && !stop.signal.aborted) timer = setTimeout(look, everyMs) as unknown as number;
    };
    void look();
    return () => {
      stop.abort();
      clearTimeout(timer);
    };
  }, [asksFor, round, everyMs]);
  return { answer: state.answer, error: state.error, again: () => setRound((before) => before + 1) };
}

let named: Promise<string[]> | undefined;

/** This one first. */
async function nodes(): Promise<string[]> {
  return [HOME_NODE, ...(await (named ??= otherNodes()))];
}

async function otherNodes(): Promise<string[]> {
  try {
    const answer = await fetch("nodes.json");
    const named: unknown = answer.ok ? await answer.json() : [];
    return Array.isArray(named) ? named.filter((node): node is string => typeof node === "string") : [];
  } catch (error) {
    // Offline, or no JSON: the node that served the page is enough.
    if (error instanceof TypeError || error instanceof SyntaxError) return [];
    throw error;
  }
}
