"""What the store's driver sends to which server: to be looked at after a test has used a store."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import pytest
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent

READS: Final = frozenset({"find", "aggregate"})


@dataclass(frozen=True, slots=True)
class Sent:
    """One command. `port` is its server's."""

    name: str
    body: dict[str, Any]
    database: str
    port: int

    @property
    def is_in_transaction(self) -> bool:
        """Whether it takes effect with its transaction's commit, which is a command of its own."""
        return self.body.get("autocommit") is False and self.name != "commitTransaction"


class SentCommands(CommandListener):
    """All commands of the clients that are made once this is there; those of the driver's own monitors are not."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sent: list[Sent] = []
        client = partial(AsyncIOMotorClient, event_listeners=[self])
        monkeypatch.setattr("step_node.storage.mongo_driver.AsyncClient", client)

    def started(self, event: CommandStartedEvent) -> None:
        """Called by the driver, on its threads."""
        _, port = event.connection_id
        self.sent.append(Sent(event.command_name, dict(event.command), event.database_name, port or 0))

    def succeeded(self, event: CommandSucceededEvent) -> None:
        """Nothing is kept of it."""

    def failed(self, event: CommandFailedEvent) -> None:
        """Nothing is kept of it."""

    def reads_at(self, port: int) -> int:
        """How many questions went to this server."""
        return sum(one.name in READS and one.port == port for one in self.sent)
