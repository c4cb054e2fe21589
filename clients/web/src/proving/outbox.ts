// Where signed proofs are until they are decided: kept on this device before they are sent, handed in one after another as
// soon as there is a node, followed until they are final, also after the page was closed meanwhile.
import type { Outcome, StepClient } from "step-client";
import { StepError } from "step-client/errors.js";
import { useEffect, useState } from "preact/hooks";
import { change, forget, keptUnder } from "../shell/keeping.ts";
import { clientWith } from "../shell/node.ts";
import type { Refusal } from "../shell/explained.ts";
import { fetchReceipt, hasReceipt } from "../receipts/kept.ts";
import { WalletError } from "../wallet/faults.ts";
import { mark } from "./begin.ts";
import { isDecided, nextToFollow, nextToSend, toForget, tooOld, type Entry, type Reward } from "./queue.ts";
import { networkNow, rulesKept, rulesNow } from "./rules.ts";

const KEPT_UNDER = "proving.outbox/";
const FOLLOW_MS = 10_000;
const LOOK_AGAIN_MS = 5_000;
/** The outbox asks again by itself, and says meanwhile why it has to: one attempt of the client is short. */
const PATIENCE = { totalMs: 6_000, answerMs: 5_000 };

export interface Outbox {
  entries: readonly Entry[];
  /** The one that is being handed in. */
  sendingId: string | null;
}

let now: Outbox = { entries: [], sendingId: null };
let handingIn: Promise<StepClient> | undefined;
let isLoaded = false;
let running: Promise<void> | undefined;
let isWoken = false;
let endPause: () => void = () => undefined;
let abort = new AbortController();
const lacking = new Set<string>();
const watchers = new Set<() => void>();
const otherTabs = new BroadcastChannel("proving.outbox");
otherTabs.onmessage = () => void load().then(() => wake());

/** What is kept; draws anew when it changes. */
export function useOutbox(): Outbox {
  const [outbox, setOutbox] = useState(now);
  useEffect(() => {
    const changed = () => setOutbox(now);
    watchers.add(changed);
    if (isLoaded) changed();
    else void load();
    return () => void watchers.delete(changed);
  }, []);
  return outbox;
}

/** Keeps one, and has it handed in. Once this is done it cannot be lost. Throws WalletError (NOT_KEPT). */
export async function put(entry: Entry): Promise<void> {
  try {
    await update(entry.id, (before) => before ?? entry);
  } catch (error) {
    throw error instanceof DOMException ? new WalletError("NOT_KEPT", error) : error;
  }
  start();
  wake();
}

/** The person has seen what became of it. */
export async function dismiss(id: string): Promise<void> {
  await forget(KEPT_UNDER + id);
  await changed();
}

/** Hands in what is kept, in this tab or another one, for as long as the page is there. Safe to call again. */
export function start(): void {
  running ??= alone(async () => {
    for (;;) {
      // Whatever else goes wrong with one thing (a store that the browser closed, an answer that makes no sense) is told to
      // who looks for it, and is no reason never to hand in anything again.
      const isDone = await step().catch((error: unknown) => void console.error(error));
      if (!isDone) await pause();
    }
  });
}

/** Two tabs must not hand in at once: the order would be lost. The second waits until the first is closed. */
async function alone(work: () => Promise<void>): Promise<void> {
  addEventListener("online", () => wake());
  addEventListener("offline", () => abort.abort());
  if ("locks" in navigator) await navigator.locks.request("proving.outbox", work);
  else await work();
}

/** There is something new to be done: look now, or right after what is being done. */
function wake(): void {
  isWoken = true;
  endPause();
}

async function pause(): Promise<void> {
  if (!isWoken) {
    await new Promise<void>((resolve) => {
      endPause = resolve;
      setTimeout(resolve, LOOK_AGAIN_MS);
    });
  }
  isWoken = false;
}

/** Does the next thing that there is to do; false if there is none for now. */
async function step(): Promise<boolean> {
  await load();
  const { entries } = now;
  for (const { id } of toForget(entries)) await forget(KEPT_UNDER + id);
  const rules = await rulesKept();
  if (rules) {
    const nowMs = await networkNow();
    for (const { id } of tooOld(entries, nowMs, rules)) await update(id, (entry) => entry && { ...entry, state: "expired" });
  }
  const next = nextToSend(now.entries) ?? nextToFollow(now.entries);
  if (!navigator.onLine) return false;
  abort = new AbortController();
  try {
    if (next) return await decide(next);
    return await fetchMissingReceipt();
  } catch (error) {
    if (error instanceof StepError || abort.signal.aborted) return false;
    throw error;
  } finally {
    show({ sendingId: null });
  }
}

async function decide(entry: Entry): Promise<boolean> {
  const { id, signed, chainId } = entry;
  const rules = await rulesNow();
  if (rules.CHAIN_ID !== chainId) {
    await refuse(id, { code: "WRONG_CHAIN", details: { value: rules.CHAIN_ID, expected: chainId } });
    return true;
  }
  handingIn ??= clientWith({ retry: PATIENCE });
  const to = await handingIn;
  const { signal } = abort;
  try {
    if (entry.state === "waiting") {
      // Before it leaves: after a crash, only a node knows what became of it.
      await update(id, (before) => before && { ...before, wasSent: true });
      show({ sendingId: id });
      await settle(id, await to.submit(signed, { waitMs: 0, signal }));
    } else {
      await settle(id, await to.follow(signed, { timeoutMs: FOLLOW_MS, signal }));
    }
    return true;
  } catch (error) {
    if (!(error instanceof StepError)) throw error;
    if (error.code === "PENDING") return true;
    if (isUndecided(error)) {
      // While the nodes rest nobody was asked: what they have said before still holds.
      const isNew = error.attempts.length > 0;
      await update(id, (before) => before && { ...before, refusal: (!isNew && before.refusal) || refusalOf(error) });
      return false;
    }
    await refuse(id, refusalOf(error));
    return true;
  }
}

/** Whether the same body may yet be taken in, or may have been by another node. */
function isUndecided({ code, attempts, maybeAcceptedBy }: StepError): boolean {
  return code === "NO_ANSWER" || code === "UNREADABLE_ANSWER" || attempts.length > 0 || maybeAcceptedBy.length > 0;
}

async function settle(id: string, outcome: Outcome): Promise<void> {
  if (outcome.status === "pending") {
    await update(id, (before) => before && withoutRefusal({ ...before, state: "accepted" }));
    return;
  }
  const reward = rewardOf(outcome);
  await update(id, (before) => before && withoutRefusal({ ...before, state: "final", reward }));
}

async function refuse(id: string, refusal: Refusal): Promise<void> {
  await update(id, (before) => before && { ...before, state: "refused", refusal });
}

/** One at a time; true if one was fetched. */
async function fetchMissingReceipt(): Promise<boolean> {
  for (const { id, state } of now.entries) {
    if (state !== "final" || lacking.has(id) || (await hasReceipt(id))) continue;
    // A node that has none now is not asked again before the next visit.
    lacking.add(id);
    await fetchReceipt(id);
    await changed();
    return true;
  }
  return false;
}

function withoutRefusal({ refusal: _, ...entry }: Entry): Entry {
  return entry;
}

function refusalOf({ code, message, details, node }: StepError): Refusal {
  return { code, message, details, node };
}

function rewardOf({ reward = "", balance = "", clicks = 0, level = 0, triangleId = "", height = 0 }: Outcome): Reward {
  return { reward, balance, clicks, level, triangleId, height };
}

async function update(id: string, to: (before: Entry | undefined) => Entry | undefined): Promise<void> {
  await change<Entry | undefined>(KEPT_UNDER + id, to);
  await changed();
}

async function changed(): Promise<void> {
  await load();
  otherTabs.postMessage(null);
}

async function load(): Promise<void> {
  const entries = (await keptUnder<Entry | undefined>(KEPT_UNDER)).flatMap(([, entry]) => entry ?? []);
  isLoaded = true;
  mark(entries.some((entry) => !isDecided(entry)));
  show({ entries });
}

function show(part: Partial<Outbox>): void {
  now = { ...now, ...part };
  for (const changed of watchers) changed();
}
