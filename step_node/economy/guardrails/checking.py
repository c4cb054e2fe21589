"""One final batch, gone over: is what the ledger did with it what the protocol's page says?

Theory of operation. The ledger has turned the head before into changes and receipts. Here the same batch is followed a
second time, by `schedule`, and by nothing that the ledger says of itself but the balances that the store had before:
who voted for the batch before is in the batch's `last_commit`, what was sent in its operations, what was proven in its
proofs. So each amount is known beforehand, and compared. Where one is another, the ledger's is taken from there on:
one fault is one breach, and not a thousand.

What finds a fault must not stop at it: nothing here raises, whatever the ledger has made up. Pure. It takes some 0.6
µs a proof.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from step_node.amounts import told
from step_node.chain.judging import JudgedBatch
from step_node.economy.guardrails.guardrail import Breach, Guardrail
from step_node.economy.guardrails.schedule import EARNINGS, LEVEL_BITS, validators_shares_ustep
from step_node.ledger.records import ChainRecord
from step_node.ledger.state import StateHead
from step_node.operations.operation import Operation, Register, Transfer, Withdraw, decode_operation
from step_node.parameters import USTEP_MAX


@dataclass(slots=True)
class Checked:
    """What has come of going over a batch: what is wrong with it, at most one breach of each guardrail, the first.

    `paid_ustep` is what its proofs should have been paid, `minted_ustep` what should have come into being.
    """

    height: int
    breaches: dict[Guardrail, Breach] = field(default_factory=dict)
    paid_ustep: int = 0
    minted_ustep: int = 0

    def note(self, guardrail: Guardrail, message: str, *, figure: int | None = None, bound: int | None = None) -> None:
        """Something is not as it must be; only the first of each guardrail is kept."""
        self.breaches.setdefault(guardrail, Breach(guardrail, self.height, message, figure, bound))


def check_batch(before: StateHead, judged: JudgedBatch, *, last_paid_ustep: int | None = None) -> Checked:
    """Go over what the ledger did with this batch on top of `before`.

    `last_paid_ustep` is what the batch before should have paid, where that was checked; else the head's word is taken.
    """
    header, transition = judged.batch.header, judged.transition
    checked = Checked(header.height)
    sheet = _Sheet(checked, transition.balances_before_ustep)
    _check_validators_share(checked, sheet, before, judged, last_paid_ustep)
    operations = [decode_operation(operation) for operation in judged.batch.operations]
    stakes_ustep = _follow_operations(checked, sheet, before, judged, operations)
    _follow_proofs(checked, sheet, judged)
    _check_balances(checked, sheet, judged)
    _check_supply(checked, before.chain, transition.changes.head.chain)
    _check_conservation(checked, before, judged, stakes_ustep)
    return checked


class _Sheet:
    """What each account should have, as the batch goes on."""

    def __init__(self, checked: Checked, before_ustep: Mapping[bytes, int]) -> None:
        self._checked = checked
        self.before_ustep = before_ustep
        self.ustep = dict(before_ustep)

    def add(self, account: bytes, amount_ustep: int) -> int:
        """Credit it, or debit it; what it has then."""
        has_ustep = self.ustep.get(account, 0) + amount_ustep
        self.ustep[account] = has_ustep
        if not 0 <= has_ustep <= USTEP_MAX:
            self._checked.note(
                Guardrail.BALANCES,
                f"account 0x{account.hex()} would have {told(has_ustep)} µSTEP; a balance is 0 to {USTEP_MAX}",
                figure=has_ustep,
                bound=0 if has_ustep < 0 else USTEP_MAX,
            )
        return has_ustep


def _check_validators_share(
    checked: Checked, sheet: _Sheet, before: StateHead, judged: JudgedBatch, last_paid_ustep: int | None
) -> None:
    commit = judged.batch.last_commit
    paid_ustep = before.chain.paid_ustep if last_paid_ustep is None else last_paid_ustep
    expected = validators_shares_ustep(
        paid_ustep,
        before.parameters.validator_reward_bps,
        () if commit is None else [signature.validator for signature in commit.signatures],
        before.chain.proposer,
    )
    found = judged.transition.validator_rewards_ustep
    checked.minted_ustep += sum(expected.values())
    # Dictionaries are compared at once; what is gone through one by one is a fault.
    for validator in expected.keys() | found.keys() if expected != found else ():
        due_ustep, got_ustep = expected.get(validator, 0), found.get(validator, 0)
        if due_ustep != got_ustep:
            checked.note(
                Guardrail.VALIDATORS_SHARE,
                f"validator 0x{validator.hex()} was given {told(got_ustep)} µSTEP for the batch before, which paid"
                f" {told(paid_ustep)}; its share is {told(due_ustep)}",
                figure=got_ustep,
                bound=due_ustep,
            )
    owners = {record.address: record.owner for record in before.validators if record.address in found}
    for validator, amount_ustep in found.items():
        sheet.add(owners.get(validator, validator), amount_ustep)


def _follow_operations(
    checked: Checked, sheet: _Sheet, before: StateHead, judged: JudgedBatch, operations: list[Operation]
) -> int:
    """What the operations have added to the stakes, µSTEP: less than nothing where more was withdrawn."""
    receipts = judged.transition.operation_receipts
    if len(receipts) != len(operations):
        checked.note(
            Guardrail.BALANCES,
            f"{len(operations)} operations have {len(receipts)} receipts",
        )
    if not operations:
        return 0
    staked_ustep = {record.address: record.stake_ustep for record in before.validators}
    for slashing in judged.transition.slashings:
        staked_ustep[slashing.validator] = staked_ustep.get(slashing.validator, 0) - slashing.amount_ustep
    added_ustep = 0
    for operation, receipt in zip(operations, receipts, strict=False):
        match operation:
            case Transfer():
                sheet.add(operation.to, operation.amount_ustep)
                spent_ustep = operation.amount_ustep
            case Register():
                spent_ustep = operation.stake_ustep
                added_ustep += spent_ustep
            case Withdraw():
                spent_ustep = -staked_ustep.get(operation.validator, 0)
                added_ustep += spent_ustep
            case _:
                spent_ustep = 0
        has_ustep = sheet.add(operation.owner, -spent_ustep)
        if (receipt.owner, receipt.balance_ustep) != (operation.owner, has_ustep):
            checked.note(
                Guardrail.BALANCES,
                f"after its {operation.type} account 0x{operation.owner.hex()} has {told(has_ustep)} µSTEP, and the"
                f" receipt of 0x{receipt.owner.hex()} says {told(receipt.balance_ustep)}",
                figure=receipt.balance_ustep,
                bound=has_ustep,
            )
            sheet.ustep[receipt.owner] = receipt.balance_ustep
    return added_ustep


def _follow_proofs(checked: Checked, sheet: _Sheet, judged: JudgedBatch) -> None:
    proofs, receipts = judged.batch.proofs, judged.transition.receipts
    if len(proofs) != len(receipts):
        checked.note(
            Guardrail.REWARDS,
            f"{len(proofs)} proofs have {len(receipts)} receipts",
        )
    earnings = EARNINGS[judged.batch.header.protocol_version]
    has, clicked, paid_ustep = sheet.ustep, dict(judged.transition.clicks_before), 0
    # One loop of few steps: it is gone through for each proof that the network finalises.
    for proof, receipt in zip(proofs, receipts, strict=False):
        proof_id, _, _, account, triangle, reward_ustep, clicks, state, balance_ustep, _ = receipt
        if proof_id != proof.proof_id or account != proof.account or triangle != proof.triangle.integer:
            checked.note(Guardrail.REWARDS, f"the receipt of proof 0x{proof.proof_id.hex()} is of another one")
        due_ustep, state_then = earnings.get((triangle & LEVEL_BITS, clicks), (0, -1))
        paid_ustep += due_ustep
        if reward_ustep != due_ustep:
            checked.note(
                Guardrail.REWARDS,
                f"proof 0x{proof_id.hex()}, click {told(clicks)} of a triangle of level {triangle & LEVEL_BITS}, was"
                f" paid {told(reward_ustep)} µSTEP; it earns {due_ustep}",
                figure=reward_ustep,
                bound=due_ustep,
            )
        if state != state_then or clicks != clicked.get(triangle, 0) + 1:
            checked.note(
                Guardrail.CLICKS,
                f"triangle {told(triangle)}, of level {triangle & LEVEL_BITS}, has {told(clicks)} clicks and the state"
                f" {told(int(state))}, and {told(clicked.get(triangle, 0))} clicks before",
            )
        clicked[triangle] = clicks
        has_ustep = has.get(account, 0) + reward_ustep
        if balance_ustep != has_ustep or not 0 <= has_ustep <= USTEP_MAX:
            checked.note(
                Guardrail.BALANCES,
                f"account 0x{account.hex()} has {told(has_ustep)} µSTEP after proof 0x{proof_id.hex()}, and its receipt"
                f" says {told(balance_ustep)}",
                figure=balance_ustep,
                bound=has_ustep,
            )
            has_ustep = balance_ustep
        has[account] = has_ustep
    checked.paid_ustep = paid_ustep
    checked.minted_ustep += paid_ustep


def _check_balances(checked: Checked, sheet: _Sheet, judged: JudgedBatch) -> None:
    """Whether each account that should have changed is written as it should be, and no other is."""
    written = {account.address: account.balance_ustep for account in judged.transition.changes.accounts}
    if written == sheet.ustep:
        return
    for address in written.keys() | sheet.ustep.keys():
        if written.get(address) != sheet.ustep.get(address):
            checked.note(
                Guardrail.BALANCES,
                f"account 0x{address.hex()} is written with {_told_or(written.get(address), 'nothing')} µSTEP; it has"
                f" {_told_or(sheet.ustep.get(address), 'nothing that changed')}",
                figure=written.get(address, 0),
                bound=sheet.ustep.get(address, 0),
            )
            return


def _check_supply(checked: Checked, before: ChainRecord, after: ChainRecord) -> None:
    moved_ustep = after.minted_ustep - before.minted_ustep
    if moved_ustep != checked.minted_ustep:
        checked.note(
            Guardrail.SUPPLY,
            f"the supply has moved by {told(moved_ustep)} µSTEP; the rewards of this batch, and the validators' share"
            f" of the one before, are {told(checked.minted_ustep)}",
            figure=moved_ustep,
            bound=checked.minted_ustep,
        )
    if after.paid_ustep != checked.paid_ustep:
        checked.note(
            Guardrail.SUPPLY,
            f"the chain's record says that its proofs were paid {told(after.paid_ustep)} µSTEP, of which the validators"
            f" get their share; they earn {told(checked.paid_ustep)}",
            figure=after.paid_ustep,
            bound=checked.paid_ustep,
        )


def _check_conservation(checked: Checked, before: StateHead, judged: JudgedBatch, staked_ustep: int) -> None:
    """Whether the sums have moved by what single accounts, stakes and slashings have, and add up."""
    transition = judged.transition
    head = transition.changes.head
    old, new = before.chain, head.chain
    burnt_ustep = sum([slashing.amount_ustep for slashing in transition.slashings])
    balances_ustep = sum([account.balance_ustep for account in transition.changes.accounts])
    balances_ustep -= sum(transition.balances_before_ustep.values())
    stakes_ustep = [record.stake_ustep for record in head.validators]
    for what, found, expected in (
        ("balances", new.balances_ustep - old.balances_ustep, balances_ustep),
        ("burnt", new.burnt_ustep - old.burnt_ustep, burnt_ustep),
        ("stakes moved", new.stakes_ustep - old.stakes_ustep, staked_ustep - burnt_ustep),
        ("stakes", new.stakes_ustep, sum(stakes_ustep)),
        ("minted", new.minted_ustep, new.balances_ustep + new.stakes_ustep + new.burnt_ustep),
    ):
        if found != expected:
            checked.note(
                Guardrail.CONSERVATION,
                f"{what}: {told(found)} µSTEP by the chain's record, {told(expected)} by what the batch has done",
                figure=found,
                bound=expected,
            )
    for name, amount_ustep in (
        ("supply", new.minted_ustep),
        ("balances", new.balances_ustep),
        ("stakes", new.stakes_ustep),
        ("burnt", new.burnt_ustep),
        ("burnt by the batch", burnt_ustep),
    ):
        if not 0 <= amount_ustep <= USTEP_MAX:
            _note_amount(checked, name, amount_ustep)
    if not (min(stakes_ustep, default=0) >= 0 and max(stakes_ustep, default=0) <= USTEP_MAX):
        for record in head.validators:
            if not 0 <= record.stake_ustep <= USTEP_MAX:
                _note_amount(checked, f"stake of 0x{record.address.hex()}", record.stake_ustep)


def _note_amount(checked: Checked, name: str, amount_ustep: int) -> None:
    checked.note(
        Guardrail.CONSERVATION,
        f"{name}: {told(amount_ustep)} µSTEP; an amount is 0 to {USTEP_MAX}",
        figure=amount_ustep,
        bound=0 if amount_ustep < 0 else USTEP_MAX,
    )


def _told_or(amount_ustep: int | None, nothing: str) -> str:
    return nothing if amount_ustep is None else told(amount_ustep)
