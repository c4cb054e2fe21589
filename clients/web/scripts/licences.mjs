// The licences of what is bundled, which ask to go with it: `licences.txt`, in the wheel beside the files.
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { root } from "./bundling.mjs";

/** Its outlines are in the bundle as arrays; no file of it is. */
const DATA = ["world-atlas"];

/** `inputs`: the files that esbuild has read. */
export async function licences(inputs) {
  const bundled = inputs.map((path) => /node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1]).filter((name) => name !== undefined);
  const names = [...new Set([...bundled, ...DATA])].sort();
  const told = await Promise.all(names.map(licence));
  return told.join(`\n${"-".repeat(80)}\n\n`);
}

async function licence(name) {
  const folder = join(root, "node_modules", name);
  const { version, license } = JSON.parse(await readFile(join(folder, "package.json"), "utf8"));
  const file = (await readdir(folder)).find((entry) => /^licen[cs]e/i.test(entry));
  // A package without the text has it from its repository.
  const text = await readFile(file ? join(folder, file) : join(root, "licences", `${name}.txt`), "utf8");
  return `${name} ${version} (${license})\n\n${text.trim()}\n`;
}
