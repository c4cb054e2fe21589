// The client of this page: it asks the nodes of `nodes.ts`, as long as they are of the chain that the app knows.
import type { ClientOptions, Query, StepClient } from "step-client";
import { StepError } from "step-client/errors.js";
import { StepReader } from "step-client/reader.js";
import { useEffect, useState } from "preact/hooks";
import { forget, keep, kept } from "./keeping.ts";
import { knownOf, lookedAfter, type Known } from "./known.ts";
import { nodes } from "./nodes.ts";
import { SameChain, type Chain, type Stranger } from "./same-chain.ts";

export { HOME_NODE } from "./nodes.ts";

const CHAIN_KEPT_AS = "chain";

/** A browser that keeps nothing (some private windows) has a chain for this visit alone. */
const memory = {
  known: () => kept<Chain>(CHAIN_KEPT_AS).catch(unlessUnkept),
  keep: (chain: Chain) => keep(CHAIN_KEPT_AS, chain).catch(unlessUnkept),
};

let judged: Promise<SameChain> | undefined;
let reading: Promise<StepReader> | undefined;
let signing: Promise<StepClient> | undefined;

/** What asks for this page: enough to show things, and small. */
export function reader(): Promise<StepReader> {
  reading ??= Promise.all([nodes(), sameChain()]).then(([urls, { fetch }]) => new StepReader(urls, { fetch }));
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
  const [{ StepClient }, urls, { fetch }] = await Promise.all([import("step-client/client.js"), nodes(), sameChain()]);
  return new StepClient(urls, { ...options, fetch });
}

/** Which nodes have turned out to be of another chain; what uses it is drawn anew when one does. */
export function useStrangers(): readonly Stranger[] {
  const [strangers, setStrangers] = useState<readonly Stranger[]>([]);
  useEffect(() => {
    let chain: SameChain | undefined;
    const look = () => setStrangers([...chain!.strangers]);
    void sameChain().then((found) => {
      chain = found;
      chain.watchers.add(look);
      look();
    });
    return () => void chain?.watchers.delete(look);
  }, []);
  return strangers;
}

/** The chain that the app is of; undefined before any node has answered, the first time. */
export async function knownChain(): Promise<Chain | undefined> {
  return (await sameChain()).known();
}

/** The chain that is met next is the app's from then on. */
export async function forgetChain(): Promise<void> {
  await forget(CHAIN_KEPT_AS);
}

function sameChain(): Promise<SameChain> {
  judged ??= nodes().then((all) => new SameChain(all, memory, (input, init) => fetch(input, init)));
  return judged;
}

function unlessUnkept(error: unknown): undefined {
  if (!(error instanceof DOMException)) throw error;
}

/** A GET of the API, from whichever node answers. `T` is what docs/http-api.md says of the path. */
export async function ask<T>(path: string, query?: Query, signal?: AbortSignal): Promise<T> {
  return (await reader()).get(path, query, signal ? { signal } : {});
}

/** A GET of the API, from each node that answers; throws what the first one says if none does. */
export async function askEach<T>(path: string): Promise<T[]> {
  const [urls, { fetch }] = await Promise.all([nodes(), sameChain()]);
  const answers = await Promise.allSettled(urls.map((url) => new StepReader([url], { fetch, retry: { attemptsMax: 1 } }).get(path)));
  const told = answers.flatMap((answer) => (answer.status === "fulfilled" ? [answer.value as T] : []));
  if (told.length === 0) throw (answers[0] as PromiseRejectedResult).reason;
  return told;
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
  const asksFor = JSON.stringify([path, query]);
  const [known, setState] = useState<Known<T>>({ asksFor });
  const [round, setRound] = useState(0);
  const state = knownOf(known, asksFor);
  useEffect(() => {
    if (path === null) return undefined;
    return lookedAfter(everyMs, () => document.hidden, async (signal) => {
      try {
        const answer = await ask<T>(path, query, signal);
        if (!signal.aborted) setState({ asksFor, answer });
      } catch (error) {
        if (signal.aborted) return;
        if (!(error instanceof StepError)) throw error;
        setState((before) => ({ ...knownOf(before, asksFor), error }));
      }
    });
  }, [asksFor, round, everyMs]);
  return { answer: state.answer, error: state.error, again: () => setRound((before) => before + 1) };
}
