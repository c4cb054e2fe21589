"""A validator's signing history as a JSON document: to carry it along when the validator moves to another machine.

Without it, a validator that moves forgets what it has signed, and may contradict it. Importing only ever adds: a
history that reaches further is taken over, one of the same height is merged, an older one changes nothing. (Ethereum's
validators exchange the same knowledge in EIP-3076's format; this one is simpler, because the guard binds one height at
a time.)
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from step_node.errors import StepNodeError, describe_validation_error
from step_node.signing.guard import HEIGHT_MAX, ROUND_MAX, VALUE_BYTES_MAX, SignedRecord, SigningGuard, SigningKind

DOCUMENT_BYTES_MAX = 1_000_000
"""A larger file is no history; the guard keeps far less."""

RECORDS_MAX = 2_000


class HistoryFileError(StepNodeError):
    """The document cannot be used; the message names the file, the field and the rule."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    height: Annotated[int, Field(ge=1, le=HEIGHT_MAX)]
    round: Annotated[int, Field(ge=0, le=ROUND_MAX)]
    kind: SigningKind
    value: Annotated[str, Field(pattern=r"^0x([0-9a-f]{2})*$", max_length=2 + 2 * VALUE_BYTES_MAX)]


class HistoryDocument(BaseModel):
    """`records` is what binds the validator now: everything signed at the highest height."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    format: Literal["step-signing-history-1"]
    chain_id: Annotated[str, Field(min_length=1, max_length=64)]
    validator: Annotated[str, Field(pattern=r"^0x[0-9a-f]{40}$")]
    records: Annotated[tuple[_Record, ...], Field(max_length=RECORDS_MAX)]


def export_history(guard: SigningGuard, *, chain_id: str, validator: bytes) -> str:
    """What binds `validator` (20 bytes) now, as JSON."""
    document = HistoryDocument(
        format="step-signing-history-1",
        chain_id=chain_id,
        validator=f"0x{validator.hex()}",
        records=tuple(
            _Record(height=record.height, round=record.round, kind=record.kind, value=f"0x{record.value.hex()}")
            for record in guard.history()
        ),
    )
    return document.model_dump_json(indent=2) + "\n"


def import_history(guard: SigningGuard, document: HistoryDocument, *, chain_id: str, validator: bytes) -> int:
    """Bind the guard by `document` too; returns how many records were new to it.

    Raises `HistoryFileError` for another chain's or another validator's history, and `DoubleSignRefused` where the two
    histories contradict one another: then the key has signed twice already.
    """
    if document.chain_id != chain_id:
        raise HistoryFileError(f"chain_id: the history is of {document.chain_id!r}, this home of {chain_id!r}")
    if document.validator != f"0x{validator.hex()}":
        raise HistoryFileError(
            f"validator: the history is of {document.validator}, this home's key of 0x{validator.hex()}"
        )
    return guard.merge(
        [
            SignedRecord(record.height, record.round, record.kind, bytes.fromhex(record.value[2:]))
            for record in document.records
        ]
    )


def read_history(path: Path) -> HistoryDocument:
    """The document in the file at `path`. Raises `HistoryFileError`, OSError."""
    size_bytes = path.stat().st_size
    if size_bytes > DOCUMENT_BYTES_MAX:
        raise HistoryFileError(f"{path}: {size_bytes} bytes; a signing history has at most {DOCUMENT_BYTES_MAX}")
    try:
        return HistoryDocument.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise HistoryFileError(f"{path}: {describe_validation_error(error)}") from error
