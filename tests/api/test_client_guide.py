"""The page for authors of clients keeps true: its code signs real proofs, and it leaves out no code and no route."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import httpx

from step_node.api.models.schema import EXAMPLE_SUBMISSION

DOCS = Path(__file__).parents[2] / "docs"
GUIDE = (DOCS / "clients.md").read_text(encoding="utf-8")
ENDPOINTS = (DOCS / "endpoints.md").read_text(encoding="utf-8")
CODES = (DOCS / "codes.md").read_text(encoding="utf-8")


async def test_every_route_is_described(client: httpx.AsyncClient) -> None:
    paths = (await client.get("/openapi.json")).json()["paths"]
    assert [path for path in paths if path not in GUIDE + ENDPOINTS] == []


async def test_every_key_of_the_configuration_is_described(client: httpx.AsyncClient) -> None:
    keys = (await client.get("/proof/config")).json()
    assert [key for key in keys if key.isupper() and f"`{key}`" not in GUIDE + CODES] == []


def test_the_python_example_makes_the_proof_of_all_examples() -> None:
    blocks = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)
    (code,) = (block for block in blocks if "def signed_proof(" in block)
    names: dict[str, Any] = {}
    exec(code, names)
    payload: Any = EXAMPLE_SUBMISSION["payload"]
    signed = names["signed_proof"](
        "0x" + "1".rjust(64, "0"),
        payload["triangleId"],
        payload["lat"],
        payload["lon"],
        payload["accuracy"],
        payload["timestamp"],
        payload["nonce"],
    )
    assert signed == EXAMPLE_SUBMISSION
