"""A certificate made on the spot, so that a phone on the same network has a secure context for a devnet's pages.

It is signed by itself: browsers warn once, and programs are given it as the authority to trust. It names the machine's
addresses, so it is made anew when those have changed, or when it ends soon.
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Final

import ifaddr
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from step_node.durable.atomic_file import write_atomically

VALID_DAYS: Final = 90
RENEW_DAYS: Final = 7
"""One that ends within so many days is made anew."""

ADDRESSES_MAX: Final = 32
"""Addresses of this machine that are named; a machine with more has bridges of containers."""

_LOCALHOST: Final = "localhost"


@dataclass(frozen=True, slots=True)
class Certificate:
    """Where a certificate and its key are, in PEM."""

    certificate: Path
    key: Path = field(repr=False)

    def trusting(self) -> ssl.SSLContext:
        """What a client of the devnet's own believes: this certificate alone."""
        return ssl.create_default_context(cafile=str(self.certificate))


def machine_addresses() -> list[str]:
    """The addresses by which others can reach this machine: IPv4 first, without loopback and link-local ones."""
    found = [
        ip_address(ip.ip if isinstance(ip.ip, str) else ip.ip[0])
        for adapter in ifaddr.get_adapters()
        for ip in adapter.ips
    ]
    reachable = {one for one in found if not one.is_loopback and not one.is_link_local and not one.is_multicast}
    return [str(one) for one in sorted(reachable, key=lambda one: (one.version, int(one)))][:ADDRESSES_MAX]


def certificate_for(directory: Path, hosts: Sequence[str], *, now: datetime | None = None) -> Certificate:
    """A certificate in `directory` for `hosts` (names and addresses) and for localhost; one that does is kept."""
    now = now or datetime.now(UTC)
    wanted = list(dict.fromkeys((_LOCALHOST, "127.0.0.1", "::1", *hosts)))
    files = Certificate(directory / "certificate.pem", directory / "key.pem")
    if not _is_good(files, wanted, now):
        _make(files, wanted, now)
    return files


def _is_good(files: Certificate, wanted: Sequence[str], now: datetime) -> bool:
    if not files.certificate.exists() or not files.key.exists():
        return False
    try:
        certificate = x509.load_pem_x509_certificate(files.certificate.read_bytes())
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, x509.ExtensionNotFound):
        return False
    ends_late_enough = certificate.not_valid_after_utc > now + timedelta(days=RENEW_DAYS)
    return ends_late_enough and set(map(_general_name, wanted)) <= set(names)


def _make(files: Certificate, wanted: Sequence[str], now: datetime) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "STEP devnet")])
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=VALID_DAYS))
        .add_extension(x509.SubjectAlternativeName(list(map(_general_name, wanted))), critical=False)
        # Its own authority, so that a phone can be told to trust it; nothing else can be signed with it.
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(identifier, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
        .sign(key, hashes.SHA256())
    )
    files.key.parent.mkdir(parents=True, exist_ok=True)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    write_atomically(files.key, private, replace=True)
    write_atomically(files.certificate, certificate.public_bytes(serialization.Encoding.PEM), replace=True)


def _key_usage() -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)
