"""What the operator says of the web app: whether this node serves it, and which others of the chain it may ask."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from step_node.errors import StepNodeError

WALLET_ADAPTER_BYTES_MAX: Final = 4 * 1024 * 1024
"""A connector with all that it needs in one file; a larger one is refused."""


@dataclass(slots=True)
class WebApp:
    """`nodes` are origins, as `https://node.example`: the app asks them when this node does not answer. All may change
    while the node runs.

    `wallet_adapter` is a module of the operator's that offers one more wallet (ADR 60), and `wallet_origins` are what
    that one asks. `base_map` is a file of tiles (step_node/api/base_map.py).
    """

    is_served: bool = True
    nodes: tuple[str, ...] = ()
    wallet_adapter: bytes | None = field(default=None, repr=False)
    wallet_origins: tuple[str, ...] = ()
    base_map: Path | None = None


def app_url(api_url: str) -> str:
    """Where the app is, at a node whose API is here."""
    return f"{api_url}/app/"


def read_wallet_adapter(path: Path) -> bytes:
    """The module at `path`. Raises StepNodeError if it cannot be read, or is too large."""
    try:
        with path.open("rb") as file:
            content = file.read(WALLET_ADAPTER_BYTES_MAX + 1)
    except OSError as error:
        raise StepNodeError(f"api.web_app_wallet: {path} cannot be read: {error.strerror}") from error
    if len(content) > WALLET_ADAPTER_BYTES_MAX:
        raise StepNodeError(f"api.web_app_wallet: {path} must be at most {WALLET_ADAPTER_BYTES_MAX} bytes; minify it")
    return content
