"""The pool in which evidence waits for a batch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import structlog
import trio
from pydantic import Field

from consensus.evidence import InvalidEvidence
from consensus.messages import Evidence
from consensus.wire import WireError, decode, encode, wire_type
from step_node.batch.batch import EVIDENCE_MAX
from step_node.durable.file_system import DISK, FileSystem
from step_node.ledger.evidence import offence_in
from step_node.ledger.offences import Offence, slash_bps
from step_node.offload import run_blocking
from step_node.parameters import Parameters

POOL_EVIDENCE_MAX = 64
"""Pieces that wait at once; a further one is not taken: the sender repeats it."""

POOL_EVIDENCE_PER_ACCUSED_MAX = 2
"""Of one validator: one is enough, and a second may weigh more. A culprit can make any number of them; of more, those
that weigh most stay."""

POOL_FILE_BYTES_MAX = 1_000_000

log = structlog.get_logger("evidence")


@wire_type
class _PoolFile:
    pieces: Annotated[tuple[Evidence, ...], Field(max_length=POOL_EVIDENCE_MAX)]


class EvidencePool:
    """Evidence that waits to be put into a batch: verified, bounded, and kept in a small file.

    One node may be the only witness, and may crash before others have heard it: so a piece is on disk when `add`
    returns. With `path` None it is in memory only. Lives on the event loop.
    """

    def __init__(self, *, path: Path | None = None, files: FileSystem = DISK) -> None:
        self._path = path
        self._files = files
        self._waiting: dict[bytes, tuple[Evidence, Offence]] = {}
        self._write_turn = trio.Lock()

    @classmethod
    def open(cls, path: Path, *, chain_id: str, parameters: Parameters, files: FileSystem = DISK) -> EvidencePool:
        """The pool with what the file has. One that cannot be read, or not to its end, is said in the log; what is
        damaged is set aside, since the next change writes the file anew."""
        pool = cls(path=path, files=files)
        try:
            data = files.read(path) if files.exists(path) else b""
        except OSError as error:
            log.error("the evidence that waited cannot be read; the node goes on without it", reason=str(error))
            return pool
        if not data:
            return pool
        try:
            for evidence in decode(
                _PoolFile, data, bytes_max=POOL_FILE_BYTES_MAX, structure_bytes_max=POOL_FILE_BYTES_MAX
            ).pieces:
                offence = offence_in(evidence, chain_id=chain_id, parameters=parameters)
                pool._waiting[offence.evidence] = (evidence, offence)
        except (WireError, InvalidEvidence) as error:
            aside = path.with_name(f"{path.name}.damaged")
            log.error(
                "the file of evidence that waits for a batch is damaged: it is set aside, and the node goes on with"
                " what could be read",
                file=str(path),
                set_aside=str(aside),
                reason=str(error),
                pieces_read=len(pool),
            )
            try:
                files.replace(aside, data)
            except OSError as failure:
                log.error("the damaged file cannot be set aside", file=str(path), reason=str(failure))
        return pool

    def __len__(self) -> int:
        return len(self._waiting)

    def pieces(self) -> tuple[Evidence, ...]:
        """All that waits."""
        return tuple(evidence for evidence, _ in self._waiting.values())

    def candidates(self, parameters: Parameters) -> tuple[tuple[Evidence, Offence], ...]:
        """For a proposer: of each accused the gravest piece, at most `EVIDENCE_MAX`."""
        gravest: dict[bytes, tuple[Evidence, Offence]] = {}
        for evidence, offence in self._waiting.values():
            known = gravest.get(offence.accused)
            if known is None or slash_bps(offence.kind, parameters) > slash_bps(known[1].kind, parameters):
                gravest[offence.accused] = (evidence, offence)
        return tuple(gravest[accused] for accused in sorted(gravest))[:EVIDENCE_MAX]

    async def add(self, evidence: Evidence, offence: Offence, parameters: Parameters) -> bool:
        """Take it, unless it is there, or there are too many (False). It is on disk when this returns.

        A piece that weighs more takes the place of the least of its accused's, or a culprit could fill them itself.
        """
        if offence.evidence in self._waiting:
            return False
        of_accused = [other for _, other in self._waiting.values() if other.accused == offence.accused]
        if len(of_accused) >= POOL_EVIDENCE_PER_ACCUSED_MAX:
            least = min(of_accused, key=lambda other: slash_bps(other.kind, parameters))
            if slash_bps(offence.kind, parameters) <= slash_bps(least.kind, parameters):
                return False
            del self._waiting[least.evidence]
        elif len(self._waiting) >= POOL_EVIDENCE_MAX:
            return False
        self._waiting[offence.evidence] = (evidence, offence)
        await self._save()
        return True

    async def drop_settled(self, refusal: Callable[[Offence], str | None]) -> None:
        """Forget what `refusal` says cannot be punished any more."""
        settled = [key for key, (_, offence) in self._waiting.items() if refusal(offence) is not None]
        for key in settled:
            log.info("evidence is settled", accused=self._waiting.pop(key)[1].accused.hex())
        if settled:
            await self._save()

    async def _save(self) -> None:
        if self._path is None:
            return
        async with self._write_turn:
            try:
                await run_blocking(self._files.replace, self._path, encode(_PoolFile(self.pieces())))
            except OSError as error:
                # It waits in memory all the same, and others have been told.
                log.error("evidence could not be written down", path=str(self._path), reason=str(error))
