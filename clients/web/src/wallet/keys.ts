// Private keys: what is one, and whose it is.
import { privateKeySigner } from "step-client/proof.js";
import { bytesOfHex } from "./bytes.ts";
import { WalletError } from "./faults.ts";
import type { Bytes } from "./sealing.ts";

/** The address of a key, in lower case. Throws WalletError (NO_KEY) for 32 bytes that are no key. */
export function addressOfKey(key: Bytes): string {
  try {
    return privateKeySigner(key).account;
  } catch (error) {
    // noble says by an error that a number is not between 1 and the order of the curve. It is not told on: it may quote it.
    if (error instanceof Error) throw new WalletError("NO_KEY");
    throw error;
  }
}

/** A key as 64 hex digits. Throws WalletError (NO_KEY). */
export function typedKey(text: string): Bytes {
  const key = bytesOfHex(text.trim());
  if (key?.length !== 32) throw new WalletError("NO_KEY");
  addressOfKey(key);
  return key;
}
