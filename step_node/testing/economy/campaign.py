"""Many runs of one scenario, on several processes: the same results in the same order, however many there are."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from functools import lru_cache, partial
from types import TracebackType

from step_node.errors import StepNodeError
from step_node.testing.economy.measuring import Measuring, RunResult
from step_node.testing.economy.processes import in_order
from step_node.testing.economy.running import run
from step_node.testing.economy.scenario import AS_WRITTEN, Scenario, ScenarioError
from step_node.testing.economy.work import Start

RUNS_AT_ONCE = 4
"""Runs handed to a process together."""
ACCOUNTS_OF_RUNS_MAX = 50_000_000
"""In all runs of a scenario together: 24 bytes are kept of each, 1.2 GB at the most; more are refused."""


class RunFailed(StepNodeError):
    """A run that could not go on: which one, and why."""

    def __init__(self, variant: str, seed: int, reason: str) -> None:
        super().__init__(variant, seed, reason)  # All of them, so that another process can hand it over.
        self.variant, self.seed, self.reason = variant, seed, reason

    def __str__(self) -> str:
        return f"variant {self.variant}, seed {self.seed}: {self.reason}"


def run_all(
    scenario: Scenario,
    seeds: range,
    *,
    exact: bool,
    processes: int,
    variant: str = AS_WRITTEN,
    on_run: Callable[[int], None] = lambda _done: None,
) -> list[RunResult]:
    """A run for each seed, in their order; `on_run` is told how many are done. `variant` is what errors call it.

    Raises ScenarioError if what they come to would not stand in memory; RunFailed of a run that fails, at once;
    ProcessLost. A bug is raised as it is, with a note that says in which run.
    """
    accounts = scenario.validators.count + sum(group.accounts for group in scenario.groups)
    if len(seeds) * accounts > ACCOUNTS_OF_RUNS_MAX:
        raise ScenarioError(
            f"{len(seeds)} runs of {accounts} accounts: at most {ACCOUNTS_OF_RUNS_MAX} accounts may be in all runs"
            " together; ask for fewer runs, or simulate fewer accounts"
        )
    results: list[RunResult] = []
    with closing(_in_order(scenario, variant, seeds, exact, processes)) as found:
        for result in found:
            results.append(result)
            on_run(len(results))
    return results


def measured_run(scenario: Scenario, seed: int, *, exact: bool, variant: str = AS_WRITTEN) -> RunResult:
    """One run, measured. Raises RunFailed."""
    with _Named(variant, seed):
        start = _start(scenario)
        measuring = Measuring(start, seed)
        run(start, seed, exact=exact, on_day=measuring.note)
        return measuring.result()


class _Named:
    """Says of whatever is raised within in which run it was, so that somebody can have that run again."""

    def __init__(self, variant: str, seed: int) -> None:
        self._variant, self._seed = variant, seed

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: TracebackType | None) -> None:
        if isinstance(error, StepNodeError):
            raise RunFailed(self._variant, self._seed, str(error)) from error
        if error is not None:
            error.add_note(f"in the simulated run of variant {self._variant} with seed {self._seed}")


@lru_cache(maxsize=4)
def _start(scenario: Scenario) -> Start:
    return Start(scenario)


def _in_order(
    scenario: Scenario, variant: str, seeds: range, exact: bool, processes: int
) -> Generator[RunResult, None, None]:
    if processes == 1 or len(seeds) == 1:
        for seed in seeds:
            yield measured_run(scenario, seed, exact=exact, variant=variant)
        return
    bundles = [seeds[first : first + RUNS_AT_ONCE] for first in range(0, len(seeds), RUNS_AT_ONCE)]
    with closing(in_order(partial(_bundle, scenario, variant, exact), bundles, processes)) as found:
        for results in found:
            yield from results


def _bundle(scenario: Scenario, variant: str, exact: bool, seeds: range) -> list[RunResult]:
    return [measured_run(scenario, seed, exact=exact, variant=variant) for seed in seeds]
