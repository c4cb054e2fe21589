"""Which request brought a proof, so that the log leads from the request to the batch that the proof is final in.

The API puts a request's id into the context of its task (structlog's `request_id`); here it is kept beside the proof
until that is decided. The lines are for debugging: at 500 proofs a second they would fill a log.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Final

import structlog

from step_node.ledger.state import Receipt
from step_node.mempool.journal import DroppedProof

REMEMBERED_MAX: Final = 10_000
"""Proofs whose request is remembered; beyond, the oldest is forgotten, and its end is not told."""

log = structlog.get_logger("requests")


class RequestsOfProofs:
    """See the module's docstring. Lives on the event loop."""

    def __init__(self) -> None:
        self._request_ids: OrderedDict[bytes, str] = OrderedDict()

    def __len__(self) -> int:
        return len(self._request_ids)

    def taken_in(self, proof_ids: Iterable[bytes]) -> None:
        """The request of this task has brought these, and they wait now."""
        request_id = structlog.contextvars.get_contextvars().get("request_id")
        if not isinstance(request_id, str):
            return
        for proof_id in proof_ids:
            log.debug("a proof is taken in", proof_id=f"0x{proof_id.hex()}")
            self._request_ids[proof_id] = request_id
            if len(self._request_ids) > REMEMBERED_MAX:
                self._request_ids.popitem(last=False)

    def decided(self, receipts: Sequence[Receipt], dropped: Iterable[DroppedProof]) -> None:
        """These are final, or never will be."""
        for receipt in receipts:
            request_id = self._request_ids.pop(receipt.proof_id, None)
            if request_id is not None:
                log.debug(
                    "a proof is final",
                    request_id=request_id,
                    proof_id=f"0x{receipt.proof_id.hex()}",
                    height=receipt.height,
                )
        for one in dropped:
            request_id = self._request_ids.pop(one.proof_id, None)
            if request_id is not None:
                log.debug(
                    "a proof is dropped",
                    request_id=request_id,
                    proof_id=f"0x{one.proof_id.hex()}",
                    code=str(one.refusal.code),
                )
