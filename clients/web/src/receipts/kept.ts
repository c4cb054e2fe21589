// Receipts on this device: fetched when a proof is final, and kept as they are, so that they can be shown and verified
// without any node.
import { keep, kept, keptUnder, forget } from "../shell/keeping.ts";
import { pinnedGenesis } from "../shell/chain.ts";
import { reader } from "../shell/node.ts";

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
  return kept<KeptReceipt>(KEPT_UNDER + id);
}

/** Newest first. */
export async function receiptsKept(): Promise<KeptReceipt[]> {
  const all = (await keptUnder<KeptReceipt>(KEPT_UNDER)).map(([, receipt]) => receipt);
  return all.sort((one, other) => other.keptAtMs - one.keptAtMs);
}

/** From a node, together with what it is judged by later. Throws StepError where there is none to be had. */
export async function fetchReceipt(id: string): Promise<KeptReceipt> {
  await pinnedGenesis();
  return keepReceipt(id, await (await reader()).receipt(id));
}

export async function keepReceipt(id: string, text: string): Promise<KeptReceipt> {
  const receipt = { id, text, keptAtMs: Date.now() };
  await keep(KEPT_UNDER + id, receipt);
  for (const old of (await receiptsKept()).slice(RECEIPTS_MAX)) await forget(KEPT_UNDER + old.id);
  return receipt;
}
