import assert from "node:assert/strict";
import { test } from "node:test";
import "./page.ts";
import { shown } from "../src/shell/amounts.ts";
import { written } from "../src/shell/numbers.ts";
import { speak } from "../src/shell/texts.ts";

test("numbers are written as Intl writes them, in both languages", () => {
  for (const [language, locale] of [["en", "en-GB"], ["de", "de-DE"]] as const) {
    speak(language);
    for (const value of [0, -0, 7, 999, 1_000, 1_234_567, 0.04, 0.06, 1.5, 12.25, -3, -0.01, -1_234.5, 2 ** 53]) {
      for (const places of [0, 1, 2]) {
        const wanted = new Intl.NumberFormat(locale, { maximumFractionDigits: places }).format(value);
        // Halves that a binary number is just short of are the one difference; and nothing is written -0.
        if (!/\.\d*5$/.test(String(value))) assert.equal(written(value, places), wanted.replace(/^-0$/, "0"), `${value} ${places}`);
      }
    }
  }
});

test("what a node gives as a number or an amount and is none fails no page", () => {
  for (const value of [undefined, null, "12", Number.NaN, Infinity, {}]) assert.equal(written(value, 1), "–");
  for (const amount of [undefined, null, 5, "", "1e9", "<b>", "1.0000001", "9".repeat(10_000)]) {
    assert.equal(shown(amount as string, "en"), "–");
  }
});
