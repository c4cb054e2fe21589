"""A password file, a key file, and a way to call the command line in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from step_node.cli.main import app
from step_node.signing.key_file import create_key_file
from step_node.signing.keystore import PASSWORD_ENVIRONMENT_VARIABLE
from step_node.signing.private_file import create_private_file

PRIVATE_KEY = bytes(range(1, 33))

Command = Callable[..., Result]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Command:
    """Call `step-node` with these arguments, and with `input` on standard input."""
    monkeypatch.delenv(PASSWORD_ENVIRONMENT_VARIABLE, raising=False)
    runner = CliRunner()

    def call(*arguments: object, stdin: str | bytes | None = None) -> Result:
        result = runner.invoke(app, [str(argument) for argument in arguments], input=stdin)
        # Only what a person can act on is an exit status; anything else is a bug, and would show a traceback.
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    return call


@pytest.fixture
def password_file(tmp_path: Path) -> Path:
    path = tmp_path / "password"
    create_private_file(path, b"correct horse\n")
    return path


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "key.hex"
    create_key_file(path, PRIVATE_KEY)
    return path
