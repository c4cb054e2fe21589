// What a report is compared by, computed here: nothing that the node says of its report is believed for it.
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex, utf8ToBytes } from "@noble/hashes/utils.js";

/** The report comes in its canonical form (RFC 8785), in which `JSON.stringify` writes again what was read of it. */
export function reportHash(report: object): string {
  return `0x${bytesToHex(sha256(utf8ToBytes(JSON.stringify(report))))}`;
}
