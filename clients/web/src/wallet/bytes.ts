// Bytes and their hexadecimal digits.
import type { Bytes } from "./sealing.ts";

export function hexOf(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** With or without 0x; null if it is not whole bytes. */
export function bytesOfHex(text: string): Bytes | null {
  const digits = text.replace(/^0x/i, "");
  if (digits.length % 2 !== 0 || !/^[0-9a-fA-F]*$/.test(digits)) return null;
  return Uint8Array.from({ length: digits.length / 2 }, (_, index) => Number.parseInt(digits.slice(2 * index, 2 * index + 2), 16));
}
