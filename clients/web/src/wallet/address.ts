// Addresses as people write them: EIP-55 hides a checksum in the case of the letters.
import { keccak_256 } from "@noble/hashes/sha3.js";

export type AddressFault = "form" | "checksum" | "zero";

/** An address in lower case as EIP-55 writes it. */
export function checksummed(address: string): string {
  const digits = address.slice(2).toLowerCase();
  const hash = keccak_256(new TextEncoder().encode(digits));
  const raised = [...digits].map((digit, index) => {
    const nibble = (hash[index >> 1]! >> (index % 2 ? 0 : 4)) & 15;
    return nibble > 7 ? digit.toUpperCase() : digit;
  });
  return `0x${raised.join("")}`;
}

/** The address, in lower case, that a person has typed or pasted, or what is wrong with it. All letters of one case have no
 *  checksum, and are taken as they are. */
export function typedAddress(text: string): { address: string } | { fault: AddressFault } {
  const plain = text.trim();
  if (!/^0[xX][0-9a-fA-F]{40}$/.test(plain)) return { fault: "form" };
  const digits = plain.slice(2);
  const address = `0x${digits.toLowerCase()}`;
  if (/^0+$/.test(digits)) return { fault: "zero" };
  const hasOneCase = digits === digits.toLowerCase() || digits === digits.toUpperCase();
  if (!hasOneCase && checksummed(address).slice(2) !== digits) return { fault: "checksum" };
  return { address };
}
