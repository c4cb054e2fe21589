"""`step-node consensus`: the height that a running node is deciding, and whose votes it waits for."""

from __future__ import annotations

from typing import Annotated

import typer

from step_node.cli.output import plain, print_json, print_line, print_table


def consensus(
    url: Annotated[str, typer.Option(help="Address of the node's API.")] = "http://127.0.0.1:8600",
    as_json: Annotated[bool, typer.Option("--json", help="Print the node's answer as it is, one JSON object.")] = False,
) -> None:
    """Ask a running node for the height that it is deciding: round, step and proposer, since when, what is locked, and
    which validators' votes of this round are here.

    A round of - is none: nothing waits, or nothing is locked. Exit status 0 if the node answers, else 1.

    Example: step-node consensus --url http://127.0.0.1:8600
    """
    from step_node.cli.http_calls import get_json

    answer = get_json(url, "/consensus")
    if as_json:
        print_json(answer)
    else:
        print_consensus(answer)


def print_consensus(answer: dict[str, object]) -> None:
    """One line for each thing, then a table of the validators' votes; no hash is broken or cut."""
    lines = (
        ("height", f"{answer.get('height')}, since {answer.get('heightSince')}"),
        ("round", _round(answer.get("round"))),
        ("step", f"{answer.get('step')}, since {answer.get('stepSince')}"),
        ("takes part", answer.get("takesPart")),
        ("proposer", answer.get("proposer")),
        ("proposal", answer.get("proposal")),
        ("locked", _value(answer, "locked")),
        ("valid", _value(answer, "valid")),
        (
            "waiting",
            f"{answer.get('waitingProofs')} proofs, {answer.get('waitingOperations')} operations,"
            f" {answer.get('waitingEvidence')} pieces of evidence",
        ),
    )
    for name, value in lines:
        print_line(f"{name:<10}  {plain(value)}")
    validators = answer.get("validators")
    rows = [one for one in validators if isinstance(one, dict)] if isinstance(validators, list) else []
    print_line(
        f"{len(rows)} validators, quorum {answer.get('quorum')}: {answer.get('preVotes')} pre-votes and"
        f" {answer.get('preCommits')} pre-commits are here"
    )
    print_table(
        ("address", "node", "pre-vote", "pre-commit"),
        [[one.get("address"), _node(one), one.get("preVote"), one.get("preCommit")] for one in rows],
        indent=2,
    )


def _round(number: object) -> object:
    return None if number == -1 else number


def _value(answer: dict[str, object], name: str) -> str | None:
    number = _round(answer.get(f"{name}Round"))
    return None if number is None else f"{answer.get(f'{name}Hash')} in round {number}"


def _node(validator: dict[str, object]) -> str:
    if validator.get("isSelf"):
        return "this node"
    return "connected" if validator.get("isConnected") else "away"
