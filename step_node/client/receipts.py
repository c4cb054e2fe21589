"""Receipts: what anybody can check with the chain's genesis file alone (docs/receipts.md). No node is believed."""

from __future__ import annotations

from pathlib import Path

from step_node.chain.genesis import GenesisError, load_genesis
from step_node.receipts.verification import ReceiptRefused, Step, VerifiedReceipt
from step_node.receipts.verification import verify_receipt as verify

__all__ = ["GenesisError", "ReceiptRefused", "Step", "VerifiedReceipt", "verify_receipt"]


def verify_receipt(receipt: bytes, genesis: str | Path) -> VerifiedReceipt:
    """What `receipt` (JSON or CBOR, as a node gives it) proves, judged by the genesis file at `genesis`.

    Raises ReceiptRefused with the first step that fails, GenesisError for a file that is no genesis.
    """
    return verify(receipt, load_genesis(Path(genesis)).trust())
