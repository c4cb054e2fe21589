// Bytes as text of the 45 characters that QR codes store most densely (RFC 9285): two bytes in three characters.

const CHARACTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:";

export function base45(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length; at += 2) {
    const isPair = at + 1 < bytes.length;
    let value = isPair ? bytes[at]! * 256 + bytes[at + 1]! : bytes[at]!;
    for (let places = isPair ? 3 : 2; places > 0; places -= 1) {
      text += CHARACTERS[value % 45];
      value = Math.floor(value / 45);
    }
  }
  return text;
}

/** Null for what is no such text. */
export function bytesOfBase45(text: string): Uint8Array<ArrayBuffer> | null {
  if (text.length % 3 === 1) return null;
  const bytes: number[] = [];
  for (let at = 0; at < text.length; at += 3) {
    const digits = [...text.slice(at, at + 3)].map((character) => CHARACTERS.indexOf(character));
    if (digits.includes(-1)) return null;
    const value = digits.reduceRight((sum, digit) => sum * 45 + digit, 0);
    const length = digits.length - 1;
    if (value >= 256 ** length) return null;
    if (length === 2) bytes.push(value >> 8);
    bytes.push(value & 255);
  }
  return Uint8Array.from(bytes);
}
