"""What somebody says of a chain at one height, to be held against a replay that has come to that height."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Final, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel

from step_node.amounts import step_text
from step_node.economy.columns import COLUMNS, ProofColumns
from step_node.economy.verifying.replay import Replay
from step_node.economy.verifying.spooled import SpooledRecords, differences
from step_node.economy.window import Standing
from step_node.ledger.commitment import state_root
from step_node.ledger.level_counts import CountsByLevel, LevelCounts
from step_node.ledger.state import StateHead
from step_node.offload import run_blocking

NAMED_MAX: Final = 20
"""Differences of one claim that are named; how many more there are is counted."""

BEGUN_WITHIN: Final = "the replay has begun within it"


@dataclass(frozen=True, slots=True)
class Difference:
    """`what` is said otherwise than the batches make it. None: there is no such thing on that side."""

    height: int
    what: str
    said: str | None
    recomputed: str | None

    def __str__(self) -> str:
        said = "nothing of it" if self.said is None else self.said
        made = "none" if self.recomputed is None else self.recomputed
        return f"height {self.height}: {self.what}: said is {said}, and the batches make {made}"


@dataclass(frozen=True, slots=True)
class NotCompared:
    """A claim that cannot be held against the replay. `which` one of its subject, and `because` of what."""

    which: str
    because: str


@dataclass(frozen=True, slots=True)
class Later:
    """It cannot be told at this height: `claim` is to be held against the next one. Where there is none, `found` is
    what has come of it."""

    claim: Claim
    found: Sequence[Difference] | NotCompared


Comparison: TypeAlias = "Sequence[Difference] | NotCompared | Later"


class Claim(Protocol):
    """Something that is said of the chain at `height`."""

    @property
    def height(self) -> int: ...

    @property
    def subject(self) -> str:
        """What it is about, as a plural: of what matches, only this is told."""
        ...

    async def compare(self, replay: Replay) -> Comparison:
        """What of it is not so, if that can be told. `replay` stands at `height`."""
        ...


@dataclass(frozen=True, slots=True)
class OfSomeHeight:
    """A claim of who may have gone on while asked: what it says is so at one of the heights from `height` to `last`."""

    claim: Claim
    height: int
    last: int

    @property
    def subject(self) -> str:
        """The claim's."""
        return self.claim.subject

    async def compare(self, replay: Replay) -> Comparison:
        """See `Claim`."""
        found = await self.claim.compare(replay)
        if isinstance(found, NotCompared | Later) or not found or self.height >= self.last:
            return found
        return Later(replace(self, height=self.height + 1), found)


@dataclass(frozen=True, slots=True)
class UntoldClaim:
    """What should have been said, and was not."""

    height: int
    subject: str
    which: str
    because: str

    async def compare(self, replay: Replay) -> NotCompared:
        """See `Claim`."""
        del replay
        return NotCompared(self.which, self.because)


@dataclass(frozen=True, slots=True)
class RootClaim:
    """The hash of the last batch and the root of the state after it, as backups and `GET /status` say them."""

    height: int
    batch_hash: bytes | None
    state_root: bytes | None
    whose: str = ""
    subject: str = "state roots"

    async def compare(self, replay: Replay) -> Sequence[Difference]:
        """See `Claim`."""
        head = replay.head
        of = f" of {self.whose}" if self.whose else ""
        found = (
            (f"batch hash{of}", self.batch_hash, head.chain.batch_hash),
            (f"state root{of}", self.state_root, state_root(head.lanes)),
        )
        return [
            Difference(self.height, what, f"0x{said.hex()}", f"0x{made.hex()}")
            for what, said, made in found
            if said is not None and said != made
        ]


@dataclass(frozen=True, slots=True)
class HeadClaim:
    """The head record of a store: supply, validators, parameters and rules, and the commitment to all records."""

    head: StateHead
    subject: str = "head records"

    @property
    def height(self) -> int:
        """The head's own."""
        return self.head.chain.height

    async def compare(self, replay: Replay) -> Sequence[Difference]:
        """See `Claim`."""
        said, made = self.head, replay.head
        found = [*_differing("the head's", said.chain, made.chain)]
        if said.parameters != made.parameters:
            found += _differing("parameter", said.parameters, made.parameters)
        if said.protocol != made.protocol:
            found += _differing("rule", said.protocol, made.protocol)
        ours = {record.address: record for record in made.validators}
        theirs = {record.address: record for record in said.validators}
        for address in sorted({*ours, *theirs}):
            mine, other = ours.get(address), theirs.get(address)
            name = f"validator 0x{address.hex()}"
            if mine is None or other is None:
                found.append((name, None if other is None else "a record", None if mine is None else "a record"))
            elif mine != other:
                found += _differing(f"{name}'s", other, mine)
        if said.lanes != made.lanes:
            found.append(("state root", f"0x{state_root(said.lanes).hex()}", f"0x{state_root(made.lanes).hex()}"))
        return [Difference(self.height, *one) for one in found[:NAMED_MAX]]


@dataclass(frozen=True, slots=True)
class LevelCountsClaim:
    """The clicks by level that a store keeps, and `GET /mesh/stats` shows."""

    height: int
    counts: CountsByLevel
    subject: str = "counts by level"

    async def compare(self, replay: Replay) -> Sequence[Difference]:
        """See `Claim`."""
        made = await replay.storage.level_counts()
        return [
            Difference(self.height, f"{what}{'' if what == 'clicks' else ' triangles'} at level {level}", said, mine)
            for level in sorted({*self.counts, *made})
            for what, said, mine in _differing("", self.counts.get(level, _NONE), made.get(level, _NONE))
        ][:NAMED_MAX]


@dataclass(frozen=True, slots=True)
class RecordsClaim:
    """Every account, triangle and nonce of a store, spooled to a file in `folder`, which takes the replay's, too."""

    records: SpooledRecords
    folder: Path
    subject: str = "records"

    @property
    def height(self) -> int:
        """Of the export."""
        assert self.records.head is not None
        return self.records.head.chain.height

    async def compare(self, replay: Replay) -> Sequence[Difference]:
        """See `Claim`."""
        made = SpooledRecords(self.folder / "made.records")
        await replay.storage.export(made)
        return await run_blocking(partial(_named, self.height, self.records, made))


@dataclass(frozen=True, slots=True)
class FairnessClaim:
    """The report of an epoch, whose last batch is that of `height`."""

    height: int
    epoch: int
    canonical_json: bytes
    subject: str = "fairness reports"

    async def compare(self, replay: Replay) -> Sequence[Difference] | NotCompared:
        """See `Claim`."""
        made = replay.derived.report
        if made is None or made.epoch != self.epoch:
            return NotCompared(f"epoch {self.epoch}", BEGUN_WITHIN)
        if made.canonical_json is None:
            return [Difference(self.height, f"fairness of epoch {self.epoch}", "a report", None)]
        if made.canonical_json == self.canonical_json:
            return []
        found = list(json_differences(_parsed(self.canonical_json), _parsed(made.canonical_json)))
        return [
            Difference(self.height, f"fairness of epoch {self.epoch}{path}", said, ours)
            for path, said, ours in found[:NAMED_MAX] or [("", "another encoding", "the same of other bytes")]
        ]


@dataclass(frozen=True, slots=True)
class WindowClaim:
    """The window of proofs as a side file keeps it, of which trending and plausibility are made."""

    standing: Standing
    rows: ProofColumns
    subject: str = "windows of proofs"

    @property
    def height(self) -> int:
        """The last batch's that is in it."""
        return self.standing.height

    async def compare(self, replay: Replay) -> Sequence[Difference] | NotCompared:
        """See `Claim`."""
        window = replay.derived.window
        made = ProofColumns.joined(window.parts(window.first, window.end))
        if not window.is_complete:
            return NotCompared(f"at height {self.height}", BEGUN_WITHIN)
        said = self.rows
        if not self.standing.is_complete:
            first = int(np.searchsorted(made.height, self.standing.complete_from_height))
            made = made.rows(slice(first, None))
        if len(said) != len(made):
            return [Difference(self.height, "proofs in the window", str(len(said)), str(len(made)))]
        return [
            Difference(
                self.height,
                f"{name.replace('_', ' ')} of proof {place} in the window (batch {int(made.height[place])})",
                str(getattr(said, name)[place]),
                str(getattr(made, name)[place]),
            )
            for name in COLUMNS
            for place in _first_difference(getattr(said, name), getattr(made, name))
        ]


_NONE: Final = LevelCounts()


def _differing(whose: str, said: object, made: object) -> Iterator[tuple[str, str | None, str | None]]:
    """The fields of two records that are not the same, with what each has there."""
    for name in _field_names(made):
        theirs, ours = getattr(said, name), getattr(made, name)
        if theirs != ours:
            what = name.removesuffix("_ustep").replace("_", " ")
            yield f"{whose} {what}".strip(), _shown(name, theirs), _shown(name, ours)


def _field_names(record: object) -> list[str]:
    if isinstance(record, BaseModel):
        return list(type(record).model_fields)
    return [field.name for field in fields(record)]  # type: ignore[arg-type]  # all other records are dataclasses


def _shown(name: str, value: object) -> str:
    if isinstance(value, bytes):
        return f"0x{value.hex()}"
    if name.endswith("_ustep") and isinstance(value, int) and value >= 0:
        return f"{step_text(value)} STEP"
    return str(value)


def _named(height: int, said: SpooledRecords, made: SpooledRecords) -> list[Difference]:
    found: list[Difference] = []
    further = 0
    for one in differences(said, made):
        if len(found) < NAMED_MAX:
            found.append(Difference(height, one.what, one.said, one.made))
        else:
            further += 1
    if further:
        found.append(Difference(height, "further records", f"{further} differences", "none of them"))
    return found


def _first_difference(said: npt.NDArray[np.generic], made: npt.NDArray[np.generic]) -> list[int]:
    """The first row in which they are not the same, if there is one."""
    differing = np.flatnonzero((said != made).reshape(len(said), -1).any(axis=1))
    return [int(place) for place in differing[:1]]


def _parsed(data: bytes) -> object:
    """The JSON in `data`; what is none, as its text."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return data.decode("utf-8", errors="replace")


def json_differences(said: object, made: object, path: str = "") -> Iterator[tuple[str, str | None, str | None]]:
    """Where two JSON values differ: the path to it, and what stands there on each side."""
    if isinstance(said, dict) and isinstance(made, dict):
        for key in sorted({*said, *made}):
            yield from json_differences(said.get(key), made.get(key), f"{path}.{_key_text(key)}")
    elif isinstance(said, list) and isinstance(made, list):
        for index, (theirs, ours) in enumerate(zip(said, made, strict=False)):
            yield from json_differences(theirs, ours, f"{path}[{index}]")
        if len(said) != len(made):
            yield f"{path}: how many", str(len(said)), str(len(made))
    elif said != made:
        yield path, _json_text(said), _json_text(made)


def _key_text(key: str) -> str:
    """A name as it is told; one of other characters than names have, such as a terminal would obey, as JSON."""
    return key if key.isascii() and key.isalnum() else json.dumps(key)


def _json_text(value: object) -> str:
    try:
        return json.dumps(value)
    except RecursionError:
        return "more levels than can be gone through"
