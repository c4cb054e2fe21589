"""What a batch's operations have left their owners, as a store keeps it beside the batch: 8 bytes each, big-endian."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from step_node.ledger.state import OperationReceipt
from step_node.operations.operation import Operation

_BALANCE_BYTES: Final = 8


def pack_balances(receipts: Sequence[OperationReceipt]) -> bytes:
    """The balances in them, in their order."""
    return b"".join(receipt.balance_ustep.to_bytes(_BALANCE_BYTES, "big") for receipt in receipts)


def unpack_balances(packed: bytes, operations: Sequence[Operation]) -> tuple[OperationReceipt, ...] | None:
    """The receipts of the `operations` that `packed` belongs to; None if it is not of so many."""
    if len(packed) != _BALANCE_BYTES * len(operations):
        return None
    balances = (packed[start : start + _BALANCE_BYTES] for start in range(0, len(packed), _BALANCE_BYTES))
    return tuple(
        OperationReceipt(operation.owner, int.from_bytes(balance, "big"))
        for operation, balance in zip(operations, balances, strict=True)
    )
