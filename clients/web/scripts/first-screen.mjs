// esbuild splits what pages share into many small parts. Over a slow network the number of requests counts more than their
// size, and the first screen would need some thirty. So there are two files of it: the frame, which stands in the page
// itself, and all else that the first screen runs, which the page asks for at once. Other parts take from these two what they
// took from the parts in them, so that there is still one copy of everything.
import { createHash } from "node:crypto";
import { basename } from "node:path";
import { build } from "esbuild";

/** What the frame gives to others: a script that stands in a page has no address to import from. */
const FRAME = "stepFrame";

/** `parts`: the text of each output by its name; `outputs`: what esbuild's metafile says of them, by the same names; `frame`
 * and `others`: the names of what each of the two files is of. Gives the parts to serve, the frame, and the name of the file. */
export async function firstScreen(parts, outputs, { frame, others }) {
  const inFrame = withImports(outputs, frame);
  const inFirst = withImports(outputs, others).filter((name) => !inFrame.includes(name));
  const framed = await bundled(parts, outputs, inFrame, { format: "iife", globalName: FRAME });
  const one = await bundled(parts, outputs, inFirst, { format: "esm" });

  // Of names that stay the same only while all stays the same: whoever takes something from the two is named after them.
  const hash = createHash("sha256").update(framed).update(one).digest("hex").slice(0, 8).toUpperCase();
  const first = `parts/first-${hash}.js`;
  const within = [...inFrame, ...inFirst];
  const takers = [...parts.keys()].filter((name) => !within.includes(name) && takesFrom(name, within, outputs));
  const renamed = new Map(takers.map((name) => [basename(name), basename(name).replace(/\.js$/, `-${hash}.js`)]));
  const rename = (text) => [...renamed].reduce((before, [name, to]) => before.replaceAll(name, to), text);
  const taking = (text) => rename(takenFrom(text, outputs, inFrame, inFirst, basename(first)));

  const made = new Map([[first, taking(one)]]);
  for (const [name, text] of parts) {
    if (within.includes(name)) continue;
    const to = renamed.get(basename(name));
    made.set(to ? `parts/${to}` : name, to ? taking(text) : text);
  }
  // The page is one folder above the parts.
  return { parts: made, first, frame: taking(framed).replaceAll('import("./', 'import("./parts/') };
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

async function bundled(parts, outputs, within, how) {
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
    ...how,
    stdin: { contents: lines.join("\n") },
    bundle: true,
    minify: true,
    target: "es2022",
    legalComments: "none",
    write: false,
    plugins: [ofMemory],
  });
  return outputFiles[0].text;
}

/** The text of a part that takes from the two what it took from those in them. Imports are as esbuild writes them. */
function takenFrom(text, outputs, inFrame, inFirst, first) {
  const replaced = text.replace(/import(?:\{([^{}]*)\}from)?"\.\/([\w.-]+)"/g, (whole, taken, from) => {
    const name = `parts/${from}`;
    const isFramed = inFrame.includes(name);
    if (!isFramed && !inFirst.includes(name)) return whole;
    if (taken === undefined) return isFramed ? "0" : `import"./${first}"`;
    const each = taken.split(",").map((one) => {
      const [what, as = what] = one.split(" as ");
      return isFramed ? `${given(name, what)}:${as}` : `${given(name, what)} as ${as}`;
    });
    return isFramed ? `const{${each.join(",")}}=${FRAME}` : `import{${each.join(",")}}from"./${first}"`;
  }).replace(/import\("\.\/([\w.-]+)"\)/g, (whole, from) => {
    const name = `parts/${from}`;
    const isFramed = inFrame.includes(name);
    if (!isFramed && !inFirst.includes(name)) return whole;
    const all = outputs.get(name).exports.map((what) => `${what}:$.${given(name, what)}`);
    return `${isFramed ? `Promise.resolve(${FRAME})` : `import("./${first}")`}.then(($)=>({${all.join(",")}}))`;
  });
  const left = [...inFrame, ...inFirst].find((name) => replaced.includes(`"./${basename(name)}"`));
  if (left) throw new Error(`${left} is taken from in a way that this script does not know`);
  return replaced;
}
