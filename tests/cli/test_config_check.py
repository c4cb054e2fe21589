"""`config check`: what would keep a node from starting is told before it is started, all of it at once."""

from __future__ import annotations

from pathlib import Path

import pytest
from sentry_sdk.utils import Dsn

from step_node.home.paths import NodeHome
from step_node.signing.private_file import create_private_file
from tests.cli.conftest import Command


def test_a_home_as_init_makes_it_has_nothing_wrong(command: Command, home: NodeHome) -> None:
    checked = command("config", "check", "--home", home.root)
    assert checked.exit_code == 0, checked.stderr
    assert "nothing is wrong" in checked.stdout


@pytest.mark.parametrize(
    ("uri", "rule"),
    [
        ("http://localhost/", "Invalid URI scheme"),
        ("mongodb://step:secret@db:99999/", "Port must be an integer between 0 and 65535"),
        ("mongodb://db/?w=1", "its option w: must be majority"),
        ("mongodb://db/?retryWrites=perhaps", "retrywrites must be"),
    ],
)
def test_a_mongodb_uri_is_read_though_nobody_is_asked(
    command: Command, home: NodeHome, monkeypatch: pytest.MonkeyPatch, uri: str, rule: str
) -> None:
    monkeypatch.setenv("STEP_STORAGE__MONGODB_URI", uri)
    checked = command("config", "check", "--home", home.root, "--set", "storage.engine=mongodb")
    assert checked.exit_code == 1
    assert "storage.mongodb_uri" in checked.stderr
    assert rule in checked.stderr
    assert "secret" not in checked.stderr


@pytest.mark.parametrize(
    "dsn",
    [
        "hunter2",
        "ftp://hunter2@receiver.example/1",
        "https://receiver.example/hunter2",
        "https://hunter2@receiver.example/",
        "https://hunter2@receiver.example/project",
        "https://hunter2@/1",
        "https://hunter2@receiver.example:99999/1",
        "https://hunter2@[::1/1",
    ],
)
def test_a_dsn_that_is_none_is_wrong_and_not_repeated(
    command: Command, home: NodeHome, tmp_path: Path, dsn: str
) -> None:
    create_private_file(tmp_path / "dsn", dsn.encode())
    text = home.config.read_text()
    home.config.write_text(text.replace("[telemetry]\n", f'[telemetry]\nerrors_dsn = {{ file = "{tmp_path}/dsn" }}\n'))
    checked = command("config", "check", "--home", home.root)
    assert checked.exit_code == 1
    assert "telemetry.errors_dsn: must be a DSN, as https://<public key>@<host>/<project>" in checked.stderr
    assert "hunter2" not in checked.stderr + checked.stdout
    assert command("config", "show", "--home", home.root).exit_code == 1


@pytest.mark.parametrize(
    "dsn", ["https://0123abcd@receiver.example/42", "http://0123:4567@[::1]:9000/a/path/7", "http://a@b:80/1"]
)
def test_a_dsn_is_taken_where_the_receivers_library_takes_it(
    command: Command, home: NodeHome, monkeypatch: pytest.MonkeyPatch, dsn: str
) -> None:
    Dsn(dsn)
    monkeypatch.setenv("STEP_TELEMETRY__ERRORS_DSN", dsn)
    assert command("config", "check", "--home", home.root).exit_code == 0


def test_everything_that_is_wrong_is_told_at_once(
    command: Command, home: NodeHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEP_STORAGE__MONGODB_URI", "mongodb://")
    home.genesis.write_text("{")
    home.p2p_key.write_text("no key")
    home.password.write_text("another password")
    (tmp_path / "tls.pem").write_text("no certificate")
    certificate, log_file = tmp_path / "tls.pem", tmp_path / "missing" / "node.log"
    sets = (
        "storage.engine=mongodb",
        f"api.tls_certificate={certificate}",
        f"api.tls_key={certificate}",
        "api.web_app_wallet=none.js",
        "api.web_app_base_map=none.pmtiles",
    )
    options = [option for one in (*sets, f"log.file={log_file}") for option in ("--set", one)]
    checked = command("config", "check", "--home", home.root, *options)
    assert checked.exit_code == 1
    problems = [line for line in checked.stderr.splitlines() if line.startswith("error: ")]
    assert "8 of the settings or their files cannot be used" in problems[-1]
    for named in (
        "genesis.json",
        "p2p",
        "password",
        "tls.pem",
        "api.web_app_wallet",
        "api.web_app_base_map",
        "storage.mongodb_uri",
        "log.file",
    ):
        assert any(named in problem for problem in problems), named


def test_a_secret_that_others_can_read_is_wrong(command: Command, home: NodeHome) -> None:
    config = home.config.read_text()
    home.config.write_text(config.replace("[keystore]\n", '[keystore]\npassword = "hush"\n', 1))
    home.config.chmod(0o644)
    checked = command("config", "check", "--home", home.root)
    assert checked.exit_code == 1
    assert "keystore.password" in checked.stderr
    assert "chmod 600" in checked.stderr
    assert "hush" not in checked.stderr
