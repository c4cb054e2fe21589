// The live feed, against made-up streams: taken apart as the standard says, and gone on with on another node.
import assert from "node:assert/strict";
import { test } from "node:test";
import { StepClient } from "../step-client.js";

const A = "http://a.test";
const B = "http://b.test";
const bytes = new TextEncoder();

/** Answers by node, each a list of chunks (and how the stream ends) or a Response, in order; what was asked is kept. */
function feed(answers, retry = {}) {
  const asked = [];
  let now = 0;
  const client = new StepClient(Object.keys(answers), {
    retry,
    now: () => now,
    chance: () => 0,
    sleep: async (ms, signal) => {
      signal?.throwIfAborted();
      now += ms;
    },
    fetch: async (url, { headers, signal }) => {
      const node = url.slice(0, A.length);
      asked.push([node, headers["last-event-id"], signal, url]);
      const next = answers[node].shift();
      if (next === undefined) throw new TypeError("refused");
      if (next instanceof Response) return next;
      const chunks = next.map((chunk) => (chunk instanceof Error ? chunk : bytes.encode(chunk)));
      return new Response(
        new ReadableStream({
          pull(controller) {
            const chunk = chunks.shift();
            if (chunk === undefined) controller.close();
            else if (chunk instanceof Error) controller.error(chunk);
            else controller.enqueue(chunk);
          },
        }),
      );
    },
  });
  return { client, asked };
}

async function take(count, client, filters, options) {
  const taken = [];
  for await (const event of client.events(filters, options)) {
    taken.push(event);
    if (taken.length === count) break;
  }
  return taken;
}

test("events are taken apart, however they are cut", async () => {
  const text = ': heartbeat\n\nretry: 10\nid: 7.1\nevent: batch\ndata: {"height":\ndata: 7}\n\ndata: {"x":"é"}\r\n\r\n';
  const whole = bytes.encode(text);
  for (let cut = 1; cut < whole.length; cut += 1) {
    const { client } = feed({ [A]: [new Response(new ReadableStream({
      start(controller) {
        controller.enqueue(whole.slice(0, cut));
        controller.enqueue(whole.slice(cut));
        controller.close();
      },
    }))] });
    assert.deepEqual(await take(2, client), [
      { kind: "batch", id: "7.1", data: { height: 7 } },
      { kind: "message", id: "7.1", data: { x: "é" } },
    ], `cut at ${cut}`);
  }
});

test("who follows is told of each stream that is opened, and of each that is not", async () => {
  const event = "id: 1.1\nevent: batch\ndata: {}\n\n";
  const { client } = feed({ [A]: [[event, new TypeError("killed")], [": heartbeat\n\n", event]], [B]: [] });
  const links = [];
  await take(2, client, {}, { onLink: (isOpen) => links.push(isOpen) });
  assert.deepEqual(links, [true, false, false, true]);
});

test("a stream that breaks is gone on with from the last id, on another node", async () => {
  const event = (id) => `id: ${id}\nevent: batch\ndata: {}\n\n`;
  const { client, asked } = feed({
    [A]: [[event("1.1"), event("2.1"), new TypeError("killed")]],
    [B]: [[event("3.1")]],
  });
  const taken = await take(3, client, { kinds: ["batch", "validator"], bbox: [-1, 46.5, 1, 1e-7], account: null });
  assert.deepEqual(taken.map(({ id }) => id), ["1.1", "2.1", "3.1"]);
  assert.deepEqual(asked.map(([node, id]) => [node, id]), [[A, undefined], [B, "2.1"]]);
  const path = "/events?kinds=batch%2Cvalidator&bbox=-1%2C46.5%2C1%2C0.0000001";
  assert.deepEqual(asked.map(([, , , url]) => url), [A + path, B + path]);
});

test("a stream that breaks within an event is gone on with before it, and of begins and ends nobody is told", async () => {
  const event = (id, kind) => `id: ${id}\nevent: ${kind}\ndata: {}\n\n`;
  const { client, asked } = feed({
    [A]: [[event("1.0", "open"), event("1.1", "batch"), "id: 2.1\nevent: batch\n", new TypeError("killed")]],
    [B]: [[event("2.0", "open"), event("2.1", "batch"), event("2.2", "end")], [event("3.1", "batch")]],
  });
  const taken = await take(3, client);
  assert.deepEqual(taken.map(({ id }) => id), ["1.1", "2.1", "3.1"]);
  assert.deepEqual(asked.map(([, id]) => id).filter(Boolean).slice(0, 2), ["1.1", "2.2"]);
});

test("one may go on from an id of an earlier run", async () => {
  const { client, asked } = feed({ [A]: [["id: 9.1\ndata: {}\n\n"]] });
  await take(1, client, {}, { lastEventId: "8.2" });
  assert.equal(asked[0][1], "8.2");
});

test("a refusal for good is thrown, another is waited for", async () => {
  const refusal = (code, status) =>
    Response.json({ ok: false, code, message: "m", timestamp: "2026-01-31T12:00:00.000Z", details: {} }, { status });
  const { client, asked } = feed({ [A]: [refusal("NOT_READY", 503), refusal("INVALID_PAYLOAD", 400)] });
  await assert.rejects(take(1, client), { code: "INVALID_PAYLOAD", status: 400 });
  assert.equal(asked.length, 2);
});

test("attempts in vain end, and a stream that has told something does not count", async () => {
  const { client, asked } = feed({ [A]: [["data: {}\n\n"], ["data: {}\n\n"]] }, { attemptsMax: 3 });
  const error = await take(9, client).catch((thrown) => thrown);
  assert.equal(error.code, "NO_ANSWER");
  assert.equal(error.attempts.length, 3);
  assert.equal(asked.length, 4);
});

test("what no node sends is refused", async () => {
  for (const chunk of ["data: {\n\n", `data: ${"x".repeat(1_000_001)}`]) {
    await assert.rejects(take(1, feed({ [A]: [[chunk]] }).client), { code: "UNREADABLE_ANSWER" });
  }
});

test("who leaves the loop, or gives up, leaves no connection behind", async () => {
  const one = feed({ [A]: [["data: {}\n\n", "data: {}\n\n"]] });
  await take(1, one.client);
  assert.ok(one.asked[0][2].aborted);
  const control = new AbortController();
  const other = feed({ [A]: [["data: {}\n\n"]] });
  await assert.rejects(async () => {
    for await (const _ of other.client.events({}, { signal: control.signal })) control.abort(new Error("enough"));
  }, /enough/);
});
