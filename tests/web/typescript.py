"""The web app's modules that need no page, run in a real Node."""

from __future__ import annotations

import json
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from tests.javascript.node import run_node
from tests.web.app import WEB, needs_packages, run_in_app

needs_web_packages = needs_packages
"""For what runs the app's sources: esbuild makes JavaScript of them."""


def evaluate(module: str, expression: str, given: object = None) -> Any:
    """The value of a JavaScript expression in which `web` is a module of clients/web/src, `web.step` the client that
    it is bundled with, and `given` what is handed in, as JSON. It may be a promise."""
    program = (
        f"import * as web from {json.dumps(_made(module).as_uri())};"
        "import { readFileSync } from 'node:fs';"
        "const given = JSON.parse(readFileSync(0, 'utf8'));"
        # A module may have a channel to other tabs open, and Node would wait for ever for what comes by it.
        f"process.stdout.write(JSON.stringify(await ({expression})), () => process.exit());"
    )
    return json.loads(run_node("--input-type=module", "--eval", program, stdin=json.dumps(given)))


@cache
def _made(module: str) -> Path:
    """One file of a module and all that it takes."""
    target = _folder() / f"{module.replace('/', '-')}.mjs"
    made = {
        "outfile": str(target),
        "minify": False,
        "platform": "node",
        "stdin": {
            "contents": f'export * from "./src/{module}"; export * as step from "step-client";',
            "resolveDir": str(WEB),
        },
    }
    program = (
        'import { build } from "esbuild"; import { common } from "./scripts/bundling.mjs";'
        f"await build({{ ...common, ...{json.dumps(made)} }});"
    )
    run_in_app("--input-type=module", "--eval", program)
    return target


@cache
def _folder() -> Path:
    # The process's own, not a test's: what one test has made, the next one takes.
    return Path(tempfile.mkdtemp(prefix="step-web-"))
