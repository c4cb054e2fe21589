"""Where an import puts what it has read, to sort, join and sum it: a SQLite file that is thrown away at the end.

A database may be larger than memory. Nothing here is durable, and every sum is of integers that SQLite holds exactly.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from step_node.importing.documents import OldAccount, OldEvent, OldTriangle
from step_node.ledger.records import Account, LastProof, NonceRecord, Triangle, TriangleState
from step_node.snapshot.initial_state import PAGE_RECORDS
from step_node.storage.interface import StoredRecord

CACHE_KIB: Final = 65_536
"""Of the file that are kept in memory."""

_IS_THERE: Final = "account IN (SELECT address FROM accounts)"

_SCHEMA: Final = """
CREATE TABLE accounts (address BLOB PRIMARY KEY, balance INTEGER, documents INTEGER) WITHOUT ROWID;
CREATE TABLE triangles (level INTEGER, id INTEGER, clicks INTEGER, state INTEGER, PRIMARY KEY (level, id))
  WITHOUT ROWID;
CREATE TABLE clicks (id INTEGER PRIMARY KEY, inside INTEGER, outside INTEGER, outside_ustep INTEGER);
CREATE TABLE places (account BLOB PRIMARY KEY, timestamp_ms INTEGER, nonce TEXT, lat REAL, lon REAL) WITHOUT ROWID;
CREATE TABLE rewards (account BLOB PRIMARY KEY, ustep INTEGER, events INTEGER, taken INTEGER) WITHOUT ROWID;
CREATE TABLE nonces (account BLOB, nonce TEXT, timestamp_ms INTEGER, events INTEGER, PRIMARY KEY (account, nonce))
  WITHOUT ROWID;
"""


class Scratch:
    """See the module's docstring. Rows are written as they come; a page of them at a time is in memory."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        for pragma in ("journal_mode = OFF", "synchronous = OFF", "temp_store = FILE", f"cache_size = -{CACHE_KIB}"):
            self._connection.execute(f"PRAGMA {pragma}")
        self._connection.executescript(_SCHEMA)
        self._connection.execute("BEGIN")

    def close(self) -> None:
        self._connection.close()

    def add_accounts(self, accounts: Sequence[OldAccount]) -> None:
        self._write(
            "INSERT INTO accounts VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET documents = documents + 1,"
            " balance = balance + excluded.balance",
            [(one.address, one.balance_ustep) for one in accounts],
        )

    def add_triangles(self, triangles: Sequence[OldTriangle]) -> None:
        self._write(
            "INSERT INTO triangles VALUES (?, ?, ?, ?)",
            [(one.place.level, one.place.integer, one.clicks, int(one.state)) for one in triangles],
        )

    def add_clicks(self, events: Iterable[tuple[OldEvent, bool]]) -> None:
        """What events say of the triangles that they name; with each, whether its position is outside."""
        self._write(
            "INSERT INTO clicks VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET inside = inside + excluded.inside,"
            " outside = outside + excluded.outside, outside_ustep = outside_ustep + excluded.outside_ustep",
            [
                (
                    one.triangle.integer,
                    int(not is_outside),
                    int(is_outside),
                    one.reward_ustep or 0 if is_outside else 0,
                )
                for one, is_outside in events
                if one.triangle is not None
            ],
        )

    def add_rewards(self, events: Sequence[OldEvent], *, taken: bool) -> None:
        """What events say they have paid; `taken`: whether they count as proofs."""
        self._write(
            "INSERT INTO rewards VALUES (?, ?, 1, ?) ON CONFLICT DO UPDATE SET ustep = ustep + excluded.ustep,"
            " events = events + 1, taken = taken + excluded.taken",
            [(one.account, one.reward_ustep or 0, int(taken)) for one in events],
        )

    def add_places(self, events: Sequence[OldEvent]) -> None:
        """Where accounts were: the latest counts, and of one moment the greatest nonce, whatever the order."""
        self._write(
            "INSERT INTO places VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET timestamp_ms = excluded.timestamp_ms,"
            " nonce = excluded.nonce, lat = excluded.lat, lon = excluded.lon"
            " WHERE (excluded.timestamp_ms, excluded.nonce, excluded.lat, excluded.lon)"
            " > (timestamp_ms, nonce, lat, lon)",
            [(one.account, one.timestamp_ms, one.nonce, one.lat, one.lon) for one in events],
        )

    def add_nonces(self, events: Sequence[OldEvent]) -> None:
        self._write(
            "INSERT INTO nonces VALUES (?, ?, ?, 1) ON CONFLICT DO UPDATE SET events = events + 1,"
            " timestamp_ms = max(timestamp_ms, excluded.timestamp_ms)",
            [(one.account, one.nonce, one.timestamp_ms) for one in events],
        )

    def take_accounts_twice(self) -> Iterator[tuple[bytes, int, int]]:
        """Of each address that more than one document has: it, how many, what they hold together. They go."""
        yield from self._read("SELECT address, documents, balance FROM accounts WHERE documents > 1 ORDER BY address")
        self._connection.execute("DELETE FROM accounts WHERE documents > 1")

    def take_triangles_elsewhere(self) -> Iterator[tuple[int, int]]:
        """Of each triangle that has events, none of them within it: its id, and how many. They go."""
        elsewhere = "FROM triangles WHERE id IN (SELECT id FROM clicks WHERE inside = 0)"
        yield from self._read(
            f"SELECT id, (SELECT outside FROM clicks WHERE clicks.id = triangles.id) {elsewhere} ORDER BY id"
        )
        self._connection.execute(f"DELETE {elsewhere}")

    def take_orphans(self, level: int) -> Iterator[int]:
        """The triangles of a level whose parents are not subdivided. They go; the level above must be settled."""
        # The last of the level - 1 digits, and the level itself, make the parent's id (protocol.md §1).
        last_digit = 3 << _digit_shift(level - 1)
        orphans = (
            f"FROM triangles WHERE level = {level} AND NOT EXISTS (SELECT 1 FROM triangles AS parent WHERE parent.level"
            f" = {level - 1} AND parent.id = (triangles.id & ~{last_digit}) - 1"
            f" AND parent.state = {int(TriangleState.SUBDIVIDED)})"
        )
        for (triangle,) in self._read(f"SELECT id {orphans} ORDER BY id"):
            yield triangle
        self._connection.execute(f"DELETE {orphans}")

    def add_children(self, level: int) -> int:
        """Bring the children of a level's subdivided triangles into being that are not there; how many."""
        return self._connection.execute(
            "INSERT OR IGNORE INTO triangles"
            f" SELECT level + 1, triangles.id + 1 + (digit.value << {_digit_shift(level)}), 0, 0"
            " FROM triangles, json_each('[0, 1, 2, 3]') AS digit"
            f" WHERE level = {level} AND state = {int(TriangleState.SUBDIVIDED)}"
        ).rowcount

    def drop_untouched(self, seeded_level: int) -> int:
        """Take out those that nobody has clicked and that exist without a record; how many."""
        return self._connection.execute(
            "DELETE FROM triangles WHERE level <= ? AND clicks = 0", (seeded_level,)
        ).rowcount

    def names_triangles(self) -> bool:
        """Whether any event names a triangle."""
        return bool(self._one("SELECT EXISTS (SELECT 1 FROM clicks)"))

    def clicks_differing(self) -> Iterator[tuple[int, int, int]]:
        """Of each triangle whose clicks are not those of its events: its id, its clicks, its events."""
        yield from self._read(
            "SELECT id, triangles.clicks, coalesce(inside + outside, 0) AS events FROM triangles"
            " LEFT JOIN clicks USING (id) WHERE triangles.clicks <> events"
            " UNION ALL SELECT id, 0, inside + outside FROM clicks WHERE id NOT IN (SELECT id FROM triangles)"
            " ORDER BY id"
        )

    def clicks_outside(self) -> Iterator[tuple[int, int, int, int, int]]:
        """Of each triangle of whose events some lie outside it: its id, its clicks, its events, those outside, and what
        these have paid."""
        yield from self._read(
            "SELECT id, triangles.clicks, inside + outside, outside, outside_ustep FROM triangles"
            " JOIN clicks USING (id) WHERE outside > 0 ORDER BY id"
        )

    def clicks_outside_of_none(self) -> tuple[int, int]:
        """How many events lie outside triangles that are not there, and what they have paid."""
        events, ustep = self._connection.execute(
            "SELECT coalesce(sum(outside), 0), coalesce(sum(outside_ustep), 0) FROM clicks"
            " WHERE id NOT IN (SELECT id FROM triangles)"
        ).fetchone()
        return int(events), int(ustep)

    def accounts_lacking(self) -> Iterator[tuple[bytes, int, int]]:
        """Of each account that events name and that is not there: it, its events, their rewards."""
        yield from self._read(
            "SELECT account, events, ustep FROM rewards WHERE account NOT IN (SELECT address FROM accounts)"
            " ORDER BY account"
        )

    def rewards_differing(self) -> Iterator[tuple[bytes, int, int]]:
        """Of each account that holds another amount than its events have paid: it, its balance, their sum."""
        yield from self._read(
            "SELECT address, balance, coalesce(ustep, 0) FROM accounts LEFT JOIN rewards ON account = address"
            " WHERE balance <> coalesce(ustep, 0) ORDER BY address"
        )

    def nonces_twice(self) -> Iterator[tuple[bytes, str, int]]:
        """Of each nonce that more than one event has: its account, it, and how many."""
        yield from self._read("SELECT account, nonce, events FROM nonces WHERE events > 1 ORDER BY account, nonce")

    def nonces_before(self, timestamp_ms: int) -> int:
        """How many nonces of accounts that are there are older than that."""
        return self._one(f"SELECT count(*) FROM nonces WHERE {_IS_THERE} AND timestamp_ms < {timestamp_ms:d}")

    def balances_ustep(self) -> int:
        """What the accounts hold."""
        return self._one("SELECT coalesce(sum(balance), 0) FROM accounts")

    def pages(self, *, nonces_from_ms: int) -> Iterator[Sequence[StoredRecord]]:
        """All records in a snapshot's order, with the nonces that are no older than that."""
        yield from self._pages(
            "SELECT address, balance, coalesce(taken, 0), timestamp_ms, lat, lon FROM accounts"
            " LEFT JOIN rewards ON rewards.account = address LEFT JOIN places ON places.account = address"
            " ORDER BY address",
            _account,
        )
        yield from self._pages(
            "SELECT id, clicks, state FROM triangles ORDER BY id",
            lambda row: Triangle(row[0], row[1], TriangleState(row[2])),
        )
        yield from self._pages(
            f"SELECT account, nonce, timestamp_ms FROM nonces WHERE {_IS_THERE} AND timestamp_ms >= {nonces_from_ms:d}"
            " ORDER BY account, nonce",
            lambda row: NonceRecord(*row),
        )

    def _write(self, statement: str, rows: Sequence[tuple[object, ...]]) -> None:
        self._connection.executemany(statement, rows)

    def _read(self, query: str) -> Iterator[Any]:
        yield from self._connection.execute(query)

    def _one(self, query: str) -> int:
        (value,) = self._connection.execute(query).fetchone()
        return int(value)

    def _pages(self, query: str, record: Callable[[Any], StoredRecord]) -> Iterator[Sequence[StoredRecord]]:
        cursor = self._connection.execute(query)
        while rows := cursor.fetchmany(PAGE_RECORDS):
            yield [record(row) for row in rows]


def _account(row: Any) -> Account:
    address, balance_ustep, proofs, timestamp_ms, lat, lon = row
    last = None if timestamp_ms is None else LastProof(timestamp_ms, lat, lon)
    return Account(address, balance_ustep, proofs, last)


def _digit_shift(digit: int) -> int:
    """How far left the digit of that number, from 1 on, stands in the integer form: 40 bits of digits, 5 of level."""
    return 45 - 2 * digit
