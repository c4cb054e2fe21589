"""A program that uses the client gets no node with it."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys

from step_node.client import AsyncStepClient, StepClient

OF_A_NODE = {
    "libp2p",
    "motor",
    "pymongo",
    "sqlite3",
    "fastapi",
    "starlette",
    "h11._connection",
    "structlog",
    "trio",
    "typer",
    "eth_account",
    "prometheus_client",
    "p2p",
    "step_node.api",
    "step_node.chain.chain",
    "step_node.storage",
    "step_node.node",
    "step_node.network",
    "step_node.cli",
}


def test_importing_the_client_imports_nothing_of_a_node() -> None:
    program = "import sys, step_node.client; print(*sys.modules)"
    # What measures coverage begins in each process by itself, and brings a database.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    ran = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    modules = set(ran.stdout.split())
    assert "step_node.client.flows" in modules
    assert modules & OF_A_NODE == set()


def test_both_clients_have_the_same_methods_with_the_same_arguments() -> None:
    renamed = {"aclose": "close"}

    def methods(of: type) -> dict[str, list[str]]:
        return {
            renamed.get(name, name): list(inspect.signature(method).parameters)
            for name, method in inspect.getmembers(of, inspect.isfunction)
            if not name.startswith("_") or name == "__init__"
        }

    assert methods(StepClient) == methods(AsyncStepClient)
    for name, method in inspect.getmembers(AsyncStepClient, inspect.isfunction):
        if not name.startswith("_"):
            assert inspect.iscoroutinefunction(method) or inspect.isasyncgenfunction(method), name
