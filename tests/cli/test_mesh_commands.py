"""`step-node mesh locate`, against the contract's known answers."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from step_node.cli.points_csv import LINE_CHARACTERS_MAX, ROWS_PER_CHUNK
from tests.cli.conftest import Command

VECTORS = Path(__file__).parent.parent / "vectors" / "mesh_locate.json"
BUDAPEST = "STEP-TRI-v1:F10-21212130000000000000-DSE"


def test_a_point_gives_the_triangle_that_holds_it(command: Command) -> None:
    result = command("mesh", "locate", "--lat", 47.4979, "--lon", 19.0402, "--level", 10)
    assert (result.exit_code, result.stdout) == (0, f"{BUDAPEST}\n")


def test_json_gives_one_object(command: Command) -> None:
    result = command("mesh", "locate", "--lat", 47.4979, "--lon", 19.0402, "--level", 10, "--json")
    assert json.loads(result.stdout)["triangle_id"] == BUDAPEST


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (("--lat", 91, "--lon", 0, "--level", 1), "--lat"),
        (("--lat", "nan", "--lon", 0, "--level", 1), "--lat"),
        (("--lat", 0, "--lon", -181, "--level", 1), "--lon"),
        (("--lat", 0, "--lon", 0, "--level", 22), "--level"),
    ],
)
def test_a_point_out_of_range_is_an_error_that_names_the_option(
    command: Command, options: tuple[object, ...], named: str
) -> None:
    result = command("mesh", "locate", *options)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"error: {named}: must be")
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("option", "value"), [("--lat", "4_7"), ("--lon", " 8"), ("--lon", "east"), ("--level", "1_0"), ("--level", "1.0")]
)
def test_what_is_no_plain_number_is_wrong_usage(command: Command, option: str, value: str) -> None:
    options = {"--lat": "47", "--lon": "8", "--level": "10", option: value}
    refused = command("mesh", "locate", *(text for pair in options.items() for text in pair))
    assert refused.exit_code == 2
    assert option in refused.stderr


def test_options_that_do_not_go_together_are_wrong_usage(command: Command) -> None:
    assert command("mesh", "locate").exit_code == 2
    assert command("mesh", "locate", "--lat", 1).exit_code == 2
    assert command("mesh", "locate", "--lat", 1, "--input", "-").exit_code == 2


def test_a_csv_file_is_printed_with_a_column_more(command: Command, tmp_path: Path) -> None:
    points = json.loads(VECTORS.read_text())
    path = tmp_path / "points.csv"
    rows = [[str(point["lat"]), str(point["lon"]), str(point["level"])] for point in points]
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["lat", "lon", "level"], *rows])
    result = command("mesh", "locate", "--input", path)
    assert result.exit_code == 0
    printed = list(csv.reader(io.StringIO(result.stdout)))
    assert printed[0] == ["lat", "lon", "level", "triangle_id"]
    assert [row[:3] for row in printed[1:]] == rows
    assert [row[3] for row in printed[1:]] == [point["triangleId"] for point in points]


def test_many_chunks_come_out_in_order(command: Command, tmp_path: Path) -> None:
    count = 2 * ROWS_PER_CHUNK + 1
    path = tmp_path / "points.csv"
    path.write_text("lat,lon,level\n" + "".join(f"{index / 1000},0,1\n" for index in range(count)))
    lines = command("mesh", "locate", "--input", path).stdout.splitlines()
    assert [line.split(",")[0] for line in lines[1:]] == [str(index / 1000) for index in range(count)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "line 1: the header must be 'lat,lon,level', not an empty file"),
        ("lon,lat,level\n", "line 1: the header must be 'lat,lon,level', not 'lon,lat,level'"),
        ("lat,lon,level\n1,2,3\n1,2\n", "line 3: must have 3 columns (lat,lon,level), not 2"),
        ("lat,lon,level\n1,2,3\n\n", "line 3: must have 3 columns"),
        ("lat,lon,level\n1,2,3\n91,2,3\n", "line 3: lat: must be a number of degrees from -90 to 90, not '91'"),
        ("lat,lon,level\n1,nan,3\n", "line 2: lon: must be a number of degrees from -180 to 180, not 'nan'"),
        ("lat,lon,level\n1,1_0,3\n", "line 2: lon: must be"),
        ("lat,lon,level\n1,,3\n", "line 2: lon: must be"),
        ("lat,lon,level\n1,2,22\n", "line 2: level: must be a whole number from 1 to 21, not '22'"),
        ("lat,lon,level\n1,2,3.0\n", "line 2: level: must be a whole number"),
        ("lat,lon,level\n1,2,²\n", "line 2: level: must be a whole number"),
        ('lat,lon,level\n1,"2,3\n', "is not CSV"),
        ("lat,lon,level\n" + "1" * (LINE_CHARACTERS_MAX + 1), f"line 2: is longer than {LINE_CHARACTERS_MAX}"),
        (b"lat,lon,level\n\xff,2,3\n", "is not UTF-8 text"),
    ],
)
def test_a_bad_row_is_an_error_that_names_line_and_column(
    command: Command, tmp_path: Path, content: str | bytes, message: str
) -> None:
    path = tmp_path / "points.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    result = command("mesh", "locate", "--input", path)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"error: {path}: ")
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


def test_the_rows_before_a_bad_one_are_printed(command: Command, tmp_path: Path) -> None:
    path = tmp_path / "points.csv"
    path.write_text("lat,lon,level\n47.4979,19.0402,10\nx,0,1\n")
    result = command("mesh", "locate", "--input", path)
    assert result.stdout.splitlines()[1:] == [f"47.4979,19.0402,10,{BUDAPEST}"]


def test_a_file_from_a_spreadsheet_with_mark_and_carriage_returns_is_read(command: Command, tmp_path: Path) -> None:
    path = tmp_path / "points.csv"
    path.write_bytes(b"\xef\xbb\xbflat,lon,level\r\n47.4979,19.0402,10\r\n")
    assert command("mesh", "locate", "--input", path).stdout.endswith(f"10,{BUDAPEST}\n")


def test_a_missing_file_is_an_error_that_names_it(command: Command, tmp_path: Path) -> None:
    result = command("mesh", "locate", "--input", tmp_path / "nowhere.csv")
    assert result.exit_code == 1
    assert result.stderr == f"error: {tmp_path / 'nowhere.csv'}: No such file or directory\n"


def test_bytes_that_are_no_text_are_told_without_a_line_that_is_not_there(command: Command, tmp_path: Path) -> None:
    path = tmp_path / "points.csv"
    path.write_bytes(b"\xff\xfe\x00")
    ended = command("mesh", "locate", "--input", path)
    assert ended.exit_code == 1
    assert "is not UTF-8 text: " in " ".join(ended.output.split())
