// Receipts on this device: fetched when a proof is final, and kept as they are, so that they can be shown and verified
// without any node.
import { StepError } from "step-client/errors.js";
import { keep, kept, keptUnder, forget } from "../shell/keeping.ts";
import { pinnedGenesis } from "../shell/chain.ts";
import { reader } from "../shell/node.ts";
import { verdictOn } from "./checking.ts";

export interface KeptReceipt {
  /** Of the proof or operation. */
  id: string;
  /** The file, to the last byte. */
  text: string;
  keptAtMs: number;
}

const KEPT_UNDER = "receipts/";
/** Some 3 KB each. The oldest go first: every node that keeps histories gives them again. */
const RECEIPTS_MAX = 1_000;

export async function hasReceipt(id: string): Promise<boolean> {
  return (await receiptOf(id)) !== undefined;
}

export async function receiptOf(id: string): Promise<KeptReceipt | undefined> {
  return kept<KeptReceipt>(KEPT_UNDER + id).catch((error: unknown) => {
    // A browser that keeps nothing has none.
    if (!(error instanceof DOMException)) throw error;
    return undefined;
  });
}

/** Newest first. */
export async function receiptsKept(): Promise<KeptReceipt[]> {
  const all = (await keptUnder<KeptReceipt>(KEPT_UNDER)).map(([, receipt]) => receipt);
  return all.sort((one, other) => other.keptAtMs - one.keptAtMs);
}

/** From a node, together with what it is judged by later. Throws StepError where there is none to be had. */
export async function fetchReceipt(id: string): Promise<KeptReceipt> {
  await pinnedGenesis();
  return takeReceipt(id, await (await reader()).receipt(id));
}

/** What a node gave as the receipt of `id`: kept only if it is true, so that another node can still give the true one, and a
 *  browser that keeps nothing shows it all the same. Throws StepError if it is about something else. */
export async function takeReceipt(id: string, text: string): Promise<KeptReceipt> {
  const verdict = verdictOn(text, await pinnedGenesis());
  if (!verdict.isTrue) return { id, text, keptAtMs: Date.now() };
  if (verdict.receipt.id !== id) throw new StepError("UNREADABLE_ANSWER", `the receipt is that of ${verdict.receipt.id}`);
  return keepReceipt(id, text).catch((error: unknown) => {
    if (!(error instanceof DOMException)) throw error;
    return { id, text, keptAtMs: Date.now() };
  });
}

export async function keepReceipt(id: string, text: string): Promise<KeptReceipt> {
  const receipt = { id, text, keptAtMs: Date.now() };
  await keep(KEPT_UNDER + id, receipt);
  for (const old of (await receiptsKept()).slice(RECEIPTS_MAX)) await forget(KEPT_UNDER + old.id);
  return receipt;
}
