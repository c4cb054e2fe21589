"""Sending STEP to another account: signed once, handed in until a node has decided, followed until it is applied.

A transfer is told apart by its sequence number, so the same bytes sent again do no harm; a second transfer signed while
the first is undecided might be paid as well. Whoever cannot wait keeps the `SignedTransfer`, and follows that.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from decimal import Decimal

from step_node.client import flows, queries
from step_node.client.answers import Json, details_of, read
from step_node.client.errors import Dropped, NotFinalYet, UnreadableAnswer
from step_node.client.exchange import Answer, Flow, Pause, Request
from step_node.client.signing import Signer
from step_node.crypto.eip191 import SIGNATURE_BYTES, digest, with_recovery_value
from step_node.operations.json_form import parse_operation
from step_node.operations.operation import signing_line

TRANSFER_PATH = "/account/transfer"
_UNSIGNED = "0x" + "00" * SIGNATURE_BYTES


@dataclass(frozen=True, slots=True)
class SignedTransfer:
    """One transfer, ready to be handed in, and again, as the same bytes. `operation_id` is 0x and 64 hex digits."""

    operation_id: str
    sequence: int
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Applied:
    """The operation has come into effect, for good, with the batch of this height."""

    operation_id: str
    height: int

    @classmethod
    def of(cls, answer: Json) -> Applied:
        """Read the answer."""
        return cls(operation_id=str(answer["operationId"]), height=int(answer["height"]))


def sign_transfer(
    signer: Signer, *, chain_id: str, sequence: int, to: str, amount: Decimal | str, memo: str = ""
) -> SignedTransfer:
    """Sign that `amount` STEP (at most six places) go from the signer to `to`. The memo is public for ever.

    Raises OperationRefused, a ValueError, naming the field and its rule.
    """
    form: dict[str, object] = {
        "owner": signer.address,
        "sequence": sequence,
        "to": to,
        "amount": format(amount, "f") if isinstance(amount, Decimal) else amount,
        "memo": memo,
        "signature": _UNSIGNED,
    }
    # Read as a node reads it, so that what it would refuse for its form is refused before it is signed.
    line = signing_line(parse_operation("transfer", form), chain_id)
    form["signature"] = f"0x{with_recovery_value(signer.sign(line)).hex()}"
    body = json.dumps(form, ensure_ascii=False).encode()
    return SignedTransfer(f"0x{digest(line).hex()}", sequence, body)


def sign(session: flows.Session, signer: Signer, *, to: str, amount: Decimal | str, memo: str) -> Flow[SignedTransfer]:
    """Sign a transfer with the sequence number that is the account's next."""
    chain = yield from flows.rules(session)
    account = yield from flows.ask(session, queries.account(signer.address))
    return sign_transfer(
        signer, chain_id=chain.chain_id, sequence=account.next_sequence, to=to, amount=amount, memo=memo
    )


def send(session: flows.Session, transfer: SignedTransfer, *, seconds_max: float) -> Flow[Applied]:
    """Hand in a transfer, and wait until it is applied; again where a node does not know it (any more).

    Raises Refused, Dropped, Unavailable, and NotFinalYet after `seconds_max`: then send the same one again. A refusal
    with `maybe_accepted_by` is none to sign another transfer after: the first might be paid as well.
    """
    until = session.policy.clock() + seconds_max
    request = Request("POST", TRANSFER_PATH, body=transfer.body)
    status = queries.operation(transfer.operation_id).request
    while True:
        answer = yield from flows.hand_in(session, request, status)
        while (applied := _outcome(answer, transfer)) is None:
            left = until - session.policy.clock()
            if left <= 0:
                raise NotFinalYet(transfer.operation_id, seconds_max)
            yield Pause(min(flows.POLL_SECONDS, left))
            found = yield from flows.known(session, status)
            if found is None:
                break
            answer = found
        else:
            return applied


def _outcome(answer: Answer, transfer: SignedTransfer) -> Applied | None:
    document = answer.document
    if document.get("operationId") != transfer.operation_id:
        raise UnreadableAnswer(answer.url, "the answer is about another operation than the one that was sent")
    match document.get("status"):
        case "pending":
            return None
        case "dropped":
            code, message = str(document.get("code")), str(document.get("message"))
            raise Dropped(transfer.operation_id, code, message, details_of(document))
        case _:
            return read(Applied.of, document, answer.url)
