"""The asynchronous client, for trio and asyncio: it carries the requests of `flows` by httpx, and sleeps by anyio."""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from decimal import Decimal
from types import TracebackType
from typing import Self, TypeVar

import anyio
import httpx

from step_node.client import flows, queries, transfers
from step_node.client.answers import Account, ActiveTriangle, Finalised, Json, NodeRules, Pending, SubmissionOutcome
from step_node.client.events import EVENTS_PATH, SILENCE_SECONDS_MAX, Event, Follower
from step_node.client.exchange import Effect, Flow, Nodes, NoReply, Pause, Reply, RetryPolicy
from step_node.client.position import Position
from step_node.client.queries import BoundingBox, Level, Query
from step_node.client.signing import Key, Signer, Submission, signer_of
from step_node.client.sync_client import FINAL_SECONDS_MAX, wall_clock_ms
from step_node.client.transfers import Applied, SignedTransfer
from step_node.client.transport import FAILURES, Body, arguments, no_reply, options, parts_of, stream_timeout

T = TypeVar("T")


class AsyncStepClient:
    """`StepClient` for trio and asyncio: use it as an asynchronous context manager, or call `aclose`.

    Its arguments and methods are those of `StepClient`. One task at a time signs and submits for one account, since
    proofs go in the order of their timestamps; questions may be asked by many at once. `http` is an
    `httpx.AsyncClient`, `sleep` a coroutine function. A `Signer` is called in the task itself, and must not block it.
    """

    def __init__(
        self,
        urls: str | Sequence[str],
        *,
        key: Key | None = None,
        policy: RetryPolicy | None = None,
        tls: ssl.SSLContext | None = None,
        http: httpx.AsyncClient | None = None,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
        now_ms: Callable[[], int] = wall_clock_ms,
    ) -> None:
        policy = RetryPolicy() if policy is None else policy
        nodes = Nodes([urls] if isinstance(urls, str) else urls, policy.clock)
        self.session = flows.Session(nodes, policy, now_ms)
        self._signer = None if key is None else signer_of(key)
        self._http = httpx.AsyncClient(**options(tls)) if http is None else http
        self._owns_http = http is None
        self._sleep = sleep

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        if self._owns_http:
            await self._http.aclose()

    @property
    def signer(self) -> Signer:
        """Who signs. Raises TypeError if the client was given no key."""
        if self._signer is None:
            raise TypeError("key: this client was made without one; give it one to sign")
        return self._signer

    # Proofs

    async def rules(self, *, anew: bool = False) -> NodeRules:
        """The chain's rules; asked for once, unless `anew`."""
        return await self._run(flows.rules(self.session, anew=anew))

    async def sign(
        self,
        position: Position,
        *,
        triangle_id: str | None = None,
        level: int | None = None,
        nonce: str | None = None,
    ) -> Submission:
        """Sign a position in the triangle named, or of `level`, or else in the active one, which the node names.

        Raises BadPosition for a stale or inaccurate fix.
        """
        return await self._run(
            flows.sign(self.session, self.signer, position, triangle_id=triangle_id, level=level, nonce=nonce)
        )

    async def submit(self, submission: Submission, *, wait_ms: int | None = None) -> Finalised | Pending:
        """Submit a signed proof, again and to other nodes where it has to be. Raises Refused, Dropped, Unavailable."""
        return await self._run(flows.submit(self.session, submission, wait_ms=wait_ms))

    async def submit_many(
        self, submissions: Sequence[Submission], *, seconds_max: float = FINAL_SECONDS_MAX
    ) -> list[SubmissionOutcome]:
        """Submit many, and wait for their finality up to `seconds_max`: the outcome of each, in order."""
        return await self._run(flows.submit_many(self.session, submissions, seconds_max=seconds_max))

    async def wait(
        self, submission: Submission, *, url: str | None = None, seconds_max: float = FINAL_SECONDS_MAX
    ) -> Finalised:
        """Wait until an accepted proof is final. Raises NotFinalYet, Dropped, Refused, Unavailable."""
        return await self._run(flows.wait(self.session, submission, url=url, seconds_max=seconds_max))

    async def prove(
        self, position: Position, *, triangle_id: str | None = None, seconds_max: float = FINAL_SECONDS_MAX
    ) -> Finalised:
        """Sign a position, submit it, and wait until it is final; in another triangle if that one is used up."""
        return await self._run(
            flows.prove(self.session, self.signer, position, triangle_id=triangle_id, seconds_max=seconds_max)
        )

    async def receipt(self, proof_id: str, *, cbor: bool = False) -> bytes:
        """The receipt of a final proof, unchecked: `receipts.verify_receipt` checks it with the genesis file alone."""
        return await self._run(flows.receipt(self.session, proof_id, cbor=cbor))

    # Transfers

    async def sign_transfer(self, to: str, amount: Decimal | str, *, memo: str = "") -> SignedTransfer:
        """Sign that `amount` STEP go to the account `to`, with the sequence number that is next. The memo is public."""
        return await self._run(transfers.sign(self.session, self.signer, to=to, amount=amount, memo=memo))

    async def send_transfer(self, transfer: SignedTransfer, *, seconds_max: float = FINAL_SECONDS_MAX) -> Applied:
        """Hand in a transfer, and wait until it is applied. Sending the same one again is safe, and pays once.

        Raises Refused, Dropped, NotFinalYet, Unavailable.
        """
        return await self._run(transfers.send(self.session, transfer, seconds_max=seconds_max))

    # Questions

    async def ask(self, query: Query[T]) -> T:
        """The answer to one of `step_node.client.queries`."""
        return await self._run(flows.ask(self.session, query))

    async def get(self, path: str, parameters: Mapping[str, object] | None = None) -> Json:
        """Any path of the API, answered with the whole object."""
        return await self.ask(queries.whole(path, parameters))

    async def account(self, address: str) -> Account:
        """An account; one that was never paid has a balance of 0."""
        return await self.ask(queries.account(address))

    async def active_triangle(self, lat: float, lon: float) -> ActiveTriangle:
        """The active triangle that holds a point, in one request."""
        return await self.ask(queries.active_triangle(lat, lon))

    async def triangle_at(self, lat: float, lon: float, level: Level, *, include_polygon: bool | None = None) -> Json:
        """The triangle that holds a point."""
        return await self.ask(queries.triangle_at(lat, lon, level, include_polygon=include_polygon))

    async def search(self, bbox: BoundingBox, level: int, *, max_results: int | None = None) -> Json:
        """The triangles of a level that meet a box."""
        return await self.ask(queries.search(bbox, level, max_results=max_results))

    async def nearby(
        self, lat: float, lon: float, radius_m: float, level: Level, *, account: str | None = None
    ) -> Json:
        """The triangles within so many metres."""
        return await self.ask(queries.nearby(lat, lon, radius_m, level, account=account))

    # The feed

    async def events(
        self, parameters: Mapping[str, object] | None = None, *, last_id: str | None = None
    ) -> AsyncGenerator[Event, None]:
        """Follow `GET /events`, for ever, from `last_id` on: over ends of streams, and over nodes.

        Close it when you have seen enough: `async with contextlib.aclosing(client.events()) as events`.

        `parameters` are its filters, lists as lists. A `gap` says what cannot be told any more. Raises Refused for
        filters that are wrong, Unavailable.
        """
        follower = Follower(self.session.nodes, self.session.policy, last_id)
        request = queries.whole(EVENTS_PATH, parameters).request
        timeout = stream_timeout(self.session.policy)
        while True:
            headers = follower.begin()
            try:
                async with self._http.stream(
                    "GET", follower.url + request.path, params=dict(request.query), headers=headers, timeout=timeout
                ) as response:
                    if response.status_code == httpx.codes.OK:
                        async with aclosing(parts_of(response)) as parts:
                            async for part in parts:
                                for event in follower.feed(part):
                                    yield event
                        pause_seconds = follower.ended("the stream has ended")
                    else:
                        pause_seconds = follower.no_stream(await self._read(response, SILENCE_SECONDS_MAX))
            except FAILURES as error:
                pause_seconds = follower.ended(no_reply(error, SILENCE_SECONDS_MAX).reason)
            await self._sleep(pause_seconds)

    # The carrying

    async def _run(self, flow: Flow[T]) -> T:
        """Carry out a flow's effects until it has its result."""
        told: Reply | NoReply | None = None
        while True:
            try:
                effect = flow.send(told)
            except StopIteration as end:
                result: T = end.value
                return result
            told = await self._carry(effect)

    async def _carry(self, effect: Effect) -> Reply | NoReply | None:
        if isinstance(effect, Pause):
            await self._sleep(effect.seconds)
            return None
        try:
            async with self._http.stream(**arguments(effect)) as response:
                return await self._read(response, effect.seconds_max)
        except FAILURES as error:
            return no_reply(error, effect.seconds_max)

    async def _read(self, response: httpx.Response, seconds_max: float) -> Reply:
        body = Body(seconds_max)
        async with aclosing(parts_of(response)) as parts:
            async for part in parts:
                body.add(part)
        return body.reply(response)
