"""A node somewhere, for `step-node economy verify`: its batches over libp2p, and what its API says of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from p2p.addresses import parse_peer_address
from step_node.chain.genesis import Genesis, load_genesis, parse_genesis
from step_node.cli.economy.node_answers import NodeAnswers, NotTold
from step_node.cli.economy.sources import IN_MEMORY_RECORDS_MAX, Wishes, scratch_store
from step_node.cli.economy.told_by_node import Said, said_by
from step_node.cli.economy.told_receipts import receipt_claims
from step_node.cli.error_lines import CommandError
from step_node.clock import SystemClock
from step_node.economy.verifying.replay import Replay
from step_node.economy.verifying.verdict import Verdict, verify
from step_node.network.chain_reader import connected_reader, read_batches
from step_node.snapshot.initial_state import initialise_store


async def verify_node(url: str | None, peers: Sequence[str], wishes: Wishes) -> Verdict:
    """Verify the chain that the node at `url` serves, its batches read from the first of `peers` that answers, or from
    the addresses that it tells. Raises `CommandError`, `StepNodeError`, `NetworkError`, OSError."""
    if wishes.first > 1:
        raise CommandError(
            f"--from: {wishes.first}: a node gives no state to begin with: leave --from out, or verify a backup of it"
            " (step-node backup create), which has copies of the state"
        )
    _require_addresses(peers)
    answers = None if url is None else NodeAnswers(url)
    genesis = await _genesis(answers, wishes)
    initial_state = _initial_state(genesis, wishes)
    said = None if answers is None else await said_by(answers, genesis)
    last = wishes.last if wishes.last is not None else None if said is None else said.height
    if last is None:
        raise CommandError("--to: say up to which height, or give the node's --url as well, which says where it stands")
    claims = [] if said is None else said.claims
    if answers is not None:
        claims += receipt_claims(answers, genesis.trust(), last)
    addresses = peers or ([] if said is None else _addresses(said.status, url or ""))
    _require_addresses(addresses)
    async with scratch_store(wishes, _records(said, genesis)) as (folder, made):
        await initialise_store(made, genesis, initial_state or folder / "initial_state.bin")
        async with connected_reader(addresses, genesis) as (network, address):
            replay = await Replay.begin(genesis, made, SystemClock(), trusts_quorums=wishes.trusts_quorums)
            batches = read_batches(network, address, 1, last)
            return await verify(replay, batches, claims, last=last, progress=wishes.progress)


def _records(said: Said | None, genesis: Genesis) -> int:
    """How many records the state may come to."""
    if said is None or said.records is None:
        return IN_MEMORY_RECORDS_MAX + 1
    begun = genesis.initial_state
    return said.records + (0 if begun is None else begun.accounts + begun.nonces)


async def _genesis(answers: NodeAnswers | None, wishes: Wishes) -> Genesis:
    if wishes.genesis is not None:
        return load_genesis(wishes.genesis)
    if answers is None:
        raise CommandError("--genesis: give the chain's genesis.json: a peer does not tell it")
    name = f"{answers.url}/genesis"
    try:
        return parse_genesis((await answers.get_bytes("/genesis")).decode(), name=name)
    except NotTold as error:
        raise CommandError(f"{answers.url}: its genesis cannot be had: {error}") from error
    except UnicodeDecodeError as error:
        raise CommandError(f"{name}: the answer is not text; is this a STEP node?") from error


def _initial_state(genesis: Genesis, wishes: Wishes) -> Path | None:
    """The file of the state that the chain begins with. Who reads it sees whether it is the one that genesis names."""
    path = wishes.initial_state
    if genesis.initial_state is None:
        if path is not None:
            raise CommandError(f"--initial-state: {path}: this chain's genesis names no initial state: leave it out")
        return None
    if path is None:
        raise CommandError(
            "--initial-state: genesis names the state that the chain begins with, and a node does not give its file:"
            " name a copy of it. Each home of the chain has one, initial_state.bin, and whoever has the old database"
            " makes it again with `step-node genesis import`; genesis says which it must be"
        )
    return path


def _require_addresses(addresses: Sequence[str]) -> None:
    for address in addresses:
        try:
            parse_peer_address(address)
        except ValueError as error:
            raise CommandError(f"--peer: {error}") from error


def _addresses(status: dict[str, object], url: str) -> list[str]:
    """Where the node says that it can be dialled; one that listens everywhere, at the host of its API."""
    host = urlsplit(url).hostname or ""
    kind = "ip4" if host.replace(".", "").isdigit() else "ip6" if ":" in host else "dns"
    told = status.get("p2pAddresses")
    addresses = [str(one) for one in told] if isinstance(told, list) else []
    here = [
        address.replace("/ip4/0.0.0.0/", f"/{kind}/{host}/").replace("/ip6/::/", f"/{kind}/{host}/")
        for address in addresses
    ]
    if not here:
        raise CommandError(f"{url}: the node tells no address to dial: name one with --peer /ip4/…/tcp/…/p2p/…")
    return here
