"""`step-node admin reload`, `prune` and `snapshot`: work that a running node is told to do now."""

from __future__ import annotations

from step_node.cli.admin.command import SLOW_SECONDS, Answer, HomeOption, JsonOption, WhyOption, carry_out
from step_node.cli.output import print_line


def reload(home: HomeOption, why: WhyOption = "", as_json: JsonOption = False) -> None:
    """Have the node read its settings again, as SIGHUP does, and say which hold now and which wait for a restart.

    Example: step-node admin reload --home node
    """
    carry_out(home, "reload", why=why, as_json=as_json, tell=_print_reloaded)


def prune(home: HomeOption, why: WhyOption = "", as_json: JsonOption = False) -> None:
    """Let go now of what the settings under [retention] do not keep, and say what is kept.

    Example: step-node admin prune --home node
    """
    carry_out(home, "prune", why=why, as_json=as_json, tell=_print_kept, timeout_seconds=SLOW_SECONDS)


def snapshot(home: HomeOption, why: WhyOption = "", as_json: JsonOption = False) -> None:
    """Take a snapshot of the state now, for peers that join. It goes through the whole state, beside all other work.

    Example: step-node admin snapshot --home node
    """
    carry_out(home, "snapshot", why=why, as_json=as_json, tell=_print_snapshot, timeout_seconds=SLOW_SECONDS)


def _print_reloaded(answer: Answer) -> None:
    print_line(f"changed: {', '.join(answer['changed']) or 'nothing'}")
    if answer["waiting"]:
        print_line(f"after a restart: {', '.join(answer['waiting'])}")
    for reason in answer["notTaken"]:
        print_line(f"as it was: {reason}")


def _print_kept(answer: Answer) -> None:
    print_line(f"batches from height {answer['batchesFrom']}, histories from height {answer['historiesFrom']}")


def _print_snapshot(answer: Answer) -> None:
    print_line(f"height {answer['height']}: {answer['records']} records in {answer['chunks']} chunks")
