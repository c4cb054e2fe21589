"""The links from genesis's validators to the present ones, as a node keeps them for newcomers (`receipts.links`).

They can be made only while the chain goes by: the store does not remember who was in an earlier set. So a set is
written down when it becomes that of the next height, and the first header under it whose commit carries a quorum of
the set before makes the link. A commit may carry more signatures later, in the batch after it; that one is tried too.

All of it is one small file, replaced as a whole. What a crash leaves out is made up for by the next batch: sets are
noted at every start, and any header under a set will do. A file that is lost or damaged costs only that newcomers get
no snapshot from this node once the set has changed; a node that joins takes over the links that it was given.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Annotated

import structlog
import trio
from pydantic import Field

from consensus.messages import BatchHash, Commit
from consensus.values import VALIDATORS_MAX, Validator, ValidatorSet
from consensus.wire import WireError, decode, encode, wire_type
from step_node.batch.batch import Batch, BatchHeader
from step_node.chain.genesis import Genesis
from step_node.durable.file_system import DISK, FileSystem
from step_node.ledger.validators import validator_set
from step_node.offload import run_blocking
from step_node.receipts.links import LINKS_MAX, InvalidLink, SetLink, TrustedSets
from step_node.snapshot.records import InvalidSnapshot

UNLINKED_MAX = 8
"""Sets without a link that are remembered; the oldest goes first, since a later one can be linked as well."""

TRAIL_BYTES_MAX = 256 * 1024 * 1024
_DIGEST_BYTES = 32

log = structlog.get_logger("snapshot")


@wire_type
class _Kept:
    genesis_hash: BatchHash
    links: Annotated[tuple[SetLink, ...], Field(max_length=LINKS_MAX)]
    unlinked: Annotated[
        tuple[Annotated[tuple[Validator, ...], Field(max_length=VALIDATORS_MAX)], ...], Field(max_length=UNLINKED_MAX)
    ]


class ValidatorSetLinks:
    """See the module's docstring. Made by `open`; one owner. `path` None keeps nothing on disk."""

    def __init__(self, path: Path | None, genesis: Genesis, *, files: FileSystem = DISK) -> None:
        self._path = path
        self._files = files
        self._genesis = genesis
        self._first = validator_set(genesis.head().validators)
        self._unlinked: dict[bytes, ValidatorSet] = {}
        self._previous: BatchHeader | None = None
        self._write_turn = trio.Lock()
        self.links: tuple[SetLink, ...] = ()
        """From genesis to the latest set that has one."""
        self._trusted = TrustedSets(genesis.chain_id, self._first)

    @classmethod
    async def open(cls, path: Path, genesis: Genesis, *, files: FileSystem = DISK) -> ValidatorSetLinks:
        """The links kept at `path`; an empty one if there is none, or it cannot be used."""
        set_links = cls(path, genesis, files=files)
        try:
            await run_blocking(set_links._read)
        except FileNotFoundError:
            return set_links
        except (OSError, WireError, InvalidSnapshot, InvalidLink) as error:
            log.error(
                "the links to the present validators cannot be read; newcomers get no snapshot from this node once the"
                " set has changed",
                file=str(path),
                reason=str(error),
            )
            return cls(path, genesis, files=files)
        return set_links

    def links_to(self, validator_set_hash: bytes) -> tuple[SetLink, ...] | None:
        """The links that lead from genesis to the set with this hash; None if they do not lead there."""
        if validator_set_hash == self._first.hash:
            return ()
        for index, link in enumerate(self.links):
            if link.header.validator_set_hash == validator_set_hash:
                return self.links[: index + 1]
        return None

    def sets(self) -> tuple[ValidatorSet, ...]:
        """Those that links lead to from that of genesis."""
        return tuple(ValidatorSet(link.validators) for link in self.links)

    async def begin(self, validators: ValidatorSet) -> None:
        """Note the set of the next height, at a start or after a jump."""
        self._previous = None
        if self._note(validators):
            await self._write()

    async def after_batch(self, batch: Batch, commit: Commit, validators: ValidatorSet) -> None:
        """Note a batch that has been stored with `commit`, and the set of the height after it."""
        previous, self._previous = self._previous, batch.header
        linked = previous is not None and batch.last_commit is not None and self._link(previous, batch.last_commit)
        linked = self._link(batch.header, commit) or linked
        if self._note(validators) or linked:
            await self._write()

    async def take_over(self, links: Sequence[SetLink]) -> None:
        """Keep the links, already checked, by which this node has come to trust a snapshot."""
        trusted = await run_blocking(self._followed, links)
        self._trusted, self.links = trusted, tuple(links)
        self._unlinked.clear()
        await self._write()

    def _followed(self, links: Sequence[SetLink]) -> TrustedSets:
        return TrustedSets.along(self._genesis.chain_id, self._first, links)

    def _note(self, validators: ValidatorSet) -> bool:
        set_hash = validators.hash
        if set_hash == self._trusted.latest_hash or set_hash in self._unlinked:
            return False
        self._unlinked[set_hash] = validators
        while len(self._unlinked) > UNLINKED_MAX:
            del self._unlinked[next(iter(self._unlinked))]
        return True

    def _link(self, header: BatchHeader, commit: Commit) -> bool:
        validators = self._unlinked.get(header.validator_set_hash)
        if validators is None or len(self.links) >= LINKS_MAX:
            return False
        link = SetLink(header, commit, validators.validators)
        try:
            self._trusted.follow(link)
        except InvalidLink:
            return False  # Too few of the old set have signed this one: a later header will do.
        self.links = (*self.links, link)
        del self._unlinked[header.validator_set_hash]
        return True

    def _read(self) -> None:
        if self._path is None:
            return
        with closing(self._files.open(self._path)) as file:
            size_bytes = file.size_bytes()
        if size_bytes > TRAIL_BYTES_MAX:
            raise InvalidSnapshot(f"it has {size_bytes} bytes, more than is ever written")
        kept = _kept_in(self._files.read(self._path), self._genesis)
        self._trusted, self.links = self._followed(kept.links), kept.links
        for members in kept.unlinked:
            self._note(ValidatorSet(members))

    async def _write(self) -> None:
        if self._path is None:
            return
        # The driver notes batches while the task that syncs may take over links.
        async with self._write_turn:
            unlinked = tuple(one.validators for one in self._unlinked.values())
            kept = _Kept(self._genesis.hash, self.links, unlinked)
            try:
                await run_blocking(_write_kept, self._path, kept, self._files)
            except OSError as error:
                # What is in memory is good; the next change writes all of it.
                log.error("the links to the validators cannot be kept", file=str(self._path), reason=str(error))


def linked_sets(data: bytes, genesis: Genesis) -> tuple[ValidatorSet, ...]:
    """The sets that the links in a file of `ValidatorSetLinks` lead to from that of `genesis`, each link checked.

    Raises `WireError`, `InvalidSnapshot`, `InvalidLink`.
    """
    links = _kept_in(data, genesis).links
    TrustedSets.along(genesis.chain_id, validator_set(genesis.head().validators), links)
    return tuple(ValidatorSet(link.validators) for link in links)


def _kept_in(data: bytes, genesis: Genesis) -> _Kept:
    content = data[_DIGEST_BYTES:]
    if hashlib.sha256(content).digest() != data[:_DIGEST_BYTES]:
        raise InvalidSnapshot("it is damaged")
    kept = decode(_Kept, content, bytes_max=TRAIL_BYTES_MAX, structure_bytes_max=TRAIL_BYTES_MAX)
    if kept.genesis_hash != genesis.hash:
        raise InvalidSnapshot("it is another chain's")
    return kept


def _write_kept(path: Path, kept: _Kept, files: FileSystem) -> None:
    content = encode(kept)
    files.replace(path, hashlib.sha256(content).digest() + content)
