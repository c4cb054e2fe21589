// From a place to a signed proof that is kept: nothing is sent that is not on this device first.
import type { ProofConfig, SignedProof, Signer } from "step-client";
import { locate } from "step-client/mesh.js";
import { checkedPosition } from "step-client/position.js";
import { proofId, signProof } from "step-client/proof.js";
import { networkNow } from "./rules.ts";
import type { Entry } from "./queue.ts";

/** A place, and when the device was there, by its own clock. */
export interface Visit {
  lat: number;
  lon: number;
  accuracy: number;
  measuredAtMs: number;
  isSimulated: boolean;
}

/** Signs a visit in the triangle of a level that holds it. */
export async function signVisit(signer: Signer, visit: Visit, level: number, rules: ProofConfig): Promise<Entry> {
  const nowMs = Date.now();
  const at = checkedPosition({ ...visit, timestamp: visit.measuredAtMs }, { now: nowMs, accuracyMax: rules.GPS_MAX_ACCURACY_M });
  const offsetMs = (await networkNow()) - nowMs;
  const signed = await signProof(signer, { ...at, timestamp: at.timestamp + offsetMs, triangleId: locate(at.lat, at.lon, level) });
  return entryOf(signed, rules, visit.isSimulated);
}

/** The same visit once more, in the triangle of another level: at the same moment, so that never both can be paid. */
export async function signInstead(signer: Signer, { signed, isSimulated }: Entry, level: number, rules: ProofConfig): Promise<Entry> {
  const { lat, lon, accuracy, timestamp } = signed.payload;
  const place = { lat, lon, accuracy, timestamp: Date.parse(timestamp), triangleId: locate(lat, lon, level) };
  return entryOf(await signProof(signer, place), rules, isSimulated);
}

function entryOf(signed: SignedProof, { CHAIN_ID }: ProofConfig, isSimulated: boolean): Entry {
  return { id: proofId(signed.payload), signed, chainId: CHAIN_ID, wasSent: false, isSimulated, state: "waiting" };
}
