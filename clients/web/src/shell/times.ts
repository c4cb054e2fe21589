// Moments and lengths of time as people read them, in the language of the texts and the zone of the device. `<When>`
// (when.tsx) shows a moment; what is exact stands in its `datetime`.
import { dateTimeFormat, numberFormat, relativeTimeFormat } from "./formats.ts";
import { language, type Language } from "./texts.ts";

/** A moment: as the node writes it (ISO 8601), milliseconds since the Unix epoch, or a Date. */
export type Moment = string | number | Date;

/** By these the parts of a date are ordered and written; both count hours from 0 to 24. */
const LOCALES: Readonly<Record<Language, string>> = { en: "en-GB", de: "de-DE" };

const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

/** The locale that numbers and times are written by now. */
export function locale(): string {
  return LOCALES[language()];
}

export function dateOf(moment: Moment): Date {
  return moment instanceof Date ? moment : new Date(moment);
}

/** "26 Nov 2026, 19:03:10" */
export function dateAndTime(moment: Moment): string {
  return written(moment, { day: "numeric", month: "short", year: "numeric", ...CLOCK });
}

/** "19:03:10" */
export function timeOfDay(moment: Moment): string {
  return written(moment, CLOCK);
}

/** "19:03" */
export function hourAndMinute(moment: Moment): string {
  return written(moment, { hour: "2-digit", minute: "2-digit" });
}

/** The clock for what is of today, the date as well for what is not. */
export function timeOrDate(moment: Moment, now: Moment = Date.now()): string {
  return dateOf(moment).toDateString() === dateOf(now).toDateString() ? timeOfDay(moment) : dateAndTime(moment);
}

/** How long ago, or how far ahead: "12 seconds ago", "in 3 minutes". */
export function ago(moment: Moment, now: Moment = Date.now()): string {
  const ms = dateOf(moment).getTime() - dateOf(now).getTime();
  const size = Math.abs(ms);
  const [unit, unitMs] = UNITS.find(([, each]) => size >= each) ?? UNITS.at(-1)!;
  return relativeTimeFormat(locale(), { numeric: "always" }).format(Math.trunc(ms / unitMs), unit);
}

/** A length of time, in two units at most: "340 ms", "2.5 s", "4 min 10 s", "1 h 20 min", "3 d 4 h". */
export function lasting(ms: number): string {
  if (ms < SECOND_MS) return `${Math.round(ms)} ms`;
  if (ms < MINUTE_MS) return `${rounded(ms / SECOND_MS)} s`;
  const [large, largeMs, small, smallMs] = LENGTHS.find(([, each]) => ms >= each)!;
  const wholes = Math.floor(ms / largeMs);
  const rest = Math.floor((ms % largeMs) / smallMs);
  return rest === 0 ? `${wholes} ${large}` : `${wholes} ${large} ${rest} ${small}`;
}

const CLOCK = { hour: "2-digit", minute: "2-digit", second: "2-digit" } as const;

const UNITS = [
  ["day", DAY_MS],
  ["hour", HOUR_MS],
  ["minute", MINUTE_MS],
  ["second", SECOND_MS],
] as const;

const LENGTHS = [
  ["d", DAY_MS, "h", HOUR_MS],
  ["h", HOUR_MS, "min", MINUTE_MS],
  ["min", MINUTE_MS, "s", SECOND_MS],
] as const;

function rounded(seconds: number): string {
  return numberFormat(locale(), { maximumFractionDigits: 1 }).format(seconds);
}

function written(moment: Moment, parts: Intl.DateTimeFormatOptions): string {
  return dateTimeFormat(locale(), { hourCycle: "h23", ...parts }).format(dateOf(moment));
}
