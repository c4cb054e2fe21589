"""A validator's signing history as a JSON document: to carry it along when the validator moves to another machine.

Without it, a validator that moves forgets what it has signed, and may contradict it. Importing only ever adds: a
history that reaches further is taken over, one of the same height is merged, an older one changes nothing; of two
floors the higher counts, and a doubt of either. (Ethereum's validators exchange the same knowledge in EIP-3076's
format; this one is simpler, because the guard binds one height at a time.)
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from step_node.errors import StepNodeError, describe_validation_error
from step_node.signing.guard import SigningGuard
from step_node.signing.history import (
    HEIGHT_MAX,
    ROUND_MAX,
    VALUE_BYTES_MAX,
    HistoryContent,
    SignedRecord,
    SigningKind,
    checked_reason,
)

DOCUMENT_BYTES_MAX = 1_000_000
"""A larger file is no history; the guard keeps far less."""

RECORDS_MAX = 2_000

FORMAT: Final = "step-signing-history-2"
FORMAT_WITHOUT_FLOOR = "step-signing-history-1"


class HistoryFileError(StepNodeError):
    """The document cannot be used; the message names the file, the field and the rule."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    height: Annotated[int, Field(ge=1, le=HEIGHT_MAX)]
    round: Annotated[int, Field(ge=0, le=ROUND_MAX)]
    kind: SigningKind
    value: Annotated[str, Field(pattern=r"^0x([0-9a-f]{2})*$", max_length=2 + 2 * VALUE_BYTES_MAX)]


class HistoryDocument(BaseModel):
    """All that a history says, and of which key on which chain.

    `records`: everything signed at the highest height. `floor`: nothing is signed there or below. `doubt`: why the
    history is doubtful, null if it is not.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    format: Literal["step-signing-history-2"]
    chain_id: Annotated[str, Field(min_length=1, max_length=64)]
    validator: Annotated[str, Field(pattern=r"^0x[0-9a-f]{40}$")]
    floor: Annotated[int, Field(ge=0, le=HEIGHT_MAX)]
    doubt: str | None
    records: Annotated[tuple[_Record, ...], Field(max_length=RECORDS_MAX)]

    @field_validator("format", mode="before")
    @classmethod
    def _is_of_this_version(cls, value: object) -> object:
        if value == FORMAT_WITHOUT_FLOOR:
            raise ValueError(
                "the document is of an older version of this program, which did not keep a floor: export it anew with"
                " this version"
            )
        return value

    @field_validator("doubt")
    @classmethod
    def _is_a_reason(cls, value: str | None) -> str | None:
        return None if value is None else checked_reason(value)

    @property
    def content(self) -> HistoryContent:
        """What the guard is bound by."""
        return HistoryContent(
            tuple(
                SignedRecord(record.height, record.round, record.kind, bytes.fromhex(record.value[2:]))
                for record in self.records
            ),
            self.floor,
            self.doubt,
        )

    def check(self, *, chain_id: str, validator: bytes, height_max: int) -> None:
        """Raise `HistoryFileError` unless it is a history of this key (20 bytes) on this chain that can be true.

        `height_max` is the highest height that a history of the chain can have reached (`believable_height_max`).
        """
        if self.chain_id != chain_id:
            raise HistoryFileError(f"chain_id: the history is of {self.chain_id!r}, this home of {chain_id!r}")
        if self.validator != f"0x{validator.hex()}":
            raise HistoryFileError(
                f"validator: the history is of {self.validator}, this home's key of 0x{validator.hex()}"
            )
        heights = {"floor": self.floor}
        heights |= {f"records.{index}.height": record.height for index, record in enumerate(self.records)}
        for field, height in heights.items():
            if height > height_max:
                raise HistoryFileError(
                    f"{field}: must be at most {height_max}, which is more than this chain can have come to by now, not"
                    f" {height}: a key that believed it would sign nothing up to there. If this machine's clock is"
                    " right, the document is not true; export it anew, or start with --lost-signing-history"
                )


def export_history(guard: SigningGuard, *, chain_id: str) -> str:
    """All that the history says, as JSON."""
    return history_text(guard.content(), chain_id=chain_id, validator=guard.validator)


def history_text(content: HistoryContent, *, chain_id: str, validator: bytes) -> str:
    """All that a history of the key whose address is `validator` (20 bytes) says, as JSON."""
    document = HistoryDocument(
        format=FORMAT,
        chain_id=chain_id,
        validator=f"0x{validator.hex()}",
        floor=content.floor,
        doubt=content.doubt,
        records=tuple(
            _Record(height=record.height, round=record.round, kind=record.kind, value=f"0x{record.value.hex()}")
            for record in content.records
        ),
    )
    return document.model_dump_json(indent=2) + "\n"


def read_history(path: Path) -> HistoryDocument:
    """The document in the file at `path`. Raises `HistoryFileError`, OSError."""
    size_bytes = path.stat().st_size
    if size_bytes > DOCUMENT_BYTES_MAX:
        raise HistoryFileError(f"{path}: {size_bytes} bytes; a signing history has at most {DOCUMENT_BYTES_MAX}")
    try:
        return HistoryDocument.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise HistoryFileError(f"{path}: {describe_validation_error(error)}") from error
