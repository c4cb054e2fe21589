// A key as words: BIP-39 (English), and the key at m/44'/60'/0'/0/0, which is where Ethereum's wallets have their first
// account, so that they find the same one. Loaded when somebody makes, shows or types words.
import { HDKey } from "@scure/bip32";
import { entropyToMnemonic, mnemonicToEntropy, mnemonicToSeedWebcrypto } from "@scure/bip39";
import { wordlist } from "@scure/bip39/wordlists/english.js";
import { WalletError } from "./faults.ts";
import { type Bytes, randomBytes, subtle } from "./sealing.ts";
import { entropyOf, secretOf } from "./secret.ts";

const PATH = "m/44'/60'/0'/0/0";
/** Twelve words. */
const ENTROPY_BYTES = 16;

/** A new key, of words that the browser's random numbers give. */
export function newSecret(): Promise<Bytes> {
  return secretOfEntropy(randomBytes(ENTROPY_BYTES));
}

/** The key of words that somebody has typed, however spaced and whatever their case. Throws WalletError (NO_WORDS). */
export async function secretOfWords(text: string): Promise<Bytes> {
  const words = text.normalize("NFKD").trim().toLowerCase().split(/\s+/);
  let entropy: Bytes;
  try {
    entropy = mnemonicToEntropy(words.join(" "), wordlist) as Bytes;
  } catch (error) {
    if (error instanceof Error) throw new WalletError("NO_WORDS"); // Without the error, which may quote a word.
    throw error;
  }
  return secretOfEntropy(entropy);
}

/** The words of a key that came of words; null for others. */
export function wordsOf(secret: Bytes): string[] | null {
  const entropy = entropyOf(secret);
  return entropy && entropyToMnemonic(entropy, wordlist).split(" ");
}

async function secretOfEntropy(entropy: Bytes): Promise<Bytes> {
  subtle(); // Told in our words, if it is not there.
  const seed = await mnemonicToSeedWebcrypto(entropyToMnemonic(entropy, wordlist));
  const root = HDKey.fromMasterSeed(seed);
  const child = root.derive(PATH);
  const secret = secretOf(child.privateKey as Bytes, entropy);
  root.wipePrivateData();
  child.wipePrivateData();
  seed.fill(0);
  return secret;
}
