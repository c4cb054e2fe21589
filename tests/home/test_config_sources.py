"""Where settings come from: commands, variables, the file, secrets elsewhere; and everything that is wrong at once."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from step_node.home.config import ConfigError, NodeConfig, load_settings, read_settings
from step_node.home.config_file import render_config
from step_node.home.config_reference import environment_reference, markdown_reference
from step_node.home.config_sources import settings_of
from step_node.home.secrets import SECRET_BYTES_MAX

ROOT = Path(__file__).parents[2]
URI = "mongodb://user:hunter2@localhost/?replicaSet=rs0"


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(text)
    path.chmod(0o600)
    return path


def problems(path: Path, *sets: str, **environment: str) -> list[str]:
    settings, found, _ = read_settings(path, sets=sets, environment=environment)
    assert (settings is None) == bool(found)
    return list(map(str, found))


def test_each_setting_says_where_it_comes_from_and_the_stronger_source_holds(tmp_path: Path) -> None:
    path = written(tmp_path, '[api]\nport = 1\nhost = "::1"\nwait_ms_max = 5\n')
    environment = {"STEP_API__PORT": "2", "STEP_API__HOST": "::2"}
    settings, _, _ = read_settings(path, sets=["api.port=3"], environment=environment)
    assert settings is not None
    api = settings.config.api
    assert (api.port, api.host, api.wait_ms_max) == (3, "::2", 5)
    assert [str(settings.sources[f"api.{name}"]) for name in ("port", "host", "wait_ms_max", "connections_max")] == [
        "--set api.port",
        "STEP_API__HOST (environment)",
        str(path),
        "default",
    ]


def test_everything_that_is_wrong_is_told_at_once_with_its_source(tmp_path: Path) -> None:
    path = written(tmp_path, '[api]\nport = 70000\nprot = 1\n[log]\nlevel = "loud"\nlevels = "consensus=loud"\n')
    found = problems(path, "api.hots=1", "log.level", STEP_API__WAIT_MS_MAX="x", STEP_PORT="1")
    assert len(found) == 8
    for beginning in (
        f"{path}: api.port: must be less than or equal to 65535",
        f"{path}: api.prot: unknown key",
        f"{path}: log.level: must be 'debug'",
        f"{path}: log.levels: a level is one of debug, info, warning, error, not 'loud'",
        "STEP_API__WAIT_MS_MAX (environment): api.wait_ms_max: must be a valid integer",
        "STEP_PORT (environment): no setting has this name",
        "--set api.hots: api.hots: unknown key; the nearest is api.host",
        "--set: must be section.key=value",
    ):
        assert any(line.startswith(beginning) for line in found), (beginning, found)


def test_a_wrong_value_is_an_error_even_where_a_stronger_source_speaks(tmp_path: Path) -> None:
    assert problems(written(tmp_path, "[api]\nport = 70000\n"), STEP_API__PORT="1") != []


def test_levels_of_the_log_are_the_same_text_everywhere(tmp_path: Path) -> None:
    text = "consensus=debug,p2p=warning"
    for sets, environment, content in (
        ([], {}, f'[log]\nlevels = "{text}"\n'),
        ([], {"STEP_LOG__LEVELS": text}, ""),
        ([f"log.levels={text}"], {}, ""),
    ):
        settings, _, _ = read_settings(written(tmp_path, content), sets=sets, environment=environment)
        assert settings is not None
        assert settings.config.log.levels == text
    (line,) = problems(written(tmp_path, '[log]\nlevels = "consenus=debug"\n'))
    assert "no part of the log is called 'consenus'; the nearest is consensus" in line


def test_a_secret_can_be_in_a_file_or_what_a_command_prints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = tmp_path / "uri"
    secret.write_text(f"{URI}\n")
    secret.chmod(0o600)
    command = f'["{sys.executable}", "-c", "print(open(\'uri\').read(), end=\'\')"]'
    for text in (
        '{ file = "uri" }',
        f'{{ file = "{secret}" }}',
        f"{{ command = {command.replace(chr(39), chr(39))} }}",
    ):
        path = written(tmp_path, f'[storage]\nengine = "mongodb"\nmongodb_uri = {text}\n')
        settings = load_settings(path)
        assert settings.config.storage.mongodb_uri == URI
        assert "hunter2" not in repr(settings)
        assert str(settings.sources["storage.mongodb_uri"]).startswith(f"{path}, ")
    path = written(tmp_path, '[storage]\nengine = "mongodb"\n')
    for variable, value in (("STEP_STORAGE__MONGODB_URI_FILE", "uri"), ("STEP_STORAGE__MONGODB_URI_COMMAND", command)):
        with monkeypatch.context() as patch:
            patch.setenv(variable, value)
            settings = load_settings(path)
        assert settings.config.storage.mongodb_uri == URI
        assert str(settings.sources["storage.mongodb_uri"]).startswith(f"{variable} (environment), ")


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ('{ file = "open" }', "must be readable by its owner alone"),
        ('{ file = "none" }', "cannot be read"),
        ('{ file = "long" }', "must be at most"),
        ('{ file = "empty" }', "gives nothing"),
        ('{ file = "a", command = ["b"] }', "must be a text, { file"),
        ("{ command = [] }", "must be a text, { file"),
        ('{ command = ["false"] }', "ended with status 1; run it by hand"),
        ('{ command = ["/nowhere/at/all", "hunter2"] }', "command /nowhere/at/all: cannot be run"),
        ('["hunter2"]', "must be a valid string"),
    ],
)
def test_a_secret_that_cannot_be_read_is_told_without_it(tmp_path: Path, text: str, rule: str) -> None:
    for name, content, mode in (("open", "hunter2", 0o644), ("long", "hunter2" * SECRET_BYTES_MAX, 0o600)):
        (tmp_path / name).write_text(content)
        (tmp_path / name).chmod(mode)
    (tmp_path / "empty").touch(0o600)
    (line,) = problems(written(tmp_path, f"[keystore]\npassword = {text}\n"))
    assert "keystore.password: " in line
    assert rule in line
    assert "hunter2" not in line


def test_no_command_of_a_file_that_others_can_write_is_run(tmp_path: Path) -> None:
    path = written(tmp_path, f'[keystore]\npassword = {{ command = ["touch", "{tmp_path}/ran"] }}\n')
    path.chmod(0o620)
    (line,) = problems(path)
    assert "must be writable by its owner alone" in line
    assert not (tmp_path / "ran").exists()


def test_a_secret_is_said_once_and_never_on_the_command_line(tmp_path: Path) -> None:
    path = written(tmp_path, "")
    twice = {"STEP_KEYSTORE__PASSWORD": "hunter2", "STEP_KEYSTORE__PASSWORD_COMMAND": '["false"]'}
    (line,) = problems(path, **twice)
    assert "is said twice" in line
    (line,) = problems(path, "keystore.password=hunter2")
    assert "use STEP_KEYSTORE__PASSWORD_FILE" in line
    assert "hunter2" not in line


def test_a_secret_that_another_source_outdoes_is_not_read(tmp_path: Path) -> None:
    path = written(tmp_path, f'[keystore]\npassword = {{ command = ["touch", "{tmp_path}/ran"] }}\n')
    assert problems(path, STEP_KEYSTORE__PASSWORD="x") == []
    assert not (tmp_path / "ran").exists()


def test_whoever_wants_a_log_of_json_is_told_of_wrong_settings_in_json(tmp_path: Path) -> None:
    for text, is_json in (
        ('[log]\nformat = "json"\n[api]\nport = "x"\n', True),
        ("[api]\nport = 'x'\n", False),
    ):
        with pytest.raises(ConfigError) as caught:
            load_settings(written(tmp_path, text))
        assert caught.value.is_json == is_json


def test_every_setting_is_described_and_the_pages_are_those_that_the_command_prints() -> None:
    assert [setting.name for setting in settings_of(NodeConfig) if not setting.info.description] == []
    for page, text in (
        ("docs/settings.md", markdown_reference()),
        (".env.example", environment_reference()),
        ("configs/config.toml", render_config(NodeConfig())),
    ):
        assert (ROOT / page).read_text() == text, f"{page}: write it anew (`step-node config reference`)"


def test_the_example_of_variables_can_be_used_as_it_is(tmp_path: Path) -> None:
    lines = [line.removeprefix("# ") for line in environment_reference().splitlines() if line.startswith("# STEP_")]
    environment = dict(line.split("=", 1) for line in lines)
    empty = {name: value for name, value in environment.items() if value}
    settings, found, _ = read_settings(written(tmp_path, ""), environment=empty)
    assert found == ()
    assert settings is not None
    assert len(environment) == len(list(settings_of(NodeConfig)))
