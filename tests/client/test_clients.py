"""The two clients against a node's real API, on a real socket: blocking, under trio, and under asyncio."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from decimal import Decimal
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any, TypeAlias, TypeVar

import pytest
import trio

from mesh import locate
from step_node.client import AsyncStepClient, Pending, Position, Refusal, Refused, RetryPolicy, StepClient, Unavailable
from step_node.client import queries as asked
from tests.api.made_up_node import START_MS, ZURICH, MadeUpNode, Walker

T = TypeVar("T")

HERE = Position(*ZURICH, accuracy_m=5)
WALKER = Walker(7)
QUICK = RetryPolicy(attempts_max=3, seconds_max=10.0, delay_min_seconds=0.01, delay_max_seconds=0.05)

Act: TypeAlias = Callable[[AsyncStepClient], Awaitable[T]]


class Awaited:
    """A `StepClient` whose methods are awaited, each on a thread: so that one test is told once for all clients."""

    def __init__(self, client: StepClient) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        method = getattr(self._client, name)

        async def call(*arguments: object, **named: object) -> Any:
            return await trio.to_thread.run_sync(partial(method, *arguments, **named))

        return call


async def blocking(act: Act[T], *urls: str) -> T:
    with StepClient(urls, key=WALKER.key, policy=QUICK) as client:
        return await act(Awaited(client))  # type: ignore[arg-type]


async def under_trio(act: Act[T], *urls: str) -> T:
    async with AsyncStepClient(urls, key=WALKER.key, policy=QUICK) as client:
        return await act(client)


async def under_asyncio(act: Act[T], *urls: str) -> T:
    async def main() -> T:
        async with AsyncStepClient(urls, key=WALKER.key, policy=QUICK) as client:
            return await act(client)

    return await trio.to_thread.run_sync(asyncio.run, main())


Run: TypeAlias = Callable[..., Awaitable[Any]]
each_client = pytest.mark.parametrize("run", [blocking, under_trio, under_asyncio])


def nowhere() -> str:
    """An address where nothing listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


async def while_finalising(node: MadeUpNode, use: Awaitable[T]) -> T:
    """What `use` gives, while the node finalises whatever waits."""

    async def finalise() -> None:
        while True:
            await trio.sleep(0.02)
            if len(node.mempool) or node.operation_pool.candidates():
                await node.finalise()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(finalise)
        result = await use
        nursery.cancel_scope.cancel()
    return result


@each_client
async def test_a_proof_is_signed_by_the_nodes_clock_and_followed_to_final(run: Run, node: MadeUpNode, url: str) -> None:
    async def act(client: AsyncStepClient) -> None:
        signed = await client.sign(HERE, level=10)
        assert abs(signed.timestamp_ms - START_MS) < 60_000  # This machine's clock is years ahead of the node's.
        state = await client.submit(signed, wait_ms=0)
        final = await client.wait(signed, url=state.url if isinstance(state, Pending) else None)
        assert (final.proof_id, final.reward, final.height) == (signed.proof_id, Decimal("0.001953"), 1)
        account = await client.account(WALKER.address_text)
        assert (account.balance, account.proofs) == (Decimal("0.001953"), 1)
        assert (await client.ask(asked.proof_status(signed.proof_id)))["status"] == "finalised"
        # Submitted again, it is what it was.
        assert await client.submit(signed) == final

    await while_finalising(node, run(act, url))


@each_client
async def test_a_node_that_is_not_there_costs_nothing_but_the_next_one(run: Run, node: MadeUpNode, url: str) -> None:
    async def act(client: AsyncStepClient) -> int:
        return (await client.prove(HERE, triangle_id=locate(*ZURICH, 10).text)).height

    assert await while_finalising(node, run(act, nowhere(), url)) == 1


@each_client
async def test_many_are_told_each_in_its_place(run: Run, node: MadeUpNode, url: str) -> None:
    async def act(client: AsyncStepClient) -> list[object]:
        signed = [await client.sign(HERE, level=10), await client.sign(HERE, level=9)]
        return list(await client.submit_many(signed, seconds_max=10.0))

    first, second = await while_finalising(node, run(act, url))
    assert first.height == 1
    assert isinstance(second, Refusal)
    assert second.code == "MORATORIUM"


@each_client
async def test_what_was_earned_is_sent_on_and_followed(run: Run, node: MadeUpNode, url: str) -> None:
    friend = Walker(8).address_text

    async def act(client: AsyncStepClient) -> int:
        await client.wait(await client.sign(HERE, level=1))
        transfer = await client.sign_transfer(friend, "0.25", memo="tea")
        applied = await client.send_transfer(transfer)
        assert await client.send_transfer(transfer) == applied  # Sent again, it is paid once.
        assert (await client.account(friend)).balance == Decimal("0.250000")
        assert (await client.account(WALKER.address_text)).balance == Decimal("0.750000")
        return applied.height

    assert await while_finalising(node, run(act, url)) == 2


@each_client
async def test_a_refusal_has_its_code_its_details_and_who_said_it(run: Run, url: str) -> None:
    async def act(client: AsyncStepClient) -> Refused:
        signed = await client.sign(Position(10.0, 20.0, 5), level=12)
        with pytest.raises(Refused) as error:
            await client.submit(signed)
        return error.value

    refused = await run(act, url)
    assert (refused.code, refused.status, refused.url) == ("TRIANGLE_NOT_FOUND", 404, url)
    assert refused.details["retryable"] is False


@each_client
async def test_where_no_node_is_the_error_names_them_all(run: Run) -> None:
    one, other = nowhere(), nowhere()

    async def act(client: AsyncStepClient) -> Unavailable:
        with pytest.raises(Unavailable) as error:
            await client.get("/status")
        return error.value

    unavailable = await run(act, one, other)
    assert [url for url, _ in unavailable.attempts][:2] == [one, other]
    assert len(unavailable.attempts) == QUICK.attempts_max
    assert "cannot be reached" in unavailable.message


@each_client
async def test_an_answer_without_end_is_read_no_further_than_an_answer_may_be(run: Run) -> None:
    class Endless(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            try:
                while True:
                    self.wfile.write(b" " * 65_536)
            except OSError:
                self.close_connection = True  # The caller has read enough.

        def log_message(self, *_arguments: object) -> None:
            pass

    async def act(client: AsyncStepClient) -> Unavailable:
        with pytest.raises(Unavailable) as error:
            await client.get("/status")
        return error.value

    with HTTPServer(("127.0.0.1", 0), Endless) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            unavailable = await run(act, f"http://127.0.0.1:{server.server_port}")
        finally:
            server.shutdown()
            thread.join()
    assert "the answer has more than" in unavailable.message


async def test_without_a_key_a_client_reads_and_does_not_sign(url: str) -> None:
    async with AsyncStepClient(url) as client:
        assert (await client.rules()).chain_id == "step-test"
        with pytest.raises(TypeError, match="key: this client was made without one"):
            await client.sign(HERE, level=10)
