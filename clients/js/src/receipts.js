// Whether a receipt is true, told with the genesis file alone: steps with names, in order, and the first that fails is the
// verdict, the same as every node's and the Python client's for the same bytes (docs/receipts.md).
import { sha256 } from "@noble/hashes/sha2.js";
import { concat, hex, messagePack, unhex } from "./bytes.js";
import { StepError } from "./errors.js";
import { PARAMETERS } from "./parameters.js";
import { digestOf, recoverFrom } from "./proof.js";
import { formsOf, readReceipt } from "./receipt-form.js";
import { triangleIntegerOf } from "./triangle.js";

/** @typedef {{address: string, publicKey: string, stake: bigint}} Validator */

const PROOF_LINE = new RegExp(
  "^STEP-PROOF-v1\\|account:(0x[0-9a-f]{40})\\|triangle:STEP-TRI-v1:([A-T])([1-9]|1[0-9]|2[01])-([0-3]{20})-[A-Z2-7]{3}" +
    "\\|lat:[0-9e.+-]+\\|lon:[0-9e.+-]+\\|acc:[0-9e.+-]+\\|ts:[0-9TZ:.-]{24}\\|nonce:[A-Za-z0-9._-]{1,64}$",
);
const OPERATION_LINE = /^STEP-[A-Z-]+-v1\|chain:[a-z0-9-]+\|owner:(0x[0-9a-f]{40})\|sequence:[0-9]+\|.+$/s;
const STATES = ["active", "subdivided", "exhausted"];

/** @type {typeof import("../step-client.js").verifyReceipt} */
export function verifyReceipt(data, genesis) {
  const trust = trustOf(genesis);
  const { receipt, claim } = formed(data);
  const { header, path, outcome } = receipt;

  const signer = recoverStrictly(claim.line, claim.signature);
  if (signer !== claim.account) refuse("signature", `a signature of the line by ${claim.account}`, `one by ${signer}`);

  const root = rootOfInclusion(claim.leaf, path, header.receiptsSize);
  if (root !== header.receiptsRoot) refuse("path", `the header's receiptsRoot, ${header.receiptsRoot}`, String(root));

  if (receipt.genesisHash !== trust.genesisHash) {
    refuse("chain", `genesis ${trust.genesisHash}`, `genesis ${receipt.genesisHash}`);
  }
  if (header.chainId !== trust.chainId) refuse("chain", `chain ${trust.chainId}`, `chain ${header.chainId}`);

  const validators = followed(receipt, trust);
  const batchHash = hashOfHeader(header);
  const signers = signersOf(receipt.commit, header, batchHash);
  const problem = whyNoQuorum(signers, validators);
  if (problem) refuse("commit", `pre-commits of ${quorumOf(validators)} of the ${validators.length} validators`, problem);

  const { kind, id, account, line } = claim;
  const { chainId, height, timestamp } = header;
  return { kind, id, account, line, ...outcome, chainId, height, timestamp, batchHash, signers };
}

/** @type {typeof import("../step-client.js").genesisHash} */
export function genesisHash(genesis) {
  return trustOf(genesis).genesisHash;
}

/** What a receipt is judged by. @param {string | any} genesis */
function trustOf(genesis) {
  const { parameters, ...rest } = typeof genesis === "string" ? JSON.parse(genesis) : genesis;
  // What a genesis file leaves out is there in its canonical form: the protocol's parameters, and no allocations.
  const whole = { allocations: {}, ...rest, parameters: { ...PARAMETERS, ...parameters } };
  const validators = rest.validators.map((/** @type {any} */ one) => ({
    address: one.address,
    publicKey: one.public_key,
    stake: BigInt(one.stake_ustep),
  }));
  return {
    chainId: /** @type {string} */ (rest.chain_id),
    genesisHash: hex(sha256(new TextEncoder().encode(canonicalJson(whole)))),
    validators: /** @type {Validator[]} */ (validators.sort(byAddress)),
  };
}

/** RFC 8785; what is null is not there. @param {any} value @returns {string} */
function canonicalJson(value) {
  if (typeof value !== "object") return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join()}]`;
  const keys = Object.keys(value).filter((key) => value[key] !== null);
  return `{${keys.sort().map((key) => `${JSON.stringify(key)}:${canonicalJson(value[key])}`).join()}}`;
}

/** @type {typeof import("../step-client.js").receiptForms} */
export function receiptForms(data) {
  return inForm(() => formsOf(data));
}

/** @param {string | Uint8Array} data */
function formed(data) {
  return inForm(() => {
    const receipt = readReceipt(data);
    return { receipt, claim: claimOf(receipt) };
  });
}

/** @template T @param {() => T} read @returns {T} */
function inForm(read) {
  try {
    return read();
  } catch (error) {
    return refuse("form", "a receipt in its one form", error instanceof Error ? error.message : String(error));
  }
}

/** Whose line it is, the id that follows from it, and the leaf that the outcome makes of it. @param {any} receipt */
function claimOf({ proof, operation, outcome }) {
  const kind = proof ? "proof" : "operation";
  const { line, signature } = proof ?? operation;
  const found = (proof ? PROOF_LINE : OPERATION_LINE).exec(line);
  if (!found) throw new Error(`${kind}.line: must be the signed line of one`);
  const [, account, letter, level, digits] = found;
  const id = digestOf(line);
  const { reward, clicks, state, balance } = outcome;
  const what = proof ? [triangleIntegerOf(letter, digits, level), ustep(reward), clicks, STATES.indexOf(state)] : [];
  const leaf = messagePack([kind, id, unhex(account), ...what, ustep(balance)]);
  return { kind: /** @type {"proof" | "operation"} */ (kind), line, signature, account, id: hex(id), leaf };
}

/** RFC 9162 section 2.1.3.2; null if the path is not as long as it must be.
 * @type {(leaf: Uint8Array, path: {index: number, hashes: string[]}, size: number) => string | null} */
function rootOfInclusion(leaf, { index, hashes }, size) {
  if (index >= size) return null;
  let node = sha256(concat([0], leaf));
  let used = 0;
  for (let last = size - 1; last > 0; last = Math.floor(last / 2), index = Math.floor(index / 2)) {
    if (index % 2 === 0 && index === last) continue;
    if (used === hashes.length) return null;
    const sibling = unhex(hashes[used++]);
    node = sha256(index % 2 ? concat([1], sibling, node) : concat([1], node, sibling));
  }
  return used === hashes.length ? hex(node) : null;
}

/** The validators of the header: those of genesis, or whom they have handed over to.
 * @param {any} receipt @param {{chainId: string, validators: Validator[]}} trust */
function followed({ links, header }, trust) {
  let validators = trust.validators;
  let height = 0;
  links.forEach((/** @type {any} */ link, /** @type {number} */ index) => {
    const members = link.validators.map((/** @type {any} */ one) => ({ ...one, stake: ustep(one.stake) }));
    const problem = whyNoLink(link, members, validators, height, trust.chainId);
    if (problem) refuse("links", "links that the validators before have signed, each to another set", `links.${index}: ${problem}`);
    validators = members;
    height = link.header.height;
  });
  const reached = hashOfSet(validators);
  if (reached !== header.validatorSetHash) {
    refuse("links", `links from genesis to the header's validators, ${header.validatorSetHash}`, `links to ${reached}`);
  }
  return validators;
}

/** @type {(link: any, members: Validator[], before: Validator[], height: number, chainId: string) => string | null} */
function whyNoLink({ header, commit }, members, before, height, chainId) {
  if (header.chainId !== chainId) return "is another chain's";
  if (header.height <= height) return `its height must be above ${height}`;
  if (header.validatorSetHash === hashOfSet(before)) return "the set is not another one";
  if (members.some(({ address }, index) => index > 0 && address <= members[index - 1].address)) {
    return "validators: must be sorted by address, each there once";
  }
  if (hashOfSet(members) !== header.validatorSetHash) return "validators: are not the set that the header names";
  const signers = signersOf(commit, header, hashOfHeader(header));
  const old = signers.filter((signer) => before.some(({ address }) => address === signer)).length;
  if (old < quorumOf(before)) return `${old} of the ${before.length} validators before have signed`;
  return whyNoQuorum(signers, members);
}

/** Who has pre-committed the batch with a header; null for a signature that is nobody's.
 * @type {(commit: any, header: any, batchHash: string) => (string | null)[]} */
function signersOf({ round, signatures }, { chainId, height }, batchHash) {
  const line = `STEP-PRE-COMMIT-v1|chain:${chainId}|height:${height}|round:${round}|batch:${batchHash}`;
  return signatures.map((/** @type {string} */ signature) => recoverStrictly(line, signature));
}

/** @type {(signers: (string | null)[], validators: Validator[]) => string | null} */
function whyNoQuorum(signers, validators) {
  if (signers.length < quorumOf(validators)) return `${signers.length} signatures`;
  let previous = "";
  for (const signer of signers) {
    if (signer === null) return "a signature that is nobody's";
    if (signer <= previous) return "signatures that are not sorted by validator, each there once";
    if (!validators.some(({ address }) => address === signer)) return `a signature of ${signer}, who is no validator`;
    previous = signer;
  }
  return null;
}

/** @param {any} header */
function hashOfHeader(header) {
  const form = {
    version: 1,
    chain_id: header.chainId,
    height: header.height,
    round: header.round,
    proposer: unhex(header.proposer),
    timestamp_ms: Date.parse(header.timestamp),
    previous_batch_hash: unhex(header.previousBatchHash),
    validator_set_hash: unhex(header.validatorSetHash),
    state_root: unhex(header.stateRoot),
    proof_ids_root: unhex(header.proofIdsRoot),
    proofs_root: unhex(header.proofsRoot),
    receipts_root: unhex(header.receiptsRoot),
    receipts_size: header.receiptsSize,
    body_hash: unhex(header.bodyHash),
    // Left out where it is the first.
    ...(header.protocolVersion === 1 ? {} : { protocol_version: header.protocolVersion }),
  };
  return hex(sha256(messagePack(form)));
}

/** @param {Validator[]} validators */
function hashOfSet(validators) {
  const members = validators.flatMap(({ address, publicKey, stake }) => [
    unhex(address),
    unhex(publicKey),
    unhex(stake.toString(16).padStart(16, "0")),
  ]);
  return hex(sha256(concat(...members)));
}

/** @param {Validator[]} validators */
function quorumOf(validators) {
  return Math.ceil((2 * validators.length) / 3);
}

/** In a receipt v is 27 or 28, nothing else. @type {(line: string, signature: string) => string | null} */
function recoverStrictly(line, signature) {
  return /1[bc]$/.test(signature) ? recoverFrom(digestOf(line), signature) : null;
}

/** @param {string} step */
function ustep(step) {
  return BigInt(step.replace(".", ""));
}

/** @type {(one: Validator, other: Validator) => number} */
function byAddress(one, other) {
  return one.address < other.address ? -1 : 1;
}

/** @param {string} step @param {string} expected @param {string} found @returns {never} */
function refuse(step, expected, found) {
  throw new StepError("RECEIPT_REFUSED", `${step}: expected ${expected}; found ${found}`, { details: { step, expected, found } });
}
