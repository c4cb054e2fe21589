// A transfer before it is signed: what a form's fields come to, by the rules of docs/protocol.md §4, so that a person is told
// of a slip while typing. The node has the last word.
import { CODES } from "step-client";
import { StepError } from "step-client/errors.js";
import { AMOUNT_MICRO_MAX, decimal, isAmount, micro, typed } from "../shell/amounts.ts";
import { typedAddress, type AddressFault } from "./address.ts";

export const MEMO_BYTES_MAX = 64;

export interface Written {
  to: string;
  amount: string;
  memo: string;
}

export type RecipientFault = AddressFault | "self";
export type AmountFault = "form" | "none" | "tooMuch" | "notThere";
export type MemoFault = "tooLong" | "characters";

export interface Faults {
  to?: RecipientFault;
  amount?: AmountFault;
  memo?: MemoFault;
}

/** As `StepClient.signTransfer` takes it, or what is wrong with which field. `balance`: null while it is not known. */
export function readTransfer(written: Written, owner: string, balance: string | null): { transfer: Written } | { faults: Faults } {
  const to = typedAddress(written.to);
  const amount = typed(written.amount);
  const memo = memoFault(written.memo);
  const toFault = "fault" in to ? to.fault : to.address === owner ? "self" : undefined;
  const amountFault = amountFaultOf(amount, balance);
  if ("fault" in to || toFault !== undefined || amount === null || amountFault !== undefined || memo !== null) {
    return {
      faults: {
        ...(toFault === undefined ? {} : { to: toFault }),
        ...(amountFault === undefined ? {} : { amount: amountFault }),
        ...(memo === null ? {} : { memo }),
      },
    };
  }
  return { transfer: { to: to.address, amount: decimal(amount), memo: written.memo } };
}

/**
 * Of what each node says is an account's next sequence number, the one to sign: the lowest. One that is too low is refused by
 * all; one that is still to come would be a paper that whoever named it could cash later.
 */
export function lowestSequence(answers: readonly { nextSequence: unknown }[]): number {
  const told = answers.map(({ nextSequence }) => nextSequence).filter((one): one is number => Number.isSafeInteger(one));
  if (told.length === 0) throw new StepError("UNREADABLE_ANSWER", "nextSequence: no node says a whole number");
  return Math.min(...told);
}

/** Whether a refusal is for good: not "not now", not silence, and no sequence number that is still to come. */
export function isDecided(error: StepError, sequence: number): boolean {
  if (error.code === "PENDING" || error.code === "NO_ANSWER" || error.attempts.length > 0) return false;
  if (error.maybeAcceptedBy.length > 0) return false; // Another node may have taken it in.
  if (error.code === "WRONG_SEQUENCE") return Number(error.details?.expected) > sequence;
  return !(error.details?.retryable ?? CODES[error.code]?.retryable ?? false);
}

export function memoBytes(memo: string): number {
  return new TextEncoder().encode(memo).length;
}

export function memoFault(memo: string): MemoFault | null {
  // What the node refuses: control characters, and those that turn the direction of writing, by which a memo could look
  // like something else.
  if (/[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]/u.test(memo)) return "characters";
  return memoBytes(memo) > MEMO_BYTES_MAX ? "tooLong" : null;
}

function amountFaultOf(amountMicro: bigint | null, balance: string | null): AmountFault | undefined {
  if (amountMicro === null) return "form";
  if (amountMicro === 0n) return "none";
  if (amountMicro > AMOUNT_MICRO_MAX) return "tooMuch";
  return balance !== null && isAmount(balance) && amountMicro > micro(balance) ? "notThere" : undefined;
}
