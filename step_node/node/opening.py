"""Opening what a node is made of: the files of its home, the store, the network; and the checks before it may start.

A home is locked first, so that two processes never sign from one history.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial

import structlog

from p2p.addresses import parse_own_address
from p2p.libp2p_host import peer_id_of
from p2p.libp2p_network import open_libp2p_network
from p2p.libp2p_settings import Libp2pSettings
from p2p.network import PeerId, Scope
from step_node.api.submissions.breaker import BreakerSettings
from step_node.chain.genesis import Genesis
from step_node.clock import Clock, SystemClock
from step_node.durable.side_file import SideFile
from step_node.economy.guardrails.guardrails import Limits
from step_node.economy.side_file import EconomyFile
from step_node.errors import StepNodeError
from step_node.home.config import GuardrailsConfig, IntakeConfig, NodeConfig, SignerConfig
from step_node.home.histories import keys_with_history, open_history
from step_node.home.keys import NodeKeys
from step_node.home.lock import HomeLock
from step_node.home.paths import NodeHome
from step_node.home.rotation import keep_next_key
from step_node.home.store import storage_settings
from step_node.home.switches import Switches
from step_node.ledger.records import ValidatorRecord
from step_node.ledger.rules import rules_of
from step_node.ledger.state import StateHead
from step_node.mempool.journal import open_journal
from step_node.network.address_book import keep_address_book
from step_node.network.bans import keep_bans
from step_node.node.assembly import assemble, tell_torn
from step_node.node.guardrail_file import GuardrailsKept
from step_node.node.guardrail_watch import GuardrailSettings
from step_node.node.parts import NodeParts
from step_node.node.signing_history import (
    NO_WORD,
    HistoryWord,
    check_history,
    check_remote_key,
    open_own_history,
)
from step_node.node.succession import Succession, heir_in_history, present_key
from step_node.node.trace_export import open_traces
from step_node.offload import run_blocking
from step_node.parameters import USTEP_PER_STEP
from step_node.signing.believable import believable_height_max
from step_node.signing.history import NEVER_SIGNED
from step_node.signing.remote.address import PinnedTls, TlsAddress, parse_signer_address
from step_node.signing.remote.client import RemoteSigner
from step_node.signing.signer import Signer, ValidatorSigner
from step_node.snapshot.audit import add_up_state
from step_node.snapshot.copying import require_not_half_copied
from step_node.snapshot.initial_state import initialise_store
from step_node.storage.interface import BACKGROUND_SHARE, Storage, StorageMismatch, StorageUnavailable
from step_node.storage.open import open_storage

log = structlog.get_logger("node")


@dataclass(frozen=True, slots=True)
class StartOptions:
    """What an operator may ask of one start.

    `listen_first_seconds`: listen for so long whether somebody else signs with this validator's key, before signing.
    `word`: what is so of the key's past, where its signing history does not say it.
    `observer`: only observe, with a home that has signed too.
    """

    listen_first_seconds: float = 0.0
    word: HistoryWord = NO_WORD
    observer: bool = False


AS_USUAL = StartOptions()

ADDED_UP_AT_START_MAX = 200_000
"""Accounts and triangles up to which a start waits for the state root to be added up: about a second. With more it is
added up beside the running node."""


@asynccontextmanager
async def open_parts(
    home: NodeHome, config: NodeConfig, genesis: Genesis, keys: NodeKeys, options: StartOptions
) -> AsyncIterator[NodeParts]:
    """The parts of the node in `home`, open and checked; they are closed in reverse order.

    Raises `StepNodeError` for whatever the operator can do something about.
    """
    clock = SystemClock()
    try:
        home.data.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StepNodeError(f"{home.data}: cannot be made: {error}") from error
    if options.observer:
        keys = NodeKeys(None, keys.p2p)
    with HomeLock(home.root):
        switches = Switches.open(home.switches)
        remote = None if options.observer else remote_validator(config.signer)
        if remote is not None:
            check_remote_key(home, validator=remote, word=options.word)
        else:
            check_history(home, validator=keys.validator_address, word=options.word, is_observer=options.observer)
        async with (
            open_storage(storage_settings(home, config.storage), alone=True) as storage,
            open_journal(home.journal, genesis.hash) as journal,
            keep_bans(home.bans, clock) as bans,
            keep_address_book(home.address_book, clock) as address_book,
            open_libp2p_network(_network_settings(config, keys), bans=bans) as network,
            open_traces(config.telemetry, peer_id=network.peer_id, chain_id=genesis.chain_id) as traces,
        ):
            await initialise_store(storage, genesis, home.initial_state)
            rules_of((await storage.head()).protocol)
            await _check_state(storage)
            records = (await storage.head()).validators
            signer: Signer | None = None
            succession: Succession | None = None
            if remote is not None:
                heir = await heir_in_history(remote, records, storage)
                dialled = partial(_remote_signer, home, config.signer, genesis, node=network.peer_id)
                signer = dialled(_present_remote_key(remote, heir, records))
                succession = Succession(partial(_next_remote_signer, dialled), heir=heir)
            else:
                own = keys.validator_address
                heir = None if own is None else await heir_in_history(own, records, storage)
                present = await _with_present_key(home, keys, heir, records)
                # What the operator has said of the key's past is not said of its successor's.
                word = options.word if present is keys else NO_WORD
                signer = await _signer(home, genesis, present, storage, clock, word)
                succession = Succession(
                    partial(_next_signer, home, genesis, keys), keep=partial(keep_next_key, home), heir=heir
                )
            parts = await assemble(
                home,
                genesis,
                storage=storage,
                journal=journal,
                network=network,
                signer=signer,
                clock=clock,
                address_book=address_book,
                external_addresses=_external_addresses(config, keys),
                private_peers=map(PeerId, config.p2p.private_peers),
                discovers=config.p2p.discovery,
                mempool=config.mempool,
                sync=config.sync,
                retention=config.retention,
                listen_first_seconds=options.listen_first_seconds,
                bootstrap=_peers_named_by(config.p2p.bootstrap),
                signed_here=keys_with_history(home),
                observes_on_purpose=options.observer,
                succession=None if signer is None else succession,
                switches=switches,
                breaker=breaker_settings(config.intake),
                guardrails=guardrail_settings(config.guardrails),
                guardrail_file=SideFile(home.guardrails, GuardrailsKept, "what the guardrails have found"),
                traces=traces,
                economy_file=await run_blocking(EconomyFile.open, home.economy, genesis.hash),
            )
            try:
                yield parts
            finally:
                parts.close()


async def _with_present_key(
    home: NodeHome, keys: NodeKeys, heir: bytes | None, records: Sequence[ValidatorRecord]
) -> NodeKeys:
    """The same, or, where the key has been replaced on chain and its successor's keystore is here, with that one.

    A node that was away at the epoch's end so goes on with the next key, as it would have done if it had run. `heir` is
    what has replaced a key that the chain has forgotten.
    """
    own = keys.validator_address
    if own is None or (address := present_key(heir or own, records)) == own:
        return keys
    private_key = await run_blocking(keys.next_validator, address)
    if private_key is None:
        return keys
    check_history(home, validator=address, word=NO_WORD, is_observer=False)
    await run_blocking(keep_next_key, home, address)
    log.warning(
        "the key was replaced while this node was away: it signs with the next one from here on",
        validator=f"0x{address.hex()}",
        before=f"0x{own.hex()}",
    )
    return replace(keys, validator=private_key)


def _next_signer(home: NodeHome, genesis: Genesis, keys: NodeKeys, address: bytes) -> ValidatorSigner | None:
    """The signer of the next key, if its keystore is here. Raises StepNodeError: it has no history, say."""
    private_key = keys.next_validator(address)
    if private_key is None:
        return None
    if address not in keys_with_history(home):
        raise StepNodeError(
            f"{home.next_validator_keystore}: the key has no signing history in this home: make it with"
            " `step-node keys new --home`, or bring its history with `step-node keys import-history`"
        )
    guard = open_history(home, chain_id=genesis.chain_id, validator=address, begin_with=NEVER_SIGNED)
    return ValidatorSigner(private_key, guard)


def _next_remote_signer(dialled: Callable[[bytes], RemoteSigner], address: bytes) -> RemoteSigner | None:
    """The remote signer of the next key, if it has that key."""
    signer = dialled(address)
    signer.keep_in_touch()
    if signer.absence is None:
        return signer
    signer.close()
    return None


def _present_remote_key(configured: bytes, heir: bytes | None, records: Sequence[ValidatorRecord]) -> bytes:
    present = present_key(heir or configured, records)
    if present != configured:
        log.warning(
            "the key in signer.validator has been replaced on chain: its successor is asked for; put that into"
            " config.toml",
            validator=f"0x{present.hex()}",
            configured=f"0x{configured.hex()}",
        )
    return present


async def _signer(
    home: NodeHome, genesis: Genesis, keys: NodeKeys, storage: Storage, clock: Clock, word: HistoryWord
) -> ValidatorSigner | None:
    """The validator's signer over the history of its key; None for an observer."""
    address = keys.validator_address
    if keys.validator is None or address is None:
        return None
    guard = open_own_history(
        home,
        chain_id=genesis.chain_id,
        validator=address,
        word=word,
        believable_max=_believable_height(await storage.head(), clock),
    )
    tell_torn(home.signing_history(address), guard.torn_bytes)
    return ValidatorSigner(keys.validator, guard)


def remote_validator(config: SignerConfig) -> bytes | None:
    """The address (20 bytes) of the key that a remote signer has for this node; None if there is no such signer."""
    if config.address is None or config.validator is None:
        return None
    return bytes.fromhex(config.validator.removeprefix("0x"))


def _remote_signer(
    home: NodeHome, config: SignerConfig, genesis: Genesis, validator: bytes, *, node: str
) -> RemoteSigner:
    """The signer that `config` names. It may be out of reach now; files that cannot be used are an error at once."""
    assert config.address is not None
    address, tls = parse_signer_address(config.address), None
    if isinstance(address, TlsAddress):
        assert config.certificate is not None
        assert config.key is not None
        assert config.signer_certificate is not None
        root = home.root
        tls = PinnedTls(root / config.certificate, root / config.key, root / config.signer_certificate)
        try:
            tls.context(server_side=False)
        except OSError as error:
            raise StepNodeError(f"signer: its certificates cannot be read: {error}") from error
    return RemoteSigner(
        address, tls=tls, validator=validator, chain_id=genesis.chain_id, node=node, timeout_ms=config.timeout_ms
    )


async def believable_height_here(home: NodeHome, config: NodeConfig, genesis: Genesis, clock: Clock) -> int:
    """The height beyond which no signing history of the chain in `home` can reach by now; its store may be empty.

    The home must be locked. Raises `StepNodeError` if the store cannot be used.
    """
    async with open_storage(storage_settings(home, config.storage), alone=True) as storage:
        await initialise_store(storage, genesis, home.initial_state)
        return _believable_height(await storage.head(), clock)


def _believable_height(head: StateHead, clock: Clock) -> int:
    return believable_height_max(
        head_height=head.chain.height, head_timestamp_ms=head.chain.timestamp_ms, now_ms=clock.now_ms()
    )


async def _check_state(storage: Storage) -> None:
    """Conservation over every stored record, once at start: later it is checked batch by batch. And the state root, of
    a state that is not too large; of a larger one `check_large_state` adds it up beside the running node."""
    totals, head = await storage.totals(), await storage.head()
    require_not_half_copied(head, await storage.first_height())
    stakes_ustep = sum(validator.stake_ustep for validator in head.validators)
    found_ustep = (totals.balances_ustep, stakes_ustep)
    expected_ustep = (head.chain.balances_ustep, head.chain.stakes_ustep)
    if found_ustep != expected_ustep:
        raise StorageMismatch(
            f"the stored accounts and stakes hold {found_ustep} µSTEP, but the ledger's head says {expected_ustep}:"
            " the store has been changed from outside. Fetch it anew from the peers: `step-node store rebuild`"
        )
    if totals.accounts + totals.triangles <= ADDED_UP_AT_START_MAX:
        await add_up_state(storage)


async def check_large_state(storage: Storage) -> None:
    """Add up the state root of a state that was too large for that before the start, while the node runs.

    Raises `StorageMismatch`, which ends the node: it would contradict all others.
    """
    try:
        totals = await storage.totals()
        if totals.accounts + totals.triangles <= ADDED_UP_AT_START_MAX:
            return
        log.info("adding up the state root beside the running node", accounts=totals.accounts)
        records = (await add_up_state(storage, share=BACKGROUND_SHARE)).records
    except StorageUnavailable as error:
        log.warning("the state root is not added up; `step-node store verify` does it too", reason=str(error))
        return
    log.info("the state root adds up", records=records)


def breaker_settings(intake: IntakeConfig) -> BreakerSettings:
    """What the settings say of the intake's circuit breaker."""
    return BreakerSettings(
        sheds=intake.shed, factor=intake.shed_factor, floor_per_second=float(intake.shed_floor_per_second)
    )


def guardrail_settings(config: GuardrailsConfig) -> GuardrailSettings:
    """What the settings say of the guardrails."""
    return GuardrailSettings(
        Limits(
            minting_factor=config.minting_factor,
            minting_floor_ustep=config.minting_floor_step_per_hour * USTEP_PER_STEP,
            concentration_bps_max=config.concentration_percent_max * 100,
            concentration_accounts_min=config.concentration_accounts_min,
            orphaned_bps_max=config.orphaned_stake_percent_max * 100,
        ),
        ledger_percent=config.ledger_intake_percent,
        drift_percent=config.drift_intake_percent,
    )


def _peers_named_by(addresses: Iterable[str]) -> frozenset[PeerId]:
    found = (address.rpartition("/p2p/") for address in addresses)
    return frozenset(PeerId(peer_id) for _, separator, peer_id in found if separator)


def _external_addresses(config: NodeConfig, keys: NodeKeys) -> list[str]:
    own = peer_id_of(keys.p2p)
    try:
        addresses = [parse_own_address(text, own) for text in config.p2p.external_address]
    except ValueError as error:
        raise StepNodeError(f"config.toml: p2p.external_address: {error}") from error
    for address in addresses:
        if address.scope is Scope.NOWHERE:
            raise StepNodeError(f"config.toml: p2p.external_address: {address.host} is no address that can be dialled")
    return list(map(str, addresses))


def _network_settings(config: NodeConfig, keys: NodeKeys) -> Libp2pSettings:
    try:
        return Libp2pSettings(
            private_key=keys.p2p,
            listen_addresses=config.p2p.listen,
            bootstrap_addresses=config.p2p.bootstrap,
            mdns=config.p2p.mdns,
            connections_max=config.p2p.connections_max,
            strangers_per_address_max=config.p2p.strangers_per_address_max,
        )
    except ValueError as error:
        raise StepNodeError(f"config.toml: p2p: {error}") from error
