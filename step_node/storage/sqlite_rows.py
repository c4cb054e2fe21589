"""SQLite rows and the records they stand for: column lists, and the two directions between tuples and dataclasses.

Rows are read and written many at a time, in statements of up to ROWS_PER_STATEMENT rows. That is not for SQLite's
sake: the sqlite3 module lets go of the GIL at every step of a statement and must win it back from a busy event loop,
which can cost 5 ms each time. A batch of 1,000 proofs is some 20 steps, not 4,000.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TypeAlias

from mesh import TriangleId
from step_node.ledger.parameters import Parameters
from step_node.ledger.records import (
    Account,
    ChainRecord,
    LastProof,
    NonceRecord,
    Triangle,
    TriangleState,
    ValidatorRecord,
)
from step_node.ledger.state import Receipt, StateHead
from step_node.proofs.proof import SignedProof
from step_node.storage.interface import FinalisedProof

Value: TypeAlias = int | float | str | bytes | None
Row: TypeAlias = tuple[Value, ...]

ROWS_PER_STATEMENT = 500
"""With 16 columns that is 8,000 values; SQLite's own limit is 32,766."""

CHAIN_COLUMNS = (
    "height, batch_hash, timestamp_ms, proposer, paid_ustep, minted_ustep, balances_ustep, stakes_ustep, burnt_ustep,"
    " parameters, lanes"
)
VALIDATOR_COLUMNS = "address, public_key, stake_ustep, p2p_address"
ACCOUNT_COLUMNS = "address, balance_ustep, proofs, last_timestamp_ms, last_lat, last_lon"
TRIANGLE_COLUMNS = "id, clicks, state"
NONCE_COLUMNS = "account, nonce, timestamp_ms"
BATCH_COLUMNS = "height, batch_hash, timestamp_ms, batch, commit_bytes"
PROOF_COLUMNS = (
    "proof_id, height, position, account, triangle, lat, lon, accuracy_m, timestamp_ms, nonce, signature,"
    " reward_ustep, clicks, triangle_state, balance_ustep, processed_at_ms"
)
RECEIPT_COLUMNS = (
    "proof_id, height, position, account, triangle, reward_ustep, clicks, triangle_state,"
    " balance_ustep, processed_at_ms"
)


def write_rows(connection: sqlite3.Connection, verb: str, table: str, columns: str, rows: Iterable[Row]) -> None:
    """`verb` ("INSERT" or "REPLACE") the rows into the table, ROWS_PER_STATEMENT at a time."""
    for places, values in _statements(rows):
        connection.execute(f"{verb} INTO {table} ({columns}) VALUES {places}", values)


def select_in(
    connection: sqlite3.Connection, table: str, columns: str, key: str, keys: Iterable[Row]
) -> Iterator[sqlite3.Cursor]:
    """Cursors over the rows whose `key` (a column, or columns in parentheses) is among `keys`."""
    for places, values in _statements(keys):
        yield connection.execute(f"SELECT {columns} FROM {table} WHERE {key} IN (VALUES {places})", values)


def delete_in(connection: sqlite3.Connection, table: str, key: str, keys: Iterable[Row]) -> int:
    """Delete the rows whose `key` (a column, or columns in parentheses) is among `keys`; how many there were."""
    statements = _statements(keys)
    return sum(
        connection.execute(f"DELETE FROM {table} WHERE {key} IN (VALUES {places})", values).rowcount
        for places, values in statements
    )


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
        head.parameters.canonical_json(),
        head.lanes,
    )


def head_from(row: Sequence[Value], validators: Iterable[Sequence[Value]]) -> StateHead:
    """The head from a row of CHAIN_COLUMNS and the rows of VALIDATOR_COLUMNS in the order of their addresses."""
    *chain, parameters, lanes = row
    assert isinstance(parameters, bytes)
    assert isinstance(lanes, bytes)
    return StateHead(
        chain=ChainRecord(*chain),  # type: ignore[arg-type]  # the STRICT table's column types are the fields' types
        parameters=Parameters.model_validate_json(parameters),
        validators=tuple(
            ValidatorRecord(*validator)  # type: ignore[arg-type]  # as above
            for validator in validators
        ),
        lanes=lanes,
    )


def validator_row(validator: ValidatorRecord) -> Row:
    return validator.address, validator.public_key, validator.stake_ustep, validator.p2p_address


def account_row(account: Account) -> Row:
    last = account.last_proof
    place: Row = (None, None, None) if last is None else (last.timestamp_ms, last.lat, last.lon)
    return account.address, account.balance_ustep, account.proofs, *place


def account_from(row: tuple[bytes, int, int, int | None, float, float]) -> Account:
    address, balance_ustep, proofs, timestamp_ms, lat, lon = row
    return Account(address, balance_ustep, proofs, None if timestamp_ms is None else LastProof(timestamp_ms, lat, lon))


def triangle_row(triangle: Triangle) -> Row:
    return triangle.id, triangle.clicks, int(triangle.state)


def triangle_from(row: tuple[int, int, int]) -> Triangle:
    triangle_id, clicks, state = row
    return Triangle(triangle_id, clicks, TriangleState(state))


def nonce_row(nonce: NonceRecord) -> Row:
    return nonce.account, nonce.nonce, nonce.timestamp_ms


def proof_row(proof: SignedProof, receipt: Receipt) -> Row:
    return (
        proof.proof_id,
        receipt.height,
        receipt.index,
        proof.account,
        int(proof.triangle),
        proof.lat,
        proof.lon,
        proof.accuracy_m,
        proof.timestamp_ms,
        proof.nonce,
        proof.signature,
        receipt.reward_ustep,
        receipt.clicks,
        int(receipt.triangle_state),
        receipt.balance_ustep,
        receipt.processed_at_ms,
    )


def receipt_from(row: tuple[bytes, int, int, bytes, int, int, int, int, int, int]) -> Receipt:
    """From a row of RECEIPT_COLUMNS."""
    proof_id, height, index, account, triangle, reward, clicks, state, balance, processed_at_ms = row
    return Receipt(
        proof_id, height, index, account, triangle, reward, clicks, TriangleState(state), balance, processed_at_ms
    )


def finalised_proof_from(
    row: tuple[bytes, int, int, bytes, int, float, float, float, int, str, bytes, int, int, int, int, int],
) -> FinalisedProof:
    """From a row of PROOF_COLUMNS."""
    proof_id, _, _, account, triangle, lat, lon, accuracy_m, timestamp_ms, nonce, signature, *_ = row
    proof = SignedProof(
        account=account,
        triangle=TriangleId.from_int(triangle),
        lat=lat,
        lon=lon,
        accuracy_m=accuracy_m,
        timestamp_ms=timestamp_ms,
        nonce=nonce,
        signature=signature,
        proof_id=proof_id,
    )
    return FinalisedProof(proof, receipt_from((*row[:5], *row[11:])))


def _statements(rows: Iterable[Row]) -> Iterator[tuple[str, list[Value]]]:
    """The placeholders and the values of each statement: `(?, ?), (?, ?)` and the rows end to end."""
    remaining = iter(rows)
    while chunk := list(islice(remaining, ROWS_PER_STATEMENT)):
        places = f"({', '.join('?' * len(chunk[0]))})"
        yield ", ".join([places] * len(chunk)), [value for row in chunk for value in row]
