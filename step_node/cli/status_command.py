"""`step-node status`: what a running node says of itself."""

from __future__ import annotations

from typing import Annotated

import typer

from step_node.cli.output import print_json


def status(
    url: Annotated[str, typer.Option(help="Address of the node's API.")] = "http://127.0.0.1:8600",
    as_json: Annotated[bool, typer.Option("--json", help="Print the node's answer as it is, one JSON object.")] = False,
) -> None:
    """Ask a running node for its height, its state, its peers and validators, and its health.

    Exit status 0 if it is healthy or degraded, 1 if it is down or cannot be reached.

    Example: step-node status --url http://127.0.0.1:8600
    """
    from step_node.cli.http_calls import get_json

    answer = get_json(url, "/status")
    health = get_json(url, "/health")
    if as_json:
        print_json({**answer, "health": health})
    else:
        _print_lines(answer, health)
    if health.get("status") == "down":
        raise typer.Exit(1)


def _print_lines(answer: dict[str, object], health: dict[str, object]) -> None:
    """One line for each thing, never broken or cut: an address or a hash is copied whole, and found by grep."""
    reasons = health.get("reasons")
    shown = [str(reason) for reason in reasons] if isinstance(reasons, list) else []
    lines = [("health", " · ".join([str(health.get("status")), *shown]))]
    for name, value in answer.items():
        if isinstance(value, list):
            lines.append((name, str(len(value))))
            lines.extend(("", _one_line(item)) for item in value)
        elif name != "ok":
            lines.append((name, _one_line(value)))
    width = max(len(name) for name, _ in lines)
    for name, text in lines:
        typer.echo(f"{name:<{width}}  {text}".rstrip())


def _one_line(value: object) -> str:
    if isinstance(value, dict):
        return "  ".join(f"{key} {_one_line(item)}" for key, item in value.items())
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "-" if value is None else str(value)
