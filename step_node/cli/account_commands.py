"""`step-node account`: send STEP, and see what an account has and has done."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

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

app = typer.Typer(no_args_is_help=True, help="Accounts: send STEP, show balance and history.")


@app.command(
    epilog="Example: step-node account transfer --from-keystore cold.json"
    " --to 0x7e5f4552091a69125d5dfcb7b8c2659029395bdf --amount 1.5 --memo 'rent, November'"
)
def transfer(
    to: Annotated[str, typer.Option(metavar="ADDRESS", help="The account to credit; it may be new.")],
    amount: Annotated[str, typer.Option(metavar="STEP", help="How much, such as 1.5; at most six places.")],
    memo: Annotated[str, typer.Option(metavar="TEXT", help="At most 64 bytes of UTF-8. Public for ever.")] = "",
    from_keystore: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The sender's key, an encrypted keystore.")
    ] = None,
    from_key_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The sender's key in the clear (mode 0600).")
    ] = None,
    password_file: PasswordFileOption = None,
    url: UrlOption = DEFAULT_URL,
    wait_seconds: WaitSecondsOption = WAIT_SECONDS_DEFAULT,
    offline: Annotated[
        bool,
        typer.Option(
            "--offline", help="Ask no node: print the signed operation, for POST /account/transfer from elsewhere."
        ),
    ] = False,
    chain_id: Annotated[str | None, typer.Option(help="The chain's name; with --offline only.")] = None,
    sequence: Annotated[
        int | None, typer.Option(min=0, help="The account's nextSequence; with --offline only.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Send STEP to another account, and wait until it is final.

    The transfer is signed here; the node never sees the key. Where the wait is over before it is applied, it goes on
    waiting at the node: do not run the command again before you know, or you may send it twice.
    """
    from step_node.operations import client_signing
    from step_node.operations.json_form import operation_json, parse_amount
    from step_node.operations.operation import operation_id, require_memo

    if offline != (chain_id is not None) or offline != (sequence is not None):
        raise typer.BadParameter("give --chain-id and --sequence with --offline, and only then", param_hint="--offline")
    recipient, amount_ustep = parse_address(to, "--to"), parse_amount(amount)
    try:
        require_memo(memo)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--memo") from error
    owner_key = load_private_key(from_keystore, from_key_file, password_file)
    owner = client_signing.address_of_key(owner_key)
    if recipient in (owner, bytes(20)):
        raise typer.BadParameter("must be somebody's, and not the sender's own", param_hint="--to")
    if chain_id is None or sequence is None:
        chain_id, sequence = chain_and_sequence(url, owner)
    operation = client_signing.transfer(
        owner_key=owner_key, chain_id=chain_id, sequence=sequence, to=recipient, amount_ustep=amount_ustep, memo=memo
    )
    body, name = operation_json(operation), f"0x{operation_id(operation, chain_id).hex()}"
    if offline:
        typer.echo(json.dumps(body, ensure_ascii=False))
        typer.echo(f"signed, not sent: hand it to POST /account/transfer; GET /operation/{name} follows it", err=True)
        return
    answer = send_and_wait(url, "/account/transfer", body, name, wait_seconds)
    if not is_left_to_tell(answer, as_json=as_json):
        return
    sent = f"{body['amount']} STEP to {body['to']}"
    if answer.get("status") == "applied":
        typer.echo(f"sent {sent}: final in batch {plain(answer.get('height'))}, operation {name}")
    else:
        typer.echo(f"accepted, and not final yet: {sent}; {url.rstrip('/')}/operation/{name} tells what becomes of it")


@app.command(epilog="Example: step-node account show 0x7e5f4552091a69125d5dfcb7b8c2659029395bdf")
def show(
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="0x and 40 hex digits.")],
    url: UrlOption = DEFAULT_URL,
    as_json: JsonOption = False,
) -> None:
    """Print an account's balance, rank and number of proofs, and the last of what it has done and been sent."""
    from step_node.cli.http_calls import get_json

    answer = get_json(url, f"/account/0x{parse_address(address, 'ADDRESS').hex()}")
    if not is_left_to_tell(answer, as_json=as_json):
        return
    names = ("account", "balance", "proofs", "rank", "lastProofAt", "nextSequence")
    for name in names:
        typer.echo(f"{name:<14}{plain(answer.get(name))}")
    transactions = answer.get("transactions")
    if isinstance(transactions, list) and transactions:
        typer.echo()
        print_table(
            ("time", "type", "STEP", "with, or where", "memo"),
            [
                (
                    one.get("timestamp"),
                    one.get("type"),
                    one.get("reward") or one.get("amount"),
                    one.get("triangleId") or one.get("counterpart"),
                    one.get("memo"),
                )
                for one in transactions
                if isinstance(one, dict)
            ],
        )
