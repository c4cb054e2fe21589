"""MongoDB documents and the records they stand for: collections, indexes, and the two directions between both.

A document's `_id` is the record's own key wherever it has one, which makes that key unique without a further index.
A touched triangle carries its centroid as GeoJSON under a `2dsphere` index, for maps and for people with a shell; the
node computes geometry anew and never reads it back (docs/adr/0028-points-in-mongodb.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeAlias

from pymongo import ASCENDING, DESCENDING, GEOSPHERE, IndexModel

from mesh import TriangleId, centroid
from mesh.triangle_id import LEVEL_MASK
from step_node.ledger.level_counts import CountsByLevel, LevelCounts
from step_node.ledger.offences import OffenceKind, Slashing
from step_node.ledger.protocol_record import protocol_record_from
from step_node.ledger.records import (
    Account,
    ChainRecord,
    LastProof,
    NonceRecord,
    Triangle,
    TriangleState,
    ValidatorRecord,
    ValidatorState,
    record_bytes,
)
from step_node.ledger.state import Receipt, StateHead
from step_node.ledger.validator_changes import ValidatorChange, ValidatorChangeKind
from step_node.operations.operation import decode_operation, encode_operation
from step_node.parameters import Parameters
from step_node.proofs.proof import SignedProof
from step_node.storage.interface import FinalisedOperation, FinalisedProof, Kept, StoredBatch

Document: TypeAlias = dict[str, Any]

META = "meta"
"""`schema` (written when the indexes exist), `chain` (the genesis hash and the head); at times the two below."""
RESTORING: Final[Mapping[str, str]] = {"_id": "restoring"}
"""In META while a snapshot, or an initial state, is being written: the records are those of no height."""
REMOVING: Final[Mapping[str, str]] = {"_id": "removing"}
"""In META while the database is being dropped, collection by collection: what is still there is no store."""
KEPT: Final[Mapping[str, str]] = {"_id": "kept"}
"""In META once the store has joined from a snapshot, or was pruned: from where on the past is there."""
BATCHES = "batches"
PROOFS = "proofs"
OPERATIONS = "operations"
ACCOUNTS = "accounts"
TRIANGLES = "triangles"
VALIDATORS = "validators"
SLASHINGS = "slashings"
VALIDATOR_CHANGES = "validator_changes"
NONCES = "nonces"
"""Those still in the window; a nonce that has left it is deleted."""

COLLECTIONS: Final = frozenset(
    {META, BATCHES, PROOFS, OPERATIONS, ACCOUNTS, TRIANGLES, VALIDATORS, SLASHINGS, VALIDATOR_CHANGES, NONCES}
)
"""All that a store has."""

WITHOUT_GEOMETRY: Final[Document] = {"centroid": False}
"""What is read of a triangle."""

NONCES_BY_AGE: Final = [("timestamp_ms", ASCENDING), ("account", ASCENDING), ("nonce", ASCENDING)]
"""The order in which they leave."""

INDEXES: Final[Mapping[str, list[IndexModel]]] = {
    PROOFS: [
        IndexModel([("height", ASCENDING), ("index", ASCENDING)]),
        IndexModel([("account", ASCENDING), ("height", DESCENDING), ("index", DESCENDING)], unique=True),
        IndexModel([("triangle", ASCENDING), ("height", DESCENDING), ("index", DESCENDING)], unique=True),
    ],
    OPERATIONS: [
        IndexModel([("height", ASCENDING), ("index", ASCENDING)]),
        IndexModel([("accounts", ASCENDING), ("height", DESCENDING), ("index", DESCENDING)], unique=True),
    ],
    ACCOUNTS: [IndexModel([("balance_ustep", DESCENDING), ("_id", ASCENDING)])],
    TRIANGLES: [
        IndexModel([("centroid", GEOSPHERE)]),
        IndexModel([("level", ASCENDING), ("_id", ASCENDING)], partialFilterExpression={"state": TriangleState.ACTIVE}),
    ],
    SLASHINGS: [IndexModel([("height", DESCENDING), ("index", DESCENDING)], unique=True)],
    VALIDATOR_CHANGES: [IndexModel([("height", DESCENDING), ("index", DESCENDING)], unique=True)],
    NONCES: [
        IndexModel([("account", ASCENDING), ("nonce", ASCENDING)], unique=True),
        IndexModel(NONCES_BY_AGE),
    ],
}

_CHAIN_FIELDS = (
    "height",
    "batch_hash",
    "timestamp_ms",
    "proposer",
    "paid_ustep",
    "minted_ustep",
    "balances_ustep",
    "stakes_ustep",
    "burnt_ustep",
    "evidence_floor_height",
    "evidence_mark_height",
    "evidence_mark_ms",
)
_VALIDATOR_FIELDS = (
    "public_key",
    "stake_ustep",
    "p2p_address",
    "owner",
    "active_from_height",
    "active_until_height",
    "slashed_at_height",
    "slashed_ustep",
    "locked_until_ms",
    "absent_since_ms",
    "absent_batches",
    "next_public_key",
)
_SLASHING_FIELDS = (
    "height",
    "index",
    "accused",
    "validator",
    "offence_height",
    "amount_ustep",
    "timestamp_ms",
    "evidence",
)
_COUNTED = ("touched", "subdivided", "exhausted", "clicks")
_VALIDATOR_CHANGE_FIELDS = ("height", "index", "validator", "owner", "stake_ustep", "successor")
_RECEIPT_FIELDS = (
    "height",
    "index",
    "account",
    "triangle",
    "reward_ustep",
    "clicks",
    "balance_ustep",
    "processed_at_ms",
)


def kept_fields(kept: Kept) -> Document:
    """What the `kept` document says."""
    return {"batches_from": kept.batches_from, "histories_from": kept.histories_from}


def kept_from(document: Document | None) -> Kept:
    """From the `kept` document; without one, all of the past is there."""
    return Kept() if document is None else Kept(document["batches_from"], document["histories_from"])


def head_document(head: StateHead) -> Document:
    """What the `chain` document says of the head; its validators are documents of their own."""
    fields: Document = {name: getattr(head.chain, name) for name in _CHAIN_FIELDS}
    return fields | {
        "parameters": head.parameters.canonical_json(),
        "protocol": record_bytes(head.protocol),
        "lanes": head.lanes,
    }


def head_update(head: StateHead, growth: Mapping[str, int]) -> Document:
    """The update that makes the `chain` document say this head, and counts `growth` (`level_growth`)."""
    return {"$set": head_document(head)} | ({"$inc": dict(growth)} if growth else {})


def head_from(document: Document, validators: Iterable[Document]) -> StateHead:
    """The head, its validators sorted by address."""
    records = map(_validator_from, validators)
    return StateHead(
        chain=ChainRecord(**{name: document[name] for name in _CHAIN_FIELDS}),
        parameters=Parameters.model_validate_json(document["parameters"]),
        validators=tuple(sorted(records, key=lambda validator: validator.address)),
        protocol=protocol_record_from(document.get("protocol", b"")),
        lanes=document["lanes"],
    )


def validator_document(validator: ValidatorRecord) -> Document:
    fields: Document = {name: getattr(validator, name) for name in _VALIDATOR_FIELDS}
    return fields | {"_id": validator.address, "state": int(validator.state)}


def _validator_from(document: Document) -> ValidatorRecord:
    return ValidatorRecord(
        address=document["_id"],
        state=ValidatorState(document["state"]),
        **{name: document[name] for name in _VALIDATOR_FIELDS},
    )


def slashing_document(slashing: Slashing) -> Document:
    fields: Document = {name: getattr(slashing, name) for name in _SLASHING_FIELDS}
    return fields | {"kind": slashing.kind.value}


def slashing_from(document: Document) -> Slashing:
    return Slashing(kind=OffenceKind(document["kind"]), **{name: document[name] for name in _SLASHING_FIELDS})


def validator_change_document(change: ValidatorChange) -> Document:
    fields: Document = {name: getattr(change, name) for name in _VALIDATOR_CHANGE_FIELDS}
    return fields | {"kind": change.kind.value}


def validator_change_from(document: Document) -> ValidatorChange:
    fields = {name: document[name] for name in _VALIDATOR_CHANGE_FIELDS}
    return ValidatorChange(kind=ValidatorChangeKind(document["kind"]), **fields)


def account_document(account: Account) -> Document:
    last = account.last_proof
    # float(): BSON, unlike the other engines, would keep a whole number as an integer, and records are told apart by
    # their bytes.
    place = (
        None if last is None else {"timestamp_ms": last.timestamp_ms, "lat": float(last.lat), "lon": float(last.lon)}
    )
    return {
        "_id": account.address,
        "balance_ustep": account.balance_ustep,
        "proofs": account.proofs,
        "last_proof": place,
        "operations": account.operations,
    }


def account_from(document: Document) -> Account:
    last = document["last_proof"]
    return Account(
        address=document["_id"],
        balance_ustep=document["balance_ustep"],
        proofs=document["proofs"],
        last_proof=None if last is None else LastProof(last["timestamp_ms"], last["lat"], last["lon"]),
        operations=document["operations"],
    )


def triangle_fields(triangle: Triangle) -> Document:
    """What a click changes."""
    return {"clicks": triangle.clicks, "state": int(triangle.state)}


def triangle_centroid(triangle_id: int) -> Document:
    """Where the triangle is, as a GeoJSON point (RFC 7946)."""
    return {"type": "Point", "coordinates": list(centroid(TriangleId.from_int(triangle_id)))}


def triangle_place(triangle_id: int) -> Document:
    """What is written with a triangle's first click, and never changes."""
    return {"level": triangle_id & LEVEL_MASK, "centroid": triangle_centroid(triangle_id)}


def triangle_from(document: Document) -> Triangle:
    return Triangle(document["_id"], document["clicks"], TriangleState(document["state"]))


def level_growth(counts: CountsByLevel) -> dict[str, int]:
    """By how much each field of a `chain` document grows that counts what has happened at a level."""
    return {
        f"levels.{level}.{name}": getattr(of_level, name) for level, of_level in counts.items() for name in _COUNTED
    }


def level_counts_document(counts: CountsByLevel) -> Document:
    """The `levels` of a `chain` document: what `level_counts_from` reads."""
    return {str(level): {name: getattr(of_level, name) for name in _COUNTED} for level, of_level in counts.items()}


def level_counts_from(document: Document) -> CountsByLevel:
    """From a `chain` document; before the first proof there is nothing."""
    levels: Document = document.get("levels", {})
    return {int(level): LevelCounts(**counts) for level, counts in levels.items()}


def nonce_key(account: bytes, nonce: str) -> bytes:
    """One value to look a nonce up by: the address's 20 bytes, then the nonce."""
    return account + nonce.encode()


def nonce_document(nonce: NonceRecord) -> Document:
    return {
        "_id": nonce_key(nonce.account, nonce.nonce),
        "account": nonce.account,
        "nonce": nonce.nonce,
        "timestamp_ms": nonce.timestamp_ms,
    }


def nonce_from(document: Document) -> NonceRecord:
    return NonceRecord(document["account"], document["nonce"], document["timestamp_ms"])


def batch_document(stored: StoredBatch) -> Document:
    return {
        "_id": stored.height,
        "batch_hash": stored.batch_hash,
        "timestamp_ms": stored.timestamp_ms,
        "batch": stored.batch,
        "commit": stored.commit,
        "operation_balances": stored.operation_balances,
    }


def batch_from(document: Document) -> StoredBatch:
    return StoredBatch(
        document["_id"],
        document["batch_hash"],
        document["timestamp_ms"],
        document["batch"],
        document["commit"],
        document["operation_balances"],
    )


def proof_document(proof: SignedProof, receipt: Receipt) -> Document:
    """The proof with its receipt; what both say is said once."""
    fields: Document = {name: getattr(receipt, name) for name in _RECEIPT_FIELDS}
    return fields | {
        "_id": receipt.proof_id,
        "triangle_state": int(receipt.triangle_state),
        "lat": float(proof.lat),
        "lon": float(proof.lon),
        "accuracy_m": float(proof.accuracy_m),
        "timestamp_ms": proof.timestamp_ms,
        "nonce": proof.nonce,
        "signature": proof.signature,
    }


def operation_document(applied: FinalisedOperation) -> Document:
    return {
        "_id": applied.operation_id,
        "height": applied.height,
        "index": applied.index,
        "accounts": list(applied.accounts),
        "timestamp_ms": applied.timestamp_ms,
        "operation": encode_operation(applied.operation),
    }


def operation_from(document: Document) -> FinalisedOperation:
    operation = decode_operation(document["operation"])
    return FinalisedOperation(
        operation, document["_id"], document["height"], document["index"], document["timestamp_ms"]
    )


def receipt_from(document: Document) -> Receipt:
    return Receipt(
        proof_id=document["_id"],
        triangle_state=TriangleState(document["triangle_state"]),
        **{name: document[name] for name in _RECEIPT_FIELDS},
    )


def finalised_proof_from(document: Document) -> FinalisedProof:
    proof = SignedProof(
        account=document["account"],
        triangle=TriangleId.from_int(document["triangle"]),
        lat=document["lat"],
        lon=document["lon"],
        accuracy_m=document["accuracy_m"],
        timestamp_ms=document["timestamp_ms"],
        nonce=document["nonce"],
        signature=document["signature"],
        proof_id=document["_id"],
    )
    return FinalisedProof(proof, receipt_from(document))
