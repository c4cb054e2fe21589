"""`step-node keys`: keystores of validators and test accounts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from step_node.cli.output import print_json

if TYPE_CHECKING:
    from step_node.chain.genesis import Genesis
    from step_node.home.paths import NodeHome

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


@app.command("list", epilog="Example: step-node keys list --home node")
def list_keys(
    home: Annotated[Path, typer.Option(metavar="DIR", help="The home of a node, or of a signer.")],
    public_key: Annotated[
        bool, typer.Option("--public-key", help="Also the public keys, which needs the keystores' password.")
    ] = False,
    password_file: PasswordFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print the keys of a home: each keystore's address, and whether its signing history is here.

    A private key is never printed. A history without a keystore is listed too: its key has signed in this home.
    """
    from step_node.cli.passwords import find_password
    from step_node.crypto.eip191 import public_key_of
    from step_node.home.histories import keys_with_history
    from step_node.home.keystores import keystores_in
    from step_node.home.paths import NodeHome
    from step_node.signing.keystore import keystore_address, load_keystore

    node_home = NodeHome(home)
    _check_home(node_home)
    password = find_password(password_file, purpose=f"of the keystores in {home}") if public_key else ""
    with_history = set(keys_with_history(node_home))
    rows: list[dict[str, object]] = []
    for path in keystores_in(node_home):
        address = keystore_address(path)
        row: dict[str, object] = {
            "address": f"0x{address.hex()}",
            "keystore": str(path),
            "signing_history": address in with_history,
        }
        if public_key:
            row["public_key"] = f"0x{public_key_of(load_keystore(path, password)).hex()}"
        rows.append(row)
    listed = {row["address"] for row in rows}
    rows += [
        {"address": text, "keystore": None, "signing_history": True}
        for text in sorted(f"0x{address.hex()}" for address in with_history)
        if text not in listed
    ]
    if as_json:
        print_json({"keys": rows})
        return
    for row in rows:
        history = "signing history" if row["signing_history"] else "NO signing history"
        where = row["keystore"] or "(no keystore here)"
        typer.echo("  ".join(map(str, (row["address"], history, where, row.get("public_key", "")))).rstrip())


@app.command(epilog="Example: step-node keys export --keystore node/keys/validator.json --output wallet.json")
def export(
    keystore: Annotated[Path, typer.Option(metavar="FILE", help="The keystore to take the key from.")],
    output: Annotated[Path, typer.Option(metavar="FILE", help="The keystore to write; it must not exist.")],
    keystore_password_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="File (mode 0600) with that keystore's password; otherwise a prompt."),
    ] = None,
    password_file: PasswordFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a key to a keystore of its own (Web3 Secret Storage, version 3) with another password, to hand it on.

    A validator's key must sign in one place only: take its signing history along (`export-history`), and never start
    the old place again.
    """
    from step_node.cli.passwords import ask_password
    from step_node.signing.keystore import load_keystore, read_password

    _check_new(output)
    purpose = f"of {keystore}"
    password = (
        ask_password("--keystore-password-file", purpose=purpose)
        if keystore_password_file is None
        else read_password(keystore_password_file)
    )
    _write(output, load_keystore(keystore, password), password_file, as_json)


@app.command("export-history", epilog="Example: step-node keys export-history --home node > history.json")
def export_signing_history(
    home: Annotated[Path, typer.Option(metavar="DIR", help="The home of a node, or of a signer; it must not run.")],
) -> None:
    """Print the signing histories of this home as JSON in the shape of EIP-3076, to take along to another machine.

    For each key that has a history here it says what the key has signed and binds it, the floor below which it signs
    nothing, and whether the history is doubtful. Whatever signs here must be stopped, and must not be started here
    again afterwards.
    """
    from step_node.chain.genesis import load_genesis
    from step_node.cli.error_lines import CommandError
    from step_node.home.histories import check_no_unnamed_history, keys_with_history
    from step_node.home.lock import HomeLock
    from step_node.home.paths import NodeHome
    from step_node.signing.guard import SigningGuard
    from step_node.signing.interchange import export_interchange

    node_home = NodeHome(home)
    genesis = load_genesis(node_home.genesis)
    check_no_unnamed_history(node_home)
    histories = {}
    with HomeLock(home):
        for validator in keys_with_history(node_home):
            path = node_home.signing_history(validator)
            with SigningGuard.open(path, chain_id=genesis.chain_id, validator=validator) as guard:
                histories[validator] = guard.content()
    if not histories:
        raise CommandError(f"{node_home.signing_histories}: has no signing history: no key has signed in this home")
    typer.echo(export_interchange(histories, chain_id=genesis.chain_id, genesis_hash=genesis.hash), nl=False)
    for validator, content in sorted(histories.items()):
        if content.doubt is not None:
            typer.echo(
                f"this history is doubtful, and stays so where it is imported: {content.doubt} (0x{validator.hex()})",
                err=True,
            )


@app.command("import-history", epilog="Example: step-node keys import-history --home node --input history.json")
def import_signing_history(
    home: Annotated[Path, typer.Option(metavar="DIR", help="The home of a node, or of a signer; it must not run.")],
    history: Annotated[
        Path,
        typer.Option("--input", metavar="FILE", help="What `export-history` printed, or another in EIP-3076's shape."),
    ],
) -> None:
    """Bind the keys of this home by their signing histories from elsewhere, in addition to what is here.

    Taken are those of keys whose keystore is in this home; others are named and passed over. Of two histories the one
    that reaches further counts, so importing an old one does no harm; but an old one alone does not say what was signed
    since. Refused, all together: another chain's histories, one that contradicts the one here, and heights that the
    chain cannot have come to.
    """
    from step_node.chain.genesis import load_genesis
    from step_node.cli.error_lines import CommandError
    from step_node.home.histories import check_contents, open_history
    from step_node.home.keystores import keystores_in
    from step_node.home.lock import HomeLock
    from step_node.home.paths import NodeHome
    from step_node.signing.interchange import read_interchange
    from step_node.signing.keystore import keystore_address

    node_home = NodeHome(home)
    genesis = load_genesis(node_home.genesis)
    here = {keystore_address(path) for path in keystores_in(node_home)}
    document = read_interchange(history)
    node_home.data.mkdir(exist_ok=True)
    with HomeLock(home):
        height_max = _believable_height(node_home, genesis)
        document.check(chain_id=genesis.chain_id, genesis_hash=genesis.hash, height_max=height_max)
        contents = document.contents()
        taken = {validator: content for validator, content in contents.items() if validator in here}
        if not taken:
            names = ", ".join(f"0x{validator.hex()}" for validator in sorted(contents)) or "no key at all"
            raise CommandError(f"{history}: is of {names}, and no keystore of it is in {home}")
        # All are looked at before the first is changed.
        check_contents(node_home, taken, chain_id=genesis.chain_id)
        for validator, content in sorted(taken.items()):
            with open_history(node_home, chain_id=genesis.chain_id, validator=validator, begin_with=content) as guard:
                guard.merge(content)
                typer.echo(
                    f"the history of 0x{validator.hex()} now stands at height {guard.height} with"
                    f" {len(guard.history())} records; nothing is signed up to height {guard.floor}"
                )
                if guard.doubt_reason is not None:
                    typer.echo(f"it is doubtful, so the node will wait before it signs: {guard.doubt_reason}")
        for validator in sorted(contents.keys() - taken.keys()):
            typer.echo(f"passed over, since its keystore is not here: 0x{validator.hex()}")


def _believable_height(home: NodeHome, genesis: Genesis) -> int:
    """The greatest height that a history can have: by the store of a node's home, by genesis alone in a signer's."""
    import trio

    from step_node.clock import SystemClock
    from step_node.home.config import load_config
    from step_node.node.opening import believable_height_here
    from step_node.signing.believable import believable_height_max

    clock = SystemClock()
    if home.config.exists():
        return trio.run(believable_height_here, home, load_config(home.config), genesis, clock)
    return believable_height_max(head_height=0, head_timestamp_ms=genesis.genesis_time_ms, now_ms=clock.now_ms())


def _check_home(home: NodeHome) -> None:
    from step_node.cli.error_lines import CommandError

    if not home.validator_keystore.parent.is_dir():
        raise CommandError(f"{home.validator_keystore.parent}: is no directory: {home.root} is no home")


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
