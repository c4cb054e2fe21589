"""Who is connected to the API, and what each address has spent of the node's time.

A connection is either waited for (its client has to send or to take something) or worked for. When all places are
taken, the one that has been waited for the longest gives way to a new one. So a crowd that only holds connections
open keeps nobody out: who sends its request at once is not the longest waited for.

Spending is measured by one instant for each address: up to when what it has asked for is paid, at so many milliseconds
of cost a second. It may lie `BURST_SECONDS` in the past, which is what an address that was silent can spend at once,
and `DELAY_SECONDS_MAX` in the future: so long a request waits for its turn. Beyond, it is refused. The whole is
measured in the same way: while it is overdrawn, savings count for nothing, so that a crowd pushes itself back and not
those who ask for little. Refusals cost too,
so they are spread over time: whoever is refused waits for the refusal, and the more are refused, the longer.

Taking proofs in is what the node is for: who has brought one that was taken in is given back what that cost, as long
as the node has time to spare. So one address may bring many proofs to an idle node, and no more than its share to a
busy one.
"""

from __future__ import annotations

import math
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Final

import trio

from step_node.api.server.limits import CONNECTION_COST_MS, ApiLimits

BURST_SECONDS: Final = 4.0
"""How much of its share an address can save up: a page of an application asks for thirty things at once."""

ALL_BURST_SECONDS: Final = 1.0
"""How much of the whole all addresses together can save up."""

DELAY_SECONDS_MAX: Final = 1.0
"""How long a request waits for its turn; if that is not enough, it is refused."""

ALL_DELAY_SECONDS_MAX: Final = 2.0
"""How far all addresses together may be behind with paying; then everybody is refused, until it is less."""

SHARED_PART: Final = 0.9
"""What of the whole is shared out; the rest is what those pay with who have just come."""

ADDRESSES_MAX: Final = 16_384
"""Addresses whose spending is remembered; beyond, the one that asked the longest ago is forgotten."""

REFUSALS_PER_SECOND: Final = 100
"""Refusals that are sent in a second; further ones wait."""

REFUSAL_SECONDS_MIN: Final = 1.0
"""How long each waits at least: a client that asks again at once gets no further."""


class Refused(StrEnum):
    """Why a stranger was not served, as the metrics say it."""

    ADDRESS_CONNECTIONS = "address_connections"
    CONNECTIONS = "connections"
    GAVE_WAY = "gave_way"
    ADDRESS_COST = "address_cost"
    COST = "cost"
    MALFORMED = "malformed"
    TLS_HANDSHAKE = "tls_handshake"
    NOT_TLS = "not_tls"


class Visit:
    """One connection that has a place. `address` is what it is counted as; `host` is as the socket gives it."""

    def __init__(self, visitors: Visitors, host: str, address: str, counted: bool) -> None:
        self._visitors = visitors
        self.host = host
        self.address = address
        self.counted = counted
        self.gave_way = False
        """Its place is another's by now: it must end at once, whatever it was about to do."""

    @contextmanager
    def waiting(self, seconds: float, *, idle: bool = False) -> Iterator[trio.CancelScope]:
        """Surrounds a wait for the client, which ends after `seconds`, or when the connection must give way.

        Then the scope's `cancelled_caught` is true. `idle`: no request is under way, so it ends when the server stops.
        """
        with trio.move_on_after(seconds) as scope:
            self._visitors.begin_to_wait(self, scope, idle)
            try:
                yield scope
            finally:
                self._visitors.end_to_wait(self)


class Visitors:
    """See the module's docstring. To be used from the event loop."""

    def __init__(
        self, limits: ApiLimits, refuse: Callable[[str], None], *, connection_cost_ms: float = CONNECTION_COST_MS
    ) -> None:
        self.limits = limits
        self.connection_cost_ms = connection_cost_ms
        self.refuse = refuse
        """Counts a refusal."""
        self._count = 0
        self._by_address: Counter[str] = Counter()
        self._waiting: dict[Visit, trio.CancelScope] = {}
        """The longest waited for first."""
        self._idle: set[Visit] = set()
        self._paid_until: OrderedDict[str, float] = OrderedDict()
        """By address, who asked last at the end."""
        self._all_paid_until = -math.inf
        self._next_refusal_at = -math.inf
        self.is_stopping = False

    def __len__(self) -> int:
        return self._count

    @property
    def remembered(self) -> int:
        """How many addresses have spent something that they still owe, or could have saved up."""
        return len(self._paid_until)

    def enter(self, host: str, address: str) -> Visit | Refused:
        """A place for a new connection, which `leave` gives back; or why there is none for it."""
        counted = host not in self.limits.proxies
        if counted:
            if self._by_address[address] >= self.limits.connections_per_address_max:
                self.refuse(Refused.ADDRESS_CONNECTIONS)
                return Refused.ADDRESS_CONNECTIONS
            paid = self.charge(address, self.connection_cost_ms)
            if isinstance(paid, Refused):
                return paid
        if self._count >= self.limits.connections_max and not self._make_room():
            self.refuse(Refused.CONNECTIONS)
            return Refused.CONNECTIONS
        self._count += 1
        self._by_address[address] += counted
        return Visit(self, host, address, counted)

    def leave(self, visit: Visit) -> None:
        """Give a connection's place back."""
        self._count -= 1
        self._by_address[visit.address] -= visit.counted
        if self._by_address[visit.address] == 0:
            del self._by_address[visit.address]

    def begin_to_wait(self, visit: Visit, scope: trio.CancelScope, idle: bool) -> None:
        """The node waits for this client from now on; cancelling `scope` ends that."""
        self._waiting[visit] = scope
        if idle:
            self._idle.add(visit)
            if self.is_stopping:
                scope.cancel()

    def end_to_wait(self, visit: Visit) -> None:
        """It waits no longer."""
        self._waiting.pop(visit, None)
        self._idle.discard(visit)

    def stop(self) -> None:
        """End the connections that no request is under way on, now and whenever one comes to that."""
        self.is_stopping = True
        for visit in self._idle:
            if visit in self._waiting:
                self._waiting[visit].cancel()

    def charge(self, address: str, cost_ms: float) -> float | Refused:
        """Have `address` pay: how many seconds it must wait for its turn, or why it is refused, and pays nothing."""
        now = trio.current_time()
        rate = self._rate_of_each(now)
        all_paid_until = max(self._all_paid_until, now - ALL_BURST_SECONDS)
        if all_paid_until - now > ALL_DELAY_SECONDS_MAX:
            self.refuse(Refused.COST)
            return Refused.COST
        # Savings are for quiet times: a crowd that comes all at once has none.
        earliest = now - BURST_SECONDS if all_paid_until <= now else now
        paid_until = max(self._paid_until.get(address, -math.inf), earliest)
        if paid_until - now > DELAY_SECONDS_MAX:
            self.refuse(Refused.ADDRESS_COST)
            return Refused.ADDRESS_COST
        self._paid_until[address] = paid_until + cost_ms / rate
        self._paid_until.move_to_end(address)
        if len(self._paid_until) > ADDRESSES_MAX:
            self._paid_until.popitem(last=False)
        self._all_paid_until = all_paid_until + cost_ms / self.limits.cost_ms_per_second
        return max(0.0, paid_until - now)

    def give_back(self, address: str, cost_ms: float) -> None:
        """Give `address` back what it has paid for something that the node is glad of, unless the node is busy.

        The whole gets nothing back: the time is spent.
        """
        now = trio.current_time()
        if address in self._paid_until and self._all_paid_until <= now:
            self._paid_until[address] -= cost_ms / self._rate_of_each(now)

    def refusal_seconds(self) -> float:
        """How long the next refusal waits."""
        now = trio.current_time()
        self._next_refusal_at = max(self._next_refusal_at, now + REFUSAL_SECONDS_MIN) + 1 / REFUSALS_PER_SECOND
        return self._next_refusal_at - now

    def _rate_of_each(self, now: float) -> float:
        """Milliseconds of cost a second for one address: its bound, or an equal part of a whole that is overdrawn."""
        while self._paid_until:
            address, paid_until = next(iter(self._paid_until.items()))
            if paid_until > now - BURST_SECONDS:
                break
            del self._paid_until[address]
        if self._all_paid_until <= now:
            return self.limits.address_cost_ms_per_second
        share = SHARED_PART * self.limits.cost_ms_per_second / max(1, len(self._paid_until))
        return min(self.limits.address_cost_ms_per_second, share)

    def _make_room(self) -> bool:
        """Whether somebody gives way."""
        if not self._waiting:
            return False
        visit = next(iter(self._waiting))
        visit.gave_way = True
        self._waiting.pop(visit).cancel()
        self.refuse(Refused.GAVE_WAY)
        return True
