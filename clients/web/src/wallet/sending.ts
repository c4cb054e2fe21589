// Transfers on their way. What was signed is kept until it is known what became of it: the same body may be sent again at any
// time, while a second one could be paid as well. So an account has one at a time, also over a reload of the page.
import type { SignedTransfer } from "step-client";
import { StepError } from "step-client/errors.js";
import { change, forgetIf, kept } from "../shell/keeping.ts";
import { askEach, client, knownChain } from "../shell/node.ts";
import { signer } from "./accounts.ts";
import { WalletError } from "./faults.ts";
import { isDecided, lowestSequence, type Written } from "./transfers.ts";

export interface Applied {
  operationId: string;
  height: number;
  timestamp: string;
}

/** The transfer of an account that is on its way, or undefined. */
export function pendingTransfer(account: string): Promise<SignedTransfer | undefined> {
  return kept<SignedTransfer>(nameOf(account));
}

/** Signs, and keeps what was signed before anything is sent. If another tab has kept one meanwhile, it is that one that is
 *  given back, and to be sent. Throws WalletError or StepError. */
export async function signAndKeep(transfer: Written): Promise<SignedTransfer> {
  const signing = await signer();
  const sequence = lowestSequence(await askEach<{ nextSequence: unknown }>(`/account/${signing.account}`));
  const chainId = (await knownChain())?.chainId ?? (await (await client()).config()).CHAIN_ID;
  const { signTransfer } = await import("step-client/transfers.js");
  const signed = await signTransfer(signing, { ...transfer, chainId, sequence });
  try {
    return await change<SignedTransfer>(nameOf(signed.form.owner), (before) => before ?? signed);
  } catch (error) {
    throw error instanceof DOMException ? new WalletError("NOT_KEPT", error) : error;
  }
}

/** Sends it, and waits until it is applied. Throws StepError; unless that is `PENDING` or nobody answered, it will never be
 *  applied, and is not kept any more. */
export async function sendKept(signed: SignedTransfer, signal?: AbortSignal): Promise<Applied> {
  try {
    const applied: Applied = await (await client()).sendTransfer(signed, signal ? { signal } : {});
    await giveUp(signed);
    return applied;
  } catch (error) {
    if (error instanceof StepError && isDecided(error, signed.form.sequence)) await giveUp(signed);
    throw error;
  }
}

function nameOf(account: string): string {
  return `wallet.transfer.${account}`;
}

/** Lets go of a transfer, and of no other: also of one that was not seen applied. */
export async function giveUp({ operationId, form }: SignedTransfer): Promise<void> {
  await forgetIf<SignedTransfer>(nameOf(form.owner), (before) => before.operationId === operationId);
}
