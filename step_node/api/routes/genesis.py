"""The chain's genesis, for clients that judge receipts and know a node of another chain when they meet one."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from fastapi import APIRouter, Request, Response

from step_node.api.documentation import EVERYWHERE, refusals
from step_node.api.middleware.caching import UNCHANGING
from step_node.api.routing import api_router
from step_node.api.server.bill import bill_of
from step_node.api.services import ApiServices
from step_node.chain.genesis import Genesis
from step_node.offload import run_blocking

SENDING_COST_MS_PER_KIB: Final = 0.02
"""What each KiB costs beyond the request: most files have a few, that of a chain with many allocations thousands."""


def genesis_routes(services: ApiServices) -> APIRouter:
    """`/genesis`."""
    routes = api_router("node")
    genesis = services.chain.genesis

    @lru_cache(maxsize=1)
    def canonical() -> bytes:
        return genesis.canonical_json()

    @routes.get(
        "/genesis",
        summary="What the chain began with",
        response_model=Genesis,
        responses={
            200: {"description": "The genesis file, whose SHA-256 is the chain's genesis hash."},
            304: {"description": "It is the one that `If-None-Match` names."},
            **refusals(*EVERYWHERE),
        },
    )
    async def genesis_file(request: Request) -> Response:
        """The chain's `genesis.json`, byte for byte as it is hashed (RFC 8785). It never changes: keep it.

        A client that got it from whoever runs the chain, and not from the node that it asks, need not believe the node.
        """
        body = await run_blocking(canonical)
        await bill_of(request.scope)["charge"](SENDING_COST_MS_PER_KIB * len(body) / 1024)
        headers = {"ETag": f'"{genesis.hash.hex()}"', "Cache-Control": UNCHANGING}
        return Response(body, headers=headers, media_type="application/json")

    return routes
