"""A client of STEP nodes for Python programs: signing, submitting over several nodes, waiting, following, reading.

    from step_node.client import Position, StepClient

    with StepClient(["http://127.0.0.1:8600"], key=bytes.fromhex("…")) as client:
        final = client.prove(Position(47.3769, 8.5417, accuracy_m=5))

`StepClient` blocks, `AsyncStepClient` has the same methods for trio and asyncio. What they decide (which node to ask,
when to ask again, what an answer means) stands once, in generators that do no input or output (`flows`, `exchange`);
the two classes only carry requests. The guide is docs/python-client.md.

The room needs none of a node's parts: no networking, no storage, no web framework.
"""

from step_node.client.answers import (
    Account,
    ActiveTriangle,
    Finalised,
    NodeRules,
    Pending,
    Refusal,
    SubmissionOutcome,
)
from step_node.client.async_client import AsyncStepClient
from step_node.client.errors import (
    BadPosition,
    Dropped,
    NotFinalYet,
    Refused,
    StepClientError,
    Unavailable,
    UnreadableAnswer,
)
from step_node.client.events import Event
from step_node.client.exchange import RetryPolicy
from step_node.client.position import Position
from step_node.client.receipts import ReceiptRefused, VerifiedReceipt, verify_receipt
from step_node.client.signing import KeySigner, Signer, Submission, WalletSigner, sign_submission
from step_node.client.sync_client import StepClient
from step_node.client.transfers import Applied, SignedTransfer

__all__ = [
    "Account",
    "ActiveTriangle",
    "Applied",
    "AsyncStepClient",
    "BadPosition",
    "Dropped",
    "Event",
    "Finalised",
    "KeySigner",
    "NodeRules",
    "NotFinalYet",
    "Pending",
    "Position",
    "ReceiptRefused",
    "Refusal",
    "Refused",
    "RetryPolicy",
    "SignedTransfer",
    "Signer",
    "StepClient",
    "StepClientError",
    "Submission",
    "SubmissionOutcome",
    "Unavailable",
    "UnreadableAnswer",
    "VerifiedReceipt",
    "WalletSigner",
    "sign_submission",
    "verify_receipt",
]
