"""`step-node keys`: keystores of validators and test accounts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from step_node.cli.output import print_json

app = typer.Typer(no_args_is_help=True, help="Keystores: make, show and import signing keys.")

PasswordFileOption = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="File (mode 0600) with the password; otherwise the environment, or a prompt."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@app.command(epilog="Example: step-node keys new --output validator.json --password-file password")
def new(
    output: Annotated[Path, typer.Option(metavar="FILE", help="The keystore to write; it must not exist.")],
    password_file: PasswordFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a new secp256k1 key, and write it to an encrypted keystore (Web3 Secret Storage, version 3)."""
    from step_node.signing.keystore import new_private_key

    _write(output, new_private_key(), password_file, as_json)


@app.command("import", epilog="Example: step-node keys import --key-file key.hex --output validator.json")
def import_key(
    key_file: Annotated[
        Path, typer.Option(metavar="FILE", help="File (mode 0600) with the private key, 64 hex digits.")
    ],
    output: Annotated[Path, typer.Option(metavar="FILE", help="The keystore to write; it must not exist.")],
    password_file: PasswordFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Encrypt a key that stands in a file in the clear into a keystore. The file stays: delete it yourself."""
    from step_node.signing.key_file import load_key_file

    _write(output, load_key_file(key_file), password_file, as_json)


@app.command(epilog="Example: step-node keys show --keystore node/keys/validator.json")
def show(
    keystore: Annotated[Path | None, typer.Option(metavar="FILE", help="An encrypted keystore.")] = None,
    key_file: Annotated[Path | None, typer.Option(metavar="FILE", help="A key file in the clear.")] = None,
    public_key: Annotated[
        bool, typer.Option("--public-key", help="Also the public key, which needs the keystore's password.")
    ] = False,
    password_file: PasswordFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print a key's address; for a key file also its public key and, as a libp2p identity, its peer id.

    A private key is never printed.
    """
    if (keystore is None) == (key_file is None):
        raise typer.BadParameter("give either --keystore or --key-file")
    shown: dict[str, object] = {}
    if keystore is not None and not public_key:
        from step_node.signing.keystore import keystore_address

        shown["address"] = f"0x{keystore_address(keystore).hex()}"
    else:
        from step_node.crypto.eip191 import address_of, public_key_of

        compressed = public_key_of(_load(keystore, key_file, password_file))
        shown["address"] = f"0x{address_of(compressed).hex()}"
        shown["public_key"] = f"0x{compressed.hex()}"
        if key_file is not None:
            from p2p.libp2p_host import peer_id_of
            from step_node.signing.key_file import load_key_file

            shown["peer_id"] = peer_id_of(load_key_file(key_file))
    _print(shown, as_json)


@app.command("export-history", epilog="Example: step-node keys export-history --home node > history.json")
def export_signing_history(
    home: Annotated[Path, typer.Option(metavar="DIR", help="The validator's home; its node must not run.")],
) -> None:
    """Print what this validator's signing history binds it to, as JSON, to take along to another machine.

    The node must be stopped, and must not be started here again afterwards.
    """
    from step_node.chain.genesis import load_genesis
    from step_node.home.lock import HomeLock
    from step_node.home.paths import NodeHome
    from step_node.signing.guard import SigningGuard
    from step_node.signing.history_file import export_history
    from step_node.signing.keystore import keystore_address

    node_home = NodeHome(home)
    genesis = load_genesis(node_home.genesis)
    validator = keystore_address(node_home.validator_keystore)
    _check_history_exists(node_home.signing_history)
    with HomeLock(home), SigningGuard.open(node_home.signing_history, genesis.chain_id) as guard:
        typer.echo(export_history(guard, chain_id=genesis.chain_id, validator=validator), nl=False)


@app.command("import-history", epilog="Example: step-node keys import-history --home node --input history.json")
def import_signing_history(
    home: Annotated[Path, typer.Option(metavar="DIR", help="The validator's new home; its node must not run.")],
    history: Annotated[Path, typer.Option("--input", metavar="FILE", help="What `export-history` printed.")],
) -> None:
    """Bind this validator by a signing history from elsewhere, in addition to what is in its own.

    Of the two histories the one that reaches further counts, so importing an old one does no harm.
    """
    from step_node.chain.genesis import load_genesis
    from step_node.home.lock import HomeLock
    from step_node.home.paths import NodeHome
    from step_node.signing.guard import SigningGuard
    from step_node.signing.history_file import import_history, read_history
    from step_node.signing.keystore import keystore_address

    node_home = NodeHome(home)
    genesis = load_genesis(node_home.genesis)
    validator = keystore_address(node_home.validator_keystore)
    document = read_history(history)
    node_home.data.mkdir(exist_ok=True)
    with HomeLock(home), SigningGuard.open(node_home.signing_history, genesis.chain_id) as guard:
        new_records = import_history(guard, document, chain_id=genesis.chain_id, validator=validator)
        typer.echo(f"{new_records} new records; the history now stands at height {guard.height}")


def _check_history_exists(path: Path) -> None:
    from step_node.cli.error_lines import CommandError

    if not path.exists():
        raise CommandError(f"{path}: is not there: this validator has not run in this home")


def load_private_key(keystore: Path | None, key_file: Path | None, password_file: Path | None) -> bytes:
    """The 32-byte key in exactly one of the two files. Raises typer.BadParameter unless one is given, KeystoreError."""
    if (keystore is None) == (key_file is None):
        raise typer.BadParameter("give either --keystore or --key-file")
    return _load(keystore, key_file, password_file)


def _load(keystore: Path | None, key_file: Path | None, password_file: Path | None) -> bytes:
    if keystore is not None:
        from step_node.cli.passwords import find_password
        from step_node.signing.keystore import load_keystore

        return load_keystore(keystore, find_password(password_file, purpose=f"of {keystore}"))
    from step_node.signing.key_file import load_key_file

    assert key_file is not None
    return load_key_file(key_file)


def _write(output: Path, private_key: bytes, password_file: Path | None, as_json: bool) -> None:
    from step_node.cli.error_lines import CommandError
    from step_node.cli.passwords import find_password
    from step_node.crypto.eip191 import public_key_of
    from step_node.signing.keystore import create_keystore

    if output.exists():
        raise CommandError(f"{output}: exists already; keys are never overwritten")
    password = find_password(password_file, purpose=f"for {output}", confirm=True)
    address = create_keystore(output, private_key, password)
    shown: dict[str, object] = {
        "address": f"0x{address.hex()}",
        "public_key": f"0x{public_key_of(private_key).hex()}",
        "keystore": str(output),
    }
    _print(shown, as_json)


def _print(shown: dict[str, object], as_json: bool) -> None:
    if as_json:
        print_json(shown)
        return
    width = max(map(len, shown)) + 2
    for name, value in shown.items():
        typer.echo(f"{name:<{width}}{value}")
