import assert from "node:assert/strict";
import { test } from "node:test";
import { SameChain, type Chain } from "../src/shell/same-chain.ts";

const HOME = "http://home:1";
const OTHER = "http://other:2";
const OURS = { chainId: "ours", genesisHash: "0x01" };
const THEIRS = { chainId: "theirs", genesisHash: "0x02" };

/** Nodes that answer `/status` with their chain (or not at all), and all that was asked. */
function world(chains: Record<string, Chain | null>, known?: Chain) {
  const asked: string[] = [];
  const kept: Chain[] = [];
  const memory = { known: async () => known, keep: async (chain: Chain) => void kept.push(chain) };
  const chain = new SameChain(Object.keys(chains), memory, async (input) => {
    asked.push(input);
    const of = chains[new URL(input).origin];
    if (!of) throw new TypeError("no network");
    return new Response(JSON.stringify(input.endsWith("/status") ? of : { ok: true }));
  });
  return { asked, kept, chain };
}

test("the first chain that is met is kept, and a node of it is judged once", async () => {
  const { asked, kept, chain } = world({ [HOME]: OURS });
  await chain.fetch(`${HOME}/batches`, {});
  await chain.fetch(`${HOME}/batches`, {});
  assert.deepEqual(kept, [OURS]);
  assert.deepEqual(asked, [`${HOME}/status`, `${HOME}/batches`, `${HOME}/batches`]);
});

test("the question for the status is the judgement itself, and its answer is whole", async () => {
  const { asked, chain } = world({ [HOME]: OURS }, OURS);
  assert.deepEqual(await (await chain.fetch(`${HOME}/status`, {})).json(), OURS);
  await chain.fetch(`${HOME}/batches`, {});
  assert.deepEqual(asked, [`${HOME}/status`, `${HOME}/batches`]);
});

test("a node of another chain is asked nothing, told of once, and others are asked as before", async () => {
  const { asked, chain, kept } = world({ [HOME]: OURS, [OTHER]: THEIRS }, OURS);
  let told = 0;
  chain.watchers.add(() => (told += 1));
  await chain.fetch(`${HOME}/batches`, {});
  for (let times = 0; times < 2; times += 1) {
    await assert.rejects(chain.fetch(`${OTHER}/proof/submit`, { method: "POST" }), TypeError);
  }
  await assert.rejects(chain.fetch(`${OTHER}/status`, {}), TypeError);
  assert.deepEqual(asked, [`${HOME}/status`, `${HOME}/batches`, `${OTHER}/status`]);
  assert.deepEqual(chain.strangers, [{ node: OTHER, chain: THEIRS, known: OURS }]);
  assert.deepEqual([told, kept], [1, []]);
});

test("of two that are met at once, one chain is kept", async () => {
  const { chain, kept } = world({ [HOME]: OURS, [OTHER]: THEIRS });
  const both = await Promise.allSettled([chain.fetch(`${HOME}/a`, {}), chain.fetch(`${OTHER}/a`, {})]);
  assert.deepEqual(both.map(({ status }) => status).sort(), ["fulfilled", "rejected"]);
  assert.equal(kept.length, 1);
});

test("who turns away does not take the judgement from those who wait for it too", async () => {
  let answer = (_: Response) => {};
  const memory = { known: async () => OURS, keep: async () => {} };
  const chain = new SameChain([HOME], memory, (input, { signal }) =>
    new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      signal?.addEventListener("abort", () => reject(signal.reason));
      if (input.endsWith("/status")) answer = resolve;
      else resolve(new Response("{}"));
    }),
  );
  const gone = new AbortController();
  const first = chain.fetch(`${HOME}/a`, { signal: gone.signal });
  const second = chain.fetch(`${HOME}/b`, {});
  gone.abort();
  answer(new Response(JSON.stringify(OURS)));
  await assert.rejects(first, { name: "AbortError" });
  assert.ok((await second).ok);
});

test("a node that does not answer is judged when it does", async () => {
  const chains: Record<string, Chain | null> = { [HOME]: null };
  const { chain } = world(chains, OURS);
  await assert.rejects(chain.fetch(`${HOME}/a`, {}), TypeError);
  chains[HOME] = THEIRS;
  await assert.rejects(chain.fetch(`${HOME}/a`, {}), /another chain/);
  assert.equal(chain.strangers.length, 1);
});

test("a node that does not say of which chain it is is asked for nothing, and sent nothing, until it does", async () => {
  const asked: string[] = [];
  let status = () => new Response("{}", { status: 503 });
  const memory = { known: async () => OURS, keep: async () => undefined };
  const chain = new SameChain([HOME], memory, async (input) => {
    asked.push(input);
    return input.endsWith("/status") ? status() : new Response("{}");
  });
  const submit = () => chain.fetch(`${HOME}/proof/submit`, { method: "POST" });
  await assert.rejects(submit(), TypeError);
  status = () => new Response('{"chainId": 5}');
  await assert.rejects(submit(), TypeError);
  assert.deepEqual(asked, [`${HOME}/status`, `${HOME}/status`]);
  // What it says itself of its state is told as it is.
  status = () => new Response("{}", { status: 503 });
  assert.equal((await chain.fetch(`${HOME}/status`, {})).status, 503);
  status = () => new Response(JSON.stringify(OURS));
  await submit();
  assert.equal(asked.at(-1), `${HOME}/proof/submit`);
});
