"""TLS in front of the API's connections, by the operator's certificate (docs/adr/0037-http-manners.md).

A phone's browser tells a page where it is in a secure context only, so an API that such pages use speaks TLS, here or
in a proxy. What a stranger may cost before the first request is bounded like everything else: the handshake is paid
for when the connection is let in, has `HANDSHAKE_SECONDS_MAX`, and gives way like any connection that is waited for.
The library is not asked before a record of TLS has begun: who speaks plain HTTP is told so, in plain HTTP.
"""

from __future__ import annotations

import ssl
import warnings
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import trio
from cryptography import x509
from starlette.responses import Response

from step_node.errors import StepNodeError
from step_node.signing.private_file import KeystoreError, read_private_file

HANDSHAKE_SECONDS_MAX: Final = 5.0
"""How long a client may take from connecting to the end of the handshake; then the connection is cut."""

PEM_BYTES_MAX: Final = 65_536
"""A chain of some certificates has ten thousand."""

CHAIN_CERTIFICATES_MAX: Final = 10
"""Certificates in the file, the server's first."""

_HANDSHAKE_RECORD: Final = b"\x16"
"""With this byte every connection of TLS begins (RFC 8446 section 5.1)."""

_FIRST_READ_BYTES: Final = 4_096


class TlsError(StepNodeError):
    """The certificate or its key cannot be used; the message names the setting, the file and the rule."""


class HandshakeFailed(Exception):
    """The client has not completed a handshake, as the node allows it."""


class PlainHttp(Exception):
    """The client speaks, or what it says is no TLS."""


@dataclass(frozen=True, slots=True)
class Tls:
    """A checked certificate with its key, ready to serve. `expires_at_ms` is the earliest end in the chain."""

    context: ssl.SSLContext
    expires_at_ms: int

    async def shake_hands(self, stream: trio.SocketStream) -> TlsStream:
        """The encrypted stream over a new connection. The caller bounds the time.

        Raises `PlainHttp`, `HandshakeFailed`, or trio's errors of a broken connection.
        """
        first = bytes(await stream.receive_some(_FIRST_READ_BYTES))
        if not first:
            raise HandshakeFailed
        if not first.startswith(_HANDSHAKE_RECORD):
            raise PlainHttp
        encrypted = TlsStream(trio.SSLStream(_Begun(stream, first), self.context, server_side=True))
        try:
            await encrypted.do_handshake()
        except trio.BrokenResourceError as error:
            raise HandshakeFailed from error
        return encrypted


class _Begun(trio.abc.Stream):
    """A stream of which the beginning has been read already."""

    def __init__(self, stream: trio.SocketStream, beginning: bytes) -> None:
        self._stream = stream
        self._beginning = beginning

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        if not self._beginning:
            return bytes(await self._stream.receive_some(max_bytes))
        await trio.lowlevel.checkpoint()
        length = len(self._beginning) if max_bytes is None else max_bytes
        data, self._beginning = self._beginning[:length], self._beginning[length:]
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self._stream.aclose()


class TlsStream(trio.abc.HalfCloseableStream):
    """A stream in TLS, in the form that a connection wants. TLS ends both ways at once: `send_eof` does nothing, and
    `aclose` tells the client that all has been sent."""

    def __init__(self, stream: trio.SSLStream[_Begun]) -> None:
        self._stream = stream

    async def do_handshake(self) -> None:
        """Raises trio's BrokenResourceError for whatever the client does wrong."""
        await self._stream.do_handshake()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        return bytes(await self._stream.receive_some(max_bytes))

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        if data:  # OpenSSL takes an empty write for a fault.
            await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def send_eof(self) -> None:
        await trio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        await self._stream.aclose()


def load_tls(certificate: Path, key: Path, *, now_ms: int) -> Tls:
    """The certificate (PEM, the server's own first, then those between it and its authority) with its key.

    Raises `TlsError` naming the setting and the rule: a file that cannot be read, a key that others may read, that is
    encrypted or another certificate's, a certificate that is not valid at `now_ms`.
    """
    chain = _chain(certificate)
    begins_at_ms = max(int(one.not_valid_before_utc.timestamp() * 1000) for one in chain)
    expires_at_ms = min(int(one.not_valid_after_utc.timestamp() * 1000) for one in chain)
    for is_wrong, rule in ((now_ms < begins_at_ms, "is valid only from"), (now_ms >= expires_at_ms, "has expired at")):
        if is_wrong:
            moment = datetime.fromtimestamp((begins_at_ms if "from" in rule else expires_at_ms) / 1000, UTC)
            raise _wrong("tls_certificate", certificate, f"{rule} {moment:%Y-%m-%dT%H:%M:%SZ}; get a new one")
    try:
        read_private_file(key, PEM_BYTES_MAX)
    except KeystoreError as error:
        raise TlsError(f"api.tls_key: {error}") from error
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(certificate, key, password=_no_password)
    except _Encrypted as error:
        raise _wrong("tls_key", key, "must not be encrypted: the node is started without a person") from error
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise _wrong("tls_key", key, f"is not the key of the certificate in {certificate}") from error
        raise _wrong("tls_key", key, f"cannot be used, with the certificate in {certificate}: {error}") from error
    return Tls(context, expires_at_ms)


def plain_bytes(response: Response) -> bytes:
    """`response` as HTTP/1.1 without TLS, after which the connection closes."""
    fields = b"".join(b"%s: %s\r\n" % field for field in response.raw_headers)
    return b"HTTP/1.1 %d Bad Request\r\n%sconnection: close\r\n\r\n%s" % (response.status_code, fields, response.body)


def _chain(path: Path) -> list[x509.Certificate]:
    try:
        with path.open("rb") as file:
            content = file.read(PEM_BYTES_MAX + 1)
    except OSError as error:
        raise _wrong("tls_certificate", path, f"cannot be read: {error.strerror}") from error
    if len(content) > PEM_BYTES_MAX:
        raise _wrong("tls_certificate", path, f"must be at most {PEM_BYTES_MAX} bytes")
    try:
        with warnings.catch_warnings():
            # Of serial numbers and the like that are not by the rules of today; clients judge that.
            warnings.simplefilter("ignore")
            chain = x509.load_pem_x509_certificates(content)
    except ValueError as error:
        raise _wrong("tls_certificate", path, "must be one or more certificates in PEM") from error
    if len(chain) > CHAIN_CERTIFICATES_MAX:
        raise _wrong("tls_certificate", path, f"must be at most {CHAIN_CERTIFICATES_MAX} certificates")
    return chain


class _Encrypted(Exception):
    """Asked for a password."""


def _no_password() -> str:
    raise _Encrypted


def _wrong(setting: str, path: Path, rule: str) -> TlsError:
    return TlsError(f"api.{setting}: {path}: {rule}")
