"""TLS in front of the API: certificates that are checked at the start, and handshakes that cost a stranger his time."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import httpx
import pytest
import trio
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from step_node.api.server.limits import ApiLimits
from step_node.api.server.tls import TlsError, load_tls
from step_node.testing.devnet.certificate import Certificate, certificate_for
from tests.api.made_up_node import MadeUpNode
from tests.api.serving import AMPLE, serve

NOW = datetime.now(UTC)
NOW_MS = int(NOW.timestamp() * 1000)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return certificate_for(tmp_path_factory.mktemp("tls"), ["node.example"])


@pytest.fixture
def files(made: Certificate, tmp_path: Path) -> Certificate:
    """Copies that a test may spoil."""
    copies = Certificate(tmp_path / "certificate.pem", tmp_path / "key.pem")
    copies.certificate.write_bytes(made.certificate.read_bytes())
    copies.key.write_bytes(made.key.read_bytes())
    copies.key.chmod(0o600)
    return copies


@asynccontextmanager
async def served(node: MadeUpNode, made: Certificate, limits: ApiLimits = AMPLE) -> AsyncIterator[int]:
    """The port of `node`'s API over TLS."""
    tls = load_tls(made.certificate, made.key, now_ms=NOW_MS)
    async with trio.open_nursery() as nursery:
        yield await nursery.start(partial(serve, node, limits=limits, tls=tls))
        nursery.cancel_scope.cancel()


def refused(node: MadeUpNode, reason: str) -> float:
    return node.registry.get_sample_value("step_api_refused_total", {"reason": reason}) or 0.0


async def test_an_api_over_tls_is_used_like_any_other(node: MadeUpNode, made: Certificate) -> None:
    async with (
        served(node, made) as port,
        httpx.AsyncClient(base_url=f"https://localhost:{port}", verify=made.trusting(), trust_env=False) as client,
    ):
        for _ in range(3):
            assert (await client.get("/health")).json()["ok"] is True
        assert (await client.post("/proof/submit", content=b"{")).status_code == 400
        shown = (await client.get("/metrics")).text
    (expiry,) = [line for line in shown.splitlines() if line.startswith("step_api_tls_certificate_expiry")]
    assert float(expiry.split()[1]) > NOW.timestamp()


async def connected(
    port: int, made: Certificate, context: ssl.SSLContext | None = None
) -> trio.SSLStream[trio.SocketStream]:
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    return trio.SSLStream(stream, context or made.trusting(), server_hostname="localhost")


async def test_the_end_of_a_connection_is_told_in_tls_so_that_a_cut_can_be_told_from_it(
    node: MadeUpNode, made: Certificate
) -> None:
    async with served(node, made) as port:
        stream = await connected(port, made)
        received = b""
        with trio.fail_after(20):
            await stream.send_all(b"GET /health HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n")
            # Anything but TLS' own end would raise here.
            while chunk := await stream.receive_some():
                received += chunk
        assert received.startswith(b"HTTP/1.1 200 ")
        await stream.aclose()


async def test_plain_http_is_told_in_plain_http_that_it_is_the_wrong_one(node: MadeUpNode, made: Certificate) -> None:
    async with served(node, made) as port, httpx.AsyncClient(trust_env=False) as client:
        answer = await client.get(f"http://127.0.0.1:{port}/health")
        assert answer.status_code == 400
        assert answer.json()["code"] == "INVALID_PAYLOAD"
        assert "https://" in answer.json()["message"]
    assert refused(node, "not_tls") == 1


@pytest.mark.parametrize("data", [b"\x16\x03\x01\x02\x00\x01", b"\x16" * 5_000, b"\x16\x03\x01\x00\x05hello"])
async def test_what_is_no_handshake_ends_its_own_connection_and_is_counted(
    data: bytes, node: MadeUpNode, made: Certificate
) -> None:
    async with served(node, made) as port:
        with trio.fail_after(20):
            async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
                await stream.send_all(data)
                await stream.send_eof()
                while await receive(stream):
                    pass
            while not refused(node, "tls_handshake"):
                await trio.testing.wait_all_tasks_blocked(0.01)
        async with await connected(port, made) as good:
            await good.do_handshake()


async def receive(stream: trio.SocketStream) -> bytes:
    try:
        return bytes(await stream.receive_some())
    except trio.BrokenResourceError:
        return b""


async def test_a_handshake_that_stalls_is_cut_off(
    node: MadeUpNode, made: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("step_node.api.server.serving.HANDSHAKE_SECONDS_MAX", 0.2)
    async with served(node, made) as port:
        with trio.fail_after(20):
            for beginning in (b"", b"\x16\x03\x01\x02\x00\x01"):
                async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
                    if beginning:
                        await stream.send_all(beginning)
                    assert await receive(stream) == b""
    assert refused(node, "tls_handshake") == 2


async def test_stalled_handshakes_keep_nobody_out(node: MadeUpNode, made: Certificate) -> None:
    limits = replace(AMPLE, connections_max=16)
    async with served(node, made, limits) as port:
        with trio.fail_after(20):
            stalled = [await trio.open_tcp_stream("127.0.0.1", port) for _ in range(40)]
            async with await connected(port, made) as stream:
                await stream.send_all(b"GET /health HTTP/1.1\r\nHost: node\r\n\r\n")
                assert (await stream.receive_some()).startswith(b"HTTP/1.1 200 ")
        for one in stalled:
            await trio.aclose_forcefully(one)
    assert refused(node, "gave_way") >= 24


async def test_a_handshake_is_paid_for_before_it_is_begun(node: MadeUpNode, made: Certificate) -> None:
    limits = replace(AMPLE, address_cost_ms_per_second=1)
    async with served(node, made, limits) as port:
        with trio.fail_after(20):
            # Two milliseconds each, of one a second of which four are saved up.
            ends = [await trio.open_tcp_stream("127.0.0.1", port) for _ in range(10)]
            while not refused(node, "address_cost"):
                await trio.testing.wait_all_tasks_blocked(0.01)
        for end in ends:
            await trio.aclose_forcefully(end)


async def test_tls_below_1_2_is_not_spoken(node: MadeUpNode, made: Certificate) -> None:
    old = made.trusting()
    old.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    async with served(node, made) as port:
        stream = await connected(port, made, old)
        with pytest.raises(trio.BrokenResourceError):
            await stream.do_handshake()
        await trio.aclose_forcefully(stream)


def error_of(files: Certificate, now: datetime = NOW) -> str:
    with pytest.raises(TlsError) as caught:
        load_tls(files.certificate, files.key, now_ms=int(now.timestamp() * 1000))
    return str(caught.value)


def test_a_certificate_that_is_not_valid_now_is_named_with_the_moment(files: Certificate) -> None:
    assert f"api.tls_certificate: {files.certificate}: has expired at 2" in error_of(files, NOW + timedelta(days=91))
    assert f"api.tls_certificate: {files.certificate}: is valid only from 2" in error_of(files, NOW - timedelta(days=1))


def test_files_that_cannot_be_used_are_named_with_setting_and_rule(files: Certificate, tmp_path: Path) -> None:
    files.key.chmod(0o640)
    assert f"api.tls_key: {files.key}: must be readable by its owner alone (chmod 600)" in error_of(files)
    files.key.unlink()
    assert f"api.tls_key: {files.key}: cannot be read" in error_of(files)
    other = certificate_for(tmp_path / "other", [])
    assert f"api.tls_key: {other.key}: is not the key of" in error_of(replace(files, key=other.key))
    files.certificate.write_text("no certificate")
    assert "api.tls_certificate" in error_of(files)
    assert "in PEM" in error_of(files)
    files.certificate.write_bytes(bytes(100_000))
    assert "must be at most 65536 bytes" in error_of(files)
    files.certificate.unlink()
    assert "cannot be read" in error_of(files)


def test_an_encrypted_key_is_refused_instead_of_asked_a_person_for(files: Certificate) -> None:
    key = serialization.load_pem_private_key(files.key.read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    encrypted = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"secret")
    )
    files.key.write_bytes(encrypted)
    assert f"api.tls_key: {files.key}: must not be encrypted" in error_of(files)


def test_a_key_that_is_none_is_named(files: Certificate) -> None:
    files.key.write_text("no key")
    assert f"api.tls_key: {files.key}: cannot be used" in error_of(files)


def test_a_made_certificate_is_kept_until_it_ends_soon_or_another_address_is_wanted(tmp_path: Path) -> None:
    made = certificate_for(tmp_path, ["192.0.2.1"], now=NOW)
    first = made.certificate.read_bytes()
    assert made.key.stat().st_mode & 0o777 == 0o600
    assert certificate_for(tmp_path, ["192.0.2.1"], now=NOW + timedelta(days=80)).certificate.read_bytes() == first
    certificate_for(tmp_path, ["192.0.2.2"], now=NOW)
    second = made.certificate.read_bytes()
    assert second != first
    certificate_for(tmp_path, ["192.0.2.2"], now=NOW + timedelta(days=85))
    assert made.certificate.read_bytes() != second
