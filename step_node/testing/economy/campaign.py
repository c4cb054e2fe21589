"""Many runs of one scenario, on several processes: the same results in the same order, however many there are."""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import lru_cache

from step_node.errors import StepNodeError
from step_node.testing.economy.measuring import Measuring, RunResult
from step_node.testing.economy.running import run
from step_node.testing.economy.scenario import Scenario, ScenarioError
from step_node.testing.economy.work import Start

RUNS_AT_ONCE = 4
"""Runs handed to a process together."""
ACCOUNTS_OF_RUNS_MAX = 50_000_000
"""In all runs of a scenario together: 24 bytes are kept of each, 1.2 GB at the most; more are refused."""
AHEAD = 4
"""How many such bundles there are for each process: more would only wait."""


class ProcessLost(StepNodeError):
    """A process has ended in the middle of its runs: nearly always because the machine has no more memory."""


def run_all(
    scenario: Scenario, seeds: range, *, exact: bool, processes: int, on_run: Callable[[int], None] = lambda _done: None
) -> list[RunResult]:
    """A run for each seed, in their order; `on_run` is told how many are done.

    Raises ScenarioError if what they come to would not stand in memory; ProcessLost.
    """
    accounts = scenario.validators.count + sum(group.accounts for group in scenario.groups)
    if len(seeds) * accounts > ACCOUNTS_OF_RUNS_MAX:
        raise ScenarioError(
            f"{len(seeds)} runs of {accounts} accounts: at most {ACCOUNTS_OF_RUNS_MAX} accounts may be in all runs"
            " together; ask for fewer runs, or simulate fewer accounts"
        )
    results: list[RunResult] = []
    for result in _in_order(scenario, seeds, exact, processes):
        results.append(result)
        on_run(len(results))
    return results


def measured_run(scenario: Scenario, seed: int, *, exact: bool) -> RunResult:
    """One run, measured."""
    start = _start(scenario)
    measuring = Measuring(start, seed)
    run(start, seed, exact=exact, on_day=measuring.note)
    return measuring.result()


@lru_cache(maxsize=4)
def _start(scenario: Scenario) -> Start:
    return Start(scenario)


def _in_order(scenario: Scenario, seeds: range, exact: bool, processes: int) -> Iterator[RunResult]:
    if processes == 1 or len(seeds) == 1:
        for seed in seeds:
            yield measured_run(scenario, seed, exact=exact)
        return
    waiting: deque[Future[list[RunResult]]] = deque()
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        try:
            for first in range(0, len(seeds), RUNS_AT_ONCE):
                if len(waiting) == processes * AHEAD:
                    yield from waiting.popleft().result()
                waiting.append(pool.submit(_bundle, scenario, seeds[first : first + RUNS_AT_ONCE], exact))
            while waiting:
                yield from waiting.popleft().result()
        except (KeyboardInterrupt, GeneratorExit):
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        except BrokenProcessPool as error:
            raise ProcessLost(
                "a process that simulated was ended from outside, probably for want of memory: have fewer at once"
                " (--jobs)"
            ) from error


def _bundle(scenario: Scenario, seeds: range, exact: bool) -> list[RunResult]:
    return [measured_run(scenario, seed, exact=exact) for seed in seeds]
