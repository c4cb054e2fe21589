"""What a backup says of itself: `backup.json`, which names every file with its size and hash (docs/backup.md).

It is written last, and replaced in one step, so what it names is whole and on disk; a file that it does not name is
what a run left behind that was cut short. It stands there twice: a damaged one is told, and the other one is used.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal

import rfc8785
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from step_node.durable.atomic_file import write_atomically
from step_node.errors import StepNodeError, describe_validation_error

FORMAT: Final = "step-backup-1"
MANIFEST_NAME: Final = "backup.json"
MANIFEST_COPY_NAME: Final = "backup.copy.json"
MANIFEST_BYTES_MAX = 256 * 1024 * 1024
"""A backup made every hour for a year names some ten thousand files, in some 3 MB. A longer one is not read."""

Hash = Annotated[str, Field(pattern="^0x[0-9a-fA-F]{64}$")]
Number = Annotated[int, Field(ge=0, le=2**63 - 1)]
FilePath = Annotated[str, Field(pattern=r"^[a-z0-9_]+(/[A-Za-z0-9_.-]+){0,3}$", max_length=200)]


class BackupError(StepNodeError):
    """The backup cannot be made or used; the message names the file and says what to do."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class BackupFile(_Part):
    """A file of the backup. `bytes` and `sha256` are those of the file as it stands there."""

    path: FilePath
    bytes: Number
    sha256: Hash


class Segment(_Part):
    """A file of consecutive batches with their commits. `unpacked_bytes`: before it was compressed."""

    file: BackupFile
    first_height: Annotated[Number, Field(ge=1)]
    last_height: Annotated[Number, Field(ge=1)]
    proofs: Number
    unpacked_bytes: Number


class StateCopy(_Part):
    """The whole state after the batch of `height`: an index, and chunks of records in the order of their hashes there.

    `state_root` is the root over them, which the header of the next height carries.
    """

    height: Annotated[Number, Field(ge=1)]
    state_root: Hash
    records: Number
    unpacked_bytes: Number
    index: BackupFile
    chunks: tuple[BackupFile, ...]

    @property
    def files(self) -> tuple[BackupFile, ...]:
        """All of its files."""
        return (self.index, *self.chunks)


class ReportSegment(_Part):
    """A file of the reports of fairness that the node has kept, of rising epochs, not all of which need be there."""

    file: BackupFile
    first_epoch: Annotated[Number, Field(ge=1)]
    last_epoch: Annotated[Number, Field(ge=1)]
    reports: Annotated[Number, Field(ge=1)]
    unpacked_bytes: Number


class HomeFiles(_Part):
    """What of a home is the node's own."""

    genesis: BackupFile
    initial_state: BackupFile | None = None
    """Left out of the manifest where genesis names none."""
    config: BackupFile
    validator_sets: BackupFile | None
    signing_histories: tuple[BackupFile, ...]
    key_files: tuple[BackupFile, ...]


class Manifest(_Part):
    """All that a backup holds. The batches go from `base_height` + 1 to `height`, without a gap.

    `base_height` is 0 for a chain from its genesis on; else there is a state of that height to begin with.
    """

    format: Literal["step-backup-1"]
    run: Annotated[Number, Field(ge=1)]
    """How many times it has been added to; the files of the home are in a directory of each run's own."""
    made_at: str
    chain_id: str
    genesis_hash: Hash
    base_height: Number
    height: Number
    batch_hash: Hash
    state_root: Hash
    home: HomeFiles
    segments: tuple[Segment, ...]
    states: tuple[StateCopy, ...]
    reports: tuple[ReportSegment, ...] = ()
    """Left out of the manifest where there are none, as before there were any."""

    def files(self) -> Iterator[BackupFile]:
        """Every file that it names."""
        home = self.home
        yield from (home.genesis, home.config)
        if home.initial_state is not None:
            yield home.initial_state
        if home.validator_sets is not None:
            yield home.validator_sets
        yield from (*home.signing_histories, *home.key_files)
        for segment in self.segments:
            yield segment.file
        for state in self.states:
            yield from state.files
        for reports in self.reports:
            yield reports.file

    @property
    def bytes(self) -> int:
        """What all files take together."""
        return sum(file.bytes for file in self.files())

    @property
    def proofs(self) -> int:
        """How many proofs are in its batches."""
        return sum(segment.proofs for segment in self.segments)

    @property
    def latest_state(self) -> StateCopy | None:
        """The state of the greatest height."""
        return max(self.states, key=lambda state: state.height, default=None)

    @property
    def base_state(self) -> StateCopy | None:
        """The state that the batches begin after; None where that is genesis."""
        return next((state for state in self.states if state.height == self.base_height), None)


@dataclass(frozen=True, slots=True)
class FoundManifest:
    """The manifest, and what is wrong with either of its two files."""

    manifest: Manifest
    damaged: tuple[tuple[str, str], ...]
    """(name, reason) of one that cannot be used."""


def hash_text(data: bytes) -> str:
    """A hash as the manifest writes it."""
    return digest_text(hashlib.sha256(data))


def digest_text(digest: hashlib._Hash) -> str:
    """The hash of what was added up in `digest`, written so."""
    return f"0x{digest.hexdigest()}"


def find_manifest(folder: Path) -> FoundManifest | None:
    """The manifest of the backup in `folder`; None if there is neither file. Raises `BackupError` if neither is sound.

    Of two sound ones the first counts: the copy is written before it, and may name what a run that was cut short added.
    """
    found: list[Manifest] = []
    damaged: list[tuple[str, str]] = []
    for name in (MANIFEST_NAME, MANIFEST_COPY_NAME):
        try:
            found.append(_read(folder / name))
        except FileNotFoundError:
            damaged.append((name, "is not there"))
        except (ValueError, OSError) as error:
            damaged.append((name, str(error)))
    if found:
        return FoundManifest(found[0], tuple(damaged))
    if all(not (folder / name).exists() for name, _ in damaged):
        return None
    raise BackupError(
        f"{folder}: both {MANIFEST_NAME} and {MANIFEST_COPY_NAME} are unusable ("
        + "; ".join(f"{name}: {reason}" for name, reason in damaged)
        + "): what the other files are worth cannot be told. Use another backup, or make one in an empty directory"
    )


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Make it what the backup in `folder` holds; all files that it names must be on disk. Raises OSError."""
    content = manifest.model_dump(mode="json")
    if manifest.home.initial_state is None:
        del content["home"]["initial_state"]
    if not manifest.reports:
        del content["reports"]
    document = {"digest": _digest(content), "manifest": content}
    encoded = json.dumps(document, indent=1).encode() + b"\n"
    for name in (MANIFEST_COPY_NAME, MANIFEST_NAME):
        write_atomically(folder / name, encoded)


def _digest(content: object) -> str:
    return hash_text(rfc8785.dumps(content))  # type: ignore[arg-type]


def _read(path: Path) -> Manifest:
    size_bytes = path.stat().st_size
    if size_bytes > MANIFEST_BYTES_MAX:
        raise ValueError(f"{size_bytes} bytes; a manifest has at most {MANIFEST_BYTES_MAX}")
    document = json.loads(path.read_bytes())
    if not isinstance(document, dict) or set(document) != {"digest", "manifest"}:
        raise ValueError("is no manifest of a backup")
    content = document["manifest"]
    if isinstance(content, dict) and str(content.get("format")) != FORMAT:
        raise ValueError(f"is of the format {content.get('format')!r}; this program knows {FORMAT!r}")
    try:
        digest = _digest(content)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"is no manifest of a backup: {error}") from error
    if document["digest"] != digest:
        raise ValueError("is damaged: its digest is not that of its content")
    try:
        return Manifest.model_validate_json(json.dumps(content))
    except ValidationError as error:
        raise ValueError(describe_validation_error(error)) from error
