"""Many seeds, on several processes, and what came of them in one line."""

from __future__ import annotations

import gc
import logging
import multiprocessing
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial

import structlog

from step_node.testing.simulator.settings import SimulationSettings
from step_node.testing.simulator.world import History, simulate_seed

SEEDS_AT_ONCE = 8
"""Seeds handed to a worker together."""


@dataclass(slots=True)
class Summary:
    """The totals of a campaign; `to_json` has these names."""

    runs: int = 0
    batches_finalised: int = 0
    safety_violations: int = 0
    liveness_violations: int = 0
    double_signs_by_honest: int = 0
    equivocations_seen: int = 0
    slashed: int = 0
    virtual_hours: float = 0.0
    wall_seconds: float = 0.0

    @property
    def is_clean(self) -> bool:
        """Whether every promise was kept."""
        return not (self.safety_violations or self.liveness_violations or self.double_signs_by_honest)

    def add(self, history: History) -> None:
        """Count one history."""
        self.runs += 1
        self.batches_finalised += history.batches_finalised
        self.safety_violations += bool(history.violations)
        self.liveness_violations += history.stuck is not None
        self.double_signs_by_honest += history.double_signs_by_honest
        self.equivocations_seen += history.equivocations_seen
        self.slashed += history.slashed
        self.virtual_hours += history.virtual_seconds / 3_600

    def to_json(self) -> dict[str, int | float]:
        """For one line of JSON."""
        return {name: round(value, 3) if isinstance(value, float) else value for name, value in asdict(self).items()}


def run_campaign(
    seeds: Iterable[int], settings: SimulationSettings, *, workers: int, on_history: Callable[[History, Summary], None]
) -> Summary:
    """Run every seed, on as many processes; `on_history` is told of each as it is done, in no particular order."""
    summary = Summary()
    started = time.monotonic()

    def count(history: History) -> None:
        summary.add(history)
        summary.wall_seconds = time.monotonic() - started
        on_history(history, summary)

    if workers == 1:
        with quiet():
            for seed in seeds:
                count(simulate_seed(seed, settings))
        return summary
    all_seeds = list(seeds)
    chunks = [all_seeds[start : start + SEEDS_AT_ONCE] for start in range(0, len(all_seeds), SEEDS_AT_ONCE)]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        futures = [pool.submit(partial(_run_seeds, chunk, settings)) for chunk in chunks]
        try:
            for future in as_completed(futures):
                for history in future.result():
                    count(history)
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return summary


def _run_seeds(seeds: list[int], settings: SimulationSettings) -> list[History]:
    with quiet():
        return [simulate_seed(seed, settings) for seed in seeds]


@contextmanager
def quiet() -> Iterator[None]:
    """No logs of simulated nodes; and nothing that exists already is looked at by the garbage collector."""
    configuration = structlog.get_config()
    disabled = logging.root.manager.disable
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL),
        logger_factory=structlog.ReturnLoggerFactory(),
    )
    logging.disable(logging.CRITICAL)
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        logging.disable(disabled)
        structlog.configure(**configuration)
