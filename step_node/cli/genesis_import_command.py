"""`step-node genesis import`: the database of a single-server STEP as the state that a chain begins with."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from step_node.cli.output import print_json

if TYPE_CHECKING:
    from step_node.importing.importer import Imported, Totals
    from step_node.importing.report import Kind, Report

PROGRESS_DOCUMENTS = 100_000
"""A line is printed each time so many more have been read."""


def import_(
    plan: Annotated[Path, typer.Option(metavar="FILE", help="The plan of the chain that takes the state over.")],
    mongodb_uri: Annotated[
        str, typer.Option(metavar="URI", help="The old server's database: mongodb://HOST:PORT/NAME. It is only read.")
    ],
    database: Annotated[
        str | None, typer.Option(metavar="NAME", help="The database's name, if the URI has none.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The plan to write, which names the state; it must not exist.")
    ] = None,
    initial_state: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The state to write; it must not exist.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A file for all discrepancies, one JSON object a line.")
    ] = None,
    accept: Annotated[
        list[str] | None,
        typer.Option(metavar="KIND", help="A kind of discrepancies that you have looked at; may be given again."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read and check everything, and write no state.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead.")] = False,
) -> None:
    """Make accounts, clicks, subdivisions, last positions and used nonces of an old database a chain's initial state.

    Stop the old server first. Every discrepancy is listed; nothing is written while there is one of a kind that
    --accept does not name. docs/import.md has the kinds, and what is done about each.

    Exit status: 0 written, or nothing in the way; 1 an error, or discrepancies that nobody has accepted.
    """
    from step_node.chain.genesis import GenesisPlan, load_document
    from step_node.cli.error_lines import CommandError
    from step_node.cli.mongodb_uri import check_mongodb_uri
    from step_node.durable.atomic_file import copy_durably
    from step_node.importing.importer import import_database, unaccepted
    from step_node.importing.mongo_source import MongoSource
    from step_node.importing.report import Report

    accepted = _kinds(accept or [])
    if not dry_run:
        for option, path in (("--output", output), ("--initial-state", initial_state)):
            if path is None:
                raise typer.BadParameter("is needed, unless it is a --dry-run", param_hint=option)
            if path.exists():
                raise CommandError(f"{path}: exists already, and is not overwritten")
    check_mongodb_uri(mongodb_uri)
    planned = load_document(plan, GenesisPlan)
    if planned.initial_state is not None:
        raise CommandError(f"{plan}: names an initial state already; give the plan that was made by `genesis new`")
    beside = None if initial_state is None else initial_state.absolute().parent
    with (
        tempfile.TemporaryDirectory(prefix="step-import-", dir=beside) as folder,
        _opened(report) as file,
        MongoSource(mongodb_uri, database) as source,
    ):
        found = Report(file)
        imported = import_database(source, planned, Path(folder), found, _progress)
        in_the_way = unaccepted(found, accepted)
        if output is not None and initial_state is not None and not dry_run and not in_the_way:
            copy_durably(Path(folder) / "state.bin", initial_state, mode=PUBLIC_MODE)
            _write_plan(output, imported)
    if as_json:
        print_json(_json(imported, found, in_the_way))
    else:
        _tell(imported, found, report)
    if in_the_way:
        accepts = " ".join(f"--accept {kind}" for kind in in_the_way)
        raise CommandError(
            f"nothing was written: look at the discrepancies, correct the old database, or take them as they are by"
            f" {accepts}"
        )


PUBLIC_MODE = 0o644
"""Of files that go to everybody."""


def _kinds(names: list[str]) -> list[Kind]:
    from step_node.importing.report import Kind

    try:
        return [Kind(name) for name in names]
    except ValueError as error:
        raise typer.BadParameter(f"must be one of {', '.join(Kind)}", param_hint="--accept") from error


@contextmanager
def _opened(report: Path | None) -> Iterator[TextIO | None]:
    if report is None:
        yield None
        return
    with report.open("w", encoding="utf-8") as file:
        yield file


def _write_plan(output: Path, imported: Imported) -> None:
    from step_node.durable.atomic_file import write_atomically

    content = imported.plan.model_dump_json(indent=2, exclude_none=True).encode() + b"\n"
    write_atomically(output, content, mode=PUBLIC_MODE, replace=False)


def _progress(what: str, done: int, total: int) -> None:
    if done % PROGRESS_DOCUMENTS == 0 or done == total:
        typer.echo(f"{what}: {done} of {total}" if done else f"{what} the state", err=True)


def _json(imported: Imported, found: Report, in_the_way: list[Kind]) -> dict[str, object]:
    from dataclasses import asdict

    return {
        "initialStateRoot": f"0x{imported.state.root.hex()}",
        "planHash": f"0x{imported.plan.hash.hex()}",
        "totals": asdict(imported.totals),
        "discrepancies": {
            kind: {"count": count, "effect": kind.effect, "examples": [asdict(one) for one in found.examples[kind]]}
            for kind, count in sorted(found.counts.items())
        },
        "notAccepted": list(in_the_way),
    }


def _tell(imported: Imported, found: Report, report: Path | None) -> None:
    for line in _sums(imported.totals):
        typer.echo(line)
    typer.echo(f"state      root 0x{imported.state.root.hex()}")
    typer.echo(f"plan       hash 0x{imported.plan.hash.hex()}")
    typer.echo(f"\n{found.counts.total()} discrepancies{'' if report is None else f', all of them in {report}'}")
    for kind, examples in found.examples.items():
        typer.echo(f"{kind}: {found.counts[kind]}; {kind.effect}")
        for one in examples:
            typer.echo(f"  {one}")


def _sums(totals: Totals) -> Iterator[str]:
    from step_node.amounts import step_text

    yield f"accounts   {totals.accounts_imported} of {totals.accounts_read}"
    yield f"balances   {step_text(totals.balances_read_ustep)} STEP read"
    yield f"           {step_text(totals.balances_imported_ustep)} STEP taken over"
    yield f"           {step_text(totals.balances_left_out_ustep)} STEP left out"
    yield f"rewards    {step_text(totals.rewards_read_ustep)} STEP by the events"
    yield f"           {step_text(totals.rewards_of_no_account_ustep)} STEP of them of accounts that are not there"
    yield f"           {_signed(totals.rewards_difference_ustep)} STEP more in balances than by the others' events"
    yield (
        f"triangles  {totals.triangles_imported} records of {totals.triangles_read} documents;"
        f" {totals.triangles_untouched} untouched ones need none, {totals.children_added} children were added"
    )
    yield f"events     {totals.clicks_read} clicks of {totals.events_read}; {_others(totals)}"
    if totals.events_naming_no_triangle:
        yield f"           {totals.events_naming_no_triangle} name no triangle (triangleId): believed as they are"
    if totals.clicks_outside:
        for clicks, ustep, which in (
            (totals.clicks_outside, totals.rewards_outside_ustep, "lie outside the triangle that they name; of them"),
            (totals.clicks_outside_imported, totals.rewards_outside_imported_ustep, "in triangles that are taken over"),
            (totals.clicks_outside_left_out, totals.rewards_outside_left_out_ustep, "in triangles that are not"),
        ):
            yield f"           {clicks}, which paid {step_text(ustep)} STEP, {which}"
    yield f"nonces     {totals.nonces_imported}; {totals.nonces_expired} too old for any proof to use them again"


def _signed(ustep: int) -> str:
    from step_node.amounts import step_text

    return f"{'-' if ustep < 0 else ''}{step_text(abs(ustep))}"


def _others(totals: Totals) -> str:
    others = ", ".join(f"{count} {name}" for name, count in sorted(totals.other_events.items()))
    return others or "no others"
