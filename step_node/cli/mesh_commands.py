"""`step-node mesh`: which triangle holds a point, and the mesh as a collection for displays."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from step_node.cli import mesh_seeding_commands
from step_node.cli.numbers import plain_float, plain_int
from step_node.cli.output import print_json

app = typer.Typer(no_args_is_help=True, help="The triangle mesh: which triangle holds a point; the mesh for displays.")


@app.command(
    epilog="Example: step-node mesh locate --lat 47.4979 --lon 19.0402 --level 10",
)
def locate(
    lat: Annotated[
        float | None, typer.Option(parser=plain_float, metavar="NUMBER", help="Latitude in degrees, -90 to 90.")
    ] = None,
    lon: Annotated[
        float | None, typer.Option(parser=plain_float, metavar="NUMBER", help="Longitude in degrees, -180 to 180.")
    ] = None,
    level: Annotated[
        int | None,
        typer.Option(parser=plain_int, metavar="INTEGER", help="Level of the triangle, 1 (8,000 km) to 21 (7 m)."),
    ] = None,
    input_file: Annotated[
        Path | None,
        typer.Option("--input", metavar="FILE", help="A CSV file with the header lat,lon,level; - is standard input."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object (for a single point).")] = False,
) -> None:
    """Name the triangle that holds a point, or each point of a CSV file.

    A single point gives the triangle's id. With --input the CSV is printed again with a column triangle_id, as it is
    read; at a row that cannot be used it stops, naming the line and the column.
    """
    if input_file is not None:
        if lat is not None or lon is not None or level is not None:
            raise typer.BadParameter("does not go together with --lat, --lon, --level", param_hint="--input")
        if as_json:
            raise typer.BadParameter("is for a single point; --input prints CSV", param_hint="--json")
        _locate_file(input_file)
        return
    if lat is None or lon is None or level is None:
        raise typer.BadParameter("give --lat, --lon and --level, or --input FILE")
    from mesh import locate as locate_point
    from step_node.cli.error_lines import CommandError

    try:
        triangle = locate_point(lat, lon, level)
    except ValueError as error:
        raise CommandError(f"--{error}") from error
    if as_json:
        print_json({"triangle_id": triangle.text, "lat": lat, "lon": lon, "level": level})
    else:
        typer.echo(triangle.text)


def _locate_file(input_file: Path) -> None:
    from step_node.cli.points_csv import locate_points

    if str(input_file) == "-":
        # Not sys.stdin itself: that one follows the locale, and turns line endings about.
        with open(sys.stdin.fileno(), encoding="utf-8-sig", newline="", closefd=False) as source:
            locate_points(source, sys.stdout, name="standard input")
    else:
        with input_file.open(encoding="utf-8-sig", newline="") as source:
            locate_points(source, sys.stdout, name=str(input_file))


_STORE = "--store sqlite:mesh.sqlite"

app.command("seed", epilog=f"Example: step-node mesh seed --levels 1-8 {_STORE}")(mesh_seeding_commands.seed)
app.command("unseed", epilog=f"Example: step-node mesh unseed --level 8 {_STORE}")(mesh_seeding_commands.unseed)
app.command("verify", epilog=f"Example: step-node mesh verify {_STORE}")(mesh_seeding_commands.verify)
app.command("stats", epilog=f"Example: step-node mesh stats {_STORE}")(mesh_seeding_commands.stats)
app.command(
    "export", epilog=f"Example: step-node mesh export --format geojson --levels 1-5 {_STORE} --output mesh.geojson"
)(mesh_seeding_commands.export)
