import "./device.ts";
import assert from "node:assert/strict";
import { test } from "node:test";
import { nodes } from "../src/shell/nodes.ts";

test("a home node that says nothing does not keep the app from the others", { timeout: 5_000 }, async () => {
  localStorage.setItem("step.nodes http://home.test", '["http://other.test"]');
  // Silent for as long as anybody waits; who waits with a limit is told that it is over.
  globalThis.fetch = (_, init) => new Promise((_, reject) => init?.signal && reject(new DOMException("", "TimeoutError")));
  assert.deepEqual(await nodes(), ["http://home.test", "http://other.test"]);
});
