// A passkey as what a key is sealed by: the PRF extension of WebAuthn (Level 3, 10.1.4) gives 32 secret bytes for a question,
// the same each time, and only once the person has shown a finger, a face or a PIN. Nothing of it is sent to a node: the
// answer is used here, and no signature of the passkey is asked for.
import { WalletError } from "./faults.ts";
import { type Bytes, randomBytes } from "./sealing.ts";

const QUESTION_BYTES = 32;
const USER_ID_BYTES = 16;
const TIMEOUT_MS = 120_000;
const ES256 = -7;
const RS256 = -257;

export interface Answered {
  credentialId: Bytes;
  question: Bytes;
  answer: Bytes;
}

/** Why no passkey can be had here, or null if one can: "address" means that the page's host is an IP address, which no
 *  passkey can belong to. */
export function passkeyHindrance(): "insecure" | "address" | "browser" | null {
  if (!isSecureContext) return "insecure";
  if (!("PublicKeyCredential" in globalThis) || !navigator.credentials) return "browser";
  return isIpAddress(location.hostname) ? "address" : null;
}

/** Hosts that are written as numbers. */
export function isIpAddress(host: string): boolean {
  return host.startsWith("[") || /^\d+(\.\d+){3}$/.test(host);
}

/** Whether a host that is an address is the machine itself, which has a name as well: `localhost`. */
export function isThisMachine(host: string): boolean {
  return host === "[::1]" || host.startsWith("127.");
}

/** Makes a passkey, and asks it its question. Throws WalletError. */
export async function makePasskey(name: string): Promise<Answered> {
  possible();
  const question = randomBytes(QUESTION_BYTES);
  const credential = await asked("CANCELLED", () =>
    navigator.credentials.create({
      publicKey: {
        rp: { name: "STEP" },
        user: { id: randomBytes(USER_ID_BYTES), name, displayName: name },
        challenge: randomBytes(32),
        pubKeyCredParams: [ES256, RS256].map((alg) => ({ type: "public-key", alg })),
        authenticatorSelection: { residentKey: "preferred", userVerification: "required" },
        timeout: TIMEOUT_MS,
        extensions: { prf: { eval: { first: question } } },
      },
    }),
  );
  const { prf } = credential.getClientExtensionResults();
  const credentialId = new Uint8Array(credential.rawId);
  if (prf?.results?.first) return { credentialId, question, answer: bytesOf(prf.results.first) };
  // Most authenticators answer only when they are asked for a signature; those without the extension never do.
  if (!prf?.enabled) throw new WalletError("PASSKEY_WITHOUT_PRF");
  return { credentialId, question, answer: await askPasskey(credentialId, question) };
}

/** What the passkey answers. Throws WalletError. */
export async function askPasskey(credentialId: Bytes, question: Bytes): Promise<Bytes> {
  possible();
  const credential = await asked("PASSKEY_SILENT", () =>
    navigator.credentials.get({
      publicKey: {
        challenge: randomBytes(32),
        allowCredentials: [{ type: "public-key", id: credentialId }],
        userVerification: "required",
        timeout: TIMEOUT_MS,
        extensions: { prf: { eval: { first: question } } },
      },
    }),
  );
  const first = credential.getClientExtensionResults().prf?.results?.first;
  if (!first) throw new WalletError("PASSKEY_WITHOUT_PRF");
  return bytesOf(first);
}

function possible(): void {
  const hindrance = passkeyHindrance();
  if (hindrance) throw new WalletError(hindrance === "insecure" ? "INSECURE" : "NO_PASSKEY_HERE");
}

async function asked(
  otherwise: "CANCELLED" | "PASSKEY_SILENT",
  ask: () => Promise<Credential | null>,
): Promise<PublicKeyCredential> {
  try {
    const credential = await ask();
    if (credential instanceof PublicKeyCredential) return credential;
    throw new WalletError(otherwise);
  } catch (error) {
    if (!(error instanceof DOMException)) throw error;
    // NotAllowedError is all of: no, too late, and no such passkey. Browsers do not say which, so that sites learn nothing.
    const isNo = error.name === "NotAllowedError" || error.name === "AbortError";
    throw new WalletError(isNo ? otherwise : "NO_PASSKEY_HERE", error);
  }
}

function bytesOf(source: BufferSource): Bytes {
  return ArrayBuffer.isView(source)
    ? new Uint8Array(source.buffer.slice(source.byteOffset, source.byteOffset + source.byteLength) as ArrayBuffer)
    : new Uint8Array(source);
}
