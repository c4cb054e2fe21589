"""The web app's modules that need no page, run in a real Node."""

from __future__ import annotations

import json
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest

from tests.javascript.node import CLIENT, NODE, ROOT, run_node

WEB: Final = ROOT / "clients" / "web"

needs_web_packages: Final = pytest.mark.skipif(
    not (WEB / "node_modules").is_dir(),
    reason="clients/web/node_modules is not there: npm ci in clients/web, which wants npm's registry",
)
"""For what runs the app's sources: esbuild makes JavaScript of them."""


def evaluate(module: str, expression: str, given: object = None) -> Any:
    """The value of a JavaScript expression in which `web` is a module of clients/web/src, `web.step` the client that
    it is bundled with, and `given` what is handed in, as JSON. It may be a promise."""
    program = (
        f"import * as web from {json.dumps(_made(module).as_uri())};"
        "import { readFileSync } from 'node:fs';"
        "const given = JSON.parse(readFileSync(0, 'utf8'));"
        f"console.log(JSON.stringify(await ({expression})));"
    )
    return json.loads(run_node("--input-type=module", "--eval", program, stdin=json.dumps(given)))


@cache
def _made(module: str) -> Path:
    """One file of a module and all that it takes."""
    target = _folder() / f"{module.replace('/', '-')}.mjs"
    packages = WEB / "node_modules"
    subprocess.run(
        [
            NODE,
            packages / "esbuild" / "bin" / "esbuild",
            "--bundle",
            "--format=esm",
            "--target=es2022",
            "--log-level=error",
            f"--outfile={target}",
            f"--alias:step-client={CLIENT / 'src' / 'index.js'}",
            *(f"--alias:@noble/{name}={packages / '@noble' / name}" for name in ("hashes", "secp256k1")),
        ],
        cwd=WEB,
        input=f'export * from "./src/{module}"; export * as step from "step-client";',
        text=True,
        check=True,
        timeout=60,
    )
    return target


@cache
def _folder() -> Path:
    # The process's own, not a test's: what one test has made, the next one takes.
    return Path(tempfile.mkdtemp(prefix="step-web-"))
