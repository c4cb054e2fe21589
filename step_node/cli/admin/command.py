"""What every command of `step-node admin` has in common: its options, and how the node's answer is printed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, TypeAlias

import typer

from step_node.cli.admin.call import TIMEOUT_SECONDS, command_node
from step_node.cli.output import print_json

HomeOption = Annotated[Path, typer.Option("--home", metavar="DIR", help="The home of the running node.")]
WhyOption = Annotated[str, typer.Option("--why", metavar="TEXT", help="Why, for the record.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the node's answer as it is, one JSON object.")]

SLOW_SECONDS: Final = 3_600.0
"""How long a command may take that goes through the whole state."""

Answer: TypeAlias = dict[str, Any]


def carry_out(
    home: Path,
    command: str,
    arguments: Mapping[str, object] | None = None,
    *,
    tell: Callable[[Answer], None],
    as_json: bool,
    why: str = "",
    timeout_seconds: float = TIMEOUT_SECONDS,
) -> None:
    """Have the node in `home` do it, and print its answer: for people as `tell` does, or as it is.

    Raises CommandError, saying what to do.
    """
    answer = command_node(home, command, arguments, why=why, timeout_seconds=timeout_seconds)
    if as_json:
        print_json(answer)
    else:
        tell(answer)
