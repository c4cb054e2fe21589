"""A validator that misbehaves, as a process of its own; `step-node devnet --byzantine` starts it.

python -m step_node.cli.byzantine_command double-sign --home DIR …        (options as of `step-node start`)
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from step_node.cli.start_command import run_home
from step_node.node.opening import StartOptions
from step_node.testing.devnet.byzantine import make_misbehaving_node
from step_node.testing.devnet.misbehaviour import Misbehaviour


def main(
    misbehaviour: Annotated[Misbehaviour, typer.Argument()],
    home: Annotated[Path, typer.Option()],
    password_file: Annotated[Path | None, typer.Option()] = None,
    stop_with_stdin: Annotated[bool, typer.Option("--stop-with-stdin")] = False,
) -> None:
    """Run a validator that misbehaves, until a signal."""
    run_home(
        home,
        password_file,
        options=StartOptions(),
        stop_with_stdin=stop_with_stdin,
        make_node=lambda keys, parts: make_misbehaving_node(misbehaviour, keys, parts),
    )


if __name__ == "__main__":
    typer.run(main)
