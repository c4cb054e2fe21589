"""`step-node upgrade`: what validators do about rules to come (docs/upgrading.md)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from step_node.cli.common_ending import ending_in
from step_node.cli.error_lines import CommandError
from step_node.cli.keys_commands import PasswordFileOption, load_private_key
from step_node.cli.output import print_json, print_table
from step_node.cli.owner_calls import (
    DEFAULT_URL,
    JsonOption,
    UrlOption,
    chain_and_sequence,
    end_refused,
    is_left_to_tell,
    parse_address,
)

if TYPE_CHECKING:
    from step_node.operations.operation import UpgradeOperation

app = typer.Typer(
    no_args_is_help=True,
    help="Rules of another protocol version, from a height on: propose, approve, cancel, show.",
)

ValidatorOption = Annotated[
    str | None,
    typer.Option(
        "--validator", metavar="ADDRESS", help="Of its hot key.  [default: the address of the key that signs]"
    ),
]
KeystoreOption = Annotated[
    Path | None,
    typer.Option("--keystore", metavar="FILE", help="The owner's key or the hot key, an encrypted keystore."),
]
KeyFileOption = Annotated[
    Path | None, typer.Option("--key-file", metavar="FILE", help="The same in the clear (mode 0600).")
]

SignUpgrade = Callable[..., "UpgradeOperation"]


@dataclass(frozen=True, slots=True)
class _Vote:
    """What is to be signed: `fields` gives, for the node's URL, those that neither the key nor the chain says."""

    sign: SignUpgrade
    fields: Callable[[str], dict[str, Any]]


def _submit(
    vote: _Vote,
    *,
    url: UrlOption = DEFAULT_URL,
    validator: ValidatorOption = None,
    keystore: KeystoreOption = None,
    key_file: KeyFileOption = None,
    password_file: PasswordFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Sign for the validator, with its owner's key or its own, hand it to the node, and say what follows.

    All votes end here.
    """
    from pydantic import ValidationError

    from step_node.cli.http_calls import get_json, post_json
    from step_node.errors import describe_validation_error
    from step_node.operations.client_signing import address_of_key
    from step_node.operations.json_form import name_of, operation_json

    fields, key = vote.fields(url), load_private_key(keystore, key_file, password_file)
    address = address_of_key(key) if validator is None else parse_address(validator, "--validator")
    found = get_json(url, f"/validators/0x{address.hex()}")
    if not found.get("ok"):
        end_refused(found)
    record = found["validator"]
    owner = bytes.fromhex(str(record["owner"])[2:]) if isinstance(record, dict) else b""
    chain_id, sequence = chain_and_sequence(url, owner)
    try:
        operation = vote.sign(key=key, owner=owner, chain_id=chain_id, sequence=sequence, validator=address, **fields)
    except ValidationError as error:
        raise CommandError(describe_validation_error(error)) from error
    answer = post_json(url, f"/validator/{name_of(operation)}", operation_json(operation), parameters={})
    if is_left_to_tell(answer, as_json=as_json):
        typer.echo(f"accepted; `step-node upgrade show --url {url}` follows it")


_ending_in_a_vote = ending_in(_submit)


@app.command(
    epilog="Example: step-node upgrade propose --protocol-version 2 --height 3001 --release 0.2.0"
    " --keystore node/keys/validator.json"
)
@_ending_in_a_vote
def propose(
    protocol_version: Annotated[int, typer.Option("--protocol-version", metavar="NUMBER", help="Of the rules.")],
    height: Annotated[
        int, typer.Option("--height", metavar="HEIGHT", help="The first that they hold for: the first of an epoch.")
    ],
    release: Annotated[
        str, typer.Option("--release", metavar="VERSION", help="Of the program: one that knows them, for the others.")
    ],
) -> _Vote:
    """Be the first to approve an upgrade. It is agreed on once a quorum with over two thirds of the stake approves."""
    from step_node.operations import client_signing

    fields = {"protocol_version": protocol_version, "activation_height": height, "release": release}
    return _Vote(client_signing.approve_upgrade, lambda _url: fields)


@app.command(epilog="Example: step-node upgrade approve --protocol-version 2 --keystore node/keys/validator.json")
@_ending_in_a_vote
def approve(
    protocol_version: Annotated[
        int, typer.Option("--protocol-version", metavar="NUMBER", help="What you have read about, and agree to.")
    ],
) -> _Vote:
    """Approve what others have proposed: the same version, height and release. Ask `show` what that is."""
    from step_node.operations import client_signing

    def fields(url: str) -> dict[str, Any]:
        wanted = _proposed(url, protocol_version)
        return {
            "protocol_version": protocol_version,
            "activation_height": wanted["activationHeight"],
            "release": wanted["release"],
        }

    return _Vote(client_signing.approve_upgrade, fields)


@app.command(epilog="Example: step-node upgrade cancel --keystore node/keys/validator.json")
@_ending_in_a_vote
def cancel() -> _Vote:
    """Take back what a validator has approved. An agreed upgrade is off once too few are left that approve it."""
    from step_node.operations import client_signing

    return _Vote(client_signing.cancel_upgrade, lambda _url: {})


@app.command(epilog="Example: step-node upgrade show --url http://127.0.0.1:8600")
def show(url: UrlOption = DEFAULT_URL, as_json: JsonOption = False) -> None:
    """Print the rules in force, what is agreed on, who has approved what, and whose nodes know which rules."""
    from step_node.cli.http_calls import get_json

    answer = get_json(url, "/upgrade")
    if as_json:
        print_json(answer)
        return
    status = get_json(url, "/status")
    in_force, agreed = answer["inForce"], answer["agreed"]
    typer.echo(f"height    {answer['height']}")
    typer.echo(f"in force  {_sentence(in_force)}")
    typer.echo(f"agreed    {'nothing' if agreed is None else _sentence(agreed)}")
    if agreed is None:
        typer.echo(
            f"possible  from height {answer['firstPossibleHeight']} on, and each {answer['epochBatches']} heights on"
        )
    typer.echo(f"known     {', '.join(str(one['protocolVersion']) for one in _rows(answer, 'known'))}, of this node")
    approvals = {str(one["validator"]): one["upgrade"] for one in _rows(answer, "approvals")}
    peers = {one.get("peerId"): one for one in _rows(status, "peers")}
    rows = []
    for one in _rows(status, "validators"):
        peer = peers.get(one.get("peerId"), {})
        own = one.get("isSelf")
        versions = status.get("knownProtocolVersions") if own else peer.get("protocolVersions")
        approved = approvals.get(str(one.get("address")))
        rows.append(
            (
                one.get("address"),
                one.get("stake"),
                "-" if approved is None else _sentence(approved),
                status.get("version") if own else peer.get("version"),
                ", ".join(map(str, versions)) if isinstance(versions, list) else None,
            )
        )
    print_table(("validator", "stake", "has approved", "release", "knows"), rows)


def _proposed(url: str, protocol_version: int) -> dict[str, Any]:
    """The one upgrade to this version that is agreed on or approved by somebody."""
    from step_node.cli.http_calls import get_json

    answer = get_json(url, "/upgrade")
    entries = [answer.get("agreed"), *(one.get("upgrade") for one in _rows(answer, "approvals"))]
    found: list[dict[str, Any]] = []
    for entry in entries:
        if isinstance(entry, dict) and entry.get("protocolVersion") == protocol_version and entry not in found:
            found.append(entry)
    if not found:
        raise CommandError(f"nobody has proposed version {protocol_version}: `step-node upgrade propose` does")
    if len(found) > 1:
        shown = "; ".join(map(_sentence, found))
        raise CommandError(
            f"there are several proposals: {shown}. Repeat the one you mean by `step-node upgrade propose`"
        )
    return found[0]


def _sentence(entry: object) -> str:
    if not isinstance(entry, dict):
        return "?"
    release = f", release {entry['release']}" if entry["release"] else ""
    return f"version {entry['protocolVersion']} from height {entry['activationHeight']} on{release}"


def _rows(answer: dict[str, object], name: str) -> list[dict[str, Any]]:
    rows = answer.get(name)
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
