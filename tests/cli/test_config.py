"""`config.toml`: read strictly, overridden by the environment, and wrong settings named."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from step_node.home.config import (
    ApiConfig,
    ConfigError,
    LogConfig,
    MempoolConfig,
    NodeConfig,
    P2pConfig,
    StorageConfig,
    SyncConfig,
    load_config,
)
from step_node.home.config_file import render_config

ports = st.integers(0, 65_535)
printable = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
host_names = st.from_regex(r"[a-z][a-z0-9]{0,20}(\.[a-z]{2,5})?", fullmatch=True)
multiaddrs = st.builds("/dns4/{}/tcp/{}".format, host_names, ports)
origins = st.sampled_from(["*", "https://app.example", "http://[::1]:8080"])
configs = st.builds(
    NodeConfig,
    api=st.builds(
        ApiConfig,
        host=printable,
        port=ports,
        connections_max=st.integers(16, 10_000),
        connections_per_address_max=st.integers(1, 10_000),
        cost_ms_per_second=st.integers(10, 10_000),
        address_cost_ms_per_second=st.integers(10, 10_000),
        submissions_per_minute=st.integers(0, 1_000_000),
        account_submissions_per_minute=st.integers(0, 1_000_000),
        proxies=st.lists(st.ip_addresses(), max_size=3).map(tuple),
        cors_origins=st.lists(st.sampled_from(["*", "https://app.example", "http://[::1]:8080"]), max_size=3).map(
            tuple
        ),
        web_app=st.booleans(),
        web_app_nodes=st.lists(st.sampled_from(["https://node.example", "http://192.0.2.1:8600"]), max_size=3).map(
            tuple
        ),
        web_app_wallet=st.none() | st.just(Path("wallet-adapter.js")),
        web_app_base_map=st.none() | st.just(Path("base-map.pmtiles")),
        web_app_wallet_origins=st.lists(st.just("wss://relay.example"), max_size=3).map(tuple),
    ),
    p2p=st.builds(
        P2pConfig,
        listen=st.lists(multiaddrs, min_size=1, max_size=3).map(tuple),
        bootstrap=st.lists(multiaddrs, max_size=3).map(tuple),
        mdns=st.booleans(),
    ),
    storage=st.builds(StorageConfig, mongodb_uri=st.none() | printable.filter(bool)),
    sync=st.builds(
        SyncConfig,
        snapshot=st.booleans(),
        snapshot_distance_batches=st.integers(1, 10**6),
        snapshot_every_batches=st.integers(0, 10**6),
    ),
    mempool=st.builds(MempoolConfig, proofs_max=st.integers(1, 10_000_000)),
    log=st.builds(LogConfig, level=st.sampled_from(["debug", "info", "warning", "error"])),
)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    # Variables of ours that are no settings must not be taken for any.
    monkeypatch.setenv("STEP_TEST_MONGODB_URI", "mongodb://x")
    monkeypatch.setenv("STEP_NODE_KEYSTORE_PASSWORD", "secret")
    return tmp_path / "config.toml"


@given(config=configs)
def test_what_is_written_reads_back_the_same(tmp_path_factory: pytest.TempPathFactory, config: NodeConfig) -> None:
    path = tmp_path_factory.getbasetemp() / "config.toml"
    path.write_text(render_config(config))
    assert load_config(path) == config


def test_an_empty_file_gives_the_defaults(path: Path) -> None:
    path.touch()
    assert load_config(path) == NodeConfig()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[api]\nprot = 1", "api.prot: unknown key"),
        ("[apy]", "apy: unknown key"),
        ("port = 1", "port: unknown key"),
        ('[api]\nport = "8600"', "api.port: "),
        ("[api]\nport = true", "api.port: "),
        ("[api]\nport = 70000", "api.port: "),
        ("[api]\nport = 8600.0", "api.port: "),
        ("api = 3", "api: "),
        ("[api]\nhost = 2026-01-31", "a date"),
        ('[p2p]\nlisten = "/ip4/1"', "p2p.listen: "),
        ('[p2p]\nbootstrap = ["node1:26600"]', "p2p.bootstrap.0: must be a multiaddr"),
        ('[storage]\nengine = "postgres"', "storage.engine: "),
        ('[storage]\nengine = "mongodb"', "storage.mongodb_uri: is needed"),
        ('[storage]\nmongodb_database = "a.b"', "storage.mongodb_database: "),
        ("[sync]\nsnapshot_distance_batches = 0", "sync.snapshot_distance_batches: "),
        ("[mempool]\nproofs_max = 0", "mempool.proofs_max: "),
        ("[api", "is not TOML"),
        ("[api]\nport = 1\nport = 2", "is not TOML"),
    ],
)
def test_a_wrong_setting_is_an_error_that_names_file_and_key(path: Path, content: str, message: str) -> None:
    path.write_text(content)
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)


def test_the_environment_overrides_the_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_text('[api]\nport = 1\nhost = "::1"\n[storage]\nengine = "mongodb"')
    monkeypatch.setenv("STEP_API__PORT", "8601")
    monkeypatch.setenv("STEP_P2P__BOOTSTRAP", '["/ip4/127.0.0.1/tcp/1"]')
    monkeypatch.setenv("STEP_STORAGE__MONGODB_URI", "mongodb://somewhere")
    config = load_config(path)
    assert config.api == ApiConfig(port=8_601, host="::1")
    assert config.p2p.bootstrap == ("/ip4/127.0.0.1/tcp/1",)
    assert config.storage.mongodb_uri == "mongodb://somewhere"


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("STEP_API__PORT", "many", "STEP_API__PORT (environment): api.port: "),
        ("STEP_API__PROT", "1", "STEP_API__PROT (environment): api.prot: unknown key"),
        ("STEP_P2P__BOOTSTRAP", "/ip4/1", "STEP_P2P__BOOTSTRAP (environment): p2p.bootstrap: must be a list as JSON"),
    ],
)
def test_a_wrong_variable_is_an_error_that_names_it(
    path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, message: str
) -> None:
    path.touch()
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert str(caught.value).startswith(message)


def test_a_missing_file_says_how_to_make_one(path: Path) -> None:
    with pytest.raises(ConfigError, match="step-node init"):
        load_config(path)


@pytest.mark.parametrize(
    "content",
    [
        '[storage]\nmongodb_uri = ["mongodb://user:secret@host/"]\n',
        'storage = "mongodb://user:secret@host/"\n',
        '[storage]\nengine = "mongodb://user:secret@host/"\n',
        '[storage]\nengine = "user:secret@host"\n',
    ],
)
def test_a_password_is_never_shown_wherever_the_uri_was_written(path: Path, content: str) -> None:
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ConfigError, match="storage") as refused:
        load_config(path)
    assert "secret" not in str(refused.value)


def test_the_files_of_tls_read_back_the_same(tmp_path: Path) -> None:
    config = NodeConfig(api=ApiConfig(tls_certificate=Path("a b.pem"), tls_key=Path("/keys/ö.pem")))
    path = tmp_path / "config.toml"
    path.write_text(render_config(config), encoding="utf-8")
    assert load_config(path) == config
