// The types of step-client, and what each function means. Angles are degrees, distances metres, times milliseconds since
// the Unix epoch unless they are text; amounts are decimal text of STEP with six places, never floats.

// --- Errors ---

/** What a node says of a refusal, beside `code` and `message` (docs/codes.md). */
export interface Details {
  gate?: string;
  field?: string;
  rule?: string;
  value?: string | number | boolean;
  limit?: string | number | boolean;
  unit?: string;
  /** Whether the same body may be accepted later. */
  retryable?: boolean;
  /** From when on, by the node's clock: the same body if `retryable`, else a new one. */
  retryAt?: string;
  /** The active triangle that holds the point. */
  tryInstead?: { triangleId: string; level: number };
  [name: string]: unknown;
}

export interface ErrorFacts {
  details: Details;
  status: number | null;
  node: string | null;
  attempts: StepError[];
  proofId: string | null;
}

/**
 * Whatever this library throws on purpose, besides RangeError for a number or triangle that cannot be one.
 *
 * `code` is one of the node's (`CODES`), or of this library: `NO_ANSWER` (no node has answered), `PENDING` (accepted, not
 * final in the time given), `BAD_POSITION` (must not be signed), `NO_ACCOUNT` (the wallet gave none), `UNREADABLE_ANSWER`.
 */
export class StepError extends Error {
  constructor(code: string, message: string, facts?: Partial<ErrorFacts>);
  code: string;
  details: Details;
  /** Of HTTP; null where no node has answered. */
  status: number | null;
  /** Which node said it. */
  node: string | null;
  /** Where no node has decided: what each attempt came to, in order. Empty where one has. */
  attempts: StepError[];
  /** Of a proof that was accepted, and then dropped or not final in time. */
  proofId: string | null;
  /** Nodes that were sent the same body before and may have taken it in. While there are any, sign no other proof of the visit,
   * nor another transfer. */
  maybeAcceptedBy: string[];
  get tryInstead(): { triangleId: string; level: number } | null;
  get retryAt(): Date | null;
}

/** The node's table of codes: the status of HTTP, and whether the same body may be accepted later. */
export const CODES: Record<string, { status: number; retryable: boolean }>;

// --- Triangles ---

/** `digits`: the `level - 1` child digits, the one nearest the face first. */
export interface Triangle {
  face: number;
  level: number;
  digits: string;
}

/** Of the unit sphere: x towards (0°, 0°), y towards (0°, 90° E), z towards the North Pole. */
export type Vector = [number, number, number];

export const LEVEL_MAX: 21;

/** The triangle of a level, 1 to 21, that holds a point: the same to the last bit as in every node. Throws RangeError. */
export function locate(lat: number, lon: number, level: number): string;
export function unitVector(lat: number, lon: number): Vector;
/** The three corners, counter-clockwise from outside, to the last bit. */
export function vertices(triangleId: string): [Vector, Vector, Vector];
/** The corners as a closed ring of [lon, lat], for drawing; may cross the antimeridian. */
export function polygon(triangleId: string): [number, number][];
/** [lon, lat], for drawing. */
export function centroid(triangleId: string): [number, number];

/** Decodes the text form strictly, the checksum too. Throws RangeError naming the rule that the text breaks. */
export function parseTriangle(triangleId: string): Triangle;
export function triangleText(triangle: Triangle): string;
/** The integer form: 50 bits, which a number holds exactly. */
export function triangleInteger(triangleId: string): number;
export function triangleOfInteger(integer: number | bigint): string;
/** One level up; null at level 1. */
export function parent(triangleId: string): string | null;
/** The four one level down, child 0 to child 3. Throws RangeError at level 21. */
export function children(triangleId: string): string[];

// --- Proofs ---

export const PROOF_VERSION: "STEP-PROOF-v1";

export interface Payload {
  version: string;
  account: string;
  triangleId: string;
  lat: number;
  lon: number;
  accuracy: number;
  /** `YYYY-MM-DDTHH:MM:SS.sssZ`. */
  timestamp: string;
  nonce: string;
}

/** The body of `POST /proof/submit`. Keep it until the proof is final: it is what may be sent again. */
export interface SignedProof {
  payload: Payload;
  signature: string;
}

/** Who signs: `account` is 0x and 40 hex digits, `sign` is EIP-191 `personal_sign` of a line of text. */
export interface Signer {
  account: string;
  sign(line: string): Promise<string>;
}

/** What wallets inject (EIP-1193). */
export interface Provider {
  request(call: { method: string; params?: unknown }): Promise<any>;
}

/** The key as 32 bytes, or as 64 hex digits with or without 0x. Throws StepError (INVALID_PAYLOAD) without repeating it. */
export function privateKeySigner(privateKey: string | Uint8Array): Signer;
/** Signs with a wallet, by its first account if none is named. Contract wallets cannot sign proofs. */
export function providerSigner(provider: Provider, account?: string): Promise<Signer>;

/** The line that is signed. */
export function proofLine(payload: Omit<Payload, "version">): string;
/** The EIP-191 digest of the line, 0x and 64 hex digits: known before anything is sent. */
export function proofId(payload: Omit<Payload, "version">): string;
/** The address that signed a line, in lower case; null if nobody can have made the signature. */
export function recoverAccount(line: string, signature: string): string | null;

export interface Place {
  triangleId: string;
  lat: number;
  lon: number;
  accuracy: number;
  /** Milliseconds; now if absent. */
  timestamp?: number;
  /** 1 to 64 of `A-Za-z0-9._-`, not used before by this account; random if absent. */
  nonce?: string;
}

/** Signs a place as it is; `StepClient.sign` checks it first. Throws StepError (BAD_SIGNATURE) if another account signed. */
export function signProof(signer: Signer, place: Place): Promise<SignedProof>;

/** A browser's GeolocationPosition, or the same in short. `timestamp`: when it was measured, by the device's clock. */
export interface Position {
  lat?: number;
  lon?: number;
  accuracy?: number;
  timestamp?: number;
  coords?: { latitude: number; longitude: number; accuracy: number };
}

/**
 * A position as it may be signed: rounded to 7 decimals, not 0, 0, not older than 30 s nor 5 s ahead of `now`, and no
 * less accurate than `accuracyMax` (50). Throws StepError (BAD_POSITION) with `details.field` and `details.rule`.
 */
export function checkedPosition(
  position: Position,
  limits?: { now?: number; accuracyMax?: number },
): { lat: number; lon: number; accuracy: number; timestamp: number };

// --- Transfers ---

/** Ready to be sent, and sent again: keep it until it is applied. */
export interface SignedTransfer {
  /** The EIP-191 digest of the signed line. */
  operationId: string;
  /** The body of `POST /account/transfer`. */
  form: { owner: string; sequence: number; to: string; amount: string; memo: string; signature: string };
}

/** `amount`: decimal text of STEP, at most six places. `memo`: at most 64 bytes of UTF-8, public for ever. */
export interface Transfer {
  to: string;
  amount: string;
  memo?: string;
}

/** Signs a transfer; `StepClient.signTransfer` knows the chain and the sequence number. Throws StepError (INVALID_OPERATION). */
export function signTransfer(signer: Signer, transfer: Transfer & { chainId: string; sequence: number }): Promise<SignedTransfer>;

// --- Receipts ---

/** What a receipt proves. `clicks`, `state` and `reward` are a proof's alone; amounts are decimal text of STEP. */
export interface VerifiedReceipt {
  kind: "proof" | "operation";
  /** Of the proof or operation. */
  id: string;
  /** Who signed the line. */
  account: string;
  line: string;
  reward?: string;
  clicks?: number;
  state?: "active" | "subdivided" | "exhausted";
  /** The account's, right after it. */
  balance: string;
  chainId: string;
  height: number;
  /** Of the batch. */
  timestamp: string;
  batchHash: string;
  /** The validators whose pre-commits make the batch final. */
  signers: string[];
}

/**
 * What a receipt (the file as it is: JSON text, or the bytes of either form) proves to whoever has the genesis file (its
 * text, or parsed). Asks nobody. Throws StepError (RECEIPT_REFUSED) with `details.step`, the first that fails of `form`,
 * `signature`, `path`, `chain`, `links`, `commit`, and what was `expected` and `found`.
 */
export function verifyReceipt(receipt: string | Uint8Array, genesis: string | object): VerifiedReceipt;
/**
 * Both forms of a receipt that is given in either: CBOR is some 40 % shorter, for a QR code. Only its form is looked at;
 * throws as `verifyReceipt` does where that is wrong.
 */
export function receiptForms(receipt: string | Uint8Array): { json: string; cbor: Uint8Array };
/** The chain's identity: SHA-256 of the genesis file's canonical form. */
export function genesisHash(genesis: string | object): string;

// --- Nodes ---

export interface RetryPolicy {
  /** Of one request (10). */
  attemptsMax: number;
  /** After so long nothing is sent again (120,000). */
  totalMs: number;
  /** Pauses double from the first (500) up to the second (30,000), less up to a half by chance. */
  pauseMinMs: number;
  pauseMaxMs: number;
  /** How long one answer may take beyond what the node was told to wait (10,000). */
  answerMs: number;
}

export interface ClientOptions {
  retry: Partial<RetryPolicy>;
  fetch: (input: string, init: RequestInit) => Promise<Response>;
  /** The device's clock, milliseconds. */
  now: () => number;
  sleep: (ms: number, signal?: AbortSignal) => Promise<void>;
  /** From 0 to 1. */
  chance: () => number;
}

/** Parameters of a request. Lists are written with commas, as `bbox` and `kinds` are; what is null is left out. */
export type Query = Record<string, string | number | boolean | (string | number)[] | null | undefined>;

/** What became of a proof. `reward`, `balance` and the rest are there once it is final. */
export interface Outcome {
  status: "finalised" | "pending";
  proofId: string;
  /** Which node said it. */
  node: string;
  reward?: string;
  balance?: string;
  triangleId?: string;
  level?: number;
  clicks?: number;
  height?: number;
  [name: string]: unknown;
}

/** One of many: also `refused` and `dropped`, with why. */
export interface ManyOutcome extends Omit<Outcome, "status" | "proofId"> {
  status: "finalised" | "pending" | "dropped" | "refused";
  proofId: string | null;
  code?: string;
  message?: string;
  details?: Details;
}

export interface SignOptions {
  /** A number, 1 to 21, or "active" (the default): the triangle that can be proven in now. */
  level?: number | "active";
  nonce?: string;
}

export interface ProveOptions {
  level?: number | "active";
  /** How long to wait for finality (60,000). */
  timeoutMs?: number;
  signal?: AbortSignal;
  /** Called with each proof before it is sent, to keep it: after a crash, `follow` it. */
  onSigned?: (signed: SignedProof) => void;
}

/** `kinds`, `account`, `triangle` (and all below it), `bbox` (west, south, east, north): all that are given must fit. */
export type EventFilters = Query;

export interface FeedEvent {
  /** Give the last one back as `lastEventId` to go on from there, on any node. */
  id?: string;
  /** Also `gap`: something is missing here, and cannot be told any more. */
  kind: string;
  data: any;
}

/** What proofs are judged by, and this node's limits (`GET /proof/config`; docs/clients.md says what each is). */
export interface ProofConfig {
  ok: true;
  /** The node's clock. */
  timestamp: string;
  CHAIN_ID: string;
  PROOF_VERSION: string;
  GPS_MAX_ACCURACY_M: number;
  PROOF_SPEED_LIMIT_MPS: number;
  PROOF_SPEED_HORIZON_MS: number;
  PROOF_MORATORIUM_MS: number;
  PROOF_CLOCK_DRIFT_MS: number;
  PROOF_MAX_AGE_MS: number;
  ACCOUNT_WAITING_PROOFS_MAX: number;
  SEEDED_LEVEL: number;
  LEVEL_MAX: number;
  SUBDIVISION_CLICKS: number;
  EXHAUSTION_CLICKS: number;
  BATCH_INTERVAL_MS: number;
  WAIT_MS_DEFAULT: number;
  WAIT_MS_MAX: number;
  BODY_BYTES_MAX: number;
  BATCH_BODY_BYTES_MAX: number;
  BATCH_SUBMISSIONS_MAX: number;
  /** Of one address; null where this node has no such quota. */
  SUBMISSIONS_PER_MINUTE: number | null;
  /** Of one account. */
  ACCOUNT_SUBMISSIONS_PER_MINUTE: number | null;
}

/**
 * A client of one or several nodes of one chain. A request goes to the next node when one does not answer, and again to
 * the same or another when it says "not now"; all methods throw StepError where a node refuses, or none decides.
 * This one only asks: it is what a page that shows things needs.
 */
export class StepReader {
  constructor(nodes: string | string[], options?: Partial<ClientOptions>);
  /** What is added to the device's clock; known after `config`, 0 while the two differ by less than two seconds. */
  clockOffsetMs: number;
  /** Any GET of the API: the parsed answer. */
  get(path: string, query?: Query, options?: { signal?: AbortSignal }): Promise<any>;
  /** The chain's rules (`GET /proof/config`), asked for once. */
  config(): Promise<ProofConfig>;
  /** `GET /mesh/{path}`: its `result`. */
  mesh(path: string, query?: Query, options?: { signal?: AbortSignal }): Promise<any>;
  /** The active triangle that holds a point, in one request. */
  activeTriangle(lat: number, lon: number, options?: { signal?: AbortSignal }): Promise<any>;
  account(address: string): Promise<any>;
  proofs(address: string, query?: Query): Promise<any>;
  triangle(triangleId: string): Promise<any>;
  /** The receipt of a final proof, as text: keep it as it is. */
  receipt(proofId: string): Promise<string>;
  /**
   * The live feed; ends when `signal` says, or the reader leaves the loop. `onLink` is told whenever a node has opened a
   * stream, and when there is none (any more): events may be rare, and a person wants to know whether anybody listens.
   */
  events(
    filters?: EventFilters,
    options?: { lastEventId?: string; signal?: AbortSignal; onLink?: (isOpen: boolean) => void },
  ): AsyncGenerator<FeedEvent>;
}

/** One that signs and submits, too. */
export class StepClient extends StepReader {
  /** Checks a position, finds its triangle, and signs it. */
  sign(signer: Signer, position: Position, options?: SignOptions): Promise<SignedProof>;
  /** Submits one, with retries of the same body: final, or accepted and waiting after `waitMs` (5,000). */
  submit(signed: SignedProof, options?: { waitMs?: number; signal?: AbortSignal }): Promise<Outcome>;
  /** Until it is final. Submits it if need be; safe to call again at any time, also after a restart. */
  follow(signed: SignedProof, options?: { timeoutMs?: number; signal?: AbortSignal }): Promise<Outcome>;
  /** Sign, submit, follow; signed again, up to three times, where others have subdivided the triangle meanwhile. */
  prove(signer: Signer, position: Position, options?: ProveOptions): Promise<Outcome & { signed: SignedProof }>;
  /** Many at once; the outcomes are in the order of the proofs. What time heals is sent again until `timeoutMs` (60,000). */
  submitMany(proofs: SignedProof[], options?: { timeoutMs?: number; signal?: AbortSignal }): Promise<ManyOutcome[]>;
  /** Signs a transfer with the account's next sequence number. One at a time: the next when the last is applied. */
  signTransfer(signer: Signer, transfer: Transfer): Promise<SignedTransfer>;
  /** Sends it, and waits until it is applied; safe to call again with the same one. Throws `PENDING` after `timeoutMs`. */
  sendTransfer(signed: SignedTransfer, options?: { timeoutMs?: number; signal?: AbortSignal }): Promise<any>;
}
