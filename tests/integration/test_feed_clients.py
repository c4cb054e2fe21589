"""Both clients follow the live feed of real nodes: over the death of one of them, and from any id at any other."""

from __future__ import annotations

import json
import secrets
import subprocess
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager, closing

import httpx
import pytest
import trio

from step_node.client import AsyncStepClient, Event, Finalised, Position, StepClient
from step_node.parameters import Parameters
from step_node.testing.devnet.network import Devnet, DevnetSettings
from tests.javascript.node import NODE, ROOT
from tests.javascript.node import told as lines_of

QUICK = Parameters(batch_interval_ms=300, timeout_propose_ms=1_500, timeout_pre_vote_ms=800, timeout_pre_commit_ms=500)
SECONDS_MAX = 150.0
PROGRAM = ROOT / "tests" / "javascript" / "follow_feed.mjs"
FINAL = ["proof_finalised", "batch"]
KINDS = ["proof_accepted", *FINAL]


class Heard:
    """What one follower has been told so far."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._more = trio.Event()

    def hear(self, event: Event) -> None:
        """One more."""
        self.events.append(event)
        self._more.set()
        self._more = trio.Event()

    async def until(self, is_it: Callable[[Event], bool]) -> Event:
        """The first event of which that is so, told already or later."""
        while (found := next(filter(is_it, self.events), None)) is None:
            await self._more.wait()
        return found

    async def until_batch(self, height: int) -> None:
        """Everything up to that height has been told."""
        await self.until(lambda event: event.kind == "batch" and event.data["height"] >= height)

    def final(self) -> list[Event]:
        """The chain's events among them."""
        return [event for event in self.events if event.kind in FINAL]

    def proofs(self, kind: str) -> list[str]:
        """The proofs of which events of a kind tell."""
        return [event.data["proofId"] for event in self.events if event.kind == kind]


def place(event_id: str) -> tuple[int, ...]:
    """The chain's half of an id, which grows from event to event, and is the same on every node."""
    return tuple(map(int, event_id.partition("-")[0].split(".")))


def as_told(event: Event) -> tuple[str, tuple[int, ...], object]:
    """What must be the same wherever an event of the chain is told."""
    return event.kind, place(event.id), event.data


@asynccontextmanager
async def python_follows(urls: Sequence[str], last_id: str) -> AsyncIterator[Heard]:
    """The asynchronous client follows these nodes."""
    heard = Heard()

    async def follow() -> None:
        async with (
            AsyncStepClient(urls) as client,
            aclosing(client.events({"kinds": KINDS}, last_id=last_id)) as events,
        ):
            async for event in events:
                heard.hear(event)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(follow)
        yield heard
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def javascript_follows(urls: Sequence[str], last_id: str) -> AsyncIterator[Heard]:
    """The JavaScript client does, in a process of its own."""
    heard = Heard()
    command = [str(NODE), str(PROGRAM), json.dumps({"kinds": KINDS}), last_id, *urls]

    async def follow(program: trio.Process) -> None:
        async for event in lines_of(program):
            heard.hear(Event(**event))

    async with trio.open_nursery() as nursery:
        program: trio.Process = await nursery.start(
            lambda task_status: trio.run_process(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, check=True, task_status=task_status
            )
        )
        nursery.start_soon(follow, program)
        yield heard
        assert program.stdin is not None
        await program.stdin.aclose()


async def prove(url: str, lat: float) -> Finalised:
    """A proof of a new account, made final by way of that node."""
    async with AsyncStepClient(url, key=secrets.token_bytes(32)) as client:
        return await client.prove(Position(lat, 8.5417, 5))


async def streams_open(url: str, count: int) -> None:
    """Wait until the node has so many followers."""
    async with httpx.AsyncClient() as http:
        while f"step_event_streams {float(count)}\n" not in (await http.get(f"{url}/metrics")).text:
            await trio.sleep(0.05)


def told_to_the_blocking_client(url: str, last_id: str, height: int) -> list[Event]:
    """What `StepClient` is told of the chain up to the batch of that height."""
    told: list[Event] = []
    with StepClient(url) as client, closing(client.events({"kinds": FINAL}, last_id=last_id)) as events:
        for event in events:
            told.append(event)
            if event.kind == "batch" and event.data["height"] >= height:
                break
    return told


@pytest.mark.long
async def test_both_clients_follow_the_feed_over_the_death_of_a_node_and_from_any_id() -> None:
    with trio.fail_after(SECONDS_MAX):
        async with Devnet(DevnetSettings(base_port=0, parameters=QUICK)) as devnet:
            first, second, third, _ = devnet.urls
            before = await prove(first, 47.0)
            begin = f"{before.height}.0"  # Before that height's events: so all of them are told, whoever connects when.
            async with (
                python_follows([first, second], begin) as python,
                javascript_follows([first, second], begin) as js,
            ):
                followers = (python, js)
                await streams_open(first, len(followers))
                here = await prove(first, 47.1)
                for heard in followers:
                    await heard.until_batch(here.height)
                    assert heard.proofs("proof_accepted") == [here.proof_id]
                    assert heard.proofs("proof_finalised") == [before.proof_id, here.proof_id]
                await devnet.kill(0)
                await streams_open(second, len(followers))
                there = await prove(second, 47.2)
                for heard in followers:
                    await heard.until_batch(there.height)

            for heard in followers:
                assert heard.proofs("proof_accepted") == [here.proof_id, there.proof_id]
                assert heard.proofs("proof_finalised") == [before.proof_id, here.proof_id, there.proof_id]
                assert {event.kind for event in heard.events} == {*KINDS, "gap"}
                # What the dead node alone knew is said to be missing, and of the chain nothing is.
                assert [event.data["missing"] for event in heard.events if event.kind == "gap"] == ["local"]
                heights = [event.data["height"] for event in heard.events if event.kind == "batch"]
                assert heights == list(range(before.height, heights[-1] + 1))
                places = [place(event.id) for event in heard.final()]
                assert places == sorted(set(places))

            whole = [as_told(event) for event in python.final() if event.data["height"] <= there.height]
            assert [as_told(event) for event in js.final() if event.data["height"] <= there.height] == whole
            # From an id in the middle, at a node that none of them has followed.
            middle = len(whole) // 2
            rest = await trio.to_thread.run_sync(
                told_to_the_blocking_client, third, python.final()[middle - 1].id, there.height
            )
            assert [as_told(event) for event in rest] == whole[middle:]
