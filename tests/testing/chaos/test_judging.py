"""What decides whether a scenario passed: the stall clock, the ledgers' comparison, counters, and the table's sum."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from step_node.cli.chaos_results import print_table, summary_of
from step_node.cli.output import console
from step_node.testing.chaos.checks import _check_counts
from step_node.testing.chaos.hardware import (
    FAKETIME_ENVIRONMENT_VARIABLE,
    Impossible,
    clock_environment,
    find_libfaketime,
)
from step_node.testing.chaos.run import Outcome
from step_node.testing.chaos.watch import StallClock
from step_node.testing.devnet.misbehaviour import Misbehaviour
from step_node.testing.devnet.verdict import Verdict, metric_sum


def longest(*notes: tuple[float, int, bool]) -> float:
    clock = StallClock(0.0)
    for now, height, waiting in notes:
        clock.note(now, height=height, waiting=waiting)
    return clock.longest_seconds


def test_a_stall_is_the_time_between_two_heights_while_something_waits() -> None:
    assert longest((0, 1, True), (1, 2, True), (6, 3, True), (7, 4, True)) == 5


def test_an_idle_chain_does_not_stall() -> None:
    assert longest((0, 1, True), (1, 2, False), (100, 2, False), (101, 2, True), (103, 3, False)) == 2


def test_a_stall_that_is_not_over_counts() -> None:
    assert longest((0, 1, True), (1, 2, True), (9, 2, True)) == 8


def test_a_node_that_is_behind_does_not_hide_or_end_a_stall() -> None:
    assert longest((0, 5, True), (1, 3, True), (2, 4, True), (3, 5, True), (4, 6, True)) == 4


def test_equal_ledgers_with_every_proof_once_have_no_problem() -> None:
    ledgers = [Counter(["a", "b"]), Counter(["b", "a"])]
    problems: list[str] = []
    assert _check_counts(ledgers, ["a", "b"], problems)
    assert problems == []


@pytest.mark.parametrize(
    ("ledgers", "named"),
    [
        ([["a", "b"], ["a"]], "hold different proofs"),
        ([["a", "b", "b"], ["a", "b", "b"]], "stand twice"),
        ([["a"], ["a"]], "are in no batch"),
    ],
)
def test_a_proof_that_is_missing_or_stands_twice_is_a_problem(ledgers: list[list[str]], named: str) -> None:
    problems: list[str] = []
    assert not _check_counts([Counter(one) for one in ledgers], ["a", "b"], problems)
    assert any(named in problem for problem in problems)


def test_a_counter_is_summed_over_its_labels_and_not_taken_for_another() -> None:
    text = '# HELP x_total y\nx_total 1.0\nx_total{kind="A"} 2.0\nx_total_more 5.0\nx_created 7.0\n'
    assert metric_sum(text, "x_total") == 3.0
    assert metric_sum(text, "y_total") == 0.0


def test_a_verdict_asks_all_honest_nodes() -> None:
    verdict = Verdict(3, "0x00", Misbehaviour.DOUBLE_SIGN, (0, 1), (0, 1, 2), (0, 1, 2))
    assert not verdict.is_seen
    assert verdict.is_slashed
    assert Verdict(3, "0x00", Misbehaviour.SILENT, (), (), (0, 1, 2)).is_seen


def test_without_libfaketime_the_reason_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(FAKETIME_ENVIRONMENT_VARIABLE, str(tmp_path / "none.so"))
    with pytest.raises(Impossible, match=FAKETIME_ENVIRONMENT_VARIABLE):
        find_libfaketime()
    library = tmp_path / "libfaketimeMT.so.1"
    library.touch()
    monkeypatch.setenv(FAKETIME_ENVIRONMENT_VARIABLE, str(library))
    assert clock_environment(-30)["FAKETIME"] == "-30s"
    assert clock_environment(30)["FAKETIME"] == "+30s"


def test_the_sum_counts_every_result(capsys: pytest.CaptureFixture[str]) -> None:
    outcomes = [
        Outcome("one", "passed", longest_stall_seconds=2.04),
        Outcome("two", "skipped", ("there is no such thing here",)),
        Outcome("three", "failed", ("it failed",), longest_stall_seconds=3.0),
    ]
    assert summary_of(outcomes) == {
        "runs": 3,
        "passed": 1,
        "failed": 1,
        "skipped": 1,
        "longest_stall_seconds": 3.0,
    }
    print_table(console(), outcomes)
    table = capsys.readouterr().out
    assert all(outcome.scenario in table for outcome in outcomes)
