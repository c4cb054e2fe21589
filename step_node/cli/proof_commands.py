"""`step-node proof`: sign a location proof, submit one, and check many."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import typer

from step_node.cli.keys_commands import PasswordFileOption
from step_node.cli.numbers import plain_float, plain_int
from step_node.cli.output import print_json
from step_node.cli.receipt_commands import receipt, verify_receipt

app = typer.Typer(no_args_is_help=True, help="Location proofs: sign, submit, check; their receipts.")
app.command(epilog="Example: step-node proof receipt 0x… --url http://127.0.0.1:8600 --out receipt.json")(receipt)
app.command(epilog="Example: step-node proof verify-receipt receipt.json --genesis genesis.json")(verify_receipt)

LEVEL_DEFAULT = 10
"""The deepest level whose triangles all exist from genesis on, by default."""

SUBMISSION_BYTES_MAX = 16_384


@app.command(
    epilog="Example: step-node proof sign --url http://127.0.0.1:8600 --key-file key.hex --lat 47.4979 --lon 19.0402"
    " | step-node proof submit --url http://127.0.0.1:8600",
)
def sign(
    lat: Annotated[float, typer.Option(parser=plain_float, metavar="NUMBER", help="Latitude in degrees, -90 to 90.")],
    lon: Annotated[
        float, typer.Option(parser=plain_float, metavar="NUMBER", help="Longitude in degrees, -180 to 180.")
    ],
    accuracy: Annotated[
        float, typer.Option(parser=plain_float, metavar="NUMBER", help="Accuracy of the position in metres.")
    ] = 5.0,
    level: Annotated[
        int | None,
        typer.Option(parser=plain_int, metavar="INTEGER", help="Level of the triangle, 1 to 21.  [default: 10]"),
    ] = None,
    triangle: Annotated[
        str | None, typer.Option(metavar="ID", help="The triangle's id, instead of the one that holds the point.")
    ] = None,
    url: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="A node's API: the triangle is the one that is active there now, the time by its clock."
        ),
    ] = None,
    timestamp: Annotated[
        str | None, typer.Option(metavar="TIME", help="YYYY-MM-DDTHH:MM:SS.sssZ.  [default: now]")
    ] = None,
    nonce: Annotated[str | None, typer.Option(help="1 to 64 of A-Z a-z 0-9 . _ -  [default: a random UUID]")] = None,
    keystore: Annotated[Path | None, typer.Option(metavar="FILE", help="The account's encrypted keystore.")] = None,
    key_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The account's key in the clear, 64 hex digits (mode 0600).")
    ] = None,
    password_file: PasswordFileOption = None,
) -> None:
    """Sign "I am here, in this triangle, now", and print the JSON that POST /proof/submit takes.

    What is signed has the protocol's form; whether it is true is for the gates (see `proof check`). A triangle is used
    up after some proofs: with --url the node is asked which one can be proven in. Then latitude and longitude are
    rounded to 7 decimals, and a position that no client should sign (0, 0) is refused.
    """
    import uuid

    from mesh import TriangleId, locate
    from step_node.cli.error_lines import CommandError
    from step_node.cli.keys_commands import load_private_key
    from step_node.clock import SystemClock
    from step_node.proofs.client_signing import sign_payload
    from step_node.proofs.timestamps import parse_timestamp

    if triangle is not None and level is not None:
        raise typer.BadParameter("does not go together with --triangle", param_hint="--level")
    if url is not None:
        if triangle is not None or level is not None:
            raise typer.BadParameter("does not go together with --triangle or --level", param_hint="--url")
        private_key = load_private_key(keystore, key_file, password_file)
        print_json(_signed_by_the_nodes_word(url, private_key, lat, lon, accuracy, timestamp, nonce))
        return
    try:
        where = TriangleId.parse(triangle) if triangle else locate(lat, lon, LEVEL_DEFAULT if level is None else level)
    except ValueError as error:
        raise CommandError(f"--triangle: {error}" if triangle else f"--{error}") from error
    try:
        timestamp_ms = SystemClock().now_ms() if timestamp is None else parse_timestamp(timestamp)
    except ValueError as error:
        raise CommandError(f"--timestamp: {error}") from error
    private_key = load_private_key(keystore, key_file, password_file)
    if nonce is None:
        nonce = str(uuid.uuid4())
    print_json(sign_payload(private_key, where, lat, lon, accuracy, timestamp_ms, nonce))


def _signed_by_the_nodes_word(
    url: str, private_key: bytes, lat: float, lon: float, accuracy: float, timestamp: str | None, nonce: str | None
) -> dict[str, Any]:
    """The submission in the triangle that is active at the place, says the node, at the time by its clock."""
    from step_node.cli.error_lines import CommandError
    from step_node.client import BadPosition, KeySigner, Position, StepClient, sign_submission
    from step_node.proofs.timestamps import parse_timestamp

    try:
        position = Position(lat, lon, accuracy)
    except BadPosition as error:
        raise CommandError(f"--{error.field}: {error.rule}") from error
    try:
        client = StepClient(url, key=private_key)
    except ValueError as error:
        raise CommandError(f"--url: {error}") from error
    with client:
        if timestamp is None:
            return client.sign(position, nonce=nonce).document
        try:
            timestamp_ms = parse_timestamp(timestamp)
        except ValueError as error:
            raise CommandError(f"--timestamp: {error}") from error
        triangle_id = client.active_triangle(lat, lon).triangle_id
    signer = KeySigner(private_key)
    return sign_submission(signer, position, timestamp_ms=timestamp_ms, triangle_id=triangle_id, nonce=nonce).document


@app.command(epilog="Example: step-node proof submit --url http://127.0.0.1:8600 --input proof.json")
def submit(
    url: Annotated[str, typer.Option(help="Address of a node's API, such as http://127.0.0.1:8600.")],
    input_file: Annotated[
        Path, typer.Option("--input", metavar="FILE", help="The signed proof; - is standard input.")
    ] = Path("-"),
    wait_ms: Annotated[int, typer.Option(min=0, max=60_000, help="How long the node may wait for finality.")] = 5_000,
) -> None:
    """Submit a signed proof to a node and print the node's answer, one JSON object.

    Exit status 0 if the proof is final or pending, 1 if it was refused.
    """
    from step_node.cli.error_lines import CommandError
    from step_node.cli.http_calls import post_json

    if str(input_file) == "-":
        body = sys.stdin.buffer.read(SUBMISSION_BYTES_MAX + 1)
    else:
        with input_file.open("rb") as file:
            body = file.read(SUBMISSION_BYTES_MAX + 1)
    if len(body) > SUBMISSION_BYTES_MAX:
        raise CommandError(f"{input_file}: must be at most {SUBMISSION_BYTES_MAX} bytes, one signed proof")
    try:
        submission = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise CommandError(f"{input_file}: must be one signed proof, a JSON object: {error}") from error
    answer = post_json(url, "/proof/submit", submission, parameters={"wait_ms": wait_ms}, wait_ms=wait_ms)
    print_json(answer)
    if answer.get("ok") is not True:
        raise typer.Exit(1)


@app.command(epilog="Example: step-node proof check --input proofs.ndjson > verdicts.ndjson")
def check(
    input_file: Annotated[
        Path, typer.Option("--input", metavar="FILE", help="One signed proof a line; - is standard input.")
    ],
    genesis: Annotated[
        Path | None, typer.Option(metavar="FILE", help="genesis.json of the chain, for its parameters.")
    ] = None,
) -> None:
    """Check signed proofs against the gates that need no ledger: form, accuracy, signature, bounds.

    Prints one JSON line for each line read, in order: {"ok": true, "proof_id": "0x…"}, or {"ok": false, "code": "…",
    "message": "…"}. An empty line, too, is a line. The exit status is 0 whatever the verdicts are.
    """
    from step_node.chain.genesis import load_genesis
    from step_node.cli.proof_lines import check_lines
    from step_node.parameters import Parameters

    parameters = Parameters() if genesis is None else load_genesis(genesis).parameters
    source: BinaryIO
    if str(input_file) == "-":
        check_lines(sys.stdin.buffer, sys.stdout, parameters)
    else:
        with input_file.open("rb") as source:
            check_lines(source, sys.stdout, parameters)
