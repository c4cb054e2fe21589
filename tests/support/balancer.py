"""One address for several nodes: HAProxy by the project's own configuration where it is installed, else a small relay.

Both send a client's connection to a node that says it is ready. HAProxy keeps a client with one node; the relay takes
the next ready one for each connection, which is harder on clients.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from itertools import count
from pathlib import Path

import httpx
import trio

from step_node.testing.devnet.ports import LOOPBACK, free_ports

CONFIGURATION = Path(__file__).parents[2] / "configs" / "haproxy.cfg"
CHUNK_BYTES = 65_536
LOOK_SECONDS_MAX = 2.0
POLL_SECONDS = 0.1
_LOST = (trio.BrokenResourceError, trio.ClosedResourceError)


@asynccontextmanager
async def balanced(ports: Sequence[int], directory: Path) -> AsyncIterator[str]:
    """The URL of the balancer before the APIs at these ports of loopback."""
    program = shutil.which("haproxy")
    async with (
        httpx.AsyncClient(trust_env=False, timeout=LOOK_SECONDS_MAX) as http,
        trio.open_nursery() as nursery,
    ):
        if program is None:
            listeners = await trio.open_tcp_listeners(0, host=LOOPBACK)
            port = listeners[0].socket.getsockname()[1]
            nursery.start_soon(partial(trio.serve_listeners, Relay(ports, http).carry, listeners))
        else:
            port = free_ports(1)[0].api
            path = directory / "haproxy.cfg"
            path.write_text(adapted(CONFIGURATION.read_text(encoding="utf-8"), port, ports), encoding="utf-8")
            # `-db`: in the foreground, so that it ends with its task.
            nursery.start_soon(partial(trio.run_process, [program, "-db", "-f", str(path)], check=False))
        url = f"http://{LOOPBACK}:{port}"
        while not await _is_ready(http, url):
            await trio.sleep(POLL_SECONDS)
        yield url
        nursery.cancel_scope.cancel()


def adapted(configuration: str, port: int, ports: Sequence[int]) -> str:
    """The page's configuration with this machine's ports in place of its examples."""
    servers = "".join(f"    server observer{index} {LOOPBACK}:{each}\n" for index, each in enumerate(ports))
    bound = re.sub(r"bind :\d+", f"bind {LOOPBACK}:{port}", configuration)
    without_servers = re.sub(r"^    server .*\n", "", bound, flags=re.MULTILINE)
    return without_servers + servers


class Relay:
    """Carries each connection to the next node that is ready; one that none takes is closed."""

    def __init__(self, ports: Sequence[int], http: httpx.AsyncClient) -> None:
        self._ports = ports
        self._http = http
        self._turns = count()

    async def carry(self, client: trio.SocketStream) -> None:
        """To be served."""
        async with client:
            for _ in self._ports:
                port = self._ports[next(self._turns) % len(self._ports)]
                if await _is_ready(self._http, f"http://{LOOPBACK}:{port}"):
                    break
            else:
                return
            try:
                async with await trio.open_tcp_stream(LOOPBACK, port) as node, trio.open_nursery() as nursery:
                    nursery.start_soon(_pass_on, client, node, nursery.cancel_scope)
                    nursery.start_soon(_pass_on, node, client, nursery.cancel_scope)
            except OSError:
                return


async def _pass_on(source: trio.SocketStream, target: trio.SocketStream, connection: trio.CancelScope) -> None:
    try:
        async for chunk in source:
            await target.send_all(chunk)
    except _LOST:
        pass
    connection.cancel()


async def _is_ready(http: httpx.AsyncClient, url: str) -> bool:
    try:
        return (await http.get(f"{url}/health/ready")).status_code == 200
    except httpx.HTTPError:
        return False
