"""The chain's genesis, for clients that judge receipts and know a node of another chain when they meet one."""

from __future__ import annotations

from functools import lru_cache

from fastapi import APIRouter, Request, Response

from step_node.api.documentation import EVERYWHERE, refusals
from step_node.api.middleware.caching import ASK_AGAIN
from step_node.api.routing import api_router
from step_node.api.server.bill import bill_of
from step_node.api.server.limits import SENDING_COST_MS_PER_KIB
from step_node.api.services import ApiServices
from step_node.chain.genesis import Genesis
from step_node.offload import run_blocking


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
        """The chain's `genesis.json`, byte for byte as it is hashed (RFC 8785).
        A chain's never changes: keep it, under its hash.

        A client that got it from whoever runs the chain, and not from the node that it asks, need not believe the node.
        """
        body = await run_blocking(canonical)
        await bill_of(request.scope)["charge"](SENDING_COST_MS_PER_KIB * len(body) / 1024)
        # The chain's never changes, but what chain is asked for here does: a network may be made anew at an address.
        headers = {"ETag": f'"{genesis.hash.hex()}"', "Cache-Control": ASK_AGAIN}
        return Response(body, headers=headers, media_type="application/json")

    return routes
