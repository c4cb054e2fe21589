"""What operators do with their nodes while everything else goes wrong, each as docs/operators.md has it.

A *procedure* is a list of steps that an operator takes to the end, whatever happens meanwhile: nodes crash under its
hands, operations are lost and given in again, links are cut. What is checked is that who follows one is never slashed
and never halts the chain, and, in liveness runs, that the procedure ends.

No more is asked of the network than it promises: a procedure that takes a validator away begins only where the honest
ones that stay are a quorum, and one that makes the set smaller only where the liars in it stay fewer than a third.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Protocol

import trio

from p2p.errors import NetworkError
from step_node.chain.genesis import Genesis
from step_node.crypto.eip191 import address_of, public_key_of
from step_node.ledger.records import ValidatorRecord, ValidatorState
from step_node.ledger.state import StateHead
from step_node.operations.client_signing import register, rotate_key, transfer, unbond, withdraw
from step_node.operations.operation import Operation
from step_node.storage.interface import StorageUnavailable
from step_node.testing.simulator.chain import NEWCOMERS, STAKE_USTEP, newcomer_key, owner_key, p2p_address_of
from step_node.testing.simulator.disk import NodeCrashed
from step_node.testing.simulator.host import Host, Word
from step_node.testing.simulator.settings import FaultKind
from step_node.testing.simulator.upgrade_procedure import UpgradeProcedure, until_seen

GIVE_IN_SECONDS = 1.0
"""After so long an operation that has not shown in the records is given in again."""
ABSENCE_SECONDS_MAX = 12.0
LATE_KEY_SECONDS_MAX = 4.0
"""After so long at most a key is brought that was named on chain before it was there."""
HANDED_ON_USTEP = 1
"""Of a stake that was taken back: the least, since slashes may have left next to nothing."""
CLOCK_STEP_MS_MAX = 60_000
UPGRADE_SECONDS_MAX = 2.0
"""How late the one upgrade of a history may begin: it takes epochs."""
PROCEDURES_MAX = 4
"""Procedures of one history."""


class NewHost(Protocol):
    """Gives a machine to the world: its name and its hot key, None for an observer."""

    def __call__(self, name: str, private_key: bytes | None, *, starts: bool = True) -> Host:
        """The host, whose node starts at once, or when it is told to."""
        ...


class Operators:
    """All operators of one history. `begin` has them set to work; `end_faults` brings back whoever is away."""

    def __init__(
        self,
        *,
        acts: frozenset[FaultKind],
        genesis: Genesis,
        hosts: Sequence[Host],
        new_host: NewHost,
        rng: random.Random,
        note: Callable[[str], None],
    ) -> None:
        self._genesis = genesis
        self._hosts = hosts
        self._new_host = new_host
        self._rng = rng
        self._note = note
        self._busy: dict[str, str] = {}
        """Host -> the procedure that its operator is about."""
        self._leaving: set[str] = set()
        self._changing_keys: set[str] = set()
        """Hosts whose validator is about to leave the set, or to be jailed."""
        self._keys_made = 0
        self._newcomers = 0
        self._observers = 0
        self._peace = trio.Event()
        self.done = 0
        """Procedures that have come to their end."""
        procedures: dict[FaultKind, Sequence[Callable[[], Awaitable[None]]]] = {
            FaultKind.MEMBERSHIP: (self._join, self._join, self._leave),
            FaultKind.ROTATION: (self._rotate,),
            FaultKind.ABSENCE: (self._be_away,),
            FaultKind.REBUILD: (self._rebuild,),
            FaultKind.JOIN: (self._observe,),
            FaultKind.RESTORE: (self._restore,),
            FaultKind.OLD_HISTORY: (self._put_back_old_history,),
            FaultKind.COPY: (self._copy,),
            FaultKind.CLOCK_STEP: (self._set_clocks,),
        }
        self._procedures = [one for act in sorted(acts - {FaultKind.UPGRADE}) for one in procedures[act]]
        self._upgrade: UpgradeProcedure | None = None
        if FaultKind.UPGRADE in acts:
            self._upgrade = UpgradeProcedure(
                genesis=genesis,
                hosts=hosts,
                rng=rng,
                note=note,
                head=self._head,
                give_in=self._give_in,
                may_be_away=lambda host: self._can_be_spared_beside(host) and self._may_shrink(),
                busy=self._busy,
                leaving=self._leaving,
                peace=self._peace,
            )

    def begin(self, nursery: trio.Nursery, seconds: float) -> None:
        """Start procedures in `nursery`, at times within `seconds` from now."""
        for _ in range(self._rng.randint(1, PROCEDURES_MAX) if self._procedures else 0):
            procedure = self._rng.choice(self._procedures)
            nursery.start_soon(self._later, self._rng.random() * seconds * 0.8, procedure)
        if self._upgrade is not None:
            nursery.start_soon(self._later, self._rng.random() * UPGRADE_SECONDS_MAX, self._come_to_other_rules)

    def end_faults(self) -> None:
        """From now on nobody is away any longer than its procedure needs, and nothing new begins."""
        self._peace.set()

    def unfinished(self) -> list[str]:
        """The procedures that are under way."""
        return [f"{procedure} of {name}" for name, procedure in self._busy.items()]

    async def _later(self, seconds: float, procedure: Callable[[], Awaitable[None]]) -> None:
        await trio.sleep(seconds)
        if not self._peace.is_set():
            await procedure()

    # --- what operators see -------------------------------------------------------------------------------------

    def _head(self) -> StateHead:
        """The furthest state that an honest node has."""
        honest = [host for host in self._hosts if host.is_honest]
        return max(honest, key=lambda host: host.storage.height).storage.records()

    def _record(self, address: bytes) -> ValidatorRecord | None:
        return next((one for one in self._head().validators if one.address == address), None)

    def _state(self, address: bytes) -> ValidatorState | None:
        record = self._record(address)
        return None if record is None else record.state

    def _is_shown_by_one_who_stays(self, address: bytes, state: ValidatorState) -> bool:
        """Whether a validator with whose key nothing is about to happen knows this one to be in that state.

        One node alone may be the only one to know how an epoch has ended. Were it stopped then for good, with the keys
        of others, nobody could come so far any more. Who changes its key comes back with its store: were they not
        counted, all could wait for one another.
        """
        return any(
            record.address == address and record.state is state
            for host in self._hosts
            if host.is_held_to_promises and (host.name not in self._busy or host.name in self._changing_keys)
            for record in host.storage.records().validators
        )

    def _idle_members(self) -> list[Host]:
        """Honest validators in the set whose operators have nothing else to do."""
        members = {one.address for one in self._head().validators if one.state is ValidatorState.ACTIVE}
        return [
            host
            for host in self._hosts
            if host.is_held_to_promises
            and not host.is_retired
            and host.name not in self._busy
            and host.address in members
        ]

    def _can_be_spared(self) -> bool:
        """Whether the chain goes on without one more honest validator, even if no liar votes."""
        members = [one.address for one in self._head().validators if one.is_in_set]
        return 3 * (len(self._steady_members()) - 1) >= 2 * len(members)

    def _can_be_spared_beside(self, host: Host) -> bool:
        """The same, for a validator whose operator is busy already."""
        members = [one.address for one in self._head().validators if one.is_in_set]
        return 3 * len(self._steady_members() - {host.address}) >= 2 * len(members)

    def _steady_members(self) -> set[bytes]:
        """Those of the idle members whom the last batch shows to sign: the next one may jail who is absent."""
        present = {one.address for one in self._head().validators if not one.absent_batches}
        return present & {host.address for host in self._idle_members()}

    def _may_shrink(self) -> bool:
        """Whether liars stay fewer than a third when one more honest validator leaves the set."""
        members = {one.address for one in self._head().validators if one.is_in_set}
        return 3 * self._liars(members) < len(members) - len(self._leaving) - 1

    def _liars(self, members: Collection[bytes]) -> int:
        return len({host.address for host in self._hosts if not host.is_held_to_promises and host.address in members})

    # --- operations ---------------------------------------------------------------------------------------------

    async def _give_in(self, owner: bytes, make: Callable[[int], Operation], is_done: Callable[[], bool]) -> None:
        """Have an owner's operation applied: given in at some node, and again until the records show it."""
        address = address_of(public_key_of(owner))
        while not is_done():
            up = [host for host in self._hosts if host.is_honest and host.node is not None]
            best = max(self._hosts, key=lambda host: host.storage.height if host.is_honest else -1)
            if up:
                host = self._rng.choice(up)
                operation = make(best.storage.operations_of(address))
                with trio.move_on_after(GIVE_IN_SECONDS):
                    try:
                        if host.node is not None:
                            await host.node.operations.submit(operation)
                    except (NetworkError, StorageUnavailable, NodeCrashed):
                        host.note("is gone before it has taken an operation")
            await trio.sleep(GIVE_IN_SECONDS)

    def _new_key(self, host: Host) -> bytes:
        self._keys_made += 1
        return newcomer_key(host.name, self._keys_made)

    async def _register(self, host: Host, stake_ustep: int) -> None:
        owner, key = owner_key(host.name), host.key()

        def make(sequence: int) -> Operation:
            return register(
                owner_key=owner,
                hot_key=key,
                chain_id=self._genesis.chain_id,
                sequence=sequence,
                stake_ustep=stake_ustep,
                p2p_address=p2p_address_of(host.name),
            )

        waits = (ValidatorState.WAITING, ValidatorState.ACTIVE, ValidatorState.LEAVING)
        await self._give_in(owner, make, lambda: self._state(host.address) in waits)
        await until_seen(lambda: self._state(host.address) in waits[1:])

    def _operations_of(self, address: bytes) -> int:
        """How many of an account's operations the furthest honest node has seen applied."""
        return max(host.storage.operations_of(address) for host in self._hosts if host.is_honest)

    async def _hand_on(self, owner: bytes) -> None:
        """Send a stake that was taken back to somebody, in one operation however often it is given in."""
        address = address_of(public_key_of(owner))
        before = self._operations_of(address)
        to = address_of(public_key_of(owner_key("heir")))

        def make(sequence: int) -> Operation:
            return transfer(
                owner_key=owner,
                chain_id=self._genesis.chain_id,
                sequence=min(sequence, before),
                to=to,
                amount_ustep=HANDED_ON_USTEP,
                memo="what is left of a stake",
            )

        await self._give_in(owner, make, lambda: self._operations_of(address) > before)
        self._note(f"0x{address.hex()} has sent on some of its stake")

    # --- procedures ---------------------------------------------------------------------------------------------

    def _ends(self, host: Host) -> None:
        self._note(f"the operator of {host.name} is done: {self._busy.pop(host.name)}")
        self._leaving.discard(host.name)
        self._changing_keys.discard(host.name)
        self.done += 1

    async def _join(self) -> None:
        """A newcomer: an empty home, with the key from the start or as an observer that is given one; it registers."""
        if self._newcomers >= NEWCOMERS:
            return
        name, self._newcomers = f"n{self._newcomers}", self._newcomers + 1
        self._busy[name] = "to become a validator"
        self._keys_made += 1
        key, is_observer_first = newcomer_key(name, self._keys_made), self._rng.random() < 0.5
        host = self._new_host(name, None if is_observer_first else key)
        await until_seen(lambda: host.storage.height + 1 >= self._head().chain.height)
        if is_observer_first:
            await host.stop("it is given a key")
            host.take_key(key)
            host.start()
        await self._register(host, STAKE_USTEP)
        self._ends(host)

    async def _leave(self) -> None:
        """Unbond, stay until the epoch's end, stop for good, withdraw once the stake is free, and send some on."""
        hosts = self._idle_members()
        if not hosts or not self._may_shrink():
            return
        host = self._rng.choice(hosts)
        self._busy[host.name] = "to leave"
        self._leaving.add(host.name)
        owner, address = owner_key(host.name), host.address
        chain_id = self._genesis.chain_id
        gone = (ValidatorState.UNBONDING, None)
        await self._give_in(
            owner,
            lambda sequence: unbond(owner_key=owner, chain_id=chain_id, sequence=sequence, validator=address),
            lambda: self._state(address) in (ValidatorState.LEAVING, *gone),
        )
        await until_seen(lambda: self._is_shown_by_one_who_stays(address, ValidatorState.UNBONDING))
        host.is_retired = True
        await host.stop("it has left the set")
        await self._give_in(
            owner,
            lambda sequence: withdraw(owner_key=owner, chain_id=chain_id, sequence=sequence, validator=address),
            lambda: self._record(address) is None,
        )
        await self._hand_on(owner)
        self._ends(host)

    async def _rotate(self) -> None:
        """Replace the hot key: of a node that runs, which goes on with it by itself; or the home gets it while the node
        is stopped, before the epoch's end, or after."""
        hosts = self._idle_members()
        if not hosts:
            return
        is_running, is_early = self._rng.random() < 0.5, self._rng.random() < 0.5
        if not is_running:
            is_early = is_early and self._can_be_spared()
        host = self._rng.choice(hosts)
        how = "while it runs" if is_running else "early" if is_early else "late"
        self._busy[host.name] = f"to change its key {how}"
        self._changing_keys.add(host.name)
        owner, old, key = owner_key(host.name), host.address, self._new_key(host)

        async def bring_next_key() -> None:
            await until_seen(lambda: not host.disk.is_full)
            host.bring_next_key(key)

        if is_running and is_early:
            await bring_next_key()

        def is_asked() -> bool:
            record = self._record(old)
            return record is None or bool(record.next_public_key) or record.state is ValidatorState.JAILED

        await self._give_in(
            owner,
            lambda sequence: rotate_key(
                owner_key=owner, new_hot_key=key, chain_id=self._genesis.chain_id, sequence=sequence, validator=old
            ),
            is_asked,
        )
        if is_running:
            if not is_early:
                await trio.sleep(self._rng.uniform(0, LATE_KEY_SECONDS_MAX))
                await bring_next_key()
            await until_seen(lambda: host.address != old or self._state(old) is ValidatorState.JAILED)
            self._ends(host)
            return
        if not is_early:
            await until_seen(
                lambda: (
                    self._state(old) in (ValidatorState.JAILED, None)
                    or self._is_shown_by_one_who_stays(old, ValidatorState.ROTATED)
                )
            )
        if self._state(old) is ValidatorState.JAILED:
            # Faults have kept it absent: coming back from jail is a procedure of its own.
            self._ends(host)
            return
        await host.stop("it changes its key")
        host.take_key(key)
        host.start()
        await until_seen(lambda: self._state(host.address) is not None)
        self._ends(host)

    async def _be_away(self) -> None:
        """Away until the validator is jailed, or for some time; back, and registered again once the jail is over."""
        hosts = self._idle_members()
        if not hosts or not self._can_be_spared() or not self._may_shrink():
            return
        host = self._rng.choice(hosts)
        self._busy[host.name] = "to be away"
        self._leaving.add(host.name)
        await host.stop("its operator is away")
        with trio.move_on_after(self._rng.uniform(3, ABSENCE_SECONDS_MAX)):
            await until_seen(lambda: self._peace.is_set() or self._state(host.address) is ValidatorState.JAILED)
        host.start()
        await until_seen(lambda: host.storage.height + 1 >= self._head().chain.height)
        record = self._record(host.address)
        if record is not None and record.state is ValidatorState.JAILED:
            self._busy[host.name] = "to come back from jail"
            await self._register(host, STAKE_USTEP - record.stake_ustep)
        self._ends(host)

    async def _rebuild(self) -> None:
        """Move the store away, and the consensus log with it; never the signing history."""
        hosts = self._idle_members()
        if not hosts or not self._can_be_spared():
            return
        host = self._rng.choice(hosts)
        self._busy[host.name] = "to build its store anew"
        await host.stop("its store is built anew")
        await trio.sleep(self._rng.uniform(0, 5))
        host.rebuild()
        host.start()
        await until_seen(lambda: host.storage.height + 1 >= self._head().chain.height)
        self._ends(host)

    async def _restore(self) -> None:
        """The machine is lost. The key goes into a new home, or into one that was another validator's; its history is
        brought along, or lost: then the node refuses to start, and starts with the word that it asks for."""
        hosts = self._idle_members()
        if not hosts or not self._can_be_spared():
            return
        host = self._rng.choice(hosts)
        has_history, was_anothers = self._rng.random() < 0.3, self._rng.random() < 0.5
        self._busy[host.name] = f"to restore from keys {'and history' if has_history else 'alone'}"
        await host.stop("its machine is lost")
        host.lose_all_but([host.history_path] if has_history else [])
        if was_anothers:
            self._keys_made += 1
            host.begin_history_of(address_of(public_key_of(newcomer_key(host.name, self._keys_made))))
        await trio.sleep(self._rng.uniform(0, 3))
        await self._start(host)
        await until_seen(lambda: host.takes_part)
        self._ends(host)

    async def _start(self, host: Host) -> None:
        """Start a node, and once more with the right word if it asks for one."""
        host.refused_to_start = False
        host.start()
        await until_seen(lambda: host.refused_to_start or host.node is not None)
        if host.refused_to_start:
            host.word = Word.LOST
            host.start()

    async def _put_back_old_history(self) -> None:
        """An old copy of the history is put back, where the chain shows that the key has signed since."""
        hosts = self._idle_members()
        if not hosts:
            return
        host = self._rng.choice(hosts)
        self._busy[host.name] = "to put an old history back"
        old, height = host.disk.durable(host.history_path), host.storage.height
        with trio.move_on_after(self._rng.uniform(2, 8)):
            await self._peace.wait()
        later = host.storage.last_signed_by(host.address) > height + 1
        if later and old and self._can_be_spared_beside(host) and not self._peace.is_set():
            await host.stop("an old history is put back")
            host.disk.put(host.history_path, old)
            host.has_old_history = True
            host.start()
            await until_seen(lambda: host.takes_part)
        self._ends(host)

    async def _copy(self) -> None:
        """A whole home is copied and the copy started beside it: one of the two must notice, and both are stopped."""
        hosts = self._idle_members()
        members = {one.address for one in self._head().validators if one.is_in_set}
        if (
            not hosts
            or not self._can_be_spared()
            or 3 * (self._liars(members) + 1) >= len(members) - len(self._leaving)
        ):
            return
        host = self._rng.choice(hosts)
        self._busy[host.name] = "to be noticed as copied"
        self._leaving.add(host.name)
        await host.stop("its home is copied")
        copy = self._new_host(f"{host.name}c", host.key(), starts=False)
        copy.copy_from(host)
        for one in (host, copy):
            one.start()
        await until_seen(lambda: host.has_noticed or copy.has_noticed)
        for one in (host, copy):
            one.is_retired = True
            await one.stop("it was copied")
        self._ends(host)

    async def _come_to_other_rules(self) -> None:
        """All of them together; see `upgrade_procedure`."""
        if self._upgrade is not None:
            await self._upgrade.run()
            self.done += 1

    async def _observe(self) -> None:
        """An observer with an empty home."""
        name, self._observers = f"o{self._observers}", self._observers + 1
        self._busy[name] = "to join as an observer"
        host = self._new_host(name, None)
        await until_seen(lambda: host.storage.height + 1 >= self._head().chain.height)
        self._ends(host)

    async def _set_clocks(self) -> None:
        """A clock is set, or the time server of all of them is wrong, and they are set right again."""
        everybody = self._rng.random() < 0.5
        hosts = self._hosts if everybody else [self._rng.choice(self._hosts)]
        step_ms = self._rng.choice((-1, 1)) * self._rng.randint(1_000, CLOCK_STEP_MS_MAX)
        self._note(f"the clock of {'all' if everybody else hosts[0].name} is set by {step_ms} ms")
        for host in hosts:
            host.clock.error_ms += step_ms
        await trio.sleep(self._rng.uniform(1, 10))
        if not self._peace.is_set():
            self._note(f"the clock of {'all' if everybody else hosts[0].name} is set back")
            for host in hosts:
                host.clock.error_ms -= step_ms
        self.done += 1
