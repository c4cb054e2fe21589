"""Where peers have been found: the address book of a node, over restarts.

Theory of operation. An address is *heard*, and *known* once this node has dialled it and found that peer there. Only
known ones are kept in the home, used when peers are missing, and told to others. Whoever tells addresses can make them
up at no cost, so what is heard is small, of each source and for each IP address, is tried by turns of its sources, and
is forgotten where nobody answers; an IP address at which a few did not answer is not tried for others for a while.
What is known is bounded for each provider's network, so that nobody fills the book from one of them.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import trio
from pydantic import BaseModel, ConfigDict, Field

from p2p.addresses import PeerAddress, address_group, network_group, parse_peer_address
from p2p.base import open_plain_nursery
from p2p.network import PeerId, Scope
from step_node.clock import Clock
from step_node.durable.side_file import SideFile
from step_node.multiaddrs import MULTIADDR_CHARACTERS_MAX

KNOWN_MAX = 1_024
KNOWN_PER_NETWORK_MAX = 128
"""Of one provider (`p2p.addresses.network_group`)."""
KNOWN_PER_PEER_MAX = 4
HEARD_MAX = 512
HEARD_PER_SOURCE_MAX = 32
HEARD_PER_ADDRESS_MAX = 8
"""Of one IP address, or name: a source must not have this node knock at all doors of somebody's house."""
SILENCES_MAX = 5
"""A known address that has not answered so often in a row is forgotten."""
QUIET_SECONDS = 600.0
"""How long an IP address, or name, is left alone at which `HEARD_PER_ADDRESS_MAX` that were heard did not answer."""
QUIET_ADDRESSES_MAX = 1_024
"""How many of these are remembered; beyond it all are forgotten."""
CHECK_AGAIN_SECONDS = 1_800.0
"""How often a known address is dialled again to see whether it still is one."""
TELL_AGE_MS_MAX = 24 * 3_600_000
"""An address that has not answered for longer is not told to others."""


@dataclass(frozen=True, slots=True)
class Heard:
    """An address that somebody has told, and how narrow what it comes to may be (`p2p.addresses`)."""

    address: PeerAddress
    narrowest: Scope


@dataclass(frozen=True, slots=True)
class Known:
    """An address at which its peer has answered this node."""

    address: PeerAddress
    answered_at_ms: int
    """When last, by the wall clock: it has to hold over restarts."""
    silences: int = 0
    """How often it has not answered since."""
    checked_at: float = float("-inf")
    """When it was last dialled, by trio's clock."""


class _KnownInFile(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    address: Annotated[str, Field(min_length=1, max_length=MULTIADDR_CHARACTERS_MAX)]
    answered_at_ms: Annotated[int, Field(ge=0, lt=2**53)]
    silences: Annotated[int, Field(ge=0, lt=SILENCES_MAX)]


class _BookFile(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    known: Annotated[tuple[_KnownInFile, ...], Field(max_length=KNOWN_MAX)]


class AddressBook:
    """See the module's docstring. `changed` is told all that is known whenever that changes; `rng` draws samples."""

    def __init__(
        self,
        clock: Clock,
        *,
        known: Iterable[Known] = (),
        changed: Callable[[Sequence[Known]], None] = lambda _known: None,
        rng: random.Random | None = None,
    ) -> None:
        self._clock = clock
        self._changed = changed
        self._rng = rng or random.SystemRandom()
        self._known: dict[PeerAddress, Known] = {}
        for one in known:
            self._add(one)
        self._heard: dict[str, deque[Heard]] = {}
        """Source -> what it has told, in its order."""
        self._silent: dict[str, tuple[int, float]] = {}
        """Host -> how many that were heard there have not answered, and until when that counts."""

    def known(self) -> tuple[Known, ...]:
        """All known addresses."""
        return tuple(self._known.values())

    def heard(self) -> list[PeerAddress]:
        """All addresses that have been told and not yet tried."""
        return [one.address for told in self._heard.values() for one in told]

    def hear(self, heard: Heard, source: str) -> bool:
        """Note an address to be tried; False if it is known already, or one too many."""
        address = heard.address
        waiting = self.heard()
        host = _host_of(address)
        if (
            address in self._known
            or address in waiting
            or len(waiting) >= HEARD_MAX
            or len(self._heard.get(source, ())) >= HEARD_PER_SOURCE_MAX
            or sum(_host_of(other) == host for other in waiting) >= HEARD_PER_ADDRESS_MAX
            or self._silences(host) >= HEARD_PER_ADDRESS_MAX
        ):
            return False
        self._heard.setdefault(source, deque()).append(heard)
        return True

    def take_heard(self) -> Heard | None:
        """The next address to be tried, of each source in turn; it is not kept here any more."""
        for source in list(self._heard):
            told = self._heard.pop(source)
            heard = told.popleft()
            if told:
                self._heard[source] = told  # At the end of the line.
            return heard
        return None

    def due(self, *, after_seconds: float = CHECK_AGAIN_SECONDS, skip: Callable[[PeerId], bool]) -> Known | None:
        """The known address, not of a peer to `skip`, that was not dialled for the longest time, if that is so long."""
        ready = [one for one in self._known.values() if not skip(one.address.peer_id)]
        oldest = min(ready, key=lambda one: (one.checked_at, -one.answered_at_ms), default=None)
        if oldest is None or trio.current_time() - oldest.checked_at < after_seconds:
            return None
        self._known[oldest.address] = replace(oldest, checked_at=trio.current_time())
        return oldest

    def note_answer(self, address: PeerAddress) -> None:
        """The peer was there."""
        self._add(Known(address, self._clock.now_ms(), 0, trio.current_time()))
        self._changed(self.known())

    def note_silence(self, address: PeerAddress) -> None:
        """Nobody was there, or somebody else."""
        known = self._known.get(address)
        if known is None:
            self._remember_silence(_host_of(address))
            return
        if known.silences + 1 < SILENCES_MAX:
            self._known[address] = replace(known, silences=known.silences + 1, checked_at=trio.current_time())
        else:
            del self._known[address]
        self._changed(self.known())

    def forget(self, peer_id: PeerId) -> None:
        """Let go of all addresses of a peer."""
        gone = [address for address in self._known if address.peer_id == peer_id]
        for address in gone:
            del self._known[address]
        if gone:
            self._changed(self.known())

    def sample(self, count: int, fits: Callable[[PeerAddress], bool]) -> list[PeerAddress]:
        """Up to so many addresses that fit and have answered lately, at random."""
        since_ms = self._clock.now_ms() - TELL_AGE_MS_MAX
        ready = [one.address for one in self._known.values() if one.answered_at_ms >= since_ms and fits(one.address)]
        return self._rng.sample(ready, min(count, len(ready)))

    def choose(self, peers: Sequence[PeerId]) -> PeerId:
        """One of them at random."""
        return self._rng.choice(peers)

    def _add(self, known: Known) -> None:
        address = known.address
        self._known.pop(address, None)
        network = network_group(address.host)
        others = list(self._known.values())
        for crowd, maximum in (
            ([one for one in others if one.address.peer_id == address.peer_id], KNOWN_PER_PEER_MAX),
            ([one for one in others if network_group(one.address.host) == network], KNOWN_PER_NETWORK_MAX),
            (others, KNOWN_MAX),
        ):
            here = [one for one in crowd if one.address in self._known]
            if len(here) >= maximum:
                del self._known[min(here, key=lambda one: one.answered_at_ms).address]
        self._known[address] = known

    def _silences(self, host: str) -> int:
        count, until = self._silent.get(host, (0, 0.0))
        return count if trio.current_time() < until else 0

    def _remember_silence(self, host: str) -> None:
        count = self._silences(host) + 1
        if len(self._silent) >= QUIET_ADDRESSES_MAX:
            self._silent.clear()
        self._silent[host] = count, trio.current_time() + QUIET_SECONDS


@asynccontextmanager
async def keep_address_book(path: Path, clock: Clock) -> AsyncIterator[AddressBook]:
    """The address book that stands in `path`, which is kept up to date until the context ends."""
    file = SideFile(path, _BookFile, "the addresses of peers")

    def changed(known: Sequence[Known]) -> None:
        file.write_soon(
            _BookFile(
                known=tuple(
                    _KnownInFile(address=str(one.address), answered_at_ms=one.answered_at_ms, silences=one.silences)
                    for one in known
                )
            )
        )

    async with open_plain_nursery() as nursery:
        nursery.start_soon(file.run)
        try:
            yield AddressBook(clock, known=_read(file), changed=changed)
        finally:
            nursery.cancel_scope.cancel()


def _read(file: SideFile[_BookFile]) -> list[Known]:
    content = file.read()
    known = []
    for one in content.known if content is not None else ():
        try:
            known.append(Known(parse_peer_address(one.address), one.answered_at_ms, one.silences))
        except ValueError:
            continue  # Of a program that knew more kinds.
    return known


def _host_of(address: PeerAddress) -> str:
    return address.host.lower() if address.is_name else address_group(address.host)
