"""A track is read as its device wrote it, and one that is wrong names the line and the field."""

from __future__ import annotations

import json
from functools import reduce
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from step_node.cli import track_files
from step_node.cli.track_files import TrackError, TrackPoint, parse_track

GPX = """<?xml version="1.0" encoding="UTF-8"?>
<gpx version="1.1" creator="a watch" xmlns="http://www.topografix.com/GPX/1/1">
  <wpt lat="1" lon="2"><time>2020-01-01T00:00:00Z</time></wpt>
  <trk><trkseg>
    <trkpt lat="47.3769" lon="8.5417"><ele>408</ele><time>2026-01-31T12:00:00Z</time></trkpt>
    <trkpt lat="47.3770" lon="8.5418">
      <extensions><x><time>1999-01-01T00:00:00Z</time></x></extensions>
      <time>2026-01-31T13:00:10.250+01:00</time>
    </trkpt>
  </trkseg></trk>
</gpx>
"""
NOON_MS = 1_769_860_800_000
TWO = [(47.3769, 8.5417, NOON_MS), (47.3770, 8.5418, NOON_MS + 10_250)]


def read(content: str | bytes) -> list[TrackPoint]:
    return parse_track(content.encode() if isinstance(content, str) else content)


def values(points: list[TrackPoint]) -> list[tuple[float, float, int]]:
    return [(point.lat, point.lon, point.time_ms) for point in points]


def feature(coordinates: object, times: object, kind: str = "LineString") -> dict[str, Any]:
    return {
        "type": "Feature",
        "geometry": {"type": kind, "coordinates": coordinates},
        "properties": {"coordTimes": times},
    }


LINE = feature([[8.5417, 47.3769, 408], [8.5418, 47.3770]], ["2026-01-31T12:00:00Z", NOON_MS + 10_250])


def nmea(body: str) -> str:
    return f"${body}*{reduce(lambda sum_, one: sum_ ^ ord(one), body, 0):02X}\r\n"


RMC = nmea("GNRMC,120000.00,A,4722.6140,N,00832.5020,E,0.5,,310126,,,A")
GGA = nmea("GPGGA,235959.5,4722.6140,S,00832.5020,W,1,08,0.9,408,M,,M,,")


def test_gpx_is_read_with_its_lines_and_without_what_is_no_track() -> None:
    points = read(GPX)
    assert values(points) == TWO
    assert [point.place for point in points] == ["line 5: trkpt", "line 6: trkpt"]
    assert values(read("\ufeff" + GPX.replace('encoding="UTF-8"', ""))) == TWO


def test_gpx_with_a_prefix_is_the_same() -> None:
    assert values(
        read('<g:gpx xmlns:g="x"><g:trkpt lat="1" lon="2"><g:time>1970-01-01T00:00:01Z</g:time></g:trkpt></g:gpx>')
    ) == [(1.0, 2.0, 1_000)]


@pytest.mark.parametrize(
    "document",
    [
        LINE,
        {"type": "FeatureCollection", "features": [{"type": "Feature", "geometry": {"type": "Point"}}, LINE]},
        feature(
            [[[8.5417, 47.3769]], [[8.5418, 47.3770]]],
            [["2026-01-31T12:00:00Z"], [NOON_MS + 10_250]],
            "MultiLineString",
        ),
        {**LINE, "properties": {"coordinateProperties": {"times": ["2026-01-31T12:00:00", NOON_MS + 10_250]}}},
    ],
    ids=["feature", "collection", "many-lines", "coordinate-properties"],
)
def test_geojson_is_read_in_each_of_its_forms(document: dict[str, Any]) -> None:
    assert values(read(json.dumps(document))) == TWO


def test_nmea_is_read_by_rmc_and_where_there_is_none_by_gga_over_midnight() -> None:
    without_fix = nmea("GNRMC,115959.00,V,,,,,,,310126,,,N")
    other = "$GPGSV,3,1,11*not looked at\r\n"
    (point,) = read(RMC + without_fix + other + GGA)
    assert (round(point.lat, 7), round(point.lon, 7), point.time_ms) == (47.3769, 8.5417, NOON_MS)
    assert point.place == "line 1"
    late = nmea("GPGGA,000000.5,4722.6140,S,00832.5020,W,2,08,0.9,408,M,,M,,")
    first, second = read(GGA + late)
    assert (round(first.lat, 7), round(first.lon, 7)) == (-47.3769, -8.5417)
    assert second.time_ms - first.time_ms == 1_000


BOMB = '<!DOCTYPE b [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>\n<gpx>&b;</gpx>'


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "must be GPX, which begins with <"),
        ("lat,lon\n", "must be GPX, which begins with <"),
        ("<html></html>", "line 1: must be GPX, whose outermost element is gpx"),
        ("<gpx></gpx>", "holds no point of a track"),
        ("<gpx>\n<trkpt", "line 2: must be XML: unclosed token"),
        (BOMB, "line 1: DOCTYPE: is no part of GPX"),
        ('<gpx>\n<trkpt lat="1" lon="2"></trkpt></gpx>', "line 2: trkpt: time: is missing"),
        (GPX.replace('lat="47.3770"', ""), "line 6: trkpt: lat: is missing"),
        (GPX.replace('lat="47.3770"', 'lat="91"'), "line 6: trkpt: lat: must be a number of degrees from -90 to 90"),
        (GPX.replace('lon="8.5418"', 'lon="nan"'), "line 6: trkpt: lon: must be a number of degrees"),
        (GPX.replace("2026-01-31T12:00:00Z", "noon"), "line 5: trkpt: time: must be a time such as"),
        (
            GPX.replace("2026-01-31T12:00:00Z", "2027-01-31T12:00:00Z"),
            "line 6: trkpt: time: is before that of the point",
        ),
        ("{", "line 1: must be JSON"),
        ('{"type": 1, "type": 2}', "the key 'type' stands twice"),
        ('{"a":' * 50 + "1" + "}" * 50, "must not be nested more than 16 deep"),
        ("{}", "feature 0: must be a Feature with a geometry"),
        ('{"type": "FeatureCollection", "features": 1}', "features: must be an array"),
        (json.dumps({"type": "Feature", "geometry": {"type": "Point"}}), "holds no LineString"),
        (json.dumps({**LINE, "properties": None}), "feature 0: coordTimes: is missing"),
        (json.dumps(feature([[1, 2]], [])), "feature 0: times: must be as many as coordinates, 1, not 0"),
        (json.dumps(feature(7, [])), "feature 0: coordinates: must be an array"),
        (json.dumps(feature([7], [0])), "feature 0, coordinate 0: must be an array of longitude and latitude"),
        (json.dumps(feature([[1, "x"]], [0])), "feature 0, coordinate 0: lat: must be a number"),
        (json.dumps(feature([[1, True]], [0])), "feature 0, coordinate 0: lat: must be a number"),
        (json.dumps(feature([[1, 2]], [True])), "feature 0, coordinate 0: time: must be"),
        (json.dumps(feature([[1, 2]], [10**15])), "feature 0, coordinate 0: time: must be"),
        ("$GPRMC\n", "holds no point"),
        ("$GPRMC,\n", "line 1: must be a whole sentence"),
        (RMC[:-4] + "00\n", "line 1: checksum: is 00, and must be"),
        (RMC + RMC[:40], "line 2: must be a whole sentence"),
        (nmea("GPRMC,120000,A,47"), "line 1: must have at least 9 fields, not 3"),
        (nmea("GPRMC,250000,A,4722.6,N,00832.5,E,,,310126"), "line 1: time: must be hhmmss"),
        (nmea("GPRMC,120000,A,4772.6,N,00832.5,E,,,310126"), "line 1: latitude: must be degrees and minutes"),
        (nmea("GPRMC,120000,A,9922.6,N,00832.5,E,,,310126"), "line 1: lat: must be a number of degrees"),
        (nmea("GPRMC,120000,A,4722.6,E,00832.5,E,,,310126"), "line 1: latitude: must be followed by N or S"),
        (nmea("GPRMC,120000,A,4722.6,N,00832.5,E,,,310226"), "line 1: date: must be ddmmyy"),
    ],
)
def test_a_wrong_track_names_the_place_and_the_field(content: str, message: str) -> None:
    with pytest.raises(TrackError) as error:
        read(content)
    assert message in str(error.value)


def test_a_track_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(track_files, "TRACK_POINTS_MAX", 1)
    with pytest.raises(TrackError, match="line 6: trkpt: must have at most 1 points"):
        read(GPX)
    monkeypatch.setattr(track_files, "TRACK_BYTES_MAX", len(GPX) - 1)
    with pytest.raises(TrackError, match=f"must be at most {len(GPX) - 1} bytes"):
        read(GPX)


@given(st.sampled_from([GPX, json.dumps(LINE), RMC + GGA]), st.data())
def test_a_damaged_track_is_read_or_refused_and_nothing_else(content: str, data: st.DataObject) -> None:
    damaged = bytearray(content.encode())
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        points = read(bytes(damaged))
    except TrackError:
        return
    assert all(-90 <= point.lat <= 90 and -180 <= point.lon <= 180 for point in points)


@pytest.mark.parametrize("beginning", [b"", b"<", b"{", b"$GPRMC,", b"$GPGGA,"])
@given(st.binary(max_size=200))
def test_no_bytes_do_anything_but_be_refused(beginning: bytes, rest: bytes) -> None:
    with pytest.raises(TrackError):
        read(beginning + rest)
