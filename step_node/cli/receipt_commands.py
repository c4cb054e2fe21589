"""`step-node proof receipt` and `verify-receipt`: a receipt fetched from any node, and checked with genesis alone."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from step_node.cli.output import plain, print_json

if TYPE_CHECKING:
    from step_node.receipts.verification import ReceiptRefused, VerifiedReceipt

_PROOF_ID_FORM = "0x[0-9a-fA-F]{64}"


def receipt(
    proof_id: Annotated[str, typer.Argument(metavar="PROOF-ID", help="0x and 64 hex digits.")],
    url: Annotated[str, typer.Option(help="Address of a node's API.")] = "http://127.0.0.1:8600",
    out: Annotated[Path, typer.Option(metavar="FILE", help="Where to write it; - is standard output.")] = Path("-"),
    as_cbor: Annotated[bool, typer.Option("--cbor", help="As CBOR, which is smaller, in place of JSON.")] = False,
) -> None:
    """Fetch the receipt of a final proof from a node, as it is, without checking it: see `proof verify-receipt`."""
    from step_node.cli.error_lines import CommandError
    from step_node.cli.http_calls import get_bytes

    if re.fullmatch(_PROOF_ID_FORM, proof_id) is None:
        raise CommandError("PROOF-ID: must be 0x and 64 hex digits")
    data = get_bytes(url, f"/proof/{proof_id}/receipt", accept="application/cbor" if as_cbor else "application/json")
    if str(out) == "-":
        sys.stdout.buffer.write(data)
        sys.stdout.flush()
    else:
        out.write_bytes(data)


def verify_receipt(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The receipt, JSON or CBOR; - is standard input.")],
    genesis: Annotated[Path, typer.Option(metavar="FILE", help="genesis.json of the chain: all that is believed.")],
    as_json: Annotated[bool, typer.Option("--json", help="The verdict as one JSON object.")] = False,
) -> None:
    """Check a receipt with the genesis file alone, and say what it proves, or at which step it fails and why.

    Asks no node. The steps are those of docs/receipts.md: form, signature, path, chain, links, commit. Exit status 0 if
    it holds, 1 if not.
    """
    from step_node.chain.genesis import load_genesis
    from step_node.receipts.document import RECEIPT_BYTES_MAX
    from step_node.receipts.verification import ReceiptRefused
    from step_node.receipts.verification import verify_receipt as verify

    trust = load_genesis(genesis).trust()
    if str(file) == "-":
        data = sys.stdin.buffer.read(RECEIPT_BYTES_MAX + 1)
    else:
        with file.open("rb") as opened:
            data = opened.read(RECEIPT_BYTES_MAX + 1)
    try:
        verified = verify(data, trust)
    except ReceiptRefused as refused:
        if as_json:
            print_json({"ok": False, "step": refused.step, "expected": refused.expected, "found": refused.found})
        else:
            _print_refusal(refused)
        raise typer.Exit(1) from None
    verdict = _verdict(verified)
    if as_json:
        print_json({"ok": True, **verdict})
    else:
        typer.echo("The receipt holds: every step passes.")
        for name, value in verdict.items():
            typer.echo(f"{name:<12}  {plain(value)}")


def _print_refusal(refused: ReceiptRefused) -> None:
    typer.echo(f"The receipt does not hold: step {refused.step} fails.")
    typer.echo(f"expected  {plain(refused.expected)}")
    typer.echo(f"found     {plain(refused.found)}")


def _verdict(verified: VerifiedReceipt) -> dict[str, object]:
    """What the receipt proves, by the names that the API has for it."""
    from step_node.receipts.document import ProofReceipt

    found = verified.receipt
    if isinstance(found, ProofReceipt):
        what = {
            "proofId": f"0x{verified.identity.hex()}",
            "account": f"0x{verified.account.hex()}",
            "line": found.proof.line,
            "reward": found.outcome.reward,
            "clicks": found.outcome.clicks,
            "state": found.outcome.state,
        }
    else:
        what = {
            "operationId": f"0x{verified.identity.hex()}",
            "account": f"0x{verified.account.hex()}",
            "line": found.operation.line,
        }
    return {
        **what,
        "balance": found.outcome.balance,
        "unit": "STEP",
        "chainId": found.header.chain_id,
        "height": found.header.height,
        "timestamp": found.header.timestamp,
        "batchHash": f"0x{verified.batch_hash.hex()}",
        "signers": len(verified.signers),
        "validators": len(verified.validators),
        "links": len(found.links),
    }
