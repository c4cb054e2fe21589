"""Asking nodes over TLS, as `step-node top` and other commands do: who is believed, and what is said of who is not."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import httpx
import pytest
import trio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from step_node.api.server.tls import load_tls
from step_node.cli import http_calls
from step_node.cli.certificates import trust_in, trust_of_this_machine
from step_node.cli.error_lines import CommandError
from step_node.cli.top.asking import Asker
from step_node.cli.top.homes import homes_in
from step_node.client.transport import options
from step_node.home.config import NodeConfig, load_config
from step_node.home.config_sources import settings_of
from step_node.home.paths import NodeHome
from step_node.testing.devnet.certificate import Certificate, certificate_for
from tests.api.made_up_node import open_node
from tests.api.serving import serve

NOW = datetime.now(UTC)


class Authority:
    """Signs certificates of servers, as a public one does: for names alone, not for the addresses of a machine."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "an authority")])
        self._own = self._signed(self._name, self._key.public_key(), ca=True)

    def write(self, directory: Path, host: str) -> Certificate:
        """A certificate for `host`, followed by the authority's own, and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
        chain = [self._signed(name, key.public_key(), host=host), self._own]
        files = Certificate(directory / "certificate.pem", directory / "key.pem")
        directory.mkdir(exist_ok=True)
        files.certificate.write_bytes(b"".join(one.public_bytes(serialization.Encoding.PEM) for one in chain))
        files.key.touch(0o600)
        form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        files.key.write_bytes(key.private_bytes(*form))
        return files

    def _signed(
        self, name: x509.Name, key: ec.EllipticCurvePublicKey, *, ca: bool = False, host: str | None = None
    ) -> x509.Certificate:
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - timedelta(hours=1))
            .not_valid_after(NOW + timedelta(days=9))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        if host is not None:
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        return builder.sign(self._key, hashes.SHA256())


@asynccontextmanager
async def serving(directory: Path, port: int, files: Certificate | None) -> AsyncIterator[str]:
    """A node's API on this port; what follows the scheme in its address."""
    tls = None if files is None else load_tls(files.certificate, files.key, now_ms=int(NOW.timestamp() * 1000))
    async with open_node(directory / f"{port}.sqlite") as node, trio.open_nursery() as nursery:
        yield f"127.0.0.1:{await nursery.start(partial(serve, node, port=port, tls=tls))}"
        nursery.cancel_scope.cancel()


async def trouble_at_home(root: Path) -> str:
    """What `top --home` says of the one node there; nothing if all is well."""
    homes = homes_in(root, 1)
    certificates = [one.certificate for one in homes if one.certificate is not None]
    return await trouble([one.url for one in homes], options(trust_in(certificates) if certificates else None))


async def trouble(urls: list[str], asked_with: dict[str, object]) -> str:
    async with httpx.AsyncClient(**asked_with) as http:  # type: ignore[arg-type]
        (node,) = (await Asker(urls, http, trio.current_time).look()).nodes
    return node.trouble


async def test_a_home_is_known_by_its_own_certificate_whatever_its_name_and_by_no_other_of_the_same_authority(
    home: NodeHome, tmp_path: Path
) -> None:
    authority = Authority()
    own = authority.write(home.root / "tls", "node.example")
    text = home.config.read_text()
    setting = '[api]\ntls_certificate = "tls/certificate.pem"\ntls_key = "tls/key.pem"\n'
    home.config.write_text(text.replace("[api]\n", setting))
    port = load_config(home.config).api.port
    assert [(one.root, one.url) for one in homes_in(home.root, 1)] == [(home.root, f"https://127.0.0.1:{port}")]
    async with serving(tmp_path, port, own):
        assert await trouble_at_home(home.root) == ""
    other = authority.write(tmp_path / "other", "127.0.0.1")
    async with serving(tmp_path, port, other):
        assert "its certificate is not trusted" in await trouble_at_home(home.root)
    own.certificate.write_text("no certificate")
    with pytest.raises(CommandError, match="must be a certificate in PEM"):
        await trouble_at_home(home.root)


def test_a_home_is_found_without_any_of_the_secrets_that_it_keeps_elsewhere(home: NodeHome) -> None:
    secrets = [setting for setting in settings_of(NodeConfig) if setting.is_secret]
    assert len(secrets) >= 3
    found = homes_in(home.root, 1)
    text = home.config.read_text()
    for section, name in (setting.path for setting in secrets):
        assert f"[{section}]\n" in text
        text = text.replace(f"[{section}]\n", f'[{section}]\n{name} = {{ file = "none" }}\n')
    home.config.write_text(text)
    assert homes_in(home.root, 1) == found


async def test_the_homes_of_a_devnet_are_asked_over_tls_if_it_was_started_so(home: NodeHome, tmp_path: Path) -> None:
    devnet = tmp_path / "devnet"
    shutil.copytree(home.root, devnet / "node0")
    port = load_config(home.config).api.port
    # It stays there when the devnet is started without, the next time.
    made = certificate_for(devnet / "tls", [])
    for files, scheme in ((made, "https"), (None, "http")):
        async with serving(tmp_path, port, files) as address:
            assert [one.url for one in await trio.to_thread.run_sync(homes_in, devnet, 4)] == [f"{scheme}://{address}"]
            assert await trouble([f"{scheme}://{address}"], options(made.trusting())) == ""


async def test_who_does_not_trust_a_certificate_or_speaks_plain_http_is_told_what_to_do(tmp_path: Path) -> None:
    made = certificate_for(tmp_path / "tls", [])
    async with serving(tmp_path, 0, made) as address:
        said = await trouble([f"https://{address}"], options(trust_of_this_machine()))
        with pytest.raises(CommandError) as caught:
            await trio.to_thread.run_sync(http_calls.get_json, f"https://{address}", "/status")
        for text in (said, str(caught.value)):
            assert "its certificate is not trusted (self-signed certificate)" in text
            assert "let SSL_CERT_FILE name a file with it" in text
        assert "https://" in await trouble([f"http://{address}"], options(None))
        assert await trouble([f"https://{address}"], options(made.trusting())) == ""
