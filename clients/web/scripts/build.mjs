// Make the web app that nodes serve, of src/ and the packages that package-lock.json pins: into step_node/api/web, which is
// in the wheel, so that nobody who runs a node needs Node. With --check nothing is written, and it fails if what is there
// is not what src/ gives. `made-of.json` has the SHA-256 of what it was made of, so that a test can tell without npm that it
// is stale.
import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { build } from "esbuild";
import { client, common, root } from "./bundling.mjs";
import { firstScreen } from "./first-screen.mjs";
import { licences } from "./licences.mjs";
import { page } from "./page.mjs";

const repository = join(root, "../..");
const target = join(repository, "step_node/api/web");

const files = async (folder) =>
  (await readdir(folder, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();

const sha256 = (content) => createHash("sha256").update(content).digest("hex");

async function sourcesHash() {
  const of = [...(await files(join(root, "src"))), ...(await files(join(root, "static"))), ...(await files(join(client, "src")))];
  const hash = createHash("sha256");
  const scripts = ["build.mjs", "bundling.mjs", "first-screen.mjs", "licences.mjs", "outlines.mjs", "page.mjs"].map((name) => join(root, "scripts", name));
  for (const path of [...of, join(root, "package-lock.json"), ...scripts]) {
    hash.update(`${relative(repository, path)}\n`).update(await readFile(path));
  }
  return hash.digest("hex");
}

/** What the page holds itself, and what else `start_url` of the manifest shows. */
const FRAME = "src/main.tsx";
const FIRST_SCREEN = ["src/shell/later.tsx", "src/views/globe/globe.tsx"];
const KEPT_BYTES_MAX = 200_000;

/** Every file that is served, by its name. What changes name when it changes lies in `parts/`, and may be kept for ever. */
async function made() {
  const served = new Map();
  const app = await build({
    ...common,
    write: false,
    entryPoints: { app: FRAME, pages: "src/shell/pages.css" },
    splitting: true,
    outdir: target,
    entryNames: "parts/[name]-[hash]",
    chunkNames: "parts/[name]-[hash]",
    metafile: true,
  });
  const outputs = new Map(
    Object.entries(app.metafile.outputs).map(([path, output]) => {
      const imports = output.imports.filter(({ external }) => !external).map((one) => ({ ...one, path: relative(target, join(root, one.path)) }));
      return [relative(target, join(root, path)), { ...output, imports }];
    }),
  );
  const made = (source) => [...outputs].find(([, { entryPoint }]) => entryPoint === source)[0];
  const scripts = new Map();
  for (const file of app.outputFiles) {
    const name = relative(target, file.path);
    if (name.endsWith(".js")) scripts.set(name, file.text);
    else served.set(name, Buffer.from(file.contents));
  }
  const { parts, first, frame } = await firstScreen(scripts, outputs, { frame: [made(FRAME)], others: FIRST_SCREEN.map(made) });
  for (const [name, text] of parts) served.set(name, Buffer.from(text));
  for (const path of await files(join(root, "static"))) served.set(relative(join(root, "static"), path), await readFile(path));
  served.set("index.html", Buffer.from(await page(served.get("index.html").toString(), { first, frame, styles: made("src/shell/pages.css") })));

  // The service worker keeps what it is told here; its version is a hash of it all. What is large is kept once it is wanted.
  const version = sha256([...served].sort().map(([name, content]) => name + sha256(content)).join()).slice(0, 16);
  const kept = [...served].filter(([, content]) => content.length <= KEPT_BYTES_MAX).map(([name]) => name).sort();
  const worker = await build({
    ...common,
    write: false,
    entryPoints: ["src/service-worker/worker.ts"],
    format: "iife",
    outdir: target,
    define: { FILES: JSON.stringify(kept), VERSION: JSON.stringify(version) },
  });
  served.set("service-worker.js", Buffer.from(worker.outputFiles[0].contents));
  served.set("licences.txt", Buffer.from(await licences(Object.keys(app.metafile.inputs))));
  served.set("made-of.json", Buffer.from(`${JSON.stringify({ sha256: await sourcesHash() })}\n`));
  return served;
}

const served = await made();
if (process.argv.includes("--check")) {
  const there = new Map();
  for (const path of await files(target).catch(() => [])) there.set(relative(target, path), await readFile(path));
  const differing = [...new Set([...served.keys(), ...there.keys()])].filter((name) => !served.has(name) || !there.get(name)?.equals(served.get(name)));
  if (differing.length) {
    console.error(`step_node/api/web is not what src/ gives (${differing.join(", ")}): run \`npm run build\``);
    process.exit(1);
  }
} else {
  await rm(target, { recursive: true, force: true });
  for (const [name, content] of served) {
    await mkdir(join(target, name, ".."), { recursive: true });
    await writeFile(join(target, name), content);
  }
}
