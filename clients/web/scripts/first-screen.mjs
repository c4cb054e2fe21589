// esbuild splits what pages share into many small parts. Over a slow network the number of requests counts more than their
// size, and the first screen would need some thirty: all that it loads is put into one file. Other parts take from that file
// what they took from the parts in it, so that there is still one copy of everything.
import { createHash } from "node:crypto";
import { basename } from "node:path";
import { build } from "esbuild";

/** `parts`: the text of each output by its name; `outputs`: what esbuild's metafile says of them, by the same names;
 * `names`: the entry, and what else the first screen runs. Gives the parts to serve, and the name of the one file. */
export async function firstScreen(parts, outputs, names) {
  const within = withImports(outputs, names);
  const one = await bundled(parts, outputs, within);
  // Of names that stay the same only while all stays the same: whoever takes something from the file is named after it.
  const hash = createHash("sha256").update(one).digest("hex").slice(0, 8).toUpperCase();
  const first = `parts/first-${hash}.js`;
  const takers = [...parts.keys()].filter((name) => !within.includes(name) && takesFrom(name, within, outputs));
  const renamed = new Map(takers.map((name) => [basename(name), basename(name).replace(/\.js$/, `-${hash}.js`)]));
  const rename = (text) => [...renamed].reduce((before, [name, to]) => before.replaceAll(name, to), text);

  const made = new Map([[first, rename(one)]]);
  for (const [name, text] of parts) {
    if (within.includes(name)) continue;
    const to = renamed.get(basename(name));
    made.set(to ? `parts/${to}` : name, to ? rename(taking(text, within, basename(first))) : text);
  }
  return { parts: made, first };
}

function withImports(outputs, names) {
  const found = [];
  const add = (name) => {
    if (found.includes(name)) return;
    found.push(name);
    for (const { path, kind } of outputs.get(name).imports) if (kind === "import-statement") add(path);
  };
  names.forEach(add);
  return found;
}

/** Also by way of others. */
function takesFrom(name, within, outputs, seen = new Set()) {
  if (within.includes(name)) return true;
  if (seen.has(name)) return false;
  seen.add(name);
  return outputs.get(name).imports.some(({ path }) => takesFrom(path, within, outputs, seen));
}

/** What a part gives is given under its own name and the part's: `chunk_ABC_x`. */
const given = (name, what) => `${basename(name, ".js").replace(/\W/g, "_")}_${what}`;

async function bundled(parts, outputs, within) {
  const lines = within.map((name) => {
    const all = outputs.get(name).exports.map((what) => `${what} as ${given(name, what)}`);
    return all.length ? `export { ${all.join(", ")} } from "./${basename(name)}";` : `import "./${basename(name)}";`;
  });
  const ofMemory = {
    name: "of memory",
    setup(build) {
      build.onResolve({ filter: /^\.\// }, ({ path }) => {
        const name = `parts/${basename(path)}`;
        return within.includes(name) ? { path: name, namespace: "parts" } : { path, external: true };
      });
      build.onLoad({ filter: /.*/, namespace: "parts" }, ({ path }) => ({ contents: parts.get(path), loader: "js" }));
    },
  };
  const { outputFiles } = await build({
    stdin: { contents: lines.join("\n") },
    bundle: true,
    format: "esm",
    minify: true,
    target: "es2022",
    legalComments: "none",
    write: false,
    plugins: [ofMemory],
  });
  return outputFiles[0].text;
}

/** The text of a part that takes from the one file what it took from those in it. Imports are as esbuild writes them. */
function taking(text, within, first) {
  const replaced = text.replace(/import(?:\{([^{}]*)\}from)?"\.\/([\w.-]+)"/g, (whole, taken, from) => {
    const name = `parts/${from}`;
    if (!within.includes(name)) return whole;
    if (taken === undefined) return `import"./${first}"`;
    const each = taken.split(",").map((one) => {
      const [what, as = what] = one.split(" as ");
      return `${given(name, what)} as ${as}`;
    });
    return `import{${each.join(",")}}from"./${first}"`;
  }).replace(/import\("\.\/([\w.-]+)"\)/g, (whole, from) => {
    const name = `parts/${from}`;
    // A page of the first screen, from another page.
    return within.includes(name) ? `import("./${first}").then(($)=>({default:$.${given(name, "default")}}))` : whole;
  });
  const left = within.find((name) => replaced.includes(`"./${basename(name)}"`));
  if (left) throw new Error(`${left} is taken from in a way that this script does not know`);
  return replaced;
}
