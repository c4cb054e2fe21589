import assert from "node:assert/strict";
import { test } from "node:test";
import {
  DECIDED_MAX, inOrder, isDecided, lastOf, nextToFollow, nextToSend, timeOf, toForget, tooOld, validUntil, type Entry, type State,
} from "../src/proving/queue.ts";
import { numbers } from "./chance.ts";

const RULES = { PROOF_MAX_AGE_MS: 300_000 };
const BEGIN = 1_780_000_000_000;

function entry(id: string, atMs: number, state: State = "waiting", account = "0xa"): Entry {
  const payload = { version: "STEP-PROOF-v1", account, triangleId: "", lat: 1, lon: 2, accuracy: 5, timestamp: new Date(atMs).toISOString(), nonce: id };
  return { id, signed: { payload, signature: "" }, chainId: "step-devnet", wasSent: false, isSimulated: false, state };
}

test("in whichever order they were kept, they go out in the order of their times", () => {
  const chance = numbers(1);
  for (let round = 0; round < 200; round += 1) {
    let entries = Array.from({ length: 12 }, (_, index) => entry(String(index), BEGIN + Math.floor(chance() * 8) * 10_000));
    entries.sort(() => chance() - 0.5);
    const sent: number[] = [];
    for (let next = nextToSend(entries); next; next = nextToSend(entries)) {
      sent.push(timeOf(next));
      entries = entries.map((one) => (one.id === next!.id ? { ...one, state: "accepted" as const } : one));
    }
    assert.equal(sent.length, 12);
    assert.deepEqual(sent, [...sent].sort((one, other) => one - other));
    assert.deepEqual(nextToFollow(entries), inOrder(entries)[0]);
  }
});

test("through any breaks of the connection: nothing is sent that is too old, nothing is lost, and each ends", () => {
  const chance = numbers(2);
  for (let round = 0; round < 300; round += 1) {
    let entries: Entry[] = [];
    let isOnline = false;
    let clock = BEGIN;
    const set = (id: string, state: State) => (entries = entries.map((one) => (one.id === id ? { ...one, state, wasSent: state !== "expired" } : one)));
    for (let tick = 0; tick < 200; tick += 1, clock += 10_000) {
      if (chance() < 0.05) isOnline = !isOnline;
      if (tick < 100 && chance() < 0.5) entries.push(entry(`${tick}`, clock));
      for (const { id } of tooOld(entries, clock, RULES)) set(id, "expired");
      const next = nextToSend(entries);
      if (isOnline && next) {
        assert.ok(clock <= validUntil(next, RULES), "too old");
        const before = entries.filter(({ state }) => state === "accepted").map(timeOf);
        assert.ok(before.every((at) => at < timeOf(next)), "out of order");
        set(next.id, "accepted");
      }
    }
    assert.ok(entries.every(({ state }) => state === "accepted" || state === "expired"));
    for (const one of entries) if (one.state === "expired") assert.ok(clock > validUntil(one, RULES));
  }
});

test("one that may have reached a node is never called too old: the node says what became of it", () => {
  const sent = { ...entry("1", BEGIN), wasSent: true };
  assert.deepEqual(tooOld([sent], BEGIN + 10 ** 9, RULES), []);
  assert.equal(nextToSend([sent])?.id, "1");
});

test("a node needs three seconds: at the last moment it is not too old, a millisecond later it is", () => {
  const one = entry("1", BEGIN);
  assert.deepEqual(tooOld([one], BEGIN + 297_000, RULES), []);
  assert.deepEqual(tooOld([one], BEGIN + 297_001, RULES), [one]);
});

test("the next proof is compared with the last that counts, of the same account", () => {
  const entries = [entry("1", BEGIN, "final"), entry("2", BEGIN + 1, "waiting"), entry("3", BEGIN + 2, "refused"), entry("4", BEGIN + 3, "expired"), entry("5", BEGIN + 4, "final", "0xb")];
  assert.equal(lastOf(entries, "0xa")?.id, "2");
  assert.equal(lastOf(entries, "0xc"), undefined);
});

test("only the oldest of the decided are forgotten", () => {
  const many = Array.from({ length: DECIDED_MAX + 10 }, (_, index) => entry(`${index}`, BEGIN + index, index % 7 ? "final" : "waiting"));
  const forgotten = toForget(many);
  assert.ok(forgotten.every(isDecided));
  assert.equal(many.filter(isDecided).length - forgotten.length, Math.min(DECIDED_MAX, many.filter(isDecided).length));
  assert.deepEqual(toForget(many.slice(0, 20)), []);
});
