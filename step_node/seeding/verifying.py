"""Is what is in the collection the mesh? Counts, parents, samples against the exact arithmetic, the index of places.

Every id and every parent of a level is compared with what they must be. Outlines, centroids and text forms are compared
for samples, spread evenly over the level, with what the arithmetic of consensus makes of the same triangles one by one.
The same samples are looked up by the index, for which the engine has to say that it uses it, and it is timed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from statistics import median
from time import perf_counter
from typing import Final

from mesh import TriangleId, centroid, locate, polygon
from step_node.seeding.collection import Collection, Timer
from step_node.seeding.levels import chunk_at, chunk_size, triangle_at, triangle_count
from step_node.seeding.triangles import Position, Record, links

SAMPLES: Final = 200
"""Of each level; all of levels that have less."""
TOLERANCE_DEGREES: Final = 2e-9
"""Positions are rounded to 1e-9, from arctangents whose last bit may differ."""
LOOK_UP_MS_MAX: Final = 10.0
"""What a look-up may take, as the median of the samples'; a slower level is reported."""
PROBLEMS_TOLD_MAX: Final = 5
"""Of a level; there may be millions, and what is beyond is not looked for."""


@dataclass(slots=True)
class LevelVerdict:
    """What was found in a level. It is sound when there are no `problems`."""

    level: int
    triangles: int
    samples: int = 0
    index: str | None = None
    """What the engine says it looks up a point by."""
    look_up_ms: float | None = None
    """The median."""
    problems: list[str] = field(default_factory=list)


def verify_level(collection: Collection, level: int, *, timer: Timer = perf_counter) -> LevelVerdict:
    """Look through a level that has been begun; of one that is not whole, through what should be there."""
    written, there = collection.levels()[level], collection.count(level)
    verdict = LevelVerdict(level, there)
    if written != triangle_count(level):
        verdict.problems.append(
            f"not whole: {written:,} of {triangle_count(level):,}; go on with `step-node mesh seed`"
        )
    if there != written:
        verdict.problems.append(f"{there:,} triangles are there, {written:,} count")
    verdict.problems += islice(_wrong_links(collection, level, written), PROBLEMS_TOLD_MAX)
    samples = [triangle_at(level, index) for index in range(0, written, max(1, written // SAMPLES))]
    verdict.samples = len(samples)
    wrong = (
        problem
        for triangle in samples
        for problem in _wrong_parts(collection.record(level, triangle.integer), triangle)
    )
    verdict.problems += islice(wrong, PROBLEMS_TOLD_MAX)
    if samples:
        verdict.problems += islice(_wrong_look_ups(collection, samples, verdict, timer), PROBLEMS_TOLD_MAX)
    return verdict


def _wrong_look_ups(
    collection: Collection, samples: Sequence[TriangleId], verdict: LevelVerdict, timer: Timer
) -> Iterator[str]:
    times: list[float] = []
    longitude, latitude = centroid(samples[0])
    verdict.index = collection.index_used(verdict.level, latitude, longitude)
    if verdict.index is None:
        yield "the engine does not use the index of places for a point"
    for triangle in samples:
        longitude, latitude = centroid(triangle)
        begun = timer()
        found = collection.look_up(verdict.level, latitude, longitude)
        times.append(timer() - begun)
        # Which triangle holds a point is for consensus' own arithmetic to say.
        if locate(latitude, longitude, verdict.level).integer not in found.triangles:
            yield f"{triangle}: the index does not find it at its centroid"
    verdict.look_up_ms = 1_000.0 * median(times)
    if verdict.look_up_ms >= LOOK_UP_MS_MAX:
        yield f"a look-up takes {verdict.look_up_ms:.1f} ms, must be less than {LOOK_UP_MS_MAX:.0f}"


def _wrong_links(collection: Collection, level: int, written: int) -> Iterator[str]:
    found = collection.links(level)
    for first in range(0, written, chunk_size(level)):
        expected = links(chunk_at(level, first))
        some = list(islice(found, len(expected)))
        if some == expected:
            continue
        for (number, parent), right in zip(some, expected, strict=False):
            if number != right[0]:
                yield f"{TriangleId.from_int(right[0])}: is missing; {number} is in its place"
                return
            if parent != right[1]:
                yield f"{TriangleId.from_int(number)}: its parent is {parent}, must be {right[1]}"
        if len(some) < len(expected):
            yield f"{TriangleId.from_int(expected[len(some)][0])}: is missing, and all after it"
            return


def _wrong_parts(record: Record | None, triangle: TriangleId) -> Iterator[str]:
    if record is None:
        yield f"{triangle}: is missing"
        return
    if record.triangle_id != triangle.text:
        yield f"{triangle}: its text form is {record.triangle_id}"
    for name, positions, right in (
        ("outline", record.ring, polygon(triangle)),
        ("centroid", [record.centroid], [list(centroid(triangle))]),
    ):
        if not _alike(positions, right):
            yield f"{triangle}: its {name} is {positions}, must be {right}"


def _alike(positions: list[Position], right: list[Position]) -> bool:
    return len(positions) == len(right) and all(
        abs(have - want) <= TOLERANCE_DEGREES
        for place, exact in zip(positions, right, strict=True)
        for have, want in zip(place, exact, strict=True)
    )
