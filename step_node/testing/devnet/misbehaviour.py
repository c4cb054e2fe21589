"""How a devnet's misbehaving validator can misbehave. `byzantine` does it, and needs the whole node."""

from __future__ import annotations

from enum import StrEnum


class Misbehaviour(StrEnum):
    """What one validator does against the protocol."""

    DOUBLE_SIGN = "double-sign"
    """For each of its votes it signs and sends a second one that says something else."""
    INVALID_BATCH = "invalid-batch"
    """Whenever it proposes, one proof of its batch has a signature that is not its account's."""
    SILENT = "silent"
    """It follows the chain and says nothing in consensus."""
