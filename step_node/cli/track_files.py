"""Recorded tracks: GPX, GeoJSON and NMEA, told apart by how they begin, read into points with times.

A track comes from a stranger's device or web page, so it is bounded in bytes and points, and an XML document type is
refused before it can declare an entity. Whatever is wrong is a `TrackError` that names the place and the field.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, NoReturn
from xml.parsers import expat

from step_node.errors import StepNodeError
from step_node.strict_json import is_nested_deeper, unique_keys

TRACK_BYTES_MAX: Final = 32 * 1024 * 1024
"""A longer file is refused: at a point a second, a week of GPX is shorter."""

TRACK_POINTS_MAX: Final = 500_000
"""More points are refused."""

GEOJSON_NESTING_MAX: Final = 16
"""How deep arrays and objects may stand in one another; a collection of lines is 7 deep."""

UNIX_MS_MAX: Final = 10**15
"""A later moment is none of a track."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class TrackError(StepNodeError):
    """The file is no track that can be walked: the place in it, the field, and the rule."""


@dataclass(frozen=True, slots=True)
class TrackPoint:
    """Where the track was (degrees) and when (Unix milliseconds); `place` is where in the file it stands."""

    lat: float
    lon: float
    time_ms: int
    place: str


def read_track(path: Path) -> list[TrackPoint]:
    """The points of a file, at least one, in the order of their times. Raises TrackError, and OSError."""
    with path.open("rb") as file:
        content = file.read(TRACK_BYTES_MAX + 1)
    try:
        return parse_track(content)
    except TrackError as error:
        raise TrackError(f"{path}: {error}") from error


def parse_track(content: bytes) -> list[TrackPoint]:
    """The points in the bytes of a file. Raises TrackError, and nothing else."""
    if len(content) > TRACK_BYTES_MAX:
        raise TrackError(f"must be at most {TRACK_BYTES_MAX} bytes")
    beginning = content.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    match beginning:
        case b"<":
            points = _gpx(content)
        case b"{":
            points = _geojson(content)
        case b"$":
            points = _nmea(content)
        case _:
            raise TrackError("must be GPX, which begins with <, GeoJSON, with {, or NMEA, with $")
    if not points:
        raise TrackError("holds no point of a track")
    for before, after in pairwise(points):
        if after.time_ms < before.time_ms:
            raise TrackError(f"{after.place}: time: is before that of the point before it ({before.place})")
    return points


class _Points:
    """Points as they are found, no more than there may be."""

    def __init__(self) -> None:
        self.all: list[TrackPoint] = []

    def add(self, place: str, lat: object, lon: object, time: datetime | int) -> None:
        if len(self.all) >= TRACK_POINTS_MAX:
            raise TrackError(f"{place}: must have at most {TRACK_POINTS_MAX} points")
        time_ms = time if isinstance(time, int) else (time - _EPOCH) // timedelta(milliseconds=1)
        self.all.append(TrackPoint(_degrees(place, "lat", lat, 90), _degrees(place, "lon", lon, 180), time_ms, place))


def _degrees(place: str, field: str, value: object, limit: int) -> float:
    if value is None:
        raise TrackError(f"{place}: {field}: is missing")
    try:
        degrees = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else math.nan
    except (ValueError, OverflowError):
        degrees = math.nan
    if not -limit <= degrees <= limit:
        raise TrackError(f"{place}: {field}: must be a number of degrees from {-limit} to {limit}")
    return degrees


def _moment(place: str, text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text.strip())
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        raise TrackError(f"{place}: time: must be a time such as 2026-01-31T12:00:00Z") from error


# GPX 1.0 and 1.1: the points of its tracks, <trkpt lat="…" lon="…"><time>…</time></trkpt>.


def _gpx(content: bytes) -> list[TrackPoint]:
    points = _Points()
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    reader = _GpxReader(parser, points)
    parser.StartElementHandler = reader.begin
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    parser.StartDoctypeDeclHandler = reader.refuse_document_type
    try:
        parser.Parse(content, True)
    except expat.ExpatError as error:
        raise TrackError(f"line {error.lineno}: must be XML: {expat.ErrorString(error.code)}") from error
    except (LookupError, ValueError) as error:  # An encoding that Python does not know, or cannot give expat.
        raise TrackError("line 1: encoding: must be UTF-8, UTF-16 or ISO-8859-1") from error
    if not points.all and not reader.is_gpx:
        raise TrackError("line 1: must be GPX, whose outermost element is gpx")
    return points.all


class _GpxReader:
    """What is open at the moment: a point, and its time."""

    def __init__(self, parser: Any, points: _Points) -> None:
        self._parser = parser
        self._points = points
        self._depth = 0
        self._point: tuple[str, Mapping[str, str]] | None = None
        self._point_depth = 0
        self._time: str | None = None
        self._is_in_time = False
        self.is_gpx = False

    def begin(self, name: str, attributes: Mapping[str, str]) -> None:
        local = name.rpartition(" ")[2]
        self._depth += 1
        if self._depth == 1:
            self.is_gpx = local == "gpx"
        elif local == "trkpt":
            self._point = (f"line {self._parser.CurrentLineNumber}: trkpt", dict(attributes))
            self._point_depth, self._time = self._depth, None
        elif local == "time" and self._point is not None and self._depth == self._point_depth + 1:
            self._is_in_time, self._time = True, ""

    def end(self, _name: str) -> None:
        if self._point is not None and self._depth == self._point_depth:
            place, attributes = self._point
            if self._time is None:
                raise TrackError(f"{place}: time: is missing; a track without times cannot be walked")
            self._points.add(place, attributes.get("lat"), attributes.get("lon"), _moment(place, self._time))
            self._point = None
        self._is_in_time = False
        self._depth -= 1

    def text(self, data: str) -> None:
        if self._is_in_time:
            self._time = (self._time or "") + data

    def refuse_document_type(self, *_declaration: object) -> NoReturn:
        raise TrackError(f"line {self._parser.CurrentLineNumber}: DOCTYPE: is no part of GPX, and is refused")


# GeoJSON: LineStrings and MultiLineStrings, with the times of their coordinates in the feature's properties.

_TIME_PROPERTIES: Final = ("coordTimes", "times")
_LINES: Final = ("LineString", "MultiLineString")


def _geojson(content: bytes) -> list[TrackPoint]:
    try:
        text = content.decode("utf-8-sig")
        if is_nested_deeper(text, GEOJSON_NESTING_MAX):
            raise TrackError(f"must not be nested more than {GEOJSON_NESTING_MAX} deep")
        document = json.loads(text, object_pairs_hook=unique_keys)
    except json.JSONDecodeError as error:
        raise TrackError(f"line {error.lineno}: must be JSON: {error.msg}") from error
    except ValueError as error:
        raise TrackError(f"must be JSON in UTF-8: {error}") from error
    points = _Points()
    features = document.get("features") if document.get("type") == "FeatureCollection" else [document]
    if not isinstance(features, list):
        raise TrackError("features: must be an array")
    for number, feature in enumerate(features):
        _geojson_feature(f"feature {number}", feature, points)
    if not points.all:
        raise TrackError("holds no LineString; a track is a Feature with one, and coordTimes in its properties")
    return points.all


def _geojson_feature(place: str, feature: object, points: _Points) -> None:
    if not isinstance(feature, dict) or not isinstance(feature.get("geometry"), dict):
        raise TrackError(f"{place}: must be a Feature with a geometry")
    geometry = feature["geometry"]
    if geometry.get("type") not in _LINES:
        return  # Waypoints and areas beside the track.
    coordinates = list(_positions(place, geometry))
    times = _geojson_times(place, feature.get("properties"))
    if len(times) != len(coordinates):
        raise TrackError(f"{place}: times: must be as many as coordinates, {len(coordinates)}, not {len(times)}")
    for index, (position, time) in enumerate(zip(coordinates, times, strict=True)):
        where = f"{place}, coordinate {index}"
        if not isinstance(position, list) or len(position) < 2:
            raise TrackError(f"{where}: must be an array of longitude and latitude")
        if isinstance(time, str):
            moment: datetime | int = _moment(where, time)
        elif type(time) is int and abs(time) < UNIX_MS_MAX:
            moment = time
        else:
            raise TrackError(f"{where}: time: must be a time such as 2026-01-31T12:00:00Z, or Unix milliseconds")
        points.add(where, position[1], position[0], moment)


def _positions(place: str, geometry: Mapping[str, Any]) -> Iterator[object]:
    lines = geometry.get("coordinates")
    for line in [lines] if geometry["type"] == "LineString" else _items(place, lines):
        yield from _items(place, line)


def _items(place: str, value: object) -> Iterable[object]:
    if not isinstance(value, list):
        raise TrackError(f"{place}: coordinates: must be an array")
    return value


def _geojson_times(place: str, properties: object) -> list[object]:
    """From `coordTimes` or `times`, of the properties or of their `coordinateProperties`; by line, for many lines."""
    found: object = None
    if isinstance(properties, dict):
        nested = properties.get("coordinateProperties")
        for owner in (properties, nested if isinstance(nested, dict) else {}):
            for name in _TIME_PROPERTIES:
                found = owner.get(name, found)
    if not isinstance(found, list):
        raise TrackError(f"{place}: coordTimes: is missing; a track without times cannot be walked")
    return [time for line in found for time in (line if isinstance(line, list) else [line])]


# NMEA 0183: RMC has position, time and date. Where there is none, GGA, whose days are counted at each midnight.

_SENTENCE: Final = re.compile(r"\$[A-Z]{2}(RMC|GGA),([^*$]*)\*([0-9A-Fa-f]{2})")
_OURS: Final = re.compile(r"\$[A-Z]{2}(RMC|GGA),")
_CLOCK: Final = re.compile(r"([01][0-9]|2[0-3])([0-5][0-9])([0-5][0-9])(?:\.([0-9]{1,6}))?")
_ANGLE: Final = re.compile(r"([0-9]{2,3})([0-5][0-9](?:\.[0-9]{1,9})?)")
_FIELDS_MIN: Final = {"RMC": 9, "GGA": 6}


def _nmea(content: bytes) -> list[TrackPoint]:
    of_kind = {"RMC": _Points(), "GGA": _Points()}
    day, last = _EPOCH, timedelta(0)
    for number, raw in enumerate(content.split(b"\n"), start=1):
        line = raw.decode("ascii", "replace").strip()
        if _OURS.match(line) is None:
            continue  # Sentences about satellites, speed over ground, and the receiver's own.
        place = f"line {number}"
        kind, fields = _sentence(place, line)
        if (fields[1] != "A") if kind == "RMC" else (fields[5] == "0"):
            continue  # No fix.
        of_day = _clock(place, fields[0])
        if kind == "GGA" and of_day < last:
            day += timedelta(days=1)
        if kind == "GGA":
            last = of_day
        lat_at = 2 if kind == "RMC" else 1
        lat = _angle(place, "latitude", fields[lat_at], fields[lat_at + 1], "NS")
        lon = _angle(place, "longitude", fields[lat_at + 2], fields[lat_at + 3], "EW")
        of_kind[kind].add(place, lat, lon, (_date(place, fields[8]) if kind == "RMC" else day) + of_day)
    return of_kind["RMC"].all or of_kind["GGA"].all


def _sentence(place: str, line: str) -> tuple[str, list[str]]:
    found = _SENTENCE.fullmatch(line)
    if found is None:
        raise TrackError(f"{place}: must be a whole sentence that ends in * and two hex digits")
    sum_ = 0
    for character in line[1 : line.index("*")]:
        sum_ ^= ord(character)
    if sum_ & 0xFF != int(found[3], 16) or sum_ > 0xFF:
        raise TrackError(f"{place}: checksum: is {found[3]}, and must be {sum_ & 0xFF:02X}: the line is damaged")
    fields = found[2].split(",")
    if len(fields) < _FIELDS_MIN[found[1]]:
        raise TrackError(f"{place}: must have at least {_FIELDS_MIN[found[1]]} fields, not {len(fields)}")
    return found[1], fields


def _clock(place: str, text: str) -> timedelta:
    found = _CLOCK.fullmatch(text)
    if found is None:
        raise TrackError(f"{place}: time: must be hhmmss or hhmmss.sss")
    microseconds = int((found[4] or "0").ljust(6, "0"))
    return timedelta(hours=int(found[1]), minutes=int(found[2]), seconds=int(found[3]), microseconds=microseconds)


def _date(place: str, text: str) -> datetime:
    try:
        if re.fullmatch("[0-9]{6}", text) is None:
            raise ValueError(text)
        year = int(text[4:])
        return datetime(year + (1900 if year >= 80 else 2000), int(text[2:4]), int(text[:2]), tzinfo=UTC)
    except ValueError as error:
        raise TrackError(f"{place}: date: must be ddmmyy") from error


def _angle(place: str, field: str, text: str, side: str, sides: str) -> float:
    found = _ANGLE.fullmatch(text)
    if found is None:
        raise TrackError(f"{place}: {field}: must be degrees and minutes, such as 4724.3456")
    if side not in tuple(sides):
        raise TrackError(f"{place}: {field}: must be followed by {sides[0]} or {sides[1]}")
    degrees = int(found[1]) + float(found[2]) / 60
    return degrees if side == sides[0] else -degrees
