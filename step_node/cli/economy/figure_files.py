"""What commands that draw have in common: Matplotlib, which need not be installed, and the files of figures."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

READABLE = 0o644
"""Figures are to be shown around."""


@contextmanager
def needing_matplotlib(otherwise: str) -> Iterator[None]:
    """Import what draws within it. Where Matplotlib is missing, StepNodeError says how to have it or do `otherwise`."""
    from step_node.errors import StepNodeError

    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "matplotlib":
            raise
        raise StepNodeError(
            f"figures need Matplotlib, which is not installed here: {sys.executable} -m pip install 'step-node[plots]',"
            f" or {otherwise}"
        ) from error


def write_files(folder: Path, files: Mapping[str, bytes]) -> list[Path]:
    """Write them, by name, each whole or not at all; their paths. Raises OSError."""
    from step_node.durable.atomic_file import write_atomically

    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        write_atomically(folder / name, data, READABLE)
    return [folder / name for name in files]
