"""`step-node validator`: what a stake's owner does with a validator, signed by the cold key."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Protocol

import typer

from step_node.cli.common_ending import ending_in
from step_node.cli.keys_commands import PasswordFileOption, load_private_key
from step_node.cli.output import plain, print_table
from step_node.cli.owner_calls import (
    DEFAULT_URL,
    WAIT_SECONDS_DEFAULT,
    JsonOption,
    UrlOption,
    WaitSecondsOption,
    chain_and_sequence,
    is_left_to_tell,
    parse_address,
    send_and_wait,
)
from step_node.cli.validator_watch import StateChoice, watch_until, what_next

if TYPE_CHECKING:
    from step_node.operations.operation import ValidatorOperation

app = typer.Typer(
    no_args_is_help=True,
    help="Validators: register, unbond, withdraw, rotate the hot key, change the address, show.",
)

OwnerKeystoreOption = Annotated[
    Path | None, typer.Option("--owner-keystore", metavar="FILE", help="The owner's (cold) key, an encrypted keystore.")
]
OwnerKeyFileOption = Annotated[
    Path | None, typer.Option("--owner-key-file", metavar="FILE", help="The owner's key in the clear (mode 0600).")
]
HotKeystoreOption = Annotated[
    Path | None, typer.Option("--hot-keystore", metavar="FILE", help="The key that the node will sign with, encrypted.")
]
HotKeyFileOption = Annotated[
    Path | None, typer.Option("--hot-key-file", metavar="FILE", help="The same in the clear (mode 0600).")
]
HotPasswordFileOption = Annotated[
    Path | None, typer.Option("--hot-password-file", metavar="FILE", help="Password of --hot-keystore.")
]
P2pAddressOption = Annotated[
    str,
    typer.Option(
        "--p2p-address", metavar="MULTIADDR", help="Where other nodes find this one, and as whom: …/p2p/<peer id>."
    ),
]
ValidatorOption = Annotated[str, typer.Option("--validator", metavar="ADDRESS", help="Address of its hot key.")]


class _Sign(Protocol):
    """Makes an operation of what its command line says and what the chain says."""

    def __call__(self, *, owner_key: bytes, chain_id: str, sequence: int) -> ValidatorOperation: ...


def _submit(
    sign: _Sign,
    *,
    url: UrlOption = DEFAULT_URL,
    owner_keystore: OwnerKeystoreOption = None,
    owner_key_file: OwnerKeyFileOption = None,
    password_file: PasswordFileOption = None,
    wait_seconds: WaitSecondsOption = WAIT_SECONDS_DEFAULT,
    as_json: JsonOption = False,
) -> None:
    """Sign the operation with the owner's key, hand it to the node, wait until it is applied, and say what follows.

    All operations end here.
    """
    from step_node.operations.client_signing import address_of_key
    from step_node.operations.json_form import name_of, operation_json
    from step_node.operations.operation import operation_id

    owner_key = load_private_key(owner_keystore, owner_key_file, password_file)
    chain_id, sequence = chain_and_sequence(url, address_of_key(owner_key))
    operation = sign(owner_key=owner_key, chain_id=chain_id, sequence=sequence)
    name = f"0x{operation_id(operation, chain_id).hex()}"
    body = operation_json(operation)
    answer = send_and_wait(url, f"/validator/{name_of(operation)}", body, name, wait_seconds)
    if not is_left_to_tell(answer, as_json=as_json):
        return
    if answer.get("status") == "applied":
        typer.echo(f"applied in batch {plain(answer.get('height'))}")
    else:
        typer.echo(
            "accepted, and in no batch yet: an idle chain makes one when a proof comes;"
            f" {url.rstrip('/')}/operation/{name} tells what becomes of it"
        )
    if name_of(operation) != "withdraw":
        validator = f"0x{_validator_of(operation).hex()}"
        typer.echo(f"`step-node validator show --url {url} --validator {validator}` says what comes next")


_operation = ending_in(_submit)
"""The command that submits what the function below it makes of its own options."""


@app.command(
    epilog="Example: step-node validator register --owner-keystore cold.json --hot-keystore node/keys/validator.json"
    " --stake 100000 --p2p-address /dns4/node.example/tcp/26600/p2p/16Uiu2…"
)
@_operation
def register(
    stake: Annotated[str, typer.Option(metavar="STEP", help="How much to put up, out of the owner's balance.")],
    p2p_address: P2pAddressOption,
    hot_keystore: HotKeystoreOption = None,
    hot_key_file: HotKeyFileOption = None,
    hot_password_file: HotPasswordFileOption = None,
) -> _Sign:
    """Put up a stake for a new validator (or for one whose jail is over). It joins the set after a full epoch."""
    from step_node.operations import client_signing
    from step_node.operations.json_form import parse_ustep

    return partial(
        client_signing.register,
        hot_key=load_private_key(hot_keystore, hot_key_file, hot_password_file),
        stake_ustep=parse_ustep(stake, "stake"),
        p2p_address=_p2p_address(p2p_address),
    )


@app.command(epilog="Example: step-node validator unbond --validator 0x… --owner-keystore cold.json")
@_operation
def unbond(validator: ValidatorOption) -> _Sign:
    """Have a validator leave the set at the epoch's end. Its stake stays locked for the unbonding time."""
    from step_node.operations import client_signing

    return partial(client_signing.unbond, validator=parse_address(validator, "--validator"))


@app.command(epilog="Example: step-node validator withdraw --validator 0x… --owner-keystore cold.json")
@_operation
def withdraw(validator: ValidatorOption) -> _Sign:
    """Take back the stake of a validator that has left, or whose jail is over, into the owner's balance."""
    from step_node.operations import client_signing

    return partial(client_signing.withdraw, validator=parse_address(validator, "--validator"))


@app.command(
    "rotate-key",
    epilog="Example: step-node validator rotate-key --validator 0x… --owner-keystore cold.json --hot-keystore new.json",
)
@_operation
def rotate_key(
    validator: ValidatorOption,
    hot_keystore: HotKeystoreOption = None,
    hot_key_file: HotKeyFileOption = None,
    hot_password_file: HotPasswordFileOption = None,
) -> _Sign:
    """Have a validator sign with a new hot key from the epoch's end on. Start its node with that key then."""
    from step_node.operations import client_signing

    return partial(
        client_signing.rotate_key,
        new_hot_key=load_private_key(hot_keystore, hot_key_file, hot_password_file),
        validator=parse_address(validator, "--validator"),
    )


@app.command(
    "set-address",
    epilog="Example: step-node validator set-address --validator 0x… --owner-keystore cold.json"
    " --p2p-address /dns4/new.example/tcp/26600/p2p/16Uiu2…",
)
@_operation
def set_address(validator: ValidatorOption, p2p_address: P2pAddressOption) -> _Sign:
    """Tell all nodes where a validator's node is found from the next batch on. Have it listen there by then.

    The peer id at the end is that of `keys/p2p.key` in the node's home; `step-node start` prints it.
    """
    from step_node.operations import client_signing

    return partial(
        client_signing.set_address,
        validator=parse_address(validator, "--validator"),
        p2p_address=_p2p_address(p2p_address),
    )


@app.command(epilog="Example: step-node validator show --url http://127.0.0.1:8600")
def show(
    url: UrlOption = DEFAULT_URL,
    validator: Annotated[
        str | None, typer.Option("--validator", metavar="ADDRESS", help="Only this one.  [default: all]")
    ] = None,
    until: Annotated[
        StateChoice | None,
        typer.Option(
            "--until",
            help="Wait until the validator is in this state; meanwhile standard error says what it waits for.",
        ),
    ] = None,
    wait_seconds: Annotated[
        float, typer.Option(min=0, max=1_000_000, metavar="SECONDS", help="How long to wait, with --until.")
    ] = 3_600.0,
    as_json: JsonOption = False,
) -> None:
    """Print the validators: who votes, who waits, who is jailed, each one's stake, and where its node is.

    Of a single one it also says what comes next, and what its owner can do.
    """
    from step_node.cli.http_calls import get_json

    if until is not None:
        if validator is None:
            raise typer.BadParameter("needs --validator", param_hint="--until")
        watch_until(url, parse_address(validator, "--validator"), until, wait_seconds)
    path = "/validators" if validator is None else f"/validators/{validator}"
    answer = get_json(url, path)
    if not is_left_to_tell(answer, as_json=as_json):
        return
    entries = answer.get("validators", [answer.get("validator")])
    _print_table(entries if isinstance(entries, list) else [])
    entry = answer.get("validator")
    if isinstance(entry, dict):
        typer.echo(f"\nnext: {what_next(entry, get_json(url, '/status'))}")


def _validator_of(operation: ValidatorOperation) -> bytes:
    """The address of the validator that an operation is about."""
    from step_node.operations.operation import Register, hot_address

    return hot_address(operation.public_key) if isinstance(operation, Register) else operation.validator


def _p2p_address(text: str) -> str:
    """`text`, if nodes can dial it. The chain takes what only looks like a multiaddr, so it is asked here."""
    from step_node.multiaddrs import named_peer, require_multiaddr

    try:
        require_multiaddr(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--p2p-address") from error
    if named_peer(text) is None:
        raise typer.BadParameter(
            "must end in /p2p/<peer id>, as `step-node start` prints it", param_hint="--p2p-address"
        )
    return text


def _print_table(entries: list[object]) -> None:
    print_table(
        ("validator", "state", "votes", "stake", "owner", "p2p address"),
        [
            (
                entry.get("address"),
                entry.get("state"),
                bool(entry.get("inSet")),
                entry.get("stake"),
                entry.get("owner"),
                entry.get("p2pAddress"),
            )
            for entry in entries
            if isinstance(entry, dict)
        ],
    )
