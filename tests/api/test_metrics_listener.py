"""Metrics with an address of their own: there, and nowhere else."""

from __future__ import annotations

from functools import partial

import httpx
import pytest
import trio

from step_node.api.app import create_app, create_metrics_app
from step_node.api.server.limits import ApiLimits
from step_node.api.server.serving import AddressInUse, serve_api
from step_node.node.start import METRICS_LIMITS
from tests.api.made_up_node import MadeUpNode
from tests.api.serving import AMPLE, serve


async def start_listener(nursery: trio.Nursery, node: MadeUpNode, *, port: int = 0, limits: ApiLimits = AMPLE) -> int:
    """Serve the metrics of `node`; the port."""
    app = create_metrics_app(node.services(wait_ms_max=1_000))
    serving = partial(serve_api, limits=limits, clock=node.clock, metrics=None, section="metrics")
    return int(await nursery.start(serving, app, "127.0.0.1", port))


async def test_the_listener_of_the_metrics_serves_them_and_nothing_else(node: MadeUpNode) -> None:
    async with trio.open_nursery() as nursery:
        port = await start_listener(nursery, node, limits=METRICS_LIMITS)
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            page = await client.get("/metrics")
            assert page.status_code == 200
            assert "step_batches_finalised_total" in page.text
            assert (await client.head("/metrics")).status_code == 200
            for path in ("/status", "/health", "/", "/docs", "/openapi.json", "/proof/submit"):
                refused = await client.get(path)
                assert (path, refused.status_code) == (path, 404)
                assert refused.json()["ok"] is False
            foreign = await client.get("/metrics", headers={"Origin": "https://app.example"})
            assert foreign.status_code == 403
        nursery.cancel_scope.cancel()


async def test_an_api_without_metrics_does_not_know_them_and_serves_the_rest(node: MadeUpNode) -> None:
    app = create_app(node.services(wait_ms_max=1_000), with_metrics=False)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://node") as client:
        assert (await client.get("/metrics")).status_code == 404
        assert (await client.get("/health/live")).status_code == 200
        assert "/metrics" not in (await client.get("/openapi.json")).json()["paths"]


async def test_what_is_asked_of_the_listener_is_not_counted_as_the_api_is(node: MadeUpNode) -> None:
    def counted(status: str) -> float | None:
        return node.registry.get_sample_value("step_api_request_duration_seconds_count", {"status": status})

    async with trio.open_nursery() as nursery:
        metrics_port = await start_listener(nursery, node)
        api_port = await nursery.start(partial(serve, node))
        async with httpx.AsyncClient() as client:
            await client.get(f"http://127.0.0.1:{metrics_port}/metrics")
            assert (counted("2xx"), counted("4xx")) == (0, 0)
            await client.get(f"http://127.0.0.1:{api_port}/health/live")
            await client.get(f"http://127.0.0.1:{api_port}/nowhere")
            assert (counted("2xx"), counted("4xx")) == (1, 1)
        nursery.cancel_scope.cancel()


async def test_an_address_in_use_names_the_section_of_the_metrics(node: MadeUpNode) -> None:
    async with trio.open_nursery() as nursery:
        port = await start_listener(nursery, node)
        with pytest.raises(AddressInUse, match=r"metrics cannot listen on .*`port` under \[metrics\]"):
            await start_listener(nursery, node, port=port)
        nursery.cancel_scope.cancel()
