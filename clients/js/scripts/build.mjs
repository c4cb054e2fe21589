// Make step-client.js, the one file that programs and pages load, of src/ and the two noble packages that package-lock.json
// pins. With --check nothing is written, and it fails if the file is not what they give.
// Its second line has the SHA-256 of what it was made of, so that a test can tell without npm that it is stale.
import { createHash } from "node:crypto";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const root = fileURLToPath(new URL("..", import.meta.url));
const target = `${root}step-client.js`;
const { devDependencies: pinned, version } = JSON.parse(await readFile(`${root}package.json`, "utf8"));

const sources = (await readdir(`${root}src`)).filter((name) => name.endsWith(".js")).sort().map((name) => `src/${name}`);
const hash = createHash("sha256");
for (const name of [...sources, "package.json"]) hash.update(await readFile(root + name));
const packages = ["@noble/hashes", "@noble/secp256k1"].map((name) => `${name} ${pinned[name]}`).join(", ");

const { outputFiles } = await build({
  absWorkingDir: root,
  entryPoints: ["src/index.js"],
  banner: {
    js: `// step-client ${version} (Apache-2.0), with parts of ${packages} (MIT, (c) Paul Miller: LICENSE-noble).
// Made by scripts/build.mjs of src/; sha256 ${hash.digest("hex")}.`,
  },
  bundle: true,
  format: "esm",
  minify: true,
  target: "es2022",
  write: false,
});
const made = outputFiles[0].text;
if (!process.argv.includes("--check")) {
  await writeFile(target, made);
} else if ((await readFile(target, "utf8")) !== made) {
  console.error("step-client.js is not what src/ gives: run `npm run build`");
  process.exit(1);
}
