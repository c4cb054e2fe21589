"""`step-node admin pause-intake`, `resume`, `switches` and `intake-share`: what the node takes from clients, and what
else can be turned off while it runs."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from step_node.cli.admin.command import Answer, HomeOption, JsonOption, WhyOption, carry_out
from step_node.cli.output import print_line, print_table


class OnOrOff(StrEnum):
    """Which way to throw a switch."""

    ON = "on"
    OFF = "off"


class SharePercent(StrEnum):
    """Of how many of a hundred accounts anything may be taken."""

    NONE = "0"
    TEN = "10"
    FIFTY = "50"
    ALL = "100"


def pause_intake(home: HomeOption, why: WhyOption = "", as_json: JsonOption = False) -> None:
    """Take no more proofs and transfers from clients, until `resume`, over restarts too.

    Everything else goes on: what was accepted becomes final, and peers' proofs are voted on. Clients are answered 503
    INTAKE_PAUSED, and /health/ready sends them elsewhere.

    Example: step-node admin pause-intake --home node --why "disk is being replaced"
    """
    carry_out(home, "pause-intake", why=why, as_json=as_json, tell=_print_switches)


def resume(home: HomeOption, why: WhyOption = "", as_json: JsonOption = False) -> None:
    """Take proofs and transfers from clients again.

    Example: step-node admin resume --home node
    """
    carry_out(home, "resume", why=why, as_json=as_json, tell=_print_switches)


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
    carry_out(home, "switches", arguments, why=why, as_json=as_json, tell=_print_switches)


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
    carry_out(home, "intake-share", arguments, why=why, as_json=as_json, tell=_print_share)


def _print_switches(answer: Answer) -> None:
    print_table(
        ("switch", "is", "does", "since", "by", "why"),
        [
            [one["name"], "on" if one["isOn"] else "OFF", one["does"], one["when"], one["who"], one["why"]]
            for one in answer["switches"]
        ],
    )


def _print_share(answer: Answer) -> None:
    since = "" if answer["when"] is None else f", since {answer['when']}, by {answer['who']}: {answer['why'] or '-'}"
    print_line(f"the intake takes proofs and transfers of {answer['percent']} % of all accounts{since}")
