// What is sealed of an account: its key of 32 bytes, and behind it what its words stand for (BIP-39's entropy), if it came
// of words. So nothing need be derived to sign, and the words can be shown again.
import type { Bytes } from "./sealing.ts";

const KEY_BYTES = 32;

export function secretOf(key: Bytes, entropy?: Bytes): Bytes {
  const secret = new Uint8Array(KEY_BYTES + (entropy?.length ?? 0));
  secret.set(key);
  if (entropy) secret.set(entropy, KEY_BYTES);
  return secret;
}

export function keyOf(secret: Bytes): Bytes {
  return secret.slice(0, KEY_BYTES);
}

/** Null for a key that came of no words. */
export function entropyOf(secret: Bytes): Bytes | null {
  return secret.length > KEY_BYTES ? secret.slice(KEY_BYTES) : null;
}
