"""`step-node admin consensus`, `log`, `set-log-level` and `debug-bundle`: what a node does, and what it says of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from step_node.cli.admin.call import command_node
from step_node.cli.admin.command import Answer, HomeOption, JsonOption, WhyOption, carry_out
from step_node.cli.consensus_command import print_consensus
from step_node.cli.error_lines import CommandError
from step_node.cli.output import print_json, print_line


def consensus(home: HomeOption, as_json: JsonOption = False) -> None:
    """Show the height that is being decided, as `step-node consensus` does, where the API cannot be reached.

    Example: step-node admin consensus --home node
    """
    carry_out(home, "consensus", as_json=as_json, tell=print_consensus)


def log(
    home: HomeOption,
    lines: Annotated[int, typer.Option(metavar="N", min=1, max=1_000, help="How many of the last lines.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """Print the last lines of the node's log, of those that it keeps in memory ([admin] log_lines), without secrets.
    As it changes nothing, it is the one command that is not recorded.

    Example: step-node admin log --home node --lines 20
    """
    carry_out(home, "log", {"lines": lines}, as_json=as_json, tell=_print_log)


def set_log_level(
    levels: Annotated[
        str, typer.Argument(metavar="LEVELS", help='Of parts, as "consensus=debug,p2p=info"; or of all, as "debug".')
    ],
    home: HomeOption,
    why: WhyOption = "",
    as_json: JsonOption = False,
) -> None:
    """Change what is logged, until the node stops or reads its settings again. To keep it, set `levels` under [log].

    Example: step-node admin set-log-level consensus=debug,p2p=info --home node
    """
    carry_out(home, "set-log-level", {"levels": levels}, why=why, as_json=as_json, tell=_print_levels)


def debug_bundle(
    home: HomeOption,
    output: Annotated[
        Path | None,
        typer.Option("--output", metavar="FILE", help="Where to write it; a name with the time, if you do not say."),
    ] = None,
    why: WhyOption = "",
    as_json: JsonOption = False,
) -> None:
    """Write what somebody else needs to find out what is wrong with the node into one file (.tar.gz, mode 0600):
    versions, settings without secrets, consensus, health, peers, metrics, tasks, disk, the last lines of the log.

    Example: step-node admin debug-bundle --home node --output bundle.tar.gz
    """
    from datetime import UTC, datetime

    now = datetime.now(UTC)
    path = output or Path(f"step-node-debug-{now:%Y%m%dT%H%M%SZ}.tar.gz")
    if path.exists():
        raise CommandError(f"{path}: is there already; choose another file by --output")
    files: dict[str, str] = command_node(home, "debug-bundle", why=why)["files"]
    size = _pack(path, files, int(now.timestamp()))
    if as_json:
        print_json({"file": str(path), "bytes": size, "files": sorted(files)})
    else:
        typer.echo(f"{path}: {size} bytes, {len(files)} files. Look through it before you hand it on.")


def _print_log(answer: Answer) -> None:
    for line in answer["lines"]:
        print_line(line)


def _print_levels(answer: Answer) -> None:
    print_line(answer["levels"])


def _pack(path: Path, files: dict[str, str], now_seconds: int) -> int:
    """Write `files`, texts by name, into a new archive that its owner alone may read; its size in bytes."""
    import io
    import os
    import tarfile

    folder = path.name.partition(".")[0]
    with (
        os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file,
        tarfile.open(fileobj=file, mode="w:gz") as archive,
    ):
        for name, text in sorted(files.items()):
            data = text.encode(errors="backslashreplace")
            entry = tarfile.TarInfo(f"{folder}/{Path(name).name}")
            entry.size, entry.mtime, entry.mode = len(data), now_seconds, 0o600
            archive.addfile(entry, io.BytesIO(data))
    return path.stat().st_size
