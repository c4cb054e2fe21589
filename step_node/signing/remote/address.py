"""Where a signer listens, and by which certificates the two know one another.

`unix:/path` is a socket of the machine, mode 0600: who may open it is the file system's business. `tls://host:port` is
TLS 1.3 with a certificate on both sides, *pinned*: each side has the other's own certificate in a file, and takes no
other, whoever has signed it. An authority would have to be trusted with the key, for no gain between two machines of
one operator.
"""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from step_node.errors import StepNodeError
from step_node.signing.private_file import read_private_file

UNIX_PATH_BYTES_MAX: Final = 107
"""What the kernel takes (`sockaddr_un`)."""
PEM_BYTES_MAX: Final = 65_536

_TLS = re.compile(r"tls://(\[[0-9a-fA-F:.]{2,45}\]|[A-Za-z0-9._-]{1,253}):([0-9]{1,5})")
_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----[^-]{1,16384}-----END CERTIFICATE-----")


class SignerAddressError(StepNodeError):
    """The address of a signer, or a file of its certificates, cannot be used; the message names it and the rule."""


@dataclass(frozen=True, slots=True)
class UnixAddress:
    """A socket of this machine."""

    path: Path

    def __str__(self) -> str:
        return f"unix:{self.path}"


@dataclass(frozen=True, slots=True)
class TlsAddress:
    """A host and a port, with TLS on both sides."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"tls://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


SignerAddress = UnixAddress | TlsAddress


def parse_signer_address(text: str) -> SignerAddress:
    """`unix:/absolute/path` or `tls://host:port`. Raises SignerAddressError."""
    if text.startswith("unix:"):
        path = text.removeprefix("unix:")
        if not path.startswith("/") or "\0" in path:
            raise SignerAddressError(f"{text!r}: the path after unix: must be absolute, as unix:/run/step/signer.sock")
        if len(path.encode()) > UNIX_PATH_BYTES_MAX:
            raise SignerAddressError(f"{text!r}: the path must be at most {UNIX_PATH_BYTES_MAX} bytes")
        return UnixAddress(Path(path))
    match = _TLS.fullmatch(text)
    if match is None or not 0 <= int(match[2]) <= 65_535:
        raise SignerAddressError(f"{text!r}: must be unix:/path/of/a/socket or tls://host:port")
    return TlsAddress(match[1].strip("[]"), int(match[2]))


@dataclass(frozen=True, slots=True, repr=False)
class PinnedTls:
    """One side's own certificate and key, and the certificates of the other side. Files in PEM; the key's mode 0600."""

    certificate: Path
    key: Path
    peer_certificates: Path

    def context(self, *, server_side: bool) -> ssl.SSLContext:
        """For one side of connections: TLS 1.3, a certificate asked of the other. Raises StepNodeError, OSError."""
        read_private_file(self.key, PEM_BYTES_MAX)  # Refuses a key that others may read.
        self.pinned()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server_side else ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.check_hostname = False  # The certificate itself is compared, by `is_pinned`.
        context.verify_mode = ssl.CERT_REQUIRED
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        try:
            context.load_cert_chain(self.certificate, self.key)
            context.load_verify_locations(self.peer_certificates)
        except ssl.SSLError as error:
            raise SignerAddressError(
                f"{self.certificate}, {self.key}, {self.peer_certificates}: cannot be used for TLS: {error.reason}"
            ) from error
        return context

    def pinned(self) -> frozenset[bytes]:
        """The other side's certificates, DER. Raises SignerAddressError, OSError."""
        text = self.peer_certificates.read_bytes()[:PEM_BYTES_MAX].decode("ascii", "replace")
        try:
            pinned = frozenset(ssl.PEM_cert_to_DER_cert(match[0]) for match in _CERTIFICATE.finditer(text))
        except ValueError as error:
            raise SignerAddressError(f"{self.peer_certificates}: must hold certificates in PEM") from error
        if not pinned:
            raise SignerAddressError(f"{self.peer_certificates}: must hold a certificate in PEM, and holds none")
        return pinned

    def is_pinned(self, certificate: bytes | None) -> bool:
        """Whether the other side has shown one of the certificates (DER) that are in the file."""
        return certificate is not None and certificate in self.pinned()
