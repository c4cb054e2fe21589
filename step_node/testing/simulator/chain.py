"""The chain that simulated validators run: its parameters, its keys, and the proofs that clients submit to it."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from mesh import locate
from step_node.chain.genesis import Genesis, GenesisValidator
from step_node.crypto.eip191 import address_of, public_key_of
from step_node.ledger import validators as validator_rules
from step_node.parameters import USTEP_PER_STEP, Parameters
from step_node.proofs.client_signing import sign_payload
from step_node.proofs.payload import parse_payload
from step_node.proofs.proof import SignedProof
from step_node.testing.simulator.clock import START_MS

CHAIN_ID = "step-simulated-1"
PARAMETERS = Parameters(
    batch_interval_ms=200,
    timeout_propose_ms=1_000,
    timeout_pre_vote_ms=500,
    timeout_pre_commit_ms=500,
    timeout_delta_ms=250,
    clock_drift_ms=5_000,
    batch_ahead_ms=1_000,
    moratorium_ms=1_000,
)
LIVELY_PARAMETERS = PARAMETERS.model_copy(
    update={"epoch_batches": 3, "unbonding_ms": 8_000, "offline_ms": 2_500, "jail_ms": 3_000}
)
"""Where operators are at work: a validator's whole life goes by in half a minute."""
LIVELY_OFFLINE_BATCHES = 5
"""In place of `OFFLINE_BATCHES_MIN` there: a history has some 20 batches, not hundreds."""

STAKE_USTEP = PARAMETERS.min_stake * USTEP_PER_STEP
NEWCOMERS = 3
"""Owners without a validator, who have enough for one."""


@contextmanager
def quick_absence(is_quick: bool) -> Iterator[None]:
    """The one rule of a validator's life that is not a parameter of the chain, for the length of a history."""
    minimum = validator_rules.OFFLINE_BATCHES_MIN
    if is_quick:
        validator_rules.OFFLINE_BATCHES_MIN = LIVELY_OFFLINE_BATCHES
    try:
        yield
    finally:
        validator_rules.OFFLINE_BATCHES_MIN = minimum


@cache
def validator_keys(count: int) -> tuple[bytes, ...]:
    """The private keys of `count` validators, in the order of their addresses."""
    keys = [_key(f"validator {index}") for index in range(count)]
    return tuple(sorted(keys, key=lambda key: address_of(public_key_of(key))))


def owner_key(name: str) -> bytes:
    """The cold key of the validator on the host `name`."""
    return _key(f"owner {name}")


def newcomer_key(name: str, number: int = 0) -> bytes:
    """A hot key that is made on the host `name` while the chain runs; `number` counts them."""
    return _key(f"hot key {number} of {name}")


def p2p_address_of(name: str) -> str:
    """Where the host `name` is found."""
    return f"/ip4/127.0.0.1/tcp/26600/p2p/{name}"


def _key(what: str) -> bytes:
    return hashlib.sha256(f"simulated {what}".encode()).digest()


@cache
def genesis_of(validators: int, *, is_lively: bool = False) -> Genesis:
    """The chain that simulated validators run; a lively one has short epochs, and owners with money."""
    public_keys = [public_key_of(key) for key in validator_keys(validators)]
    owners = {index: owner_key(f"v{index}") for index in range(validators)} if is_lively else {}
    richer = [*owners.values(), *(owner_key(f"n{index}") for index in range(NEWCOMERS))] if is_lively else []
    return Genesis(
        chain_id=CHAIN_ID,
        genesis_time_ms=START_MS - 60_000,
        parameters=LIVELY_PARAMETERS if is_lively else PARAMETERS,
        validators=tuple(
            # Not validated: peer ids are the names of hosts here, which no multiaddr may have.
            GenesisValidator.model_construct(
                address="0x" + address_of(key).hex(),
                public_key="0x" + key.hex(),
                stake_ustep=STAKE_USTEP,
                p2p_address=p2p_address_of(f"v{index}") if is_lively else f"/ip4/127.0.0.1/tcp/{26_600 + index}",
                owner="0x" + address_of(public_key_of(owners[index])).hex() if is_lively else None,
            )
            for index, key in enumerate(public_keys)
        ),
        allocations={"0x" + address_of(public_key_of(key)).hex(): STAKE_USTEP for key in richer},
    )


def made_proof(seed: int, who: str, rng: random.Random, timestamp_ms: int) -> SignedProof:
    """A really signed proof of `who`'s, who stands at one place for ever and uses one nonce."""
    place = int.from_bytes(hashlib.sha256(f"{seed} {who}".encode()).digest()[:8], "big")
    lat, lon = -60.0 + place % 1_200 / 10, -170.0 + place // 1_200 % 3_400 / 10
    key = hashlib.sha256(f"simulated client {seed} {who}".encode()).digest()
    level = 10 if place % 3 else 8
    timestamp_ms += rng.randrange(5)
    signed = sign_payload(key, locate(lat, lon, level), lat, lon, 5.0, timestamp_ms, "nonce")
    return parse_payload(signed["payload"], signed["signature"])
