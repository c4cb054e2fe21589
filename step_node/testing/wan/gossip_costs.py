"""What a message of gossip costs in libp2p on this machine: one process publishes, others hear.

A message comes every few milliseconds, so that each is read by itself, as votes are that come from many peers. With one
peer and with several, and small and large, gives what publishing costs once, what for each peer, and what for each KiB.
The receivers are processes of this module.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from statistics import mean
from subprocess import PIPE
from typing import Final

import trio

from p2p.libp2p_network import Libp2pNetwork, open_libp2p_network
from p2p.libp2p_settings import Libp2pSettings
from step_node.testing.wan.costs import KIB, GossipCosts

TOPIC: Final = "/step/bench/consensus/1"
MESSAGE_BYTES_MAX: Final = 900_000
BUFFER_MESSAGES: Final = 2_048
RECEIVERS: Final = 3
SMALL_BYTES: Final = 300
"""Of a vote."""
LARGE_BYTES: Final = 100_000
SMALL_MESSAGES: Final = 300
LARGE_MESSAGES: Final = 40
PAUSE_SECONDS: Final = 0.004
SETTLE_SECONDS: Final = 1.5
"""For connections to be made, and for the last messages to be heard."""
MEASURING_SECONDS_MAX: Final = 600.0
TOLD_ID_RECOVERIES: Final = 0.03
"""An id that a peer tells of, parsed and looked up, in recoveries of a key (docs/benchmarks.md): too little to be seen
beside the messages."""
US_A_SECOND: Final = 1e6


@dataclass(frozen=True, slots=True)
class Taken:
    """µs of a processor for each message: of the publisher's, and of one receiver's."""

    publisher_us: float
    receiver_us: float


async def measured_gossip_costs(recover_us: float) -> GossipCosts:
    """Measure them beside a recovery of a key that takes so long. Raises trio.TooSlowError."""
    with trio.fail_after(MEASURING_SECONDS_MAX):
        async with _running(1) as few:
            one = await few.take(SMALL_BYTES, SMALL_MESSAGES)
        async with _running(RECEIVERS) as many:
            several = await many.take(SMALL_BYTES, SMALL_MESSAGES)
            large = await many.take(LARGE_BYTES, LARGE_MESSAGES)
    return costs_of(one, several, large, recover_us)


def costs_of(one: Taken, several: Taken, large: Taken, recover_us: float) -> GossipCosts:
    """What one receiver, several, and large messages to several say of each part; nothing costs less than nothing."""
    send_us = max(0.0, (several.publisher_us - one.publisher_us) / (RECEIVERS - 1))
    more_kib = (LARGE_BYTES - SMALL_BYTES) / KIB
    return GossipCosts(
        publish_us=max(0.0, one.publisher_us - send_us),
        send_us=send_us,
        send_us_per_kib=max(0.0, (large.publisher_us - several.publisher_us) / RECEIVERS / more_kib),
        # Of one receiver: several share this machine's cores with one another.
        receive_us=one.receiver_us,
        receive_us_per_kib=max(0.0, (large.receiver_us - several.receiver_us) / more_kib),
        told_id_us=TOLD_ID_RECOVERIES * recover_us,
    )


class _Network:
    def __init__(self, network: Libp2pNetwork, receivers: Sequence[trio.Process]) -> None:
        self._network = network
        self._receivers = receivers

    async def take(self, size_bytes: int, messages: int) -> Taken:
        """Publish so many, and see what that took beyond what the same time takes without them."""
        began, before = trio.current_time(), await self._used()
        for _ in range(messages):
            await self._network.publish(TOPIC, os.urandom(size_bytes))
            await trio.sleep(PAUSE_SECONDS * (1 if size_bytes == SMALL_BYTES else 10))
        await trio.sleep(SETTLE_SECONDS)
        lasted, between = trio.current_time() - began, await self._used()
        await trio.sleep(SETTLE_SECONDS)
        after = await self._used()
        own, *others = [
            ((middle - first) - (last - middle) * lasted / SETTLE_SECONDS) / messages * US_A_SECOND
            for first, middle, last in zip(before, between, after, strict=True)
        ]
        return Taken(own, mean(others))

    async def _used(self) -> list[float]:
        """Seconds of the processor of this process, and of each receiver."""
        used = [time.process_time()]
        for receiver in self._receivers:
            await _write(receiver, "?")
            used.append(json.loads(await _line(receiver)))
        return used


@asynccontextmanager
async def _running(count: int) -> AsyncIterator[_Network]:
    async with trio.open_nursery() as nursery, _network() as network:
        await network.start()
        command = [sys.executable, "-m", "step_node.testing.wan.gossip_costs"]
        open_one = partial(trio.lowlevel.open_process, command, stdin=PIPE, stdout=PIPE)
        receivers = [await open_one() for _ in range(count)]
        try:
            addresses = [network.listen_addresses[0], *[json.loads(await _line(receiver)) for receiver in receivers]]
            for receiver in receivers:
                await _write(receiver, json.dumps(addresses))
            network.keep_connected(addresses)
            while len(network.peers()) < count:
                await trio.sleep(PAUSE_SECONDS)
            await trio.sleep(SETTLE_SECONDS)
            yield _Network(network, receivers)
        finally:
            for receiver in receivers:
                receiver.kill()
                with trio.CancelScope(shield=True):
                    await receiver.wait()
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def _network() -> AsyncIterator[Libp2pNetwork]:
    async with open_libp2p_network(Libp2pSettings(private_key=os.urandom(32))) as network:
        messages = network.subscribe(
            TOPIC, message_bytes_max=MESSAGE_BYTES_MAX, buffer_messages=BUFFER_MESSAGES, urgent=True
        )

        async def read() -> None:
            async for _ in messages:
                pass

        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            yield network
            nursery.cancel_scope.cancel()


async def _write(process: trio.Process, line: str) -> None:
    if process.stdin is not None:
        await process.stdin.send_all(line.encode() + b"\n")


async def _line(process: trio.Process) -> bytes:
    line = b""
    while process.stdout is not None and not line.endswith(b"\n"):
        chunk = await process.stdout.receive_some()
        if not chunk:
            raise RuntimeError("a process that was to hear gossip has ended")
        line += chunk
    return line


async def _receive() -> None:
    """A receiver: its address on standard output; all addresses, and then questions, on standard input."""
    async with _network() as network:
        await network.start()
        _say(json.dumps(network.listen_addresses[0]))
        network.keep_connected(json.loads(await trio.to_thread.run_sync(sys.stdin.readline)))
        while await trio.to_thread.run_sync(sys.stdin.readline):
            _say(json.dumps(time.process_time()))


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    trio.run(_receive)
