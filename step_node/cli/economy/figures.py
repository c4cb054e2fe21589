"""`step-node economy figures`: the figures of docs/economy.md, of any chain's parameters."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from step_node.cli.output import print_json, print_table

if TYPE_CHECKING:
    from step_node.economy.figures import Economy

VALIDATORS_MAX = 100
"""That of `consensus.values`, which is too heavy to be imported for a help text."""


def print_figures(
    genesis: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The chain whose parameters, rules and validators are meant.")
    ] = None,
    parameters: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Parameters, TOML or JSON; those left out are as on all new chains."),
    ] = None,
    validators: Annotated[
        int | None, typer.Option(min=1, max=VALIDATORS_MAX, help="How many there are.  [default: genesis', or 4]")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Print where STEP comes from and goes, what it takes to earn a stake, and what cheating gains: each figure with
    its formula (docs/economy.md). Without options, of a new chain.
    """
    from step_node.economy.figures import figures, tables

    economy = _economy_of(genesis, parameters, validators)
    found = figures(economy).values()
    if as_json:
        print_json(
            {
                "parameters": economy.parameters.model_dump(),
                "protocolVersion": economy.version,
                "validators": economy.validators,
                "figures": [
                    {"name": one.name, "value": one.text.replace(",", ""), "unit": one.unit, "formula": one.formula}
                    for one in found
                ],
                "tables": {
                    table.name: [dict(zip(table.headings, row, strict=True)) for row in table.rows]
                    for table in tables(economy)
                },
            }
        )
        return
    width = max(len(one.text) for one in found)
    print_table(
        ["figure", "value".rjust(width), "unit", "formula"],
        [[one.name, one.text.rjust(width), one.unit, one.formula] for one in found],
    )
    for table in tables(economy):
        typer.echo(f"\n{table.name}")
        print_table(table.headings, table.rows)


def _economy_of(genesis: Path | None, parameters: Path | None, validators: int | None) -> Economy:
    from step_node.chain.ceremony.inputs import load_parameters
    from step_node.chain.genesis import load_genesis
    from step_node.economy.figures import Economy
    from step_node.operations.operation import FIRST_VERSION

    if genesis is None:
        economy = Economy() if parameters is None else Economy(load_parameters(parameters))
    elif parameters is not None:
        raise typer.BadParameter("stand in the genesis already", param_hint="--parameters")
    else:
        chain = load_genesis(genesis)
        economy = Economy(chain.parameters, chain.protocol_version or FIRST_VERSION, len(chain.validators))
    return economy if validators is None else Economy(economy.parameters, economy.version, validators)
