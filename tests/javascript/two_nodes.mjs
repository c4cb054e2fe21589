// Run by test_networks.py: a proof is accepted by the first of two nodes, which is then killed, and followed to the end.
import { randomBytes } from "node:crypto";
import { locate, privateKeySigner, proofId, StepClient } from "../../clients/js/step-client.js";

const urls = process.argv.slice(2);
const ZURICH = { lat: 47.3769, lon: 8.5417, accuracy: 5 };
const say = (document) => console.log(JSON.stringify(document));
const killed = new Promise((resolve) => process.stdin.resume().once("end", resolve));

const client = new StepClient(urls);
const signer = privateKeySigner(randomBytes(32));
const first = await client.prove(signer, ZURICH, { level: 10 });
say({ what: "first", ...first });

const to = `0x${randomBytes(20).toString("hex")}`;
await client.sendTransfer(await client.signTransfer(signer, { to, amount: "0.001", memo: "half of it" }));
say({ what: "sent", from: (await client.account(signer.account)).balance, to: (await client.account(to)).balance });

const signed = await client.sign(privateKeySigner(randomBytes(32)), ZURICH, { level: 10 });
const accepted = await client.submit(signed, { waitMs: 0 });
say({ what: "accepted", ...accepted });
await killed;
say({ what: "followed", ...(await client.follow(signed)) });

// Sent again, to a node that was never asked, it is the same proof, paid once.
const again = await new StepClient(urls[1]).submit(signed);
say({ what: "again", ...again });

const others = await Promise.all(
  Array.from({ length: 5 }, async (_, index) => {
    const signer = privateKeySigner(randomBytes(32));
    return client.sign(signer, { ...ZURICH, lat: ZURICH.lat + index }, { level: 10 });
  }),
);
const outcomes = await client.submitMany(others);
say({ what: "many", outcomes, expected: others.map(({ payload }) => proofId(payload)) });
const { balance } = await client.account(others[0].payload.account);
say({ what: "balance", balance, isThere: locate(48.3769, 8.5417, 10) === others[1].payload.triangleId });
