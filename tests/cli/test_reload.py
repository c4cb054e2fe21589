"""SIGHUP to a real node: what can change does, what cannot is told, what is wrong changes nothing, and it lives on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from step_node.home.config import LogConfig, MempoolConfig, load_config
from step_node.home.config_file import render_config
from step_node.home.paths import NodeHome
from step_node.mempool.pool import PROOFS_MAX
from tests.cli.conftest import STEP_NODE

pytestmark = pytest.mark.slow
ORIGIN = "https://app.example"


class Running:
    """A node whose log is read line by line; each has to be JSON."""

    def __init__(self, home: NodeHome, password_file: Path, *sets: str) -> None:
        command = [*STEP_NODE, "start", "--home", str(home.root), "--password-file", str(password_file)]
        for one in sets:
            command += ["--set", one]
        # The process inherits it, and whoever runs the tests may ignore the signal.
        inherited = signal.signal(signal.SIGHUP, signal.SIG_DFL)
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        signal.signal(signal.SIGHUP, inherited)

    def line(self, event: str) -> dict[str, Any]:
        """The next line that says so."""
        return self.lines(event)[-1]

    def lines(self, event: str) -> list[dict[str, Any]]:
        """The lines up to the next one that says so."""
        assert self.process.stderr is not None
        found = []
        for text in self.process.stderr:
            found.append(json.loads(text))
            if found[-1]["event"] == event:
                return found
        raise AssertionError(f"the node has ended without saying {event!r}: {found}")


@pytest.fixture
def running(home: NodeHome, password_file: Path) -> Iterator[Running]:
    one = Running(home, password_file, "log.format=json", "api.wait_ms_max=7")
    yield one
    one.process.kill()
    one.process.communicate()


def test_settings_are_read_again_at_a_hang_up(running: Running, home: NodeHome) -> None:
    url = running.line("serving")["api"]

    def allowed() -> object:
        answer = httpx.get(f"{url}/health", headers={"Origin": ORIGIN}, timeout=60)
        return answer.headers.get("access-control-allow-origin")

    running.line("Running. `step-node status --url " + url + "` asks how it is; Ctrl-C stops it.")
    assert allowed() == "*"
    config = load_config(home.config)
    api = config.api.model_copy(update={"cors_origins": (), "port": 1, "wait_ms_max": 8})
    new = config.model_copy(update={"api": api, "log": LogConfig(levels="consensus=debug")})
    home.config.write_text(render_config(new))
    running.process.send_signal(signal.SIGHUP)
    lines = running.lines("the settings have been read again")
    told = {(line["event"], line["setting"]) for line in lines if "setting" in line}
    assert told == {
        ("a setting has changed", "api.cors_origins"),
        ("a setting has changed", "log.levels"),
        ("a setting has changed that holds only after a restart", "api.port"),
    }, "and api.wait_ms_max is what the command says"
    assert (lines[-1]["changed"], lines[-1]["need_restart"]) == (2, 1)
    assert allowed() is None

    # What nothing else hangs on stays by itself as it was.
    files = {"web_app_base_map": Path("away.pmtiles"), "web_app_wallet": Path("away.js")}
    api = api.model_copy(update={"cors_origins": (ORIGIN,), **files})
    home.config.write_text(render_config(new.model_copy(update={"api": api})))
    running.process.send_signal(signal.SIGHUP)
    lines = running.lines("the settings have been read again")
    not_taken = {line["setting"]: line["reason"] for line in lines if "it cannot be taken" in line["event"]}
    assert not_taken.keys() == {f"api.{name}" for name in files}
    assert all("cannot be read" in reason for reason in not_taken.values())
    assert (lines[-1]["changed"], lines[-1]["not_taken"]) == (1, 2)
    assert allowed() == ORIGIN
    api = api.model_copy(update={"cors_origins": (), **dict.fromkeys(files)})
    home.config.write_text(render_config(new.model_copy(update={"api": api})))
    running.process.send_signal(signal.SIGHUP)
    assert running.line("the settings have been read again")["not_taken"] == 0
    assert allowed() is None

    home.config.write_text('[api]\nport = "x"\ncors_origins = ["*"]\n')
    running.process.send_signal(signal.SIGHUP)
    reason = running.line("the settings stay as they were: they cannot be taken")["reason"]
    assert "api.port: must be a valid integer" in reason
    assert allowed() is None

    running.process.send_signal(signal.SIGTERM)
    assert running.line("stopped")["level"] == "info"
    assert running.process.wait(120) == 0


def test_bounds_of_the_mempool_and_of_the_feed_hold_at_once_and_take_nothing_away(
    running: Running, home: NodeHome
) -> None:
    url = running.line("serving")["api"]

    def shown(*names: str) -> list[float]:
        lines = dict(line.rsplit(" ", 1) for line in httpx.get(f"{url}/metrics", timeout=60).text.splitlines())
        return [float(lines[f"step_{name}"]) for name in names]

    bounds = ("mempool_proofs_max", "event_streams_max", "event_streams")
    with httpx.stream("GET", f"{url}/events", timeout=60) as open_before:
        assert open_before.status_code == 200
        assert shown(*bounds)[0] == PROOFS_MAX
        config = load_config(home.config)
        api = config.api.model_copy(update={"event_streams_max": 0})
        new = config.model_copy(update={"api": api, "mempool": MempoolConfig(proofs_max=7)})
        home.config.write_text(render_config(new))
        running.process.send_signal(signal.SIGHUP)
        assert running.line("the settings have been read again")["need_restart"] == 0
        assert shown(*bounds) == [7, 0, 1]
        refused = httpx.get(f"{url}/events", timeout=60)
        assert (refused.status_code, refused.json()["code"]) == (503, "NOT_READY")
    api = config.api.model_copy(update={"event_streams_per_address_max": 1})
    home.config.write_text(render_config(config.model_copy(update={"api": api})))
    running.process.send_signal(signal.SIGHUP)
    assert running.line("the settings have been read again")["changed"] == 3
    with httpx.stream("GET", f"{url}/events", timeout=60) as first:
        assert first.status_code == 200
        assert httpx.get(f"{url}/events", timeout=60).status_code == 429


def test_wrong_settings_are_told_in_json_to_whoever_reads_json(home: NodeHome, password_file: Path) -> None:
    for text in ('[log]\nformat = "json"\n[api]\nport = "x"\n', "[api\n"):
        home.config.write_text(text)
        environment = os.environ | {"STEP_LOG__FORMAT": "json"}
        command = [*STEP_NODE, "start", "--home", str(home.root), "--password-file", str(password_file)]
        ended = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        assert (ended.returncode, ended.stdout) == (1, "")
        (line,) = map(json.loads, ended.stderr.splitlines())
        assert line["event"] == "the node ends"
        assert "config.toml: " in line["reason"]
