// The line that is signed, its digest, and who signs it (docs/protocol.md §2).
import { hmac } from "@noble/hashes/hmac.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { keccak_256 } from "@noble/hashes/sha3.js";
import { getPublicKey, hashes, Point, recoverPublicKey, sign } from "@noble/secp256k1";
import { concat, hex, unhex } from "./bytes.js";
import { StepError } from "./errors.js";

/** @typedef {import("../step-client.js").Signer} Signer */

// Half the order of the curve: an s above it is refused, as by every node (EIP-2).
const S_MAX = "7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0";

export const PROOF_VERSION = "STEP-PROOF-v1";

// noble leaves it to its user which hashes sign; nonces are those of RFC 6979.
hashes.sha256 = sha256;
hashes.hmacSha256 = (key, message) => hmac(sha256, key, message);

const utf8 = new TextEncoder();

// A template writes a number as Number::toString does, which is what the protocol asks for.
/** @type {typeof import("../step-client.js").proofLine} */
export function proofLine({ account, triangleId, lat, lon, accuracy, timestamp, nonce }) {
  return (
    `${PROOF_VERSION}|account:${account.toLowerCase()}|triangle:${triangleId}|lat:${lat}|lon:${lon}` +
    `|acc:${accuracy}|ts:${timestamp}|nonce:${nonce}`
  );
}

/** @type {typeof import("../step-client.js").proofId} */
export function proofId(payload) {
  return hex(digestOf(proofLine(payload)));
}

/** EIP-191: what personal_sign signs of a line. @param {string} line */
export function digestOf(line) {
  const text = utf8.encode(line);
  const prefix = utf8.encode(`\x19Ethereum Signed Message:\n${text.length}`);
  return keccak_256(concat(prefix, text));
}

/** @type {typeof import("../step-client.js").privateKeySigner} */
export function privateKeySigner(privateKey) {
  const key = typeof privateKey === "string" ? keyBytes(privateKey) : privateKey;
  const account = addressOf(getPublicKey(key, false));
  return {
    account,
    async sign(line) {
      const [recovery, ...rs] = sign(digestOf(line), key, { prehash: false, format: "recovered" });
      return hex(new Uint8Array([...rs, 27 + recovery]));
    },
  };
}

/** @type {typeof import("../step-client.js").providerSigner} */
export async function providerSigner(provider, account) {
  const [first] = account ? [account] : await provider.request({ method: "eth_requestAccounts" });
  if (!first) throw new StepError("NO_ACCOUNT", "account: the wallet gave none");
  return {
    account: first.toLowerCase(),
    sign: (line) => provider.request({ method: "personal_sign", params: [hex(utf8.encode(line)), first] }),
  };
}

/** @type {typeof import("../step-client.js").signProof} */
export async function signProof(signer, place) {
  const payload = {
    version: PROOF_VERSION,
    account: signer.account.toLowerCase(),
    triangleId: place.triangleId,
    lat: place.lat + 0,
    lon: place.lon + 0,
    accuracy: place.accuracy,
    timestamp: new Date(place.timestamp ?? Date.now()).toISOString(),
    nonce: place.nonce ?? (await randomNonce()),
  };
  return { payload, signature: await signLine(signer, proofLine(payload)) };
}

/** The signature of a line, if it is by whom it should be. @type {(signer: Signer, line: string) => Promise<string>} */
export async function signLine(signer, line) {
  const signature = await signer.sign(line);
  const account = signer.account.toLowerCase();
  const recovered = recoverAccount(line, signature);
  if (recovered !== account) {
    // A contract wallet, or a wallet whose user chose another account meanwhile.
    throw new StepError("BAD_SIGNATURE", `signature: by ${recovered}, not by the account ${account}`, {
      details: { gate: "signature", field: "signature", line, digest: hex(digestOf(line)), recovered },
    });
  }
  return signature;
}

/** @type {typeof import("../step-client.js").recoverAccount} */
export function recoverAccount(line, signature) {
  return recoverFrom(digestOf(line), signature);
}

/** Who signed a digest, in lower case; null if nobody can have. @type {(digest: Uint8Array, signature: string) => string | null} */
export function recoverFrom(digest, signature) {
  if (!/^0x[0-9a-fA-F]{130}$/.test(signature) || signature.slice(66, 130).toLowerCase() > S_MAX) return null;
  const bytes = unhex(signature);
  const recovery = bytes[64] >= 27 ? bytes[64] - 27 : bytes[64];
  if (recovery > 1) return null;
  try {
    const recovered = new Uint8Array([recovery, ...bytes.subarray(0, 64)]);
    return addressOf(recoverPublicKey(recovered, digest, { prehash: false, isCompressed: false }));
  } catch {
    return null; // noble says by an error that r and s are those of no key.
  }
}

/** The address of a public key, compressed or not. @param {Uint8Array} publicKey */
export function addressOf(publicKey) {
  return hex(keccak_256(Point.fromBytes(publicKey).toBytes(false).subarray(1)).subarray(12));
}

/** @param {string} key */
function keyBytes(key) {
  if (!/^(0x)?[0-9a-fA-F]{64}$/.test(key)) throw new StepError("INVALID_PAYLOAD", "private key: must be 64 hex digits");
  return unhex(key);
}

async function randomNonce() {
  // Node 18 has it in a module only; named so that no bundler for browsers looks for it.
  const source = globalThis.crypto ?? (await import(["node", "crypto"].join(":"))).webcrypto;
  return hex(source.getRandomValues(new Uint8Array(16))).slice(2);
}
