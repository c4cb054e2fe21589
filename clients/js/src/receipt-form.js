// The receipt as a file, STEP-RECEIPT-v1, in its two forms (docs/receipts.md). Each has one text for one receipt: what is
// read is written again and compared, so that no bit can be changed without a word.
import { cbor, hex, readCbor, unhex } from "./bytes.js";
import { CHAIN_ID } from "./parameters.js";

const RECEIPT_BYTES_MAX = 1_000_000;
const LINE_BYTES_MAX = 1_024;
const VALIDATORS_MAX = 100;
const RECEIPTS_MAX = 1_064;
const PROTOCOL_VERSION_MAX = 65_535;
const ROUND_MAX = 2 ** 31 - 1;

/** A type reads a value of JSON, or (`isCbor`) of CBOR, gives what JSON would have, and throws where it is none; `binary`
 * is what CBOR would have. @typedef {{read: (value: any, isCbor: boolean, at: string) => any, binary: (value: any) => any}} Type */

/** @type {(rule: string, isGood: (value: any) => boolean) => Type} */
const plain = (rule, isGood) => ({
  read: (value, _, at) => (isGood(value) ? value : fail(at, rule)),
  binary: (value) => value,
});

/** @type {(pattern: RegExp, rule: string) => Type} */
const text = (pattern, rule) => plain(rule, (value) => typeof value === "string" && pattern.test(value));

/** @type {(min: number, max?: number) => Type} */
const integer = (min, max = Number.MAX_SAFE_INTEGER) =>
  plain(`must be an integer from ${min} to ${max}`, (value) => Number.isInteger(value) && value >= min && value <= max);

/** @type {(length: number) => Type} */
const bytes = (length) => ({
  read(value, isCbor, at) {
    const digits = isCbor && value instanceof Uint8Array ? hex(value) : isCbor ? null : value;
    const isGood = typeof digits === "string" && digits.length === 2 + 2 * length && /^0x[0-9a-f]*$/.test(digits);
    return isGood ? digits : fail(at, `must be ${length} bytes`);
  },
  binary: unhex,
});

/** @type {(type: Type, min: number, max: number) => Type} */
const list = (type, min, max) => ({
  read(value, isCbor, at) {
    if (!Array.isArray(value) || value.length < min || value.length > max) fail(at, `must be a list of ${min} to ${max}`);
    return value.map((/** @type {any} */ one, /** @type {number} */ index) => type.read(one, isCbor, `${at}.${index}`));
  },
  binary: (value) => value.map(type.binary),
});

/** @type {(fields: Record<string, Type>) => Type} */
const map = (fields) => ({
  read(value, isCbor, at) {
    if (typeof value !== "object" || value === null) fail(at, "must be a map of fields");
    const unknown = Object.keys(value).find((name) => !Object.hasOwn(fields, name));
    if (unknown !== undefined) fail(at, `has the unknown field ${unknown.slice(0, 40)}`);
    const own = (/** @type {string} */ name) => (Object.hasOwn(value, name) ? value[name] : undefined);
    const read = Object.entries(fields).map(([name, type]) => [name, type.read(own(name), isCbor, `${at}.${name}`)]);
    return Object.fromEntries(read);
  },
  binary: (value) => Object.fromEntries(Object.entries(fields).map(([name, type]) => [name, type.binary(value[name])])),
});

const hash = bytes(32);
const amount = text(/^(0|[1-9][0-9]{0,11})\.[0-9]{6}$/, "must be decimal text of STEP with six places");
const round = integer(0, ROUND_MAX);
const timestamp = plain("must be a real time of the form YYYY-MM-DDTHH:MM:SS.sssZ, since 1970", isTimestamp);

const isLine = (/** @type {any} */ value) =>
  typeof value === "string" &&
  new TextEncoder().encode(value).length <= LINE_BYTES_MAX &&
  !/[\0-\x1f\x7f-\x9f\p{Surrogate}]/u.test(value);
const line = plain(`must be text of at most ${LINE_BYTES_MAX} bytes without control characters`, isLine);
const signedLine = map({ line, signature: bytes(65) });
const path = map({ index: integer(0), hashes: list(hash, 0, 16) });
const header = map({
  chainId: text(CHAIN_ID, "must be the name of a chain"),
  protocolVersion: integer(1, PROTOCOL_VERSION_MAX),
  height: integer(1),
  round,
  proposer: bytes(20),
  timestamp,
  previousBatchHash: hash,
  validatorSetHash: hash,
  stateRoot: hash,
  proofIdsRoot: hash,
  proofsRoot: hash,
  receiptsRoot: hash,
  receiptsSize: integer(0, RECEIPTS_MAX),
  bodyHash: hash,
});
const commit = map({ round, signatures: list(bytes(65), 1, VALIDATORS_MAX) });
const validator = map({ address: bytes(20), publicKey: bytes(33), stake: amount });
const links = list(map({ header, commit, validators: list(validator, 1, VALIDATORS_MAX) }), 0, RECEIPT_BYTES_MAX);

const version = text(/^STEP-RECEIPT-v1$/, "must be STEP-RECEIPT-v1");
const state = text(/^(active|subdivided|exhausted)$/, "must be active, subdivided or exhausted");
const shown = { path, header, commit, links };
const proofOutcome = map({ reward: amount, clicks: integer(0), state, balance: amount });
const proofReceipt = map({ version, genesisHash: hash, proof: signedLine, outcome: proofOutcome, ...shown });
const operationOutcome = map({ balance: amount });
const operationReceipt = map({ version, genesisHash: hash, operation: signedLine, outcome: operationOutcome, ...shown });

/** The receipt as JSON has it. Throws an Error whose message names the field and the rule.
 * @param {string | Uint8Array} data */
export function readReceipt(data) {
  return readStrictly(data).receipt;
}

/** Both forms of a receipt that is given in either. @param {string | Uint8Array} data */
export function formsOf(data) {
  const { receipt, type } = readStrictly(data);
  return { json: JSON.stringify(receipt), cbor: cbor(type.binary(receipt)) };
}

/** @param {string | Uint8Array} data */
function readStrictly(data) {
  const encoded = typeof data === "string" ? new TextEncoder().encode(data) : data;
  if (encoded.length > RECEIPT_BYTES_MAX) fail("receipt", `must have at most ${RECEIPT_BYTES_MAX} bytes`);
  const isCbor = encoded[0] !== 0x7b; // A brace.
  const written = isCbor ? "" : new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(encoded);
  const fields = isCbor ? readCbor(encoded) : JSON.parse(written);
  const type = fields !== null && Object.hasOwn(fields, "operation") ? operationReceipt : proofReceipt;
  const receipt = type.read(fields, isCbor, "receipt");
  const isOneForm = isCbor ? isSame(cbor(type.binary(receipt)), encoded) : JSON.stringify(receipt) === written;
  if (!isOneForm) fail("receipt", `must be in its one form, ${isCbor ? "deterministic CBOR" : "compact JSON, its fields in order"}`);
  return { receipt, type };
}

/** @type {(one: Uint8Array, other: Uint8Array) => boolean} */
function isSame(one, other) {
  return one.length === other.length && one.every((byte, index) => byte === other[index]);
}

/** @param {any} value */
function isTimestamp(value) {
  if (typeof value !== "string" || !/^\d{4}-/.test(value)) return false;
  const moment = new Date(value);
  return moment.getTime() >= 0 && moment.toISOString() === value;
}

/** @param {string} at @param {string} rule @returns {never} */
function fail(at, rule) {
  throw new Error(`${at}: ${rule}`);
}
