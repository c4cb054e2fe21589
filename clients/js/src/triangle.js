// Names of triangles: the text form, the integer form, and the family (docs/protocol.md §1). A triangle is
// {face: 0..19, level: 1..21, digits}: the level - 1 child digits, the one nearest the face first.
import { sha256 } from "@noble/hashes/sha2.js";

export const LEVEL_MAX = 21;

const PREFIX = "STEP-TRI-v1:";
const FACE_LETTERS = "ABCDEFGHIJKLMNOPQRST";
const CHECKSUM_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const PATH_DIGITS = LEVEL_MAX - 1;
const FACE_UNIT = 35184372088832;
const LEVEL_UNITS = 32;

/** @type {typeof import("../step-client.js").parseTriangle} */
export function parseTriangle(text) {
  if (typeof text !== "string" || !text.startsWith(PREFIX)) refuse(`must be text that begins with ${PREFIX}`);
  const parts = text.slice(PREFIX.length).split("-");
  if (parts.length !== 3) refuse("must have face and level, digits, checksum, with two dashes between them");
  const [head, padded, checksum] = parts;
  const face = head ? FACE_LETTERS.indexOf(head[0]) : -1;
  if (face < 0) refuse("the face must be a letter A to T");
  const level = /^([1-9]|1\d|2[01])$/.test(head.slice(1)) ? Number(head.slice(1)) : refuse("the level must be 1 to 21");
  if (!/^[0-3]{20}$/.test(padded)) refuse("there must be 20 digits, each 0 to 3");
  const digits = padded.slice(0, level - 1);
  if (/[1-3]/.test(padded.slice(level - 1))) refuse(`the digits after the first ${level - 1} must be zero`);
  if (checksum !== checksumOf(`${head}-${padded}`)) refuse("the checksum does not match the face, level and digits");
  return { face, level, digits };
}

/** @type {typeof import("../step-client.js").triangleText} */
export function triangleText({ face, level, digits }) {
  const body = `${FACE_LETTERS[face]}${level}-${digits.padEnd(PATH_DIGITS, "0")}`;
  return `${PREFIX}${body}-${checksumOf(body)}`;
}

// The integer form has 50 bits: a Number holds it exactly.
/** @type {typeof import("../step-client.js").triangleInteger} */
export function triangleInteger(text) {
  const { face, level, digits } = parseTriangle(text);
  return triangleIntegerOf(FACE_LETTERS[face], digits.padEnd(PATH_DIGITS, "0"), level);
}

/** Of the parts of the text form. @type {(letter: string, padded: string, level: number | string) => number} */
export function triangleIntegerOf(letter, padded, level) {
  return FACE_LETTERS.indexOf(letter) * FACE_UNIT + parseInt(padded, 4) * LEVEL_UNITS + Number(level);
}

/** @type {typeof import("../step-client.js").triangleOfInteger} */
export function triangleOfInteger(integer) {
  const number = Number(integer);
  if (!Number.isSafeInteger(number) || number < 0) refuse("the integer form must be an integer of 50 bits");
  const face = Math.floor(number / FACE_UNIT);
  const level = number % LEVEL_UNITS;
  const padded = Math.floor((number % FACE_UNIT) / LEVEL_UNITS).toString(4).padStart(PATH_DIGITS, "0");
  if (face >= FACE_LETTERS.length) refuse("the face must be 0 to 19");
  if (level < 1 || level > LEVEL_MAX) refuse("the level must be 1 to 21");
  if (/[1-3]/.test(padded.slice(level - 1))) refuse(`the digits after the first ${level - 1} must be zero`);
  return triangleText({ face, level, digits: padded.slice(0, level - 1) });
}

/** @type {typeof import("../step-client.js").parent} */
export function parent(text) {
  const { face, level, digits } = parseTriangle(text);
  return level === 1 ? null : triangleText({ face, level: level - 1, digits: digits.slice(0, -1) });
}

/** @type {typeof import("../step-client.js").children} */
export function children(text) {
  const { face, level, digits } = parseTriangle(text);
  if (level === LEVEL_MAX) refuse(`one of level ${LEVEL_MAX} has no children`);
  return [0, 1, 2, 3].map((digit) => triangleText({ face, level: level + 1, digits: digits + digit }));
}

/** @param {string} body */
function checksumOf(body) {
  const [first, second] = sha256(new TextEncoder().encode(body));
  const value = (first << 7) | (second >> 1);
  return [10, 5, 0].map((shift) => CHECKSUM_LETTERS[(value >> shift) & 31]).join("");
}

/** @param {string} rule @returns {never} */
function refuse(rule) {
  throw new RangeError(`triangle: ${rule}`);
}
