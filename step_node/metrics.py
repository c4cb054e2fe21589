"""What the node counts, for Prometheus (`GET /metrics`).

There are two ways for a figure to get there. What happens is counted where it happens, through the small methods of
`NodeMetrics`. What *is* (heights, peers, the mempool, the network's own counters) is read when somebody asks, by
`node.gauges`: a gauge that is set on the side goes wrong, one that is looked up does not. Names and units follow
Prometheus' conventions: seconds, `_total` for counters, one word for one thing in every label.

A counter with labels is there at zero from the start, for every value that a label can have: a series that appears with
its first event is one whose first event `increase()` does not see.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final, Literal, TypeAlias, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from consensus.messages import EvidenceKind
from consensus.reasons import Ignored
from p2p.network import Fault
from step_node.amounts import bounded
from step_node.ledger.offences import OffenceKind
from step_node.ledger.state import Receipt
from step_node.proofs.proof import RefusalCode

ProofSource: TypeAlias = Literal["api", "peer"]
"""Where a proof came from: a client of this node, or another node."""

SubmissionAnswer: TypeAlias = Literal["finalised", "pending", "refused"]

OutlineOutcome: TypeAlias = Literal["filled", "lacking"]
"""What became of a proposal that came in outline: all its proofs were here, or some were not."""

_FINALITY_SECONDS: Final = (0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0)
_SUBMISSION_SECONDS: Final = (0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0)
_ROUNDS: Final = (1, 2, 3, 4, 6, 10)
_STORE_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_REQUEST_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_STATUS_CLASSES: Final = ("2xx", "3xx", "4xx", "5xx")
_SIGNER_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_LAG_SECONDS: Final = (0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


def _countable(amount_ustep: int) -> int:
    """What a counter can take of an amount, which a faulty ledger may have made up: it must not end the node."""
    return max(0, bounded(amount_ustep))


class NodeMetrics:
    """The node's counters, registered in `registry`. To be used from the event loop."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, meaning: str, *labels: str) -> Counter:
            return Counter(name, meaning, labels, registry=registry)

        self._batches = counter("step_batches_finalised", "Batches that consensus finalised on this node.")
        self._sync_batches = counter("step_sync_batches_applied", "Batches that were fetched from peers and applied.")
        self._batches_refused = counter("step_batches_refused", "Proposed batches that this node found invalid.")
        self._proofs = counter("step_proofs_finalised", "Proofs in the batches that consensus finalised here.")
        self._proofs_accepted = counter(
            "step_proofs_accepted", "Proofs that came to wait on this node, of clients and of peers."
        )
        self._proofs_refused = counter(
            "step_proofs_refused", "Proofs that a gate or a limit refused, by code and by source.", "code", "source"
        )
        self._proofs_dropped = counter(
            "step_proofs_dropped", "Waiting proofs that the chain moved past, by the gate they fail now.", "code"
        )
        self._promises_broken = counter(
            "step_promises_broken",
            "Of those, proofs that clients of this node had been told are accepted, by the gate they fail now.",
            "code",
        )
        self._signatures = counter("step_signatures_verified", "Proof signatures that were recovered and compared.")
        self._inputs_ignored = counter(
            "step_consensus_inputs_ignored", "Stale or duplicate inputs of consensus, by reason: no errors.", "reason"
        )
        self._events_dropped = counter(
            "step_consensus_events_dropped", "Events for consensus that found its queue full."
        )
        self._equivocations = counter(
            "step_equivocations_seen", "Contradicting messages of one validator, by kind of evidence.", "kind"
        )
        self._slashings = counter(
            "step_validators_slashed", "Punishments in finalised batches, by kind of offence.", "kind"
        )
        self._burnt = counter("step_stake_burnt_ustep", "Stake that those punishments burnt, in µSTEP.")
        self._forks = counter(
            "step_forks_seen", "Commits by a quorum that contradict a batch which is final here: finality is broken."
        )
        self._double_signs = counter(
            "step_double_signs_refused", "Messages that the double-sign guard did not let this node sign."
        )
        self._p2p_key_shared = counter(
            "step_p2p_key_shared", "Hellos in which a peer said that another process uses this node's p2p key."
        )
        self._messages_rejected = counter(
            "step_messages_rejected", "Gossip from peers that was refused, by their fault.", "reason"
        )
        self._outlines = counter(
            "step_proposal_outlines",
            "Proposals that came in outline: filled with proofs that wait here, or lacking some and asked for whole.",
            "outcome",
        )
        self._storage_retries = counter("step_storage_retries", "Calls to a store that did not answer, tried again.")
        self._api_refused = counter(
            "step_api_refused", "Connections and requests of HTTP clients that were not served, by reason.", "reason"
        )
        self._registry = registry
        self._tls_expiry: Gauge | None = None
        self._api_connections = Gauge("step_api_connections", "Open HTTP connections.", registry=registry)
        self._api_connections_max = Gauge(
            "step_api_connections_max", "HTTP connections that may be open.", registry=registry
        )
        self._event_streams = Gauge("step_event_streams", "Open streams of events.", registry=registry)
        self._event_streams_max = Gauge(
            "step_event_streams_max", "Streams of events that may be open.", registry=registry
        )
        self._event_streams_ended = counter(
            "step_event_streams_ended", "Streams of events that have ended, by reason.", "reason"
        )
        self._event_bytes = counter("step_event_bytes_sent", "Text of events that was sent to HTTP clients, in bytes.")
        self._rounds_failed = counter(
            "step_consensus_rounds_failed", "Rounds that this node left for a later one, undecided."
        )
        self._halts = counter(
            "step_halts", "Times that something waited for a batch for as long as three failed rounds take."
        )
        self._health_reasons = counter(
            "step_health_reasons", "Times that something came to be wrong with this node, by code.", "code"
        )
        self._guardrail_breaches = counter(
            "step_guardrail_breaches", "Times that a guardrail came to be broken, by its name.", "guardrail"
        )
        self._own_votes_missed = counter(
            "step_own_votes_missed",
            "Commits without the vote of this node's validator, while it was in the set, in batches finalised here.",
        )
        self._own_rewards = counter(
            "step_own_rewards_ustep",
            "What this node's validator has earned for its owner in batches finalised here, in µSTEP.",
        )
        self._rounds = Histogram(
            "step_consensus_rounds", "Rounds that a height took.", registry=registry, buckets=_ROUNDS
        )
        self._finality = Histogram(
            "step_proof_finality_seconds",
            "From the acceptance of a proof on this node to its finality here.",
            registry=registry,
            buckets=_FINALITY_SECONDS,
        )
        self._submissions = Histogram(
            "step_submission_duration_seconds",
            "From the arrival of a client's submission to its answer, by the answer: finalised, pending or refused.",
            ("answer",),
            registry=registry,
            buckets=_SUBMISSION_SECONDS,
        )
        self._requests = Histogram(
            "step_api_request_duration_seconds",
            "From the head of an HTTP request to the head of its answer, by the class of the answer's status.",
            ("status",),
            registry=registry,
            buckets=_REQUEST_SECONDS,
        )
        self._store_answers = Histogram(
            "step_store_answer_seconds",
            "How long the store took to answer for its head; it is asked every two seconds.",
            registry=registry,
            buckets=_STORE_SECONDS,
        )
        self._store_writes = Histogram(
            "step_store_write_seconds",
            "How long the store took to take a finalised batch, with attempts that failed.",
            registry=registry,
            buckets=_STORE_SECONDS,
        )
        self._loop_lag = Histogram(
            "step_event_loop_lag_seconds",
            "By how much a task that had slept was woken too late.",
            registry=registry,
            buckets=_LAG_SECONDS,
        )
        self._signer = Histogram(
            "step_signer_seconds",
            "How long this validator's signature took, from when it was wanted, with log, guard and remote signer.",
            registry=registry,
            buckets=_SIGNER_SECONDS,
        )
        ProcessCollector(registry=registry)
        self._begin_at_zero()

    def _begin_at_zero(self) -> None:
        for code in RefusalCode:
            self._promises_broken.labels(code.value)
            self._proofs_dropped.labels(code.value)
            for source in get_args(ProofSource):
                self._proofs_refused.labels(code.value, source)
        for answer in get_args(SubmissionAnswer):
            self._submissions.labels(answer)
        for status in _STATUS_CLASSES:
            self._requests.labels(status)
        for outcome in get_args(OutlineOutcome):
            self._outlines.labels(outcome)
        for metric, values in (
            (self._inputs_ignored, Ignored),
            (self._equivocations, EvidenceKind),
            (self._slashings, OffenceKind),
            (self._messages_rejected, Fault),
        ):
            for value in values:
                metric.labels(value.value)

    def expect_api_refusals(self, reasons: Iterable[str]) -> None:
        """These are the reasons that `api_refused` will be called with."""
        for reason in reasons:
            self._api_refused.labels(reason)

    def expect_health_reasons(self, codes: Iterable[str]) -> None:
        """These are the codes that `health_reason_came` will be called with."""
        for code in codes:
            self._health_reasons.labels(code)

    def health_reason_came(self, code: str) -> None:
        """Something has come to be wrong with the node."""
        self._health_reasons.labels(code).inc()

    def expect_guardrails(self, guardrails: Iterable[str]) -> None:
        """These are the names that `guardrail_broken` will be called with."""
        for guardrail in guardrails:
            self._guardrail_breaches.labels(guardrail)

    def guardrail_broken(self, guardrail: str) -> None:
        """A guardrail has come to be broken."""
        self._guardrail_breaches.labels(guardrail).inc()

    def halted(self) -> None:
        """The chain has stood still for long, and something waits."""
        self._halts.inc()

    def round_failed(self) -> None:
        """A round has been left undecided."""
        self._rounds_failed.inc()

    def own_vote_missed(self) -> None:
        """A batch has shown a commit without the own validator's vote."""
        self._own_votes_missed.inc()

    def own_validator_earned(self, reward_ustep: int) -> None:
        """A batch has paid so much to the owner of this node's validator."""
        self._own_rewards.inc(_countable(reward_ustep))

    def event_loop_late(self, seconds: float) -> None:
        """The event loop has come to a task so much later than it was due."""
        self._loop_lag.observe(seconds)

    def request_answered(self, status: int, duration_seconds: float) -> None:
        """An HTTP request has been answered with this status (200 to 599) so long after its head was here."""
        self._requests.labels(f"{status // 100}xx").observe(duration_seconds)

    def store_answered(self, duration_seconds: float) -> None:
        """The store has answered for its head."""
        self._store_answers.observe(duration_seconds)

    def store_written(self, duration_seconds: float) -> None:
        """The store has taken a finalised batch."""
        self._store_writes.observe(duration_seconds)

    def api_refused(self, reason: str) -> None:
        """An HTTP client was not served."""
        self._api_refused.labels(reason).inc()

    def show_api_connections(self, count: Callable[[], int], connections_max: int) -> None:
        """Look the number of open HTTP connections up with `count` from now on."""
        self._api_connections.set_function(count)
        self._api_connections_max.set(connections_max)

    def show_tls_expiry(self, timestamp_seconds: float) -> None:
        """The API's certificate ends then; a node without one has no such metric."""
        if self._tls_expiry is None:
            self._tls_expiry = Gauge(
                "step_api_tls_certificate_expiry_timestamp_seconds",
                "When the certificate of the API expires, in Unix time.",
                registry=self._registry,
            )
        self._tls_expiry.set(timestamp_seconds)

    def show_event_streams(self, count: Callable[[], int], streams_max: Callable[[], int], ends: Iterable[str]) -> None:
        """Look the number of streams, and how many there may be, up from now on; `ends` are why they end."""
        self._event_streams.set_function(count)
        self._event_streams_max.set_function(streams_max)
        for reason in ends:
            self._event_streams_ended.labels(reason)

    def event_stream_ended(self, reason: str) -> None:
        """A stream of events has ended."""
        self._event_streams_ended.labels(reason).inc()

    def events_sent(self, size_bytes: int) -> None:
        """So much text of events was sent."""
        self._event_bytes.inc(size_bytes)

    def batch_finalised(self, receipts: Sequence[Receipt], rounds: int) -> None:
        """Consensus has finalised a batch with these receipts, after so many rounds (1 is the least)."""
        self._batches.inc()
        self._proofs.inc(len(receipts))
        self._rounds.observe(rounds)

    def sync_batch_applied(self) -> None:
        """A batch that peers finalised has been fetched and applied."""
        self._sync_batches.inc()

    def batch_refused(self) -> None:
        """A proposed batch was found invalid."""
        self._batches_refused.inc()

    def proofs_accepted(self, count: int) -> None:
        """So many proofs wait here that did not before."""
        self._proofs_accepted.inc(count)

    def proof_refused(self, code: str, source: ProofSource) -> None:
        """A proof was refused with this code."""
        self._proofs_refused.labels(code, source).inc()

    def proof_dropped(self, code: str) -> None:
        """A waiting proof has been dropped with this code."""
        self._proofs_dropped.labels(code).inc()

    def promise_broken(self, code: str) -> None:
        """A proof has been dropped that a client of this node was told is accepted."""
        self._promises_broken.labels(code).inc()

    def proof_final_after(self, duration_ms: int) -> None:
        """A proof that this node accepted has become final so many milliseconds later."""
        self._finality.observe(duration_ms / 1000)

    def submission_answered(self, answer: SubmissionAnswer, duration_seconds: float) -> None:
        """A client's submission has been answered so long after it arrived."""
        self._submissions.labels(answer).observe(duration_seconds)

    def signatures_verified(self, count: int) -> None:
        """So many signatures of proofs have been recovered."""
        self._signatures.inc(count)

    def consensus_input_ignored(self, reason: str) -> None:
        """Consensus had no use for an input."""
        self._inputs_ignored.labels(reason).inc()

    def consensus_event_dropped(self) -> None:
        """An event for consensus found its queue full."""
        self._events_dropped.inc()

    def equivocation_seen(self, kind: str) -> None:
        """A validator has contradicted itself."""
        self._equivocations.labels(kind).inc()

    def validator_slashed(self, kind: str, burnt_ustep: int) -> None:
        """A finalised batch has punished a validator."""
        self._slashings.labels(kind).inc()
        self._burnt.inc(_countable(burnt_ustep))

    def fork_seen(self) -> None:
        """A quorum has contradicted what is final here."""
        self._forks.inc()

    def signed(self, seconds: float) -> None:
        """The validator's key has signed a message, so long after it was wanted."""
        self._signer.observe(seconds)

    def double_sign_refused(self) -> None:
        """The double-sign guard has refused to sign."""
        self._double_signs.inc()

    def p2p_key_shared(self) -> None:
        """A peer has said that another process uses this node's p2p key."""
        self._p2p_key_shared.inc()

    def message_rejected(self, reason: str) -> None:
        """A peer's message was refused."""
        self._messages_rejected.labels(reason).inc()

    def proposal_outlined(self, outcome: OutlineOutcome) -> None:
        """A proposal has come in outline, and could be filled or not."""
        self._outlines.labels(outcome).inc()

    def storage_retried(self) -> None:
        """The store did not answer, and is asked again."""
        self._storage_retries.inc()
