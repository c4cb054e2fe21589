"""The bodies of answers about transfers, other operations, and what an account has done."""

from __future__ import annotations

from typing import Literal, Self, TypeAlias

from pydantic import Field

from mesh import TriangleId
from step_node.amounts import step_text
from step_node.api.details import DetailsAnswer
from step_node.api.histories.pages import LatestCursor, NextCursor
from step_node.api.models.schema import AddressText, Answer, HashText, StepText, TimestampText, TriangleText, hex_text
from step_node.operations.operation import Operation, OperationRefused, Register, Transfer
from step_node.proofs.timestamps import format_timestamp
from step_node.storage.interface import FinalisedOperation, FinalisedProof, Transaction

OperationType: TypeAlias = Literal[
    "REGISTER", "UNBOND", "WITHDRAW", "ROTATE_KEY", "SET_ADDRESS", "APPROVE_UPGRADE", "CANCEL_UPGRADE", "TRANSFER"
]

TransactionType: TypeAlias = Literal[
    "proof",
    "transfer_in",
    "transfer_out",
    "register",
    "unbond",
    "withdraw",
    "rotate_key",
    "set_address",
    "approve_upgrade",
    "cancel_upgrade",
]


class TransactionEntry(Answer):
    """One thing that an account has done, or that was sent to it, and that is final."""

    type: TransactionType = Field(description="What it was; operations about validators by their names.")
    id: HashText = Field(description="The proof's id, or the operation's.")
    height: int = Field(description="The batch that holds it.", examples=[42])
    timestamp: TimestampText = Field(description="That batch's timestamp.")
    triangle_id: TriangleText | None = Field(default=None, description="Of a proof.")
    reward: StepText | None = Field(default=None, description="What a proof earned.")
    amount: StepText | None = Field(default=None, description="What a transfer moved, or a registration put up.")
    counterpart: AddressText | None = Field(default=None, description="The other side of a transfer.")
    memo: str | None = Field(default=None, description="Of a transfer.", examples=["rent, November"])

    @classmethod
    def of(cls, transaction: Transaction, account: bytes) -> Self:
        """The transaction as the history of `account` shows it."""
        if isinstance(transaction, FinalisedProof):
            receipt = transaction.receipt
            return cls(
                type="proof",
                id=hex_text(receipt.proof_id),
                height=receipt.height,
                timestamp=format_timestamp(receipt.processed_at_ms),
                triangle_id=TriangleId.from_int(receipt.triangle).text,
                reward=step_text(receipt.reward_ustep),
            )
        operation = transaction.operation
        entry = cls(
            type=type_of(operation, account),
            id=hex_text(transaction.operation_id),
            height=transaction.height,
            timestamp=format_timestamp(transaction.timestamp_ms),
        )
        if isinstance(operation, Register):
            return entry.model_copy(update={"amount": step_text(operation.stake_ustep)})
        if isinstance(operation, Transfer):
            counterpart = operation.to if operation.owner == account else operation.owner
            moved = {"amount": step_text(operation.amount_ustep), "memo": operation.memo}
            return entry.model_copy(update=moved | {"counterpart": hex_text(counterpart)})
        return entry


class AccountTransactions(Answer):
    """A page of what an account has done and been sent."""

    ok: Literal[True] = True
    account: AddressText
    unit: Literal["STEP"] = "STEP"
    transactions: list[TransactionEntry]
    next_cursor: NextCursor
    latest_cursor: LatestCursor


class PendingOperation(Answer):
    """An operation that waits on this node to be put into a batch."""

    ok: Literal[True] = True
    operation_id: HashText
    status: Literal["pending"] = "pending"
    type: OperationType
    owner: AddressText
    sequence: int = Field(description="Its number among the owner's operations.", examples=[0])

    @classmethod
    def of(cls, operation: Operation, operation_id: bytes) -> Self:
        """What is known of it before it is applied."""
        return cls(
            operation_id=hex_text(operation_id),
            type=operation.type,
            owner=hex_text(operation.owner),
            sequence=operation.sequence,
        )


class AppliedOperation(Answer):
    """An operation that was applied: in the ledger, for good."""

    ok: Literal[True] = True
    operation_id: HashText
    status: Literal["applied"] = "applied"
    type: OperationType
    owner: AddressText
    sequence: int
    height: int = Field(description="The batch that holds it.", examples=[42])
    index: int = Field(description="Its place among the batch's operations, from 0.", examples=[0])
    timestamp: TimestampText = Field(description="That batch's timestamp.")
    to: AddressText | None = Field(default=None, description="Of a transfer.")
    amount: StepText | None = Field(default=None, description="Of a transfer.")
    memo: str | None = Field(default=None, description="Of a transfer.")

    @classmethod
    def of(cls, applied: FinalisedOperation) -> Self:
        """The operation with where it stands."""
        operation = applied.operation
        answer = cls(
            operation_id=hex_text(applied.operation_id),
            type=operation.type,
            owner=hex_text(operation.owner),
            sequence=operation.sequence,
            height=applied.height,
            index=applied.index,
            timestamp=format_timestamp(applied.timestamp_ms),
        )
        if not isinstance(operation, Transfer):
            return answer
        moved = {"to": hex_text(operation.to), "amount": step_text(operation.amount_ustep), "memo": operation.memo}
        return answer.model_copy(update=moved)


class DroppedOperation(Answer):
    """An operation that waited here in vain: the chain has moved past it, or it gave way to another."""

    ok: Literal[True] = True
    operation_id: HashText
    status: Literal["dropped"] = "dropped"
    code: str = Field(description="Why, as a refusal would say it.", examples=["WRONG_SEQUENCE"])
    message: str = Field(examples=["sequence: the owner's next is 3"])
    details: DetailsAnswer = Field(description="As of the moment in which it was dropped.")

    @classmethod
    def of(cls, operation_id: bytes, why: OperationRefused, *, now_ms: int) -> Self:
        """The refusal that it would meet with now; `now_ms` is the node's clock."""
        details = DetailsAnswer.of(why.code, why.message, why.details, now_ms=now_ms)
        return cls(operation_id=hex_text(operation_id), code=why.code, message=why.message, details=details)


def type_of(operation: Operation, account: bytes) -> TransactionType:
    """What the history of `account` calls it."""
    if isinstance(operation, Transfer):
        return "transfer_out" if operation.owner == account else "transfer_in"
    names: dict[str, TransactionType] = {
        "REGISTER": "register",
        "UNBOND": "unbond",
        "WITHDRAW": "withdraw",
        "ROTATE_KEY": "rotate_key",
        "SET_ADDRESS": "set_address",
        "APPROVE_UPGRADE": "approve_upgrade",
        "CANCEL_UPGRADE": "cancel_upgrade",
    }
    return names[operation.type]
