"""What the app's first screen loads before it can draw: no cryptography of keys, no receipts, no outlines."""

from __future__ import annotations

import json

from tests.web.app import needs_packages, run_in_app

PARTS = """
import { build } from "esbuild";
import { common } from "./scripts/bundling.mjs";
const { metafile: { outputs } } = await build({
  ...common, write: false, metafile: true, splitting: true, entryPoints: { app: "src/main.tsx" }, outdir: "made",
});
const first = (entry) => Object.keys(outputs).find((name) => outputs[name].entryPoint === entry);
const seen = new Set();
const visit = (name) => {
  if (seen.has(name)) return;
  seen.add(name);
  for (const { kind, path } of outputs[name].imports) if (kind === "import-statement") visit(path);
};
visit(first("src/main.tsx"));
visit(first("src/views/globe/globe.tsx"));
console.log(JSON.stringify([...seen].flatMap((name) => Object.keys(outputs[name].inputs))));
"""


@needs_packages
def test_the_first_screen_loads_what_it_shows_and_no_more() -> None:
    modules: list[str] = json.loads(run_in_app("--input-type=module", "--eval", PARTS))
    assert any(module.endswith("globe/stage.ts") for module in modules)
    too_much = ("secp256k1", "sha3", "src/receipts.js", "src/client.js", "outlines:", "views/wallet", "views/prove")
    programs = [module for module in modules if not module.endswith(".css")]
    assert [module for module in programs if any(part in module for part in too_much)] == []
