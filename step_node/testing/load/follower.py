"""Following a chain from outside: which proofs have become final, told by its batches and not proof by proof."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import trio

from step_node.errors import StepNodeError
from step_node.testing.load.connection import Connection, Endpoint, NoAnswer

POLL_SECONDS = 0.05
"""Between two looks at the height: finality is seen by as much too late, and by what the batch's answer takes."""
RETRY_SECONDS = 0.5


async def ask_for_json(connection: Connection, path: str) -> dict[str, object]:
    """The JSON object at `path`. Raises NoAnswer for anything else."""
    answer = await connection.request("GET", path)
    try:
        value = json.loads(answer.body)
    except ValueError as error:
        raise NoAnswer(f"{path}: the answer is not JSON") from error
    if answer.status != 200 or not isinstance(value, dict):
        raise NoAnswer(f"{path}: {answer.status} {answer.body[:200]!r}")
    return value


class Follower:
    """Asks one node for its height, and for each new batch; another one while that does not answer.

    `on_final` is given the proof ids of each batch, 0x and hex, at the moment in which they were seen.
    """

    def __init__(self, endpoints: Sequence[Endpoint], on_final: Callable[[Sequence[str]], None]) -> None:
        self._connections = [Connection(endpoint) for endpoint in endpoints]
        self._at = 0
        self._on_final = on_final
        self.height = 0

    async def begin(self) -> None:
        """Note where the chain stands now. Raises StepNodeError if nobody tells."""
        for _ in self._connections:
            try:
                self.height = await self._height()
            except NoAnswer as error:
                failure = error
                self._at = (self._at + 1) % len(self._connections)
            else:
                return
        raise StepNodeError(f"no node tells where the chain stands: {failure}")

    async def run(self) -> None:
        """Follow until cancelled."""
        try:
            while True:
                try:
                    await self._look()
                except NoAnswer:
                    self._at = (self._at + 1) % len(self._connections)
                    await trio.sleep(RETRY_SECONDS)
                await trio.sleep(POLL_SECONDS)
        finally:
            with trio.CancelScope(shield=True):
                for connection in self._connections:
                    await connection.close()

    async def _look(self) -> None:
        head = await self._height()
        while self.height < head:
            batch = await ask_for_json(self._connections[self._at], f"/batch/{self.height + 1}")
            proof_ids = batch.get("proofIds")
            if not isinstance(proof_ids, list):
                raise NoAnswer("the answer is no batch")
            self.height += 1
            self._on_final(proof_ids)

    async def _height(self) -> int:
        height = (await ask_for_json(self._connections[self._at], "/status")).get("height")
        if not isinstance(height, int):
            raise NoAnswer("the answer has no height")
        return height
