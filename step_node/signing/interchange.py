"""Signing histories of several keys as one document, in the shape of EIP-3076, to carry them to another machine.

EIP-3076 knows validators that propose a block for a slot, and attest from a source epoch to a target epoch. Here a
validator proposes a batch, and votes for it, in rounds of a height:

- a key (`pubkey`) is named by its address, 20 bytes: a keystore does not say more without its password;
- `genesis_validators_root` is the hash of genesis, which names the chain;
- a signed block is a proposal; its `slot` is the height;
- a signed attestation is a vote or a timeout message; its `target_epoch` is the height, its `source_epoch` the height
  before, on which it builds;
- `signing_root` is the digest of the line that was signed.

What EIP-3076 has no words for stands under `step`, in each entry (round, kind, value), in each key (`doubt`) and in the
metadata. An entry without it says that the key may have signed anything up to its height: it is read as a floor there,
and a floor is written so. So a document of a program that knows nothing of `step` binds the key too, more than it would
need; and a reader that passes `step` over is bound at least as much as the key is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from step_node.errors import StepNodeError, describe_validation_error
from step_node.signing.history import (
    HEIGHT_MAX,
    ROUND_MAX,
    VALUE_BYTES_MAX,
    HistoryContent,
    SignedRecord,
    SigningKind,
    checked_reason,
)
from step_node.signing.signed_value import HASH_BYTES

INTERCHANGE_BYTES_MAX: Final = 8_000_000
"""A larger file is refused: each key's history has a few kilobytes."""
KEYS_MAX: Final = 256
"""Keys of one document; with more it is refused."""
ENTRIES_MAX: Final = 2_000
"""Entries of one list of one key; a guard keeps far fewer."""
VERSION: Final = "5"

Digits = Annotated[str, Field(pattern="^(0|[1-9][0-9]{0,18})$")]
Hash = Annotated[str, Field(pattern="^0x[0-9a-f]{64}$")]


class InterchangeError(StepNodeError):
    """The document cannot be used; the message names the file, the field and the rule."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class _Details(_Part):
    round: Annotated[int, Field(ge=0, le=ROUND_MAX)]
    kind: SigningKind
    value: Annotated[str, Field(pattern=r"^0x([0-9a-f]{2})*$", max_length=2 + 2 * VALUE_BYTES_MAX)]


class _Entry(_Part):
    signing_root: Hash | None = None
    step: _Details | None = None

    @property
    def height(self) -> int:
        raise NotImplementedError

    @model_validator(mode="after")
    def _is_one_thing(self) -> _Entry:
        if not 0 <= self.height <= HEIGHT_MAX:
            raise ValueError(f"the height must be from 0 to {HEIGHT_MAX}")
        if self.step is None:
            return self
        if self.height == 0:
            raise ValueError("nothing is signed at height 0")
        if self.signing_root is not None and self.step.value[: 2 + 2 * HASH_BYTES] != self.signing_root:
            raise ValueError("signing_root: must be what step.value begins with, the digest of the signed line")
        return self


class _Block(_Entry):
    slot: Digits

    @property
    def height(self) -> int:
        return int(self.slot)

    @model_validator(mode="after")
    def _is_a_proposal(self) -> _Block:
        if self.step is not None and self.step.kind is not SigningKind.PROPOSAL:
            raise ValueError("step.kind: a signed block is a PROPOSAL")
        return self


class _Attestation(_Entry):
    source_epoch: Digits
    target_epoch: Digits

    @property
    def height(self) -> int:
        return int(self.target_epoch)

    @model_validator(mode="after")
    def _is_a_vote(self) -> _Attestation:
        if int(self.source_epoch) > int(self.target_epoch):
            raise ValueError("source_epoch: must not be above target_epoch")
        if self.step is not None and self.step.kind is SigningKind.PROPOSAL:
            raise ValueError("step.kind: a PROPOSAL is a signed block, not an attestation")
        return self


class _OfKey(_Part):
    doubt: str | None = None

    @field_validator("doubt")
    @classmethod
    def _is_a_reason(cls, value: str | None) -> str | None:
        return None if value is None else checked_reason(value)


class KeyHistory(_Part):
    """What one key has signed."""

    pubkey: Annotated[str, Field(pattern="^0x[0-9a-f]{40}$")]
    signed_blocks: Annotated[tuple[_Block, ...], Field(max_length=ENTRIES_MAX)] = ()
    signed_attestations: Annotated[tuple[_Attestation, ...], Field(max_length=ENTRIES_MAX)] = ()
    step: _OfKey = _OfKey()

    @property
    def content(self) -> HistoryContent:
        """What a guard is bound by."""
        entries: tuple[_Entry, ...] = (*self.signed_blocks, *self.signed_attestations)
        return HistoryContent(
            tuple(
                SignedRecord(entry.height, entry.step.round, entry.step.kind, bytes.fromhex(entry.step.value[2:]))
                for entry in entries
                if entry.step is not None
            ),
            max((entry.height for entry in entries if entry.step is None), default=0),
            self.step.doubt,
        )

    @property
    def height_max(self) -> int:
        """The greatest that stands in it."""
        return max((entry.height for entry in (*self.signed_blocks, *self.signed_attestations)), default=0)


class _OfDocument(_Part):
    chain_id: Annotated[str, Field(min_length=1, max_length=64)]


class _Metadata(_Part):
    interchange_format_version: Literal["5"]
    genesis_validators_root: Hash
    step: _OfDocument | None = None


class Interchange(_Part):
    """The whole document."""

    metadata: _Metadata
    data: Annotated[tuple[KeyHistory, ...], Field(max_length=KEYS_MAX)]

    @model_validator(mode="after")
    def _each_key_once(self) -> Interchange:
        keys = [one.pubkey for one in self.data]
        twice = next((key for key in keys if keys.count(key) > 1), None)
        if twice is not None:
            raise ValueError(f"data: {twice} stands in it twice")
        return self

    def contents(self) -> dict[bytes, HistoryContent]:
        """What each key (its address) is bound by."""
        return {bytes.fromhex(one.pubkey[2:]): one.content for one in self.data}

    def check(self, *, chain_id: str, genesis_hash: bytes, height_max: int) -> None:
        """Raise InterchangeError unless it is of this chain and can be true.

        `height_max` is the highest height that a history of the chain can have reached (`believable_height_max`).
        """
        root = self.metadata.genesis_validators_root
        if root != f"0x{genesis_hash.hex()}":
            raise InterchangeError(
                f"metadata.genesis_validators_root: the histories are of the chain whose genesis is {root}, this home"
                f" of 0x{genesis_hash.hex()}"
            )
        if self.metadata.step is not None and self.metadata.step.chain_id != chain_id:
            raise InterchangeError(
                f"metadata.step.chain_id: the histories are of {self.metadata.step.chain_id!r}, and this"
                f" home is of {chain_id!r}"
            )
        for index, one in enumerate(self.data):
            if one.height_max > height_max:
                raise InterchangeError(
                    f"data.{index}: {one.pubkey}: heights must be at most {height_max}, which is more than this chain"
                    f" can have come to by now, not {one.height_max}: a key that believed it would sign nothing up to"
                    " there. If this machine's clock is right, the document is not true; export it anew, or start with"
                    " --lost-signing-history"
                )


def export_interchange(histories: Mapping[bytes, HistoryContent], *, chain_id: str, genesis_hash: bytes) -> str:
    """The histories, by the address (20 bytes) of the key, as a document."""
    document = Interchange(
        metadata=_Metadata(
            interchange_format_version=VERSION,
            genesis_validators_root=f"0x{genesis_hash.hex()}",
            step=_OfDocument(chain_id=chain_id),
        ),
        data=tuple(_of_key(validator, content) for validator, content in sorted(histories.items())),
    )
    return document.model_dump_json(indent=2, exclude_none=True) + "\n"


def read_interchange(path: Path) -> Interchange:
    """The document in the file at `path`. Raises InterchangeError, OSError."""
    size_bytes = path.stat().st_size
    if size_bytes > INTERCHANGE_BYTES_MAX:
        raise InterchangeError(f"{path}: {size_bytes} bytes; signing histories have at most {INTERCHANGE_BYTES_MAX}")
    try:
        return Interchange.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise InterchangeError(f"{path}: {describe_validation_error(error)}") from error


def _of_key(validator: bytes, content: HistoryContent) -> KeyHistory:
    floor = content.floor
    blocks = [_Block(slot=str(floor))] if floor else []
    votes = [_Attestation(source_epoch=str(floor - 1), target_epoch=str(floor))] if floor else []
    return KeyHistory(
        pubkey=f"0x{validator.hex()}",
        signed_blocks=(
            *blocks,
            *(
                _Block(slot=str(record.height), signing_root=_root(record), step=_details(record))
                for record in content.records
                if record.kind is SigningKind.PROPOSAL
            ),
        ),
        signed_attestations=(*votes, *_attestations(content.records)),
        step=_OfKey(doubt=content.doubt),
    )


def _attestations(records: Iterable[SignedRecord]) -> Iterable[_Attestation]:
    return (
        _Attestation(
            source_epoch=str(record.height - 1),
            target_epoch=str(record.height),
            signing_root=_root(record),
            step=_details(record),
        )
        for record in records
        if record.kind is not SigningKind.PROPOSAL
    )


def _root(record: SignedRecord) -> str | None:
    return f"0x{record.value[:HASH_BYTES].hex()}" if len(record.value) >= HASH_BYTES else None


def _details(record: SignedRecord) -> _Details:
    return _Details(round=record.round, kind=record.kind, value=f"0x{record.value.hex()}")
