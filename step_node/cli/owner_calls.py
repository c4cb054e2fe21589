"""What commands that sign for an account ask of a node, and how they end when it refuses."""

from __future__ import annotations

import re
import time
from typing import Annotated, Final, NoReturn

import typer

from step_node.cli import waiting
from step_node.cli.error_lines import CommandError
from step_node.cli.output import print_json

DEFAULT_URL = "http://127.0.0.1:8600"

UrlOption = Annotated[str, typer.Option(help="Address of any node's API.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the node's answer as it is, one JSON object.")]
WaitSecondsOption = Annotated[
    float, typer.Option(min=0, max=3_600, metavar="SECONDS", help="How long to wait until it is applied.")
]

WAIT_SECONDS_DEFAULT: Final = 30.0


def chain_and_sequence(url: str, owner: bytes) -> tuple[str, int]:
    """The chain's name and the owner's next sequence number, as the node tells them."""
    from step_node.cli.http_calls import get_json
    from step_node.client.answers import is_chain_id

    status = get_json(url, "/status")
    account = get_json(url, f"/account/0x{owner.hex()}")
    for answer in (status, account):
        if answer.get("ok") is False:
            end_refused(answer)
    chain_id, sequence = status.get("chainId"), account.get("nextSequence")
    # Both stand in what is signed: text in their place could make up the fields that follow.
    if not is_chain_id(chain_id) or type(sequence) is not int:
        raise CommandError(f"{url}: does not tell its chain and the account's next sequence number")
    return chain_id, sequence


def send_and_wait(url: str, path: str, body: dict[str, object], name: str, wait_seconds: float) -> dict[str, object]:
    """What became of the operation with the id `name`: the node's last answer. It is handed in again where the node has
    forgotten it. A node that does not answer meanwhile is asked again: whoever took that for a failure would sign, and
    pay, a second time."""
    from step_node.cli.http_calls import get_json, post_json

    until = time.monotonic() + wait_seconds
    try:
        answer = post_json(url, path, body, parameters={})
    except CommandError as error:
        raise CommandError(
            f"{error}. It may have been taken in all the same: before you sign it again, ask"
            f" {url.rstrip('/')}/operation/{name}"
        ) from error
    if answer.get("operationId") not in (None, name):
        raise CommandError(f"{url}: speaks of another operation than the one it was sent; is it of this chain?")
    told = ""
    while answer.get("status") == "pending" and time.monotonic() < until:
        time.sleep(waiting.LOOK_SECONDS)
        try:
            found = get_json(url, f"/operation/{name}")
            if found.get("code") == "OPERATION_NOT_FOUND":
                found = post_json(url, path, body, parameters={})
        except CommandError as error:
            if str(error) != told:
                told = str(error)
                typer.echo(f"it is in the node's hands, and is asked for again: {told}", err=True)
            continue
        if found.get("code") in ("RATE_LIMITED", "NOT_READY"):
            continue
        answer = found
    return answer


def is_left_to_tell(answer: dict[str, object], *, as_json: bool) -> bool:
    """Whether people are still to be told of the answer: programs are given it as it is, and a refusal ends here."""
    if as_json:
        print_json(answer)
    if answer.get("status") == "dropped" or not answer.get("ok"):
        end_refused(answer)
    return not as_json


def end_refused(answer: dict[str, object]) -> NoReturn:
    """Say why, and end with status 1."""
    typer.echo(f"error: {answer.get('code')}: {answer.get('message')}", err=True)
    raise typer.Exit(1)


def parse_address(text: str, option: str) -> bytes:
    """The 20 bytes of an address that was given as `option`."""
    if re.fullmatch("0x[0-9a-fA-F]{40}", text) is None:
        raise typer.BadParameter("must be 0x and 40 hex digits", param_hint=option)
    return bytes.fromhex(text[2:])
