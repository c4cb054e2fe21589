"""Commands about peers: who is connected and who is refused; banning, lifting a ban, adding, dropping."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import Field

from p2p.addresses import parse_peer_address
from p2p.errors import PeerUnreachable
from p2p.network import Network, PeerId
from p2p.penalties import OPERATOR_BAN_SECONDS_MAX
from step_node.api.models.schema import Answer, hex_text
from step_node.api.status.node import NodeStatus, PeerStatus
from step_node.node.admin.commands import Asked, CommandRefused, Commands, Nothing, Order

PeerText = Annotated[str, Field(pattern="^[A-Za-z0-9]{1,128}$")]

BAN_MINUTES_DEFAULT = 60
BAN_MINUTES_MAX = int(OPERATOR_BAN_SECONDS_MAX / 60)


class PeerAsked(Asked):
    """A peer, by its peer id."""

    peer: PeerText


class BanAsked(PeerAsked):
    """And for how long."""

    minutes: Annotated[int, Field(ge=1, le=BAN_MINUTES_MAX)] = BAN_MINUTES_DEFAULT


class AddressAsked(Asked):
    """A full multiaddr, with the peer's id."""

    address: Annotated[str, Field(min_length=1, max_length=256)]


class ConnectedPeer(Answer):
    """A connected peer. `points` are what its faults add up to; a kept one is dialled whenever it is lost."""

    peer_id: str
    address: str
    direction: Literal["inbound", "outbound"]
    version: str | None
    height: int | None
    validator: str | None
    points: float
    is_kept: bool


class BannedPeer(Answer):
    """One that is refused for so many seconds more: for its faults, or by the operator."""

    peer_id: str
    seconds: int
    by_operator: bool


class PeersAnswer(Answer):
    """All of both."""

    connected: list[ConnectedPeer]
    banned: list[BannedPeer]


class BanAnswer(Answer):
    """A ban was said. Of a validator's node: consensus has one connection less to it."""

    peer_id: str
    seconds: int
    is_validator: bool


class UnbanAnswer(Answer):
    """Whether there was a ban to be lifted."""

    peer_id: str
    was_banned: bool


class AddAnswer(Answer):
    """The peer is dialled whenever it is lost. `reason` is why it is not connected yet, if it is not."""

    peer_id: str
    is_connected: bool
    reason: str | None = None


class DropAnswer(Answer):
    """`was_connected` is how it stood before; one that `is_kept` is dialled again."""

    peer_id: str
    was_connected: bool
    is_kept: bool


class PeerCommands:
    """The commands over a network; `status` tells who is connected."""

    def __init__(self, network: Network, status: Callable[[], NodeStatus]) -> None:
        self._network = network
        self._status = status

    def add_to(self, commands: Commands) -> None:
        """Register them."""
        commands.add("peers", Nothing, self._peers)
        commands.add("ban", BanAsked, self._ban)
        commands.add("unban", PeerAsked, self._unban)
        commands.add("add-peer", AddressAsked, self._add)
        commands.add("drop-peer", PeerAsked, self._drop)

    async def _peers(self, _: Nothing, _order: Order) -> PeersAnswer:
        return self.answer()

    def answer(self) -> PeersAnswer:
        """All peers."""
        return PeersAnswer(
            connected=[self._connected(peer) for peer in self._status().peers],
            banned=[
                BannedPeer(peer_id=ban.peer_id, seconds=int(ban.seconds), by_operator=ban.by_operator)
                for ban in self._network.bans()
            ],
        )

    def _connected(self, peer: PeerStatus) -> ConnectedPeer:
        peer_id = PeerId(peer.peer_id)
        return ConnectedPeer(
            peer_id=peer_id,
            address=peer.address,
            direction="outbound" if peer.outbound else "inbound",
            version=peer.version,
            height=peer.height,
            validator=None if peer.validator is None else hex_text(peer.validator),
            points=round(self._network.points(peer_id), 1),
            is_kept=self._network.is_kept(peer_id),
        )

    async def _ban(self, asked: BanAsked, _order: Order) -> BanAnswer:
        peer_id, seconds = PeerId(asked.peer), 60 * asked.minutes
        if peer_id == self._network.peer_id:
            raise CommandRefused("this is the node's own peer id; `peers` lists those of others")
        is_validator = any(one.peer_id == peer_id for one in self._status().validators)
        try:
            self._network.ban(peer_id, float(seconds))
        except ValueError as error:
            raise CommandRefused(str(error)) from error
        return BanAnswer(peer_id=peer_id, seconds=seconds, is_validator=is_validator)

    async def _unban(self, asked: PeerAsked, _order: Order) -> UnbanAnswer:
        peer_id = PeerId(asked.peer)
        return UnbanAnswer(peer_id=peer_id, was_banned=self._network.unban(peer_id))

    async def _add(self, asked: AddressAsked, _order: Order) -> AddAnswer:
        reason = None
        try:
            peer_id = parse_peer_address(asked.address).peer_id
            if self._network.is_banned(peer_id):
                raise CommandRefused(f"{peer_id} is banned: lift that first, by `step-node admin unban`")
            await self._network.add_peer(asked.address)
        except ValueError as error:
            raise CommandRefused(f"address: {error}") from error
        except PeerUnreachable as error:
            reason = error.detail
        return AddAnswer(peer_id=peer_id, is_connected=reason is None, reason=reason)

    async def _drop(self, asked: PeerAsked, _order: Order) -> DropAnswer:
        peer_id = PeerId(asked.peer)
        was_connected = peer_id in self._network.peers()
        await self._network.drop_peer(peer_id)
        return DropAnswer(peer_id=peer_id, was_connected=was_connected, is_kept=self._network.is_kept(peer_id))
