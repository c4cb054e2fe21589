"""Commands to a running node: who may give them, what each does, and what is left of it."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest
import trio

from p2p.network import PeerId
from step_node.cli.admin.call import command_node
from step_node.cli.error_lines import CommandError
from step_node.economy.guardrails.guardrail import Breach, Guardrail
from step_node.economy.guardrails.guardrails import Broken
from step_node.home.paths import NodeHome
from step_node.home.secrets import HIDDEN
from step_node.home.switches import Switch
from step_node.node.admin import audit as audit_module
from step_node.node.admin.bundle import shown_config, without_secrets
from step_node.node.admin.commands import Nothing, Order
from step_node.node.admin.server import CONNECTIONS_MAX, REQUEST_BYTES_MAX
from step_node.node.admin.switching import ShareAnswer, SwitchesAnswer
from step_node.node.recent_lines import RECENT_BYTES_MAX, RecentLines
from tests.node.admin.served import CONFIG, PASSWORD, SECRET, served


async def test_a_command_is_done_and_recorded_with_who_when_why_and_outcome(tmp_path: Path) -> None:
    async with served(tmp_path) as here:
        answer = await here.command("pause-intake")
        assert not here.node.switches.is_on(Switch.INTAKE)
        (switch,) = answer["switches"]
        assert (switch["name"], switch["isOn"], switch["why"]) == ("intake", False, "a drill")
        assert str(os.getpid()) in switch["who"]
        with pytest.raises(CommandError, match="is no switch; there are intake"):
            await here.command("switches", name="nothing")
        await here.command("resume")
        assert here.node.switches.is_on(Switch.INTAKE)
        first, second, third = here.records
        assert (first["command"], first["why"], first["outcome"]) == ("pause-intake", "a drill", "done")
        assert (first["uid"], first["pid"]) == (os.getuid(), os.getpid())
        assert first["when"].endswith("Z")
        assert second["arguments"] == {"name": "nothing"}
        assert second["outcome"].startswith("refused: 'nothing' is no switch")
        assert third["command"] == "resume"
        for path in (here.home.admin_socket, here.home.admin_audit_log):
            assert path.stat().st_mode & 0o777 == 0o600


async def test_the_intake_s_share_is_set_shown_and_recorded(tmp_path: Path) -> None:
    async with served(tmp_path) as here:
        assert await here.command("intake-share") == {"percent": 100, "who": None, "when": None, "why": None}
        answer = await here.command("intake-share", percent=10)
        assert (answer["percent"], answer["why"]) == (10, "a drill")
        assert str(os.getpid()) in answer["who"]
        assert here.node.switches.intake_percent == 10
        assert (await here.command("switches"))["intakeShare"] == answer
        with pytest.raises(CommandError, match="percent: "):
            await here.command("intake-share", percent=42)
        assert here.node.switches.intake_percent == 10
        assert [one["arguments"] for one in here.records if one["command"] == "intake-share"][1:] == [
            {"percent": 10},
            {"percent": 42},
        ]


async def test_guardrails_are_shown_and_a_breach_is_acknowledged_with_a_reason(tmp_path: Path) -> None:
    async with served(tmp_path) as here:
        answer = await here.command("guardrails")
        assert answer["isOn"]
        assert {one["name"]: one["isBroken"] for one in answer["guardrails"]} == dict.fromkeys(Guardrail, False)
        with pytest.raises(CommandError, match="the guardrail supply is not broken"):
            await here.command("guardrails", acknowledge="supply")
        with pytest.raises(CommandError, match="is no guardrail; there are rewards"):
            await here.command("guardrails", acknowledge="nothing")
        inner = here.node.economy.guardrails._guardrails
        assert inner is not None
        inner._broken[Guardrail.SUPPLY] = Broken(Breach(Guardrail.SUPPLY, 3, "too much", 2, 1), 0)
        broken = next(one for one in (await here.command("guardrails"))["guardrails"] if one["isBroken"])
        assert (broken["name"], broken["brokenAtHeight"], broken["message"]) == ("supply", 3, "too much")
        with pytest.raises(CommandError, match="say with --why"):
            await trio.to_thread.run_sync(
                lambda: command_node(here.home.root, "guardrails", {"acknowledge": "supply"}, why="")
            )
        assert here.node.economy.guardrails.broken
        await here.command("guardrails", acknowledge="supply")
        assert not here.node.economy.guardrails.broken
        assert here.records[-1]["arguments"] == {"acknowledge": "supply"}


async def test_peers_are_banned_and_let_back_and_nonsense_is_told(tmp_path: Path) -> None:
    peer = "16Uiu2HAm52mCFJXu3BvHVJzfDTsKtvJh2JGFeECzeX8zJ5HHS2hL"
    async with served(tmp_path) as here:
        answer = await here.command("ban", peer=peer, minutes=5)
        assert (answer["seconds"], answer["isValidator"]) == (300, False)
        assert here.node.network.is_banned(PeerId(peer))
        (ban,) = (await here.command("peers"))["banned"]
        assert (ban["peerId"], ban["byOperator"]) == (peer, True)
        with pytest.raises(CommandError, match="is banned: lift that first"):
            await here.command("add-peer", address=f"/ip4/192.0.2.7/tcp/1/p2p/{peer}")
        assert (await here.command("unban", peer=peer))["wasBanned"]
        assert not here.node.network.is_banned(PeerId(peer))
        for name, arguments, said in (
            ("ban", {"peer": "no/peer"}, "peer: "),
            ("ban", {"peer": peer, "minutes": 0}, "minutes: must be greater"),
            ("add-peer", {"address": "nowhere"}, "address: "),
            ("peers", {"more": 1}, "more: unknown key"),
            ("snapshot", {}, "height 0"),
            ("set-log-level", {"levels": "debug"}, "no log of its own"),
            ("dance", {}, "has no command 'dance'; it has add-peer"),
        ):
            with pytest.raises(CommandError, match=said):
                await here.command(name, **arguments)


async def test_settings_are_read_again_and_the_past_is_pruned(tmp_path: Path) -> None:
    async with served(tmp_path) as here:
        assert await here.command("reload") == {"changed": [], "waiting": [], "notTaken": []}
        assert await here.command("prune") == {"batchesFrom": 1, "historiesFrom": 1}


async def test_a_request_that_is_none_is_refused_and_the_node_goes_on(tmp_path: Path) -> None:
    async with served(tmp_path) as here:
        for data, said in (
            (b"\n", "must be a line of JSON"),
            (b"\xff\n", "must be UTF-8"),
            (b'{"command": "peers", "who": "root"}\n', "who: unknown key"),
            (b"[" * 100 + b"\n", "nested"),
            (b"x" * (REQUEST_BYTES_MAX + 1), f"at most {REQUEST_BYTES_MAX} bytes"),
        ):
            answer = await trio.to_thread.run_sync(here.send, data)
            assert answer["ok"] is False
            assert said in answer["message"]
        assert await here.command("consensus")


async def test_a_bug_in_a_command_ends_its_connection_and_is_recorded(tmp_path: Path) -> None:
    async def stumbles(_: Nothing, _order: Order) -> SwitchesAnswer:
        raise KeyError("a bug")

    async with served(tmp_path) as here:
        here.commands.add("stumble", Nothing, stumbles)
        with pytest.raises(CommandError, match="the node has hung up"):
            await here.command("stumble")
        assert here.records[-1]["outcome"] == "it was interrupted"
        assert await here.command("consensus")


async def test_more_commands_than_may_run_at_once_are_refused(tmp_path: Path) -> None:
    begun, go_on = 0, trio.Event()

    async def waits(_: Nothing, _order: Order) -> SwitchesAnswer:
        nonlocal begun
        begun += 1
        await go_on.wait()
        return SwitchesAnswer(switches=[], intake_share=ShareAnswer(percent=100))

    async with served(tmp_path) as here, trio.open_nursery() as nursery:
        here.commands.add("wait", Nothing, waits)
        for _ in range(CONNECTIONS_MAX):
            nursery.start_soon(here.command, "wait")
        with trio.fail_after(60):
            while begun < CONNECTIONS_MAX:
                await trio.sleep(0.01)
        with pytest.raises(CommandError, match=f"{CONNECTIONS_MAX} commands are under way"):
            await here.command("consensus")
        go_on.set()


async def test_a_record_that_cannot_be_written_keeps_nobody_from_commanding(tmp_path: Path) -> None:
    async with served(tmp_path) as here:
        here.home.admin_audit_log.mkdir()
        await here.command("pause-intake")
        assert not here.node.switches.is_on(Switch.INTAKE)


async def test_the_record_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_module, "AUDIT_BYTES_MAX", 600)
    async with served(tmp_path) as here:
        for _ in range(8):
            await here.command("consensus")
        older = here.home.admin_audit_log.with_name("admin_audit.log.1")
        assert here.home.admin_audit_log.stat().st_size <= 600
        assert 0 < older.stat().st_size <= 600


async def test_the_last_lines_of_the_log_are_told_without_secrets_and_leave_no_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = f"a line\nthe key is {SECRET}\nmongodb://step:{PASSWORD}@192.0.2.1/\n"
    monkeypatch.setattr("step_node.node.admin.node_commands.recent_lines", lambda: text)
    async with served(tmp_path) as here:
        answer = await here.command("log", lines=2)
        assert answer["lines"] == [f"the key is {HIDDEN}", f"mongodb://{HIDDEN}@192.0.2.1/"]
        assert not here.home.admin_audit_log.exists()
        with pytest.raises(CommandError, match="lines"):
            await here.command("log", lines=0)
        (refused,) = here.records
        assert refused["outcome"].startswith("refused: ")


async def test_a_bundle_shows_what_the_node_does_and_no_secret(tmp_path: Path) -> None:
    async with served(tmp_path) as here:
        (here.home.data / SECRET).touch()
        (here.home.data / f"of-{PASSWORD}").touch()
        files = (await here.command("debug-bundle"))["files"]
        assert json.loads(files["consensus.json"])["height"] == 1
        assert json.loads(files["config.json"])["storage"]["mongodb_uri"] == HIDDEN
        assert json.loads(files["versions.json"])["packages"]["trio"]
        assert json.loads(files["disk.json"])["files_bytes"]
        assert "step_intake_paused 0.0" in files["metrics.txt"]
        assert "AdminServer.run" in files["tasks.txt"]
        assert "MainThread" in files["threads.txt"]
        assert {"health.json", "peers.json", "process.json", "status.json", "switches.json", "log.txt"} <= files.keys()
        whole = "\n".join(files.values())
        assert PASSWORD not in whole
        assert SECRET not in whole
        assert f"of-{HIDDEN}" in whole


def test_secrets_are_taken_out_wherever_they_stand_and_short_words_are_not_looked_for() -> None:
    cleaned = without_secrets({"log": f"at mongodb://a:b@host and {SECRET}, key k1"}, ["k1", "", SECRET])
    assert cleaned == {"log": f"at mongodb://{HIDDEN}@host and {HIDDEN}, key k1"}
    assert PASSWORD not in json.dumps(shown_config(CONFIG))


def test_the_last_lines_are_kept_in_bounds() -> None:
    lines = RecentLines()
    lines.add(b"nobody asked for it\n")
    assert lines.text() == ""
    lines.keep(2)
    for number in range(4):
        lines.add(b"%d\n" % number)
    assert lines.text() == "2\n3\n"
    lines.add(bytes(RECENT_BYTES_MAX))
    assert len(lines.text()) <= RECENT_BYTES_MAX


def test_without_a_node_the_error_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="is no node's home"):
        command_node(tmp_path, "peers")
    home = NodeHome(tmp_path)
    home.config.touch()
    home.data.mkdir()
    with pytest.raises(CommandError, match="no node runs on this home"):
        command_node(tmp_path, "peers")
    with socket.socket(socket.AF_UNIX) as left_over:
        left_over.bind(str(home.admin_socket)) if len(str(home.admin_socket)) < 100 else pytest.skip("a long path")
    with pytest.raises(CommandError, match="no node listens there any more"):
        command_node(tmp_path, "peers")
