"""Finding nodes on the local network by multicast DNS (the libp2p mDNS specification's record, by `zeroconf`).

Theory of operation. A service `_p2p._udp.local.` is announced whose TXT record holds this node's full multiaddrs as
`dnsaddr=…`, and others' are browsed for. zeroconf runs threads of its own and blocks while it registers, so it is
started and closed on worker threads, and what it finds is handed to trio through a bounded channel. A machine without
multicast is no reason to stop a node: it is logged, and the node goes on with its bootstrap list.

py-libp2p's own discovery is not used: it registers on the event loop's thread (blocking it for a second), writes the
peer store from zeroconf's threads, and announces an address of the default route even if nothing listens there.
"""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Callable
from functools import partial
from typing import Final

import trio
import zeroconf

from p2p.base import logger
from p2p.network import PeerId

SERVICE_TYPE: Final = "_p2p._udp.local."
FOUND_BUFFER: Final = 64
"""Found addresses that wait to be looked at; beyond it the newest is dropped (it will be announced again)."""
LOOK_UP_TIMEOUT_MS: Final = 3_000
CLOSE_TIMEOUT_SECONDS: Final = 3.0


class LocalDiscovery:
    """Announces `addresses` (full multiaddrs) and calls `found` (in the trio thread) with those of others."""

    def __init__(self, peer_id: PeerId, addresses: tuple[str, ...], found: Callable[[str], None]) -> None:
        self._peer_id = peer_id
        self._addresses = addresses
        self._found = found

    async def run(self) -> None:
        """Announce and browse until cancelled; return early, with a line in the log, if the machine cannot."""
        sender, receiver = trio.open_memory_channel[str](FOUND_BUFFER)
        listener = _Listener(self._peer_id, trio.lowlevel.current_trio_token(), sender)
        try:
            responder = await trio.to_thread.run_sync(partial(_open, self._addresses, listener))
        except (OSError, zeroconf.Error) as error:
            logger.warning("mDNS is off, because this machine does not do it: %s", error)
            return
        logger.info("mDNS is on")
        try:
            async for address in receiver:
                self._found(address)
        finally:
            with trio.CancelScope(deadline=trio.current_time() + CLOSE_TIMEOUT_SECONDS, shield=True):
                await trio.to_thread.run_sync(responder.close)


def _open(addresses: tuple[str, ...], listener: _Listener) -> zeroconf.Zeroconf:
    """Start a responder, announce and browse; blocks for about a second."""
    hosts = [address.split("/")[2] for address in addresses]
    on_loopback_only = all(ipaddress.ip_address(host).is_loopback for host in hosts)
    interfaces = ["127.0.0.1"] if on_loopback_only else zeroconf.InterfaceChoice.All
    responder = zeroconf.Zeroconf(interfaces=interfaces)
    name = secrets.token_hex(16)
    service = zeroconf.ServiceInfo(
        SERVICE_TYPE,
        f"{name}.{SERVICE_TYPE}",
        port=int(addresses[0].split("/")[4]),
        server=f"{name}.local.",
        addresses=[ipaddress.ip_address(host).packed for host in hosts],
        properties={"dnsaddr": addresses[0]},
    )
    try:
        responder.register_service(service)
        responder.add_service_listener(SERVICE_TYPE, listener)
    except (OSError, zeroconf.Error):
        responder.close()
        raise
    return responder


class _Listener(zeroconf.ServiceListener):
    """Called on zeroconf's thread."""

    def __init__(self, peer_id: PeerId, token: trio.lowlevel.TrioToken, found: trio.MemorySendChannel[str]) -> None:
        self._peer_id = peer_id
        self._token = token
        self._found = found

    def add_service(self, zc: zeroconf.Zeroconf, type_: str, name: str) -> None:
        """Somebody is announced."""
        service = zc.get_service_info(type_, name, LOOK_UP_TIMEOUT_MS)
        address = (service.decoded_properties.get("dnsaddr") if service is not None else None) or ""
        if not address or address.endswith(f"/p2p/{self._peer_id}"):
            return
        try:
            self._token.run_sync_soon(self._pass_on, address)
        except trio.RunFinishedError:
            return

    def update_service(self, zc: zeroconf.Zeroconf, type_: str, name: str) -> None:
        """Somebody's record has changed."""
        self.add_service(zc, type_, name)

    def remove_service(self, zc: zeroconf.Zeroconf, type_: str, name: str) -> None:
        """Somebody has left; the connection says so too."""

    def _pass_on(self, address: str) -> None:
        try:
            self._found.send_nowait(address)
        except (trio.WouldBlock, trio.BrokenResourceError):
            logger.debug("mDNS: %s was not looked at", address)
