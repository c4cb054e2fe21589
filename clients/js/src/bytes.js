// Bytes: hex digits, and the two binary forms that receipts need. MessagePack is only written, in its shortest form;
// CBOR is read and written in the deterministic form of RFC 8949 section 4.2.1, as far as receipts use it.

const utf8 = new TextEncoder();
const CBOR_DEPTH_MAX = 8;

/** @param {Uint8Array} bytes */
export function hex(bytes) {
  return `0x${Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

/** Of hex digits that are known to be some. @param {string} text */
export function unhex(text) {
  return Uint8Array.from(text.replace(/^0x/, "").match(/../g) ?? [], (pair) => parseInt(pair, 16));
}

/** @param {(Uint8Array | number[])[]} parts */
export function concat(...parts) {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}

/** @type {(value: number | bigint, length: number) => number[]} */
function bigEndian(value, length) {
  return Array.from({ length }, (_, place) => Number((BigInt(value) >> BigInt(8 * (length - 1 - place))) & 255n));
}

/** How many bytes an integer takes in both forms: 1, 2, 4 or 8. @param {number | bigint} value */
function width(value) {
  return [1, 2, 4].find((length) => value < 2 ** (8 * length)) ?? 8;
}

/** Integers from 0 on, text, bytes, arrays and objects of these. @param {any} value @returns {Uint8Array} */
export function messagePack(value) {
  if (typeof value === "number" || typeof value === "bigint") {
    if (value < 128) return Uint8Array.of(Number(value));
    const length = width(value);
    return concat([0xcc + Math.log2(length)], bigEndian(value, length));
  }
  if (value instanceof Uint8Array) return concat([0xc4, value.length], value); // Receipts have no longer ones than 255.
  if (typeof value === "string") {
    const text = utf8.encode(value);
    return concat(text.length < 32 ? [0xa0 + text.length] : [0xd9, text.length], text);
  }
  if (Array.isArray(value)) return concat([0x90 + value.length], ...value.map(messagePack));
  const fields = Object.entries(value);
  return concat([0x80 + fields.length], ...fields.flatMap((field) => field.map(messagePack)));
}

/** @type {(major: number, value: number) => number[]} */
function cborHead(major, value) {
  if (value < 24) return [major * 32 + value];
  const length = width(value);
  return [major * 32 + 24 + Math.log2(length), ...bigEndian(value, length)];
}

/** Integers from 0 on, text, bytes, arrays and objects of these. @param {any} value @returns {Uint8Array} */
export function cbor(value) {
  if (typeof value === "number") return Uint8Array.from(cborHead(0, value));
  if (value instanceof Uint8Array) return concat(cborHead(2, value.length), value);
  if (typeof value === "string") {
    const text = utf8.encode(value);
    return concat(cborHead(3, text.length), text);
  }
  if (Array.isArray(value)) return concat(cborHead(4, value.length), ...value.map(cbor));
  // Keys are short text, whose encodings sort by their length first.
  const keys = Object.keys(value).sort((one, other) => one.length - other.length || (one < other ? -1 : 1));
  return concat(cborHead(5, keys.length), ...keys.flatMap((key) => [cbor(key), cbor(value[key])]));
}

/** What `cbor` has written, and what is close to it: who reads compares with what would be written again.
 * Throws an Error where it is anything else. @param {Uint8Array} data */
export function readCbor(data) {
  let offset = 0;
  /** @param {number} length */
  const take = (length) => {
    if (offset + length > data.length) throw new Error("ends too early");
    offset += length;
    return data.subarray(offset - length, offset);
  };
  /** @param {number} depth @returns {any} */
  const item = (depth) => {
    if (depth > CBOR_DEPTH_MAX) throw new Error("is nested too deeply");
    const [first] = take(1);
    const detail = first % 32;
    if (detail > 27) throw new Error("has a length that is not definite");
    const value = detail < 24 ? detail : [...take(2 ** (detail - 24))].reduce((sum, byte) => sum * 256 + byte, 0);
    const several = () => {
      const items = [];
      for (let count = value; count > 0; count -= 1) items.push(item(depth + 1));
      return items;
    };
    switch (first >> 5) {
      case 0:
        return value;
      case 2:
        return take(value);
      case 3:
        return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(take(value));
      case 4:
        return several();
      case 5: {
        const fields = [];
        for (let count = value; count > 0; count -= 1) fields.push([String(item(depth + 1)), item(depth + 1)]);
        return Object.fromEntries(fields);
      }
      default:
        throw new Error("has a value of a kind that receipts do not have");
    }
  };
  const value = item(1);
  if (offset !== data.length) throw new Error("has bytes after its end");
  return value;
}
