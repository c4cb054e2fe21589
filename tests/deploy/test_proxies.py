"""The samples in deploy/proxy, run by the real programs in front of a node's API."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

import httpx
import pytest
import trio

from step_node.api.middleware.body import BATCH_BODY_BYTES_MAX
from step_node.testing.devnet.certificate import Certificate, certificate_for
from step_node.testing.devnet.ports import LOOPBACK, free_ports
from tests.api.event_reader import EventReader
from tests.api.made_up_node import START_MS, MadeUpNode, Walker, open_node
from tests.api.serving import AMPLE, serve

SAMPLES: Final = Path(__file__).parents[2] / "deploy" / "proxy"
READY_SECONDS_MAX: Final = 60.0
LONGEST_SECONDS: Final = 120.0
SUBMISSIONS_PER_MINUTE: Final = 3
ANOTHER_ADDRESS: Final = "127.0.0.2"


def _caddy(folder: Path, port: int, node: int, made: Certificate) -> list[str]:
    text = (SAMPLES / "Caddyfile").read_text(encoding="utf-8")
    text = text.replace("{\n", "{\n\tadmin off\n\tauto_https disable_redirects\n", 1)
    text = text.replace("api.example {", f":{port} {{\n\ttls {made.certificate} {made.key}\n")
    (folder / "Caddyfile").write_text(text.replace("127.0.0.1:8600", f"{LOOPBACK}:{node}"), encoding="utf-8")
    return ["caddy", "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]


def _nginx(folder: Path, port: int, node: int, made: Certificate) -> list[str]:
    text = (SAMPLES / "nginx.conf").read_text(encoding="utf-8")
    text = text.replace("listen 443 ", f"listen {LOOPBACK}:{port} ")
    text = re.sub(r"^ *listen \[::\].*\n", "", text, flags=re.MULTILINE)
    text = text.replace("127.0.0.1:8600", f"{LOOPBACK}:{node}")
    text = text.replace("/etc/ssl/step/certificate.pem", str(made.certificate))
    text = text.replace("/etc/ssl/step/key.pem", str(made.key))
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    places = "".join(f"{kind}_temp_path {folder / kind};\n" for kind in kinds)
    # Else its worker is another user, to whom the test's folder is closed.
    user = "user root;\n" if os.geteuid() == 0 else ""
    whole = f"{user}pid {folder / 'pid'};\nevents {{}}\nhttp {{\naccess_log off;\n{places}{text}}}\n"
    (folder / "nginx.conf").write_text(whole, encoding="utf-8")
    return [
        *("nginx", "-p", str(folder), "-e", "stderr", "-c", str(folder / "nginx.conf")),
        *("-g", "daemon off; worker_processes 1;"),
    ]


MADE_FOR: Final[dict[str, Callable[[Path, int, int, Certificate], list[str]]]] = {"caddy": _caddy, "nginx": _nginx}


@dataclass(frozen=True)
class Proxied:
    """A node behind a proxy."""

    node: MadeUpNode
    port: int
    made: Certificate

    @asynccontextmanager
    async def client(self, address: str = LOOPBACK) -> AsyncIterator[httpx.AsyncClient]:
        """One that has this address."""
        transport = httpx.AsyncHTTPTransport(local_address=address, verify=self.made.trusting())
        url = f"https://localhost:{self.port}"
        async with httpx.AsyncClient(base_url=url, transport=transport, trust_env=False, timeout=30) as client:
            yield client

    async def stream(self, protocol: str = "http/1.1") -> trio.SSLStream[trio.SocketStream]:
        """A connection that would rather speak this."""
        context = self.made.trusting()
        context.set_alpn_protocols([protocol])
        stream = await trio.open_tcp_stream(LOOPBACK, self.port)
        speaking = trio.SSLStream(stream, context, server_hostname="localhost", https_compatible=True)
        await speaking.do_handshake()
        return speaking


@pytest.fixture(params=sorted(MADE_FOR))
async def proxied(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Proxied]:
    name: str = request.param
    if shutil.which(name, path="/usr/bin:/usr/sbin:/usr/local/bin") is None:
        pytest.skip(f"{name} is not installed (Debian: apt install {name})")
    made = certificate_for(tmp_path, [])
    limits = replace(AMPLE, proxies=frozenset({LOOPBACK}), submissions_per_minute=SUBMISSIONS_PER_MINUTE)
    with trio.fail_after(LONGEST_SECONDS):
        async with open_node(tmp_path / "journal.sqlite") as node, trio.open_nursery() as nursery:
            behind = await nursery.start(partial(serve, node, limits=limits))
            port = free_ports(1)[0].api
            command = MADE_FOR[name](tmp_path, port, behind, made)
            environment = {"PATH": "/usr/local/bin:/usr/bin:/usr/sbin", "HOME": str(tmp_path)}
            nursery.start_soon(partial(trio.run_process, command, env=environment, capture_stderr=True, check=False))
            proxied = Proxied(node, port, made)
            await _until_ready(proxied)
            yield proxied
            nursery.cancel_scope.cancel()


async def _until_ready(proxied: Proxied) -> None:
    with trio.fail_after(READY_SECONDS_MAX):
        while True:
            try:
                async with proxied.client() as client:
                    if (await client.get("/health/live")).status_code == 200:
                        return
            except httpx.HTTPError:
                await trio.sleep(0.1)


async def _submit(client: httpx.AsyncClient, number: int, **headers: str) -> httpx.Response:
    return await client.post("/proof/submit?wait_ms=0", json=Walker(number).proof(START_MS), headers=headers)


async def test_a_client_is_served_through_it_as_by_the_node(proxied: Proxied) -> None:
    async with proxied.client() as client:
        assert (await _submit(client, 1)).status_code == 202

        # A body of the most that a node takes reaches the node; a larger one is refused, whoever sees it first.
        headers = {"Content-Type": "application/json"}
        large = await client.post("/proof/submit-batch", content=b" " * BATCH_BODY_BYTES_MAX, headers=headers)
        assert (large.status_code, large.json()["ok"]) == (400, False)
        beyond = b" " * (BATCH_BODY_BYTES_MAX + 1)
        # Caddy may close before all has been sent, and its answer is lost with the connection; or it finds out that the
        # node reads no more before it finds out that the body is too large, and blames the node.
        with suppress(httpx.ReadError, httpx.WriteError):
            assert (await client.post("/proof/submit-batch", content=beyond, headers=headers)).status_code in (413, 502)

        # What is for operators stays inside.
        for path in ("/metrics", "/status", "/consensus"):
            assert (await client.get(path)).status_code == 404

    for protocol in ("h2", "http/1.1"):
        stream = await proxied.stream(protocol)
        assert stream.selected_alpn_protocol() == protocol
        await stream.aclose()


async def test_the_feed_comes_through_event_by_event(proxied: Proxied) -> None:
    stream = await proxied.stream()
    reader = EventReader(stream, "")
    await reader.ask("", {})
    assert (await reader.next()).event == "open"
    for number in (1, 2):
        async with proxied.client() as client:
            assert (await _submit(client, number)).status_code == 202
        await proxied.node.finalise()
        # The answer goes on for an hour: what was gathered would not be here yet.
        await reader.until("batch", height=number)
    await trio.aclose_forcefully(stream)


async def test_clients_are_told_apart_by_their_addresses_and_not_by_what_they_say(proxied: Proxied) -> None:
    async with proxied.client() as client, proxied.client(ANOTHER_ADDRESS) as other:
        for number in range(1, 1 + SUBMISSIONS_PER_MINUTE):
            assert (await _submit(client, number)).status_code == 202
        assert (await _submit(client, 8)).status_code == 429
        # A client's own word is no other address.
        assert (await _submit(client, 8, **{"X-Forwarded-For": "192.0.2.7"})).status_code == 429
        assert (await _submit(other, 8)).status_code == 202


@pytest.mark.parametrize("proxied", ["nginx"], indirect=True)
async def test_nginx_holds_back_who_asks_too_often_and_nobody_else(proxied: Proxied) -> None:
    answers: list[int] = []

    async def ask(client: httpx.AsyncClient) -> None:
        answers.extend([(await client.get("/health/live")).status_code for _ in range(12)])

    async with proxied.client(ANOTHER_ADDRESS) as other:
        with trio.fail_after(LONGEST_SECONDS):
            async with proxied.client() as client:
                while 429 not in answers:
                    async with trio.open_nursery() as nursery:
                        for _ in range(16):
                            nursery.start_soon(ask, client)
        assert (await other.get("/health/live")).status_code == 200
    assert set(answers) == {200, 429}
