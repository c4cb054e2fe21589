// A key as a file that other wallets read, and theirs: version 3 of the Web3 Secret Storage Definition, as geth, ethers,
// eth-account and `step-node keys` write it. Written is scrypt with aes-128-ctr; pbkdf2 is read as well.
import { scryptAsync } from "@noble/hashes/scrypt.js";
import { keccak_256 } from "@noble/hashes/sha3.js";
import { bytesOfHex, hexOf } from "./bytes.ts";
import { WalletError } from "./faults.ts";
import { addressOfKey } from "./keys.ts";
import { type Bytes, type Progress, randomBytes, SCRYPT_N, subtle } from "./sealing.ts";

/** A keystore has some 500 bytes; what is larger than this is none. */
export const KEYSTORE_BYTES_MAX = 16_384;
/** scrypt takes 128·n·r bytes: twice what geth asks for by default, and no more than a phone may have. */
const MEMORY_BYTES_MAX = 512 * 1024 * 1024;
const SCRYPT_P_MAX = 16;
const PBKDF2_ROUNDS_MAX = 10_000_000;

interface Parsed {
  ciphertext: Bytes;
  iv: Bytes;
  mac: Bytes;
  salt: Bytes;
  kdf: { n: number; r: number; p: number } | { rounds: number };
  /** In lower case; null if the file does not say. */
  address: string | null;
}

/** The file, as JSON text. */
export async function writeKeystore(key: Bytes, password: string, progress?: Progress): Promise<string> {
  const [salt, iv] = [randomBytes(32), randomBytes(16)];
  const kdf = { n: SCRYPT_N, r: 8, p: 1 };
  const derived = await derivedKey(password, { salt, kdf }, progress);
  const ciphertext = await counted(key, derived, iv);
  const crypto_ = {
    cipher: "aes-128-ctr",
    cipherparams: { iv: hexOf(iv) },
    ciphertext: hexOf(ciphertext),
    kdf: "scrypt",
    kdfparams: { dklen: 32, ...kdf, salt: hexOf(salt) },
    mac: hexOf(macOf(derived, ciphertext)),
  };
  const file = { version: 3, id: crypto.randomUUID(), address: addressOfKey(key).slice(2), crypto: crypto_ };
  return `${JSON.stringify(file, null, 2)}\n`;
}

/** The key in a file. Throws WalletError: NO_KEYSTORE, KEYSTORE_TOO_COSTLY, WRONG_PASSPHRASE, KEYSTORE_ADDRESS, NO_KEY. */
export async function readKeystore(text: string, password: string, progress?: Progress): Promise<Bytes> {
  const keystore = parsedKeystore(text);
  const derived = await derivedKey(password, keystore, progress);
  if (hexOf(macOf(derived, keystore.ciphertext)) !== hexOf(keystore.mac)) throw new WalletError("WRONG_PASSPHRASE");
  const decrypted = await counted(keystore.ciphertext, derived, keystore.iv);
  // Early geth left the zeros out that a key begins with.
  const key = new Uint8Array(32);
  key.set(decrypted, 32 - decrypted.length);
  const address = addressOfKey(key);
  if (keystore.address !== null && keystore.address !== address) throw new WalletError("KEYSTORE_ADDRESS");
  return key;
}

function parsedKeystore(text: string): Parsed {
  if (text.length > KEYSTORE_BYTES_MAX) throw new WalletError("NO_KEYSTORE");
  const file = record(json(text));
  // ethers writes `Crypto`.
  const part = record(file["crypto"] ?? file["Crypto"]);
  const parameters = record(part["kdfparams"]);
  const ciphertext = bytes(part["ciphertext"], 1, 32);
  if (file["version"] !== 3 || part["cipher"] !== "aes-128-ctr" || parameters["dklen"] !== 32) {
    throw new WalletError("NO_KEYSTORE");
  }
  const address = file["address"] === undefined || file["address"] === null ? null : `0x${hexOf(bytes(file["address"], 20, 20))}`;
  return {
    ciphertext,
    iv: bytes(record(part["cipherparams"])["iv"], 16, 16),
    mac: bytes(part["mac"], 32, 32),
    salt: bytes(parameters["salt"], 1, 64),
    kdf: kdfOf(part["kdf"], parameters),
    address,
  };
}

function kdfOf(name: unknown, parameters: Record<string, unknown>): Parsed["kdf"] {
  if (name === "scrypt") {
    const [n, r, p] = [whole(parameters["n"]), whole(parameters["r"]), whole(parameters["p"])];
    if (n < 2 || !Number.isInteger(Math.log2(n))) throw new WalletError("NO_KEYSTORE");
    if (128 * n * r > MEMORY_BYTES_MAX || p > SCRYPT_P_MAX) throw new WalletError("KEYSTORE_TOO_COSTLY");
    return { n, r, p };
  }
  if (name !== "pbkdf2" || parameters["prf"] !== "hmac-sha256") throw new WalletError("NO_KEYSTORE");
  const rounds = whole(parameters["c"]);
  if (rounds > PBKDF2_ROUNDS_MAX) throw new WalletError("KEYSTORE_TOO_COSTLY");
  return { rounds };
}

async function derivedKey(password: string, { salt, kdf }: Pick<Parsed, "salt" | "kdf">, progress?: Progress): Promise<Bytes> {
  // As it was typed: other wallets do not normalise.
  const typed = new TextEncoder().encode(password);
  if ("rounds" in kdf) {
    const material = await subtle().importKey("raw", typed, "PBKDF2", false, ["deriveBits"]);
    return new Uint8Array(
      await subtle().deriveBits({ name: "PBKDF2", hash: "SHA-256", salt, iterations: kdf.rounds }, material, 256),
    );
  }
  const onProgress = progress ? { onProgress: progress } : {};
  return (await scryptAsync(typed, salt, { N: kdf.n, r: kdf.r, p: kdf.p, dkLen: 32, ...onProgress })) as Bytes;
}

/** AES-128 in counter mode, which is its own inverse. The counter is all 16 bytes. */
async function counted(bytes: Bytes, derived: Bytes, iv: Bytes): Promise<Bytes> {
  const key = await subtle().importKey("raw", derived.slice(0, 16), "AES-CTR", false, ["encrypt"]);
  return new Uint8Array(await subtle().encrypt({ name: "AES-CTR", counter: iv, length: 128 }, key, bytes));
}

function macOf(derived: Bytes, ciphertext: Bytes): Bytes {
  return keccak_256(new Uint8Array([...derived.slice(16, 32), ...ciphertext])) as Bytes;
}

function json(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) throw new WalletError("NO_KEYSTORE"); // Without the error, which quotes the file.
    throw error;
  }
}

function record(value: unknown): Record<string, unknown> {
  if (typeof value !== "object" || value === null) throw new WalletError("NO_KEYSTORE");
  return value as Record<string, unknown>;
}

function whole(value: unknown): number {
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 1) throw new WalletError("NO_KEYSTORE");
  return value;
}

function bytes(value: unknown, countMin: number, countMax: number): Bytes {
  const found = typeof value === "string" ? bytesOfHex(value) : null;
  if (!found || found.length < countMin || found.length > countMax) throw new WalletError("NO_KEYSTORE");
  return found;
}
