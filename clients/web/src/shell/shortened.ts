// Long ids for the eye: what they begin and end with.

/** Longer hexadecimal texts are shortened; an address has 42 characters, a hash 66. */
const HEX_WHOLE_MAX = 14;
const DIGITS_WHOLE_MAX = 8;

/**
 * `0x1234…abcd` of a hash or an address; of a triangle its face and level, the digits that say something, and its checksum:
 * `P10-012…301-ABC`; of a peer's id what it ends with. Anything else stays as it is.
 */
export function shortened(text: string): string {
  if (/^0x[0-9a-f]+$/i.test(text)) return text.length > HEX_WHOLE_MAX ? `${text.slice(0, 6)}…${text.slice(-4)}` : text;
  if (/^(16Uiu2|12D3Koo|Qm)[1-9A-HJ-NP-Za-km-z]{30,}$/.test(text)) return `${text.slice(0, 6)}…${text.slice(-6)}`;
  const triangle = /^STEP-TRI-v1:([A-T](\d{1,2}))-([0-3]{20})-([A-Z2-7]{3})$/.exec(text);
  if (!triangle) return text;
  const [, head, level, padded, checksum] = triangle as unknown as [string, string, string, string, string];
  const digits = padded.slice(0, Number(level) - 1);
  const some = digits.length > DIGITS_WHOLE_MAX ? `${digits.slice(0, 3)}…${digits.slice(-3)}` : digits;
  return [head, some, checksum].filter((part) => part !== "").join("-");
}
