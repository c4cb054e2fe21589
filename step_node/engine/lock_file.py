"""The file beside the signing history that keeps the proof of the latest lock (`consensus.lock`).

It is read only where the consensus log is lost. So a file that is damaged, or of another chain or key, is said in the
log and not used: the history alone brings the lock back, and the file its batch and its quorum.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import structlog

from consensus.lock import ProofOfLock, decode_proof_of_lock, encode_proof_of_lock
from consensus.wire import WireError
from step_node.batch.batch import MalformedBatch, decode_batch
from step_node.crypto.eip191 import BadSignature
from step_node.crypto.lines import recover_signer
from step_node.durable.file_system import DISK, FileSystem

log = structlog.get_logger("consensus")


class LockFile:
    """One owner. `keep` blocks, and belongs on a thread."""

    def __init__(self, path: Path, header: bytes, kept: ProofOfLock | None, files: FileSystem, chain_id: str) -> None:
        self._path = path
        self._header = header
        self._files = files
        self._chain_id = chain_id
        self._kept = kept

    @classmethod
    def open(cls, path: Path, *, chain_id: str, validator: bytes, files: FileSystem = DISK) -> LockFile:
        """The file of the key whose address is `validator` (20 bytes), with what is in it."""
        header = _header(chain_id, validator)
        kept = None
        try:
            content = files.read(path) if files.exists(path) else b""
        except OSError as error:
            log.error("the proof of the last lock cannot be read", file=str(path), reason=str(error))
            content = b""
        if content:
            try:
                kept = _decode(header, content, chain_id)
            except (WireError, MalformedBatch, BadSignature, ValueError) as error:
                log.error("the proof of the last lock cannot be used", file=str(path), reason=str(error))
        return cls(path, header, kept, files, chain_id)

    def of_key(self, validator: bytes) -> LockFile:
        """The same file for another key (its address, 20 bytes): what is in it is the old one's."""
        return LockFile(self._path, _header(self._chain_id, validator), None, self._files, self._chain_id)

    def kept(self, height: int) -> ProofOfLock | None:
        """The proof of the latest lock at this height."""
        return self._kept if self._kept is not None and self._kept.height == height else None

    def keep(self, proof: ProofOfLock) -> None:
        """Have `proof` on disk, in the place of the one before. Raises OSError: then nothing may be signed by it."""
        known = self._kept
        if known is not None and (known.height, known.round) == (proof.height, proof.round):
            return
        encoded = encode_proof_of_lock(proof)
        self._files.replace(self._path, self._header + hashlib.sha256(encoded).digest() + encoded)
        self._kept = proof


def _header(chain_id: str, validator: bytes) -> bytes:
    return f"STEP proof of lock 1, chain {chain_id}, validator 0x{validator.hex()}\n".encode()


def _decode(header: bytes, content: bytes, chain_id: str) -> ProofOfLock:
    if not content.startswith(header):
        raise ValueError(f"it begins with {content[:200]!r}, not with {header!r}")
    digest, encoded = content[len(header) : len(header) + 32], content[len(header) + 32 :]
    if hashlib.sha256(encoded).digest() != digest:
        raise ValueError("it is damaged: its digest is another")
    proof = decode_proof_of_lock(encoded)
    if decode_batch(proof.batch).hash != proof.batch_hash:
        raise ValueError("its batch is not the one that its votes are for")
    for vote in proof.votes():
        if recover_signer(vote.signing_line(chain_id), vote.signature) != vote.validator:
            raise ValueError(f"a pre-vote is not signed by 0x{vote.validator.hex()}")
    return proof
