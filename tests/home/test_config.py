"""The operator's settings: precedence, and errors that name the file or the variable, the key and the rule."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from step_node.home.config import ConfigError, NodeConfig, load_config
from step_node.home.config_sources import CONFIG_BYTES_MAX
from step_node.home.paths import NodeHome
from step_node.home.store import storage_settings
from step_node.storage.open import MongoSettings

PEER_ID = "16Uiu2HAmCJNMn6k4ecyzgGxbKM9wN3PKABtKhKXGMgWiZZR8AGp2"


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for variable in list(os.environ):
        if variable.upper().startswith("STEP_"):
            monkeypatch.delenv(variable)


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(text)
    return path


def error_of(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    return str(caught.value)


def test_an_empty_file_gives_the_defaults(tmp_path: Path) -> None:
    assert load_config(written(tmp_path, "")) == NodeConfig()


def test_what_the_file_says_is_taken_and_the_rest_stays(tmp_path: Path) -> None:
    config = load_config(written(tmp_path, '[api]\nport = 9000\n[p2p]\nbootstrap = ["/ip4/1.2.3.4/tcp/1"]\n'))
    assert (config.api.port, config.api.host) == (9000, NodeConfig().api.host)
    assert config.p2p.bootstrap == ("/ip4/1.2.3.4/tcp/1",)
    assert config.storage == NodeConfig().storage


def test_the_environment_overrides_the_file_key_by_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, '[api]\nport = 9000\nhost = "0.0.0.0"\n')
    monkeypatch.setenv("STEP_API__PORT", "9001")
    monkeypatch.setenv("STEP_P2P__MDNS", "true")
    monkeypatch.setenv("STEP_P2P__BOOTSTRAP", '["/ip4/1.2.3.4/tcp/1"]')
    config = load_config(path)
    assert (config.api.port, config.api.host) == (9001, "0.0.0.0")
    assert config.p2p.mdns
    assert config.p2p.bootstrap == ("/ip4/1.2.3.4/tcp/1",)


def test_the_uri_of_the_database_may_come_from_the_environment_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path, '[storage]\nengine = "mongodb"\n')
    assert "storage.mongodb_uri: is needed when storage.engine is mongodb" in error_of(path)
    monkeypatch.setenv("STEP_STORAGE__MONGODB_URI", "mongodb://localhost/?replicaSet=rs0")
    assert load_config(path).storage.mongodb_uri == "mongodb://localhost/?replicaSet=rs0"


def test_where_clients_are_answered_from_is_told_to_the_store(tmp_path: Path) -> None:
    text = '[storage]\nengine = "mongodb"\nmongodb_uri = "mongodb://localhost/?replicaSet=rs0"\n'
    told = 'mongodb_answers_from = "secondaries"\n'
    for written_text, answers_from in ((text, "primary"), (text + told, "secondaries")):
        config = load_config(written(tmp_path, written_text))
        settings = storage_settings(NodeHome(tmp_path), config.storage)
        assert isinstance(settings, MongoSettings)
        assert settings.answers_from == answers_from


def test_a_certificate_needs_its_key_and_a_key_its_certificate(tmp_path: Path) -> None:
    for given, missing in (("tls_key", "tls_certificate"), ("tls_certificate", "tls_key")):
        path = written(tmp_path, f'[api]\n{given} = "file.pem"\n')
        assert f"api.{missing}: is needed when api.{given} is set" in error_of(path)
    path = written(tmp_path, '[api]\ntls_key = "key.pem"\ntls_certificate = "certificate.pem"\n')
    assert load_config(path).api.tls_key == Path("key.pem")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[storage]\nmongodb_answers_from = "nearest"\n', "storage.mongodb_answers_from: "),
        ("prot = 1\n", "prot: unknown key"),
        ("[apis]\n", "apis: unknown key"),
        ("[api]\nprot = 1\n", "api.prot: unknown key"),
        ("[api]\nport = 65536\n", "api.port: "),
        ("[api]\nport = -1\n", "api.port: "),
        ('[api]\nport = "8600"\n', "api.port: "),
        ("[api]\nport = true\n", "api.port: "),
        ("[api]\nport = 8600.0\n", "api.port: "),
        ("api = 7\n", "api: "),
        ("[api]\nwait_ms_max = 60001\n", "api.wait_ms_max: "),
        ("[p2p]\nlisten = []\n", "p2p.listen: "),
        ('[p2p]\nlisten = "x"\n', "p2p.listen: "),
        ('[p2p]\nlisten = ["localhost:1"]\n', "p2p.listen.0: must be a multiaddr"),
        ('[p2p]\nlisten = ["/ip4/1.2.3.4/tcp/70000"]\n', "p2p.listen.0: must be a multiaddr such as"),
        ('[p2p]\nlisten = ["/"]\n', "p2p.listen.0: must be a multiaddr such as"),
        ('[p2p]\nbootstrap = ["/dns4/a b/tcp/1"]\n', "p2p.bootstrap.0: must be a multiaddr such as"),
        ("[p2p]\nmdns = 1\n", "p2p.mdns: "),
        ('[storage]\nengine = "postgres"\n', "storage.engine: "),
        ('[storage]\nmongodb_database = "a.b"\n', "storage.mongodb_database: "),
        ("[mempool]\nproofs_max = 0\n", "mempool.proofs_max: "),
        ('[log]\nlevel = "loud"\n', "log.level: "),
        ("[api]\nport = nan\n", "api.port: "),
        ("[api]\nport = 1979-05-27\n", "holds a date"),
        ("[api\n", "is not TOML"),
        ("[api]\nport = 1\nport = 2\n", "is not TOML"),
        ("a = " + "[" * 50_000, "config.toml: is n"),
    ],
)
def test_what_is_wrong_in_the_file_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = written(tmp_path, text)
    error = error_of(path)
    assert error.startswith(f"{path}: ")
    assert message in error


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("STEP_API__PORT", "ninety", "STEP_API__PORT (environment): api.port: "),
        ("STEP_API__PORT", "65536", "STEP_API__PORT (environment): api.port: "),
        ("STEP_API__PROT", "1", "api.prot: unknown key"),
        ("STEP_P2P__LISTEN", "[]", "STEP_P2P__LISTEN (environment): p2p.listen: "),
        ("STEP_P2P__LISTEN", "/ip4/0.0.0.0", "STEP_P2P__LISTEN (environment): p2p.listen: must be a list as JSON"),
        ("STEP_STORAGE__ENGINE", "postgres", "STEP_STORAGE__ENGINE (environment): storage.engine: "),
        (
            "STEP_API_PORT",
            "8601",
            "STEP_API_PORT (environment): no setting has this name; the nearest is STEP_API__PORT.",
        ),
        ("STEP_PORT", "8601", "STEP_PORT (environment): no setting has this name"),
        ("step_loglevel", "debug", "step_loglevel (environment): no setting has this name"),
        ("STEP_KEYSTORE_PASSWORD", "x", "the nearest is STEP_KEYSTORE__PASSWORD"),
    ],
)
def test_what_is_wrong_in_the_environment_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, message: str
) -> None:
    monkeypatch.setenv(variable, value)
    assert message in error_of(written(tmp_path, ""))


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("STEP_NODE_KEYSTORE_PASSWORD", "secret"),
        ("STEP_SERVICE_HOST", "10.0.0.1"),
        ("STEP_SERVICE_PORT", "8600"),
        ("STEP_SERVICE_PORT_HTTP", "8600"),
        ("STEP_PORT", "tcp://10.0.0.1:8600"),
        ("STEP_PORT_8600_TCP_ADDR", "10.0.0.1"),
        ("STEP_NODE_PORT_8600_TCP", "tcp://10.0.0.1:8600"),
    ],
)
def test_variables_that_others_set_are_no_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    assert load_config(written(tmp_path, "")) == NodeConfig()


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    assert "is not there; `step-node init` writes one" in error_of(path)
    path.write_bytes(b"\xff\xfe")
    assert "is not TOML" in error_of(path)
    path.write_bytes(b"#" * (CONFIG_BYTES_MAX + 1))
    assert f"at most {CONFIG_BYTES_MAX} bytes" in error_of(path)


@pytest.mark.parametrize(
    "content", ["a." * 30_000 + "a = 1", "[" + "a." * 30_000 + "a]", "x = {" + "a." * 30_000 + "a = 1}"]
)
def test_a_key_of_thousands_of_parts_is_refused_before_the_parser_sees_it(tmp_path: Path, content: str) -> None:
    path = written(tmp_path, f"[p2p]\n{content}\n")
    assert "line 2: at most 32 dots may stand outside of quotes" in error_of(path)


def test_dots_in_texts_and_comments_are_no_parts_of_keys(tmp_path: Path) -> None:
    addresses = [f"/ip4/10.0.0.{host}/tcp/26600" for host in range(20)]
    path = written(tmp_path, f"[p2p]\nbootstrap = {json.dumps(addresses)}  # more {'.' * 40}\n")
    assert load_config(path).p2p.bootstrap == tuple(addresses)


def test_a_directory_in_the_place_of_the_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.mkdir()
    assert error_of(path).startswith(f"{path}: is a directory")


def test_a_private_peer_is_named_by_its_id(tmp_path: Path) -> None:
    for text in ("16Uiu2HAm", "/ip4/10.0.0.1/tcp/26600", "", "16Uiu2HAmCJNMn6k4ecyzgGxbKM9wN3PKABtKhKXGMgWiZZR8AGp2/x"):
        path = tmp_path / "config.toml"
        path.write_text(f'[p2p]\nprivate_peers = ["{text}"]\n')
        path.chmod(0o600)
        with pytest.raises(ConfigError, match=r"p2p\.private_peers.*must be a peer id such as 16Uiu2HAm"):
            load_config(path)
    path.write_text('[p2p]\nprivate_peers = ["16Uiu2HAmCJNMn6k4ecyzgGxbKM9wN3PKABtKhKXGMgWiZZR8AGp2"]\n')
    assert len(load_config(path).p2p.private_peers) == 1


@pytest.mark.parametrize(
    "text", [PEER_ID, f"{PEER_ID} ", "bafzaajiiaijccax2w6ycdef2ukequ5nktkgxyhrdkokc6dkohl525p4y45ze3zk4tm"]
)
def test_in_whatever_form_a_private_peer_is_named_it_is_known_by_its_id(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config.toml"
    path.write_text(f'[p2p]\nprivate_peers = ["{text}"]\n')
    path.chmod(0o600)
    assert load_config(path).p2p.private_peers == (PEER_ID,)
