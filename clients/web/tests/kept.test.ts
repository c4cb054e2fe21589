import { answers, store } from "./device.ts";
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { genesisHash } from "step-client";
import { takeReceipt } from "../src/receipts/kept.ts";
import { accountOf, addAccount, currentAccount, type Account, type OwnAccount } from "../src/wallet/accounts.ts";
import { pendingTransfer, sendKept } from "../src/wallet/sending.ts";

const vectors = JSON.parse(readFileSync("../../tests/vectors/receipts.json", "utf8"));
// Nothing else is asked of a node that does not say of which chain it is.
answers.set("/status", () => ({ chainId: "ours", genesisHash: genesisHash(vectors.genesis[vectors.valid[0].genesis].file) }));
const OWNER = `0x${"ab".repeat(20)}`;
const signed = (operationId: string) => ({
  operationId,
  form: { owner: OWNER, sequence: 1, to: `0x${"cd".repeat(20)}`, amount: "1.000000", memo: "", signature: "0x" },
});

test("what became of one transfer lets go of that one, not of another that a second tab has kept", async () => {
  const [mine, other] = [signed("0x01"), signed("0x02")];
  answers.set("/account/transfer", () => ({ status: "applied", operationId: "0x01", height: 1, timestamp: "" }));
  store.set(`wallet.transfer.${OWNER}`, other);
  await sendKept(mine);
  assert.deepEqual(await pendingTransfer(OWNER), other);
  const refused = () => new Response(JSON.stringify({ code: "WRONG_SEQUENCE", message: "", details: { expected: 2 } }), { status: 409 });
  answers.set("/account/transfer", refused);
  await assert.rejects(sendKept(mine), { code: "WRONG_SEQUENCE" });
  assert.deepEqual(await pendingTransfer(OWNER), other);
  await assert.rejects(sendKept(other), { code: "WRONG_SEQUENCE" });
  assert.equal(await pendingTransfer(OWNER), undefined);
});

test("a receipt is kept only if it is true and that of the proof; another genesis is told of, and not thrown on", async () => {
  const { json, genesis } = vectors.valid[0];
  const id = JSON.parse(json).proof ? (await import("../src/receipts/checking.ts")).verdictOn(json, JSON.stringify(vectors.genesis[genesis].file)) : undefined;
  assert.ok(id?.isTrue);
  answers.set("/genesis", () => ({ validators: 1 }));
  await assert.rejects(takeReceipt(id.receipt.id, json), { code: "UNREADABLE_ANSWER" });
  answers.set("/genesis", () => vectors.genesis[genesis].file);
  const kept = () => [...store.keys()].filter((name) => name.startsWith("receipts/"));
  assert.equal((await takeReceipt(id.receipt.id, "{}")).text, "{}");
  await assert.rejects(takeReceipt("0x01", json), { code: "UNREADABLE_ANSWER" });
  assert.deepEqual(kept(), []);
  await takeReceipt(id.receipt.id, json);
  assert.deepEqual(kept(), [`receipts/${id.receipt.id}`]);
});

test("a key that is sealed here stays when the same account is connected in another wallet", async () => {
  const common = { address: OWNER, name: "mine", addedAtMs: 1 };
  const own: OwnAccount = { ...common, kind: "own", seal: {} as OwnAccount["seal"], isBackedUp: false };
  const foreign: Account = { ...common, kind: "injected", wallet: "example.wallet" };
  await addAccount(foreign);
  assert.deepEqual(accountOf(OWNER), foreign);
  await addAccount(own);
  await addAccount(foreign);
  assert.deepEqual(accountOf(OWNER), own);
  assert.equal(currentAccount(), OWNER);
});
