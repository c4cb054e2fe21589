"""`step-node status`: what a running node says of itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import typer

from step_node.cli.catching_up import wait_until_caught_up
from step_node.cli.output import plain, print_json, print_table


def status(
    url: Annotated[str, typer.Option(help="Address of the node's API.")] = "http://127.0.0.1:8600",
    wait_seconds: Annotated[
        float,
        typer.Option(
            min=0,
            max=1_000_000,
            metavar="SECONDS",
            help="First wait for so long until it is ready and has its peers' height, saying how far it has come.",
        ),
    ] = 0.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the node's answer as it is, one JSON object.")] = False,
) -> None:
    """Ask a running node for its health, its height and state, who its peers are, and which validators are connected.

    Exit status 0 if it is healthy or degraded, 1 if it is down or cannot be reached, or not ready after --wait-seconds.

    Example: step-node status --url http://127.0.0.1:8600
    """
    from step_node.cli.http_calls import get_json

    if wait_seconds:
        wait_until_caught_up(url, wait_seconds)
    answer = get_json(url, "/status")
    health = get_json(url, "/health")
    if as_json:
        print_json({**answer, "health": health})
    else:
        _print(answer, health)
    if health.get("status") == "down":
        raise typer.Exit(1)


def _print(answer: dict[str, object], health: dict[str, object]) -> None:
    """One line for each thing, then a table each of peers and validators; nothing is broken or cut."""
    peers, validators = _rows(answer, "peers"), _rows(answer, "validators")
    lines: list[tuple[str, object]] = [("health", health.get("status")), ("ready", health.get("ready"))]
    lines += [("reason", f"{one.get('code')}: {one.get('message')}") for one in _rows(health, "reasons")]
    for name, value in answer.items():
        if isinstance(value, list) and name not in ("peers", "validators"):
            lines.extend((name, item) for item in value)
        elif isinstance(value, dict):
            lines.extend((name, f"{key}: {'on' if is_on else 'off'}") for key, is_on in value.items())
        elif not isinstance(value, list) and name != "ok":
            lines.append((name, value))
    width = max(len(name) for name, _ in lines)
    for name, value in lines:
        typer.echo(f"{plain(name):<{width}}  {plain(value)}".rstrip())
    _print_peers(peers)
    _print_validators(validators, answer, {peer.get("peerId"): peer for peer in peers})


def _print_peers(peers: list[dict[str, object]]) -> None:
    typer.echo(f"\n{len(peers)} peers")
    if peers:
        fields = ("peerId", "direction", "version", "height", "validator", "address")
        print_table(("peer id", *fields[1:]), [[peer.get(field) for field in fields] for peer in peers], indent=2)


def _print_validators(
    validators: list[dict[str, object]], own: dict[str, object], peers: Mapping[object, dict[str, object]]
) -> None:
    """`own` is the whole answer of this node, `peers` what it says of the others, by peer id."""
    rows = []
    for one in validators:
        node = own if one.get("isSelf") else peers.get(one.get("peerId"), {})
        name = "this node" if one.get("isSelf") else node.get("peerId")
        rows.append([one.get("address"), one.get("stake"), name, node.get("version"), node.get("height")])
    connected = sum(one.get("peerId") in peers for one in validators)
    typer.echo(f"\n{len(validators)} validators, {connected} of the others connected")
    if rows:
        print_table(("address", "stake", "node", "version", "height"), rows, indent=2)
    if any(one.get("isSelf") and one.get("peerId") is None for one in validators):
        typer.echo(
            "\nOther nodes do not know this one as its validator: on chain the validator has another peer id."
            "\nIts owner puts that right: `step-node validator set-address`."
        )


def _rows(answer: dict[str, object], name: str) -> list[dict[str, object]]:
    rows = answer.get(name)
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
