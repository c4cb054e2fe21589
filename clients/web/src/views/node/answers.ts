// What the node's answers have of what is shown of itself (docs/http-api.md).

export interface Status {
  version: string;
  commit: string;
  protocolVersion: number;
  knownProtocolVersions: number[];
  chainId: string;
  genesisHash: string;
  peerId: string;
  validatorAddress: string | null;
  height: number;
  batchTimestamp: string;
  syncing: boolean;
  mempoolProofs: number;
  earliestHeight: number;
  historiesFrom: number;
  peers: Peer[];
  switches: Record<string, boolean>;
}

export interface Peer {
  peerId: string;
  address: string;
  direction: "inbound" | "outbound";
  version: string | null;
  height: number | null;
  validator: string | null;
}

export interface Health {
  status: "ok" | "degraded" | "down";
  ready: boolean;
  reasons: { code: string; message: string }[];
}

/** A batch's hash, `nil`, or null: not here. */
export type Vote = string | null;

export interface Consensus {
  height: number;
  heightSince: string;
  round: number;
  step: string;
  takesPart: boolean;
  proposer: string;
  proposal: string | null;
  quorum: number;
  preVotes: number;
  preCommits: number;
  lockedRound: number;
  waitingProofs: number;
  waitingOperations: number;
  waitingEvidence: number;
  validators: { address: string; isSelf: boolean; isConnected: boolean; preVote: Vote; preCommit: Vote }[];
}

export interface Sample {
  at: string;
  proofsAccepted: number;
  proofsFinalised: number;
  proofsRefused: number;
  finalityP50Ms: number | null;
  finalityP95Ms: number | null;
  loopLagP95Ms: number | null;
  height: number;
  mempoolProofs: number;
  peers: number;
  residentBytes: number | null;
}

export interface Load {
  everySeconds: number;
  samples: Sample[];
}
