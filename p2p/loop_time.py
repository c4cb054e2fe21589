"""How much of the event loop's time peers may take, whatever they send.

Theory of operation. Identities cost nothing and addresses do, so what strangers set off is put down to the IP address
that they come from (IPv6: its network of 64 bits), all of them together; a peer with a reserved place
(`p2p.places`) has an account of its own. Each account fills at a steady rate up to a burst. What has been done for a
peer is put down afterwards, by the processor's time that it took where that can be measured, else by what it usually
takes. Who is in debt waits: nothing more is read from it until it is out of debt. Nothing is lost, and nobody is at
fault for being slow to deal with; what it goes on sending waits in its own memory.

`clock` is in seconds, from any origin, and never goes back.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Final

from p2p.network import PeerId


@dataclass(frozen=True, slots=True)
class Allowance:
    """So many milliseconds of the event loop in each second, after a burst of so many."""

    ms_per_second: float
    burst_ms: float


STRANGERS: Final = Allowance(ms_per_second=50, burst_ms=500)
"""Of all strangers behind one address. One that listens to gossip and asks for batches takes less than ten."""
RESERVED: Final = Allowance(ms_per_second=250, burst_ms=5_000)
"""Of each validator and bootstrap peer: what no honest one comes near, so that a quorum's messages are not held up."""

ACCOUNTS_MAX: Final = 1_024
"""Accounts kept; beyond it those that are full are forgotten, and if none is, all are, which gives each a new burst."""

HANDSHAKE_MS: Final = 5.0
"""A Noise handshake with its negotiations, and the tasks of a new connection."""
STREAM_MS: Final = 1.0
"""A stream that is opened, and the negotiation on it."""
FRAME_MS: Final = 0.1
"""A frame of Yamux with data."""
EMPTY_FRAME_MS: Final = 0.05
"""One without."""
MS_PER_MIB: Final = 2.0
"""Decrypting and copying what is in it."""


class Account:
    """The time of one peer, or of one address."""

    def __init__(self, allowance: Allowance, clock: Callable[[], float]) -> None:
        self._allowance = allowance
        self._clock = clock
        self._left_ms = allowance.burst_ms
        self._filled_at = clock()

    def spend(self, cost_ms: float) -> None:
        """Put down what has been done."""
        self._fill()
        self._left_ms -= cost_ms

    def debt_seconds(self) -> float:
        """How long nothing more is to be done; 0 if it is not in debt."""
        self._fill()
        return max(0.0, -self._left_ms / self._allowance.ms_per_second)

    def measured(self) -> _Measurement:
        """Put down the processor's time that the body takes, which must not wait for anything meanwhile."""
        return _Measurement(self)

    @property
    def is_full(self) -> bool:
        """Whether a new one would be the same."""
        self._fill()
        return self._left_ms >= self._allowance.burst_ms

    def _fill(self) -> None:
        now = self._clock()
        earned_ms, self._filled_at = (now - self._filled_at) * self._allowance.ms_per_second, now
        self._left_ms = min(self._allowance.burst_ms, self._left_ms + earned_ms)


class _Measurement:
    """What `with` an account does. A class: a generator would take as long as what it measures."""

    __slots__ = ("_account", "_began")

    def __init__(self, account: Account) -> None:
        self._account = account
        self._began = 0.0

    def __enter__(self) -> None:
        self._began = time.thread_time()

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._account.spend((time.thread_time() - self._began) * 1_000)


class LoopTime:
    """The accounts of all peers and addresses. They outlive connections, so that reconnecting renews nothing."""

    def __init__(self, clock: Callable[[], float], reserved: Callable[[], frozenset[PeerId]]) -> None:
        self._clock = clock
        self._reserved = reserved
        self._accounts: dict[tuple[str, bool], Account] = {}

    def __len__(self) -> int:
        """How many accounts are kept."""
        return len(self._accounts)

    def of_address(self, group: str) -> Account:
        """That of the strangers behind an address (`p2p.addresses.address_group`), known or not."""
        return self._account(group, STRANGERS, is_reserved=False)

    def of_peer(self, peer_id: PeerId, group: str) -> Account:
        """That of a peer which has proved who it is."""
        if peer_id in self._reserved():
            return self._account(peer_id, RESERVED, is_reserved=True)
        return self.of_address(group)

    def _account(self, name: str, allowance: Allowance, *, is_reserved: bool) -> Account:
        key = (name, is_reserved)
        account = self._accounts.get(key)
        if account is None:
            if len(self._accounts) >= ACCOUNTS_MAX:
                self._accounts = {key: one for key, one in self._accounts.items() if not one.is_full}
                if len(self._accounts) >= ACCOUNTS_MAX:
                    self._accounts.clear()
            account = self._accounts[key] = Account(allowance, self._clock)
        return account
