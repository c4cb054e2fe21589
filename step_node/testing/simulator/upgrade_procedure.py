"""How all operators together come to other rules, as docs/upgrading.md has it.

One of them or all may be left behind: their nodes stop before the height, are started again with the old release to no
effect, and go on where they have stopped once the new one is installed. Where all are left behind, the chain waits for
them. What is agreed on may be called off again.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import trio

from step_node.chain.genesis import Genesis
from step_node.crypto.eip191 import address_of, public_key_of
from step_node.ledger.protocol_record import ProtocolRecord, Upgrade
from step_node.ledger.state import StateHead
from step_node.ledger.upgrades import first_possible_height
from step_node.operations.client_signing import approve_upgrade, cancel_upgrade
from step_node.operations.operation import Operation
from step_node.testing.simulator.chain import owner_key
from step_node.testing.simulator.host import Host
from step_node.testing.simulator.releases import NEWEST_RULES, OLDER_RULES
from step_node.testing.waiting import until

OPERATOR_LOOK_SECONDS = 0.3
"""How often an operator looks whether what it waits for has happened."""
INSTALL_SECONDS_MAX = 3.0
"""How long an operator waits for a node to be well again before the next one is upgraded."""
LEFT_BEHIND_SECONDS_MAX = 3.0
"""How long it takes an operator to notice that the node has stopped, and why."""
RELEASE = "newest"
NAME = "all operators"
LEFT_BEHIND = "to be left behind"


async def until_seen(holds: Callable[[], bool]) -> None:
    """Wait as an operator does, who looks now and then."""
    await until(holds, look_seconds=OPERATOR_LOOK_SECONDS)


class GiveIn(Protocol):
    """Has an operation applied: given in at some node, and again until it `is_done`."""

    def __call__(self, owner: bytes, make: Callable[[int], Operation], is_done: Callable[[], bool]) -> Awaitable[None]:
        """`owner` is its private key."""
        ...


class UpgradeProcedure:
    """See the module's docstring. All nodes of `hosts` that are honest begin with the older release."""

    def __init__(
        self,
        *,
        genesis: Genesis,
        hosts: Sequence[Host],
        rng: random.Random,
        note: Callable[[str], None],
        head: Callable[[], StateHead],
        give_in: GiveIn,
        may_be_away: Callable[[Host], bool],
        busy: dict[str, str],
        leaving: set[str],
        peace: trio.Event,
    ) -> None:
        self._genesis = genesis
        self._hosts = hosts
        self._rng = rng
        self._note = note
        self._head = head
        self._give_in = give_in
        self._may_be_away = may_be_away
        self._busy = busy
        self._leaving = leaving
        self._peace = peace
        for host in self._honest():
            host.newest_rules = OLDER_RULES

    async def run(self) -> None:
        """From the first node that is upgraded to the last."""
        self._busy[NAME] = "to come to other rules"
        left_behind = self._draw_left_behind()
        for host in self._honest():
            if host not in left_behind:
                await self._install(host)
        while not self._peace.is_set() and not self._is_in_force():
            wanted = self._drawn_upgrade()
            await self._agree(wanted)
            if self._record().agreed is not None and self._rng.random() < 0.3 and not self._peace.is_set():
                await self._call_off()
            await until_seen(lambda: self._record().agreed is None)
        if self._is_in_force():
            await self._bring_along(left_behind)
        for host in left_behind:
            if self._busy.get(host.name) == LEFT_BEHIND:
                self._leaving.discard(host.name)
                del self._busy[host.name]
        self._note(f"all operators are done: {self._busy.pop(NAME)}; version {self._record().version} is in force")

    # --- what is seen -------------------------------------------------------------------------------------------

    def _honest(self) -> list[Host]:
        return [host for host in self._hosts if host.is_honest]

    def _record(self) -> ProtocolRecord:
        return self._head().protocol

    def _is_in_force(self) -> bool:
        return self._record().version >= NEWEST_RULES

    def _approval(self, validator: bytes) -> Upgrade | None:
        return next((vote.upgrade for vote in self._record().votes if vote.validator == validator), None)

    # --- the release --------------------------------------------------------------------------------------------

    def _draw_left_behind(self) -> list[Host]:
        """Nobody; one, where the others are enough; or everybody honest: then the chain waits."""
        kind, idle = self._rng.random(), [host for host in self._honest() if host.name not in self._busy]
        if kind < 0.4 or not idle:
            return []
        if kind < 0.7:
            host = self._rng.choice(idle)
            if not self._may_be_away(host):
                return []
            self._busy[host.name] = LEFT_BEHIND
            self._leaving.add(host.name)
            return [host]
        return self._honest()

    async def _install(self, host: Host) -> None:
        """Stop, install, start, and wait until it is well; under the hands of whoever is at it already, install alone:
        its next start has the new release."""
        if host.name in self._busy or not self._may_be_away(host):
            host.install()
            return
        self._busy[host.name] = "to be upgraded"
        await host.stop("the new release is installed")
        host.install()
        host.start()
        with trio.move_on_after(INSTALL_SECONDS_MAX):
            await until_seen(lambda: host.takes_part)
        del self._busy[host.name]

    async def _bring_along(self, left_behind: Sequence[Host]) -> None:
        """Whoever was left behind, once its node has stopped: at once in peace, or when many are away."""
        if len(left_behind) == 1:
            with trio.move_on_after(self._rng.uniform(0, LEFT_BEHIND_SECONDS_MAX)):
                await self._peace.wait()
        else:
            await trio.sleep(self._rng.uniform(0, LEFT_BEHIND_SECONDS_MAX))
        for host in self._honest():
            if host.newest_rules < NEWEST_RULES:
                host.install()
        await until_seen(lambda: not any(host.waits_for_release for host in self._honest()))

    # --- the agreement ------------------------------------------------------------------------------------------

    def _drawn_upgrade(self) -> Upgrade:
        epoch_batches = self._genesis.parameters.epoch_batches
        first = first_possible_height(self._head().chain.height + 1, epoch_batches)
        return Upgrade(NEWEST_RULES, first + self._rng.randint(1, 2) * epoch_batches, RELEASE)

    async def _agree(self, wanted: Upgrade) -> None:
        """All honest members approve it, each when it comes to it; ends when it is agreed on, or can be no more."""
        self._note(f"version {wanted.protocol_version} is proposed from height {wanted.activation_height} on")

        def is_over() -> bool:
            record, epoch_batches = self._record(), self._genesis.parameters.epoch_batches
            first = first_possible_height(self._head().chain.height + 1, epoch_batches)
            return record.agreed is not None or self._is_in_force() or wanted.activation_height < first

        async with trio.open_nursery() as nursery:
            for host in self._members():
                nursery.start_soon(self._approve, host, wanted, is_over)

    def _members(self) -> list[Host]:
        members = {one.address for one in self._head().validators if one.is_in_set}
        return [host for host in self._honest() if host.address in members]

    async def _approve(self, host: Host, wanted: Upgrade, is_over: Callable[[], bool]) -> None:
        cold, validator = owner_key(host.name), host.address
        key, owner = cold if self._rng.random() < 0.5 else host.key(), address_of(public_key_of(cold))
        await trio.sleep(self._rng.uniform(0, 1))

        def make(sequence: int) -> Operation:
            return approve_upgrade(
                key=key,
                owner=owner,
                chain_id=self._genesis.chain_id,
                sequence=sequence,
                validator=validator,
                protocol_version=wanted.protocol_version,
                activation_height=wanted.activation_height,
                release=wanted.release,
            )

        await self._give_in(cold, make, lambda: is_over() or self._approval(validator) == wanted)
        await until_seen(is_over)

    async def _call_off(self) -> None:
        """Approvals are taken back until it is agreed on no more, or in force."""
        self._note("the upgrade is to be called off")
        for host in self._rng.sample(self._members(), len(self._members())):
            await self._take_back(host)
        if not self._is_in_force():
            self._note("the upgrade is called off")

    async def _take_back(self, host: Host) -> None:
        cold, validator, key = owner_key(host.name), host.address, host.key()
        owner = address_of(public_key_of(cold))

        def make(sequence: int) -> Operation:
            return cancel_upgrade(
                key=key, owner=owner, chain_id=self._genesis.chain_id, sequence=sequence, validator=validator
            )

        await self._give_in(cold, make, lambda: self._record().agreed is None or self._approval(validator) is None)
