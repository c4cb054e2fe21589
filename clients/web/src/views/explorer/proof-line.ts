// What a proof's signed line says (docs/protocol.md §2): the receipt has it, and with it who was where.

export interface SaidInProof {
  account: string;
  triangle: string;
  lat: number;
  lon: number;
  accuracyM: number;
  timestamp: string;
  nonce: string;
}

const LINE = /^STEP-PROOF-v1\|account:(0x[0-9a-f]{40})\|triangle:([^|]+)\|lat:([^|]+)\|lon:([^|]+)\|acc:([^|]+)\|ts:([^|]+)\|nonce:(.+)$/;

/** Null where the line is of another form. */
export function saidInProof(line: string): SaidInProof | null {
  const match = LINE.exec(line);
  if (!match) return null;
  const [, account = "", triangle = "", lat, lon, accuracy, timestamp = "", nonce = ""] = match;
  return { account, triangle, lat: Number(lat), lon: Number(lon), accuracyM: Number(accuracy), timestamp, nonce };
}
