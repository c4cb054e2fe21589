"""Finding peers: the validators of the chain, and everybody else by the word of those who are connected.

Theory of operation. Three things go on beside one another.

- *The set.* The chain's head says where each validator listens, and each that is about to join. The network is told to
  stay connected to all of them (`Network.keep_connected`), again whenever a batch has changed who they are.
- *Asking.* Each peer is asked once when it is connected, and one at random now and then, where it has found others
  (`/step/peers/1`); whoever asks says where it can be dialled itself.
- *Dialling.* What is heard goes to the address book (`network.address_book`) and is tried there, a few at once and one
  a second at most: with too few peers to be connected to, and else only to see that the peer is there. What is known is
  tried again now and then, and when peers are missing.

Nobody's word leads anywhere that the one who gives it could not be itself: of a peer that is connected over the public
Internet, only public addresses are dialled, or told to it; of one on a private network, private ones too; of one on
this machine, all. What is dialled gets a TCP connection and the beginning of a Noise handshake, and chooses nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import structlog
import trio

from consensus.wire import WireError, decode, encode
from p2p.addresses import PeerAddress, parse_own_address, parse_peer_address, scope_of
from p2p.errors import NetworkError, PeerFault, PeerUnreachable
from p2p.limits import Rate, Shares
from p2p.network import Fault, Network, PeerId, Scope, Stream
from step_node.ledger.records import ValidatorRecord, ValidatorState
from step_node.network.address_book import AddressBook, Heard
from step_node.network.protocols import (
    PEERS_ADDRESSES_MAX,
    PEERS_BYTES_MAX,
    PEERS_OWN_ADDRESSES_MAX,
    PEERS_PROTOCOL,
    PEERS_STREAMS_MAX,
    PeersAnswer,
    PeersRequest,
    receive_answer,
)

TICK_MS = 1_000
"""How often, at most, a peer is asked and an address is dialled."""
ASK_AGAIN_SECONDS = 30.0
"""How often one peer at random is asked, when all have been asked once."""
CHECKS_MAX = 4
"""Addresses that are being dialled at once."""
PEERS_WANTED = 8
"""With fewer, those that are known or heard of are connected to, and not only looked at."""
CONNECT_AGAIN_SECONDS = 30.0
"""How long a known address is left alone, when peers are wanted."""
ASKED_RATE = Rate(0.1, 4, 1, 1)
"""How often a peer is given addresses; asked more often, it gets no answer."""

FOLLOWED = frozenset({ValidatorState.WAITING, ValidatorState.ACTIVE, ValidatorState.LEAVING})

log = structlog.get_logger("peers")


class Discovery:
    """See the module's docstring. Construct before `network.start`, `run` after it.

    `records` gives the validators of the chain's head; `external_addresses` is what the node tells of itself, in place
    of where it listens. Where the `private_peers` are is neither kept in the book nor told: a sentry's validator.
    """

    def __init__(
        self,
        *,
        network: Network,
        records: Callable[[], Iterable[ValidatorRecord]],
        book: AddressBook,
        external_addresses: Sequence[str] = (),
        private_peers: Iterable[PeerId] = (),
    ) -> None:
        self._network = network
        self._records = records
        self._book = book
        self._external_addresses = tuple(external_addresses)
        self._private_peers = frozenset(private_peers)
        for peer_id in self._private_peers:
            book.forget(peer_id)  # It may be there from before it was private.
        self._followed: tuple[str, ...] | None = None
        self._unusable: frozenset[str] = frozenset()
        self._asked: set[PeerId] = set()
        self._ask_again_at = 0.0
        self._checking: set[PeerAddress] = set()
        self._noted: dict[PeerId, float] = {}
        """Connected peer -> when that connection began."""
        self._answered = Shares(ASKED_RATE, trio.current_time)
        network.serve(
            PEERS_PROTOCOL, self._answer, message_bytes_max=PEERS_BYTES_MAX, streams_max_per_peer=PEERS_STREAMS_MAX
        )

    def follow_set(self) -> None:
        """Have the network stay connected to the validators of the head, if they are others than before."""
        told = tuple(dict.fromkeys(record.p2p_address for record in self._records() if record.state in FOLLOWED))
        if told == self._followed:
            return
        self._followed = told
        usable = {text: _parsed(text) for text in told}
        self._network.keep_connected(
            [str(address) for address in usable.values() if address is not None], narrowest=self._own_scope()
        )
        unusable = frozenset(text for text, address in usable.items() if address is None)
        for text in sorted(unusable - self._unusable):
            log.warning(
                "a validator's address cannot be dialled; it has to be /ip4|ip6|dns|dns4|dns6/…/tcp/…/p2p/<peer id>",
                address=text,
            )
        self._unusable = unusable

    async def run(self) -> None:
        """Follow the set, ask, and dial, until cancelled."""
        self.follow_set()
        async with trio.open_nursery() as nursery:
            while True:
                self._look_at_connections()
                peer_id = self._next_to_ask()
                if peer_id is not None:
                    nursery.start_soon(self._ask, peer_id)
                if len(self._checking) < CHECKS_MAX:
                    heard = self._next_to_check()
                    if heard is not None:
                        nursery.start_soon(self._check, heard)
                await trio.sleep(TICK_MS / 1000)

    # Dialling.

    def _look_at_connections(self) -> None:
        """Whom this node has dialled, for whatever reason, is to be found where it was dialled."""
        connections = self._network.connections()
        for peer_id, connection in connections.items():
            if connection.outbound and self._noted.get(peer_id) != connection.began_at:
                address = _parsed(f"{connection.address}/p2p/{peer_id}")
                if address is not None and peer_id not in self._private_peers:
                    self._book.note_answer(address)
        self._noted = {peer_id: connection.began_at for peer_id, connection in connections.items()}

    def _next_to_check(self) -> Heard | None:
        heard = self._book.take_heard()
        if heard is None:
            peers = self._network.peers()
            if len(peers) < PEERS_WANTED:
                known = self._book.due(after_seconds=CONNECT_AGAIN_SECONDS, skip=lambda peer_id: peer_id in peers)
            else:
                known = self._book.due(skip=lambda _peer_id: False)
            # It is of this node's own finding, so wherever it may listen itself.
            heard = None if known is None else Heard(known.address, self._own_scope())
        if heard is None or heard.address in self._checking or heard.address.peer_id == self._network.peer_id:
            return None
        if self._network.is_banned(heard.address.peer_id):
            self._book.forget(heard.address.peer_id)
            return None
        return heard

    async def _check(self, heard: Heard) -> None:
        address, peers = heard.address, self._network.peers()
        self._checking.add(address)
        try:
            if address.peer_id not in peers and len(peers) < PEERS_WANTED:
                await self._network.connect(str(address), narrowest=heard.narrowest)
            else:
                await self._network.verify(str(address), narrowest=heard.narrowest)
        except PeerUnreachable as error:
            log.debug("an address does not lead to its peer", address=str(address), reason=error.detail)
            self._book.note_silence(address)
        else:
            self._book.note_answer(address)
        finally:
            self._checking.remove(address)

    def _own_scope(self) -> Scope:
        """The narrowest scope in which this node itself can be dialled.

        One that listens on all interfaces may be on a private network; a pretended network is one machine.
        """
        own = [address for address in map(_parsed, self._network.listen_addresses) if address is not None]
        return min((address.scope or Scope.PRIVATE for address in own), default=Scope.LOOPBACK)

    # Asking and answering.

    def _next_to_ask(self) -> PeerId | None:
        peers = self._network.peers()
        self._asked.intersection_update(peers)
        fresh = [peer_id for peer_id in peers if peer_id not in self._asked]
        if not fresh and (not peers or trio.current_time() < self._ask_again_at):
            return None
        chosen = fresh[0] if fresh else self._book.choose(peers)
        self._ask_again_at = trio.current_time() + ASK_AGAIN_SECONDS
        self._asked.add(chosen)
        return chosen

    async def _ask(self, peer_id: PeerId) -> None:
        try:
            async with await self._network.open_stream(peer_id, PEERS_PROTOCOL) as stream:
                await stream.send_message(encode(PeersRequest(self._told_of_itself(peer_id))))
                data = await receive_answer(stream)
                if data is not None:
                    self._take_answer(peer_id, data)
        except PeerFault as error:
            log.warning("a peer's addresses are refused", peer=peer_id, reason=error.detail)
            self._network.penalise(peer_id, error.fault)
        except NetworkError as error:
            log.debug("a peer cannot be asked for addresses", peer=peer_id, reason=str(error))

    def _take_answer(self, peer_id: PeerId, data: bytes) -> None:
        try:
            answer = decode(PeersAnswer, data, bytes_max=PEERS_BYTES_MAX)
        except WireError as error:
            raise PeerFault(peer_id, Fault.MALFORMED, str(error)) from error
        narrowest = self._scope_of_peer(peer_id)
        for address in filter(None, map(_parsed, answer.addresses)):
            self._hear(address, narrowest, peer_id)

    async def _answer(self, stream: Stream) -> None:
        peer_id = stream.peer_id
        data = await stream.receive_message()
        if data is None:
            raise PeerFault(peer_id, Fault.MALFORMED, "peers: the request is missing")
        try:
            request = decode(PeersRequest, data, bytes_max=PEERS_BYTES_MAX)
        except WireError as error:
            raise PeerFault(peer_id, Fault.MALFORMED, str(error)) from error
        if not self._answered.of(peer_id).take(0):
            return
        narrowest = self._scope_of_peer(peer_id)
        for text in request.own_addresses:
            address = self._seen_from_here(text, peer_id)
            if address is not None:
                self._hear(address, narrowest, peer_id)
        told = self._book.sample(
            PEERS_ADDRESSES_MAX,
            lambda address: (
                address.peer_id != peer_id
                and _may_be_told(address, narrowest)
                and not self._network.is_banned(address.peer_id)
            ),
        )
        await stream.send_message(encode(PeersAnswer(tuple(map(str, told)))))

    def _hear(self, address: PeerAddress, narrowest: Scope, source: PeerId) -> None:
        is_unwanted = address.peer_id == self._network.peer_id or address.peer_id in self._private_peers
        if not is_unwanted and _may_be_told(address, narrowest) and not self._network.is_banned(address.peer_id):
            self._book.hear(Heard(address, narrowest), source)

    def _told_of_itself(self, peer_id: PeerId) -> tuple[str, ...]:
        """Where this node says that it can be dialled. `0.0.0.0` and `::` stand for "where you see me"."""
        narrowest = self._scope_of_peer(peer_id)
        own = map(_parsed, self._external_addresses or self._network.listen_addresses)
        told = [
            str(address)
            for address in own
            if address is not None and (address.scope is Scope.NOWHERE or _may_be_told(address, narrowest))
        ]
        return tuple(told[:PEERS_OWN_ADDRESSES_MAX])

    def _seen_from_here(self, text: str, peer_id: PeerId) -> PeerAddress | None:
        """An address that a peer tells of itself; None if it is of no use."""
        try:
            address = parse_own_address(text, peer_id)
        except ValueError:
            return None
        if address.scope is not Scope.NOWHERE:
            return address
        host = self._host_of_peer(peer_id)
        if host is None:
            return None
        return replace(address, kind="ip6" if ":" in host else "ip4", host=host)

    def _scope_of_peer(self, peer_id: PeerId) -> Scope:
        """How far away a connected peer is; a pretended network has no addresses, and is one machine."""
        host = self._host_of_peer(peer_id)
        return Scope.LOOPBACK if host is None else scope_of(host)

    def _host_of_peer(self, peer_id: PeerId) -> str | None:
        connection = self._network.connections().get(peer_id)
        kind, host = ("", "") if connection is None else connection.address.split("/")[1:3]
        return host if kind in ("ip4", "ip6") else None


def _may_be_told(address: PeerAddress, narrowest: Scope) -> bool:
    """Whether an address is of use to whom that scope reaches. What a name comes to is seen when it is dialled."""
    return address.scope is None or address.scope >= narrowest


def _parsed(text: str) -> PeerAddress | None:
    try:
        return parse_peer_address(text)
    except ValueError:
        return None
