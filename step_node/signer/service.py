"""The signer's side: who may have a signature, and of what.

A key is leased to one connection at a time. Two nodes with one key would both be refused nothing by the guard that is
not a contradiction, and yet both would fail: each would vote in the other's stead, in rounds that the other does not
know of. So the second is refused, and that is said loudly. A lease ends with its connection, and a connection of which
nothing is heard ends. Who has it next is told the whole history, and goes on from it.

Whatever a node asks for, its signer makes the line that it signs from kind, height, round and value; the guard has it
on disk before the answer leaves, whether anybody waits for the answer still or not. A node that is in another's hands
can have what an honest one could have: messages of consensus that contradict nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import structlog
import trio

from consensus.wire import WireError
from step_node.errors import StepNodeError
from step_node.signer.keys import SignerKeys
from step_node.signing.guard import DoubleSignRefused
from step_node.signing.history import Bound, Entry, SigningKind
from step_node.signing.remote.wire import (
    LENGTH,
    MESSAGE_CHARACTERS_MAX,
    REQUEST_BYTES_MAX,
    Answer,
    Done,
    Doubt,
    Open,
    Ping,
    RaiseFloor,
    RefusalCode,
    Refused,
    Request,
    Settle,
    Sign,
    Signed,
    decode_request,
    encode_frame,
    opened,
)
from step_node.signing.signed_value import message_of
from step_node.signing.signer import ValidatorSigner

CONNECTIONS_MAX: Final = 16
"""One more is closed at once: a node has one, and one that it lost may not be known to be lost yet."""
OPEN_SECONDS_MAX: Final = 5.0
"""How long a connection may be silent before it says which key it wants."""
LEASE_SECONDS: Final = 10.0
"""How long nothing may be heard of a node before its lease ends; it says something every two seconds."""
SAY_AGAIN_SECONDS: Final = 60.0
"""How often at most the log says again that a node is refused."""

log = structlog.get_logger("signer")


class SignerService:
    """See the module's docstring."""

    def __init__(self, keys: SignerKeys, *, chain_id: str, believable_height: Callable[[], int]) -> None:
        """`believable_height` is the height that the chain can have come to by now, at most."""
        self._keys = keys
        self._opening = trio.Lock()
        self._chain_id = chain_id
        self._believable_height = believable_height
        self._leases: dict[bytes, str] = {}
        self._connections = 0
        self._said_at: dict[str, float] = {}

    async def serve(self, stream: trio.abc.Stream, *, origin: str) -> None:
        """Serve one connection to its end. Raises OSError if a history's disk fails: then nothing may be signed."""
        if self._connections >= CONNECTIONS_MAX:
            if self._may_say("connections"):
                log.error("too many connections: one is closed", origin=origin, connections=self._connections)
            await trio.aclose_forcefully(stream)
            return
        self._connections += 1
        try:
            await self._serve(stream, origin)
        except (WireError, trio.BrokenResourceError, trio.TooSlowError) as error:
            log.info("a connection ends", origin=origin, reason=str(error) or type(error).__name__)
        finally:
            self._connections -= 1
            with trio.CancelScope(shield=True):
                await trio.aclose_forcefully(stream)

    async def _serve(self, stream: trio.abc.Stream, origin: str) -> None:
        with trio.fail_after(OPEN_SECONDS_MAX):
            request = await _read(stream)
        if request is None:
            return
        if not isinstance(request, Open):
            raise WireError("the first request must be OPEN")
        key = await self._leased(stream, request, origin)
        if key is None:
            return
        name = f"0x{key.address.hex()}"
        log.warning("a node has the key", validator=name, node=request.node, origin=origin)
        try:
            await self._answer(stream, opened(_entries(key)))
            await self._serve_holder(stream, key)
        finally:
            # Only here, when nothing is being signed for this node any more, may another have the key.
            del self._leases[key.address]
            log.warning("a node has the key no longer", validator=name, node=request.node, origin=origin)

    async def _leased(self, stream: trio.abc.Stream, request: Open, origin: str) -> ValidatorSigner | None:
        name = f"0x{request.validator.hex()}"
        if request.chain_id != self._chain_id:
            await self._refuse(
                stream, request, origin, "OTHER_CHAIN", f"this signer is of the chain {self._chain_id!r}"
            )
            return None
        try:
            async with self._opening:
                key = await trio.to_thread.run_sync(self._keys.find, request.validator)
        except StepNodeError as error:
            await self._refuse(stream, request, origin, "NO_KEY", str(error))
            return None
        if key is None:
            await self._refuse(
                stream, request, origin, "NO_KEY", f"there is no keystore of {name} in the signer's home"
            )
            return None
        holder = self._leases.get(request.validator)
        if holder is not None:
            await self._refuse(
                stream, request, origin, "LEASED", f"the key {name} signs for {holder}: stop that one, or this"
            )
            return None
        self._leases[request.validator] = f"{request.node} ({origin})"
        return key

    async def _serve_holder(self, stream: trio.abc.Stream, key: ValidatorSigner) -> None:
        while True:
            with trio.fail_after(LEASE_SECONDS):
                request = await _read(stream)
            if request is None:
                return
            if isinstance(request, Open):
                raise WireError("OPEN is for the first request")
            # On a thread, and to its end: what is begun is counted, whoever waits for it.
            answer = await trio.to_thread.run_sync(self._carried_out, request, key)
            await self._answer(stream, answer)

    def _carried_out(self, request: Request, key: ValidatorSigner) -> Answer:
        height_max = self._believable_height()
        match request:
            case Sign(number, _, height) | RaiseFloor(number, height) | Settle(number, height) if height > height_max:
                return Refused(
                    number,
                    "BEYOND",
                    f"height {height}: this chain can have come to {height_max} by now, if this clock is right",
                )
            case Sign():
                return self._signed(request, key)
            case RaiseFloor(number, height):
                key.guard.raise_floor(height)
            case Settle(number, floor):
                log.warning("the signing history is no longer doubtful", signs_from_height=floor + 1)
                key.guard.settle(floor)
            case Doubt(number, reason):
                log.error("the signing history is doubtful: nothing is signed for now", reason=reason)
                key.guard.doubt(reason)
            case Ping(number):
                pass
            case Open():
                raise WireError("OPEN is for the first request")
        return Done(number)

    def _signed(self, request: Sign, key: ValidatorSigner) -> Answer:
        number, kind = request.number, SigningKind(request.kind)
        message = message_of(kind, request.height, request.round, request.value, key.address)
        if message is None:
            return Refused(number, "MALFORMED", f"{kind}: no message has this value")
        line = message.signing_line(self._chain_id)
        try:
            return Signed(number, key.sign(kind, request.height, request.round, request.value, line))
        except DoubleSignRefused as error:
            log.error("refused to sign", rule=error.rule.value, reason=str(error))
            code: RefusalCode = error.rule.value
            return Refused(number, code, str(error)[:MESSAGE_CHARACTERS_MAX])

    async def _refuse(
        self, stream: trio.abc.Stream, request: Open, origin: str, code: RefusalCode, message: str
    ) -> None:
        if self._may_say(code):
            refused = {"code": code, "reason": message, "node": request.node, "origin": origin}
            if code == "LEASED":
                log.error("a second node asks for a key that signs for another", **refused)
            else:
                log.error("a node is refused", **refused)
        await self._answer(stream, Refused(0, code, message[:MESSAGE_CHARACTERS_MAX]))

    async def _answer(self, stream: trio.abc.Stream, answer: Answer) -> None:
        with trio.fail_after(LEASE_SECONDS):
            await stream.send_all(encode_frame(answer))

    def _may_say(self, subject: str) -> bool:
        """Not every half second, as a node asks that is refused."""
        now = trio.current_time()
        if now - self._said_at.get(subject, -SAY_AGAIN_SECONDS) < SAY_AGAIN_SECONDS:
            return False
        self._said_at[subject] = now
        return True


def _entries(key: ValidatorSigner) -> list[Entry]:
    return Bound().merged_with(key.guard.content()).entries()


async def _read(stream: trio.abc.Stream) -> Request | None:
    """The next request; None at the end. Raises WireError, trio.BrokenResourceError."""
    head = await _received(stream, LENGTH.size)
    if not head:
        return None
    length: int = LENGTH.unpack(head)[0]
    if length > REQUEST_BYTES_MAX:
        raise WireError(f"request: {length} bytes, but at most {REQUEST_BYTES_MAX} are allowed")
    return decode_request(await _received(stream, length))


async def _received(stream: trio.abc.Stream, count: int) -> bytes:
    """So many bytes; none if the other side has ended before the first. Raises WireError if it ends later."""
    received = bytearray()
    while len(received) < count:
        more = await stream.receive_some(count - len(received))
        if not more:
            if received:
                raise WireError("the connection ends within a request")
            return b""
        received += more
    return bytes(received)
