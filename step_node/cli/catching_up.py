"""Waiting until a node serves and is where its peers are, saying meanwhile how far it has come."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from step_node.cli.error_lines import CommandError
from step_node.cli.output import plain
from step_node.cli.waiting import Lacking, wait_until

TELL_SECONDS: Final = 5.0
"""How often it is told at most."""


def wait_until_caught_up(url: str, wait_seconds: float) -> None:
    """Return once the node is ready and not behind most of its peers, telling on standard error what it waits for.

    A node that does not answer yet is waited for too: it may be starting. Raises CommandError after `wait_seconds`.
    """
    from step_node.cli.http_calls import get_json

    def look() -> Lacking | None:
        try:
            sentence = what_is_lacking(get_json(url, "/status"), get_json(url, "/health"))
        except CommandError as error:
            sentence = str(error)
        return None if sentence is None else Lacking(sentence)

    wait_until(look, unmet="not ready", wait_seconds=wait_seconds, tell_seconds=TELL_SECONDS)


def what_is_lacking(status: Mapping[str, object], health: Mapping[str, object]) -> str | None:
    """Why the node is not ready and at the head yet, by its answers; None if it is.

    What single peers say of their height is not believed, but what more than half of them have passed.
    """
    height, peers = status.get("height"), status.get("peers")
    if not isinstance(height, int) or not isinstance(peers, list):
        return f"{plain(status.get('code'))}: {plain(status.get('message'))}"
    told = sorted(peer["height"] for peer in peers if isinstance(peer, dict) and isinstance(peer.get("height"), int))
    passed = told[(len(told) - 1) // 2] if told else 0
    if status.get("syncing") is True or passed > height + 1:
        return f"catching up: height {height} of {max(passed, height)}, with {len(peers)} peers"
    if health.get("ready") is not True:
        reasons = health.get("reasons")
        first = next((one for one in reasons if isinstance(one, dict)), {}) if isinstance(reasons, list) else {}
        return f"not ready: {plain(first.get('code'))}: {plain(first.get('message'))}"
    return None
