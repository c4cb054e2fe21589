"""What each operator asks of a genesis before starting with it: is it the plan's, am I in it, is it sane?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from ipaddress import ip_address

from step_node.chain.ceremony.declaration import Declaration
from step_node.chain.genesis import Genesis, GenesisError, GenesisPlan
from step_node.chain.new_chains import RULES_VERSION, new_chain_parameters
from step_node.operations.operation import FIRST_VERSION
from step_node.parameters import Parameters
from step_node.proofs.timestamps import format_timestamp

FAULTS_BORNE_FROM = 4
"""3f + 1 for f = 1."""

SOON_MS = 600_000
UNBONDING_SHORT_MS = 86_400_000


def check_plan(genesis: Genesis, plan: GenesisPlan) -> None:
    """Raise `GenesisError` that names what is not as the plan has it."""
    for name in GenesisPlan.model_fields:
        if getattr(genesis, name) != getattr(plan, name):
            raise GenesisError(f"{name}: is not as in the plan{_differing(name, genesis, plan)}")


def check_mine(genesis: Genesis, mine: Declaration) -> None:
    """Raise `GenesisError` unless `mine` stands in `genesis` as it was declared."""
    found = next((one for one in genesis.validators if one.address == mine.validator.address), None)
    if found is None:
        raise GenesisError(f"validators: {mine.validator.address} is not among them: it has been left out")
    if genesis.chain_id != mine.chain_id:
        raise GenesisError(f"chain_id: is {genesis.chain_id}, and the declaration is for {mine.chain_id}")
    for name, value in mine.validator:
        if getattr(found, name) != value:
            raise GenesisError(f"validators: {found.address}: {name} is {getattr(found, name)}, declared was {value}")


def warnings(genesis: Genesis, *, now_ms: int) -> Iterator[str]:
    """What is allowed, and probably not meant. One sentence each."""
    yield from _about_validators(genesis)
    yield from _about_addresses(genesis)
    yield from _about_time(genesis, now_ms)
    yield from _about_rules(genesis)
    yield from _about_parameters(genesis.parameters)


def _about_validators(genesis: Genesis) -> Iterator[str]:
    count = len(genesis.validators)
    if count < FAULTS_BORNE_FROM:
        yield f"validators: {count}: with fewer than 4 the chain stands still when one of them is away"
    enough_to_halt = count // 3 + 1
    for owner, owned in Counter(one.owner or one.address for one in genesis.validators).items():
        if owned > 1 and owned >= enough_to_halt:
            yield f"the owner {owner} has {owned} of {count} validators, and can stop the chain alone"
    owned_by_themselves = sum(one.owner in (None, one.address) for one in genesis.validators)
    if owned_by_themselves:
        yield (
            f"{owned_by_themselves} of {count} validators are their own owners: whoever takes the key from such a"
            " node has the stake as well"
        )


def _about_addresses(genesis: Genesis) -> Iterator[str]:
    places: Counter[str] = Counter()
    for validator in genesis.validators:
        kind, _, rest = validator.p2p_address.removeprefix("/").partition("/")
        host = rest.partition("/")[0]
        places[host] += 1
        if kind in ("ip4", "ip6") and not ip_address(host).is_global:
            yield f"{validator.address}: {host} is not reached from everywhere in the Internet"
    for host, count in places.items():
        if count > 1:
            yield f"{count} validators are at {host}: one failure takes all of them"


def _about_time(genesis: Genesis, now_ms: int) -> Iterator[str]:
    ahead_ms = genesis.genesis_time_ms - now_ms
    begins_at = format_timestamp(genesis.genesis_time_ms)
    if ahead_ms < 0:
        yield f"the chain was to begin at {begins_at}, which is past by this clock: it begins when a quorum is there"
    elif ahead_ms < SOON_MS:
        yield f"the chain begins at {begins_at}, in {ahead_ms // 1000} s by this clock: is everybody ready?"


def _about_rules(genesis: Genesis) -> Iterator[str]:
    version = genesis.protocol_version or FIRST_VERSION
    if version != RULES_VERSION:
        yield f"protocol_version is {version}; new chains begin with {RULES_VERSION}"


def _about_parameters(parameters: Parameters) -> Iterator[str]:
    usual = new_chain_parameters()
    for name, value in parameters:
        if value != getattr(usual, name):
            yield f"parameters.{name} is {value}; new chains have {getattr(usual, name)}"
    if parameters.unbonding_ms < UNBONDING_SHORT_MS:
        yield "parameters.unbonding_ms is less than a day: whoever cheats may have the stake back before it is seen"
    if parameters.slash_double_sign_bps == 0:
        yield "parameters.slash_double_sign_bps is 0: contradicting oneself costs nothing"
    if parameters.gps_max_accuracy_m > usual.gps_max_accuracy_m * 10:
        yield "parameters.gps_max_accuracy_m is so great that positions mean little"


def _differing(name: str, genesis: Genesis, plan: GenesisPlan) -> str:
    here, there = getattr(genesis, name), getattr(plan, name)
    if name == "parameters":
        fields = [field for field, value in here if value != getattr(there, field)]
        return f": {', '.join(fields)}"
    if name == "allocations":
        differing = sorted(key for key in here.keys() | there.keys() if here.get(key) != there.get(key))
        return f": {differing[0]} and {len(differing) - 1} others" if len(differing) > 1 else f": {differing[0]}"
    return f": {here}, not {there}"
