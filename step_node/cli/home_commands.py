"""`step-node init` and `step-node testnet`: node homes."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from step_node.cli.genesis_commands import AllocationsOption, ParametersOption, ProtocolVersionOption, plan_of
from step_node.cli.keys_commands import PasswordFileOption

if TYPE_CHECKING:
    from step_node.chain.genesis import Genesis, GenesisPlan
    from step_node.home.paths import NodeHome

P2P_PORT_DEFAULT = 26_600
BASE_PORT_DEFAULT = 8_600
VALIDATORS_DEFAULT = 4
VALIDATORS_MAX = 100
"""That of `consensus.values`, which is too heavy to be imported for a help text."""
PORT_MAX = 65_535
CHAIN_ID_DEFAULT = "step-testnet"

InitialStateOption = Annotated[
    Path | None, typer.Option(metavar="FILE", help="The initial state, if genesis names one (docs/import.md).")
]


class StoreChoice(StrEnum):
    """The two engines."""

    SQLITE = "sqlite"
    MONGODB = "mongodb"


def init(
    home: Annotated[Path, typer.Option(metavar="DIR", help="The directory to make; it must not exist, or be empty.")],
    chain_id: Annotated[
        str | None, typer.Option(help="The chain's name: 1 to 63 of a-z 0-9 -. Needed for a new chain.")
    ] = None,
    genesis: Annotated[
        Path | None, typer.Option(metavar="FILE", help="genesis.json of the chain to join; without it, a new chain.")
    ] = None,
    initial_state: InitialStateOption = None,
    validator: Annotated[bool, typer.Option("--validator", help="Make a validator's key, in a keystore.")] = False,
    bootstrap: Annotated[
        list[str] | None,
        typer.Option(metavar="MULTIADDR", help="A peer to dial, /ip4/…/tcp/…/p2p/…; may be given again."),
    ] = None,
    api_port: Annotated[int, typer.Option(min=0, max=PORT_MAX, help="Port of the HTTP API.")] = BASE_PORT_DEFAULT,
    p2p_port: Annotated[int, typer.Option(min=0, max=PORT_MAX, help="Port of libp2p.")] = P2P_PORT_DEFAULT,
    password_file: PasswordFileOption = None,
) -> None:
    """Make the home of one node: keys, config.toml and genesis.json.

    With --genesis the node joins that chain; with --validator but without --genesis it begins a new chain, of which it
    is the only validator. A home that `genesis add-validator` has begun keeps its keys.

    Example: step-node init --home node --chain-id my-chain --validator --password-file password
    """
    from step_node.chain.new_chains import RULES_VERSION, named_version, new_chain_parameters
    from step_node.cli.passwords import find_password
    from step_node.clock import SystemClock
    from step_node.home.keys import NodeKeys
    from step_node.home.making import (
        NetworkNode,
        check_no_home,
        complete_home,
        is_begun,
        new_config,
        new_genesis,
        write_home,
    )
    from step_node.home.paths import NodeHome

    if genesis is None and not validator:
        raise typer.BadParameter("give --genesis FILE to join a chain, or --validator to begin one")
    if genesis is None and initial_state is not None:
        raise typer.BadParameter("goes with --genesis", param_hint="--initial-state")
    if genesis is None and chain_id is None:
        raise typer.BadParameter("is needed for a new chain", param_hint="--chain-id")
    node_home = NodeHome(home)
    config = new_config(api_port=api_port, p2p_port=p2p_port, bootstrap=bootstrap or ())
    if genesis is not None and is_begun(node_home):
        if validator:
            raise typer.BadParameter(f"{home} has its keys already", param_hint="--validator")
        chain = _given_genesis(genesis, chain_id)
        _check_initial_state(chain, initial_state)
        complete_home(node_home, genesis=chain, config=config, initial_state=initial_state)
        _tell(node_home, chain)
        return
    check_no_home(node_home)
    keys = NodeKeys.new(is_validator=validator)
    address = NetworkNode(keys, api_port, p2p_port).p2p_address
    if genesis is not None:
        chain = _given_genesis(genesis, chain_id)
        _check_initial_state(chain, initial_state)
    else:
        chain = new_genesis(
            chain_id=chain_id or "",
            genesis_time_ms=SystemClock().now_ms(),
            validators=[(keys.validator or b"", address)],
            parameters=new_chain_parameters(),
            protocol_version=named_version(RULES_VERSION),
        )
    password = find_password(password_file, purpose="for the validator's keystore", confirm=True) if validator else ""
    write_home(node_home, keys=keys, genesis=chain, config=config, password=password, initial_state=initial_state)
    _tell(node_home, chain)


def make_test_network(
    output: Annotated[Path, typer.Option(metavar="DIR", help="Directory for the homes node0, node1, …")],
    validators: Annotated[
        int, typer.Option(min=1, max=VALIDATORS_MAX, help="How many validators.")
    ] = VALIDATORS_DEFAULT,
    observers: Annotated[
        int, typer.Option(min=0, max=VALIDATORS_MAX, help="How many nodes without a validator's key, after those.")
    ] = 0,
    owners: Annotated[
        bool, typer.Option("--owners", help="Give each validator an owner's (cold) key, under DIR/owners.")
    ] = False,
    parameters: ParametersOption = None,
    allocations: AllocationsOption = None,
    protocol_version: ProtocolVersionOption = None,
    plan: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="A plan, of `genesis new` or `genesis import`, in place of options that say what is in it.",
        ),
    ] = None,
    initial_state: InitialStateOption = None,
    chain_id: Annotated[
        str | None, typer.Option(help="The chain's name: 1 to 63 of a-z 0-9 -.  [default: step-testnet]")
    ] = None,
    base_port: Annotated[
        int, typer.Option(min=1, max=PORT_MAX, help="Node i: API at base + i, libp2p at base + nodes + i.")
    ] = BASE_PORT_DEFAULT,
    hosts: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES", help="Comma-separated names or addresses of the nodes, one each.  [default: 127.0.0.1]"
        ),
    ] = None,
    store: Annotated[StoreChoice, typer.Option(help="Storage engine of all nodes.")] = StoreChoice.SQLITE,
    mongodb_uri: Annotated[
        str | None, typer.Option(metavar="URI", help="Replica set for --store mongodb; a database for each node.")
    ] = None,
) -> None:
    """Make the homes of a test network: one genesis, N validators that know each other, and observers that know them.

    The keystores' password stands beside each of them (keys/password, mode 0600): such a network guards nothing.
    With --hosts the nodes are on machines (or in containers) of their own: they listen on all interfaces, all at the
    same two ports, base and base + 1.

    Example: step-node testnet --validators 4 --output testnet
    """
    import secrets

    from step_node.clock import SystemClock
    from step_node.home.config import StorageConfig
    from step_node.home.keys import NodeKeys
    from step_node.home.making import (
        HomeError,
        NetworkNode,
        check_host,
        network_homes,
        planned_genesis,
        write_network_homes,
        write_owners,
    )
    from step_node.operations.client_signing import address_of_key
    from step_node.signing.keystore import new_private_key

    _check_store(store, mongodb_uri)
    planned = _testnet_plan(plan, chain_id, parameters, allocations, protocol_version)
    count = validators + observers
    names = [name.strip() for name in hosts.split(",")] if hosts else None
    if names is not None and (len(names) != count or len(set(names)) != count or not all(names)):
        raise typer.BadParameter(f"must be {count} different names, one for each node", param_hint="--hosts")
    for name in names or ():
        try:
            check_host(name)
        except HomeError as error:
            raise typer.BadParameter(str(error), param_hint="--hosts") from error
    if base_port + (1 if names else 2 * count - 1) > PORT_MAX:
        raise typer.BadParameter(f"the last node's port would be above {PORT_MAX}", param_hint="--base-port")
    keys = [NodeKeys.new(is_validator=index < validators) for index in range(count)]
    nodes = [
        NetworkNode(keys[index], base_port, base_port + 1, names[index])
        if names
        else NetworkNode(keys[index], base_port + index, base_port + count + index)
        for index in range(count)
    ]
    owner_keys = [new_private_key() for _ in range(validators)] if owners else []
    genesis = planned_genesis(
        planned,
        validators=[(node.keys.validator, node.p2p_address) for node in nodes if node.keys.validator is not None],
        owner=[f"0x{address_of_key(key).hex()}" for key in owner_keys] or None,
    )
    genesis.check_time(SystemClock().now_ms())
    _check_initial_state(genesis, initial_state)
    homes = network_homes(output, count)
    password = secrets.token_hex(16)
    if owners:
        write_owners(output / "owners", owner_keys, password=password)
    write_network_homes(
        homes,
        nodes=nodes,
        genesis=genesis,
        storage=[
            StorageConfig(engine=store.value, mongodb_uri=mongodb_uri, mongodb_database=f"step_node{index}")
            for index in range(count)
        ],
        listen_host="0.0.0.0" if names else "127.0.0.1",
        password=password,
        initial_state=initial_state,
    )
    typer.echo(f"{count} homes of the chain {genesis.chain_id} (genesis 0x{genesis.hash.hex()}):")
    for home, node in zip(homes, nodes, strict=True):
        kind = "" if node.keys.validator is not None else "  observer"
        typer.echo(f"  {home.root}  API http://{node.host}:{node.api_port}  {node.p2p_address}{kind}")
    if owners:
        typer.echo(f"  {output / 'owners'}  the owners' keystores, and their password")
    waits = genesis.told_to_wait(SystemClock().now_ms())
    if waits is not None:
        typer.echo(waits)
    typer.echo(f"\nStart each with: step-node start --home {homes[0].root}")


def _testnet_plan(
    path: Path | None,
    chain_id: str | None,
    parameters: Path | None,
    allocations: Path | None,
    protocol_version: int | None,
) -> GenesisPlan:
    """The plan in the file, or one of what is said in its place, which begins now."""
    from step_node.chain.genesis import GenesisPlan, load_document
    from step_node.clock import SystemClock

    if path is not None:
        said = {
            "--chain-id": chain_id,
            "--parameters": parameters,
            "--allocations": allocations,
            "--protocol-version": protocol_version,
        }
        for option in (option for option, value in said.items() if value is not None):
            raise typer.BadParameter("stands in the plan already", param_hint=option)
        return load_document(path, GenesisPlan)
    begins_ms = SystemClock().now_ms()
    return plan_of(chain_id or CHAIN_ID_DEFAULT, begins_ms, parameters, allocations, protocol_version)


def _given_genesis(path: Path, chain_id: str | None) -> Genesis:
    from step_node.chain.genesis import load_genesis
    from step_node.cli.error_lines import CommandError
    from step_node.clock import SystemClock

    genesis = load_genesis(path)
    genesis.check_time(SystemClock().now_ms())
    if chain_id is not None and chain_id != genesis.chain_id:
        raise CommandError(f"--chain-id: {path} is of the chain {genesis.chain_id!r}, not {chain_id!r}")
    return genesis


def _check_initial_state(genesis: Genesis, initial_state: Path | None) -> None:
    """Raise before anything is made unless `initial_state` is what genesis names, or neither is there."""
    from step_node.snapshot.initial_state import check_initial_state

    if initial_state is not None:
        check_initial_state(initial_state, genesis)
    elif genesis.initial_state is not None:
        raise typer.BadParameter(
            f"is needed: genesis names a state of {genesis.initial_state.accounts} accounts to begin with",
            param_hint="--initial-state",
        )


def _check_store(store: StoreChoice, mongodb_uri: str | None) -> None:
    from step_node.cli.mongodb_uri import check_mongodb_uri

    if store is StoreChoice.MONGODB and not mongodb_uri:
        raise typer.BadParameter("is needed with --store mongodb", param_hint="--mongodb-uri")
    if store is StoreChoice.SQLITE and mongodb_uri:
        raise typer.BadParameter("goes with --store mongodb", param_hint="--mongodb-uri")
    if mongodb_uri:
        check_mongodb_uri(mongodb_uri)


def _tell(home: NodeHome, genesis: Genesis) -> None:
    from p2p.libp2p_host import peer_id_of
    from step_node.clock import SystemClock
    from step_node.signing.key_file import load_key_file
    from step_node.signing.keystore import keystore_address

    typer.echo(f"home       {home.root}")
    typer.echo(f"chain      {genesis.chain_id} (genesis 0x{genesis.hash.hex()})")
    waits = genesis.told_to_wait(SystemClock().now_ms())
    if waits is not None:
        typer.echo(f"           {waits}")
    typer.echo(f"peer id    {peer_id_of(load_key_file(home.p2p_key))}")
    if not home.validator_keystore.exists():
        typer.echo("validator  none: this node observes")
    else:
        address = f"0x{keystore_address(home.validator_keystore).hex()}"
        typer.echo(f"validator  {address}")
        if address not in {validator.address for validator in genesis.validators}:
            typer.echo("           (not among the validators of this genesis: it observes until it is one of the set)")
    typer.echo(f"\nLook through {home.config}, then: step-node start --home {home.root}")
