"""`step-node economy verify`: a chain executed again, and held against what a node or a backup says of it."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from step_node.cli.output import plain, print_json
from step_node.cli.progress_lines import ProgressLines

LINE_CHARACTERS_MAX: Final = 500
NOT_ALL_CHECKED: Final = 3
"""The exit status where nothing is wrong with what could be checked."""

if TYPE_CHECKING:
    from step_node.economy.verifying.verdict import Verdict


def verify(
    home: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Verify the store of this home; its node may run.")
    ] = None,
    backup: Annotated[Path | None, typer.Option(metavar="DIR", help="Verify this backup.")] = None,
    url: Annotated[
        str | None, typer.Option(help="Verify the node with its API at this address; its batches come over libp2p.")
    ] = None,
    peer: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MULTIADDR", help="Where that node's libp2p is dialled.  [default: as it says in its /status]"
        ),
    ] = None,
    first: Annotated[int, typer.Option("--from", min=1, metavar="HEIGHT", help="The first batch to execute.")] = 1,
    last: Annotated[
        int | None, typer.Option("--to", min=1, metavar="HEIGHT", help="The last one.  [default: the last there is]")
    ] = None,
    genesis: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Your genesis.json of the chain: the other must be the same."),
    ] = None,
    initial_state: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="With --url or --peer: initial_state.bin, of a chain that began with a state."
        ),
    ] = None,
    trusts_quorums: Annotated[
        bool,
        typer.Option("--trust-quorums", help="Do not recover the signatures of proofs: a quorum has signed the batch."),
    ] = False,
    scratch: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where the state is made, and taken away again.  [default: a temporary one]"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, and no progress.")] = False,
) -> None:
    """Execute a chain again from its first batch by the rules, and say whether what is said of it is so.

    Every batch must be signed by a quorum, find the state root that it names and give the receipts that it commits to;
    then supply, every balance and triangle, the counts by level and the receipts of a store are held against what the
    batches make, of a backup each copy of the state, and of a node what its API says. Whatever differs is named, and
    so is what a node does not say.

    A thousand proofs take some 0.3 seconds of a processor. The state is made in memory, a large one in a scratch
    directory.

    Exit status: 0 all is so; 1 something differs, a batch is not right, or nothing can be told, and the error says why;
    3 what was checked is so, and something that is named could not be checked.
    """
    import trio

    from step_node.cli.economy.node_source import verify_node
    from step_node.cli.economy.sources import Wishes, verify_backup_chain, verify_home
    from step_node.cli.error_lines import CommandError
    from step_node.home.config import LogConfig
    from step_node.node.logging import logging_set_up

    if (home is not None) + (backup is not None) + (url is not None or bool(peer)) != 1:
        raise typer.BadParameter("give one of --home, --backup, and --url or --peer")
    if initial_state is not None and (home is not None or backup is not None):
        raise typer.BadParameter("--initial-state goes with --url or --peer: a home and a backup have their own")
    if last is not None and last < first:
        raise CommandError(f"--to: {last}: must be at least --from, {first}")
    progress = ProgressLines(quiet=as_json)
    wishes = Wishes(first, last, genesis, trusts_quorums, scratch, progress, initial_state)
    with logging_set_up(LogConfig()):
        if home is not None:
            verdict = trio.run(partial(verify_home, home, wishes))
        elif backup is not None:
            verdict = trio.run(partial(verify_backup_chain, backup, wishes))
        else:
            verdict = trio.run(partial(verify_node, url, peer or [], wishes))
    progress.end()
    _tell(verdict, str(home or backup or url or ", ".join(peer or [])), as_json=as_json)
    if not verdict.holds:
        raise typer.Exit(1)
    if not verdict.is_whole:
        raise typer.Exit(NOT_ALL_CHECKED)


def _line(what: str, found: object) -> str:
    """Of what somebody else's node says, no more than fits, and nothing that a terminal might obey."""
    text = plain(found)
    return f"{what}: {text[:LINE_CHARACTERS_MAX]}{'…' if len(text) > LINE_CHARACTERS_MAX else ''}"


def _tell(verdict: Verdict, name: str, *, as_json: bool) -> None:
    from step_node.amounts import step_text
    from step_node.ledger.commitment import state_root

    chain, root = verdict.head.chain, f"0x{state_root(verdict.head.lanes).hex()}"
    if as_json:
        print_json(
            {
                "source": name,
                "holds": verdict.holds,
                "from": verdict.first,
                "to": chain.height,
                "batchHash": f"0x{chain.batch_hash.hex()}",
                "stateRoot": root,
                "proofs": verdict.proofs,
                "minted": step_text(chain.minted_ustep),
                "balances": step_text(chain.balances_ustep),
                "stakes": step_text(chain.stakes_ustep),
                "burnt": step_text(chain.burnt_ustep),
                "compared": verdict.compared,
                "isWhole": verdict.is_whole,
                "notChecked": [
                    {
                        "subject": one.subject,
                        "count": one.count,
                        "which": one.which,
                        "because": one.because,
                        "isAsked": one.is_asked,
                    }
                    for one in verdict.not_checked
                ],
                "rejected": None if verdict.rejected is None else str(verdict.rejected),
                "differences": [
                    {"height": one.height, "what": one.what, "said": one.said, "recomputed": one.recomputed}
                    for one in verdict.differences
                ],
            }
        )
        return
    for difference in verdict.differences:
        typer.echo(_line("differs", difference), err=True)
    if verdict.rejected is not None:
        typer.echo(_line("rejected", verdict.rejected), err=True)
    for one in verdict.not_checked:
        typer.echo(_line("not checked", one), err=True)
    if not verdict.holds:
        wrong = len(verdict.differences) + (verdict.rejected is not None)
        typer.echo(f"{name} DOES NOT HOLD: {wrong} named above; executed from {verdict.first} to {chain.height}")
        return
    compared = ", ".join(f"{subject} ({count})" for subject, count in verdict.compared.items())
    as_far = "" if verdict.is_whole else " as far as it could be checked"
    begun = "" if verdict.first == 1 else f" on the state of height {verdict.first - 1}, and nothing before it"
    typer.echo(
        f"{name} holds{as_far}: batches {verdict.first} to {chain.height} executed again{begun},"
        f" {verdict.proofs} proofs;"
        f" {step_text(chain.minted_ustep)} STEP minted = {step_text(chain.balances_ustep)} in balances +"
        f" {step_text(chain.stakes_ustep)} staked + {step_text(chain.burnt_ustep)} burnt; compared:"
        f" {compared or 'nothing'}; state root {root}"
    )
