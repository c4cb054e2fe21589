"""`step-node admin`: commands to a running node, by the socket in its home."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from step_node.cli.admin_call import command_node
from step_node.cli.error_lines import CommandError
from step_node.cli.output import plain, print_json, print_table

app = typer.Typer(
    no_args_is_help=True,
    help="Command a running node, by the socket in its home. Each command but log is recorded there, in"
    " data/admin_audit.log.",
)

HomeOption = Annotated[Path, typer.Option("--home", metavar="DIR", help="The home of the running node.")]
WhyOption = Annotated[str, typer.Option("--why", metavar="TEXT", help="Why, for the record.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the node's answer as it is, one JSON object.")]
PeerArgument = Annotated[str, typer.Argument(metavar="PEER", help="The peer id, as `peers` shows it.")]

SLOW_SECONDS = 3_600.0
"""How long a command may take that goes through the whole state."""


class OnOrOff(StrEnum):
    """Which way to throw a switch."""

    ON = "on"
    OFF = "off"


@app.command("pause-intake")
def pause_intake(home: HomeOption, why: WhyOption = "", as_json: JsonOption = False) -> None:
    """Take no more proofs and transfers from clients, until `resume`, over restarts too.

    Everything else goes on: what was accepted becomes final, and peers' proofs are voted on. Clients are answered 503
    INTAKE_PAUSED, and /health/ready sends them elsewhere.

    Example: step-node admin pause-intake --home node --why "disk is being replaced"
    """
    _print_switches(command_node(home, "pause-intake", why=why), as_json)


@app.command("resume")
def resume(home: HomeOption, why: WhyOption = "", as_json: JsonOption = False) -> None:
    """Take proofs and transfers from clients again.

    Example: step-node admin resume --home node
    """
    _print_switches(command_node(home, "resume", why=why), as_json)


@app.command("switches")
def switches(
    home: HomeOption,
    name: Annotated[str | None, typer.Argument(metavar="[SWITCH]", help="Which one; all, if you do not say.")] = None,
    way: Annotated[OnOrOff | None, typer.Argument(metavar="[on|off]", help="Which way to throw it.")] = None,
    why: WhyOption = "",
    as_json: JsonOption = False,
) -> None:
    """Show what can be turned off while the node runs, who has done so, when and why; or throw a switch.

    It lasts until it is thrown again, over restarts too.

    Example: step-node admin switches maps off --home node --why "too many tiles"
    """
    arguments: dict[str, object] = {} if name is None else {"name": name}
    if way is not None:
        arguments["is_on"] = way is OnOrOff.ON
    _print_switches(command_node(home, "switches", arguments, why=why), as_json)


class SharePercent(StrEnum):
    """Of how many of a hundred accounts anything may be taken."""

    NONE = "0"
    TEN = "10"
    FIFTY = "50"
    ALL = "100"


@app.command("intake-share")
def intake_share(
    home: HomeOption,
    percent: Annotated[
        SharePercent | None,
        typer.Argument(metavar="[PERCENT]", help="0, 10, 50 or 100; how it stands, if you say none."),
    ] = None,
    why: WhyOption = "",
    as_json: JsonOption = False,
) -> None:
    """Take proofs and transfers of a part of all accounts alone, chosen by a hash of their addresses; or of all again.

    Others are answered 503 INTAKE_PAUSED. It lasts until it is set again, over restarts too. A guardrail that is broken
    lowers it where the settings under [guardrails] say so, and never raises it: that is yours to do.

    Example: step-node admin intake-share 10 --home node --why "the guardrail supply is broken"
    """
    arguments = {} if percent is None else {"percent": int(percent)}
    answer = command_node(home, "intake-share", arguments, why=why)
    if as_json:
        print_json(answer)
        return
    since = "" if answer["when"] is None else f", since {answer['when']}, by {answer['who']}: {answer['why'] or '-'}"
    typer.echo(plain(f"the intake takes proofs and transfers of {answer['percent']} % of all accounts{since}"))


@app.command("guardrails")
def guardrails(
    home: HomeOption,
    acknowledge: Annotated[
        str | None,
        typer.Option("--acknowledge", metavar="GUARDRAIL", help="You have seen that it is broken; needs --why."),
    ] = None,
    why: WhyOption = "",
    as_json: JsonOption = False,
) -> None:
    """Show what is checked after every batch, and what is wrong; or say that you have looked into a breach.

    A breach of the ledger's rules stays until that, over restarts too, and comes back with the next batch that breaks
    it.

    Example: step-node admin guardrails --home node --acknowledge supply --why "mended by release 0.3.1"
    """
    arguments = {} if acknowledge is None else {"acknowledge": acknowledge}
    answer = command_node(home, "guardrails", arguments, why=why)
    if as_json:
        print_json(answer)
        return
    if not answer["isOn"]:
        typer.echo("The guardrails are switched off: `step-node admin switches guardrails on` turns them on.")
    print_table(
        ("guardrail", "is", "figure", "bound", "unit", "since"),
        [
            [
                one["name"],
                "BROKEN" if one["isBroken"] else "whole",
                one["figure"],
                one["bound"],
                one["unit"],
                one["brokenSince"],
            ]
            for one in answer["guardrails"]
        ],
    )
    for one in answer["guardrails"]:
        if one["isBroken"]:
            typer.echo(plain(f"{one['name']}, height {one['brokenAtHeight']}: {one['message']}"))


@app.command("set-log-level")
def set_log_level(
    levels: Annotated[
        str, typer.Argument(metavar="LEVELS", help='Of parts, as "consensus=debug,p2p=info"; or of all, as "debug".')
    ],
    home: HomeOption,
    why: WhyOption = "",
    as_json: JsonOption = False,
) -> None:
    """Change what is logged, until the node stops or reads its settings again. To keep it, set `levels` under [log].

    Example: step-node admin set-log-level consensus=debug,p2p=info --home node
    """
    answer = command_node(home, "set-log-level", {"levels": levels}, why=why)
    if as_json:
        print_json(answer)
    else:
        typer.echo(plain(answer["levels"]))


@app.command("peers")
def peers(home: HomeOption, as_json: JsonOption = False) -> None:
    """Show who is connected, what each peer's faults add up to, and who is refused for how long.

    Example: step-node admin peers --home node
    """
    answer = command_node(home, "peers")
    if as_json:
        print_json(answer)
        return
    print_table(
        ("peer", "address", "direction", "version", "height", "points", "kept", "validator"),
        [
            [
                one["peerId"],
                one["address"],
                one["direction"],
                one["version"],
                one["height"],
                one["points"],
                one["isKept"],
                one["validator"],
            ]
            for one in answer["connected"]
        ],
    )
    for one in answer["banned"]:
        by = "by the operator" if one["byOperator"] else "for its faults"
        typer.echo(plain(f"banned {by}: {one['peerId']}, {one['seconds']} s more"))


@app.command("ban")
def ban(
    peer: PeerArgument,
    home: HomeOption,
    minutes: Annotated[int, typer.Option(metavar="N", min=1, max=525_600, help="For how long.")] = 60,
    why: WhyOption = "",
    as_json: JsonOption = False,
) -> None:
    """Disconnect a peer and refuse it for a while, over restarts too.

    Example: step-node admin ban 16Uiu2HAm2k8h1fV7nJ1c --home node --minutes 1440 --why "sends garbage"
    """
    answer = command_node(home, "ban", {"peer": peer, "minutes": minutes}, why=why)
    if as_json:
        print_json(answer)
        return
    typer.echo(plain(f"{answer['peerId']} is refused for {answer['seconds']} s"))
    if answer["isValidator"]:
        typer.echo("It is the node of a validator of the set: consensus has one connection less to it.")


@app.command("unban")
def unban(peer: PeerArgument, home: HomeOption, why: WhyOption = "", as_json: JsonOption = False) -> None:
    """Lift the ban of a peer, and forgive its faults.

    Example: step-node admin unban 16Uiu2HAm2k8h1fV7nJ1c --home node
    """
    answer = command_node(home, "unban", {"peer": peer}, why=why)
    if as_json:
        print_json(answer)
    else:
        typer.echo(plain(f"{answer['peerId']} {'is refused no more' if answer['wasBanned'] else 'was not banned'}"))


@app.command("add-peer")
def add_peer(
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="/ip4/<address>/tcp/<port>/p2p/<peer id>.")],
    home: HomeOption,
    why: WhyOption = "",
    as_json: JsonOption = False,
) -> None:
    """Connect to a peer, and dial it whenever it is lost, until the node stops. To keep it for good, put it into
    `bootstrap` under [p2p] as well.

    Example: step-node admin add-peer /ip4/192.0.2.7/tcp/26600/p2p/16Uiu2HAm2k8h1fV7nJ1c --home node
    """
    answer = command_node(home, "add-peer", {"address": address}, why=why)
    if as_json:
        print_json(answer)
    elif answer["isConnected"]:
        typer.echo(plain(f"{answer['peerId']} is connected"))
    else:
        typer.echo(plain(f"{answer['peerId']} cannot be reached yet, and is tried again: {answer['reason']}"))


@app.command("drop-peer")
def drop_peer(peer: PeerArgument, home: HomeOption, why: WhyOption = "", as_json: JsonOption = False) -> None:
    """Disconnect a peer, and dial it no more if it was added. It may come back: `ban` keeps it away.

    Example: step-node admin drop-peer 16Uiu2HAm2k8h1fV7nJ1c --home node
    """
    answer = command_node(home, "drop-peer", {"peer": peer}, why=why)
    if as_json:
        print_json(answer)
        return
    typer.echo(plain(f"{answer['peerId']} {'is disconnected' if answer['wasConnected'] else 'was not connected'}"))
    if answer["isKept"]:
        typer.echo("It is a bootstrap peer or a validator's, and is dialled again; `ban` keeps it away.")


@app.command("reload")
def reload(home: HomeOption, why: WhyOption = "", as_json: JsonOption = False) -> None:
    """Have the node read its settings again, as SIGHUP does, and say which hold now and which wait for a restart.

    Example: step-node admin reload --home node
    """
    answer = command_node(home, "reload", why=why)
    if as_json:
        print_json(answer)
        return
    typer.echo(plain(f"changed: {', '.join(answer['changed']) or 'nothing'}"))
    if answer["waiting"]:
        typer.echo(plain(f"after a restart: {', '.join(answer['waiting'])}"))
    for reason in answer["notTaken"]:
        typer.echo(plain(f"as it was: {reason}"))


@app.command("prune")
def prune(home: HomeOption, why: WhyOption = "", as_json: JsonOption = False) -> None:
    """Let go now of what the settings under [retention] do not keep, and say what is kept.

    Example: step-node admin prune --home node
    """
    answer = command_node(home, "prune", why=why, timeout_seconds=SLOW_SECONDS)
    if as_json:
        print_json(answer)
    else:
        typer.echo(f"batches from height {answer['batchesFrom']}, histories from height {answer['historiesFrom']}")


@app.command("snapshot")
def snapshot(home: HomeOption, why: WhyOption = "", as_json: JsonOption = False) -> None:
    """Take a snapshot of the state now, for peers that join. It goes through the whole state, beside all other work.

    Example: step-node admin snapshot --home node
    """
    answer = command_node(home, "snapshot", why=why, timeout_seconds=SLOW_SECONDS)
    if as_json:
        print_json(answer)
    else:
        typer.echo(f"height {answer['height']}: {answer['records']} records in {answer['chunks']} chunks")


@app.command("consensus")
def consensus(home: HomeOption, as_json: JsonOption = False) -> None:
    """Show the height that is being decided, as `step-node consensus` does, where the API cannot be reached.

    Example: step-node admin consensus --home node
    """
    from step_node.cli.consensus_command import print_consensus

    answer = command_node(home, "consensus")
    if as_json:
        print_json(answer)
    else:
        print_consensus(answer)


@app.command("log")
def log(
    home: HomeOption,
    lines: Annotated[int, typer.Option(metavar="N", min=1, max=1_000, help="How many of the last lines.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """Print the last lines of the node's log, of those that it keeps in memory ([admin] log_lines), without secrets.
    As it changes nothing, it is the one command that is not recorded.

    Example: step-node admin log --home node --lines 20
    """
    answer = command_node(home, "log", {"lines": lines})
    if as_json:
        print_json(answer)
        return
    for line in answer["lines"]:
        typer.echo(plain(line))


@app.command("debug-bundle")
def debug_bundle(
    home: HomeOption,
    output: Annotated[
        Path | None,
        typer.Option("--output", metavar="FILE", help="Where to write it; a name with the time, if you do not say."),
    ] = None,
    why: WhyOption = "",
    as_json: JsonOption = False,
) -> None:
    """Write what somebody else needs to find out what is wrong with the node into one file (.tar.gz, mode 0600):
    versions, settings without secrets, consensus, health, peers, metrics, tasks, disk, the last lines of the log.

    Example: step-node admin debug-bundle --home node --output bundle.tar.gz
    """
    from datetime import UTC, datetime

    now = datetime.now(UTC)
    path = output or Path(f"step-node-debug-{now:%Y%m%dT%H%M%SZ}.tar.gz")
    if path.exists():
        raise CommandError(f"{path}: is there already; choose another file by --output")
    files: dict[str, str] = command_node(home, "debug-bundle", why=why)["files"]
    size = _pack(path, files, int(now.timestamp()))
    if as_json:
        print_json({"file": str(path), "bytes": size, "files": sorted(files)})
    else:
        typer.echo(f"{path}: {size} bytes, {len(files)} files. Look through it before you hand it on.")


def _pack(path: Path, files: dict[str, str], now_seconds: int) -> int:
    """Write `files`, texts by name, into a new archive that its owner alone may read; its size in bytes."""
    import io
    import os
    import tarfile

    folder = path.name.partition(".")[0]
    with (
        os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file,
        tarfile.open(fileobj=file, mode="w:gz") as archive,
    ):
        for name, text in sorted(files.items()):
            data = text.encode(errors="backslashreplace")
            entry = tarfile.TarInfo(f"{folder}/{Path(name).name}")
            entry.size, entry.mtime, entry.mode = len(data), now_seconds, 0o600
            archive.addfile(entry, io.BytesIO(data))
    return path.stat().st_size


def _print_switches(answer: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(answer)
        return
    print_table(
        ("switch", "is", "does", "since", "by", "why"),
        [
            [one["name"], "on" if one["isOn"] else "OFF", one["does"], one["when"], one["who"], one["why"]]
            for one in answer["switches"]
        ],
    )
