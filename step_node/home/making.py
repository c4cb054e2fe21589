"""Making node homes: keys, `genesis.json` and `config.toml`, for one node or for a whole test network.

Keys are written first and `config.toml` last, so a home that has a `config.toml` is complete. What is there is never
overwritten: a validator's key may be the only copy.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

from pydantic import ValidationError

from p2p.libp2p_host import peer_id_of
from step_node.chain.genesis import Genesis, GenesisPlan, GenesisValidator, genesis_of, new_plan
from step_node.crypto.eip191 import address_of, public_key_of
from step_node.durable.atomic_file import copy_durably, write_atomically
from step_node.errors import StepNodeError, describe_validation_error
from step_node.home.config import (
    ApiConfig,
    ConfigError,
    IntakeConfig,
    LogConfig,
    NodeConfig,
    P2pConfig,
    RetentionConfig,
    StorageConfig,
)
from step_node.home.config_file import render_config
from step_node.home.histories import begin_history, keys_with_history
from step_node.home.keys import NodeKeys
from step_node.home.paths import NodeHome
from step_node.parameters import USTEP_PER_STEP, Parameters
from step_node.signing.key_file import create_key_file
from step_node.signing.keystore import KdfStrength, create_keystore
from step_node.signing.private_file import create_private_file
from step_node.snapshot.initial_state import check_initial_state

LOOPBACK = "127.0.0.1"
ALL_INTERFACES = "0.0.0.0"


HOST_NAME_PATTERN = re.compile(r"(?=.{1,253}$)(?!-)[a-zA-Z0-9-]{1,63}(?<!-)(\.(?!-)[a-zA-Z0-9-]{1,63}(?<!-))*")
"""RFC 1123 §2.1: labels of letters, digits and hyphens."""


class HomeError(StepNodeError):
    """A home cannot be made, or used; the message names the directory and the rule."""


@dataclass(frozen=True, slots=True)
class NetworkNode:
    """Where one node of a test network listens, and its keys."""

    keys: NodeKeys
    api_port: int
    p2p_port: int
    host: str = LOOPBACK

    @property
    def p2p_address(self) -> str:
        """The multiaddr by which the others find it."""
        kind = "ip4" if _looks_like_ip4(self.host) else "dns4"
        return f"/{kind}/{self.host}/tcp/{self.p2p_port}/p2p/{peer_id_of(self.keys.p2p)}"


def new_genesis(
    *,
    chain_id: str,
    genesis_time_ms: int,
    validators: Sequence[tuple[bytes, str]],
    parameters: Parameters | None = None,
    owner: str | Sequence[str] | None = None,
    allocations: Mapping[str, int] | None = None,
    protocol_version: int | None = None,
) -> Genesis:
    """A genesis with these (private key, P2P multiaddr), as `planned_genesis` makes it of what `new_plan` plans.

    `allocations`, micro-STEP by address, are none by default.

    Raises GenesisError naming the field for a chain id or a time that the protocol does not allow.
    """
    plan = new_plan(
        chain_id=chain_id,
        genesis_time_ms=genesis_time_ms,
        parameters=parameters,
        allocations=allocations,
        protocol_version=protocol_version,
    )
    return planned_genesis(plan, validators=validators, owner=owner)


def planned_genesis(
    plan: GenesisPlan, *, validators: Sequence[tuple[bytes, str]], owner: str | Sequence[str] | None = None
) -> Genesis:
    """What is planned, with these (private key, P2P multiaddr), each staking just the minimum.

    `owner` is the address that all of them belong to, or one for each; None makes each its own.

    Raises GenesisError naming the field.
    """
    owners = [owner] * len(validators) if owner is None or isinstance(owner, str) else owner
    return genesis_of(
        plan,
        [
            _validator(key, address, plan.parameters, belongs_to)
            for (key, address), belongs_to in zip(validators, owners, strict=True)
        ],
    )


def new_config(
    *,
    api_port: int,
    p2p_port: int,
    bootstrap: Sequence[str] = (),
    listen_host: str | None = None,
    storage: StorageConfig | None = None,
    log: LogConfig | None = None,
    retention: RetentionConfig | None = None,
    has_quotas: bool = True,
) -> NodeConfig:
    """Settings of a node; with `listen_host` both servers listen there, otherwise the API only on loopback. Without
    quotas an address may submit as much as the costs allow, and nothing is shed because it is more than usual.

    Raises ConfigError naming the key for a bootstrap address that is none.
    """
    try:
        return NodeConfig(
            api=ApiConfig(
                host=listen_host or LOOPBACK,
                port=api_port,
                **({} if has_quotas else {"submissions_per_minute": 0, "account_submissions_per_minute": 0}),
            ),
            p2p=P2pConfig(listen=(f"/ip4/{listen_host or ALL_INTERFACES}/tcp/{p2p_port}",), bootstrap=tuple(bootstrap)),
            storage=storage or StorageConfig(),
            intake=IntakeConfig(shed=has_quotas),
            log=log or LogConfig(),
            retention=retention or RetentionConfig(),
        )
    except ValidationError as error:
        raise ConfigError(f"new config.toml: {describe_validation_error(error)}") from error


def check_host(host: str) -> None:
    """Raise HomeError unless `host` is an IPv4 address or can be the name of a host."""
    if _looks_like_ip4(host):
        try:
            IPv4Address(host)
        except ValueError as error:
            raise HomeError(f"{host!r} is not an IPv4 address: {error}") from error
    elif HOST_NAME_PATTERN.fullmatch(host) is None:
        raise HomeError(
            f"{host!r} cannot be a host's name: letters, digits and hyphens, with dots between the parts; or an IPv4"
            " address"
        )


def check_no_home(home: NodeHome) -> None:
    """Raise HomeError if anything stands where a new home is to be made."""
    if home.root.is_dir() and not any(home.root.iterdir()):
        return
    if home.root.exists():
        raise HomeError(f"{home.root}: exists already; a home is never overwritten, choose another directory")


def write_home(
    home: NodeHome,
    *,
    keys: NodeKeys,
    genesis: Genesis,
    config: NodeConfig,
    password: str,
    strength: KdfStrength = KdfStrength.STANDARD,
    keep_password: bool = False,
    initial_state: Path | None = None,
) -> None:
    """Make a home for `keys` that were made just now: `begin_home`, `complete_home`."""
    begin_home(
        home,
        keys=keys,
        chain_id=genesis.chain_id,
        password=password,
        strength=strength,
        keep_password=keep_password,
    )
    complete_home(home, genesis=genesis, config=config, initial_state=initial_state)


def begin_home(
    home: NodeHome,
    *,
    keys: NodeKeys,
    chain_id: str,
    password: str,
    strength: KdfStrength = KdfStrength.STANDARD,
    keep_password: bool = False,
) -> None:
    """Make a home that lacks genesis and settings, for `keys` that were made just now and have never signed: the
    validator's history is begun.

    `password` encrypts the validator's keystore, if there is one; `keep_password` writes it beside it.
    Raises HomeError if the home is there already, KeystoreError for a password that cannot be used, OSError.
    """
    check_no_home(home)
    home.p2p_key.parent.mkdir(parents=True, mode=0o700)
    create_key_file(home.p2p_key, keys.p2p)
    if keys.validator is not None:
        create_keystore(home.validator_keystore, keys.validator, password, strength)
        if keep_password:
            create_private_file(home.password, password.encode() + b"\n")
    home.data.mkdir(mode=0o700)
    if keys.validator_address is not None:
        begin_history(home, chain_id=chain_id, validator=keys.validator_address)


def is_begun(home: NodeHome) -> bool:
    """Whether this is a home that `begin_home` has made and nobody has completed."""
    return home.p2p_key.exists() and not home.genesis.exists() and not home.config.exists()


def complete_home(home: NodeHome, *, genesis: Genesis, config: NodeConfig, initial_state: Path | None = None) -> None:
    """Give a begun home its genesis, a copy of the initial state that genesis names, and its settings.

    Raises StepNodeError if a validator's history there is of another chain, or the initial state is not the one that
    genesis names; FileExistsError, OSError. Cut short, it can be done again.
    """
    if initial_state is not None:
        check_initial_state(initial_state, genesis)
    for validator in keys_with_history(home):
        begin_history(home, chain_id=genesis.chain_id, validator=validator)
    if initial_state is not None:
        if home.initial_state.exists():
            # An attempt that was cut short has left it.
            check_initial_state(home.initial_state, genesis)
        else:
            copy_durably(initial_state, home.initial_state)
    write_atomically(home.genesis, genesis.model_dump_json(indent=2, exclude_none=True).encode() + b"\n", replace=False)
    write_atomically(home.config, render_config(config).encode(), replace=False)


def write_owners(directory: Path, keys: Sequence[bytes], *, password: str) -> None:
    """Keystores owner0.json, owner1.json, … of a test network's owners (32 bytes each), their password beside them.

    Raises HomeError before anything is written if the directory is there already.
    """
    if directory.exists():
        raise HomeError(f"{directory}: exists already; keys are never overwritten")
    directory.mkdir(parents=True, mode=0o700)
    create_private_file(directory / "password", password.encode() + b"\n")
    for index, key in enumerate(keys):
        create_keystore(directory / f"owner{index}.json", key, password, KdfStrength.DEVNET)


def network_homes(root: Path, count: int) -> list[NodeHome]:
    """The homes of a test network's nodes under `root`: node0, node1, …"""
    return [NodeHome(root / f"node{index}") for index in range(count)]


def write_network_homes(
    homes: Sequence[NodeHome],
    *,
    nodes: Sequence[NetworkNode],
    genesis: Genesis,
    storage: Sequence[StorageConfig],
    listen_host: str = LOOPBACK,
    log: LogConfig | None = None,
    retention: RetentionConfig | None = None,
    password: str,
    bootstrap_at_first_only: bool = False,
    initial_state: Path | None = None,
) -> None:
    """Write one home for each node: one genesis, each knowing all the others; or all knowing the first one alone.

    The password of the keystores stands beside them, and costs little to try: such a network guards nothing. Nor has it
    quotas of submissions: who tries things out submits all of them from one address.
    Raises HomeError before anything is written if one of the homes is there already.
    """
    for home in homes:
        check_no_home(home)
    known = [node.p2p_address for node in (nodes[:1] if bootstrap_at_first_only else nodes)]
    for index, (home, node) in enumerate(zip(homes, nodes, strict=True)):
        config = new_config(
            api_port=node.api_port,
            p2p_port=node.p2p_port,
            bootstrap=[address for address in known if address != node.p2p_address],
            listen_host=listen_host,
            storage=storage[index],
            log=log,
            retention=retention,
            has_quotas=False,
        )
        write_home(
            home,
            keys=node.keys,
            genesis=genesis,
            config=config,
            password=password,
            strength=KdfStrength.DEVNET,
            keep_password=True,
            initial_state=initial_state,
        )


def _looks_like_ip4(host: str) -> bool:
    return host.replace(".", "").isdigit()


def _validator(private_key: bytes, p2p_address: str, parameters: Parameters, owner: str | None) -> GenesisValidator:
    public_key = public_key_of(private_key)
    return GenesisValidator(
        address=f"0x{address_of(public_key).hex()}",
        public_key=f"0x{public_key.hex()}",
        stake_ustep=parameters.min_stake * USTEP_PER_STEP,
        p2p_address=p2p_address,
        owner=owner,
    )
