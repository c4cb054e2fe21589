"""`step-node status`: what a running node says of itself."""

from __future__ import annotations

from typing import Annotated

import typer

from step_node.cli.output import console, print_json


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
        _print_table(answer, health)
    if health.get("status") == "down":
        raise typer.Exit(1)


def _print_table(answer: dict[str, object], health: dict[str, object]) -> None:
    from rich.table import Table

    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    reasons = health.get("reasons")
    shown = [str(reason) for reason in reasons] if isinstance(reasons, list) else []
    table.add_row("health", " · ".join([str(health.get("status")), *shown]))
    for name, value in answer.items():
        if isinstance(value, list):
            table.add_row(name, str(len(value)))
            for item in value:
                table.add_row("", _one_line(item))
        elif name != "ok":
            table.add_row(name, _one_line(value))
    console().print(table)


def _one_line(value: object) -> str:
    if isinstance(value, dict):
        return "  ".join(f"{key} {_one_line(item)}" for key, item in value.items())
    return "-" if value is None else str(value)
