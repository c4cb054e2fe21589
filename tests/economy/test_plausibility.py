"""What each signal of plausibility says, by example; and what it must not depend on."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh import locate
from step_node.economy.columns import WINDOW_PROOFS_MAX, ProofColumns
from step_node.economy.plausibility import SIGNALS, AccountScore, Reason, account_signals
from step_node.economy.plausibility.signals import combined
from tests.economy.made_rows import (
    BERLIN,
    HOUR_MS,
    MINUTE_MS,
    MUNICH,
    Row,
    address_of,
    bytes_of,
    columns_of,
    history,
    made_window,
)
from tests.economy.plausibility_by_hand import score, strengths

OWN = ("identical_accuracies", "machine_intervals", "no_rest", "impossible_travel")


def _score(rows: list[Row], account: int) -> AccountScore:
    return account_signals(columns_of(rows)).account(address_of(account))


def _reason(rows: list[Row], account: int, signal: str) -> Reason | None:
    return next((reason for reason in _score(rows, account).reasons if reason.signal == signal), None)


def _newcomers(
    count: int,
    at: tuple[float, float],
    from_ms: int,
    apart_ms: int,
    accuracy_m: float | None = None,
    first: int = 1_000,
) -> list[Row]:
    """So many accounts with one proof each."""
    return [
        (first + number, from_ms + number * apart_ms, at[0], at[1] + number * 1e-6, accuracy_m or 3 + number * 0.01)
        for number in range(count)
    ]


def test_an_account_that_always_states_the_same_accuracy_is_told_of() -> None:
    same = [(1, number * 61_000 + number * number * 777, *MUNICH, 5.0) for number in range(20)]
    reason = _reason(same, 1, "identical_accuracies")

    assert reason == Reason("identical_accuracies", 10_000, 3_500, {"same_accuracy_bps": 10_000, "proofs": 20})


def test_a_receiver_with_a_few_values_is_not_told_of_nor_are_few_proofs() -> None:
    steps = [(1, number * 61_000 + number * number * 777, *MUNICH, (5.0, 10.0)[number % 2]) for number in range(20)]
    few = [(2, number * 61_000 + number * number * 777, *MUNICH, 5.0) for number in range(11)]

    assert _score(steps + few, 1) == AccountScore(20, 0, ())
    assert _score(steps + few, 2) == AccountScore(11, 0, ())


def test_between_half_and_nine_tenths_of_the_same_accuracy_the_strength_grows_in_a_straight_line() -> None:
    rows = [
        (1, number * 61_000 + number * number * 777, *MUNICH, 5.0 if number < 14 else number) for number in range(20)
    ]
    reason = _reason(rows, 1, "identical_accuracies")

    assert reason is not None
    assert (reason.figures["same_accuracy_bps"], reason.strength_bps) == (7_000, 5_000)


def test_a_program_that_proves_every_ten_seconds_is_told_of_and_a_hand_that_waits_for_ten_seconds_is_not() -> None:
    late = (300, 900, 1_700, 450, 2_600, 1_200, 700, 3_100, 1_500, 500, 2_000, 1_000, 4_000, 800)
    program = [(1, number * 10_000 + number % 3, *MUNICH, 3.0 + number) for number in range(15)]
    hand, time_ms = [], 0
    for number, lateness in enumerate(late):
        time_ms += 10_000 + lateness
        hand.append((2, time_ms, *MUNICH, 3.0 + number))

    reason = _reason(program + hand, 1, "machine_intervals")
    assert reason == Reason("machine_intervals", 10_000, 4_500, {"interval_ms": 10_001, "same_interval_bps": 10_000})
    assert _score(program + hand, 2).reasons == ()


def test_a_program_does_not_hide_behind_a_pause() -> None:
    program = [
        (1, number * 10_000 + (3 * HOUR_MS if number > 10 else 0), *MUNICH, 3.0 + number) for number in range(25)
    ]
    reason = _reason(program, 1, "machine_intervals")

    assert reason is not None
    assert reason.strength_bps == 10_000


def test_who_proves_through_day_and_night_is_told_of_and_who_sleeps_is_not() -> None:
    awake = [(1, number * HOUR_MS + number * number * 9_999, *MUNICH, 3.0 + number) for number in range(26)]
    asleep: list[Row] = [
        (2, time_ms + 6 * HOUR_MS * (number > 12), lat, lon, accuracy_m)
        for number, (_, time_ms, lat, lon, accuracy_m) in enumerate(awake)
    ]

    reason = _reason(awake + asleep, 1, "no_rest")
    assert reason is not None
    assert reason.strength_bps == 10_000
    assert reason.figures["span_ms"] == 25 * HOUR_MS + 625 * 9_999
    assert _reason(awake + asleep, 2, "no_rest") is None


def test_ways_that_nobody_can_travel_are_told_of_and_flights_are_not() -> None:
    # 504 km: in 25 minutes at 336 m/s, in 24 at 350.
    flies = [(1, 0, *MUNICH, 5.0), (1, 25 * MINUTE_MS, *BERLIN, 6.0)]
    jumps = [(2, 0, *MUNICH, 5.0), (2, 24 * MINUTE_MS, *BERLIN, 6.0)]
    returns = [(3, 0, *MUNICH, 5.0), (3, 24 * MINUTE_MS, *BERLIN, 6.0), (3, 48 * MINUTE_MS, *MUNICH, 6.0)]
    near = [(4, 0, *MUNICH, 5.0), (4, 1_000, MUNICH[0] + 0.8, MUNICH[1], 6.0)]
    around = [(5, 0, 10.0, 179.9, 5.0), (5, 3 * MINUTE_MS, 10.0, -179.9, 6.0)]
    rows = [row for part in (flies, jumps, returns, near, around) for row in part]

    assert [_reason(rows, number, "impossible_travel") for number in (1, 4, 5)] == [None, None, None]
    assert _reason(rows, 2, "impossible_travel") == Reason("impossible_travel", 5_000, 8_000, {"impossible_ways": 1})
    assert _reason(rows, 3, "impossible_travel") == Reason("impossible_travel", 10_000, 8_000, {"impossible_ways": 2})


def test_who_proves_once_is_told_of_only_after_hours() -> None:
    rows = [(1, 0, *MUNICH, 5.0), (2, 3 * HOUR_MS, *MUNICH, 6.0), (3, 6 * HOUR_MS, *MUNICH, 7.0)]
    rows += [(4, 0, *MUNICH, 6.0), (4, 6 * HOUR_MS + 30 * MINUTE_MS, *MUNICH, 7.0)]

    once = _reason(rows, 1, "proves_once")
    assert once is not None
    assert (once.strength_bps, once.figures["away_ms"]) == (10_000, 6 * HOUR_MS + 30 * MINUTE_MS)
    later = _reason(rows, 2, "proves_once")
    assert later is not None
    assert later.strength_bps == 5_000
    assert _score(rows, 3) == AccountScore(1, 0, ())
    assert _score(rows, 4) == AccountScore(2, 0, ())


def test_a_burst_of_newcomers_is_told_of_and_as_many_over_a_day_are_not() -> None:
    burst = _newcomers(320, MUNICH, 20 * HOUR_MS, 100)
    reason = _reason(history() + burst, 1_000, "newcomer_pace")

    assert reason == Reason("newcomer_pace", 9_000, 2_500, {"newcomers": 320, "usual_newcomers": 0})
    slow = _newcomers(320, MUNICH, 13 * HOUR_MS, 2 * MINUTE_MS + 7)
    assert _reason(history() + slow, 1_000, "newcomer_pace") is None


def test_what_is_usual_in_a_region_is_no_burst() -> None:
    usual = _newcomers(2_000, MUNICH, 12 * HOUR_MS + MINUTE_MS, 21_500)
    burst = _newcomers(150, MUNICH, 20 * HOUR_MS, 1_000, first=9_000)

    assert _reason(history() + usual + burst, 9_000, "newcomer_pace") is None
    assert _reason(history() + burst, 9_000, "newcomer_pace") is not None


def test_of_an_even_number_of_periods_the_upper_one_of_the_middle_is_usual() -> None:
    """74 periods: from the one of the middle, 12 hours and 5 minutes, to the last. In half of them three come."""
    rows = [*history(), (7, 24 * HOUR_MS + 10 * MINUTE_MS, *MUNICH, 5.0)]
    for period in range(100, 137):
        rows += _newcomers(3, MUNICH, (10 * period + 3) * MINUTE_MS, 7_000, first=10 * period)
    rows += _newcomers(100, MUNICH, 1_204 * MINUTE_MS, 1_000, first=9_000)

    assert _reason(rows, 9_000, "newcomer_pace") == Reason(
        "newcomer_pace", (103 - 32 - 6 * 3) * 10_000 // 103, 2_500, {"newcomers": 103, "usual_newcomers": 3}
    )


def test_the_middle_itself_is_history() -> None:
    sea = (30.0, -40.0)
    rows = history() + _newcomers(96, sea, 14 * HOUR_MS, 5 * MINUTE_MS)

    assert _reason([*rows, (7, 12 * HOUR_MS + 1_000, *sea, 5.0)], 1_000, "far_from_history") is not None
    assert _reason([*rows, (7, 12 * HOUR_MS, *sea, 5.0)], 1_000, "far_from_history") is None


def test_who_was_there_in_the_first_half_of_the_window_is_no_newcomer() -> None:
    burst = _newcomers(320, MUNICH, 20 * HOUR_MS, 100)
    before = [(row[0], row[1] - 10 * HOUR_MS, *row[2:]) for row in burst]

    assert _reason(history() + before + burst, 1_000, "newcomer_pace") is None


def test_newcomers_of_one_accuracy_are_told_of_and_others_who_came_with_them_are_not() -> None:
    farm = _newcomers(90, MUNICH, 20 * HOUR_MS, 4_000, accuracy_m=5.0)
    others = _newcomers(10, MUNICH, 20 * HOUR_MS, 7_000, first=5_000)
    reason = _reason(history() + farm + others, 1_000, "newcomer_accuracies")

    assert reason == Reason("newcomer_accuracies", 10_000, 5_000, {"same_accuracy_bps": 9_000, "newcomers": 100})
    assert _reason(history() + farm + others, 5_000, "newcomer_accuracies") is None
    assert _reason(history() + farm[:31], 1_000, "newcomer_accuracies") is None


def test_newcomers_at_even_intervals_are_told_of_and_a_crowd_is_not() -> None:
    even = _newcomers(60, MUNICH, 20 * HOUR_MS, 5_000)
    reason = _reason(history() + even, 1_000, "newcomer_intervals")
    gaps = np.random.default_rng(3).exponential(5_000, 60).astype(int).cumsum()
    crowd = [(row[0], 20 * HOUR_MS + int(gap), *row[2:]) for row, gap in zip(even, gaps, strict=True)]

    assert reason is not None
    assert (reason.strength_bps, reason.figures["interval_ms"]) == (10_000, 5_000)
    assert _reason(history() + crowd, 1_000, "newcomer_intervals") is None


def test_newcomers_where_nobody_was_are_told_of_the_more_the_more_they_are() -> None:
    sea = (30.0, -40.0)
    many = _newcomers(96, sea, 14 * HOUR_MS, 5 * MINUTE_MS)

    reason = _reason(history() + many, 1_000, "far_from_history")
    assert reason is not None
    assert (reason.strength_bps, reason.figures["newcomers"]) == (7_500, 96)
    one = _reason(history() + many[:1], 1_000, "far_from_history")
    assert one is not None
    assert one.strength_bps == 10_000 // 33
    assert _reason(history() + _newcomers(96, MUNICH, 14 * HOUR_MS, 5_000), 1_000, "far_from_history") is None


def test_a_chain_without_a_history_has_nothing_far_from_it() -> None:
    rows = history(900) + _newcomers(96, (30.0, -40.0), 14 * HOUR_MS, 5 * MINUTE_MS)

    assert _reason(rows, 1_000, "far_from_history") is None


def _together(count: int, first: int, late_ms: int = 0, stops: int = 10) -> list[Row]:
    """Accounts that stop at the same places in the same minutes, some 700 m and seven minutes apart."""
    return [
        (first + number, stop * 420_000 + number * 50 + late_ms, 48.0 + stop * 0.0063, 11.0, 3 + (number * stop) % 11)
        for stop in range(stops)
        for number in range(count)
    ]


def test_a_rack_of_phones_is_told_of_and_a_family_is_not() -> None:
    rows = _together(12, 100) + _together(4, 200, late_ms=2 * HOUR_MS)

    assert _reason(rows, 100, "co_movement") == Reason(
        "co_movement", 10_000, 7_000, {"companions": 11, "stops": 10, "places": 10}
    )
    assert _reason(rows, 200, "co_movement") is None


def test_who_stays_at_one_place_together_does_not_move_together() -> None:
    stadium = [(number, stop * 420_000 + number, *MUNICH, 5.0 + stop) for number in range(50) for stop in range(10)]

    assert _reason(stadium, 0, "co_movement") is None


def test_who_takes_the_same_train_and_goes_on_elsewhere_does_not_move_as_one_hand_would_move_them() -> None:
    train = _together(30, 100, stops=4)
    own = [
        (100 + number, 4 * HOUR_MS + stop * 420_000, 40 + number * 0.1 + stop * 0.0063, 12.0, 3.0 + stop)
        for number in range(30)
        for stop in range(12)
    ]

    assert _reason(train + own, 100, "co_movement") is None


def test_reasons_are_put_together_as_what_they_leave_of_plausibility() -> None:
    signals = account_signals(columns_of([(1, number * 10_000, *MUNICH, 5.0) for number in range(20)]))

    # 10,000 * (10,000 - 3,500) / 10,000 = 6,500, and 6,500 * (10,000 - 4,500) / 10,000 = 3,575.
    assert signals.account(address_of(1)).implausibility_bps == 10_000 - 3_575
    assert combined(signals.readings, 1).tolist() == [6_425]


def test_an_account_without_proofs_has_nothing_said_of_it() -> None:
    assert _score([(1, 0, *MUNICH, 5.0)], 7) == AccountScore(0, 0, ())
    assert account_signals(ProofColumns.empty()).account(address_of(1)) == AccountScore(0, 0, ())


def test_a_region_has_the_mean_of_its_accounts_each_counted_once() -> None:
    program = [(1, number * 10_000, *MUNICH, 5.0) for number in range(20)]
    person = [(2, 5_000, *MUNICH, 8.0), (2, 3 * HOUR_MS, *BERLIN, 8.0)]
    signals = account_signals(columns_of(program + person))

    munich = signals.region(locate(*MUNICH, 12))
    assert (munich.proofs, munich.accounts, munich.implausible_accounts) == (21, 2, 1)
    assert munich.implausibility_bps == 6_425 // 2
    assert [(reason.signal, reason.accounts, reason.strength_bps) for reason in munich.reasons] == [
        ("identical_accuracies", 1, 5_000),
        ("machine_intervals", 1, 5_000),
    ]
    berlin = signals.region(locate(*BERLIN, 21))
    assert (berlin.proofs, berlin.accounts, berlin.implausibility_bps, berlin.reasons) == (1, 1, 0, ())
    assert signals.region(locate(0, 0, 3)).accounts == 0


def test_a_region_counts_what_is_within_it_however_large_the_triangle_was_that_was_proven() -> None:
    columns = columns_of([(1, 0, *MUNICH, 5.0)])
    columns.triangle[:] = locate(*MUNICH, 1).integer

    assert account_signals(columns).region(locate(*MUNICH, 20)).proofs == 1


def test_more_rows_than_a_window_holds_are_refused() -> None:
    columns = columns_of([(1, 0, *MUNICH, 5.0)])
    many = columns.rows(np.zeros(WINDOW_PROOFS_MAX + 1, dtype=np.intp))

    with pytest.raises(ValueError, match=r"columns: 1048577 rows; at most 1048576"):
        account_signals(many)


_windows = st.integers(0, 2**32).map(made_window)


@settings(max_examples=5, deadline=None)
@given(_windows, st.integers(0, 2**32))
def test_the_order_of_a_batch_does_not_matter_and_repetition_gives_the_same_bytes(rows: list[Row], seed: int) -> None:
    columns = columns_of(rows)
    order = np.lexsort((np.random.default_rng(seed).random(len(columns)), columns.height))
    shuffled = account_signals(columns.rows(order))

    # Two of one account at the same time cannot be in a batch: the ledger refuses the second.
    moments = {(row[0], row[1]) for row in rows}
    if len(moments) == len(rows):
        assert bytes_of(shuffled) == bytes_of(account_signals(columns))
    assert bytes_of(account_signals(columns)) == bytes_of(account_signals(columns))


@settings(max_examples=5, deadline=None)
@given(_windows, _windows)
def test_what_an_account_did_is_judged_alike_whoever_else_is_there(rows: list[Row], others: list[Row]) -> None:
    alone = account_signals(columns_of(rows))
    moved = [(500_000 + row[0], *row[1:]) for row in others]
    together = account_signals(columns_of(rows + moved))

    for number in {row[0] for row in rows}:
        mine, among_others = (
            [reason for reason in signals.account(address_of(number)).reasons if reason.signal in OWN]
            for signals in (alone, together)
        )
        assert mine == among_others


@settings(max_examples=5, deadline=None)
@given(_windows)
def test_nobody_elsewhere_changes_what_is_said_of_company(rows: list[Row]) -> None:
    """Accounts on another face, within the time that is held, which is what the middle depends on."""
    rows = [*rows, (77, 0, *MUNICH, 5.0), (77, 24 * HOUR_MS, *MUNICH, 6.0)]
    elsewhere = [(900_000 + number, 1 + number * 90_000, -60.0, -120.0 + number * 1e-4, 5.0) for number in range(200)]
    assert locate(-60.0, -120.0, 1) not in {locate(row[2], row[3], 1) for row in rows}
    # A history of a thousand rows is counted over all regions: here there is one with, or without, the others.
    rows += [(78, number * 3_002, 47.0, 11.0, 4 + number % 5) for number in range(1_000)]
    alone, together = account_signals(columns_of(rows)), account_signals(columns_of(rows + elsewhere))

    for number in {row[0] for row in rows}:
        assert alone.account(address_of(number)) == together.account(address_of(number))


def test_every_signal_has_a_weight_that_leaves_something_of_plausibility() -> None:
    assert list(SIGNALS) == list(account_signals(ProofColumns.empty()).readings)
    assert all(0 < weight < 10_000 for weight in SIGNALS.values())


def test_the_signals_are_those_of_the_page_computed_account_by_account() -> None:
    spoke: set[str] = set()
    for seed in range(14):
        columns = columns_of(made_window(seed))
        signals = account_signals(columns)
        by_hand = strengths(columns)
        for name, reading in signals.readings.items():
            keys = signals.keys[reading.accounts].tolist()
            assert dict(zip(keys, reading.strength_bps.tolist(), strict=True)) == by_hand[name], (seed, name)
        for key, implausibility_bps in zip(signals.keys.tolist(), signals.implausibility_bps.tolist(), strict=True):
            mine = {name: of[key] for name, of in by_hand.items() if key in of}
            assert implausibility_bps == score(mine, SIGNALS)
        spoke |= {name for name, of in by_hand.items() if of}
    assert spoke == set(SIGNALS)


def test_a_window_has_the_same_signals_on_every_machine_to_the_byte() -> None:
    """Without a random generator, which may do otherwise elsewhere. New rules for signals have another digest."""
    rows = history() + _together(12, 100) + _newcomers(300, MUNICH, 20 * HOUR_MS, 100)
    rows += _newcomers(60, BERLIN, 15 * HOUR_MS, 40_000, accuracy_m=5.0, first=3_000)
    rows += _newcomers(60, (30.0, -40.0), 16 * HOUR_MS, 60_000, first=4_000)
    rows += [(20_000, number * HOUR_MS, *MUNICH, 3.0 + number) for number in range(25)]
    for number in range(3_000):
        mixed, account = number * 2_654_435_761 % 2**32, number // 12
        time_ms = 1 + mixed % (7_000, 9_000_000)[account % 2] + number % 12 * (10_000, 7_200_000)[account // 2 % 2]
        lat = account % 150 - 75 + number % 12 * (mixed % 7) / (1_000, 3)[account % 2]
        lon = account % 19 * 18 - 171 + mixed / 2**33
        rows.append((10_000 + account, time_ms, min(lat, 90.0), lon, 3.0 + mixed % (1 + account % 9)))
    signals = account_signals(columns_of(rows))

    assert {name for name, reading in signals.readings.items() if len(reading.accounts)} == set(SIGNALS)
    assert (
        hashlib.sha256(bytes_of(signals)).hexdigest()
        == "3774687eb7b6b4ada34f73ab6daf95f89e75f4f9b226d03f2b4dbd591b235362"
    )
