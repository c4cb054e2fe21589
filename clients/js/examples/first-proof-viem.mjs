// A first proof with viem and nothing else: node first-proof-viem.mjs
import { generatePrivateKey, privateKeyToAccount } from "viem/accounts";

const url = process.env.STEP_NODE ?? "http://127.0.0.1:8600";
const signer = privateKeyToAccount(generatePrivateKey()); // Or a key of your own: 0x and 64 hex digits.
const [lat, lon, accuracy] = [47.3769, 8.5417, 5]; // Of a fresh fix, rounded to 7 decimals.

const place = await fetch(`${url}/mesh/triangleAt?lat=${lat}&lon=${lon}&level=active`);
const { triangleId } = (await place.json()).result;

const account = signer.address.toLowerCase();
const timestamp = new Date().toISOString();
const nonce = crypto.randomUUID();
const message =
  `STEP-PROOF-v1|account:${account}|triangle:${triangleId}|lat:${lat}|lon:${lon}` +
  `|acc:${accuracy}|ts:${timestamp}|nonce:${nonce}`;
const signature = await signer.signMessage({ message });

const payload = { version: "STEP-PROOF-v1", account, triangleId, lat, lon, accuracy, timestamp, nonce };
const answer = await fetch(`${url}/proof/submit?wait_ms=10000`, {
  method: "POST",
  headers: { "content-type": "application/json" },
  body: JSON.stringify({ payload, signature }), // Keep it: sent again, it gives what became of it.
});
console.log(answer.status, await answer.json());
