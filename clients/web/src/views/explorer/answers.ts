// What the node's answers have of what the explorer shows (docs/http-api.md).
import type { Transaction } from "../../wallet/transactions.ts";

export interface BatchEntry {
  height: number;
  batchHash: string;
  round: number;
  proposer: string;
  timestamp: string;
  proofs: number;
  operations: number;
  evidence: number;
}

export interface Batches {
  batches: BatchEntry[];
  nextCursor: string | null;
}

export type OffenceKind = "DOUBLE_SIGN" | "CONFLICTING_PROPOSAL" | "INVALID_PROPOSAL" | "INVALID_VOTE" | "OFFLINE";

export interface Batch {
  height: number;
  batchHash: string;
  header: {
    chainId: string;
    protocolVersion: number;
    round: number;
    proposer: string;
    timestamp: string;
    previousBatchHash: string;
    validatorSetHash: string;
    stateRoot: string;
    proofIdsRoot: string;
    proofsRoot: string;
    receiptsRoot: string;
    bodyHash: string;
  };
  proofIds: string[];
  /** Nodes of before 0.2 do not tell these. */
  operations?: { operationId: string; type: string; owner: string }[];
  evidence?: { kind: OffenceKind; accused: string; offenceHeight: number }[];
  commit: { round: number; signatures: { validator: string; signature: string }[] };
}

export interface Validator {
  address: string;
  owner: string;
  publicKey: string;
  state: "waiting" | "active" | "leaving" | "unbonding" | "jailed" | "rotated";
  inSet: boolean;
  stake: string;
  p2pAddress: string;
  activeFromHeight: number;
  activeUntilHeight?: number | null;
  absentBatches?: number;
  absentSince?: string | null;
  lockedUntil: string | null;
}

export interface Validators {
  height: number;
  quorum: number;
  validators: Validator[];
}

export interface Slashing {
  height: number;
  kind: OffenceKind;
  accused: string;
  validator: string;
  offenceHeight: number;
  shareBps: number;
  amount: string;
  timestamp: string;
  lockedUntil: string | null;
}

export interface Evidence {
  slashings: Slashing[];
  nextCursor: string | null;
}

/** `status` tells which of the three it is. */
export type ProofStatus =
  | { status: "pending"; proofId: string }
  | { status: "dropped"; proofId: string; code: string; message: string; details: Record<string, unknown> }
  | {
      status: "finalised";
      proofId: string;
      reward: string;
      triangleId: string;
      level: number;
      clicks: number;
      clicksMax: number;
      triangleState: TriangleState;
      balance: string;
      height: number;
      processedAt: string;
      index: number;
    };

export type OperationStatus =
  | { status: "pending"; operationId: string; type: string; owner: string; sequence: number }
  | { status: "dropped"; operationId: string; code: string; message: string; details: Record<string, unknown> }
  | {
      status: "applied";
      operationId: string;
      type: string;
      owner: string;
      sequence: number;
      height: number;
      index: number;
      timestamp: string;
      to?: string | null;
      amount?: string | null;
      memo?: string | null;
    };

export interface Account {
  account: string;
  balance: string;
  proofs: number;
  rank: number | null;
  lastProof: { timestamp: string; lat: number; lon: number } | null;
  nextSequence: number;
}

/** What the wallet lists of an account, anybody may read of any. */
export interface Transactions {
  transactions: Transaction[];
  nextCursor: string | null;
}

export type TriangleState = "active" | "subdivided" | "exhausted";

export interface Triangle {
  triangleId: string;
  level: number;
  state: TriangleState;
  clicks: number;
  reward: string;
  parentId: string | null;
}

export interface TriangleProof {
  proofId: string;
  account: string;
  height: number;
  lat: number;
  lon: number;
  accuracy: number;
  timestamp: string;
  nonce: string;
  reward: string;
  clicks: number;
  processedAt: string;
}

export interface TriangleProofs {
  proofs: TriangleProof[];
  nextCursor: string | null;
}

export interface Leaderboard {
  accounts: { rank: number; account: string; balance: string; proofs: number }[];
}
