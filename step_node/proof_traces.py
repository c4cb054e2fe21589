"""What becomes of a proof on its way, as spans: from a client's request over gossip and batch to finality.

Theory of operation. A trace is one proof. Nothing of it travels with the proof: its id is the first half of the proof
id, and that of its first span, the client's submission, the next eight bytes, so that every node that meets the proof
knows both, and hangs its own spans below the submission. Which proofs are traced follows from the id as well: with one
ratio on all nodes, a proof is traced by all of them or by none.

There is nothing here of how spans are told to anybody (`node.trace_export`). A node without traces has None in the
place of a `ProofTraces`, and does nothing.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

REMEMBERED_MAX: Final = 10_000
"""Traced proofs whose stage is remembered; beyond, the oldest is forgotten, and its last spans are not told."""


class SpanName(StrEnum):
    """The stages of a proof."""

    SUBMISSION = "proof.submission"
    """From the arrival of the client's submission to its answer, on the node that took it in: the first span."""
    ADMISSION = "proof.admission"
    """Signature, gates and journal, until it waits there."""
    GOSSIP_SENT = "proof.gossip.sent"
    """From then until it is handed to the network."""
    GOSSIP_HEARD = "proof.gossip.heard"
    """On another node: signature and gates, from when it has come, by gossip or fetched."""
    BATCH = "proof.batch"
    """On each node: from when it waits there until a proposal that holds it is there."""
    FINALITY = "proof.finality"
    """On each node: from that proposal until the batch is stored."""


@dataclass(frozen=True, slots=True)
class ProofSpan:
    """One stage of one proof on one node. Times are nanoseconds since the Unix epoch."""

    trace_id: int
    span_id: int | None
    """None: any."""
    parent_id: int | None
    name: SpanName
    began_ns: int
    ended_ns: int
    attributes: dict[str, str | int] = field(default_factory=dict)


@dataclass(slots=True)
class _Stage:
    waits_since_ns: int
    proposed_ns: int | None = None


def trace_id_of(proof_id: bytes) -> int:
    """Of the trace of this proof, on every node."""
    return int.from_bytes(proof_id[:16])


def submission_span_id_of(proof_id: bytes) -> int:
    """Of the first span of this proof's trace, on every node."""
    return int.from_bytes(proof_id[16:24])


class ProofTraces:
    """Makes spans and hands them to `emit`. `ratio` is the share of proofs that are traced, `now_ns` the wall clock.

    Lives on the event loop.
    """

    def __init__(self, emit: Callable[[ProofSpan], None], *, ratio: float, now_ns: Callable[[], int]) -> None:
        self._emit = emit
        self._below = int(ratio * 2**64)
        self.now_ns = now_ns
        self._stages: OrderedDict[bytes, _Stage] = OrderedDict()

    def is_traced(self, proof_id: bytes) -> bool:
        """Whether this proof is one of those that are traced."""
        return int.from_bytes(proof_id[8:16]) < self._below

    def submitted(self, proof_ids: Iterable[bytes], began_ns: int) -> None:
        """A client has brought these here first, and is answered now."""
        for proof_id in proof_ids:
            if self.is_traced(proof_id):
                self._tell(proof_id, SpanName.SUBMISSION, began_ns, self.now_ns())

    def admitted(self, proof_ids: Iterable[bytes], began_ns: int) -> None:
        """These wait here from now on, of clients."""
        self._waits(SpanName.ADMISSION, proof_ids, began_ns, {})

    def heard(self, proof_ids: Iterable[bytes], began_ns: int, peer_id: str) -> None:
        """These wait here from now on, since a peer has passed them on."""
        self._waits(SpanName.GOSSIP_HEARD, proof_ids, began_ns, {"step.peer": peer_id})

    def sent(self, proof_ids: Iterable[bytes]) -> None:
        """These have been handed to the network."""
        for proof_id in proof_ids:
            stage = self._stages.get(proof_id)
            if stage is not None:
                self._tell(proof_id, SpanName.GOSSIP_SENT, stage.waits_since_ns, self.now_ns())

    def proposed(self, proof_ids: Collection[bytes], height: int, round_number: int) -> None:
        """A proposal with these is here."""
        now_ns = self.now_ns()
        for proof_id in proof_ids:
            stage = self._stages.get(proof_id)
            if stage is not None and stage.proposed_ns is None:
                stage.proposed_ns = now_ns
                attributes: dict[str, str | int] = {"step.height": height, "step.round": round_number}
                self._tell(proof_id, SpanName.BATCH, stage.waits_since_ns, now_ns, attributes)

    def finalised(self, proof_ids: Collection[bytes], height: int, batch_hash: bytes) -> None:
        """The batch with these is stored."""
        now_ns = self.now_ns()
        for proof_id in proof_ids:
            stage = self._stages.pop(proof_id, None)
            if stage is not None:
                # A batch may be fetched from a peer, without a proposal.
                began_ns = stage.waits_since_ns if stage.proposed_ns is None else stage.proposed_ns
                attributes: dict[str, str | int] = {"step.height": height, "step.batch": f"0x{batch_hash.hex()}"}
                self._tell(proof_id, SpanName.FINALITY, began_ns, now_ns, attributes)

    def _waits(
        self, name: SpanName, proof_ids: Iterable[bytes], began_ns: int, attributes: dict[str, str | int]
    ) -> None:
        now_ns = self.now_ns()
        for proof_id in proof_ids:
            if self.is_traced(proof_id) and proof_id not in self._stages:
                self._stages[proof_id] = _Stage(now_ns)
                if len(self._stages) > REMEMBERED_MAX:
                    self._stages.popitem(last=False)
                self._tell(proof_id, name, began_ns, now_ns, attributes)

    def _tell(
        self,
        proof_id: bytes,
        name: SpanName,
        began_ns: int,
        ended_ns: int,
        attributes: dict[str, str | int] | None = None,
    ) -> None:
        first = submission_span_id_of(proof_id)
        is_first = name is SpanName.SUBMISSION
        self._emit(
            ProofSpan(
                trace_id=trace_id_of(proof_id),
                span_id=first if is_first else None,
                parent_id=None if is_first else first,
                name=name,
                began_ns=began_ns,
                # The wall clock may be set back meanwhile.
                ended_ns=max(began_ns, ended_ns),
                attributes={"step.proof_id": f"0x{proof_id.hex()}", **(attributes or {})},
            )
        )
