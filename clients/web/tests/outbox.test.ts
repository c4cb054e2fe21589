import { faults, store } from "./device.ts";
import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { put, start } from "../src/proving/outbox.ts";
import type { Entry } from "../src/proving/queue.ts";

const KEPT_AS = "proving.outbox/0x01";
const old = { id: "0x01", signed: { payload: { timestamp: "2026-01-01T00:00:00.000Z" } }, chainId: "ours", wasSent: false, isSimulated: false, state: "waiting" };

test("a store that fails once stops the outbox once, and what cannot be kept is told of", { timeout: 20_000 }, async () => {
  const later = setTimeout;
  // The outbox never ends: its timers are to keep no test waiting.
  globalThis.setTimeout = ((work: () => void, ms?: number) => (ms ? later(work, 5).unref() : later(work))) as typeof setTimeout;
  const said = mock.method(console, "error", () => undefined);
  store.set("proving.rules", { PROOF_MAX_AGE_MS: 1, CHAIN_ID: "ours" });
  store.set(KEPT_AS, old);
  faults.next = 1;
  start();
  while ((store.get(KEPT_AS) as Entry).state !== "expired") await new Promise((resolve) => later(resolve, 10));
  assert.equal(said.mock.callCount(), 1);
  said.mock.restore();
});

test("a proof that cannot be kept is told of", async () => {
  faults.next = 50;
  await assert.rejects(put({ ...old, id: "0x02" } as unknown as Entry), { code: "NOT_KEPT" });
  faults.next = 0;
});
