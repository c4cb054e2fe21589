// A message that is worth nothing, to see that a key signs: no protocol has a line that begins so.
import type { Signer } from "step-client";
import { recoverAccount } from "step-client/proof.js";

export interface Tested {
  line: string;
  signature: string;
  /** Whose signature it is, computed here; null if nobody's. */
  signedBy: string | null;
}

export async function signTestMessage(signer: Signer, nowMs: number): Promise<Tested> {
  const line = `STEP wallet test message, worth nothing. Account ${signer.account}, ${new Date(nowMs).toISOString()}`;
  const signature = await signer.sign(line);
  return { line, signature, signedBy: recoverAccount(line, signature) };
}
