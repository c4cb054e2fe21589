// Amounts of STEP: decimal text with at most six places, as the node writes them. They are reckoned with as whole millionths
// (micro-STEP), so that nothing is ever rounded.

export const PLACES = 6;
const MICRO = 10n ** BigInt(PLACES);

/** The most that one transfer may carry (docs/protocol.md §4), and so the most that a form takes. */
export const AMOUNT_MICRO_MAX = 2n ** 53n - 1n;

const AMOUNT = /^(-?)(\d{1,30})(?:\.(\d{1,6}))?$/;

export function isAmount(amount: unknown): amount is string {
  return typeof amount === "string" && AMOUNT.test(amount);
}

/** Micro-STEP of the node's text. Throws RangeError for what is none: that is a fault of whoever wrote it. */
export function micro(amount: string): bigint {
  const match = AMOUNT.exec(amount);
  if (!match) throw new RangeError("amount: must be decimal text of STEP with at most six places");
  const [, sign, whole = "", places = ""] = match;
  const size = BigInt(whole) * MICRO + BigInt(places.padEnd(PLACES, "0"));
  return sign ? -size : size;
}

/** The node's text of micro-STEP, always with six places. */
export function decimal(amountMicro: bigint): string {
  const size = amountMicro < 0n ? -amountMicro : amountMicro;
  return `${amountMicro < 0n ? "-" : ""}${size / MICRO}.${String(size % MICRO).padStart(PLACES, "0")}`;
}

/** For people, exact: thousands apart, the language's decimal mark, zeros at the end left out but for two places. What is no
 * amount (a node may say anything) is "–". */
export function shown(amount: string, language: string): string {
  if (!isAmount(amount)) return "–";
  const [whole = "", places = ""] = decimal(micro(amount)).split(".");
  const [thousands, mark] = language === "de" ? [".", ","] : [",", "."];
  return `${grouped(whole, thousands)}${mark}${places.replace(/0{1,4}$/, "")}`;
}

/** The whole part of a number of any length, thousands apart. */
export function grouped(whole: string, thousands: string): string {
  return whole.replace(/\B(?=(\d{3})+$)/g, thousands);
}

/** What a person has typed, as micro-STEP; null if it is no amount. A comma is a decimal mark as a point is. `1,500` is
 *  refused: it is one and a half to some, and fifteen hundred to others. */
export function typed(text: string): bigint | null {
  const plain = text.trim();
  if (!/^(0|[1-9]\d{0,12})([.,]\d{1,6})?$/.test(plain) || /^[1-9]\d{0,2}[.,]\d{3}$/.test(plain)) return null;
  return micro(plain.replace(",", "."));
}
