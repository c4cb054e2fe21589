"""The initial state of a chain as a file: written once by who begins it, checked by every node before it is stored.

The file is `STEP-INITIAL-STATE-1` and a line's end, then pages, each preceded by its length, 4 bytes, big-endian. A
page holds records in their canonical encodings, end to end: accounts, triangles and nonces in a snapshot's order over
all pages, each once. What counts is that the records add up to the commitment in genesis.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final

from step_node.chain.genesis import Genesis, GenesisPlan
from step_node.chain.initial_state import InitialState
from step_node.errors import StepNodeError
from step_node.ledger.records import records_bytes
from step_node.offload import run_blocking
from step_node.snapshot.initial_rules import InitialRules
from step_node.snapshot.records import InvalidSnapshot, Place, read_records
from step_node.snapshot.sums import RecordSum
from step_node.storage.interface import NoChain, Storage, StoredRecord

MAGIC: Final = b"STEP-INITIAL-STATE-1\n"
PAGE_RECORDS: Final = 1_000
PAGE_BYTES_MAX: Final = 512_000
"""A page of the longest records is smaller."""
_LENGTH_BYTES: Final = 4


class InitialStateError(StepNodeError):
    """The file of the initial state cannot be used; the message names the file and the rule."""


def write_initial_state(file: BinaryIO, pages: Iterable[Sequence[StoredRecord]]) -> InitialState:
    """Write the records, which come in a snapshot's order in pages of up to `PAGE_RECORDS`; what genesis says of them.

    Raises pydantic's `ValidationError` if they are more, or hold more, than a chain can begin with; OSError.
    """
    file.write(MAGIC)
    total = RecordSum()
    for page in pages:
        encoded = records_bytes(page)
        total.add(page, encoded)
        content = b"".join(encoded)
        file.write(len(content).to_bytes(_LENGTH_BYTES, "big") + content)
    return InitialState(
        accounts=total.accounts,
        balances_ustep=total.balances_ustep,
        triangles=total.triangles,
        nonces=total.nonces,
        lanes=f"0x{total.lanes.hex()}",
    )


def read_initial_state(path: Path, plan: GenesisPlan, named: InitialState) -> Iterator[list[StoredRecord]]:
    """The records of the file, page by page; at its end, whether they are those that genesis names.

    Raises `InitialStateError`: at the page where a record is not one that `plan` can begin with, or at the end. Nothing
    may be believed before the end has come.
    """
    rules = InitialRules(plan)
    total = RecordSum()
    after: Place | None = None
    try:
        with path.open("rb") as file:
            if file.read(len(MAGIC)) != MAGIC:
                raise InitialStateError(f"{path}: is not a file of an initial state: it must begin with {MAGIC!r}")
            while content := _page(file, path):
                records, encoded, after = read_records(content, after)
                total.add(records, encoded)
                yield [rules.checked(record) for record in records]
    except InvalidSnapshot as error:
        raise InitialStateError(f"{path}: {error}") from error
    except OSError as error:
        raise InitialStateError(
            f"{path}: cannot be read: {error.strerror or error}. Genesis names an initial state: copy its file there"
            " from another node of this chain, or from who has imported it"
        ) from error
    found = RecordSum(named.accounts, named.balances_ustep, named.triangles, named.nonces, named.lanes_bytes)
    for name in ("accounts", "triangles", "nonces", "balances_ustep"):
        if getattr(total, name) != getattr(found, name):
            raise InitialStateError(
                f"{path}: {name}: has {getattr(total, name)}, and genesis says {getattr(found, name)}: it is another"
                " chain's file, or was cut short"
            )
    if total.lanes != found.lanes:
        raise InitialStateError(
            f"{path}: its records do not add up to initial_state.lanes of genesis: it is another chain's file, or has"
            " been changed"
        )


def check_initial_state(path: Path, plan: GenesisPlan) -> None:
    """Read all of the file. Raises `InitialStateError` unless it is the one that `plan` names."""
    if plan.initial_state is None:
        raise InitialStateError(f"{path}: this genesis names no initial state: leave the file away")
    for _ in read_initial_state(path, plan, plan.initial_state):
        pass


async def initialise_store(storage: Storage, genesis: Genesis, path: Path) -> None:
    """Make sure that the store holds this chain. `path` has the initial state, if genesis names one; it is read, and
    all of it checked before anything is stored, only where the store lacks it.

    Raises `InitialStateError`, and what `Storage.initialise` does.
    """
    named = genesis.initial_state
    if named is None:
        await storage.initialise(genesis.hash, genesis.head(), genesis.accounts())
        return
    try:
        await storage.head()
    except NoChain:
        await run_blocking(check_initial_state, path, genesis)
    pages = partial(read_initial_state, path, genesis, named)
    await storage.initialise(genesis.hash, genesis.head(), genesis.accounts(), pages)


def sha256_of(path: Path) -> str:
    """The file's SHA-256 in hex digits, for people to compare copies."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _page(file: BinaryIO, path: Path) -> bytes:
    """The next page; empty at the end."""
    head = file.read(_LENGTH_BYTES)
    if not head:
        return b""
    length = int.from_bytes(head, "big")
    if len(head) != _LENGTH_BYTES or not 0 < length <= PAGE_BYTES_MAX:
        raise InitialStateError(f"{path}: a page must have 1 to {PAGE_BYTES_MAX} bytes: the file is damaged")
    content = file.read(length)
    if len(content) != length:
        raise InitialStateError(f"{path}: ends within a page: it was cut short")
    return content
