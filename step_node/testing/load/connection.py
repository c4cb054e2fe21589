"""One HTTP/1.1 connection that is kept open, with little work for each request: h11 over trio's sockets.

A general client takes longer for a request than a node does. Pools, redirects, cookies and encodings are not needed:
each connection sends one request, reads its answer, and is free for the next.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from urllib.parse import urlsplit

import h11
import trio

from step_node.errors import StepNodeError

ANSWER_BYTES_MAX = 4 * 2**20
"""What is longer is no answer of a node's: the connection is given up."""
READ_BYTES = 65_536


class NoAnswer(Exception):
    """The connection failed, or time ran out; the message says how."""


@dataclass(frozen=True, slots=True)
class Answer:
    """`retry_after_seconds` is what the node asks for, None where it does not."""

    status: int
    retry_after_seconds: float | None
    body: bytes


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a node's API is. Made by `Endpoint.of`."""

    host: str
    port: int
    is_tls: bool
    prefix: str = ""

    @classmethod
    def of(cls, url: str) -> Endpoint:
        """Raises StepNodeError for what is no address of an API."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise StepNodeError(f"--url: {url}: {error}") from error
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise StepNodeError(f"--url: {url}: must be an address such as http://127.0.0.1:8600")
        is_tls = parts.scheme == "https"
        return cls(parts.hostname, port or (443 if is_tls else 80), is_tls, parts.path.rstrip("/"))

    @property
    def authority(self) -> str:
        """For the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


class Connection:
    """See the module's docstring. One request at a time; it connects when it has to, and again after a failure."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._stream: trio.abc.Stream | None = None
        self._http = h11.Connection(h11.CLIENT)

    async def request(self, method: str, path: str, body: bytes = b"", *, seconds_max: float = 30.0) -> Answer:
        """Send a request and read the answer. Raises NoAnswer.

        On a connection that the node has closed meanwhile it is sent once more, on a new one: whatever is asked of a
        node may be asked again.
        """
        is_reused = self._stream is not None
        try:
            with trio.fail_after(seconds_max):
                try:
                    return await self._once(method, path, body)
                except (NoAnswer, trio.BrokenResourceError, h11.RemoteProtocolError):
                    if not is_reused:
                        raise
                    await self.close()
                    return await self._once(method, path, body)
        except (OSError, trio.BrokenResourceError, trio.TooSlowError, h11.RemoteProtocolError, ssl.SSLError) as error:
            await self.close()
            raise NoAnswer(f"{self._endpoint.authority}: {type(error).__name__} {error}") from error
        except BaseException:
            # Cancelled, or no answer: what is half read must not be taken for the next answer.
            await self.close()
            raise

    async def close(self) -> None:
        """Let go of the socket. `request` opens another."""
        stream, self._stream = self._stream, None
        self._http = h11.Connection(h11.CLIENT)
        if stream is not None:
            await trio.aclose_forcefully(stream)

    async def _once(self, method: str, path: str, body: bytes) -> Answer:
        stream = self._stream or await self._connect()
        self._stream = stream
        headers = [("host", self._endpoint.authority), ("content-length", str(len(body)))]
        if body:
            headers.append(("content-type", "application/json"))
        request = h11.Request(method=method, target=self._endpoint.prefix + path, headers=headers)
        sent = self._http.send(request) or b""
        if body:
            sent += self._http.send(h11.Data(data=body)) or b""
        sent += self._http.send(h11.EndOfMessage()) or b""
        await stream.send_all(sent)
        answer = await self._read(stream)
        if self._http.our_state is h11.MUST_CLOSE or self._http.their_state is h11.MUST_CLOSE:
            await self.close()
        else:
            self._http.start_next_cycle()
        return answer

    async def _connect(self) -> trio.abc.Stream:
        if self._endpoint.is_tls:
            return await trio.open_ssl_over_tcp_stream(self._endpoint.host, self._endpoint.port, https_compatible=True)
        return await trio.open_tcp_stream(self._endpoint.host, self._endpoint.port)

    async def _read(self, stream: trio.abc.Stream) -> Answer:
        head: h11.Response | None = None
        body = bytearray()
        while True:
            event = self._http.next_event()
            if event is h11.NEED_DATA:
                received = bytes(await stream.receive_some(READ_BYTES))
                if not received and head is None:
                    raise NoAnswer(f"{self._endpoint.authority}: the connection was closed before the answer")
                self._http.receive_data(received)
            elif isinstance(event, h11.Response):
                head = event
            elif isinstance(event, h11.Data):
                body += event.data
                if len(body) > ANSWER_BYTES_MAX:
                    raise NoAnswer(f"{self._endpoint.authority}: an answer of more than {ANSWER_BYTES_MAX} bytes")
            elif isinstance(event, h11.EndOfMessage) and head is not None:
                return Answer(head.status_code, _retry_after(head), bytes(body))
            elif not isinstance(event, h11.InformationalResponse):
                raise NoAnswer(f"{self._endpoint.authority}: the connection was closed in the middle of the answer")


def _retry_after(head: h11.Response) -> float | None:
    text = next((value for name, value in head.headers if name == b"retry-after"), None)
    return float(text) if text is not None and text.isdigit() else None
