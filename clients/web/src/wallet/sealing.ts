// A secret at rest: AES-256-GCM by WebCrypto, under a key that is never stored. It comes of a passphrase by scrypt, or of
// what a passkey gives (the PRF extension of WebAuthn) by HKDF. The address is authenticated with it, so that no sealed key
// can be put in another's place.
import { scryptAsync } from "@noble/hashes/scrypt.js";
import { WalletError } from "./faults.ts";

export type Bytes = Uint8Array<ArrayBuffer>;

/** scrypt's cost: 128 MiB and, on a phone, some seconds for each guess. */
export const SCRYPT_N = 2 ** 17;
const SCRYPT_R = 8;
const SCRYPT_P = 1;
const SALT_BYTES = 32;
const IV_BYTES = 12;
export const PASSPHRASE_CHARACTERS_MIN = 10;
/** Longer than anybody types; what is longer is refused. */
export const PASSPHRASE_CHARACTERS_MAX = 1_024;

interface Sealed {
  salt: Bytes;
  iv: Bytes;
  ciphertext: Bytes;
}

export interface PassphraseSeal extends Sealed {
  by: "passphrase";
  n: number;
  r: number;
  p: number;
}

export interface PasskeySeal extends Sealed {
  by: "passkey";
  credentialId: Bytes;
  /** What the passkey was asked about: the same question has the same answer. */
  question: Bytes;
}

export type Seal = PassphraseSeal | PasskeySeal;

/** From 0 to 1, for a bar. */
export type Progress = (done: number) => void;

export async function sealByPassphrase(
  secret: Bytes,
  address: string,
  passphrase: string,
  progress?: Progress,
): Promise<PassphraseSeal> {
  if (!isStrongEnough(passphrase)) throw new WalletError("WEAK_PASSPHRASE");
  const cost = { n: SCRYPT_N, r: SCRYPT_R, p: SCRYPT_P };
  const salt = randomBytes(SALT_BYTES);
  const key = await aesKey(await stretched(passphrase, salt, cost, progress));
  return { by: "passphrase", ...cost, salt, ...(await encrypted(secret, key, address)) };
}

/** Throws WalletError (WRONG_PASSPHRASE). */
export async function openByPassphrase(
  seal: PassphraseSeal,
  address: string,
  passphrase: string,
  progress?: Progress,
): Promise<Bytes> {
  const key = await aesKey(await stretched(passphrase, seal.salt, seal, progress));
  return decrypted(seal, key, address, "WRONG_PASSPHRASE");
}

/** `answer`: what the passkey gave for `question`. */
export async function sealByPasskey(
  secret: Bytes,
  address: string,
  passkey: { credentialId: Bytes; question: Bytes; answer: Bytes },
): Promise<PasskeySeal> {
  const { credentialId, question, answer } = passkey;
  const salt = randomBytes(SALT_BYTES);
  const sealed = await encrypted(secret, await keyOfAnswer(answer, salt), address);
  return { by: "passkey", credentialId, question, salt, ...sealed };
}

/** Throws WalletError (PASSKEY_GONE) if the answer is another than the one that sealed. */
export async function openByPasskey(seal: PasskeySeal, address: string, answer: Bytes): Promise<Bytes> {
  return decrypted(seal, await keyOfAnswer(answer, seal.salt), address, "PASSKEY_GONE");
}

export function isStrongEnough(passphrase: string): boolean {
  const characters = [...passphrase];
  const { length } = characters;
  // Long and not of a few characters repeated: what a browser can judge without a list of passwords.
  return length >= PASSPHRASE_CHARACTERS_MIN && length <= PASSPHRASE_CHARACTERS_MAX && new Set(characters).size >= 5;
}

export function randomBytes(count: number): Bytes {
  return crypto.getRandomValues(new Uint8Array(count));
}

/** Browsers have `crypto.subtle` only where the page came over HTTPS or from the device itself. */
export function subtle(): SubtleCrypto {
  const there = (crypto as { subtle?: SubtleCrypto }).subtle;
  if (!there) throw new WalletError("INSECURE");
  return there;
}

/** scrypt in slices of some milliseconds, so that the page goes on answering. The passphrase in NFKC: keyboards compose
 *  letters differently. */
async function stretched(
  passphrase: string,
  salt: Bytes,
  cost: { n: number; r: number; p: number },
  progress?: Progress,
): Promise<Bytes> {
  subtle(); // Told before the wait, not after it.
  const bytes = new TextEncoder().encode(passphrase.normalize("NFKC"));
  const onProgress = progress ? { onProgress: progress } : {};
  return (await scryptAsync(bytes, salt, { N: cost.n, r: cost.r, p: cost.p, dkLen: 32, ...onProgress })) as Bytes;
}

async function keyOfAnswer(answer: Bytes, salt: Bytes): Promise<CryptoKey> {
  const material = await subtle().importKey("raw", answer, "HKDF", false, ["deriveKey"]);
  const info = new TextEncoder().encode("STEP wallet, key of a seal, version 1");
  const form = { name: "AES-GCM", length: 256 };
  return subtle().deriveKey({ name: "HKDF", hash: "SHA-256", salt, info }, material, form, false, ["encrypt", "decrypt"]);
}

async function aesKey(raw: Bytes): Promise<CryptoKey> {
  const key = await subtle().importKey("raw", raw, "AES-GCM", false, ["encrypt", "decrypt"]);
  raw.fill(0);
  return key;
}

async function encrypted(secret: Bytes, key: CryptoKey, address: string): Promise<{ iv: Bytes; ciphertext: Bytes }> {
  const iv = randomBytes(IV_BYTES);
  const ciphertext = await subtle().encrypt({ name: "AES-GCM", iv, additionalData: bound(address) }, key, secret);
  return { iv, ciphertext: new Uint8Array(ciphertext) };
}

async function decrypted(
  { iv, ciphertext }: Sealed,
  key: CryptoKey,
  address: string,
  otherwise: "WRONG_PASSPHRASE" | "PASSKEY_GONE",
): Promise<Bytes> {
  try {
    return new Uint8Array(await subtle().decrypt({ name: "AES-GCM", iv, additionalData: bound(address) }, key, ciphertext));
  } catch (error) {
    if (error instanceof DOMException) throw new WalletError(otherwise, error); // OperationError: the tag does not fit.
    throw error;
  }
}

function bound(address: string): Bytes {
  return new TextEncoder().encode(`STEP account ${address}`);
}
