"""How validators behave: who proposes, whose pre-commits are in a batch, and what is proven against whom.

Validators are there but for the faults of the scenario. A colluding one leaves the pre-commits of others out of the
batches that it proposes, as far as the quorum can do without: they are paid nothing for the batch before, and count as
absent. Nobody can prove that, which is why it is worth looking at.
"""

from __future__ import annotations

from dataclasses import dataclass

from consensus.values import quorum_of
from step_node.errors import StepNodeError
from step_node.ledger.offences import Offence, OffenceKind
from step_node.ledger.records import ValidatorRecord
from step_node.testing.economy.identities import validator_address
from step_node.testing.economy.scenario import Scenario

_KINDS = {"double-sign": OffenceKind.DOUBLE_SIGN, "invalid-proposal": OffenceKind.INVALID_PROPOSAL}


class NoQuorum(StepNodeError):
    """So many validators are away that no batch can be final: the scenario asks for more than the chain can bear."""


@dataclass(frozen=True, slots=True)
class Frame:
    """What consensus says of a batch."""

    proposer: bytes
    signers: tuple[bytes, ...]
    """Of the batch before, sorted."""
    is_complete: bool
    """Whether all of that batch's validators are among them."""


class Conduct:
    """See the module's docstring. The same records and day give the same frame."""

    def __init__(self, scenario: Scenario) -> None:
        validators = scenario.validators
        # The last of genesis: those that faults name first may be honest.
        self.colluding = frozenset(
            map(validator_address, range(validators.count - validators.colluding, validators.count))
        )
        self._faults = scenario.faults
        self._offline = tuple(fault for fault in scenario.faults if fault.what == "offline")

    def frame(self, records: tuple[ValidatorRecord, ...], height: int, day: int) -> Frame:
        """Of the batch of `height`, the first that has not been made; `records` are sorted by address, as in a head."""
        away = self._away(day)
        members = [record.address for record in records if record.is_in_set]
        if away and len(members) - sum(address in away for address in members) < quorum_of(len(members)):
            raise NoQuorum(
                f"faults: on day {day} {len(away)} of the validators are offline, and the rest of {len(members)} is no"
                " quorum: the chain would stand still; have fewer offline at once"
            )
        turns = (members[(height + turn) % len(members)] for turn in range(len(members)))
        proposer = next(address for address in turns if address not in away)
        if height == 1:
            return Frame(proposer, (), is_complete=True)
        last = [record.address for record in records if record.was_in_set(height - 1)]
        signers = [address for address in last if address not in away]
        if proposer in self.colluding:
            spare = len(signers) - quorum_of(len(last))
            for address in [one for one in signers if one not in self.colluding][: max(0, spare)]:
                signers.remove(address)
        return Frame(proposer, tuple(signers), is_complete=len(signers) == len(last))

    def _away(self, day: int) -> frozenset[bytes]:
        return frozenset(
            validator_address(fault.validator) for fault in self._offline if fault.day <= day < fault.day + fault.days
        )

    def offences(self, day: int, height: int) -> tuple[Offence, ...]:
        """What is proven in the first batch of a day, of the height before."""
        if height == 0:
            return ()
        return tuple(
            Offence(_KINDS[fault.what], validator_address(fault.validator), height, b"made up")
            for fault in self._faults
            if fault.what in _KINDS and fault.day == day
        )
