"""SQLite rows and the records they stand for: the tables' columns, and the two directions between rows and dataclasses.

Rows go in and out many at a time: in as one statement with many VALUES, out as one row that holds a JSON array. That
is not for SQLite's sake. The sqlite3 module lets go of the GIL at every step of a statement and must win it back from
a busy event loop: up to 5 ms a row, measured as 3 s for the 3,000 records of a large batch, against 0.1 s so.

Two kinds of value are not JSON's: bytes travel as hex, and floats are stored as big-endian IEEE-754 bytes, so that
each bit of a place comes back as it was committed to.
"""

from __future__ import annotations

import json
import sqlite3
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice
from typing import Any, TypeAlias

from mesh import TriangleId
from step_node.ledger.level_counts import LevelCounts
from step_node.ledger.offences import OffenceKind, Slashing
from step_node.ledger.protocol_record import protocol_record_from
from step_node.ledger.records import (
    Account,
    ChainRecord,
    LastProof,
    NonceRecord,
    Triangle,
    TriangleState,
    ValidatorRecord,
    ValidatorState,
    record_bytes,
)
from step_node.ledger.state import Receipt, StateHead
from step_node.ledger.validator_changes import ValidatorChange, ValidatorChangeKind
from step_node.operations.operation import decode_operation, encode_operation, recipient_of
from step_node.parameters import Parameters
from step_node.proofs.proof import SignedProof
from step_node.storage.interface import FinalisedOperation, FinalisedProof, StoredBatch

Value: TypeAlias = int | float | str | bytes | None
Row: TypeAlias = tuple[Value, ...]

VALUES_PER_STATEMENT_MAX = 32_000
"""A statement carries no more values; what is above goes into a further one. SQLite's own limit is 32,766."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table, or a part of its columns. `blobs` are those of its columns that hold bytes."""

    name: str
    columns: tuple[str, ...]
    blobs: frozenset[str]

    @property
    def column_list(self) -> str:
        return ", ".join(self.columns)


def _table(name: str, columns: str) -> Table:
    """From column names in a line, those that hold bytes with a `*` in front."""
    names = columns.split()
    return Table(
        name,
        columns=tuple(column.removeprefix("*") for column in names),
        blobs=frozenset(column.removeprefix("*") for column in names if column.startswith("*")),
    )


CHAIN = _table(
    "chain",
    "height *batch_hash timestamp_ms *proposer paid_ustep minted_ustep balances_ustep stakes_ustep burnt_ustep"
    " evidence_floor_height evidence_mark_height evidence_mark_ms *parameters *protocol *lanes",
)
VALIDATORS = _table(
    "validators",
    "*address *public_key stake_ustep p2p_address *owner state active_from_height active_until_height"
    " slashed_at_height slashed_ustep locked_until_ms absent_since_ms absent_batches *next_public_key",
)
ACCOUNTS = _table("accounts", "*address balance_ustep proofs last_timestamp_ms *last_place operations")
TRIANGLES = _table("triangles", "id clicks state")
LEVELS = _table("levels", "level touched subdivided exhausted clicks")
NONCES = _table("nonces", "*account nonce timestamp_ms")
BATCHES = _table("batches", "height *batch_hash timestamp_ms *batch *commit_bytes *operation_balances")
OPERATIONS = _table("operations", "*operation_id height position *owner *recipient timestamp_ms *operation")
SLASHINGS = _table(
    "slashings", "height position kind *accused *validator offence_height amount_ustep timestamp_ms *evidence"
)
VALIDATOR_CHANGES = _table("validator_changes", "height position kind *validator *owner stake_ustep *successor")
_RECEIPT_COLUMNS = (
    "*proof_id height position *account triangle reward_ustep clicks triangle_state balance_ustep processed_at_ms"
)
RECEIPTS = _table("proofs", _RECEIPT_COLUMNS)
PROOFS = _table("proofs", f"{_RECEIPT_COLUMNS} *place timestamp_ms nonce *signature")

_LAST_PLACE = struct.Struct(">dd")
"""lat, lon in degrees."""

_PLACE = struct.Struct(">ddd")
"""lat, lon in degrees, accuracy in metres."""


def write_rows(connection: sqlite3.Connection, verb: str, table: Table, rows: Iterable[Row]) -> None:
    """`verb` ("INSERT" or "REPLACE") rows of the table's columns."""
    for chunk in _chunks(rows):
        source = f"SELECT * FROM ({chunk.values_clause}) LIMIT ?"
        connection.execute(f"{verb} INTO {table.name} ({table.column_list}) {source}", [*chunk.values, chunk.rows])


def write_triangles(connection: sqlite3.Connection, rows: Iterable[Row]) -> None:
    """Insert rows of TRIANGLES, or put them in the place of those with their ids.

    A REPLACE deletes and inserts, in each index as well; so a state that stays is not written, and its index neither.
    """
    for chunk in _chunks(rows):
        source = f"SELECT * FROM ({chunk.values_clause}) LIMIT ?"
        connection.execute(
            f"INSERT INTO triangles ({TRIANGLES.column_list}) {source}"
            " ON CONFLICT (id) DO UPDATE SET clicks = excluded.clicks",
            [*chunk.values, chunk.rows],
        )
        connection.execute(
            f"UPDATE triangles SET state = given.column3 FROM (SELECT * FROM ({chunk.values_clause}) LIMIT ?) AS given"
            " WHERE id = given.column1 AND state <> given.column3",
            [*chunk.values, chunk.rows],
        )


def read_rows(connection: sqlite3.Connection, table: Table, where: str = "", values: Row = ()) -> list[list[Any]]:
    """The table's columns of the rows that `where` (with its ORDER BY and LIMIT) selects, in no particular order."""
    source = f"(SELECT {table.column_list} FROM {table.name} {where})"
    return _unpacked(connection, table, source, values)


def read_rows_in(connection: sqlite3.Connection, table: Table, key: str, keys: Iterable[Row]) -> Iterator[list[Any]]:
    """The rows whose `key` (a column, or columns in parentheses) is among `keys`, in no particular order."""
    for chunk in _chunks(keys):
        yield from _unpacked(connection, table, f"{table.name} WHERE {key} IN ({chunk.keys_query})", chunk.values)


def read_rows_between(
    connection: sqlite3.Connection, table: Table, key: str, ranges: Sequence[tuple[int, int]], rows_max: int
) -> list[list[Any]]:
    """The first `rows_max` rows, by rising `key` (the integer primary key), in one of the ranges, ends included.

    The ranges must be in rising order and apart. SQLite takes what stands left of a CROSS JOIN for its outer loop, so
    it walks one range after the other, and stops at the last row wanted; were it told to sort, it would read them all.
    """
    columns = ", ".join(f"{table.name}.{column}" for column in table.columns)
    source = (
        f"(SELECT {columns} FROM json_each(?) AS range CROSS JOIN {table.name}"
        f" ON {table.name}.{key} BETWEEN range.value ->> 0 AND range.value ->> 1 LIMIT ?)"
    )
    found = _unpacked(connection, table, source, (json.dumps(ranges), rows_max))
    return sorted(found, key=lambda row: row[table.columns.index(key)])


def delete_rows_in(connection: sqlite3.Connection, table: Table, key: str, keys: Iterable[Row]) -> int:
    """Delete the rows whose `key` (a column, or columns in parentheses) is among `keys`; how many there were."""
    return sum(
        connection.execute(f"DELETE FROM {table.name} WHERE {key} IN ({chunk.keys_query})", chunk.values).rowcount
        for chunk in _chunks(keys)
    )


def pages_by_key(
    connection: sqlite3.Connection, table: Table, key: tuple[str, ...], rows_max: int
) -> Iterator[list[list[Any]]]:
    """All rows in the order of `key`, the names of the table's first columns, a page of up to `rows_max` at a time."""
    columns, places = ", ".join(key), ", ".join("?" * len(key))
    last: Row = ()
    while True:
        after = f"WHERE ({columns}) > ({places})" if last else ""
        page = read_rows(connection, table, f"{after} ORDER BY {columns} LIMIT {rows_max}", last)
        if page:
            page.sort(key=lambda row: row[: len(key)])
            yield page
        if len(page) < rows_max:
            return
        last = tuple(page[-1][: len(key)])


def chain_row(head: StateHead) -> Row:
    chain = head.chain
    return (
        chain.height,
        chain.batch_hash,
        chain.timestamp_ms,
        chain.proposer,
        chain.paid_ustep,
        chain.minted_ustep,
        chain.balances_ustep,
        chain.stakes_ustep,
        chain.burnt_ustep,
        chain.evidence_floor_height,
        chain.evidence_mark_height,
        chain.evidence_mark_ms,
        head.parameters.canonical_json(),
        record_bytes(head.protocol),
        head.lanes,
    )


def head_from(row: Sequence[Any], validators: Iterable[Sequence[Any]]) -> StateHead:
    """From a row of CHAIN and the rows of VALIDATORS, in any order."""
    *chain, parameters, protocol, lanes = row
    records = map(_validator_from, validators)
    return StateHead(
        chain=ChainRecord(*chain),
        parameters=Parameters.model_validate_json(parameters),
        validators=tuple(sorted(records, key=lambda validator: validator.address)),
        protocol=protocol_record_from(protocol),
        lanes=lanes,
    )


def batch_row(stored: StoredBatch) -> Row:
    return stored.height, stored.batch_hash, stored.timestamp_ms, stored.batch, stored.commit, stored.operation_balances


def validator_row(validator: ValidatorRecord) -> Row:
    return (
        validator.address,
        validator.public_key,
        validator.stake_ustep,
        validator.p2p_address,
        validator.owner,
        int(validator.state),
        validator.active_from_height,
        validator.active_until_height,
        validator.slashed_at_height,
        validator.slashed_ustep,
        validator.locked_until_ms,
        validator.absent_since_ms,
        validator.absent_batches,
        validator.next_public_key,
    )


def _validator_from(row: Sequence[Any]) -> ValidatorRecord:
    address, public_key, stake_ustep, p2p_address, owner, state, *rest = row
    return ValidatorRecord(address, public_key, stake_ustep, p2p_address, owner, ValidatorState(state), *rest)


def slashing_row(slashing: Slashing) -> Row:
    return (
        slashing.height,
        slashing.index,
        slashing.kind.value,
        slashing.accused,
        slashing.validator,
        slashing.offence_height,
        slashing.amount_ustep,
        slashing.timestamp_ms,
        slashing.evidence,
    )


def slashing_from(row: Sequence[Any]) -> Slashing:
    height, index, kind, *rest = row
    return Slashing(height, index, OffenceKind(kind), *rest)


def validator_change_row(change: ValidatorChange) -> Row:
    return (
        change.height,
        change.index,
        change.kind.value,
        change.validator,
        change.owner,
        change.stake_ustep,
        change.successor,
    )


def validator_change_from(row: Sequence[Any]) -> ValidatorChange:
    height, index, kind, *rest = row
    return ValidatorChange(height, index, ValidatorChangeKind(kind), *rest)


def account_row(account: Account) -> Row:
    last = account.last_proof
    place: Row = (None, None) if last is None else (last.timestamp_ms, _LAST_PLACE.pack(last.lat, last.lon))
    return account.address, account.balance_ustep, account.proofs, *place, account.operations


def account_from(row: Sequence[Any]) -> Account:
    address, balance_ustep, proofs, timestamp_ms, place, operations = row
    last = None if timestamp_ms is None else LastProof(timestamp_ms, *_LAST_PLACE.unpack(place))
    return Account(address, balance_ustep, proofs, last, operations)


def triangle_row(triangle: Triangle) -> Row:
    return triangle.id, triangle.clicks, int(triangle.state)


def triangle_from(row: Sequence[Any]) -> Triangle:
    triangle_id, clicks, state = row
    return Triangle(triangle_id, clicks, TriangleState(state))


def level_row(level: int, counts: LevelCounts) -> Row:
    return level, counts.touched, counts.subdivided, counts.exhausted, counts.clicks


def nonce_row(nonce: NonceRecord) -> Row:
    return nonce.account, nonce.nonce, nonce.timestamp_ms


def nonce_from(row: Sequence[Any]) -> NonceRecord:
    account, nonce, timestamp_ms = row
    return NonceRecord(account, nonce, timestamp_ms)


def proof_row(proof: SignedProof, receipt: Receipt) -> Row:
    return (
        receipt.proof_id,
        receipt.height,
        receipt.index,
        receipt.account,
        receipt.triangle,
        receipt.reward_ustep,
        receipt.clicks,
        int(receipt.triangle_state),
        receipt.balance_ustep,
        receipt.processed_at_ms,
        _PLACE.pack(proof.lat, proof.lon, proof.accuracy_m),
        proof.timestamp_ms,
        proof.nonce,
        proof.signature,
    )


def operation_row(applied: FinalisedOperation) -> Row:
    operation = applied.operation
    return (
        applied.operation_id,
        applied.height,
        applied.index,
        operation.owner,
        recipient_of(operation),
        applied.timestamp_ms,
        encode_operation(operation),
    )


def operation_from(row: Sequence[Any]) -> FinalisedOperation:
    """From a row of OPERATIONS."""
    operation_id, height, index, _owner, _recipient, timestamp_ms, encoded = row
    return FinalisedOperation(decode_operation(encoded), operation_id, height, index, timestamp_ms)


def receipt_from(row: Sequence[Any]) -> Receipt:
    """From a row of RECEIPTS."""
    proof_id, height, index, account, triangle, reward, clicks, state, balance, processed_at_ms = row
    return Receipt(
        proof_id, height, index, account, triangle, reward, clicks, TriangleState(state), balance, processed_at_ms
    )


def finalised_proof_from(row: Sequence[Any]) -> FinalisedProof:
    """From a row of PROOFS."""
    *receipt_cells, place, timestamp_ms, nonce, signature = row
    receipt = receipt_from(receipt_cells)
    lat, lon, accuracy_m = _PLACE.unpack(place)
    proof = SignedProof(
        account=receipt.account,
        triangle=TriangleId.from_int(receipt.triangle),
        lat=lat,
        lon=lon,
        accuracy_m=accuracy_m,
        timestamp_ms=timestamp_ms,
        nonce=nonce,
        signature=signature,
        proof_id=receipt.proof_id,
    )
    return FinalisedProof(proof, receipt)


def _unpacked(connection: sqlite3.Connection, table: Table, source: str, values: Sequence[Value]) -> list[list[Any]]:
    cells = ", ".join(f"hex({column})" if column in table.blobs else column for column in table.columns)
    query = f"SELECT json_group_array(json_array({cells})) FROM {source}"
    (packed,) = connection.execute(query, values).fetchone()
    rows: list[list[Any]] = json.loads(packed)
    for position, column in enumerate(table.columns):
        if column in table.blobs:
            for row in rows:
                row[position] = bytes.fromhex(row[position])
    return rows


def _chunks(rows: Iterable[Row]) -> Iterator[_Chunk]:
    remaining = iter(rows)
    for first in remaining:
        rows_max = 1 << (VALUES_PER_STATEMENT_MAX // len(first)).bit_length() - 1
        yield _Chunk([first, *islice(remaining, rows_max - 1)])


class _Chunk:
    """The rows of one statement, with rows of NULLs after them up to the next power of two.

    To prepare a statement of 1,000 rows takes longer than to look half of them up, and batches are of all sizes: filled
    up like this, there are few statements, and those are prepared once.
    """

    def __init__(self, rows: list[Row]) -> None:
        self.rows = len(rows)
        places_rows, width = 1 << (len(rows) - 1).bit_length(), len(rows[0])
        self.values: list[Value] = [value for row in rows for value in row]
        self.values += [None] * ((places_rows - len(rows)) * width)
        self.values_clause = _values_clause(places_rows, width)

    @property
    def keys_query(self) -> str:
        """What stands behind `IN`: a NULL is in nothing.

        In this form SQLite looks each key up; for bare VALUES of several columns it reads the whole table instead.
        """
        return f"SELECT * FROM ({self.values_clause})"


@cache
def _values_clause(rows: int, width: int) -> str:
    """`VALUES (?, ?), (?, ?)`; one for each power of two and each width that there is."""
    return "VALUES " + ", ".join([f"({', '.join('?' * width)})"] * rows)
