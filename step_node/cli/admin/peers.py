"""`step-node admin peers`, `ban`, `unban`, `add-peer` and `drop-peer`: to whom a node is connected, or never."""

from __future__ import annotations

from typing import Annotated

import typer

from step_node.cli.admin.command import Answer, HomeOption, JsonOption, WhyOption, carry_out
from step_node.cli.output import print_line, print_table

PeerArgument = Annotated[str, typer.Argument(metavar="PEER", help="The peer id, as `peers` shows it.")]


def peers(home: HomeOption, as_json: JsonOption = False) -> None:
    """Show who is connected, what each peer's faults add up to, and who is refused for how long.

    Example: step-node admin peers --home node
    """
    carry_out(home, "peers", as_json=as_json, tell=_print_peers)


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
    carry_out(home, "ban", {"peer": peer, "minutes": minutes}, why=why, as_json=as_json, tell=_print_banned)


def unban(peer: PeerArgument, home: HomeOption, why: WhyOption = "", as_json: JsonOption = False) -> None:
    """Lift the ban of a peer, and forgive its faults.

    Example: step-node admin unban 16Uiu2HAm2k8h1fV7nJ1c --home node
    """
    carry_out(home, "unban", {"peer": peer}, why=why, as_json=as_json, tell=_print_unbanned)


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
    carry_out(home, "add-peer", {"address": address}, why=why, as_json=as_json, tell=_print_added)


def drop_peer(peer: PeerArgument, home: HomeOption, why: WhyOption = "", as_json: JsonOption = False) -> None:
    """Disconnect a peer, and dial it no more if it was added. It may come back: `ban` keeps it away.

    Example: step-node admin drop-peer 16Uiu2HAm2k8h1fV7nJ1c --home node
    """
    carry_out(home, "drop-peer", {"peer": peer}, why=why, as_json=as_json, tell=_print_dropped)


def _print_peers(answer: Answer) -> None:
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
        print_line(f"banned {by}: {one['peerId']}, {one['seconds']} s more")


def _print_banned(answer: Answer) -> None:
    print_line(f"{answer['peerId']} is refused for {answer['seconds']} s")
    if answer["isValidator"]:
        print_line("It is the node of a validator of the set: consensus has one connection less to it.")


def _print_unbanned(answer: Answer) -> None:
    print_line(f"{answer['peerId']} {'is refused no more' if answer['wasBanned'] else 'was not banned'}")


def _print_added(answer: Answer) -> None:
    if answer["isConnected"]:
        print_line(f"{answer['peerId']} is connected")
    else:
        print_line(f"{answer['peerId']} cannot be reached yet, and is tried again: {answer['reason']}")


def _print_dropped(answer: Answer) -> None:
    print_line(f"{answer['peerId']} {'is disconnected' if answer['wasConnected'] else 'was not connected'}")
    if answer["isKept"]:
        print_line("It is a bootstrap peer or a validator's, and is dialled again; `ban` keeps it away.")
