"""The signer as a process: its home opened and locked, its socket, and the connections that come to it."""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Final

import structlog
import trio

from step_node.chain.genesis import Genesis
from step_node.clock import Clock
from step_node.crypto.eip191 import address_of, public_key_of
from step_node.errors import StepNodeError
from step_node.home.lock import HomeLock
from step_node.home.paths import NodeHome
from step_node.node.signing_history import HistoryWord, check_history, open_own_history
from step_node.signer.keys import SignerKeys
from step_node.signer.service import SignerService
from step_node.signing.believable import believable_height_max
from step_node.signing.keystore import load_keystore
from step_node.signing.remote.address import PinnedTls, SignerAddress, UnixAddress
from step_node.signing.signer import ValidatorSigner

HANDSHAKE_SECONDS_MAX: Final = 5.0
BACKLOG: Final = 16

log = structlog.get_logger("signer")


@dataclass(frozen=True, slots=True)
class SignerStarted:
    """Where a signer serves, which with port 0 is known only now; and of which key, by its address."""

    address: str
    validator: bytes


async def run_signer(
    home: NodeHome,
    genesis: Genesis,
    *,
    listen: SignerAddress,
    tls: PinnedTls | None,
    password: str,
    word: HistoryWord,
    clock: Clock,
    task_status: trio.TaskStatus[SignerStarted] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve the keys of `home` until cancelled. `task_status` is told once nodes can connect.

    `word` is what the operator says of the past of the key in keys/validator.json. Raises StepNodeError for whatever
    the operator can do something about, OSError if a history can no longer be written.
    """
    keys = SignerKeys(home, chain_id=genesis.chain_id, password=password)

    def believable_height() -> int:
        return believable_height_max(head_height=0, head_timestamp_ms=genesis.genesis_time_ms, now_ms=clock.now_ms())

    try:
        home.data.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise StepNodeError(f"{home.data}: cannot be made: {error}") from error
    with HomeLock(home.root):
        try:
            private_key = await trio.to_thread.run_sync(load_keystore, home.validator_keystore, password)
            validator = address_of(public_key_of(private_key))
            check_history(home, validator=validator, word=word, is_observer=False, command="signer")
            guard = open_own_history(
                home,
                chain_id=genesis.chain_id,
                validator=validator,
                word=word,
                believable_max=believable_height(),
            )
            keys.add(ValidatorSigner(private_key, guard))
            service = SignerService(keys, chain_id=genesis.chain_id, believable_height=believable_height)
            handler = _handler(service, tls)
            async with _listening(listen) as listener:
                address = _address_of(listener, listen)
                log.info("the signer serves", address=address, validator=f"0x{validator.hex()}")
                task_status.started(SignerStarted(address, validator))
                await trio.serve_listeners(handler, [listener])
        finally:
            keys.close()


def _handler(service: SignerService, tls: PinnedTls | None) -> Callable[[trio.SocketStream], Awaitable[object]]:
    if tls is None:
        return partial(service.serve, origin="this machine")
    context = tls.context(server_side=True)

    async def handle(plain: trio.SocketStream) -> None:
        stream = trio.SSLStream(plain, context, server_side=True, https_compatible=True)
        origin = "?"
        try:
            with trio.fail_after(HANDSHAKE_SECONDS_MAX):
                origin = str(plain.socket.getpeername()[0])
                await stream.do_handshake()
            is_known = tls.is_pinned(stream.getpeercert(binary_form=True))
        except (trio.BrokenResourceError, trio.TooSlowError, OSError) as error:
            log.warning("a connection is no node's: its TLS fails", origin=origin, reason=str(error.__cause__ or error))
            await trio.aclose_forcefully(plain)
            return
        if not is_known:
            log.error("a connection is refused: its certificate is not one of the nodes'", origin=origin)
            await trio.aclose_forcefully(stream)
            return
        await service.serve(stream, origin=origin)

    return handle


@asynccontextmanager
async def _listening(address: SignerAddress) -> AsyncIterator[trio.SocketListener]:
    if isinstance(address, UnixAddress):
        async with _listening_here(address) as listener:
            yield listener
        return
    try:
        listeners = await trio.open_tcp_listeners(address.port, host=address.host, backlog=BACKLOG)
    except OSError as error:
        raise StepNodeError(f"{address}: cannot listen there: {error.strerror or error}") from error
    for other in listeners[1:]:
        await other.aclose()
    async with listeners[0] as listener:
        yield listener


@asynccontextmanager
async def _listening_here(address: UnixAddress) -> AsyncIterator[trio.SocketListener]:
    """A socket that the owner alone may open, from its first moment. One that a dead signer has left is taken away."""
    path = address.path
    try:
        _take_away_dead(address)
    except OSError as error:
        raise StepNodeError(f"{address}: cannot listen there: {error.strerror or error}") from error
    plain = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        before = os.umask(0o177)
        try:
            plain.bind(str(path))
        finally:
            os.umask(before)
        plain.listen(BACKLOG)
    except OSError as error:
        plain.close()
        raise StepNodeError(f"{address}: cannot listen there: {error.strerror or error}") from error
    plain.setblocking(False)
    async with trio.SocketListener(trio.socket.from_stdlib_socket(plain)) as listener:
        try:
            yield listener
        finally:
            with suppress(OSError):
                path.unlink()


def _take_away_dead(address: UnixAddress) -> None:
    try:
        is_socket = stat.S_ISSOCK(address.path.lstat().st_mode)
    except FileNotFoundError:
        return
    if not is_socket:
        raise StepNodeError(f"{address}: is there already, and is no socket; choose another path")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(str(address.path))
        except OSError as error:
            if error.errno != errno.ECONNREFUSED:
                raise
            address.path.unlink()
            return
    raise StepNodeError(f"{address}: another process listens there; stop it first, or choose another --listen")


def _address_of(listener: trio.SocketListener, asked: SignerAddress) -> str:
    if isinstance(asked, UnixAddress):
        return str(asked)
    return str(type(asked)(asked.host, listener.socket.getsockname()[1]))
