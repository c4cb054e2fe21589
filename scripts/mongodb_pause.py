"""How long a store on three MongoDB members takes no batch when the primary goes away (docs/scaling.md).

    python -m scripts.mongodb_pause --times 2 --election-timeout-ms 10000

The store alone, without a node: batches of a made-up chain are written five times a second, and history is read from a
secondary ten times a second, while the primary of a throw-away replica set is killed, steps down, or freezes. Prints a
line for each time.
"""

from __future__ import annotations

import argparse
import sys
import uuid
from itertools import pairwise
from statistics import median

import trio

from step_node.storage.interface import Storage
from step_node.storage.open import MongoSettings, open_storage
from step_node.testing.failover import Blow
from step_node.testing.mongod_set import ELECTION_TIMEOUT_MS, ThrowawayReplicaSet, throwaway_replica_set
from tests.storage.made_up_chain import MadeUpChain, begin

BATCHES = 10
"""Before the blow, and after it."""
WRITE_EVERY_SECONDS = 0.2
READ_EVERY_SECONDS = 0.1
RETRY_MAX_S = 120.0


class Trial:
    """One store, and when it took what."""

    def __init__(self, store: Storage) -> None:
        self._store = store
        self._chain = MadeUpChain(seed=1)
        self.taken_at: list[float] = []
        self.read_seconds: list[float] = []

    async def write(self) -> None:
        """Write batches until cancelled."""
        await begin(self._store, self._chain)
        while True:
            await self._store.finalise(self._chain.grow())
            self.taken_at.append(trio.current_time())
            await trio.sleep(WRITE_EVERY_SECONDS)

    async def read(self) -> None:
        """Read the first batch, as strangers do, until cancelled."""
        while True:
            began = trio.current_time()
            await self._store.for_strangers().batches(1, 1)
            self.read_seconds.append(trio.current_time() - began)
            await trio.sleep(READ_EVERY_SECONDS)

    async def until_taken(self, batches: int) -> None:
        """Wait for so many in all."""
        while len(self.taken_at) < batches:
            await trio.sleep(READ_EVERY_SECONDS)

    def line(self) -> str:
        """The figures."""
        between = [later - earlier for earlier, later in pairwise(self.taken_at)]
        write_ms = (median(between[: BATCHES - 1]) - WRITE_EVERY_SECONDS) * 1000
        return (
            f"no batch for {max(between):5.1f} s; one takes {write_ms:4.0f} ms before;"
            f" the slowest read of history meanwhile {max(self.read_seconds) * 1000:5.0f} ms"
        )


async def measure(replica_set: ThrowawayReplicaSet, blow: Blow) -> str:
    """One trial; the set is whole again in the end."""
    primary = await replica_set.settled()
    settings = MongoSettings(
        replica_set.uri, f"step_pause_{uuid.uuid4().hex}", retry_max_s=RETRY_MAX_S, answers_from="secondaries"
    )
    async with open_storage(settings) as store, trio.open_nursery() as nursery:
        trial = Trial(store)
        nursery.start_soon(trial.write)
        await trial.until_taken(BATCHES)
        nursery.start_soon(trial.read)
        match blow:
            case Blow.KILL:
                await trio.to_thread.run_sync(primary.kill)
            case Blow.FREEZE:
                primary.pause()
            case Blow.STEP_DOWN:
                await replica_set.step_down()
        await trial.until_taken(len(trial.taken_at) + BATCHES)
        nursery.cancel_scope.cancel()
    primary.resume()
    if not primary.is_running:
        primary.start()
    return trial.line()


async def run(times: int, election_timeout_ms: int) -> None:
    """All blows, one after another."""
    async with throwaway_replica_set(election_timeout_ms=election_timeout_ms) as replica_set:
        for blow in Blow:
            for _ in range(times):
                sys.stdout.write(f"{blow:10} {await measure(replica_set, blow)}\n")
                sys.stdout.flush()


def main() -> None:
    """Read the arguments, measure, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--times", type=int, default=2)
    parser.add_argument("--election-timeout-ms", type=int, default=ELECTION_TIMEOUT_MS)
    arguments = parser.parse_args()
    trio.run(run, arguments.times, arguments.election_timeout_ms)


if __name__ == "__main__":
    main()
