"""What somebody says of a chain at one height, to be held against a replay that has come to that height."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Final, Protocol

from pydantic import BaseModel

from step_node.amounts import step_text
from step_node.economy.verifying.replay import Replay
from step_node.economy.verifying.spooled import SpooledRecords, differences
from step_node.ledger.commitment import state_root
from step_node.ledger.level_counts import CountsByLevel, LevelCounts
from step_node.ledger.state import StateHead
from step_node.offload import run_blocking

NAMED_MAX: Final = 20
"""Differences of one claim that are named; how many more there are is counted."""


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


class Claim(Protocol):
    """Something that is said of the chain at `height`."""

    @property
    def height(self) -> int: ...

    @property
    def subject(self) -> str:
        """What it is about, as a plural: of what matches, only this is told."""
        ...

    async def compare(self, replay: Replay) -> Sequence[Difference]:
        """What of it is not so. `replay` stands at `height`."""
        ...


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
        ]


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
