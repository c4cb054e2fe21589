"""`step-node mesh seed`, `unseed`, `verify`, `stats`, `export`: the mesh as a collection for displays."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from step_node.cli.output import print_json, print_table

if TYPE_CHECKING:
    from step_node.seeding.collection import Collection
    from step_node.seeding.seeder import Interrupted, LevelPlan, Target

INTERRUPTED = 130

Store = Annotated[
    str | None, typer.Option(metavar="sqlite:PATH", help="The SQLite file of the collection, one of its own.")
]
MongodbUri = Annotated[
    str | None, typer.Option(metavar="URI", help="Instead: mongodb://… of a server or a replica set.")
]
Database = Annotated[
    str | None, typer.Option(metavar="NAME", help="With --mongodb-uri: a database of the collection's own.")
]
Levels = Annotated[str, typer.Option(metavar="LEVELS", help="A level such as 8, or a range such as 1-10.")]
SomeLevels = Annotated[
    str | None, typer.Option(metavar="LEVELS", help="A level such as 8, or a range.  [default: all that are there]")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead.")]


def seed(
    levels: Levels,
    store: Store = None,
    mongodb_uri: MongodbUri = None,
    database: Database = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it would take, and end.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write the triangles of the upper levels into a collection for displays, in a file or database of its own.

    First it says what each level will take, by a sample that it writes there and takes away. Then it goes level by
    level; what is there already is left as it is. It may be interrupted or killed at any moment: the same command goes
    on from there. A node needs none of this, and never reads it.

    Exit status: 0 all is there; 1 an error; 130 interrupted.
    """
    from step_node.cli.seeding_progress import SeedingBars
    from step_node.seeding.levels import parse_levels
    from step_node.seeding.seeder import Interrupted, plan, require_disk
    from step_node.seeding.seeder import seed as seed_levels

    target, wanted = _target(store, mongodb_uri, database), parse_levels(levels)
    plans = plan(target, wanted)
    if not as_json:
        _print_plans(plans)
    if dry_run:
        if as_json:
            print_json({"dry_run": True, "levels": [_plan_json(one) for one in plans]})
        return
    with _opened(target, create=True) as collection, _asked_to_stop() as asked:
        require_disk(collection, plans)
        try:
            with SeedingBars() as bars:
                seed_levels(collection, wanted, bars, lambda: bool(asked))
        except Interrupted as interrupted:
            _end_interrupted(interrupted)
        if as_json:
            measured = [_plan_json(one) | {"measured_seconds": round(bars.seconds(one.level), 3)} for one in plans]
            print_json({"dry_run": False, "levels": measured})
            return
    total = sum(one.triangles for one in plans)
    typer.echo(f"{total:,} triangles are there; look through them with `step-node mesh verify`")


def unseed(
    level: Annotated[int, typer.Option(metavar="LEVEL", min=1, help="The level to take away.")],
    store: Store = None,
    mongodb_uri: MongodbUri = None,
    database: Database = None,
) -> None:
    """Take one level of the display collection away, whole or not; the others stay.

    `mesh seed` makes it again. SQLite's file keeps its size, and uses the room for what is seeded next.
    """
    with _opened(_target(store, mongodb_uri, database)) as collection:
        removed = collection.levels().get(level, 0)
        collection.remove(level)
    typer.echo(f"level {level}: {removed:,} triangles taken away")


def verify(
    store: Store = None,
    mongodb_uri: MongodbUri = None,
    database: Database = None,
    levels: SomeLevels = None,
    as_json: AsJson = False,
) -> None:
    """Compare the display collection with the mesh: counts, parents, samples against the exact arithmetic, look-ups.

    Every id and parent is compared; of each level 200 triangles in all they have. The engine has to look a point up by
    its index, in less than 10 ms.

    Exit status: 0 it is sound; 1 something is wrong, missing or slow, and standard error says what.
    """
    from step_node.cli.error_lines import CommandError
    from step_node.seeding.verifying import verify_level

    with _opened(_target(store, mongodb_uri, database)) as collection:
        verdicts = [verify_level(collection, level) for level in _levels_there(collection, levels)]
    if as_json:
        names = ("level", "triangles", "samples", "index", "look_up_ms", "problems")
        print_json({"levels": [{name: getattr(one, name) for name in names} for one in verdicts]})
    else:
        headings = ("level", "triangles", "samples", "look-up ms", "sound")
        print_table(
            headings,
            [
                (one.level, one.triangles, one.samples, _rounded(one.look_up_ms, 2), not one.problems)
                for one in verdicts
            ],
        )
    problems = [f"level {one.level}: {problem}" for one in verdicts for problem in one.problems]
    if problems:
        raise CommandError("; ".join(problems))


def stats(
    store: Store = None,
    mongodb_uri: MongodbUri = None,
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Say which levels the display collection has, how far each has come, and what it takes on disk."""
    from step_node.seeding.levels import triangle_count

    with _opened(_target(store, mongodb_uri, database)) as collection:
        there = collection.levels()
        sizes = {level: collection.size(level) for level in there}
    if as_json:
        print_json(
            {
                "levels": [
                    {
                        "level": level,
                        "triangles": triangle_count(level),
                        "present": present,
                        "data_bytes": sizes[level].data_bytes,
                        "index_bytes": sizes[level].index_bytes,
                    }
                    for level, present in there.items()
                ]
            }
        )
        return
    rows = [
        (level, present, triangle_count(level), sizes[level].data_bytes, sizes[level].index_bytes)
        for level, present in there.items()
    ]
    print_table(("level", "present", "of", "data bytes", "index bytes"), rows)


def export(
    form: Annotated[str, typer.Option("--format", metavar="FORMAT", help="ndjson, or geojson for flat maps.")],
    store: Store = None,
    mongodb_uri: MongodbUri = None,
    database: Database = None,
    levels: SomeLevels = None,
    output: Annotated[Path | None, typer.Option(metavar="FILE", help="A new file.  [default: standard output]")] = None,
) -> None:
    """Write the display collection as text.

    ndjson is a document a line, as MongoDB has it. geojson is one FeatureCollection, its outlines cut at the
    antimeridian and bent as a flat map needs it.
    """
    from step_node.seeding.exporting import ExportFormat, exported

    if form not in list(ExportFormat):
        raise typer.BadParameter(f"{form!r}, must be ndjson or geojson", param_hint="--format")
    with _opened(_target(store, mongodb_uri, database)) as collection:
        pieces = exported(collection, _levels_there(collection, levels), ExportFormat(form))
        if output is None:
            sys.stdout.writelines(pieces)
        else:
            with output.open("x", encoding="utf-8") as file:
                file.writelines(pieces)


def _target(store: str | None, mongodb_uri: str | None, database: str | None) -> Target:
    from step_node.cli.mongodb_uri import check_mongodb_uri
    from step_node.seeding.seeder import MongoTarget, SqliteTarget

    if store is not None:
        if mongodb_uri is not None or database is not None:
            raise typer.BadParameter("does not go together with --mongodb-uri, --database", param_hint="--store")
        engine, _, path = store.partition(":")
        if engine != "sqlite" or not path:
            raise typer.BadParameter(f"{store!r}, must be sqlite: and a path", param_hint="--store")
        return SqliteTarget(Path(path))
    if mongodb_uri is None or database is None:
        raise typer.BadParameter("give --store sqlite:PATH, or --mongodb-uri and --database")
    check_mongodb_uri(mongodb_uri)
    return MongoTarget(mongodb_uri, database)


@contextmanager
def _opened(target: Target, *, create: bool = False) -> Iterator[Collection]:
    from step_node.seeding.seeder import open_collection

    collection = open_collection(target, create=create)
    try:
        yield collection
    finally:
        collection.close()


def _levels_there(collection: Collection, levels: str | None) -> list[int]:
    from step_node.cli.error_lines import CommandError
    from step_node.seeding.levels import parse_levels

    there = collection.levels()
    if levels is None:
        wanted: Sequence[int] = list(there)
    else:
        wanted = parse_levels(levels)
    missing = [str(level) for level in wanted if level not in there]
    if missing or not wanted:
        named = f"level {', '.join(missing)} is" if missing else "nothing is"
        raise CommandError(f"{collection.name}: {named} not seeded; do so with `step-node mesh seed`")
    return list(wanted)


@contextmanager
def _asked_to_stop() -> Iterator[list[int]]:
    """The signals that asked for an end. The second one is obeyed at once: any moment will do."""
    asked: list[int] = []

    def hear(number: int, _frame: object) -> None:
        asked.append(number)
        signal.signal(number, signal.SIG_DFL)

    previous = {number: signal.signal(number, hear) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _end_interrupted(interrupted: Interrupted) -> NoReturn:
    typer.echo(f"interrupted: {interrupted}; the same command goes on from there", err=True)
    raise typer.Exit(INTERRUPTED)


def _print_plans(plans: Sequence[LevelPlan]) -> None:
    rows: list[tuple[object, ...]] = [
        (one.level, one.triangles, one.present, one.bytes, f"{one.seconds:.1f}") for one in plans
    ]
    rows.append(
        (
            "all",
            sum(one.triangles for one in plans),
            sum(one.present for one in plans),
            sum(one.bytes for one in plans),
            f"{sum(one.seconds for one in plans):.1f}",
        )
    )
    print_table(("level", "triangles", "present", "bytes to come (estimate)", "seconds to come (estimate)"), rows)


def _plan_json(plan: LevelPlan) -> dict[str, object]:
    return {
        "level": plan.level,
        "triangles": plan.triangles,
        "present": plan.present,
        "estimated_bytes": plan.bytes,
        "estimated_seconds": round(plan.seconds, 6),
    }


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
