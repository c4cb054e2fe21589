"""The reports of fairness in a backup: what the node's side file keeps of each epoch, in files that never change.

What a report was made from may be pruned, or be from before the node began, so a restore cannot always make it again. A
report is held against what can be known of it here: its form, its place in the chain, and, where the batches are there,
the hash of its epoch's last one. Whether its figures are so says `economy verify`, which executes the batches.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from step_node.backup.files import BackupFolder, DamagedFile, batch_record, batch_records, packed, read_file, unpacked
from step_node.backup.manifest import ReportSegment
from step_node.chain.genesis import Genesis
from step_node.economy.fairness.drift import Headline
from step_node.economy.fairness.fold import heights_of
from step_node.economy.fairness.kept import KeptEpoch, Lacking
from step_node.economy.fairness.report import FairnessReport
from step_node.economy.side_file import EconomyFile
from step_node.home.paths import NodeHome
from step_node.offload import run_blocking

SEGMENT_BYTES_MAX = 16_000_000
"""Of reports in one file, before they are compressed; what is more begins another one."""
SEGMENT_UNPACKED_BYTES_MAX = 64_000_000
"""A larger file is not unpacked: this program writes none."""
_EPOCH_BYTES = 8


async def copy_reports(
    home: NodeHome, genesis: Genesis, files: BackupFolder, earlier: Sequence[ReportSegment], height: int
) -> tuple[ReportSegment, ...]:
    """Copy what the side file keeps of the epochs that have ended at `height`, but for those in `earlier`.

    Raises `EconomyFileError` where the file cannot be read, OSError.
    """
    if not home.economy.exists():
        return ()
    after = max((segment.last_epoch for segment in earlier), default=0)
    side_file = await run_blocking(EconomyFile.reading, home.economy, genesis.hash)
    try:
        segments: list[ReportSegment] = []
        pending: list[tuple[int, bytes]] = []
        pending_bytes = 0
        for epoch in await side_file.epochs():
            if epoch <= after or heights_of(epoch, genesis.parameters.epoch_batches)[1] > height:
                continue
            body = await side_file.report(epoch)
            if body is None:
                continue  # It is damaged, as the log says.
            if pending and pending_bytes + len(body) > SEGMENT_BYTES_MAX:
                segments.append(await run_blocking(_write, files, pending))
                pending, pending_bytes = [], 0
            pending.append((epoch, body))
            pending_bytes += len(body)
        if pending:
            segments.append(await run_blocking(_write, files, pending))
        return tuple(segments)
    finally:
        side_file.close()


def read_reports(folder: Path, segment: ReportSegment, genesis: Genesis) -> Iterator[tuple[int, bytes, KeptEpoch]]:
    """Each epoch of a file, its bytes, and what they are, found to be of this chain. Raises `DamagedFile`."""
    if segment.unpacked_bytes > SEGMENT_UNPACKED_BYTES_MAX:
        raise DamagedFile(f"is said to hold {segment.unpacked_bytes} bytes; a file of reports has at most 64 MB")
    content = unpacked(read_file(folder, segment.file), segment.unpacked_bytes)
    before, count = segment.first_epoch - 1, 0
    for number, body in batch_records(content):
        epoch = int.from_bytes(number, "big")
        if len(number) != _EPOCH_BYTES or not before < epoch <= segment.last_epoch:
            raise DamagedFile("holds other epochs than it should")
        yield epoch, body, _checked(epoch, body, genesis)
        before, count = epoch, count + 1
    if (before, count) != (segment.last_epoch, segment.reports):
        raise DamagedFile(
            f"holds {count} epochs up to {before}, and must hold {segment.reports} to {segment.last_epoch}"
        )


class BackedUpReports:
    """The reports of a backup, one by one, as a side file gives them. The file that was read last is kept in memory."""

    def __init__(self, folder: Path, segments: Sequence[ReportSegment], genesis: Genesis) -> None:
        self._folder = folder
        self._segments = segments
        self._genesis = genesis
        self._read: tuple[ReportSegment, dict[int, bytes]] | None = None

    async def epochs(self) -> list[int]:
        """Of which there is something; of a file that is damaged, its last one stands for all."""
        return [epoch for segment in self._segments for epoch in await self._bodies(segment) or (segment.last_epoch,)]

    async def report(self, epoch: int) -> bytes | None:
        """What is kept of an epoch; None if its file is damaged."""
        for segment in self._segments:
            if segment.first_epoch <= epoch <= segment.last_epoch:
                return (await self._bodies(segment)).get(epoch)
        return None

    async def _bodies(self, segment: ReportSegment) -> dict[int, bytes]:
        if self._read is None or self._read[0] != segment:
            self._read = segment, await run_blocking(_bodies, self._folder, segment, self._genesis)
        return self._read[1]


def _bodies(folder: Path, segment: ReportSegment, genesis: Genesis) -> dict[int, bytes]:
    try:
        return {epoch: body for epoch, body, _ in read_reports(folder, segment, genesis)}
    except DamagedFile:
        return {}


def _write(files: BackupFolder, reports: Sequence[tuple[int, bytes]]) -> ReportSegment:
    content = b"".join(batch_record(epoch.to_bytes(_EPOCH_BYTES, "big"), body) for epoch, body in reports)
    first, last = reports[0][0], reports[-1][0]
    return ReportSegment(
        file=files.write(f"reports/{first:012}-{last:012}.gz", packed(content)),
        first_epoch=first,
        last_epoch=last,
        reports=len(reports),
        unpacked_bytes=len(content),
    )


def _checked(epoch: int, body: bytes, genesis: Genesis) -> KeptEpoch:
    """What is kept of an epoch, if it can be of this chain. Raises `DamagedFile`."""
    first_height, last_height = heights_of(epoch, genesis.parameters.epoch_batches)
    try:
        kept = KeptEpoch.decoded(body)
        if kept.point.height != last_height:
            raise ValueError(f"it is of height {kept.point.height}, and the epoch ends with {last_height}")
        if kept.lacking is not Lacking.NOTHING:
            if kept.report or kept.headline is not None:
                raise ValueError(f"it has a report, and says that it has none: {kept.lacking.value}")
            return kept
        report = FairnessReport.parse(kept.report)
        if report.canonical_json() != kept.report or kept.headline != Headline.of(report, kept.report):
            raise ValueError("the report and its headline are not in their one form")
        said = (report.chain_id, report.epoch, report.first_height, report.last_height, report.last_batch_hash)
        if said != (genesis.chain_id, epoch, first_height, last_height, f"0x{kept.point.batch_hash.hex()}"):
            raise ValueError("the report is of another epoch, or of another chain")
    except ValueError as error:
        raise DamagedFile(f"what it holds of epoch {epoch} cannot be used: {error}") from error
    return kept
