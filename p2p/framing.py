"""Whole messages over a stream of bytes.

Theory of operation. Each message is preceded by its length, 4 bytes, big-endian. The length is checked against the
protocol's limit before anything is read or allocated. Every operation has a time limit. An error in the middle of a
message leaves nothing to go on from, so the stream is reset and every later call fails.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Final, Protocol, Self

import trio

from p2p.errors import MessageTooLarge, PeerFault, PeerUnreachable
from p2p.network import Fault, PeerId

LENGTH_BYTES: Final = 4
READ_BYTES_MAX: Final = 256 * 1024
"""Most bytes asked of the transport at once."""
SEND_TIMEOUT_SECONDS: Final = 30.0
RECEIVE_TIMEOUT_SECONDS: Final = 30.0
CLOSE_TIMEOUT_SECONDS: Final = 2.0


class ByteStream(Protocol):
    """What a transport gives. A broken or closed one raises trio.BrokenResourceError or trio.ClosedResourceError."""

    async def read(self, size_bytes_max: int) -> bytes:
        """Return 1 to `size_bytes_max` bytes, or none at the peer's end."""
        ...

    async def write(self, data: bytes) -> None:
        """Send all of it."""
        ...

    async def close(self) -> None:
        """End the sending side after what was written; the receiving side stays."""
        ...

    async def reset(self) -> None:
        """Abandon both sides; pending calls fail."""
        ...


class FramedStream:
    """A `p2p.network.Stream` over a `ByteStream`."""

    def __init__(self, peer_id: PeerId, protocol: str, transport: ByteStream, *, message_bytes_max: int) -> None:
        self._peer_id = peer_id
        self._protocol = protocol
        self._transport = transport
        self._message_bytes_max = message_bytes_max

    @property
    def peer_id(self) -> PeerId:
        """The other end, authenticated."""
        return self._peer_id

    @property
    def protocol(self) -> str:
        """The protocol that this stream speaks."""
        return self._protocol

    async def send_message(self, data: bytes) -> None:
        """See `p2p.network.Stream.send_message`."""
        if len(data) > self._message_bytes_max:
            raise MessageTooLarge(self._protocol, len(data), self._message_bytes_max)
        try:
            with trio.fail_after(SEND_TIMEOUT_SECONDS):
                await self._transport.write(len(data).to_bytes(LENGTH_BYTES, "big") + data)
        except trio.TooSlowError:
            await self.reset()
            raise self._fault(Fault.STALLED, f"it did not take a message within {SEND_TIMEOUT_SECONDS:g} s") from None
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise self._broken("the stream broke while sending") from error

    async def receive_message(self) -> bytes | None:
        """See `p2p.network.Stream.receive_message`."""
        try:
            with trio.fail_after(RECEIVE_TIMEOUT_SECONDS):
                return await self._receive_frame()
        except trio.TooSlowError:
            await self.reset()
            raise self._fault(Fault.STALLED, f"it sent no message within {RECEIVE_TIMEOUT_SECONDS:g} s") from None
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise self._broken("the stream broke while receiving") from error

    async def _receive_frame(self) -> bytes | None:
        header = await self._read_exactly(LENGTH_BYTES)
        if not header:
            return None
        size_bytes = int.from_bytes(header, "big")
        if size_bytes > self._message_bytes_max:
            await self.reset()
            raise self._fault(
                Fault.OVERSIZED,
                f"a message of {size_bytes} bytes is over the limit of {self._protocol}, "
                f"{self._message_bytes_max} bytes",
            )
        message = await self._read_exactly(size_bytes)
        if len(message) < size_bytes:
            raise self._broken("the stream ended inside a message")
        return message

    async def _read_exactly(self, size_bytes: int) -> bytes:
        """Return that many bytes, or none if the stream ended before the first of them."""
        received = bytearray()
        while len(received) < size_bytes:
            chunk = await self._transport.read(min(size_bytes - len(received), READ_BYTES_MAX))
            if not chunk:
                if received:
                    raise self._broken("the stream ended inside a message")
                break
            received += chunk
        return bytes(received)

    async def close(self) -> None:
        """See `p2p.network.Stream.close`."""
        await self._finish(self._transport.close)

    async def reset(self) -> None:
        """See `p2p.network.Stream.reset`."""
        await self._finish(self._transport.reset)

    async def _finish(self, end: Callable[[], Awaitable[None]]) -> None:
        # Shielded, so that a cancelled task still tells the peer; bounded, so that a stuck peer cannot hold us.
        with trio.CancelScope(deadline=trio.current_time() + CLOSE_TIMEOUT_SECONDS, shield=True):
            try:
                await end()
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return  # It was gone already, which is what was asked for.

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None or not await self._close_both():
            await self.reset()

    async def _close_both(self) -> bool:
        """Close, and wait for the peer to do the same, so that nothing of the stream is left; False if it does not."""
        await self.close()
        try:
            with trio.fail_after(CLOSE_TIMEOUT_SECONDS):
                while await self._transport.read(READ_BYTES_MAX):
                    pass
        except (trio.TooSlowError, trio.BrokenResourceError, trio.ClosedResourceError):
            return False
        except trio.Cancelled:
            await self.reset()
            raise
        return True

    def _broken(self, detail: str) -> PeerUnreachable:
        return PeerUnreachable(self._peer_id, f"{self._protocol}: {detail}")

    def _fault(self, fault: Fault, detail: str) -> PeerFault:
        return PeerFault(self._peer_id, fault, f"{self._protocol}: {detail}")
