"""Reading about one account from MongoDB: its record, its rank, and what it has done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from step_node.ledger.records import Account
from step_node.storage import mongo_documents as documents
from step_node.storage.interface import RANK_MAX, AccountPage, FinalisedOperation, Transaction
from step_node.storage.mongo_driver import Driver, settled
from step_node.storage.mongo_pages import MongoPage
from step_node.storage.mongo_session import MongoDatabase
from step_node.storage.transactions import edge_of_proofs, merged


async def read_account(database: MongoDatabase, session: Driver, address: bytes) -> Account | None:
    """Its record."""
    found = await settled(database.collection(documents.ACCOUNTS).find_one({"_id": address}, session=session))
    return None if found is None else documents.account_from(found)


async def read_rank(database: MongoDatabase, session: Driver, account: Account | None) -> int | None:
    """The rank of this record; None beyond `RANK_MAX`, and for none."""
    if account is None:
        return None
    above = {
        "$or": [
            {"balance_ustep": {"$gt": account.balance_ustep}},
            {"balance_ustep": account.balance_ustep, "_id": {"$lt": account.address}},
        ]
    }
    accounts = database.collection(documents.ACCOUNTS)
    richer: int = await settled(accounts.count_documents(above, limit=RANK_MAX, session=session))
    return 1 + richer if richer < RANK_MAX else None


async def read_operations(
    database: MongoDatabase, session: Driver, operation_ids: Sequence[bytes]
) -> tuple[FinalisedOperation, ...]:
    """Those of these operations that are applied."""
    cursor = database.collection(documents.OPERATIONS).find({"_id": {"$in": list(operation_ids)}}, session=session)
    return tuple(map(documents.operation_from, await settled(cursor.to_list(length=None))))


async def read_transactions(
    database: MongoDatabase, session: Driver, address: bytes, asked: MongoPage
) -> tuple[Transaction, ...]:
    """What it has done and been sent: a look into an index for proofs, and one for operations."""
    of_proofs = replace(asked, before=edge_of_proofs(asked.before), after=edge_of_proofs(asked.after))
    proofs = await of_proofs.find(database.collection(documents.PROOFS), {"account": address}, session)
    operations = await asked.find(database.collection(documents.OPERATIONS), {"accounts": address}, session)
    return merged(
        asked.limit,
        map(documents.finalised_proof_from, proofs),
        map(documents.operation_from, operations),
        is_oldest_first=asked.is_oldest_first,
    )


async def read_account_page(database: MongoDatabase, session: Driver, address: bytes, *, limit: int) -> AccountPage:
    """All of it, in one session of the caller's."""
    account = await read_account(database, session, address)
    return AccountPage(
        account,
        await read_rank(database, session, account),
        await read_transactions(database, session, address, MongoPage(limit)),
    )
