"""Whether a receipt is true, told with the genesis file alone: steps with names, in this order (docs/receipts.md).

`form`, `signature`, `path`, `chain`, `links`, `commit`. The first that fails is the verdict. Every implementation gives
the same one for the same bytes (`tests/vectors/receipts.json`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from consensus.commit import InvalidCommit, check_commit_signers
from consensus.messages import Commit, CommitSignature, PreCommit
from consensus.values import Validator, ValidatorSet
from step_node.amounts import ustep_in
from step_node.batch.batch import BatchHeader, header_hash
from step_node.batch.merkle import root_of_inclusion
from step_node.crypto.eip191 import BadSignature, digest
from step_node.crypto.lines import recover_signer
from step_node.proofs.timestamps import parse_timestamp
from step_node.receipts.document import (
    STATE_NAMES,
    CommitPart,
    HeaderPart,
    LinkPart,
    MalformedReceipt,
    OperationReceipt,
    ProofReceipt,
    ReceiptDocument,
    read_receipt,
)
from step_node.receipts.leaves import operation_leaf_of, proof_leaf_of
from step_node.receipts.links import InvalidLink, SetLink, TrustedSets


class Step(StrEnum):
    """What is checked, in order."""

    FORM = "form"
    """The bytes are a receipt, in its one form."""
    SIGNATURE = "signature"
    """The account that the line names has signed it."""
    PATH = "path"
    """The outcome is a leaf under the header's `receiptsRoot`."""
    CHAIN = "chain"
    """It is this genesis's chain."""
    LINKS = "links"
    """The header's validators are those of genesis, or whom they have handed over to."""
    COMMIT = "commit"
    """A quorum of them has pre-committed the batch with this header."""


@dataclass(frozen=True, slots=True)
class Trust:
    """What a receipt is judged by, all of it from the genesis file. `genesis_hash`: 32 bytes."""

    chain_id: str
    genesis_hash: bytes
    validators: ValidatorSet


class ReceiptRefused(ValueError):
    """The receipt does not hold. `step` failed: it wants what `expected` says, and found what `found` says."""

    def __init__(self, step: Step, *, expected: str, found: str) -> None:
        super().__init__(f"{step}: expected {expected}; found {found}")
        self.step = step
        self.expected = expected
        self.found = found


@dataclass(frozen=True, slots=True)
class VerifiedReceipt:
    """A receipt that holds, with what its fields lead to.

    `identity` is the id of the proof or operation, `account` (20 bytes) who has signed it, `batch_hash` the identity of
    the batch, `signers` the validators whose pre-commits make it final, out of `validators`.
    """

    receipt: ReceiptDocument
    identity: bytes
    account: bytes
    batch_hash: bytes
    signers: tuple[bytes, ...]
    validators: ValidatorSet


_PROOF_LINE: Final = re.compile(
    r"STEP-PROOF-v1\|account:0x([0-9a-f]{40})"
    r"\|triangle:STEP-TRI-v1:([A-T])([1-9]|1[0-9]|2[01])-([0-3]{20})-[A-Z2-7]{3}"
    r"\|lat:[0-9e.+-]+\|lon:[0-9e.+-]+\|acc:[0-9e.+-]+\|ts:[0-9TZ:.-]{24}\|nonce:[A-Za-z0-9._-]{1,64}"
)
_OPERATION_LINE: Final = re.compile(r"STEP-[A-Z-]+-v1\|chain:([a-z0-9-]+)\|owner:0x([0-9a-f]{40})\|sequence:[0-9]+\|.+")

_STATES: Final = {name: state for state, name in STATE_NAMES.items()}


def verify_receipt(data: bytes, trust: Trust) -> VerifiedReceipt:
    """What the receipt in `data` (JSON or CBOR) proves. Raises `ReceiptRefused` with the first step that fails.

    Pure; a millisecond or two for a chain whose set has never changed.
    """
    try:
        receipt = read_receipt(data)
        account, identity, leaf = _claim(receipt)
    except MalformedReceipt as error:
        raise ReceiptRefused(Step.FORM, expected="a receipt in its one form", found=str(error)) from error
    _check_signature(receipt, account)
    _check_path(receipt, leaf)
    _check_chain(receipt, trust)
    validators = _followed(receipt, trust)
    header = _header(receipt.header)
    batch_hash = header_hash(header)
    signers = _check_commit(receipt.commit, header, validators)
    return VerifiedReceipt(receipt, identity, account, batch_hash, signers, validators)


def _claim(receipt: ReceiptDocument) -> tuple[bytes, bytes, bytes]:
    """Whose line it is, the id that follows from it, and the leaf that the outcome makes of it."""
    if isinstance(receipt, ProofReceipt):
        found = _PROOF_LINE.fullmatch(receipt.proof.line)
        if found is None:
            raise MalformedReceipt("proof.line: must be the signed line of a proof")
        account = bytes.fromhex(found[1])
        identity = digest(receipt.proof.line)
        triangle = (ord(found[2]) - ord("A")) << 45 | int(found[4], 4) << 5 | int(found[3])
        outcome = receipt.outcome
        leaf = proof_leaf_of(
            identity,
            account,
            triangle,
            reward_ustep=ustep_in(outcome.reward),
            clicks=outcome.clicks,
            state=_STATES[outcome.state],
            balance_ustep=ustep_in(outcome.balance),
        )
        return account, identity, leaf
    found = _OPERATION_LINE.fullmatch(receipt.operation.line)
    if found is None:
        raise MalformedReceipt("operation.line: must be the signed line of an operation")
    account = bytes.fromhex(found[2])
    identity = digest(receipt.operation.line)
    return account, identity, operation_leaf_of(identity, account, balance_ustep=ustep_in(receipt.outcome.balance))


def _check_signature(receipt: ReceiptDocument, account: bytes) -> None:
    signed = receipt.operation if isinstance(receipt, OperationReceipt) else receipt.proof
    wanted = f"a signature of the line by 0x{account.hex()}"
    try:
        signer = recover_signer(signed.line, signed.signature)
    except BadSignature as error:
        raise ReceiptRefused(Step.SIGNATURE, expected=wanted, found=str(error)) from error
    if signer != account:
        raise ReceiptRefused(Step.SIGNATURE, expected=wanted, found=f"one by 0x{signer.hex()}, or over another line")


def _check_path(receipt: ReceiptDocument, leaf: bytes) -> None:
    path, size = receipt.path, receipt.header.receipts_size
    root = root_of_inclusion(leaf, index=path.index, size=size, path=path.hashes)
    if root != receipt.header.receipts_root:
        found = f"no path from leaf {path.index} of {size}" if root is None else f"0x{root.hex()}"
        wanted = f"the header's receiptsRoot, 0x{receipt.header.receipts_root.hex()}"
        raise ReceiptRefused(Step.PATH, expected=wanted, found=found)


def _check_chain(receipt: ReceiptDocument, trust: Trust) -> None:
    if receipt.genesis_hash != trust.genesis_hash:
        raise ReceiptRefused(
            Step.CHAIN,
            expected=f"genesis 0x{trust.genesis_hash.hex()}",
            found=f"genesis 0x{receipt.genesis_hash.hex()}",
        )
    if receipt.header.chain_id != trust.chain_id:
        raise ReceiptRefused(
            Step.CHAIN, expected=f"chain {trust.chain_id}", found=f"chain {receipt.header.chain_id} in the header"
        )


def _followed(receipt: ReceiptDocument, trust: Trust) -> ValidatorSet:
    """The set of the header: that of genesis, or the one that the last link leads to."""
    trusted = TrustedSets(trust.chain_id, trust.validators)
    for index, link in enumerate(receipt.links):
        try:
            trusted.follow(_set_link(link))
        except (InvalidLink, InvalidCommit) as error:
            wanted = "links that the validators before have signed, each to another set"
            raise ReceiptRefused(Step.LINKS, expected=wanted, found=f"links.{index}: {error}") from error
    wanted_hash = receipt.header.validator_set_hash
    if trusted.latest_hash != wanted_hash:
        raise ReceiptRefused(
            Step.LINKS,
            expected=f"links from genesis to the header's validators, 0x{wanted_hash.hex()}",
            found=f"that they lead to 0x{trusted.latest_hash.hex()}",
        )
    return trusted.latest


def _check_commit(part: CommitPart, header: BatchHeader, validators: ValidatorSet) -> tuple[bytes, ...]:
    wanted = f"pre-commits of {validators.quorum} of the {len(validators)} validators, in the order of their addresses"
    try:
        commit = _commit(part, header)
        check_commit_signers(commit, validators)
    except InvalidCommit as error:
        raise ReceiptRefused(Step.COMMIT, expected=wanted, found=str(error)) from error
    return tuple(entry.validator for entry in commit.signatures)


def _commit(part: CommitPart, header: BatchHeader) -> Commit:
    """The commit of the batch with `header`: whoever has signed stands in it. Raises `InvalidCommit`."""
    batch_hash = header_hash(header)
    # Who votes is not part of the line.
    line = PreCommit(header.height, part.round, batch_hash, bytes(20)).signing_line(header.chain_id)
    return Commit(header.height, part.round, batch_hash, tuple(_entries(line, part.signatures)))


def _entries(line: str, signatures: Iterable[bytes]) -> Iterable[CommitSignature]:
    for index, signature in enumerate(signatures):
        try:
            signer = recover_signer(line, signature)
        except BadSignature as error:
            raise InvalidCommit(f"signatures.{index}: {error}") from error
        yield CommitSignature(signer, signature)


def _header(part: HeaderPart) -> BatchHeader:
    return BatchHeader(
        chain_id=part.chain_id,
        protocol_version=part.protocol_version,
        height=part.height,
        round=part.round,
        proposer=part.proposer,
        timestamp_ms=parse_timestamp(part.timestamp),
        previous_batch_hash=part.previous_batch_hash,
        validator_set_hash=part.validator_set_hash,
        state_root=part.state_root,
        proof_ids_root=part.proof_ids_root,
        proofs_root=part.proofs_root,
        receipts_root=part.receipts_root,
        receipts_size=part.receipts_size,
        body_hash=part.body_hash,
    )


def _set_link(part: LinkPart) -> SetLink:
    header = _header(part.header)
    members = tuple(Validator(one.address, one.public_key, ustep_in(one.stake)) for one in part.validators)
    return SetLink(header, _commit(part.commit, header), members)
