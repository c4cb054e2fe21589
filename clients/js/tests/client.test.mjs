// The rules of retrying, against made-up nodes: no network, no clock, no chance.
import assert from "node:assert/strict";
import { test } from "node:test";
import { locate, privateKeySigner, proofId, signProof, signTransfer, StepClient, StepError } from "../step-client.js";

const NOW = Date.UTC(2026, 0, 31, 12);
const A = "http://a.test";
const B = "http://b.test";
const RULES = {
  ok: true,
  timestamp: new Date(NOW).toISOString(),
  GPS_MAX_ACCURACY_M: 50,
  WAIT_MS_MAX: 30_000,
  BATCH_BODY_BYTES_MAX: 1_048_576,
  BATCH_SUBMISSIONS_MAX: 2,
};
const signer = privateKeySigner("1".padStart(64, "0"));
const ZURICH = { lat: 47.3769, lon: 8.5417, accuracy: 5, timestamp: NOW };

/** Answers by [status, body, headers] or an error to throw, in order for each "METHOD node/path"; what was asked is kept. */
function network(answers, { rules = RULES, chance = 0 } = {}) {
  const asked = [];
  const slept = [];
  let now = NOW;
  const options = {
    now: () => now,
    chance: () => chance,
    sleep: async (ms) => {
      slept.push(ms);
      now += ms;
    },
    fetch: async (url, { method, body }) => {
      const path = url.replace(/\?.*/, "");
      if (path.endsWith("/proof/config")) return Response.json(rules);
      asked.push([method, url, body]);
      const next = answers[`${method} ${path}`]?.shift();
      assert.ok(next, `nobody expects ${method} ${url}`);
      if (next instanceof Error) throw next;
      const [status, document, headers] = typeof next === "function" ? next(body) : next;
      return Response.json(document, { status, headers });
    },
  };
  return { asked, slept, options, client: (...nodes) => new StepClient(nodes, options) };
}

function refusal(code, status, details = {}) {
  return [status, { ok: false, code, message: "field: rule", timestamp: new Date(NOW).toISOString(), details }];
}

const signed = await signProof(signer, { ...ZURICH, triangleId: locate(47.3769, 8.5417, 10), nonce: "n" });
const ID = proofId(signed.payload);
const FINAL = [200, { ok: true, proofId: ID, reward: "0.001953", height: 7 }];
const PENDING = [202, { ok: true, proofId: ID, status: "pending" }];

test("where one node does not answer the next is asked at once, with the same body", async () => {
  const world = network({ [`POST ${A}/proof/submit`]: [new TypeError("refused")], [`POST ${B}/proof/submit`]: [FINAL] });
  const outcome = await world.client(A, B).submit(signed);
  assert.equal(outcome.status, "finalised");
  assert.equal(outcome.node, B);
  assert.deepEqual(world.slept, []);
  assert.equal(world.asked[0][2], world.asked[1][2]);
  assert.deepEqual(JSON.parse(world.asked[0][2]), signed);
});

test("the node that answered is asked first from then on", async () => {
  const world = network({
    [`GET ${A}/status`]: [new TypeError("refused")],
    [`GET ${B}/status`]: [[200, { height: 1 }], [200, { height: 2 }]],
  });
  const client = world.client(A, B);
  await client.get("/status");
  assert.equal((await client.get("/status")).height, 2);
});

test("429 is about who asks: the same node is asked again when it says", async () => {
  const busy = refusal("RATE_LIMITED", 429, { retryAt: new Date(NOW + 4_000).toISOString() });
  const world = network({ [`POST ${A}/proof/submit`]: [[...busy, { "retry-after": "3" }], FINAL] });
  assert.equal((await world.client(A, B).submit(signed)).status, "finalised");
  assert.deepEqual(world.slept, [4_000]);
});

test("503 rests a node for as long as it asks, and goes to the next", async () => {
  const full = (seconds) => [...refusal("MEMPOOL_FULL", 503), { "retry-after": String(seconds) }];
  const world = network({ [`POST ${A}/proof/submit`]: [full(9)], [`POST ${B}/proof/submit`]: [full(7), FINAL] });
  const outcome = await world.client(A, B).submit(signed);
  assert.equal(outcome.node, B);
  assert.deepEqual(world.slept, [7_000]);
});

test("a refusal for good is thrown at once with all that the node said", async () => {
  const details = { gate: "accuracy", field: "accuracy", value: 80, limit: 50, unit: "m", retryable: false };
  const world = network({ [`POST ${A}/proof/submit`]: [refusal("LOW_GPS_ACCURACY", 422, details)] });
  const error = await world.client(A, B).submit(signed).catch((thrown) => thrown);
  assert.ok(error instanceof StepError);
  assert.deepEqual([error.code, error.status, error.node, error.details], ["LOW_GPS_ACCURACY", 422, A, details]);
  assert.deepEqual(error.maybeAcceptedBy, []);
});

test("details that say retryable win over the table, either way", async () => {
  const heals = refusal("CLOCK_DRIFT", 422, { retryable: true, retryAt: new Date(NOW + 2_000).toISOString() });
  const world = network({ [`POST ${A}/proof/submit`]: [heals, FINAL] });
  assert.equal((await world.client(A).submit(signed)).status, "finalised");
  assert.deepEqual(world.slept, [2_000]);
  const never = network({ [`POST ${A}/proof/submit`]: [refusal("NOT_READY", 503, { retryable: false })] });
  await assert.rejects(never.client(A).submit(signed), { code: "NOT_READY" });
});

test("attempts end, and the error tells of each", async () => {
  const world = network({ [`GET ${A}/status`]: Array(4).fill(new TypeError("refused")) });
  world.options.retry = { attemptsMax: 4 };
  const error = await world.client(A).get("/status").catch((thrown) => thrown);
  assert.equal(error.code, "NO_ANSWER");
  assert.equal(error.attempts.length, 4);
  assert.deepEqual(world.slept, [500, 1_000, 2_000]);
});

test("time ends, even where a node asks for more", async () => {
  const full = [...refusal("MEMPOOL_FULL", 503), { "retry-after": "900" }];
  const world = network({ [`GET ${A}/status`]: [full] });
  await assert.rejects(world.client(A).get("/status"), { code: "MEMPOOL_FULL" });
  assert.deepEqual(world.slept, []);
});

test("what is no STEP node is no answer", async () => {
  const world = network({ [`GET ${A}/status`]: [[404, { hello: 1 }]], [`GET ${B}/status`]: [[200, { height: 3 }]] });
  assert.equal((await world.client(A, B).get("/status")).height, 3);
});

test("a refusal by one node, where another may have accepted, is settled by asking that one", async () => {
  const world = network({
    [`POST ${A}/proof/submit`]: [new TypeError("broken off")],
    [`POST ${B}/proof/submit`]: [refusal("MORATORIUM", 422)],
    [`GET ${A}/proof/status/${ID}`]: [PENDING],
  });
  const outcome = await world.client(A, B).submit(signed);
  assert.deepEqual([outcome.status, outcome.node], ["pending", A]);
});

test("a refusal names the nodes that may have accepted and cannot be asked", async () => {
  const world = network({
    [`POST ${A}/proof/submit`]: [new TypeError("broken off")],
    [`POST ${B}/proof/submit`]: [refusal("TRIANGLE_EXHAUSTED", 409)],
    [`GET ${A}/proof/status/${ID}`]: [new TypeError("refused")],
  });
  const error = await world.client(A, B).submit(signed).catch((thrown) => thrown);
  assert.deepEqual([error.code, error.maybeAcceptedBy], ["TRIANGLE_EXHAUSTED", [A]]);
});

test("a proof is followed to its end, at another node where the first one dies", async () => {
  const killed = () => new TypeError("killed");
  const world = network({
    [`POST ${A}/proof/submit`]: [PENDING, killed()],
    [`GET ${A}/proof/status/${ID}`]: [PENDING, killed()],
    [`POST ${B}/proof/submit`]: [FINAL],
  });
  const outcome = await world.client(A, B).follow(signed);
  assert.deepEqual([outcome.status, outcome.node], ["finalised", B]);
  const bodies = world.asked.filter(([method]) => method === "POST").map(([, , body]) => body);
  assert.deepEqual(new Set(bodies).size, 1);
});

test("a drop is told with its code, details and id", async () => {
  const dropped = [200, { ok: true, proofId: ID, status: "dropped", code: "MORATORIUM", message: "m", details: { gate: "moratorium" } }];
  const world = network({ [`POST ${A}/proof/submit`]: [PENDING], [`GET ${A}/proof/status/${ID}`]: [dropped] });
  const error = await world.client(A).follow(signed).catch((thrown) => thrown);
  assert.deepEqual([error.code, error.proofId, error.details.gate], ["MORATORIUM", ID, "moratorium"]);
});

test("what is not final in time may be followed again", async () => {
  const world = network({
    [`POST ${A}/proof/submit`]: [PENDING, FINAL],
    [`GET ${A}/proof/status/${ID}`]: [PENDING, PENDING],
  });
  const client = world.client(A);
  await assert.rejects(client.follow(signed, { timeoutMs: 2_000 }), { code: "PENDING", proofId: ID });
  assert.equal((await client.follow(signed)).status, "finalised");
});

test("a visit is signed anew in the triangle that the refusal names, and the same moment", async () => {
  const level = 12;
  const tryInstead = { triangleId: locate(ZURICH.lat, ZURICH.lon, level), level };
  const echo = (body) => [200, { ok: true, proofId: proofId(JSON.parse(body).payload), height: 1 }];
  const world = network({
    [`GET ${A}/mesh/triangleAt`]: [[200, { ok: true, result: { level: 10, triangleId: locate(ZURICH.lat, ZURICH.lon, 10) } }]],
    [`POST ${A}/proof/submit`]: [refusal("TRIANGLE_EXHAUSTED", 409, { tryInstead }), echo],
  });
  const seen = [];
  const outcome = await world.client(A).prove(signer, ZURICH, { onSigned: (one) => seen.push(one) });
  assert.equal(outcome.signed.payload.triangleId, tryInstead.triangleId);
  assert.equal(seen.length, 2);
  assert.equal(seen[0].payload.timestamp, seen[1].payload.timestamp);
  assert.notEqual(seen[0].payload.nonce, seen[1].payload.nonce);
});

test("a visit is not signed anew while a node may have taken in the first", async () => {
  const tryInstead = { triangleId: locate(ZURICH.lat, ZURICH.lon, 12), level: 12 };
  const world = network({
    [`POST ${A}/proof/submit`]: [new TypeError("broken off")],
    [`POST ${B}/proof/submit`]: [refusal("TRIANGLE_EXHAUSTED", 409, { tryInstead })],
  });
  const fetchAll = world.options.fetch;
  world.options.fetch = (url, init) => {
    if (url.includes("/proof/status/")) throw new TypeError("refused");
    return fetchAll(url, init);
  };
  const error = await world.client(A, B).prove(signer, ZURICH, { level: 10 }).catch((thrown) => thrown);
  assert.deepEqual([error.code, error.maybeAcceptedBy], ["TRIANGLE_EXHAUSTED", [A]]);
});

test("the clock is corrected by the node's, beyond two seconds", async () => {
  for (const [aheadMs, correctionMs] of [[90_000, 90_000], [-90_000, -90_000], [1_500, 0]]) {
    const world = network({}, { rules: { ...RULES, timestamp: new Date(NOW + aheadMs).toISOString() } });
    const proof = await world.client(A).sign(signer, ZURICH, { level: 10 });
    assert.equal(Date.parse(proof.payload.timestamp), NOW + correctionMs);
  }
});

test("what is looked up is what is signed: seven decimals of both", async () => {
  const world = network({});
  const proof = await world.client(A).sign(signer, { ...ZURICH, lat: 47.37690004999, lon: -8.54170005001 }, { level: 21 });
  assert.deepEqual([proof.payload.lat, proof.payload.lon], [47.3769, -8.5417001]);
  assert.equal(proof.payload.triangleId, locate(47.3769, -8.5417001, 21));
});

test("a position that must not be signed is refused by name", async () => {
  const client = network({}).client(A);
  const wrong = {
    "lat, lon": [{ lat: 0, lon: 0 }, { lat: 1e-9, lon: -4e-8 }],
    lat: [{ lat: 91 }, { lat: NaN }, { lat: "47" }, { lat: undefined }],
    lon: [{ lon: -180.5 }, { lon: null }],
    accuracy: [{ accuracy: 50.1 }, { accuracy: 0 }, { accuracy: NaN }, { accuracy: undefined }],
    timestamp: [{ timestamp: NOW - 30_001 }, { timestamp: NOW + 5_001 }, { timestamp: NaN }],
  };
  for (const [field, changes] of Object.entries(wrong)) {
    for (const change of changes) {
      const error = await client.sign(signer, { ...ZURICH, ...change }, { level: 10 }).catch((thrown) => thrown);
      assert.deepEqual([error.code, error.details.field], ["BAD_POSITION", field], JSON.stringify(change));
    }
  }
});

test("a browser's position will do, getters and all", async () => {
  class GeolocationPosition {
    get coords() {
      return { latitude: 47.3769, longitude: 8.5417, accuracy: 5 };
    }
    get timestamp() {
      return NOW - 1_000;
    }
  }
  const level = 10;
  const echo = (body) => [200, { ok: true, proofId: proofId(JSON.parse(body).payload), height: 1 }];
  const world = network({ [`POST ${A}/proof/submit`]: [echo] });
  const { signed: proof } = await world.client(A).prove(signer, new GeolocationPosition(), { level });
  assert.equal(proof.payload.lat, 47.3769);
  assert.equal(Date.parse(proof.payload.timestamp), NOW - 1_000);
});

test("many go in as few bodies as the node takes, and only what time heals is sent again", async () => {
  const [one, two, three] = await Promise.all(
    ["1", "2", "3"].map((nonce) => signProof(signer, { ...ZURICH, triangleId: signed.payload.triangleId, nonce })),
  );
  const final = { ok: true, status: "finalised" };
  const refused = (code) => ({ ok: false, status: "refused", proofId: null, code, message: "m" });
  const world = network({
    [`POST ${A}/proof/submit-batch`]: [
      [200, { ok: true, outcomes: [refused("RATE_LIMITED"), refused("OUT_OF_BOUNDS")] }],
      [200, { ok: true, outcomes: [final] }],
      [200, { ok: true, outcomes: [{ ok: true, status: "pending" }] }],
      [200, { ok: true, outcomes: [final] }],
    ],
  });
  const outcomes = await world.client(A).submitMany([one, two, three]);
  assert.deepEqual(outcomes.map(({ status }) => status), ["finalised", "refused", "finalised"]);
  const bodies = world.asked.map(([, , body]) => JSON.parse(body).map(({ payload }) => payload.nonce));
  assert.deepEqual(bodies, [["1", "2"], ["1"], ["3"], ["3"]]);
  assert.deepEqual(world.slept, [500, 1_000]);
});

test("an answer about another proof is none", async () => {
  const world = network({ [`POST ${A}/proof/submit`]: [[200, { ...FINAL[1], proofId: `0x${"0".repeat(64)}` }]] });
  await assert.rejects(world.client(A).submit(signed), { code: "UNREADABLE_ANSWER" });
});

test("a transfer is signed once, and sent again where a node does not know it", async () => {
  const to = `0x${"AB".repeat(20)}`;
  const world = network(
    {
      [`GET ${A}/account/${signer.account}`]: [[200, { nextSequence: 4 }]],
      [`POST ${A}/account/transfer`]: [[202, { status: "pending" }], [200, { status: "applied", height: 9 }]],
    },
    { rules: { ...RULES, CHAIN_ID: "test-1" } },
  );
  const client = world.client(A);
  const transfer = await client.signTransfer(signer, { to, amount: "1.5", memo: "rent" });
  assert.deepEqual([transfer.form.sequence, transfer.form.to, transfer.form.amount], [4, to.toLowerCase(), "1.5"]);
  const fetchAll = world.options.fetch;
  world.options.fetch = (url, init) =>
    url.endsWith(`/operation/${transfer.operationId}`)
      ? Response.json(refusal("OPERATION_NOT_FOUND", 404)[1], { status: 404 })
      : fetchAll(url, init);
  const applied = await new StepClient(A, world.options).sendTransfer(transfer);
  assert.equal(applied.height, 9);
  const bodies = world.asked.filter(([method]) => method === "POST").map(([, , body]) => body);
  assert.deepEqual(new Set(bodies).size, 1);
});

test("a chain that a node makes up is not signed", async () => {
  for (const chainId of ["step-test|owner:0x00|sequence:1", "", "STEP", "-step", "a".repeat(64), "step\n", 5, null]) {
    const transfer = { chainId, sequence: 0, to: `0x${"ab".repeat(20)}`, amount: "1" };
    await assert.rejects(signTransfer(signer, transfer), /^StepError: INVALID_OPERATION: chainId: must be 1 to 63 of a-z 0-9 -/);
  }
});

test("a transfer that is dropped, or not applied in time, is told", async () => {
  const form = { sequence: 0 };
  const dropped = { status: "dropped", code: "WRONG_SEQUENCE", message: "m", details: { expected: 2 } };
  const world = network({ [`POST ${A}/account/transfer`]: [[202, { status: "pending" }], [202, { status: "pending" }]],
    [`GET ${A}/operation/0x1`]: [[200, dropped]] });
  const error = await world.client(A).sendTransfer({ operationId: "0x1", form }).catch((thrown) => thrown);
  assert.deepEqual([error.code, error.details.expected], ["WRONG_SEQUENCE", 2]);
  await assert.rejects(world.client(A).sendTransfer({ operationId: "0x1", form }, { timeoutMs: 0 }), { code: "PENDING" });
});

test("a transfer that one node refuses, where another may have taken it in, is settled by asking that one", async () => {
  const refused = [refusal("WRONG_SEQUENCE", 409, { expected: 2 })];
  const applied = [200, { operationId: "0x1", status: "applied", height: 9 }];
  const world = network({
    [`POST ${A}/account/transfer`]: [new TypeError("broken off")],
    [`POST ${B}/account/transfer`]: [...refused],
    [`GET ${A}/operation/0x1`]: [applied],
  });
  assert.equal((await world.client(A, B).sendTransfer({ operationId: "0x1", form: { sequence: 1 } })).height, 9);
});

test("a transfer's refusal names the nodes that may have taken it in and cannot be asked", async () => {
  for (const known of [new TypeError("refused"), refusal("OPERATION_NOT_FOUND", 404)]) {
    const world = network({
      [`POST ${A}/account/transfer`]: [new TypeError("broken off")],
      [`POST ${B}/account/transfer`]: [refusal("WRONG_SEQUENCE", 409)],
      [`GET ${A}/operation/0x1`]: [known],
    });
    const error = await world.client(A, B).sendTransfer({ operationId: "0x1", form: {} }).catch((thrown) => thrown);
    assert.deepEqual([error.code, error.maybeAcceptedBy], ["WRONG_SEQUENCE", [A]]);
  }
});

test("who gives up is left alone", async () => {
  const control = new AbortController();
  const world = network({ [`GET ${A}/status`]: [new TypeError("refused")] });
  world.options.sleep = async (_, signal) => {
    control.abort(new Error("enough"));
    signal.throwIfAborted();
  };
  await assert.rejects(world.client(A).get("/status", {}, { signal: control.signal }), /enough/);
});
