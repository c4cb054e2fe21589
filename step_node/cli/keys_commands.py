"""`step-node keys`: keystores of validators and test accounts."""

from __future__ import annotations

from collections.abc import Callable
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


@app.command(epilog="Example: step-node keys new --output node/keys/next-validator.json --home node")
def new(
    output: Annotated[Path, typer.Option(metavar="FILE", help="The keystore to write; it must not exist.")],
    home: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="The home of the node that will sign with it: its signing history is begun there. The node may run.",
        ),
    ] = None,
    password_file: PasswordFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a new secp256k1 key, and write it to an encrypted keystore (Web3 Secret Storage, version 3).

    With --home the key's signing history is begun in that home, since a key made now has never signed; without, the
    first `start` with it needs --new-signing-history.
    """
    from step_node.signing.keystore import new_private_key

    begin = None if home is None else _history_begun_in(home)
    address = _write(output, new_private_key(), password_file, as_json)
    if begin is not None:
        begin(address)


@app.command("import", epilog="Example: step-node keys import --keystore UTC--wallet.json --output validator.json")
def import_key(
    output: Annotated[Path, typer.Option(metavar="FILE", help="The keystore to write; it must not exist.")],
    key_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="File (mode 0600) with the private key, 64 hex digits.")
    ] = None,
    keystore: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Another program's keystore (mode 0600; Web3 Secret Storage, version 3)."),
    ] = None,
    keystore_password_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="File (mode 0600) with that keystore's password; otherwise a prompt."),
    ] = None,
    password_file: PasswordFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a key that stands in a file in the clear, or in another program's keystore, to a keystore of this node's.

    The file stays: delete it yourself. The password from --password-file, the environment or the prompt is that of the
    keystore to write; it may be the same as that of the other.
    """
    from step_node.cli.passwords import ask_password
    from step_node.signing.key_file import load_key_file
    from step_node.signing.keystore import load_keystore, read_password

    if (keystore is None) == (key_file is None):
        raise typer.BadParameter("give either --keystore or --key-file")
    _check_new(output)
    if keystore is not None:
        purpose = f"of {keystore}"
        password = (
            ask_password("--keystore-password-file", purpose=purpose)
            if keystore_password_file is None
            else read_password(keystore_password_file)
        )
        private_key = load_keystore(keystore, password)
    else:
        assert key_file is not None
        private_key = load_key_file(key_file)
    _write(output, private_key, password_file, as_json)


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
    """Print the signing history of this home's validator key as JSON, to take along to another machine.

    It says what the key has signed and binds it, the floor below which it signs nothing, and whether the history is
    doubtful. The node must be stopped, and must not be started here again afterwards.
    """
    from step_node.chain.genesis import load_genesis
    from step_node.cli.error_lines import CommandError
    from step_node.home.histories import check_no_unnamed_history
    from step_node.home.lock import HomeLock
    from step_node.home.paths import NodeHome
    from step_node.signing.guard import SigningGuard
    from step_node.signing.history_file import export_history
    from step_node.signing.keystore import keystore_address

    node_home = NodeHome(home)
    genesis = load_genesis(node_home.genesis)
    validator = keystore_address(node_home.validator_keystore)
    check_no_unnamed_history(node_home)
    path = node_home.signing_history(validator)
    if not path.exists():
        raise CommandError(f"{path}: is not there: the validator's key has no signing history in this home")
    with HomeLock(home), SigningGuard.open(path, chain_id=genesis.chain_id, validator=validator) as guard:
        typer.echo(export_history(guard, chain_id=genesis.chain_id), nl=False)
        if guard.doubt_reason is not None:
            typer.echo(f"this history is doubtful, and stays so where it is imported: {guard.doubt_reason}", err=True)


@app.command("import-history", epilog="Example: step-node keys import-history --home node --input history.json")
def import_signing_history(
    home: Annotated[Path, typer.Option(metavar="DIR", help="The validator's new home; its node must not run.")],
    history: Annotated[Path, typer.Option("--input", metavar="FILE", help="What `export-history` printed.")],
) -> None:
    """Bind this home's validator key by its signing history from elsewhere, in addition to what is here.

    Of the two histories the one that reaches further counts, so importing an old one does no harm; but an old one alone
    does not say what was signed since. Refused: another key's or another chain's history, one that contradicts the one
    here, and heights that the chain cannot have come to.
    """
    import trio

    from step_node.chain.genesis import load_genesis
    from step_node.clock import SystemClock
    from step_node.home.config import load_config
    from step_node.home.histories import open_history
    from step_node.home.lock import HomeLock
    from step_node.home.paths import NodeHome
    from step_node.node.opening import believable_height_here
    from step_node.signing.history_file import read_history
    from step_node.signing.keystore import keystore_address

    node_home = NodeHome(home)
    config = load_config(node_home.config)
    genesis = load_genesis(node_home.genesis)
    validator = keystore_address(node_home.validator_keystore)
    document = read_history(history)
    node_home.data.mkdir(exist_ok=True)
    with HomeLock(home):
        height_max = trio.run(believable_height_here, node_home, config, genesis, SystemClock())
        document.check(chain_id=genesis.chain_id, validator=validator, height_max=height_max)
        content = document.content
        with open_history(node_home, chain_id=genesis.chain_id, validator=validator, begin_with=content) as guard:
            guard.merge(content)
            typer.echo(
                f"the history of 0x{validator.hex()} now stands at height {guard.height} with {len(guard.history())}"
                f" records; nothing is signed up to height {guard.floor}"
            )
            if guard.doubt_reason is not None:
                typer.echo(f"it is doubtful, so the node will wait before it signs: {guard.doubt_reason}")


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


def _history_begun_in(home: Path) -> Callable[[bytes], None]:
    """What begins the history of a key (its address) in `home`; raises now, before there is a key, for no home."""
    from step_node.chain.genesis import load_genesis
    from step_node.home.histories import begin_history, check_no_unnamed_history
    from step_node.home.paths import NodeHome

    node_home = NodeHome(home)
    chain_id = load_genesis(node_home.genesis).chain_id
    check_no_unnamed_history(node_home)
    return lambda address: begin_history(node_home, chain_id=chain_id, validator=address)


def _write(output: Path, private_key: bytes, password_file: Path | None, as_json: bool) -> bytes:
    from step_node.cli.passwords import find_password
    from step_node.crypto.eip191 import public_key_of
    from step_node.signing.keystore import create_keystore

    _check_new(output)
    password = find_password(password_file, purpose=f"for {output}", confirm=True)
    address = create_keystore(output, private_key, password)
    shown: dict[str, object] = {
        "address": f"0x{address.hex()}",
        "public_key": f"0x{public_key_of(private_key).hex()}",
        "keystore": str(output),
    }
    _print(shown, as_json)
    return address


def _check_new(output: Path) -> None:
    from step_node.cli.error_lines import CommandError

    if output.exists():
        raise CommandError(f"{output}: exists already; keys are never overwritten")


def _print(shown: dict[str, object], as_json: bool) -> None:
    if as_json:
        print_json(shown)
        return
    width = max(map(len, shown)) + 2
    for name, value in shown.items():
        typer.echo(f"{name:<{width}}{value}")
