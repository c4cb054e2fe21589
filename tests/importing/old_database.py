"""A database as a single-server STEP leaves it: made by clicking, so that everything in it adds up.

`python -m tests.importing.old_database --mongodb-uri mongodb://127.0.0.1/step --accounts 100000` writes one into an
empty database, to rehearse an import with.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from pymongo import MongoClient

from mesh import LEVEL_MAX, TriangleId, locate
from step_node.importing.documents import Document
from step_node.importing.mongo_source import ACCOUNTS, EVENTS, TRIANGLES
from step_node.ledger.rewards import rounded_reward_ustep
from step_node.ledger.state_gates import clicks_max

LEVEL_FIRST = 9
"""Where everybody clicks first."""

EVENTS_EACH = 5
WRITTEN_AT_ONCE = 10_000


@dataclass
class OldServer:
    """A server that has been clicked; its documents as MongoDB would give them."""

    level_first: int = LEVEL_FIRST
    accounts: dict[str, dict[str, Any]] = field(default_factory=dict)
    triangles: dict[str, dict[str, Any]] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)

    def click(self, account: str, lat: float, lon: float, *, timestamp_ms: int, nonce: str) -> TriangleId | None:
        """One click in the active triangle there; None where all of them are exhausted."""
        level = self.level_first
        while self._document(place := locate(lat, lon, level))["state"] != "active":
            if level == LEVEL_MAX:
                return None
            level += 1
        document = self._document(place)
        document["clicks"] += 1
        document["lastClickAt"] = moment(timestamp_ms)
        if document["clicks"] == clicks_max(level):
            document["state"] = "subdivided" if level < LEVEL_MAX else "exhausted"
            if level < LEVEL_MAX:
                document["childrenIds"] = [child.text for child in place.children]
                for child in place.children:
                    self._document(child)
        reward_ustep = rounded_reward_ustep(level, document["clicks"])
        holder = self.accounts.setdefault(account, {"_id": account, "balance": "0"})
        holder["balance"] = str(int(holder["balance"]) + reward_ustep)
        self.events.append(
            {
                "_id": len(self.events),
                "account": account,
                "nonce": nonce,
                "timestamp": moment(timestamp_ms),
                "eventType": "click",
                "triangleId": place.text,
                "payload": {"lat": lat, "lon": lon, "reward": str(reward_ustep)},
            }
        )
        return place

    def _document(self, place: TriangleId) -> dict[str, Any]:
        new = {"_id": place.text, "level": place.level, "state": "active", "clicks": 0, "childrenIds": []}
        return self.triangles.setdefault(place.text, new)

    def collections(self) -> dict[str, list[dict[str, Any]]]:
        """All documents, by collection."""
        return {
            ACCOUNTS: list(self.accounts.values()),
            TRIANGLES: list(self.triangles.values()),
            EVENTS: list(self.events),
        }


class ListSource:
    """Documents in memory, in the order of their ids as text."""

    def __init__(self, collections: dict[str, list[dict[str, Any]]]) -> None:
        self.collections = collections

    def count(self, collection: str) -> int:
        return len(self.collections[collection])

    def pages(self, collection: str) -> Iterator[Sequence[Document]]:
        remaining = iter(sorted(self.collections[collection], key=lambda document: str(document["_id"])))
        while page := list(islice(remaining, 7)):
            yield page


def moment(timestamp_ms: int) -> datetime:
    """As MongoDB has it."""
    return datetime.fromtimestamp(timestamp_ms / 1000, UTC)


def clicked_server(accounts: int, *, ends_ms: int, events_each: int = EVENTS_EACH, seed: int = 0) -> OldServer:
    """A server that so many accounts have clicked, the last time at `ends_ms`; the same whenever it is made."""
    numbers = random.Random(seed)
    server = OldServer()
    clicks = accounts * events_each
    for index in range(clicks):
        holder = index % accounts
        # A few towns, so that triangles fill up.
        town = holder % max(1, accounts // 50)
        lat = -60 + (town * 37 % 12_000) / 100 + numbers.uniform(-0.02, 0.02)
        lon = -179 + (town * 61 % 35_800) / 100 + numbers.uniform(-0.02, 0.02)
        server.click(
            f"0x{holder + 1:040x}",
            lat,
            lon,
            timestamp_ms=ends_ms - (clicks - 1 - index) * 10,
            nonce=f"old-{index}",
        )
    return server


def write(uri: str, database: str | None, server: OldServer) -> None:
    """Write all documents into a database that has none of these collections."""
    client: MongoClient[dict[str, Any]] = MongoClient(uri)
    target = client.get_default_database() if database is None else client[database]
    for name, documents in server.collections().items():
        if name in target.list_collection_names():
            raise SystemExit(f"{target.name}.{name}: is there already")
        for start in range(0, len(documents), WRITTEN_AT_ONCE):
            target[name].insert_many(documents[start : start + WRITTEN_AT_ONCE])
    client.close()


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mongodb-uri", required=True)
    parser.add_argument("--accounts", type=int, default=100_000)
    parser.add_argument("--events-each", type=int, default=EVENTS_EACH)
    wanted = parser.parse_args()
    now_ms = int(datetime.now(UTC).timestamp() * 1000)
    server = clicked_server(wanted.accounts, ends_ms=now_ms, events_each=wanted.events_each)
    write(wanted.mongodb_uri, None, server)
    for name, documents in server.collections().items():
        sys.stdout.write(f"{name}: {len(documents)}\n")


if __name__ == "__main__":
    _main()
