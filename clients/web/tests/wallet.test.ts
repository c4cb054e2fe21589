import assert from "node:assert/strict";
import { test } from "node:test";
import { signTransfer, StepError } from "step-client";
import { begun, GROWN_ENTRIES_MAX, isTooLong, Turns, withNewer, withOlder, type History, type PageOf } from "../src/wallet/history.ts";

import { csvOf } from "../src/wallet/transactions.ts";
import { isDecided, lowestSequence, memoFault, readTransfer, type Written } from "../src/wallet/transfers.ts";
import { isIpAddress, isThisMachine } from "../src/wallet/passkey.ts";

const OWNER = `0x${"ab".repeat(20)}`;
const TO = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed";

test("each field of a transfer is judged by itself, and what is read is what is signed", () => {
  const read = (written: Partial<Written>, balance: string | null = "2.000000") =>
    readTransfer({ to: TO, amount: "1,5", memo: "", ...written }, OWNER, balance);
  assert.deepEqual(read({ memo: " rent " }), { transfer: { to: TO.toLowerCase(), amount: "1.500000", memo: " rent " } });
  assert.deepEqual(read({ to: OWNER.toUpperCase().replace("0X", "0x") }), { faults: { to: "self" } });
  assert.deepEqual(read({ to: `0x${"0".repeat(40)}`, amount: "0", memo: "\n" }), {
    faults: { to: "zero", amount: "none", memo: "characters" },
  });
  assert.deepEqual(read({ amount: "2.000001" }), { faults: { amount: "notThere" } });
  assert.ok("transfer" in read({ amount: "2" }));
  // While nobody knows the balance, the node has the word.
  assert.ok("transfer" in read({ amount: "9000000000" }, null));
  assert.deepEqual(read({ amount: "9007199254.740992" }, null), { faults: { amount: "tooMuch" } });
});

test("a memo has 64 bytes and nothing that cannot be seen", () => {
  assert.equal(memoFault("ü".repeat(32)), null);
  assert.equal(memoFault(`${"ü".repeat(32)}x`), "tooLong");
  assert.equal(memoFault("👩‍👩‍👧‍👦"), null);
  for (const hidden of ["\u0000", "\t", "\u007f", "\u009f", "\u061c", "\u200e", "\u2028", "\u202e", "\u2066", "\ud800"]) {
    assert.equal(memoFault(`to ${hidden} whom`), "characters");
  }
});

test("a history grows at both ends, and each entry is in it once", () => {
  const node = Array.from({ length: 95 }, (_, index) => index);
  const page = (entries: number[], nextCursor: string | null, latest: number): PageOf<number> => ({ entries, nextCursor, latestCursor: `${latest}` });
  let history = begun(page([60, 59, 58], "58", 60));
  history = withNewer(history, page([61, 62], "62", 62));
  history = withOlder(history, page([57, 56], "56", 60));
  history = withNewer(history, page([63], null, 63));
  history = withNewer(history, page([], null, 63));
  history = withOlder(history, page([55], null, 60));
  assert.deepEqual(history.entries, node.slice(55, 64).reverse());
  assert.equal(history.older, null);
  assert.equal(history.newer, "63");
});

test("a memo is no formula of a spreadsheet, and breaks out of no cell", () => {
  const entry = { type: "transfer_in", id: "0x1", height: 7, timestamp: "2026-01-01T00:00:00.000Z", amount: "1.000000", counterpart: TO };
  const lines = (memo: string) => csvOf([{ ...entry, memo }]).split("\r\n");
  assert.equal(lines("plain")[1], `2026-01-01T00:00:00.000Z,transfer_in,0x1,7,,,1.000000,${TO},plain`);
  for (const formula of ["=1+1", "+1", "-1", "@SUM(A1)"]) assert.ok(lines(formula)[1]!.endsWith(`,'${formula}`));
  assert.ok(lines('a,"b"')[1]!.endsWith(',"a,""b"""'));
  assert.ok(lines('=HYPERLINK("https://elsewhere.example","x")')[1]!.endsWith(`"'=HYPERLINK(""https://elsewhere.example"",""x"")"`));
});

test("only what a node has refused for good is let go of", () => {
  const refusal = (code: string, facts = {}) => new StepError(code, "", facts);
  const late = { details: { expected: 8 } };
  assert.equal(isDecided(refusal("INSUFFICIENT_BALANCE", { details: { retryable: false } }), 7), true);
  assert.equal(isDecided(refusal("WRONG_SEQUENCE", late), 7), true);
  // Whoever has it can hand it in once it is its turn.
  for (const details of [{ expected: 7 }, { expected: 3 }, { expected: "soon" }, {}]) assert.equal(isDecided(refusal("WRONG_SEQUENCE", { details }), 7), false);
  assert.equal(isDecided(Object.assign(refusal("WRONG_SEQUENCE", late), { maybeAcceptedBy: ["https://node.example"] }), 7), false);
  assert.equal(isDecided(refusal("PENDING"), 7), false);
  assert.equal(isDecided(refusal("NO_ANSWER"), 7), false);
  assert.equal(isDecided(refusal("POOL_FULL", { details: { retryable: true } }), 7), false);
  assert.equal(isDecided(refusal("POOL_FULL", { attempts: [refusal("POOL_FULL")] }), 7), false);
});

test("hosts that are numbers have no passkeys, and only one's own machine has another name", () => {
  assert.deepEqual(["127.0.0.1", "[::1]", "192.168.1.20"].map(isThisMachine), [true, true, false]);
  assert.deepEqual(["127.0.0.1", "[::1]", "192.168.1.20"].map(isIpAddress), [true, true, true]);
  assert.deepEqual(["localhost", "node.example", "1.example"].map(isIpAddress), [false, false, false]);
});

test("no field of a transfer is made up by a node that says what number or what chain it is", async () => {
  const signed: string[] = [];
  const signer = { account: OWNER, sign: async (line: string) => (signed.push(line), `0x${"00".repeat(65)}`) };
  const transfer = { chainId: "ours", sequence: 1, to: TO, amount: "1.000000" };
  const elsewhere = `|to:0x${"ee".repeat(20)}|amount_ustep:9|memo:`;
  for (const told of [{ sequence: `1${elsewhere}` }, { sequence: 1.5 }, { sequence: -1 }, { sequence: null }, { chainId: `ours|owner:${OWNER}|sequence:1${elsewhere}` }]) {
    await assert.rejects(signTransfer(signer, { ...transfer, ...(told as object) }), { code: "INVALID_OPERATION" });
  }
  assert.deepEqual(signed, []);
});

test("one thing is done after another, also after one that failed", async () => {
  const turns = new Turns();
  const done: number[] = [];
  const first = turns.take(async () => {
    await new Promise((resolve) => setTimeout(resolve, 5));
    done.push(1);
    throw new TypeError("no list");
  });
  const second = turns.take(async () => void done.push(2));
  await assert.rejects(first, TypeError);
  await second;
  assert.deepEqual(done, [1, 2]);
});

test("of the sequence numbers that nodes name the lowest is signed: a later one could be cashed later", () => {
  assert.equal(lowestSequence([{ nextSequence: 1_000 }, { nextSequence: 4 }, { nextSequence: 5 }]), 4);
  assert.equal(lowestSequence([{ nextSequence: "0" }, { nextSequence: 4 }, { nextSequence: null }, { nextSequence: 0.5 }]), 4);
  assert.throws(() => lowestSequence([{ nextSequence: "0" }]), { code: "UNREADABLE_ANSWER" });
});

test("a history that grows by itself begins anew at a bound; what was asked for does not count", () => {
  const entries = (count: number): History<number> => ({ entries: Array.from({ length: count }, (_, index) => index), older: null, newer: "" });
  assert.equal(isTooLong(entries(20 + GROWN_ENTRIES_MAX), 20), false);
  assert.equal(isTooLong(entries(21 + GROWN_ENTRIES_MAX), 20), true);
  assert.equal(isTooLong(entries(2_000), 1_900), false);
});
