"""What a snapshot says of itself, and how it is proven (docs/adr/0012-snapshots.md).

A snapshot is of the state after one height, its base. The batch after it carries the root of that state in its header,
and a quorum has committed that header: so the manifest brings the base batch, the header that follows, and both
commits, and says how many links lead from the validators of genesis to those of that header (`receipts.links`).
The manifest's list of chunk hashes is the sender's own word; it only says early, and about which chunk, that something
is wrong. What counts is the root.
"""

from __future__ import annotations

import hashlib
from typing import Annotated

from pydantic import Field

from consensus.commit import InvalidCommit, verify_commit
from consensus.messages import BATCH_BYTES_MAX, BatchHash, Commit
from consensus.wire import UInt63, wire_type
from step_node.batch.batch import BatchHeader, MalformedBatch, decode_batch, header_hash
from step_node.crypto.lines import recover_signer
from step_node.receipts.links import LINKS_MAX, TrustedSets
from step_node.snapshot.records import InvalidSnapshot

CHUNK_BYTES_MAX = 512_000
"""Records' bytes in a chunk. Every chunk but the last is within one record of it."""
CHUNKS_MAX = 8_192
"""4 GB of records, some sixty million accounts. A larger state has no snapshots, and newcomers fetch every batch."""
MANIFEST_BYTES_MAX = BATCH_BYTES_MAX + 800_000
"""A batch, two commits, a header and the hashes of all chunks."""


class UnprovenSnapshot(ValueError):
    """Nothing is wrong with it, but this node cannot tell: its validators are not led to by links."""


@wire_type
class SnapshotIndex:
    """What is known of a snapshot when it is taken, kept beside its chunks."""

    height: Annotated[UInt63, Field(ge=1)]
    base_batch: Annotated[bytes, Field(max_length=BATCH_BYTES_MAX)]
    base_commit: Commit
    records: UInt63
    chunks: Annotated[tuple[BatchHash, ...], Field(min_length=1, max_length=CHUNKS_MAX)]


@wire_type
class SnapshotManifest:
    """A snapshot with its proof, once the batch after it is final. `links` is how many lead to its validators."""

    snapshot: SnapshotIndex
    next_header: BatchHeader
    next_commit: Commit
    links: Annotated[int, Field(ge=0, le=LINKS_MAX)] = 0


def chunk_hash(data: bytes) -> bytes:
    """The hash by which a chunk is listed."""
    return hashlib.sha256(data).digest()


def check_manifest(manifest: SnapshotManifest, *, chain_id: str, trusted: TrustedSets) -> BatchHeader:
    """The base batch's header, once everything but the records has been checked.

    `trusted`: the manifest's links, followed. Raises `InvalidSnapshot`, `UnprovenSnapshot`.
    """
    snapshot, following = manifest.snapshot, manifest.next_header
    try:
        base = decode_batch(snapshot.base_batch)
    except MalformedBatch as error:
        raise InvalidSnapshot(f"base_batch: {error}") from error
    expected: list[tuple[str, object, object]] = [
        ("base_batch.chain_id", base.header.chain_id, chain_id),
        ("base_batch.height", base.header.height, snapshot.height),
        ("next_header.chain_id", following.chain_id, chain_id),
        ("next_header.height", following.height, snapshot.height + 1),
        ("next_header.previous_batch_hash", following.previous_batch_hash, base.hash),
    ]
    for field, found, rule in expected:
        if found != rule:
            raise InvalidSnapshot(f"{field}: is not what it must be")
    base_set = trusted.find(base.header.validator_set_hash)
    if base_set is None or following.validator_set_hash != trusted.latest_hash:
        raise UnprovenSnapshot(f"nothing leads from genesis to its validators at height {snapshot.height}")
    for commit, height, batch_hash, validators in (
        (manifest.next_commit, following.height, header_hash(following), trusted.latest),
        (snapshot.base_commit, snapshot.height, base.hash, base_set),
    ):
        try:
            verify_commit(
                commit,
                chain_id=chain_id,
                height=height,
                batch_hash=batch_hash,
                validators=validators,
                recover=recover_signer,
            )
        except InvalidCommit as error:
            raise InvalidSnapshot(f"the commit of height {height}: {error}") from error
    return base.header
