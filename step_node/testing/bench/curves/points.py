"""The points of curves, and the file in which they are kept: all that a figure says stands in it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from step_node.durable.atomic_file import write_atomically
from step_node.errors import StepNodeError, describe_validation_error
from step_node.testing.machine import Conditions

READABLE = 0o644
"""The file holds nothing that is secret."""

Scale: TypeAlias = Literal["linear", "log"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Point(_Part):
    """What was reached at `at`, which is in the unit of the curve's axis.

    `offered_per_second` is what was offered for the rate, and `calm_per_second` for the finality, which is of the same
    load where the two are equal. `recoveries_per_second`, of one core, was measured right after it.
    """

    at: float
    offered_per_second: float
    final_per_second: float
    calm_per_second: float
    finality_p50_ms: float | None
    finality_p95_ms: float | None
    lost: int
    recoveries_per_second: float


class Curve(_Part):
    """`axis` is what grows, with its unit; `how` says in a sentence or two what was done.

    `found_per_second` is a rate to be marked on an axis of offered rates.
    """

    name: str
    title: str
    axis: str
    scale: Scale
    how: str
    engine: str
    conditions: Conditions
    points: tuple[Point, ...] = Field(min_length=1)
    found_per_second: float | None = None


class Curves(_Part):
    """All curves of a file, each as it was measured last."""

    curves: tuple[Curve, ...] = ()

    def with_curve(self, curve: Curve) -> Curves:
        """The same with `curve` in the place of the one of its name, or at the end."""
        by_name = {one.name: one for one in self.curves} | {curve.name: curve}
        return Curves(curves=tuple(by_name.values()))


def read_curves(path: Path) -> Curves:
    """What is in the file, or no curves where there is none. Raises StepNodeError naming the field and the rule."""
    if not path.exists():
        return Curves()
    try:
        return Curves.model_validate_json(path.read_bytes(), strict=True)
    except ValidationError as error:
        raise StepNodeError(
            f"{path}: {describe_validation_error(error)}; remove it, and `make curves` measures anew"
        ) from error


def write_curves(path: Path, curves: Curves) -> None:
    """Write the file, whole or not at all, making the folder where there is none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, curves.model_dump_json(indent=2).encode() + b"\n", READABLE, replace=True)
