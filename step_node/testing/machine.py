"""On what, and when, something is measured: what stands beside every figure, since another machine has other ones."""

from __future__ import annotations

import os
import platform
import time
from typing import Final, Self

from pydantic import BaseModel, ConfigDict

import step_node

BUSY_LOAD: Final = 0.5
"""Processes that want each core, besides what is measured: with more of them, the figures are a busy machine's."""


class Conditions(BaseModel):
    """`time` is UTC, `machine` the kind of processor, `was_busy` whether there was much else to do at the beginning."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str
    time: str
    python: str
    machine: str
    cores: int
    was_busy: bool

    @classmethod
    def now(cls, *, was_busy: bool) -> Self:
        """This machine, at this moment. Ask `is_busy` before anything is measured: that makes it busy."""
        return cls(
            version=step_node.__version__,
            time=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            python=platform.python_version(),
            machine=platform.machine(),
            cores=os.cpu_count() or 1,
            was_busy=was_busy,
        )


def is_busy() -> bool:
    """Whether the machine has much else to do at this moment."""
    return os.getloadavg()[0] > BUSY_LOAD * (os.cpu_count() or 1)
