"""What a node's API says of single proofs, held against a replay: what became of them, and the receipts themselves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from step_node.api.models.proofs import FinalisedStatus
from step_node.cli.economy.node_answers import Answers, NotTold
from step_node.economy.verifying.claims import (
    NAMED_MAX,
    Claim,
    Comparison,
    Difference,
    Later,
    NotCompared,
    json_differences,
)
from step_node.economy.verifying.replay import Replay
from step_node.receipts.document import MalformedReceipt, ProofReceipt, read_receipt
from step_node.receipts.verification import ReceiptRefused, Trust, verify_receipt

RECEIPTS_ASKED: Final = 20
"""Batches of which a proof's receipt is asked for, spread over the chain."""


@dataclass(frozen=True, slots=True)
class ReceiptClaim:
    """What `GET /proof/status/{proofId}` says of the first proof of a batch, and `GET /proof/{proofId}/receipt`; of a
    batch without proofs, the next one's."""

    height: int
    answers: Answers
    trust: Trust
    subject: str = "receipts"

    async def compare(self, replay: Replay) -> Comparison:
        """See `Claim`. Both never change, so it may be asked whenever the replay has come there."""
        judged = replay.judged
        if judged is None or not judged.transition.receipts:
            return Later(self, NotCompared(f"from height {self.height} on", "no batch from there on has proofs"))
        receipt = judged.transition.receipts[0]
        proof_id = f"0x{receipt.proof_id.hex()}"
        status = FinalisedStatus.of(receipt).model_dump(mode="json", by_alias=True)
        try:
            told = (await self.answers.get(f"/proof/status/{proof_id}")).body
            data = await self.answers.get_bytes(f"/proof/{proof_id}/receipt")
        except NotTold as error:
            return NotCompared(f"proof {proof_id}", str(error))
        said = {name: told.get(name) for name in status}
        found = [
            (f"{path.removeprefix('.')} of proof {proof_id} in its status", theirs, ours)
            for path, theirs, ours in json_differences(said, status)
        ]
        found += _receipt_differences(data, proof_id, status, judged.batch.hash, self.trust)
        return [Difference(receipt.height, *one) for one in found[:NAMED_MAX]]


def receipt_claims(answers: Answers, trust: Trust, last: int) -> list[Claim]:
    """Of batches from the first to `last`, the last one among them."""
    count = min(RECEIPTS_ASKED, last)
    return [ReceiptClaim(last * place // count, answers, trust) for place in range(1, count + 1)]


def _receipt_differences(
    data: bytes, proof_id: str, status: dict[str, object], batch_hash: bytes, trust: Trust
) -> Iterator[tuple[str, str | None, str | None]]:
    """What the receipt in `data` says otherwise than the replay has found, or else the step at which it fails."""
    name = f"the receipt of proof {proof_id}"
    try:
        receipt = read_receipt(data)
    except MalformedReceipt as error:
        yield name, f"no receipt: {error}", "one"
        return
    if not isinstance(receipt, ProofReceipt):
        yield name, "a receipt of an operation", "one of a proof"
        return
    outcome, differs = receipt.outcome, False
    for field, said, made in (
        ("reward", outcome.reward, status["reward"]),
        ("clicks", outcome.clicks, status["clicks"]),
        ("state", outcome.state, status["triangleState"]),
        ("balance", outcome.balance, status["balance"]),
    ):
        if said != made:
            differs = True
            yield f"{field} in {name}", str(said), str(made)
    try:
        verified = verify_receipt(data, trust)
    except ReceiptRefused as refused:
        if not differs:
            yield f"{name}, at its step {refused.step}", refused.found, refused.expected
        return
    if f"0x{verified.identity.hex()}" != proof_id:
        yield name, f"that of proof 0x{verified.identity.hex()}", "its own"
    if verified.batch_hash != batch_hash:
        yield f"batch hash in {name}", f"0x{verified.batch_hash.hex()}", f"0x{batch_hash.hex()}"
