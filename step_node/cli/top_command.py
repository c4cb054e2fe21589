"""`step-node top`: one screen for a node, or for all nodes of a devnet."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from step_node.cli.error_lines import CommandError
from step_node.cli.output import print_json, print_table

if TYPE_CHECKING:
    import ssl

    from step_node.cli.top.readings import NetworkSeen
    from step_node.cli.top.screen import ReadLog

URL_DEFAULT = "http://127.0.0.1:8600"
NODES_MAX = 32
LOG_LINES_SHOWN = 200
_LAST_PORT = 65_535


def top(
    urls: Annotated[
        list[str] | None,
        typer.Option(
            "--url", metavar="URL", help=f"Address of a node's API; may be repeated.  [default: {URL_DEFAULT}]"
        ),
    ] = None,
    nodes: Annotated[
        int, typer.Option(min=1, max=NODES_MAX, help="So many nodes, at the port of --url and those after it.")
    ] = 1,
    home: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="In place of --url: a node's home, or that of a devnet. Shows the log, too, by the admin socket.",
        ),
    ] = None,
    every_seconds: Annotated[
        float, typer.Option("--every", metavar="SECONDS", min=0.5, max=60.0, help="How often to ask.")
    ] = 2.0,
    once: Annotated[bool, typer.Option("--once", help="Print one reading as tables, and end.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one reading as one JSON object, and end.")] = False,
) -> None:
    """Show on one screen, and over again, where nodes stand: height, round and step, who votes at the present height
    and in how many of the last 100 each validator's vote stands in the commit, peers, the mempool, how long proofs take
    to be final (p50 and p90 of the last minute), what happens, and the log.

    A node keeps the first commit that it has, which may hold no more than a quorum: name all nodes that you can, and
    take a validator for absent that is far below the others.

    Keys: n and b choose the node, l swaps events and log, r asks at once, p pauses, q quits. It needs a terminal, also
    over ssh. A node that does not answer stays on the screen as it was last seen, with the reason.

    Exit status with --once and --json: 0 if a node answers, 1 if none does.

    Example: step-node top --url http://127.0.0.1:8600

    Example: step-node top --nodes 4

    Example: step-node top --home devnet

    Example: step-node top --url http://127.0.0.1:8600 --url http://192.0.2.7:8600 --json
    """
    if home is not None and (urls or nodes > 1):
        raise CommandError("--home: names the nodes by itself; leave out --url and --nodes")
    asked = _Asked(_addresses(urls or [URL_DEFAULT], nodes)) if home is None else _at_homes(home)
    if once or as_json:
        _print_once(asked, as_json)
        return
    if not (sys.stdin.isatty() and sys.stdout.isatty()) or os.environ.get("TERM", "dumb") == "dumb":
        raise CommandError("top: needs a terminal (over ssh: `ssh -t`); --once and --json print one reading without")
    _show(asked, every_seconds)


@dataclass(frozen=True, slots=True)
class _Asked:
    """The addresses of the nodes; of those that are named by their homes, also the homes and the certificates."""

    addresses: Sequence[str]
    homes: Mapping[str, Path] = field(default_factory=dict)
    certificates: Sequence[Path] = ()

    def trusted(self) -> ssl.SSLContext | None:
        """A node that is named by its home is known by the certificate there; others, as by every command."""
        if not any(one.startswith("https:") for one in self.addresses):
            return None
        from step_node.cli.certificates import trust_in, trust_of_this_machine

        return trust_in(self.certificates) if self.certificates else trust_of_this_machine()


def _at_homes(root: Path) -> _Asked:
    from step_node.cli.top.homes import homes_in

    homes = homes_in(root, NODES_MAX)
    return _Asked(
        [one.url for one in homes],
        {one.url: one.root for one in homes},
        [one.certificate for one in homes if one.certificate is not None],
    )


def _addresses(urls: Sequence[str], nodes: int) -> list[str]:
    """All addresses, each once, in order. Raises CommandError."""
    from httpx import URL, InvalidURL

    found: dict[str, None] = {}
    for text in urls:
        try:
            url = URL(text)
            port = url.port or (443 if url.scheme == "https" else 80)
            if url.scheme not in ("http", "https") or not url.host or port + nodes - 1 > _LAST_PORT:
                raise ValueError
        except (InvalidURL, ValueError):
            raise CommandError(f"--url: {text}: must be an address such as {URL_DEFAULT}") from None
        for offset in range(nodes):
            found[str(url.copy_with(port=port + offset) if nodes > 1 else url).rstrip("/")] = None
    if len(found) > NODES_MAX:
        raise CommandError(f"--url: at most {NODES_MAX} nodes can be shown")
    return list(found)


def _print_once(asked: _Asked, as_json: bool) -> None:
    import anyio

    from step_node.cli.top.rows import as_json as document

    seen = anyio.run(_look_once, asked)
    if as_json:
        print_json(document(seen))
    else:
        _print_tables(seen)
    if not seen.answering:
        raise typer.Exit(1)


async def _look_once(asked: _Asked) -> NetworkSeen:
    import time

    import httpx

    from step_node.cli.top.asking import Asker
    from step_node.cli.top.readings import HEIGHTS_WATCHED_MAX
    from step_node.client.transport import options

    async with httpx.AsyncClient(**options(asked.trusted())) as http:
        return await Asker(asked.addresses, http, time.monotonic).look(batches_max=HEIGHTS_WATCHED_MAX)


def _print_tables(seen: NetworkSeen) -> None:
    import time

    from step_node.cli.top import rows

    typer.echo(rows.headline(seen))
    for sentence in rows.troubles(seen):
        typer.echo(sentence)
    typer.echo("")
    print_table(rows.NODE_HEADINGS, rows.node_rows(seen, time.time_ns() // 1_000_000))
    first = next((node for node in seen.nodes if not node.trouble), None)
    if first is None:
        return
    typer.echo(f"\nvalidators, as {first.url} has it; votes in the last {seen.participation.heights} heights")
    print_table(rows.VALIDATOR_HEADINGS, rows.validator_rows(first, seen.participation), indent=2)
    typer.echo(f"\npeers of {first.url}")
    print_table(rows.PEER_HEADINGS, rows.peer_rows(first), indent=2)


def _show(asked: _Asked, every_seconds: float) -> None:
    import asyncio

    try:
        import textual  # noqa: F401 -- only whether it is there
    except ModuleNotFoundError:
        raise CommandError(
            "top: the package textual is not installed; install it with `pip install 'textual>=8.2'`, or use --once"
        ) from None
    asyncio.run(_run_screen(asked, every_seconds))


async def _run_screen(asked: _Asked, every_seconds: float) -> None:
    import time

    import httpx

    from step_node.cli.top.asking import Asker
    from step_node.cli.top.screen import TopScreen
    from step_node.client.transport import options

    async with httpx.AsyncClient(**options(asked.trusted())) as http:
        asker = Asker(asked.addresses, http, time.monotonic)
        logs = {url: _log_reader(path) for url, path in asked.homes.items()}
        await TopScreen(asker, asked.addresses, every_seconds=every_seconds, logs=logs).run_async()


def _log_reader(home: Path) -> ReadLog:
    from step_node.cli.admin.call import command_node

    def read() -> Sequence[str]:
        try:
            lines = command_node(home, "log", {"lines": LOG_LINES_SHOWN}, timeout_seconds=5.0)["lines"]
        except CommandError as error:
            return [str(error)]
        return [str(line) for line in lines]

    async def read_on_thread() -> Sequence[str]:
        import anyio.to_thread

        return await anyio.to_thread.run_sync(read)

    return read_on_thread
