"""What is sent when, by whom and to whom: all of it fixed before the first byte is sent. Pure.

Open loop: request `number` is due `number * batch / rate` seconds after the beginning, whatever has become of those
before it. A network that stalls does not slow the load down; its stall shows in the latency of each proof that was due
meanwhile.

Provers take turns, so many that each waits longer than the moratorium between two of its proofs, and each has a node
of its own: what waits on one node could be overtaken on another, and a prover's proofs must become final in order.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from step_node.testing.load.provers import PROOFS_PER_PROVER_MAX

INTERVAL_MARGIN_MS = 1_000
"""By how much more than the moratorium two proofs of one prover are apart."""


@dataclass(frozen=True, slots=True)
class Request:
    """The proofs from `first` to before `end`, together to node `node`, `due_seconds` after the beginning."""

    due_seconds: float
    node: int
    first: int
    end: int


@dataclass(frozen=True, slots=True)
class Schedule:
    """`rate` proofs a second for `seconds`, `batch` in a request, the nodes in turn.

    `known` is how many provers are accounts of the chain already: these prove, in turn from number `first_known`. With
    none of them each makes way for a new one after `PROOFS_PER_PROVER_MAX` proofs, before its triangle is used up.
    """

    rate: float
    seconds: float
    nodes: int
    moratorium_ms: int
    batch: int = 1
    known: int = 0
    first_known: int = 0

    @property
    def proofs(self) -> int:
        """How many there are in all, at least one."""
        return max(1, round(self.rate * self.seconds))

    @property
    def provers_at_once(self) -> int:
        """How many take turns: enough for the moratorium, or for all proofs; and each stays with its node."""
        enough = math.ceil(self.rate * (self.moratorium_ms + INTERVAL_MARGIN_MS) / 1000)
        whole = self.batch * self.nodes
        return max(1, math.ceil(min(enough, self.proofs) / whole)) * whole

    @property
    def provers(self) -> int:
        """How many there are in all: numbers 0 to before this, or all that are known."""
        if self.known:
            return max(self.known, self.provers_at_once)
        return 1 + max(map(self.prover, range(max(0, self.proofs - self.provers_at_once), self.proofs)))

    def requests(self) -> Iterator[Request]:
        """All of them, in the order in which they are due."""
        for number, first in enumerate(range(0, self.proofs, self.batch)):
            yield Request(first / self.rate, number % self.nodes, first, min(first + self.batch, self.proofs))

    def due_seconds(self, proof: int) -> float:
        """When proof `proof` is to be sent: with the first of its request."""
        return proof // self.batch * self.batch / self.rate

    def prover(self, proof: int) -> int:
        """The number of the prover who makes proof `proof`."""
        turn, seat = divmod(proof, self.provers_at_once)
        if self.known:
            return (self.first_known + seat) % self.known
        # Not all in the same turn: a wave of newcomers would be another load than the one that was asked for.
        return (turn + seat % PROOFS_PER_PROVER_MAX) // PROOFS_PER_PROVER_MAX * self.provers_at_once + seat
