"""`step-node storage init`: what it cannot do is an error that says why."""

from __future__ import annotations

import pytest

from step_node.devnet.ports import free_ports
from tests.cli.conftest import Command


@pytest.mark.parametrize("uri", ["nonsense", "http://127.0.0.1", "mongodb://host:port", "mongodb://"])
def test_what_is_no_uri_is_an_error(command: Command, uri: str) -> None:
    result = command("storage", "init", "--uri", uri)
    assert result.exit_code == 1
    assert result.stderr.startswith("error: the MongoDB URI cannot be used: ")


def test_a_server_that_is_not_there_is_an_error_that_names_it(command: Command) -> None:
    port = free_ports(1)[0].api
    result = command("storage", "init", "--uri", f"mongodb://127.0.0.1:{port}", "--wait-s", 0)
    assert result.exit_code == 1
    assert f"error: 127.0.0.1:{port} has no primary after 0 s" in result.stderr
