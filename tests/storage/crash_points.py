"""A process that writes to a store and is killed at its k-th step, for k = 1, 2, … until it is not reached.

`python -m tests.storage.crash_points WHAT sqlite FOLDER` and `… WHAT mongodb URI PREFIX` fork one child for each k. A
child opens the k-th store (`FOLDER/k.sqlite`, the database `PREFIXk`) and begins the chain of `CHAIN_SEED`. WHAT is
`finalise`: it stores one batch, and sends itself SIGKILL at the k-th step of finalising the second; `restore`: it
does so while it restores a snapshot of height `SNAPSHOT_HEIGHT` over genesis; `migrate`: while it opens a
store of the previous schema, of height `MIGRATED_HEIGHT`; or `drop`: it stores one batch, and does
so while it drops the database. A step is a statement about to run, for
SQLite; for MongoDB a command about to be sent, or one that has just been answered. Prints how many points there were.

Forking needs a process without threads, which pytest's is not.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
from pathlib import Path
from typing import Final

import trio
from pymongo import MongoClient, monitoring

from step_node.storage.open import (
    MongoSettings,
    SqliteSettings,
    StorageSettings,
    drop_found,
    find_store,
    open_storage,
)
from tests.storage.made_up_chain import MadeUpChain, begin
from tests.storage.made_up_snapshot import restored_of
from tests.storage.schema_4 import as_schema_4, database_as_schema_4

CHAIN_SEED = 7
SNAPSHOT_HEIGHT = 6
MIGRATED_HEIGHT = 3
POINTS_MAX = 300


class Steps:
    """Counts down to the step that is this process's last."""

    def __init__(self, fatal: int) -> None:
        self._left = fatal
        self.armed = False

    def step(self) -> None:
        if self.armed:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


class CommandSteps(monitoring.CommandListener):
    """Every command sent and every answer is a step."""

    def __init__(self, steps: Steps) -> None:
        self._steps = steps

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        del event
        self._steps.step()

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        del event
        self._steps.step()

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        """Not a step: a failed command is answered too, but none should fail here."""


def watch_statements(steps: Steps) -> None:
    """Make every SQLite statement of this process a step."""
    connect = sqlite3.connect

    def watched(*arguments: object, **options: object) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*arguments, **options)  # type: ignore[call-overload]  # passed on
        connection.set_trace_callback(lambda _: steps.step())
        return connection

    sqlite3.connect = watched  # type: ignore[assignment]  # this process exists to be killed


async def finalise_until_killed(settings: StorageSettings, steps: Steps) -> None:
    chain = MadeUpChain(CHAIN_SEED)
    async with open_storage(settings) as store:
        await begin(store, chain)
        await store.finalise(chain.grow())
        steps.armed = True
        await store.finalise(chain.grow())
        steps.armed = False


async def restore_until_killed(settings: StorageSettings, steps: Steps) -> None:
    chain = MadeUpChain(CHAIN_SEED)
    async with open_storage(settings) as store:
        await begin(store, chain)
        for _ in range(SNAPSHOT_HEIGHT):
            chain.grow()
        steps.armed = True
        await store.restore(restored_of(chain))
        steps.armed = False


async def drop_until_killed(settings: StorageSettings, steps: Steps) -> None:
    chain = MadeUpChain(CHAIN_SEED)
    async with open_storage(settings) as store:
        await begin(store, chain)
        await store.finalise(chain.grow())
    found = await find_store(settings)
    steps.armed = True
    await drop_found(settings, found)
    steps.armed = False


async def migrate_until_killed(settings: StorageSettings, steps: Steps) -> None:
    chain = MadeUpChain(CHAIN_SEED, upgrades=False)
    async with open_storage(settings) as store:
        await begin(store, chain)
        for _ in range(MIGRATED_HEIGHT):
            await store.finalise(chain.grow())
    match settings:
        case SqliteSettings(path):
            as_schema_4(path)
        case MongoSettings(uri, database):
            client: MongoClient[dict[str, object]] = MongoClient(uri)
            with client:
                database_as_schema_4(client[database])
    steps.armed = True
    async with open_storage(settings, alone=True):
        steps.armed = False


WRITING: Final = {
    "finalise": finalise_until_killed,
    "restore": restore_until_killed,
    "migrate": migrate_until_killed,
    "drop": drop_until_killed,
}


def settings_of(point: int, arguments: list[str]) -> StorageSettings:
    match arguments:
        case [_, "sqlite", folder]:
            return SqliteSettings(Path(folder) / f"{point}.sqlite")
        case [_, "mongodb", uri, prefix]:
            return MongoSettings(uri, f"{prefix}{point}")
        case _:
            raise SystemExit(__doc__)


def survives(point: int, arguments: list[str]) -> bool:
    """Whether a child that is to be killed at this point ends by itself: there is no such point."""
    child = os.fork()
    if child == 0:
        steps = Steps(point)
        watch_statements(steps)
        monitoring.register(CommandSteps(steps))
        trio.run(WRITING[arguments[0]], settings_of(point, arguments), steps)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    exit_code = os.waitstatus_to_exitcode(status)
    if exit_code not in (0, -signal.SIGKILL):
        raise SystemExit(f"the child of point {point} ended with {exit_code}")
    return exit_code == 0


def main(arguments: list[str]) -> None:
    reached = next(point for point in range(1, POINTS_MAX) if survives(point, arguments))
    sys.stdout.write(f"{reached - 1}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
