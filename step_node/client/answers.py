"""What nodes answer, read into values: amounts as `Decimal`, moments as Unix milliseconds.

A node of a later version may say more than is read here; what is read must be there, or it is `UnreadableAnswer`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any, Final, TypeAlias, TypeGuard, TypeVar

from step_node.client.errors import UnreadableAnswer
from step_node.parameters import CHAIN_ID_PATTERN
from step_node.proofs.timestamps import parse_timestamp
from step_node.strict_json import is_nested_deeper

Json: TypeAlias = Mapping[str, Any]

T = TypeVar("T")

NESTING_MAX: Final = 32
"""How deep arrays and objects of an answer may stand in one another; a map's features are 8 deep."""


@dataclass(frozen=True, slots=True)
class NodeRules:
    """What `GET /proof/config` says that a client acts on; `all` is the whole answer, by the constants' names."""

    chain_id: str
    accuracy_max_m: float
    speed_limit_mps: float
    speed_horizon_ms: int
    moratorium_ms: int
    proof_max_age_ms: int
    seeded_level: int
    wait_ms_max: int
    batch_submissions_max: int
    batch_body_bytes_max: int
    submissions_per_minute: int | None
    """Of one address; None where this node has no such quota."""
    account_submissions_per_minute: int | None
    node_time_ms: int
    all: Json = field(repr=False)

    @classmethod
    def of(cls, answer: Json) -> NodeRules:
        """Read the answer."""
        return cls(
            chain_id=_chain_id(answer["CHAIN_ID"]),
            accuracy_max_m=float(answer["GPS_MAX_ACCURACY_M"]),
            speed_limit_mps=float(answer["PROOF_SPEED_LIMIT_MPS"]),
            speed_horizon_ms=int(answer["PROOF_SPEED_HORIZON_MS"]),
            moratorium_ms=int(answer["PROOF_MORATORIUM_MS"]),
            proof_max_age_ms=int(answer["PROOF_MAX_AGE_MS"]),
            seeded_level=int(answer["SEEDED_LEVEL"]),
            wait_ms_max=int(answer["WAIT_MS_MAX"]),
            batch_submissions_max=int(answer["BATCH_SUBMISSIONS_MAX"]),
            batch_body_bytes_max=int(answer["BATCH_BODY_BYTES_MAX"]),
            submissions_per_minute=_quota(answer["SUBMISSIONS_PER_MINUTE"]),
            account_submissions_per_minute=_quota(answer["ACCOUNT_SUBMISSIONS_PER_MINUTE"]),
            node_time_ms=parse_timestamp(str(answer["timestamp"])),
            all=answer,
        )


def is_chain_id(told: object) -> TypeGuard[str]:
    """Whether this may stand in what is signed."""
    return isinstance(told, str) and re.fullmatch(CHAIN_ID_PATTERN, told) is not None


def _chain_id(told: object) -> str:
    if not is_chain_id(told):
        raise ValueError("CHAIN_ID: must be 1 to 63 of a-z 0-9 -")
    return told


def _quota(told: Any) -> int | None:
    return None if told is None else int(told)


@dataclass(frozen=True, slots=True)
class Finalised:
    """The proof is in the ledger of every node, for good: what it earned, and the account's balance then, in STEP."""

    proof_id: str
    reward: Decimal
    triangle_id: str
    level: int
    clicks: int
    balance: Decimal
    height: int
    processed_at_ms: int

    @classmethod
    def of(cls, answer: Json) -> Finalised:
        """Read the answer."""
        return cls(
            proof_id=str(answer["proofId"]),
            reward=Decimal(answer["reward"]),
            triangle_id=str(answer["triangleId"]),
            level=int(answer["level"]),
            clicks=int(answer["clicks"]),
            balance=Decimal(answer["balance"]),
            height=int(answer["height"]),
            processed_at_ms=parse_timestamp(str(answer["processedAt"])),
        )


@dataclass(frozen=True, slots=True)
class Pending:
    """The proof is accepted and on the disk of the node at `url`, and not decided yet."""

    proof_id: str
    url: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """One of many submissions that never will be in the ledger. `is_dropped`: it had been accepted before."""

    proof_id: str | None
    code: str
    message: str
    details: Json
    is_dropped: bool = False

    @classmethod
    def of(cls, answer: Json) -> Refusal:
        """Read the answer."""
        return cls(
            None if answer.get("proofId") is None else str(answer["proofId"]),
            str(answer["code"]),
            str(answer["message"]),
            details_of(answer),
            is_dropped=answer.get("status") == "dropped",
        )


SubmissionOutcome: TypeAlias = Finalised | Pending | Refusal


@dataclass(frozen=True, slots=True)
class Account:
    """An account; `balance` in STEP. `all` is the whole answer."""

    address: str
    balance: Decimal
    proofs: int
    rank: int | None
    next_sequence: int
    last_proof: Json | None
    all: Json = field(repr=False)

    @classmethod
    def of(cls, answer: Json) -> Account:
        """Read the answer."""
        rank = answer["rank"]
        return cls(
            address=str(answer["account"]),
            balance=Decimal(answer["balance"]),
            proofs=int(answer["proofs"]),
            rank=None if rank is None else int(rank),
            next_sequence=int(answer["nextSequence"]),
            last_proof=answer["lastProof"],
            all=answer,
        )


@dataclass(frozen=True, slots=True)
class ActiveTriangle:
    """The triangle at a place that can be proven in now, and what a proof in it pays, in STEP."""

    triangle_id: str
    level: int
    clicks: int
    reward: Decimal

    @classmethod
    def of(cls, answer: Json) -> ActiveTriangle:
        """Read the `result` of the answer."""
        result = answer["result"]
        return cls(
            triangle_id=str(result["triangleId"]),
            level=int(result["level"]),
            clicks=int(result["clicks"]),
            reward=Decimal(result["reward"]),
        )


def read(of: Callable[[Json], T], answer: Json, url: str) -> T:
    """`of(answer)`. Raises UnreadableAnswer where a field is missing, or is not of its kind."""
    try:
        return of(answer)
    except KeyError as error:
        raise UnreadableAnswer(url, f"the answer lacks {error.args[0]}") from error
    except (TypeError, ValueError, InvalidOperation) as error:
        raise UnreadableAnswer(url, "a field of the answer is not of its kind") from error


def details_of(answer: Json) -> Json:
    """The `details` of a refusal."""
    details = answer.get("details")
    return details if isinstance(details, dict) else {}


def json_object(body: bytes) -> dict[str, Any] | None:
    """The JSON object in `body`, or None if that is something else, or nested deeper than any answer."""
    try:
        text = body.decode()
        document = None if is_nested_deeper(text, NESTING_MAX) else json.loads(text)
    except ValueError:
        return None
    return document if isinstance(document, dict) else None
