import assert from "node:assert/strict";
import { test } from "node:test";
import "./page.ts";
import { speak } from "../src/shell/texts.ts";
import { ago, dateAndTime, hourAndMinute, lasting, timeOfDay, timeOrDate } from "../src/shell/times.ts";

process.env.TZ = "Europe/Zurich";

const AT = "2026-01-31T12:03:10.123Z";

test("moments are local, by the clock of 24 hours, in the language of the texts", () => {
  speak("en");
  assert.equal(dateAndTime(AT), "31 Jan 2026, 13:03:10");
  assert.equal(timeOfDay(AT), "13:03:10");
  assert.equal(hourAndMinute(AT), "13:03");
  assert.equal(timeOfDay("2026-01-31T23:00:00Z"), "00:00:00");
  speak("de");
  assert.equal(dateAndTime(AT), "31. Jan. 2026, 13:03:10");
});

test("only what is not of today has a date", () => {
  speak("en");
  assert.equal(timeOrDate(AT, "2026-01-31T22:59:00Z"), "13:03:10");
  // Tomorrow, where the reader is.
  assert.equal(timeOrDate(AT, "2026-01-31T23:01:00Z"), "31 Jan 2026, 13:03:10");
});

test("how long ago is told in the largest unit that fits", () => {
  const now = Date.parse(AT);
  speak("en");
  assert.equal(ago(now - 1_000, now), "1 second ago");
  assert.equal(ago(now - 59_999, now), "59 seconds ago");
  assert.equal(ago(now - 3 * 60_000, now), "3 minutes ago");
  assert.equal(ago(now - 26 * 3_600_000, now), "1 day ago");
  assert.equal(ago(now + 90_000, now), "in 1 minute");
  speak("de");
  assert.equal(ago(now - 7_200_000, now), "vor 2 Stunden");
});

test("a length of time has two units at most", () => {
  speak("en");
  const lengths: [number, string][] = [
    [0, "0 ms"],
    [340, "340 ms"],
    [2_500, "2.5 s"],
    [60_000, "1 min"],
    [250_000, "4 min 10 s"],
    [4_800_000, "1 h 20 min"],
    [273_600_000, "3 d 4 h"],
  ];
  for (const [ms, text] of lengths) assert.equal(lasting(ms), text);
  speak("de");
  assert.equal(lasting(2_500), "2,5 s");
});

test("dates are written as Intl writes them", () => {
  for (const [language, locale] of [["en", "en-GB"], ["de", "de-DE"]] as const) {
    speak(language);
    const wanted = new Intl.DateTimeFormat(locale, { day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
    for (let month = 0; month < 12; month += 1) assert.equal(dateAndTime(new Date(2026, month, 3, 4, 5, 6)), wanted.format(new Date(2026, month, 3, 4, 5, 6)));
  }
});

test("what a node gives as a moment and is none fails no page", () => {
  speak("en");
  for (const moment of ["", "yesterday", "9".repeat(400), Number.NaN, 9e15, undefined, {}] as string[]) {
    for (const write of [dateAndTime, timeOfDay, hourAndMinute, timeOrDate, ago]) assert.equal(write(moment), "at an unknown time");
  }
});
