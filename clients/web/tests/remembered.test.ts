import assert from "node:assert/strict";
import { test } from "node:test";
import { remember, remembered } from "../src/shell/remembered.ts";

function browser(storage: () => unknown): void {
  Object.defineProperty(globalThis, "localStorage", { configurable: true, get: storage });
}

test("where a browser keeps nothing for pages, nothing fails", () => {
  browser(() => {
    throw new DOMException("The operation is insecure.", "SecurityError");
  });
  remember("language", "de");
  remember("language", null);
  assert.equal(remembered("language"), null);
});

test("where there is no room, what was kept before stays", () => {
  const setItem = () => {
    throw new DOMException("full", "QuotaExceededError");
  };
  browser(() => ({ setItem, getItem: () => "en" }));
  remember("language", "de");
  assert.equal(remembered("language"), "en");
});
