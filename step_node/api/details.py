"""The details of a refusal as clients see them (`step_node.explanations.details` has the vocabulary)."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field

from step_node.api.models.schema import Answer, StepText, TimestampText, TriangleText
from step_node.explanations.codes import BY_CODE, CLOCK_GATE, PATIENCE_STATUSES
from step_node.explanations.details import Details, Value, field_and_rule
from step_node.proofs.timestamps import TIMESTAMP_MAX_MS, TIMESTAMP_MIN_MS, format_timestamp


def _is_none(value: object) -> bool:
    return value is None


_ABSENT = Field(default=None, exclude_if=_is_none)
"""A field that says nothing is left out."""


class TryInsteadAnswer(Answer):
    """The active triangle that holds the point: the largest, which pays the most."""

    triangle_id: TriangleText
    level: int = Field(description="1 to 21.", examples=[11])


class DetailsAnswer(Answer):
    """What exactly was refused. Which fields a code always has stands in docs/codes.md; others may come with them."""

    gate: str = Field(description="Which gate or limit refused.", examples=["accuracy"])
    field: Annotated[str | None, Field(description="What of the request.", examples=["accuracy"])] = _ABSENT
    rule: Annotated[str | None, Field(description="What is asked of it, for people.")] = _ABSENT
    value: Annotated[Value | None, Field(description="What was measured there.", examples=[80.5])] = _ABSENT
    limit: Annotated[Value | None, Field(description="What is allowed.", examples=[50])] = _ABSENT
    unit: Annotated[str | None, Field(description="Of `value` and `limit`.", examples=["m"])] = _ABSENT
    retryable: bool = Field(description="Whether the same body may be accepted later.", examples=[False])
    retry_at: Annotated[
        TimestampText | None, Field(description="From when on: the same body if it is retryable, else a new one.")
    ] = _ABSENT
    try_instead: Annotated[
        TryInsteadAnswer | None,
        Field(description="The active triangle that holds the point: its `triangleId`, `level`."),
    ] = _ABSENT
    line: Annotated[str | None, Field(description="The line that the node has built of the payload.")] = _ABSENT
    digest: Annotated[str | None, Field(description="Its EIP-191 digest.")] = _ABSENT
    recovered: Annotated[str | None, Field(description="Whose signature it is, over that line.")] = _ABSENT
    server_time: Annotated[TimestampText | None, Field(description="The node's clock.")] = _ABSENT
    drift_ms: Annotated[int | None, Field(description="The timestamp less the time it is judged by.")] = _ABSENT
    distance_m: Annotated[float | None, Field(description="From the account's last proof.")] = _ABSENT
    elapsed_ms: Annotated[int | None, Field(description="Since the account's last proof.")] = _ABSENT
    last_proof_at: Annotated[TimestampText | None, Field(description="That proof's timestamp.")] = _ABSENT
    state: Annotated[str | None, Field(description="Of the triangle, or of the validator.")] = _ABSENT
    clicks: Annotated[int | None, Field(description="Of the triangle.")] = _ABSENT
    waiting: Annotated[int | None, Field(description="How many wait already.")] = _ABSENT
    expected: Annotated[int | None, Field(description="The number that would be right.")] = _ABSENT
    have: Annotated[StepText | None, Field(description="STEP that there are.")] = _ABSENT
    need: Annotated[StepText | None, Field(description="STEP that are needed.")] = _ABSENT
    allowed: Annotated[list[str] | None, Field(description="What there is to choose from.")] = _ABSENT

    @classmethod
    def of(
        cls, code: str, message: str, details: Details, *, now_ms: int, retry_after_seconds: int | None = None
    ) -> Self:
        """The answer about a refusal with this code (a text of the table), message and details.

        What these leave open is the code's: its gate, and whether it is retryable; field and rule are the message's.
        `now_ms` is the node's clock. `retry_after_seconds` says when to come back where nothing better is known, after
        the codes that ask for patience.
        """
        row = BY_CODE[code]
        field, rule = field_and_rule(message)
        retry_at_ms = details.retry_at_ms
        if retry_at_ms is None and retry_after_seconds is not None and row.status in PATIENCE_STATUSES:
            retry_at_ms = now_ms + 1_000 * retry_after_seconds
        said = details._asdict()
        for moment in ("retry_at_ms", "last_proof_at_ms"):
            del said[moment]
        instead = details.try_instead
        return cls(
            **said
            | {
                "gate": details.gate or row.gate,
                "field": details.field or field,
                "rule": details.rule or rule,
                "retryable": row.retryable if details.retryable is None else details.retryable,
                "retry_at": _moment(retry_at_ms),
                "server_time": _moment(now_ms if row.gate == CLOCK_GATE else None),
                "last_proof_at": _moment(details.last_proof_at_ms),
                "try_instead": None
                if instead is None
                else TryInsteadAnswer(triangle_id=instead.triangle_id, level=instead.level),
            }
        )


def _moment(timestamp_ms: int | None) -> str | None:
    if timestamp_ms is None:
        return None
    # A proof's own timestamp may be the last that can be written, and the moment after it cannot.
    return format_timestamp(min(max(timestamp_ms, TIMESTAMP_MIN_MS), TIMESTAMP_MAX_MS))
