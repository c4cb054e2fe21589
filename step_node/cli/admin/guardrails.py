"""`step-node admin guardrails`: what is checked after every batch, and what somebody has looked into."""

from __future__ import annotations

from typing import Annotated

import typer

from step_node.cli.admin.command import Answer, HomeOption, JsonOption, WhyOption, carry_out
from step_node.cli.output import print_line, print_table


def guardrails(
    home: HomeOption,
    acknowledge: Annotated[
        str | None,
        typer.Option("--acknowledge", metavar="GUARDRAIL", help="You have seen that it is broken; needs --why."),
    ] = None,
    why: WhyOption = "",
    as_json: JsonOption = False,
) -> None:
    """Show what is checked after every batch, and what is wrong; or say that you have looked into a breach.

    A breach of the ledger's rules stays until that, over restarts too, and comes back with the next batch that breaks
    it.

    Example: step-node admin guardrails --home node --acknowledge supply --why "mended by release 0.3.1"
    """
    arguments = {} if acknowledge is None else {"acknowledge": acknowledge}
    carry_out(home, "guardrails", arguments, why=why, as_json=as_json, tell=_print_guardrails)


def _print_guardrails(answer: Answer) -> None:
    if not answer["isOn"]:
        print_line("The guardrails are switched off: `step-node admin switches guardrails on` turns them on.")
    print_table(
        ("guardrail", "is", "figure", "bound", "unit", "since"),
        [
            [
                one["name"],
                "BROKEN" if one["isBroken"] else "whole",
                one["figure"],
                one["bound"],
                one["unit"],
                one["brokenSince"],
            ]
            for one in answer["guardrails"]
        ],
    )
    for one in answer["guardrails"]:
        if one["isBroken"]:
            print_line(f"{one['name']}, height {one['brokenAtHeight']}: {one['message']}")
