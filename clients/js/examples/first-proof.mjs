// A first proof with step-client: node first-proof.mjs
import { randomBytes } from "node:crypto";
import { privateKeySigner, StepClient } from "step-client";

const client = new StepClient([process.env.STEP_NODE ?? "http://127.0.0.1:8600"]); // Name several, if you know several.
const signer = privateKeySigner(randomBytes(32)); // Or a key of your own: 64 hex digits.

const outcome = await client.prove(signer, { lat: 47.3769, lon: 8.5417, accuracy: 5 });
console.log(`final at height ${outcome.height}: ${outcome.reward} STEP for ${signer.account} in ${outcome.triangleId}`);
