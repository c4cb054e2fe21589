"""Reading the ledger: accounts, triangles, the leaderboard, batches."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from fastapi import APIRouter, Path, Response

from mesh import TriangleId, TriangleIdError
from step_node.amounts import step_text
from step_node.api.batches.answers import BatchAnswers
from step_node.api.documentation import EVERYWHERE, refusals
from step_node.api.errors import ApiError, RequestCode
from step_node.api.histories.pages import PAGE_DEFAULT, Limit
from step_node.api.middleware.caching import FINAL_HERE
from step_node.api.models.ledger import (
    AccountAnswer,
    BatchAnswer,
    LastProofAnswer,
    LeaderboardAnswer,
    LeaderboardEntry,
    TriangleAnswer,
)
from step_node.api.models.schema import (
    ADDRESS_PATTERN,
    EXAMPLE_ADDRESS,
    EXAMPLE_TRIANGLE,
    TRIANGLE_FORMAT,
    TRIANGLE_PATTERN,
    hex_text,
)
from step_node.api.models.transactions import TransactionEntry
from step_node.api.routing import api_router
from step_node.api.services import ApiServices
from step_node.explanations.details import Details, shown
from step_node.ledger.records import Account, LastProof, Triangle, TriangleState
from step_node.ledger.rules import next_reward_ustep
from step_node.ledger.state import StateKeys
from step_node.proofs.proof import RefusalCode
from step_node.proofs.timestamps import format_timestamp

TRANSACTIONS_SHOWN: Final = 20
"""Of an account, with the account itself."""

_UNCHANGED: Final = {"description": "It is the one that `If-None-Match` names."}

HEIGHT_MAX: Final = 2**63 - 1

_STATE_NAMES: Final[dict[TriangleState, Literal["active", "subdivided", "exhausted"]]] = {
    TriangleState.ACTIVE: "active",
    TriangleState.SUBDIVIDED: "subdivided",
    TriangleState.EXHAUSTED: "exhausted",
}

Address = Annotated[
    str, Path(pattern=ADDRESS_PATTERN, description="0x and 40 hex digits, any case.", examples=[EXAMPLE_ADDRESS])
]
TriangleIdText = Annotated[
    str,
    Path(
        alias="id",
        description="A triangle in its text form.",
        examples=[EXAMPLE_TRIANGLE],
        # Only described so: `TriangleId.parse` says which rule a text breaks.
        json_schema_extra={"pattern": TRIANGLE_PATTERN, "format": TRIANGLE_FORMAT},
    ),
]


def ledger_routes(services: ApiServices) -> APIRouter:
    """The routes that read the ledger."""
    routes = api_router("ledger")
    storage = services.chain.storage.for_strangers()
    batches = BatchAnswers(storage)

    @routes.get(
        "/account/{address}",
        summary="An account",
        responses=refusals(*EVERYWHERE),
    )
    async def account(address: Address) -> AccountAnswer:
        """Every address is an account: one that was never paid has nothing yet."""
        key = bytes.fromhex(address[2:])
        page = await storage.account_page(key, limit=TRANSACTIONS_SHOWN)
        found = page.account or Account(key)
        last_proof = _last_proof(found.last_proof)
        return AccountAnswer(
            account=hex_text(key),
            balance=step_text(found.balance_ustep),
            proofs=found.proofs,
            rank=page.rank,
            last_proof=last_proof,
            next_sequence=found.operations,
            total_proofs=found.proofs,
            last_proof_at=None if last_proof is None else last_proof.timestamp,
            transactions=[TransactionEntry.of(one, key) for one in page.transactions],
        )

    @routes.get(
        "/triangle/{id}",
        summary="A triangle",
        responses=refusals(RefusalCode.TRIANGLE_NOT_FOUND, *EVERYWHERE),
    )
    async def triangle(
        id_text: TriangleIdText,
    ) -> TriangleAnswer:
        """A triangle above `SEEDED_LEVEL` comes into being when its parent is subdivided."""
        triangle_id = parse_triangle(id_text)
        parent = triangle_id.parent
        found = await _existing_triangle(triangle_id)
        return TriangleAnswer(
            triangle_id=triangle_id.text,
            level=triangle_id.level,
            state=_STATE_NAMES[found.state],
            clicks=found.clicks,
            reward=step_text(next_reward_ustep(services.chain.head.protocol, found)),
            parent_id=None if parent is None else parent.text,
        )

    async def _existing_triangle(triangle_id: TriangleId) -> Triangle:
        key = int(triangle_id)
        parent_key = triangle_id.parent_integer
        keys = frozenset({key} if parent_key is None else {key, parent_key})
        state = await storage.load(StateKeys(triangles=keys))
        seeded_level = state.head.parameters.seeded_level
        if triangle_id.level > seeded_level:
            parent = None if parent_key is None else state.triangles[parent_key]
            if parent is None or parent.state is not TriangleState.SUBDIVIDED:
                raise ApiError(
                    RefusalCode.TRIANGLE_NOT_FOUND,
                    f"id: {triangle_id.text} does not exist: levels above {seeded_level} come into being when their"
                    " parent is subdivided",
                    details=Details(value=triangle_id.level, limit=seeded_level, unit="level"),
                )
        return state.triangles[key] or Triangle(key)

    @routes.get(
        "/leaderboard",
        summary="The accounts with the highest balances",
        responses=refusals(*EVERYWHERE),
    )
    async def leaderboard(limit: Limit = PAGE_DEFAULT) -> LeaderboardAnswer:
        """Equal balances stand in the order of their addresses."""
        accounts = await storage.leaderboard(limit=limit)
        return LeaderboardAnswer(
            accounts=[
                LeaderboardEntry(
                    rank=rank,
                    account=hex_text(one.address),
                    balance=step_text(one.balance_ustep),
                    proofs=one.proofs,
                )
                for rank, one in enumerate(accounts, start=1)
            ]
        )

    @routes.get(
        "/batch/{height}",
        summary="A finalised batch",
        response_model=BatchAnswer,
        responses={304: _UNCHANGED, **refusals(RequestCode.BATCH_NOT_FOUND, *EVERYWHERE)},
    )
    async def batch(
        height: Annotated[int, Path(ge=1, le=HEIGHT_MAX, description="1 is the first.", examples=[42])],
    ) -> Response:
        """Its header, the ids of its proofs, and the signatures that made it final.

        On one chain it never changes; caches ask again after a minute, because a network begun anew has other batches
        at the same heights.
        """
        last = services.chain.head.chain.height
        if height > last:
            raise ApiError(
                RequestCode.BATCH_NOT_FOUND,
                f"height: {height} is not finalised on this node yet; the last is {last}",
                details=Details(value=height, limit=last, unit="height", retryable=True),
            )
        found = await batches.get(height)
        if found is None:
            first = await storage.first_height()
            raise ApiError(
                RequestCode.BATCH_NOT_FOUND,
                f"height: {height} is not kept on this node, which has batches from height {first} on; ask one whose"
                " earliestHeight in /status is lower",
                details=Details(value=height, limit=first, unit="height"),
            )
        headers = {"ETag": found.tag, "Cache-Control": FINAL_HERE}
        return Response(found.body, headers=headers, media_type="application/json")

    return routes


def _last_proof(last: LastProof | None) -> LastProofAnswer | None:
    if last is None:
        return None
    return LastProofAnswer(timestamp=format_timestamp(last.timestamp_ms), lat=last.lat, lon=last.lon)


def parse_triangle(id_text: str) -> TriangleId:
    """The triangle in a path. Raises `ApiError` INVALID_PAYLOAD."""
    try:
        return TriangleId.parse(id_text)
    except TriangleIdError as error:
        raise ApiError(RefusalCode.INVALID_PAYLOAD, f"id: {error}", details=Details(value=shown(id_text))) from error
