// Transfers on their way. What was signed is kept until it is known what became of it: the same body may be sent again at any
// time, while a second one could be paid as well. So an account has one at a time, also over a reload of the page.
import type { SignedTransfer } from "step-client";
import { StepError } from "step-client/errors.js";
import { forget, keep, kept } from "../shell/keeping.ts";
import { client } from "../shell/node.ts";
import { signer } from "./accounts.ts";
import { isDecided, type Written } from "./transfers.ts";

export interface Applied {
  operationId: string;
  height: number;
  timestamp: string;
}

/** The transfer of an account that is on its way, or undefined. */
export function pendingTransfer(account: string): Promise<SignedTransfer | undefined> {
  return kept<SignedTransfer>(nameOf(account));
}

/** Signs, and keeps what was signed before anything is sent. Throws WalletError or StepError. */
export async function signAndKeep(transfer: Written): Promise<SignedTransfer> {
  const signed = await (await client()).signTransfer(await signer(), transfer);
  await keep(nameOf(signed.form.owner), signed);
  return signed;
}

/** Sends it, and waits until it is applied. Throws StepError; unless that is `PENDING` or nobody answered, it will never be
 *  applied, and is not kept any more. */
export async function sendKept(signed: SignedTransfer, signal?: AbortSignal): Promise<Applied> {
  const name = nameOf(signed.form.owner);
  try {
    const applied: Applied = await (await client()).sendTransfer(signed, signal ? { signal } : {});
    await forget(name);
    return applied;
  } catch (error) {
    if (error instanceof StepError && isDecided(error)) await forget(name);
    throw error;
  }
}

function nameOf(account: string): string {
  return `wallet.transfer.${account}`;
}

/** Lets go of a transfer that was not seen applied. */
export async function giveUp(signed: SignedTransfer): Promise<void> {
  await forget(nameOf(signed.form.owner));
}
