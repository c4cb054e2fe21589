"""What a node's work costs: microseconds of one core, by operation.

`measuring.py` measures them by calling the functions that a node calls, and `gossip_costs.py` what only real sockets
can tell: a message of gossip on its way through libp2p.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

KIB: Final = 1024


@dataclass(frozen=True, slots=True)
class GossipCosts:
    """What a message costs in libp2p, µs; sizes are of the message without its envelope."""

    publish_us: float
    """Signing it and putting it into the queues of all peers, once."""
    send_us: float
    """To each peer."""
    send_us_per_kib: float
    receive_us: float
    """Up to where the node's own code is handed it, the publisher's signature checked."""
    receive_us_per_kib: float
    told_id_us: float
    """Each id of a message that a peer tells of at its heartbeat, parsed and looked up."""


@dataclass(frozen=True, slots=True)
class ProofCosts:
    """What a node pays for each proof, µs of one core, and for its disk: the same however many validators there are."""

    submission_us: float
    """A client's proof, from its JSON."""
    check_us: float
    """All stateless gates of a proof, in chunks; most of it is the recovery of a key."""
    admit_us: float
    """The gates that ask the state, and a place in the mempool, taken and left again."""
    journal_us: float
    """Written into the journal, and taken out of it."""
    bundle_us: float
    """A gossiped proof: checked for its form, and decoded with its id."""
    load_us: float
    """The records that a proof depends on, from the store."""
    apply_us: float
    """A proof put into a batch, or judged in one: execution and state root."""
    finalise_us: float
    """A proof of a batch written to the store."""
    propose_us: float
    """A proof of an own proposal: the batch encoded, and its outline made."""
    fill_us: float
    """A proof of a proposal in outline, decoded, filled in, its roots checked."""
    decode_us: float
    """A proof of a batch that came whole."""
    sync_ms: float
    """A file made durable. The processor is free meanwhile."""


@dataclass(frozen=True, slots=True)
class Costs(ProofCosts):
    """All that a node pays for: besides proofs, messages and votes, µs of one core."""

    message_us: float
    """A vote or proposal heard: decoded, and judged but for its signature."""
    recover_us: float
    """The signer of a line of consensus."""
    step_us: float
    """A step of the consensus machine, with its entry in the log."""
    commit_us: float
    """A commit heard, decoded: for each signature in it."""
    gossip: GossipCosts

    def by_name(self) -> dict[str, float]:
        """All of them, those of gossip among them."""
        own = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "gossip"}
        gossip = {f"gossip {name}": getattr(self.gossip, name) for name in self.gossip.__dataclass_fields__}
        return own | gossip
