"""A devnet of real processes for tests that are not asynchronous: it runs in a thread of its own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from queue import Queue
from threading import Thread
from typing import Final, TypeVar

import trio

from step_node.parameters import Parameters
from step_node.testing.devnet.network import Devnet, DevnetSettings

QUICK: Final = Parameters(
    batch_interval_ms=300, timeout_propose_ms=1_500, timeout_pre_vote_ms=800, timeout_pre_commit_ms=500
)
SECONDS_MAX: Final = 180.0
"""For a network to start, and for whatever is asked of it later."""

T = TypeVar("T")


class Network:
    """Real nodes, whose parts are asked from the test's own thread. `devnet` may be read at any time."""

    def __init__(self, devnet: Devnet, token: trio.lowlevel.TrioToken) -> None:
        self.devnet = devnet
        self._token = token

    @property
    def urls(self) -> list[str]:
        """The nodes' APIs."""
        return self.devnet.urls

    def app(self, index: int = 0) -> str:
        """Where node `index` serves the app."""
        return f"{self.urls[index]}/app/"

    def kill(self, index: int) -> None:
        """End a node at once, and wait for its end. Who kills one restarts it: the network is shared by all tests."""
        self._run(self.devnet.kill, index)

    def restart(self, index: int) -> None:
        """Start a node again, and wait until it serves."""
        self._run(self.devnet.restart, index)

    def _run(self, act: Callable[[int], Awaitable[None]], index: int) -> None:
        async def within() -> None:
            with trio.fail_after(SECONDS_MAX):
                await act(index)

        trio.from_thread.run(within, trio_token=self._token)


@contextmanager
def network_running(settings: DevnetSettings | None = None) -> Iterator[Network]:
    """Four nodes (or what `settings` say), connected and ready, until the end of the block."""
    ready: Queue[Network | BaseException] = Queue()
    scope = trio.CancelScope()
    chosen = DevnetSettings(base_port=0, parameters=QUICK) if settings is None else settings

    async def run() -> None:
        with scope:
            async with Devnet(chosen) as devnet:
                ready.put(Network(devnet, trio.lowlevel.current_trio_token()))
                await trio.sleep_forever()

    def thread() -> None:
        try:
            trio.run(run)
        except BaseException as error:  # noqa: BLE001 - handed to the thread that waits, which raises it
            ready.put(error)

    running = Thread(target=thread, name="devnet")
    running.start()
    network = ready.get(timeout=SECONDS_MAX)
    if isinstance(network, BaseException):
        running.join()
        raise network
    try:
        yield network
    finally:
        trio.from_thread.run_sync(scope.cancel, trio_token=network._token)
        running.join()
