"""Genesis: the one JSON file that a chain begins with, and the state it describes (protocol.md §4).

Its identity is the SHA-256 of its canonical JSON (RFC 8785), so the file's layout and key order do not matter. That
hash stands where height 1 names the batch before it, and two nodes greet one another with it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, TypeVar

import rfc8785
from coincurve import PublicKey
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_core import from_json

from consensus.values import VALIDATORS_MAX
from step_node.chain.initial_state import AMOUNT_USTEP_MAX, InitialState
from step_node.crypto.eip191 import address_of
from step_node.errors import StepNodeError, describe_validation_error
from step_node.ledger.commitment import EMPTY_LANES
from step_node.ledger.execution import check_conservation, head_with_commitment
from step_node.ledger.protocol_record import ProtocolRecord, Upgrade
from step_node.ledger.records import Account, ChainRecord, ParametersRecord, Record, ValidatorRecord
from step_node.ledger.rules import RULES, known_versions
from step_node.ledger.state import StateHead
from step_node.ledger.validators import validator_set
from step_node.multiaddrs import MultiaddrText
from step_node.operations.operation import FIRST_VERSION
from step_node.parameters import USTEP_PER_STEP, ChainId, Parameters
from step_node.proofs.timestamps import format_timestamp
from step_node.receipts.verification import Trust
from step_node.strict_json import unique_keys

GENESIS_BYTES_MAX = 16_000_000
NO_PROPOSER = bytes(20)
"""Who "proposed" height 0."""

GENESIS_TIME_MIN_MS = 1_577_836_800_000
"""2020-01-01: a smaller number is seconds, or a slip."""

GENESIS_TIME_MS_MAX = 4_102_444_800_000
"""2100-01-01: a greater number is microseconds, or a slip."""

GENESIS_AHEAD_MS_MAX = 366 * 86_400_000
"""A node does not start longer before its chain begins: its clock must be wrong, or genesis."""

AddressText = Annotated[str, Field(pattern="^0x[0-9a-f]{40}$")]
AmountUstep = Annotated[int, Field(ge=0, le=AMOUNT_USTEP_MAX)]
Document = TypeVar("Document", bound=BaseModel)


class GenesisError(StepNodeError):
    """The genesis file cannot be used; the message names the file, the key and the rule."""


class GenesisValidator(BaseModel):
    """A validator of the first set. `public_key` is the compressed secp256k1 key, `stake_ustep` micro-STEP."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    address: AddressText
    public_key: Annotated[str, Field(pattern="^0x0[23][0-9a-f]{64}$")]
    stake_ustep: AmountUstep
    p2p_address: MultiaddrText
    owner: AddressText | None = None
    """The cold key, which may take the stake back; without one, the validator's own."""

    @model_validator(mode="after")
    def _address_belongs_to_key(self) -> GenesisValidator:
        try:
            key = PublicKey(bytes.fromhex(self.public_key[2:]))
        except ValueError as error:
            raise ValueError("public_key: is not a point of secp256k1") from error
        derived = "0x" + address_of(key.format(compressed=True)).hex()
        if derived != self.address:
            raise ValueError(f"address: must be that of public_key, {derived}")
        return self


class GenesisPlan(BaseModel):
    """What a chain is to begin with, all but its validators: what they declare themselves by (`declaration.py`)."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    chain_id: ChainId
    genesis_time_ms: int
    protocol_version: int | None = None
    """The version of the rules that the chain begins with; without it, the first."""
    parameters: Parameters = Parameters()
    allocations: dict[AddressText, AmountUstep] = Field(default_factory=dict)
    initial_state: InitialState | None = None
    """Records in a file of their own that the chain begins with as well; without it, there are none."""

    @field_validator("genesis_time_ms")
    @classmethod
    def _of_our_time(cls, time_ms: int) -> int:
        if GENESIS_TIME_MIN_MS <= time_ms < GENESIS_TIME_MS_MAX:
            return time_ms
        unit = next(
            (
                f": this would be {name}"
                for name, per_second in (("seconds", 1), ("microseconds", 10**6), ("nanoseconds", 10**9))
                if GENESIS_TIME_MIN_MS <= time_ms * 1_000 // per_second < GENESIS_TIME_MS_MAX
            ),
            "",
        )
        raise ValueError(f"must be in milliseconds since 1970, from the years 2020 to 2099{unit}")

    @field_validator("protocol_version")
    @classmethod
    def _known_rules(cls, version: int | None) -> int | None:
        if version is None or version in RULES:
            return version
        raise ValueError(f"must be a version that this release knows: {', '.join(map(str, known_versions()))}")

    @cached_property
    def hash(self) -> bytes:
        """SHA-256 of the canonical JSON, 32 bytes: of a genesis, the chain's genesis hash."""
        return hashlib.sha256(self.canonical_json()).digest()

    def canonical_json(self) -> bytes:
        """By RFC 8785, with the defaults written out: what the hash is of."""
        return rfc8785.dumps(self.model_dump(mode="json", exclude_none=True))


class Genesis(GenesisPlan):
    """The content of `genesis.json`. Unknown keys and impossible values are errors that name the key."""

    validators: Annotated[tuple[GenesisValidator, ...], Field(min_length=1, max_length=VALIDATORS_MAX)]

    @model_validator(mode="after")
    def _consistent(self) -> Genesis:
        seen: set[str] = set()
        for index, validator in enumerate(self.validators):
            if validator.address in seen:
                raise ValueError(f"validators.{index}.address: {validator.address} stands there twice")
            seen.add(validator.address)
        minimum_ustep = self.parameters.min_stake * USTEP_PER_STEP
        for index, validator in enumerate(self.validators):
            if validator.stake_ustep < minimum_ustep:
                raise ValueError(
                    f"validators.{index}.stake_ustep: {validator.stake_ustep} is below parameters.min_stake,"
                    f" {minimum_ustep} µSTEP"
                )
        if self.supply_ustep > AMOUNT_USTEP_MAX:
            also = "" if self.initial_state is None else " and initial_state.balances_ustep"
            raise ValueError(f"allocations and stakes{also} together must not pass {AMOUNT_USTEP_MAX} µSTEP")
        return self

    @property
    def supply_ustep(self) -> int:
        """Everything that exists at height 0, in micro-STEP."""
        return self.balances_ustep + sum(validator.stake_ustep for validator in self.validators)

    @property
    def balances_ustep(self) -> int:
        """What all accounts hold at height 0, in micro-STEP."""
        initial_ustep = 0 if self.initial_state is None else self.initial_state.balances_ustep
        return sum(self.allocations.values()) + initial_ustep

    def told_to_wait(self, now_ms: int) -> str | None:
        """For people: when the chain begins, if by this clock it has not begun."""
        ahead_ms = self.genesis_time_ms - now_ms
        if ahead_ms <= 0:
            return None
        begins_at = format_timestamp(self.genesis_time_ms)
        return f"the chain begins at {begins_at}, in {-(-ahead_ms // 1000)} s by this machine's clock"

    def check_time(self, now_ms: int) -> None:
        """Raise `GenesisError` if by this clock the chain begins so late that it cannot be meant."""
        ahead_ms = self.genesis_time_ms - now_ms
        if ahead_ms > GENESIS_AHEAD_MS_MAX:
            raise GenesisError(
                f"genesis_time_ms: the chain begins at {format_timestamp(self.genesis_time_ms)},"
                f" {ahead_ms // 86_400_000} days from now by this machine's clock; at most"
                f" {GENESIS_AHEAD_MS_MAX // 86_400_000} are waited for. Set the clock right, or correct genesis on all"
                " nodes"
            )

    def trust(self) -> Trust:
        """What receipts of this chain are judged by."""
        return Trust(self.chain_id, self.hash, validator_set(self.head().validators))

    def accounts(self) -> tuple[Account, ...]:
        """The accounts of the allocations, sorted by address."""
        return tuple(
            Account(bytes.fromhex(address[2:]), balance_ustep=amount)
            for address, amount in sorted(self.allocations.items())
        )

    def head(self) -> StateHead:
        """The state's head at height 0, with the commitment to all of the genesis state."""
        validators = tuple(
            ValidatorRecord(
                address=bytes.fromhex(validator.address[2:]),
                public_key=bytes.fromhex(validator.public_key[2:]),
                stake_ustep=validator.stake_ustep,
                p2p_address=validator.p2p_address,
                owner=bytes.fromhex((validator.owner or validator.address)[2:]),
            )
            for validator in sorted(self.validators, key=lambda validator: validator.address)
        )
        chain = ChainRecord(
            height=0,
            batch_hash=self.hash,
            timestamp_ms=self.genesis_time_ms,
            proposer=NO_PROPOSER,
            paid_ustep=0,
            minted_ustep=self.supply_ustep,
            balances_ustep=self.balances_ustep,
            stakes_ustep=sum(validator.stake_ustep for validator in validators),
            burnt_ustep=0,
            evidence_mark_ms=self.genesis_time_ms,
        )
        check_conservation(chain)
        protocol = ProtocolRecord(Upgrade(self.protocol_version or FIRST_VERSION, activation_height=1))
        records: list[Record] = [
            *self.accounts(),
            *validators,
            ParametersRecord(self.parameters.canonical_json()),
            *protocol.kept(),
        ]
        lanes = EMPTY_LANES if self.initial_state is None else self.initial_state.lanes_bytes
        return head_with_commitment(StateHead(chain, self.parameters, validators, protocol, lanes), records)


def new_plan(
    *,
    chain_id: str,
    genesis_time_ms: int,
    parameters: Parameters | None = None,
    allocations: Mapping[str, int] | None = None,
    protocol_version: int | None = None,
) -> GenesisPlan:
    """A plan with these; `allocations`, micro-STEP by address, are none by default. Without parameters, or without a
    version of the rules, the plan means what a genesis means that leaves them out: the protocol's defaults.

    Raises `GenesisError` naming the field for a chain id or a time that the protocol does not allow.
    """
    try:
        return GenesisPlan(
            chain_id=chain_id,
            genesis_time_ms=genesis_time_ms,
            protocol_version=protocol_version,
            parameters=Parameters() if parameters is None else parameters,
            allocations=dict(allocations or {}),
        )
    except ValidationError as error:
        raise GenesisError(f"new chain: {describe_validation_error(error)}") from error


def genesis_of(plan: GenesisPlan, validators: Sequence[GenesisValidator]) -> Genesis:
    """What is planned, with its validators. Raises `GenesisError` naming the field."""
    planned = {name: getattr(plan, name) for name in GenesisPlan.model_fields}
    try:
        return Genesis(**planned, validators=tuple(validators))
    except ValidationError as error:
        raise GenesisError(f"genesis: {describe_validation_error(error)}") from error


def load_genesis(path: Path) -> Genesis:
    """Read `genesis.json`. Raises `GenesisError` naming the file, the key and the rule."""
    return load_document(path, Genesis)


def parse_genesis(text: str, *, name: str) -> Genesis:
    """The genesis in JSON `text`; `name` is what errors call it."""
    return parse_document(text, Genesis, name=name)


def load_document(path: Path, model: type[Document]) -> Document:
    """A file in JSON with what `model` says. Raises `GenesisError` naming the file, the key and the rule."""
    return parse_document(read_text(path), model, name=str(path))


def read_text(path: Path) -> str:
    """A file of at most `GENESIS_BYTES_MAX`. Raises `GenesisError` naming it."""
    try:
        size_bytes = path.stat().st_size
        if size_bytes > GENESIS_BYTES_MAX:
            raise GenesisError(f"{path}: {size_bytes} bytes; a genesis file has at most {GENESIS_BYTES_MAX}")
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise GenesisError(f"{path}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise GenesisError(f"{path}: cannot be read: {error}") from error


def parse_document(text: str, model: type[Document], *, name: str) -> Document:
    """The same of JSON `text`; `name` is what errors call it."""
    parse_json(text, name=name)
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        raise GenesisError(f"{name}: {describe_validation_error(error)}") from error


def parse_json(text: str, *, name: str) -> object:
    """What stands in JSON `text`, in which no key stands twice. Raises `GenesisError`; `name` is what it calls it."""
    try:
        # First a parser that bounds the nesting by itself, then one that shows keys that stand twice.
        from_json(text)
        return json.loads(text, object_pairs_hook=unique_keys)
    except ValueError as error:
        raise GenesisError(f"{name}: is not JSON: {error}") from error
