"""`step-node genesis`: a chain's beginning that several operators make together (docs/genesis.md)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from step_node.cli.genesis_import_command import import_
from step_node.cli.keys_commands import PasswordFileOption, load_private_key
from step_node.cli.output import print_json

if TYPE_CHECKING:
    from pydantic import BaseModel

    from step_node.chain.genesis import Genesis, GenesisPlan, GenesisValidator
    from step_node.home.keys import NodeKeys
    from step_node.home.paths import NodeHome

HASH_GROUP_CHARACTERS = 4

app = typer.Typer(no_args_is_help=True, help="A chain's beginning: plan, declare, collect, check.")

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
PlanOption = Annotated[Path, typer.Option(metavar="FILE", help="The plan that everybody has agreed on.")]
ParametersOption = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="The chain's parameters, TOML or JSON; those left out are as on all new chains."),
]
AllocationsOption = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Balances at the beginning in STEP: CSV (address,amount), TOML or JSON."),
]


ProtocolVersionOption = Annotated[
    int | None,
    typer.Option(min=1, help="Which version of the rules it begins with (docs/protocol.md, 6).  [default: 2]"),
]


@app.command(
    epilog="Example: step-node genesis new --chain-id my-chain --begins-at 2026-12-01T12:00:00.000Z --output plan.json"
)
def new(
    chain_id: Annotated[str, typer.Option(help="The chain's name: 1 to 63 of a-z 0-9 -.")],
    begins_at: Annotated[str, typer.Option(metavar="TIME", help="When it begins, as 2026-12-01T12:00:00.000Z.")],
    output: Annotated[Path, typer.Option(metavar="FILE", help="The plan to write; it must not exist.")],
    parameters: ParametersOption = None,
    allocations: AllocationsOption = None,
    protocol_version: ProtocolVersionOption = None,
) -> None:
    """Plan a chain: its name, its beginning, its parameters and balances. Send the plan to all who are to validate."""
    from step_node.proofs.timestamps import parse_timestamp

    try:
        begins_ms = parse_timestamp(begins_at)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--begins-at") from error
    _check_new(output)
    plan = plan_of(chain_id, begins_ms, parameters, allocations, protocol_version)
    _write(output, plan)
    typer.echo(f"plan       {output}, of the chain {plan.chain_id}")
    typer.echo(f"hash       {_aloud(plan.hash)}")


@app.command(
    "add-validator",
    epilog="Example: step-node genesis add-validator --plan plan.json --home node"
    " --p2p-address /dns4/node.example/tcp/26600 --owner-keystore cold.json --output mine.json",
)
def add_validator(
    plan: PlanOption,
    home: Annotated[
        Path, typer.Option(metavar="DIR", help="The validator's home: begun with new keys, or begun by this before.")
    ],
    p2p_address: Annotated[
        str, typer.Option(metavar="MULTIADDR", help="Where others dial this node. Its peer id is added.")
    ],
    output: Annotated[Path, typer.Option(metavar="FILE", help="The declaration to write; it must not exist.")],
    stake: Annotated[
        str | None, typer.Option(metavar="STEP", help="What it stakes.  [default: the plan's min_stake]")
    ] = None,
    owner: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="The owner's address, if the key is not at hand to sign.")
    ] = None,
    owner_keystore: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The owner's (cold) key, an encrypted keystore: it signs too.")
    ] = None,
    owner_password_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Password of --owner-keystore.")
    ] = None,
    password_file: PasswordFileOption = None,
) -> None:
    """Declare a validator for a planned chain, signed by its key. Send the declaration to whoever collects.

    The home has its keys then, and lacks genesis and settings: `init --home DIR --genesis FILE` completes it.
    """
    from step_node.chain.ceremony.declaration import declare
    from step_node.chain.genesis import GenesisPlan, load_document
    from step_node.home.paths import NodeHome
    from step_node.multiaddrs import require_multiaddr

    _check_new(output)
    planned = load_document(plan, GenesisPlan)
    if owner is not None and owner_keystore is not None:
        raise typer.BadParameter("give either --owner or --owner-keystore")
    owner_key = None if owner_keystore is None else load_private_key(owner_keystore, None, owner_password_file)
    owner_address = _owner_address(owner, owner_key)
    stake_ustep = _stake_ustep(stake, planned)
    try:
        require_multiaddr(p2p_address)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--p2p-address") from error
    keys = _keys_of(NodeHome(home), planned.chain_id, password_file)
    validator = _validator(keys, p2p_address, owner_address, stake_ustep)
    declaration = declare(planned, validator, hot_key=keys.validator or b"", owner_key=owner_key)
    _write(output, declaration)
    typer.echo(f"validator  {validator.address}")
    typer.echo(f"owner      {declaration.owner}{'' if declaration.is_owner_shown else ' (it has not signed)'}")
    typer.echo(f"plan       {_aloud(planned.hash)}")
    typer.echo(f"\nSend {output} to whoever collects; nothing in it is secret.")


@app.command(epilog="Example: step-node genesis collect --plan plan.json --output genesis.json a.json b.json c.json")
def collect(
    plan: PlanOption,
    declarations: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Everybody's declarations.")],
    output: Annotated[Path, typer.Option(metavar="FILE", help="The genesis to write; it must not exist.")],
) -> None:
    """Make the genesis of a plan and all declarations. Whoever does it, in whatever order, it is the same."""
    from step_node.chain.ceremony.collecting import collect as collected
    from step_node.chain.ceremony.declaration import Declaration
    from step_node.chain.genesis import GenesisPlan, load_document
    from step_node.cli.error_lines import CommandError

    _check_new(output)
    planned = load_document(plan, GenesisPlan)
    names = [str(path) for path in declarations]
    if len(set(names)) != len(names):
        raise CommandError("a declaration's file is named twice")
    read = {str(path): load_document(path, Declaration) for path in declarations}
    genesis = collected(planned, read)
    _write(output, genesis)
    typer.echo(f"genesis    {output}, of the chain {genesis.chain_id}, with {len(genesis.validators)} validators")
    for name, declaration in read.items():
        if not declaration.is_owner_shown:
            typer.echo(f"warning: {name}: the owner {declaration.owner} has not signed: is its key at hand?", err=True)
    typer.echo(f"hash       {_aloud(genesis.hash)}")


@app.command(epilog="Example: step-node genesis check --genesis genesis.json --plan plan.json --mine mine.json")
def check(
    genesis: Annotated[Path, typer.Option(metavar="FILE", help="The genesis that was collected.")],
    plan: Annotated[Path | None, typer.Option(metavar="FILE", help="The plan that it was to be made of.")] = None,
    mine: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Your declaration, which it must hold unchanged.")
    ] = None,
    url: Annotated[
        str | None, typer.Option(help="The API of a node that somebody else runs: its chain must begin with this.")
    ] = None,
    initial_state: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The initial state, which must be the one that genesis names.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check a genesis before starting with it, and print the hash that all must have, and what may not be meant."""
    from step_node.amounts import step_text
    from step_node.chain.ceremony.checking import check_mine, check_plan, warnings
    from step_node.chain.ceremony.declaration import Declaration
    from step_node.chain.genesis import GenesisPlan, load_document, load_genesis
    from step_node.clock import SystemClock
    from step_node.proofs.timestamps import format_timestamp
    from step_node.snapshot.initial_state import check_initial_state

    collected = load_genesis(genesis)
    if plan is not None:
        check_plan(collected, load_document(plan, GenesisPlan))
    declared = None if mine is None else load_document(mine, Declaration)
    if declared is not None:
        check_mine(collected, declared)
    if url is not None:
        _check_same_chain(url, collected)
    if initial_state is not None:
        check_initial_state(initial_state, collected)
    named = collected.initial_state
    now_ms = SystemClock().now_ms()
    collected.check_time(now_ms)
    found = list(warnings(collected, now_ms=now_ms))
    if as_json:
        print_json(
            {
                "chainId": collected.chain_id,
                "hash": f"0x{collected.hash.hex()}",
                "beginsAt": format_timestamp(collected.genesis_time_ms),
                "validators": len(collected.validators),
                "allocations": len(collected.allocations),
                "supply": step_text(collected.supply_ustep),
                "initialStateRoot": None if named is None else f"0x{named.root.hex()}",
                "mine": None if declared is None else declared.validator.address,
                "warnings": found,
            }
        )
        return
    typer.echo(f"chain      {collected.chain_id}, begins at {format_timestamp(collected.genesis_time_ms)}")
    typer.echo(f"validators {len(collected.validators)}")
    typer.echo(f"supply     {step_text(collected.supply_ustep)} STEP, {len(collected.allocations)} allocations")
    if named is not None:
        looked = "as in the file" if initial_state is not None else "not looked at: give --initial-state FILE"
        typer.echo(
            f"state      {named.accounts} accounts, {named.triangles} triangles, {named.nonces} nonces ({looked})"
        )
        typer.echo(f"state root {_aloud(named.root)}")
    if declared is not None:
        typer.echo(f"mine       {declared.validator.address} is in it, as declared")
    typer.echo(f"hash       {_aloud(collected.hash)}")
    if url is not None:
        typer.echo(f"           the node at {url} has the same")
    for warning in found:
        typer.echo(f"warning: {warning}", err=True)


def _check_same_chain(url: str, genesis: Genesis) -> None:
    from step_node.cli.error_lines import CommandError
    from step_node.cli.http_calls import get_json
    from step_node.cli.output import plain

    theirs = get_json(url, "/status").get("genesisHash")
    if theirs != f"0x{genesis.hash.hex()}":
        raise CommandError(
            f"the node at {url} has the genesis {plain(theirs)}, and this file is 0x{genesis.hash.hex()}: one of you"
            " has another chain's; ask others before you start"
        )


app.command(
    "import",
    epilog="Example: step-node genesis import --plan plan.json --mongodb-uri mongodb://127.0.0.1:27017/step"
    " --report report.ndjson --dry-run",
)(import_)


def plan_of(
    chain_id: str, begins_ms: int, parameters: Path | None, allocations: Path | None, protocol_version: int | None
) -> GenesisPlan:
    """What these options of `genesis new` and `testnet` plan; what is left out is as on all new chains."""
    from step_node.chain.ceremony.inputs import load_allocations, load_parameters
    from step_node.chain.genesis import new_plan
    from step_node.chain.new_chains import RULES_VERSION, named_version, new_chain_parameters

    return new_plan(
        chain_id=chain_id,
        genesis_time_ms=begins_ms,
        parameters=new_chain_parameters() if parameters is None else load_parameters(parameters),
        allocations=None if allocations is None else load_allocations(allocations),
        protocol_version=named_version(RULES_VERSION if protocol_version is None else protocol_version),
    )


def _check_new(output: Path) -> None:
    from step_node.cli.error_lines import CommandError

    if output.exists():
        raise CommandError(f"{output}: exists already, and is not overwritten")


def _write(output: Path, document: BaseModel) -> None:
    from step_node.durable.atomic_file import write_atomically

    content = document.model_dump_json(indent=2, exclude_none=True).encode() + b"\n"
    write_atomically(output, content, mode=0o644, replace=False)


def _aloud(hashed: bytes) -> str:
    """A hash in groups, to be read to others and compared."""
    digits = hashed.hex()
    groups = (digits[start : start + HASH_GROUP_CHARACTERS] for start in range(0, len(digits), HASH_GROUP_CHARACTERS))
    return " ".join(groups)


def _owner_address(owner: str | None, owner_key: bytes | None) -> str | None:
    from step_node.cli.owner_calls import parse_address
    from step_node.crypto.checksum import has_wrong_checksum
    from step_node.operations.client_signing import address_of_key

    if owner_key is not None:
        return f"0x{address_of_key(owner_key).hex()}"
    if owner is None:
        return None
    address = parse_address(owner, "--owner")
    if has_wrong_checksum(owner):
        raise typer.BadParameter("its capital letters are not its checksum (EIP-55)", param_hint="--owner")
    return f"0x{address.hex()}"


def _stake_ustep(stake: str | None, plan: GenesisPlan) -> int:
    from step_node.chain.ceremony.declaration import check_stake
    from step_node.operations.json_form import parse_ustep
    from step_node.parameters import USTEP_PER_STEP

    if stake is None:
        return plan.parameters.min_stake * USTEP_PER_STEP
    stake_ustep = parse_ustep(stake, "stake")
    check_stake(stake_ustep, plan)
    return stake_ustep


def _keys_of(home: NodeHome, chain_id: str, password_file: Path | None) -> NodeKeys:
    """The keys of a begun home; begun here, unless it is there."""
    from step_node.cli.error_lines import CommandError
    from step_node.cli.passwords import find_password
    from step_node.home.keys import NodeKeys
    from step_node.home.making import begin_home, check_no_home, is_begun
    from step_node.signing.key_file import load_key_file

    if not is_begun(home):
        check_no_home(home)
        keys = NodeKeys.new(is_validator=True)
        password = find_password(password_file, purpose="for the validator's keystore", confirm=True)
        begin_home(home, keys=keys, chain_id=chain_id, password=password)
        return keys
    if not home.validator_keystore.exists():
        raise CommandError(f"{home.root}: has no validator's key; declare with a home that is new")
    return NodeKeys(load_private_key(home.validator_keystore, None, password_file), load_key_file(home.p2p_key))


def _validator(keys: NodeKeys, p2p_address: str, owner: str | None, stake_ustep: int) -> GenesisValidator:
    from pydantic import ValidationError

    from p2p.libp2p_host import peer_id_of
    from step_node.chain.genesis import GenesisError, GenesisValidator
    from step_node.crypto.eip191 import address_of, public_key_of
    from step_node.errors import describe_validation_error

    public_key = public_key_of(keys.validator or b"")
    try:
        return GenesisValidator(
            address=f"0x{address_of(public_key).hex()}",
            public_key=f"0x{public_key.hex()}",
            stake_ustep=stake_ustep,
            p2p_address=f"{p2p_address.rstrip('/')}/p2p/{peer_id_of(keys.p2p)}",
            owner=owner,
        )
    except ValidationError as error:
        raise GenesisError(f"validator: {describe_validation_error(error)}") from error
