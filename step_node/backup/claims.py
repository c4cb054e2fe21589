"""What a backup says besides its batches, as claims that are held against a replay of these: its files, and each record
of each copy of the state."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from step_node.backup.files import DamagedFile
from step_node.backup.manifest import StateCopy
from step_node.backup.verifying import Damage, read_chunk, state_reader
from step_node.economy.verifying.claims import Difference, HeadClaim, RecordsClaim
from step_node.economy.verifying.replay import Replay
from step_node.economy.verifying.spooled import SpooledRecords
from step_node.ledger.commitment import EMPTY_LANES, commit_encoded
from step_node.ledger.protocol_record import ProtocolRecord
from step_node.ledger.records import (
    Account,
    ChainRecord,
    NonceRecord,
    ParametersRecord,
    Record,
    Triangle,
    ValidatorRecord,
)
from step_node.ledger.state import StateHead
from step_node.offload import run_blocking
from step_node.parameters import Parameters
from step_node.snapshot.records import InvalidSnapshot, Place, read_records


@dataclass(frozen=True, slots=True)
class FilesClaim:
    """That every file is what the manifest says of it."""

    height: int
    damages: tuple[Damage, ...]
    subject: str = "manifests"

    async def compare(self, replay: Replay) -> Sequence[Difference]:
        """See `Claim`."""
        del replay
        return [Difference(self.height, f"the file {one.file}", one.what, "a sound one") for one in self.damages]


@dataclass(frozen=True, slots=True)
class StateCopyClaim:
    """Every record of a copy of the state: whoever can write to the files can write their hashes, too."""

    folder: Path
    state: StateCopy
    scratch: Path
    subject: str = "copies of the state"

    @property
    def height(self) -> int:
        """The copy's."""
        return self.state.height

    async def compare(self, replay: Replay) -> Sequence[Difference]:
        """See `Claim`."""
        try:
            said = await run_blocking(_copy_as_records, self.folder, self.state, self.scratch / "said.records")
        except (DamagedFile, InvalidSnapshot) as error:
            return [Difference(self.height, f"the state in {self.state.index.path}", str(error), "a state")]
        said.records.head = said.head
        found = [
            *await HeadClaim(said.head).compare(replay),
            *await RecordsClaim(said.records, self.scratch).compare(replay),
        ]
        if said.fault and not found:
            found.append(Difference(self.height, f"the state in {self.state.index.path}", said.fault, "a state"))
        return found


class _Copy(NamedTuple):
    """A copy of the state as its chunks say it. `fault`: why it is none that could be restored; empty if it is one."""

    head: StateHead
    records: SpooledRecords
    fault: str


def _copy_as_records(folder: Path, state: StateCopy, path: Path) -> _Copy:
    """The records of a copy, in a file at `path`, whatever they add up to. It blocks.

    Raises `DamagedFile`, and `InvalidSnapshot` where they are no records of a state.
    """
    reader, fault = state_reader(folder, state), ""
    spooled, of_head, lanes = SpooledRecords(path), list[Record](), EMPTY_LANES
    after: Place | None = None
    spooled.open()
    with closing(spooled):
        for number in range(len(state.chunks)):
            chunk = read_chunk(folder, state, number)
            records, encoded, after = read_records(chunk, after)
            lanes = commit_encoded(lanes, encoded)
            of_head += [one for one in records if not isinstance(one, Account | Triangle | NonceRecord)]
            spooled.add([one for one in records if isinstance(one, Account | Triangle | NonceRecord)])
            try:
                if not fault:
                    reader.read(chunk)
            except InvalidSnapshot as error:
                fault = str(error)
    try:
        if not fault:
            reader.head()
    except InvalidSnapshot as error:
        fault = str(error)
    return _Copy(_head_of(of_head, lanes), spooled, fault)


def _head_of(records: Sequence[Record], lanes: bytes) -> StateHead:
    """The head that these are the records of. Raises `InvalidSnapshot`."""
    chain = next((one for one in records if isinstance(one, ChainRecord)), None)
    parameters = next((one for one in records if isinstance(one, ParametersRecord)), None)
    if chain is None or parameters is None:
        raise InvalidSnapshot("records: the chain's own, or the parameters, are missing")
    try:
        parsed = Parameters.model_validate_json(parameters.canonical_json)
    except ValueError as error:
        raise InvalidSnapshot(f"records: the parameters cannot be read: {error}") from error
    protocol = next((one for one in records if isinstance(one, ProtocolRecord)), ProtocolRecord())
    validators = tuple(one for one in records if isinstance(one, ValidatorRecord))
    return StateHead(chain, parsed, validators, protocol, lanes)
