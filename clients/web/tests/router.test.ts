import assert from "node:assert/strict";
import { test } from "node:test";
import { link, placeOf } from "../src/shell/router.ts";

test("a page's address is read as it was written", () => {
  const place = placeOf(link("account", "0xAb", "a/b ü"));
  assert.deepEqual(place.parts, ["account", "0xAb", "a/b ü"]);
});

test("`#node` is the same as `#/node`, and what is behind the `?` is no part of the path", () => {
  assert.deepEqual(placeOf("#node").parts, ["node"]);
  const place = placeOf("#/search?for=Z%C3%BCrich%3F");
  assert.deepEqual(place.parts, ["search"]);
  assert.equal(place.query.get("for"), "Zürich?");
});

test("what is no encoding stays as it is", () => {
  assert.deepEqual(placeOf("#/search/%E0%A4%A").parts, ["search", "%E0%A4%A"]);
});
