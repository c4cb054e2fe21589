import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { STEPS, verdictOn } from "../src/receipts/checking.ts";
import { base45, bytesOfBase45 } from "../src/receipts/base45.ts";
import { codeOf, jsonOf, receiptOfFile, receiptOfText } from "../src/receipts/forms.ts";
import { steps } from "../src/texts/receipt.ts";
import { numbers } from "./chance.ts";

interface Vector {
  name: string;
  genesis: string;
  json: string;
  cbor: string;
  step: string;
}
const vectors = JSON.parse(readFileSync("../../tests/vectors/receipts.json", "utf8"));
const valid: Vector[] = vectors.valid;
const genesisOf = ({ genesis }: Vector) => JSON.stringify(vectors.genesis[genesis].file);
const bytes = (text: string) => new TextEncoder().encode(text);

test("base 45 is that of RFC 9285", () => {
  for (const [plain, text] of [["AB", "BB8"], ["Hello!!", "%69 VD92EX0"], ["base-45", "UJCLQE7W581"], ["ietf!", "QED8WEX0"], ["", ""]] as const) {
    assert.equal(base45(bytes(plain)), text);
    assert.deepEqual(bytesOfBase45(text), bytes(plain));
  }
  // One character too many, one of none of the 45, and two values that no bytes have.
  for (const text of ["BB8A", "bb8", ":::", "GGW", "::"]) assert.equal(bytesOfBase45(text), null);
});

test("any bytes come back from base 45", () => {
  const chance = numbers(3);
  for (let length = 0; length < 300; length += 1) {
    const some = Uint8Array.from({ length }, () => Math.floor(chance() * 256));
    assert.deepEqual(bytesOfBase45(base45(some)), some);
    assert.doesNotMatch(base45(some), /\s$/);
  }
});

test("what a QR code holds gives the receipt back, to the last byte", () => {
  let long = 0;
  for (const vector of valid) {
    const code = codeOf(vector.json);
    if (code === null) {
      long += 1;
      continue;
    }
    assert.match(code, /^[0-9A-Z $%*+./:-]+$/);
    const read = receiptOfText(` ${code}\n`);
    assert.ok(read instanceof Uint8Array);
    assert.equal(jsonOf(read), vector.json);
    assert.ok(verdictOn(read, genesisOf(vector)).isTrue, vector.name);
  }
  assert.ok(long < valid.length, "none fits into a code");
});

test("a file in either form, or with the text of a code, is what it was", () => {
  for (const vector of valid) {
    assert.equal(receiptOfFile(bytes(vector.json)), vector.json);
    assert.equal(jsonOf(receiptOfFile(Uint8Array.from(Buffer.from(vector.cbor, "hex")))), vector.json);
    assert.equal(receiptOfFile(bytes(`${vector.json}\n`)), vector.json);
  }
});

test("a receipt that holds says what it proves, and where it says the account was", () => {
  const verdict = verdictOn(valid[0]!.json, genesisOf(valid[0]!));
  assert.ok(verdict.isTrue);
  assert.deepEqual(verdict.place, {
    ...{ triangleId: "STEP-TRI-v1:P10-13131312000000000000-VV7", lat: "47.3769", lon: "8.5417" },
    ...{ accuracyM: "5", timestamp: "2025-10-09T08:53:20.000Z" },
  });
});

test("one that does not is refused at its step, for which there are words", () => {
  assert.deepEqual(Object.keys(steps), [...STEPS]);
  const seen = new Set<string>();
  for (const vector of vectors.wrong as Vector[]) {
    const verdict = verdictOn(vector.json ?? Uint8Array.from(Buffer.from(vector.cbor, "hex")), genesisOf(vector));
    assert.ok(!verdict.isTrue, vector.name);
    assert.equal(verdict.step, vector.step, vector.name);
    seen.add(verdict.step);
  }
  assert.equal(seen.size, STEPS.length);
});

test("what is no receipt at all is refused by its form", () => {
  for (const text of ["", "hello", "{}", "STEP-RECEIPT-V1:", "STEP-RECEIPT-V1:!", "https://example.org/"]) {
    const verdict = verdictOn(receiptOfText(text), genesisOf(valid[0]!));
    assert.ok(!verdict.isTrue);
    assert.equal(verdict.step, "form");
  }
});
