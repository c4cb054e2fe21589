// How esbuild bundles what is in src/: for the app, and for its tests.
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { outlines } from "./outlines.mjs";

export const root = fileURLToPath(new URL("..", import.meta.url));
export const client = join(root, "../js");

export const common = {
  absWorkingDir: root,
  bundle: true,
  format: "esm",
  minify: true,
  target: "es2022",
  legalComments: "none",
  jsx: "automatic",
  jsxImportSource: "preact",
  plugins: [outlines(root)],
  // One copy of noble, also for what the client takes of it. Of the client each page takes the modules that it needs, such as
  // `step-client/mesh.js`: by way of `index.js` the first page would load all that any page uses.
  alias: {
    "step-client": join(client, "src"),
    "@noble/hashes": join(root, "node_modules/@noble/hashes"),
    "@noble/secp256k1": join(root, "node_modules/@noble/secp256k1"),
  },
};
