"""The node's side of a remote signer: no key is in this process, and each signature is asked for.

One connection at a time, used by one thread at a time, blocking, with a bound on the time of each exchange; never on
the event loop. Whatever goes wrong ends the connection: an answer that comes late is heard by nobody, and the signer's
guard has counted it all the same. `run` connects again by itself. Until then `absence` says why nothing is signed.

While a connection stands, the key is leased to it, and the history here, told when it was opened and added to with each
signature, is all that the key has signed (`is_current`). Between two connections another node may have had the lease.
So each is a *session*: a signature is given only to who has looked at the history since the session began
(`enter_session`), or a lock that the key is bound by might be passed over.
"""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import structlog
import trio

from consensus.wire import WireError
from step_node.crypto import eip191
from step_node.crypto.lines import recover_signer
from step_node.offload import run_blocking
from step_node.signing.guard import ENTRIES_MAX, DoubleSignRefused, SigningRule
from step_node.signing.history import Bound, Doubted, Entry, FloorRaised, Settled, SignedRecord, SigningKind
from step_node.signing.remote.address import PinnedTls, SignerAddress, UnixAddress
from step_node.signing.remote.wire import (
    ANSWER_BYTES_MAX,
    LENGTH,
    Answer,
    Done,
    Doubt,
    Open,
    Opened,
    Ping,
    RaiseFloor,
    Refused,
    Request,
    Settle,
    Sign,
    Signed,
    decode_answer,
    encode_frame,
    entries_of,
)
from step_node.signing.signer import SignerAway

RECONNECT_SECONDS: Final = 0.5
PING_SECONDS: Final = 2.0
"""How often the signer hears of a node that has nothing to be signed; its lease lasts some times as long."""
NOT_CONNECTED: Final = "it has not been asked yet"

log = structlog.get_logger("signer")


class RemoteHistory:
    """The history of a remote key as it is known here: see `SigningHistory`."""

    def __init__(self, signer: RemoteSigner) -> None:
        self._signer = signer
        self.bound = Bound()

    @property
    def height(self) -> int:
        """The highest height that anything was signed for."""
        return self.bound.height

    @property
    def floor(self) -> int:
        """Nothing at this height or below is signed."""
        return self.bound.floor

    @property
    def is_doubtful(self) -> bool:
        """Whether the key may have signed what is not in it."""
        return self.bound.doubt is not None

    @property
    def is_current(self) -> bool:
        """Whether the key is leased to this node now: then all that is signed with it is known here."""
        return self._signer.absence is None

    def history(self) -> list[SignedRecord]:
        """What was signed at `height`."""
        return self.bound.records()

    def raise_floor(self, height: int) -> None:
        """See `SigningHistory`."""
        self._signer.tell(lambda number: RaiseFloor(number, height), FloorRaised(height))

    def doubt(self, reason: str) -> None:
        """See `SigningHistory`."""
        self._signer.tell(lambda number: Doubt(number, reason), Doubted(reason))

    def settle(self, floor: int) -> None:
        """See `SigningHistory`."""
        self._signer.tell(lambda number: Settle(number, floor), Settled(floor))

    def close(self) -> None:
        """End the connection."""
        self._signer.close()

    def add(self, entry: Entry) -> None:
        """Something that is on the signer's disk."""
        bound = self.bound.after(entry)
        self.bound = bound.compacted() if len(bound.present) > ENTRIES_MAX else bound


class RemoteSigner:
    """A key that is elsewhere: see `Signer`, and the module's docstring."""

    def __init__(
        self,
        address: SignerAddress,
        *,
        tls: PinnedTls | None,
        validator: bytes,
        chain_id: str,
        node: str,
        timeout_ms: int,
    ) -> None:
        """`validator` is the key's address, 20 bytes; `node` a name for the signer's log; `timeout_ms` the longest that
        one exchange may take. `tls` is needed for an address of that kind."""
        self.address = validator
        self.guard = RemoteHistory(self)
        self._at = address
        self._tls = tls
        self._chain_id = chain_id
        self._node = node
        self._timeout_seconds = timeout_ms / 1000
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._trouble: str | None = NOT_CONNECTED
        self._session = self._entered = self._number = 0
        self._is_closed = False

    def __repr__(self) -> str:
        return f"RemoteSigner(0x{self.address.hex()} at {self._at})"

    @property
    def absence(self) -> str | None:
        """See `Signer`."""
        trouble = self._trouble
        return None if trouble is None else f"its signer at {self._at} gives no signature: {trouble}"

    @property
    def is_new_session(self) -> bool:
        """See `Signer`."""
        return self._session != self._entered

    def enter_session(self) -> None:
        """See `Signer`."""
        self._entered = self._session

    async def run(self) -> None:
        """See `Signer`: connects, again and again, and lets the signer hear of this node."""
        said: str | None = None
        while not self._is_closed:
            await run_blocking(self.keep_in_touch)
            absence = self.absence
            if absence != said and not self._is_closed:
                if absence is not None:
                    log.error("this validator signs nothing", reason=absence)
                else:
                    log.warning("the signer is there", signer=str(self._at), validator=f"0x{self.address.hex()}")
                said = absence
            await trio.sleep(RECONNECT_SECONDS if absence is not None else PING_SECONDS)

    def keep_in_touch(self) -> None:
        """Connect if there is no connection, else let the signer hear of this node. Blocks; raises nothing for it."""
        with self._lock, suppress(SignerAway):
            if self._socket is None:
                self._connect()
            else:
                self._done(Ping(self._next_number()))

    def sign(self, kind: SigningKind | str, height: int, round: int, value: bytes, line: str) -> bytes:  # noqa: A002
        """See `Signer`. The signer makes the line itself; that it has made this one is what its signature shows."""
        with self._lock:
            if self.is_new_session:
                raise SignerAway("the connection to the signer is a new one: its history is to be looked at first")
            request = Sign(self._next_number(), SigningKind(kind).value, height, round, value)
            match self._exchange(request):
                case Signed(_, signature) if self._is_own(line, signature):
                    self.guard.add(SignedRecord(height, round, SigningKind(kind), eip191.digest(line) + value))
                    return signature
                case Refused(_, code, message) if code in SigningRule.__members__:
                    raise DoubleSignRefused(SigningRule(code), message)
                case Refused(_, code, message):
                    raise self._lost(f"it refuses to sign ({code}): {message}")
                case _:
                    raise self._lost("it gives no signature of this key, but something else")

    def tell(self, request: Callable[[int], Request], entry: Entry) -> None:
        """Have the signer write `entry` into its history, as the request with this number asks. Raises SignerAway."""
        with self._lock:
            self._done(request(self._next_number()))
            self.guard.add(entry)

    def close(self) -> None:
        """End the connection, for good. Whoever waits for an answer waits on until then or its time-out."""
        with self._lock:
            self._is_closed = True
            self._lost("this node stops")

    def _connect(self) -> None:
        if self._is_closed:
            return
        deadline = time.monotonic() + self._timeout_seconds
        try:
            self._socket = self._dialled(deadline)
            answer = self._asked(Open(self._chain_id, self.address, self._node), deadline)
        except (OSError, WireError) as error:
            raise self._lost(_told(error)) from error
        match answer:
            case Opened():
                try:
                    entries = entries_of(answer)
                except ValueError as error:
                    raise self._lost(f"it tells a history that is none: {error}") from error
                bound = Bound()
                for entry in entries:
                    bound = bound.after(entry)
                self.guard.bound = bound
                # In this order: who sees the session's number sees its history, and before it is new nobody may sign.
                self._session += 1
                self._trouble = None
            case Refused(_, code, message):
                raise self._lost(f"it refuses ({code}): {message}")
            case _:
                raise self._lost("it answers something that was not asked")

    def _dialled(self, deadline: float) -> socket.socket:
        seconds = max(deadline - time.monotonic(), 0.001)
        if isinstance(self._at, UnixAddress):
            dialled = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                dialled.settimeout(seconds)
                dialled.connect(str(self._at.path))
            except OSError:
                dialled.close()
                raise
            return dialled
        assert self._tls is not None
        context = self._tls.context(server_side=False)
        plain = socket.create_connection((self._at.host, self._at.port), timeout=seconds)
        try:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            encrypted = context.wrap_socket(plain, server_hostname=None)
        except OSError:
            plain.close()
            raise
        if not self._tls.is_pinned(encrypted.getpeercert(binary_form=True)):
            encrypted.close()
            raise ssl.SSLError("its certificate is not the one in signer.signer_certificate")
        return encrypted

    def _done(self, request: Request) -> None:
        answer = self._exchange(request)
        if isinstance(answer, Done):
            return
        if isinstance(answer, Refused):
            raise self._lost(f"it refuses ({answer.code}): {answer.message}")
        raise self._lost("it answers something that was not asked")

    def _exchange(self, request: Request) -> Answer:
        """Ask, and wait for the answer with the same number. Raises SignerAway."""
        if self._socket is None:
            raise SignerAway(self._trouble or NOT_CONNECTED)
        try:
            answer = self._asked(request, time.monotonic() + self._timeout_seconds)
        except (OSError, WireError) as error:
            raise self._lost(_told(error)) from error
        if isinstance(answer, Opened) or answer.number != self._number:
            raise self._lost("it answers something that was not asked")
        return answer

    def _asked(self, request: Request, deadline: float) -> Answer:
        """Raises OSError, of which a time-out is one, and WireError."""
        assert self._socket is not None
        self._socket.settimeout(max(deadline - time.monotonic(), 0.001))
        self._socket.sendall(encode_frame(request))
        length: int = LENGTH.unpack(self._received(LENGTH.size, deadline))[0]
        if length > ANSWER_BYTES_MAX:
            raise WireError(f"answer: {length} bytes, but at most {ANSWER_BYTES_MAX} are allowed")
        return decode_answer(self._received(length, deadline))

    def _received(self, count: int, deadline: float) -> bytes:
        assert self._socket is not None
        received = bytearray()
        while len(received) < count:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError("timed out")
            self._socket.settimeout(left)
            more = self._socket.recv(count - len(received))
            if not more:
                raise ConnectionError("it has closed the connection")
            received += more
        return bytes(received)

    def _next_number(self) -> int:
        self._number += 1
        return self._number

    def _is_own(self, line: str, signature: bytes) -> bool:
        try:
            return recover_signer(line, signature) == self.address
        except eip191.BadSignature:
            return False

    def _lost(self, trouble: str) -> SignerAway:
        """The connection is over; what to raise."""
        self._trouble = trouble
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        return SignerAway(trouble)


def _told(error: OSError | WireError) -> str:
    if isinstance(error, TimeoutError):
        return "it does not answer in time (signer.timeout_ms)"
    if isinstance(error, ssl.SSLError):
        return f"TLS with it fails: {error.reason or error}"
    return str(error.strerror or error) if isinstance(error, OSError) else str(error)
