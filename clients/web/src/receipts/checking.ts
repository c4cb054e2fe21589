// A receipt, judged on this device against the genesis that the app keeps.
import type { VerifiedReceipt } from "step-client";
import { StepError } from "step-client/errors.js";
import { verifyReceipt } from "step-client/receipts.js";

/** In this order; the first that fails is the verdict (docs/receipts.md). */
export const STEPS = ["form", "signature", "path", "chain", "links", "commit"] as const;
export type Step = (typeof STEPS)[number];

export type Verdict =
  | { isTrue: true; receipt: VerifiedReceipt; place: SignedPlace | null }
  | { isTrue: false; step: Step; expected: string; found: string };

/** Of a proof's line. */
export interface SignedPlace {
  triangleId: string;
  lat: string;
  lon: string;
  accuracyM: string;
  timestamp: string;
}

export function verdictOn(receipt: string | Uint8Array, genesis: string): Verdict {
  try {
    const verified = verifyReceipt(receipt, genesis);
    return { isTrue: true, receipt: verified, place: placeOf(verified) };
  } catch (error) {
    if (!(error instanceof StepError) || error.code !== "RECEIPT_REFUSED") throw error;
    const { step, expected, found } = error.details;
    return { isTrue: false, step: step as Step, expected: String(expected), found: String(found) };
  }
}

function placeOf({ kind, line }: VerifiedReceipt): SignedPlace | null {
  if (kind !== "proof") return null;
  const fields = new Map(line.split("|").map((field) => [field.slice(0, field.indexOf(":")), field.slice(field.indexOf(":") + 1)]));
  const of = (name: string) => fields.get(name) ?? "";
  return { triangleId: of("triangle"), lat: of("lat"), lon: of("lon"), accuracyM: of("acc"), timestamp: of("ts") };
}
