// Run tests/*.test.ts (or those that are named) with Node's own runner: bundled first, since Node 20 reads no TypeScript.
// What a test imports of `src` must get by without a document.
import { spawnSync } from "node:child_process";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { build } from "esbuild";
import { common, root } from "./bundling.mjs";

const named = process.argv.slice(2);
const all = (await readdir(join(root, "tests"))).filter((name) => name.endsWith(".test.ts")).map((name) => join("tests", name));
const files = named.length ? named : all;

const folder = await mkdtemp(join(tmpdir(), "step-web-tests-"));
let status;
try {
  await build({ ...common, minify: false, sourcemap: "inline", platform: "node", entryPoints: files, outdir: folder, outExtension: { ".js": ".mjs" } });
  const made = files.map((name) => join(folder, basename(name).replace(/\.ts$/, ".mjs")));
  ({ status } = spawnSync(process.execPath, ["--enable-source-maps", "--test", "--test-reporter=tap", ...made], { stdio: "inherit" }));
} finally {
  await rm(folder, { recursive: true, force: true });
}
process.exit(status ?? 1);
