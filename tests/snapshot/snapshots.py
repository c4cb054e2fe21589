"""Snapshots of real chains, small enough to change every byte of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from consensus.messages import Commit
from consensus.wire import decode
from step_node.batch.batch import decode_batch
from step_node.chain.chain import COMMIT_BYTES_MAX, Chain
from step_node.chain.genesis import Genesis
from step_node.ledger.state import StateHead
from step_node.ledger.validators import validator_set
from step_node.receipts.links import TrustedSets
from step_node.snapshot.chunks import ChunkReader, ChunkWriter
from step_node.snapshot.manifest import SnapshotManifest, check_manifest
from tests.support.chains import finalise, open_chain
from tests.support.proofs import signed_proof


@dataclass(frozen=True)
class Snapshot:
    """What a peer sends."""

    manifest: SnapshotManifest
    chunks: tuple[bytes, ...]


async def grow(chain: Chain, batches: int) -> None:
    """Finalise so many batches, each with a proof of its own account and place."""
    for height in range(chain.next_height, chain.next_height + batches):
        await finalise(chain, [signed_proof(f"walker-{height}", lat=height % 80 + 0.5, nonce=f"n-{height}")])


async def snapshot_at(chain: Chain, *, chunk_bytes: int) -> Snapshot:
    """That of the chain's head; the chain goes on by the batch that proves it."""
    written: dict[int, bytes] = {}
    writer = ChunkWriter(written.__setitem__, chunk_bytes)
    await chain.storage.export(writer)
    index = writer.finish()
    await grow(chain, 1)
    (following,) = await chain.storage.batches(index.height + 1, 1)
    commit = decode(Commit, following.commit, bytes_max=COMMIT_BYTES_MAX)
    manifest = SnapshotManifest(index, decode_batch(following.batch).header, commit)
    return Snapshot(manifest, tuple(written[number] for number in range(len(written))))


async def small_snapshot(genesis: Genesis, height: int, *, chunk_bytes: int) -> tuple[Chain, Snapshot]:
    """A chain of `height` + 1 batches, and its snapshot of `height` in chunks of so many bytes."""
    chain = await open_chain(genesis)
    await grow(chain, height)
    return chain, await snapshot_at(chain, chunk_bytes=chunk_bytes)


def verified(genesis: Genesis, manifest: SnapshotManifest, received: Sequence[bytes]) -> StateHead:
    """What a newcomer makes of a snapshot. Raises `InvalidSnapshot`, `UnprovenSnapshot`."""
    trusted = TrustedSets(genesis.chain_id, validator_set(genesis.head().validators))
    reader = ChunkReader(manifest.snapshot, check_manifest(manifest, chain_id=genesis.chain_id, trusted=trusted))
    for chunk in received:
        reader.read(chunk)
    return reader.finish(manifest.next_header)
