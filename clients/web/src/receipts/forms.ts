// A receipt as text, as a file, and as a QR code: read from each, and written as each.
import { receiptForms } from "step-client/receipts.js";
import { base45, bytesOfBase45 } from "./base45.ts";

/**
 * What a receipt's QR code holds: this, and the CBOR form in base 45. It is no link on purpose: whoever opened one would be
 * shown a green tick by a page that the forger has chosen (ADR 62).
 */
const CODE_BEGIN = "STEP-RECEIPT-V1:";

/** A QR code of version 40 with the lowest correction holds so many characters of the 45. */
const CODE_CHARACTERS_MAX = 4_296;

/** More is no receipt (docs/receipts.md). */
export const RECEIPT_BYTES_MAX = 1_000_000;

/** The text of a receipt's QR code; null if it would be too long for one. Throws StepError (RECEIPT_REFUSED). */
export function codeOf(receipt: string | Uint8Array): string | null {
  const text = CODE_BEGIN + base45(receiptForms(receipt).cbor);
  return text.length <= CODE_CHARACTERS_MAX ? text : null;
}

/** What was pasted or read from a QR code, as what a receipt is verified by. */
export function receiptOfText(text: string): string | Uint8Array {
  const plain = text.trim(); // A space is one of the 45, but never the last character.
  return (plain.startsWith(CODE_BEGIN) && bytesOfBase45(plain.slice(CODE_BEGIN.length))) || plain;
}

/** What a file holds, in either form, or as the text of a QR code. */
export function receiptOfFile(bytes: Uint8Array): string | Uint8Array {
  const isText = bytes[0] === 0x7b || bytes[0] === CODE_BEGIN.charCodeAt(0);
  return isText ? receiptOfText(new TextDecoder().decode(bytes)) : bytes;
}

/** The JSON form, which is what is kept. Throws StepError (RECEIPT_REFUSED). */
export function jsonOf(receipt: string | Uint8Array): string {
  return receiptForms(receipt).json;
}
