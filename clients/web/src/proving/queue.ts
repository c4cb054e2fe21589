// Proofs that were signed on this device, and what has become of each. They are handed in one after another in the order of
// their times: one that is earlier than a proof that is final would be refused.
import type { SignedProof } from "step-client";
import type { Refusal } from "../shell/explained.ts";

export type State =
  /** Signed and kept; no node has said that it has it. */
  | "waiting"
  /** On a node's disk: it becomes final, or is dropped. */
  | "accepted"
  | "final"
  | "refused"
  /** Was never handed in, and is too old to be. */
  | "expired";

/** What a final proof has brought. */
export interface Reward {
  reward: string;
  balance: string;
  clicks: number;
  level: number;
  triangleId: string;
  height: number;
}

export interface Entry {
  /** The proof's id, known before anything is sent. */
  id: string;
  signed: SignedProof;
  chainId: string;
  /** Whether it may have reached a node; then only a node can say what became of it. */
  wasSent: boolean;
  isSimulated: boolean;
  state: State;
  reward?: Reward;
  /** Why it was refused; of one that waits, why it waits. */
  refusal?: Refusal;
}

/** A node takes a proof in only while it has this long left to become final (docs/clients.md). */
const LEFT_MS_MIN = 3_000;

/** Of those that are decided, so many are kept to be looked at; receipts are kept apart. */
export const DECIDED_MAX = 50;

export interface AgeRule {
  PROOF_MAX_AGE_MS: number;
}

export function timeOf(entry: Entry): number {
  return Date.parse(entry.signed.payload.timestamp);
}

/** Until when a node takes it in, by the network's clock. */
export function validUntil(entry: Entry, { PROOF_MAX_AGE_MS }: AgeRule): number {
  return timeOf(entry) + PROOF_MAX_AGE_MS - LEFT_MS_MIN;
}

export function isDecided({ state }: Entry): boolean {
  return state === "final" || state === "refused" || state === "expired";
}

/** By time; those of one moment by id, so that the order is always the same. */
export function inOrder(entries: readonly Entry[]): Entry[] {
  return [...entries].sort((one, other) => timeOf(one) - timeOf(other) || (one.id < other.id ? -1 : 1));
}

/** Which to hand in next: the first that waits. */
export function nextToSend(entries: readonly Entry[]): Entry | undefined {
  return inOrder(entries).find(({ state }) => state === "waiting");
}

/** Which to ask about next, once none waits. */
export function nextToFollow(entries: readonly Entry[]): Entry | undefined {
  return inOrder(entries).find(({ state }) => state === "accepted");
}

/** Those that cannot be handed in any more. One that may have reached a node is asked about all the same: it may be final. */
export function tooOld(entries: readonly Entry[], nowMs: number, rules: AgeRule): Entry[] {
  return entries.filter((entry) => entry.state === "waiting" && !entry.wasSent && nowMs > validUntil(entry, rules));
}

/** The last place that the account has proven, or is about to: what the next proof is compared with. */
export function lastOf(entries: readonly Entry[], account: string): Entry | undefined {
  const counted = entries.filter(({ state, signed }) => state !== "refused" && state !== "expired" && signed.payload.account === account);
  return inOrder(counted).at(-1);
}

/** Those that have been kept for long enough: decided, and not among the last so many. */
export function toForget(entries: readonly Entry[]): Entry[] {
  const decided = inOrder(entries).filter(isDecided);
  return decided.slice(0, Math.max(0, decided.length - DECIDED_MAX));
}
