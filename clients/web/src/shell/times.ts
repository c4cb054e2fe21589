// Moments and lengths of time as people read them, in the language of the texts and the zone of the device, by hand as
// numbers.ts. `<When>` (when.tsx) shows a moment; what is exact stands in its `datetime`. What is no moment (a node may say
// anything) is an unknown one, and fails no page.
import { times } from "../texts/times.ts";
import { written } from "./numbers.ts";
import { say } from "./texts.ts";

/** A moment: as the node writes it (ISO 8601), milliseconds since the Unix epoch, or a Date. */
export type Moment = string | number | Date;

const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

export function dateOf(moment: Moment): Date {
  return moment instanceof Date ? moment : new Date(moment);
}

/** Whether it is a moment at all. */
export function isMoment(moment: Moment): boolean {
  return !Number.isNaN(dateOf(moment).getTime());
}

/** "26 Nov 2026, 19:03:10" */
export function dateAndTime(moment: Moment): string {
  if (!isMoment(moment)) return say(times.unknown);
  const date = dateOf(moment);
  const month = say(times.months).split(" ")[date.getMonth()]!;
  return `${say(times.date, { day: date.getDate(), month, year: date.getFullYear() })}, ${timeOfDay(date)}`;
}

/** "19:03:10" */
export function timeOfDay(moment: Moment): string {
  return isMoment(moment) ? `${hourAndMinute(moment)}:${two(dateOf(moment).getSeconds())}` : say(times.unknown);
}

/** "19:03" */
export function hourAndMinute(moment: Moment): string {
  return isMoment(moment) ? `${two(dateOf(moment).getHours())}:${two(dateOf(moment).getMinutes())}` : say(times.unknown);
}

/** The clock for what is of today, the date as well for what is not. */
export function timeOrDate(moment: Moment, now: Moment = Date.now()): string {
  return dateOf(moment).toDateString() === dateOf(now).toDateString() ? timeOfDay(moment) : dateAndTime(moment);
}

/** How long ago, or how far ahead: "12 seconds ago", "in 3 minutes". */
export function ago(moment: Moment, now: Moment = Date.now()): string {
  if (!isMoment(moment)) return say(times.unknown);
  const ms = dateOf(moment).getTime() - dateOf(now).getTime();
  const size = Math.abs(ms);
  const [one, more, unitMs] = UNITS.find(([, , each]) => size >= each) ?? UNITS.at(-1)!;
  const count = Math.trunc(size / unitMs);
  return say(ms < 0 || count === 0 ? times.past : times.future, { length: say(times[count === 1 ? one : more], { count: written(count) }) });
}

/** A length of time, in two units at most: "340 ms", "2.5 s", "4 min 10 s", "1 h 20 min", "3 d 4 h". */
export function lasting(ms: number): string {
  if (ms < SECOND_MS) return `${Math.round(ms)} ms`;
  if (ms < MINUTE_MS) return `${written(ms / SECOND_MS, 1)} s`;
  const [large, largeMs, small, smallMs] = LENGTHS.find(([, each]) => ms >= each)!;
  const wholes = Math.floor(ms / largeMs);
  const rest = Math.floor((ms % largeMs) / smallMs);
  return rest === 0 ? `${wholes} ${large}` : `${wholes} ${large} ${rest} ${small}`;
}

const UNITS = [
  ["day", "days", DAY_MS],
  ["hour", "hours", HOUR_MS],
  ["minute", "minutes", MINUTE_MS],
  ["second", "seconds", SECOND_MS],
] as const;

const LENGTHS = [
  ["d", DAY_MS, "h", HOUR_MS],
  ["h", HOUR_MS, "min", MINUTE_MS],
  ["min", MINUTE_MS, "s", SECOND_MS],
] as const;

function two(number: number): string {
  return String(number).padStart(2, "0");
}
