// Make src/codes.js out of clients/codes.json, which the node's own table makes. With --check nothing is written.
import { readFile, writeFile } from "node:fs/promises";

const source = new URL("../../codes.json", import.meta.url);
const target = new URL("../src/codes.js", import.meta.url);
const { codes } = JSON.parse(await readFile(source, "utf8"));
const rows = codes.map(({ code, status, retryable }) => `  ${code}: { status: ${status}, retryable: ${retryable} },`);
const made = `// Made by scripts/codes.mjs of the node's table of codes (docs/codes.md says what each means).

/** @type {Record<string, {status: number, retryable: boolean}>} */
export const CODES = {
${rows.join("\n")}
};
`;
if (!process.argv.includes("--check")) {
  await writeFile(target, made);
} else if ((await readFile(target, "utf8")) !== made) {
  console.error("src/codes.js is not what clients/codes.json gives: run node scripts/codes.mjs");
  process.exit(1);
}
