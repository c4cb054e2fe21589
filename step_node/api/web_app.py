"""What the operator says of the web app: whether this node serves it, and which others of the chain it may ask."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class WebApp:
    """`nodes` are origins, as `https://node.example`: the app asks them when this node does not answer. Both may change
    while the node runs."""

    is_served: bool = True
    nodes: tuple[str, ...] = ()


def app_url(api_url: str) -> str:
    """Where the app is, at a node whose API is here."""
    return f"{api_url}/app/"
