import assert from "node:assert/strict";
import { mock, test } from "node:test";
import type { FeedEvent } from "step-client";
import { Feed } from "../src/shell/stream.ts";

test("an event that one listener makes nothing of ends the feed of nobody", async () => {
  const said = mock.method(console, "error", () => undefined);
  const events = [null, { height: 2 }].map((data, index) => ({ kind: "batch", id: `${index}`, data })) as FeedEvent[];
  const feed = new Feed(async function* (_, { signal }) {
    yield* events;
    await new Promise((resolve) => signal.addEventListener("abort", resolve));
  });
  const heights: number[] = [];
  const heard: unknown[] = [];
  const ends = [feed.follow(["batch"], ({ data }) => void heights.push(data.height)), feed.follow(["batch"], ({ data }) => void heard.push(data))];
  while (heard.length < 2) await new Promise((resolve) => setTimeout(resolve, 5));
  assert.deepEqual(heights, [2]);
  assert.equal(feed.state, "live");
  assert.equal(said.mock.callCount(), 1);
  for (const end of ends) end();
  said.mock.restore();
});
