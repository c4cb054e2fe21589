"""The mempool: bounds, deduplication, fairness between accounts, and when there is work for consensus."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from step_node.ledger.state_gates import check_clock
from step_node.mempool.pool import ACCOUNT_PROOFS_MAX, Mempool
from step_node.parameters import Parameters
from step_node.proofs.proof import RefusalCode, SignedProof
from tests.support.proofs import START_MS, address, signed_proof

PARAMETERS = Parameters()
UNHURRIED = Parameters(moratorium_ms=0)
NAMES = ("alice", "bob", "carol")
NOW_MS = START_MS

WALKS = {name: [signed_proof(name, timestamp_ms=START_MS + step * 10_000) for step in range(8)] for name in NAMES}
"""Eight proofs of each account, at one place, as far apart as the moratorium asks."""


class Uptime:
    """What waiting is measured by here."""

    def __init__(self) -> None:
        self.milliseconds = 0

    def __call__(self) -> int:
        return self.milliseconds


def filled(proofs: list[SignedProof], *, proofs_max: int = 100, uptime: Uptime | None = None) -> Mempool:
    mempool = Mempool(proofs_max=proofs_max, monotonic_ms=uptime or Uptime())
    for proof in proofs:
        assert mempool.check(proof, PARAMETERS) is None
        assert mempool.add(proof)
    return mempool


def code_of(mempool: Mempool, proof: SignedProof, parameters: Parameters = PARAMETERS) -> RefusalCode | None:
    refusal = mempool.check(proof, parameters)
    return None if refusal is None else refusal.code


def test_a_full_mempool_refuses_newcomers_and_evicts_nobody() -> None:
    mempool = filled([WALKS["alice"][0], WALKS["bob"][0]], proofs_max=2)
    assert code_of(mempool, WALKS["carol"][0]) is RefusalCode.MEMPOOL_FULL
    assert list(mempool.ids()) == [WALKS["alice"][0].proof_id, WALKS["bob"][0].proof_id]
    mempool.remove(WALKS["alice"][0].proof_id)
    assert code_of(mempool, WALKS["carol"][0]) is None


def test_a_bound_that_is_lowered_takes_nothing_away_and_one_that_is_raised_lets_more_in() -> None:
    mempool = filled([WALKS["alice"][0], WALKS["bob"][0]], proofs_max=2)
    mempool.set_places(1)
    assert (len(mempool), mempool.statistics().proofs_max) == (2, 1)
    mempool.remove(WALKS["alice"][0].proof_id)
    assert code_of(mempool, WALKS["carol"][0]) is RefusalCode.MEMPOOL_FULL
    mempool.set_places(8)
    assert code_of(mempool, WALKS["carol"][0]) is None


def test_a_waiting_proof_is_no_reason_to_refuse_itself_even_when_full() -> None:
    proof = WALKS["alice"][0]
    mempool = filled([proof], proofs_max=1)
    assert code_of(mempool, proof) is None
    assert not mempool.add(proof)
    assert len(mempool) == 1


def test_one_nonce_of_an_account_waits_once() -> None:
    mempool = filled([signed_proof("alice", nonce="same")])
    assert code_of(mempool, signed_proof("alice", nonce="same", timestamp_ms=START_MS + 60_000)) is (
        RefusalCode.NONCE_REPLAY
    )
    assert code_of(mempool, signed_proof("bob", nonce="same")) is None


def test_an_account_cannot_hold_more_than_its_places() -> None:
    crowd = [signed_proof("alice", timestamp_ms=START_MS + step) for step in range(ACCOUNT_PROOFS_MAX + 1)]
    mempool = Mempool(monotonic_ms=Uptime())
    for proof in crowd[:-1]:
        assert mempool.check(proof, UNHURRIED) is None
        mempool.add(proof)
    assert code_of(mempool, crowd[-1], UNHURRIED) is RefusalCode.RATE_LIMITED
    assert code_of(mempool, WALKS["bob"][0], UNHURRIED) is None


def test_a_newcomer_keeps_its_distance_from_waiting_proofs_on_both_sides() -> None:
    mempool = filled([WALKS["alice"][0], WALKS["alice"][2]])
    assert code_of(mempool, signed_proof("alice", timestamp_ms=START_MS + 9_999)) is RefusalCode.MORATORIUM
    assert code_of(mempool, signed_proof("alice", timestamp_ms=START_MS + 10_001)) is RefusalCode.MORATORIUM
    assert code_of(mempool, signed_proof("alice", timestamp_ms=START_MS)) is RefusalCode.MORATORIUM
    assert code_of(mempool, signed_proof("alice", lat=47.40, timestamp_ms=START_MS + 10_000)) is RefusalCode.TOO_FAST
    assert code_of(mempool, WALKS["alice"][1]) is None


def test_removing_leaves_no_trace() -> None:
    mempool = filled([WALKS["alice"][0], WALKS["alice"][1]])
    for proof in WALKS["alice"][:2]:
        assert mempool.remove(proof.proof_id) is proof
    assert mempool.remove(WALKS["alice"][0].proof_id) is None
    assert mempool.get(WALKS["alice"][0].proof_id) is None
    assert mempool.touching([address("alice")], [int(WALKS["alice"][0].triangle)]) == []
    statistics = mempool.statistics()
    assert (statistics.proofs, statistics.accounts) == (0, 0)


def test_touched_are_those_of_the_account_or_the_triangle_once() -> None:
    elsewhere = signed_proof("carol", lat=-33.0, lon=151.0)
    mempool = filled([WALKS["alice"][0], WALKS["bob"][0], elsewhere])
    touched = mempool.touching([address("alice")], [int(WALKS["alice"][0].triangle)])
    assert {proof.account for proof in touched} == {address("alice"), address("bob")}
    assert len(touched) == 2


def test_older_than_is_by_the_proofs_own_time() -> None:
    mempool = filled([WALKS["alice"][1], WALKS["bob"][0]])
    assert mempool.older_than(START_MS + 10_000) == [WALKS["bob"][0]]
    assert mempool.older_than(START_MS) == []


def test_older_than_gives_them_as_they_arrived_and_none_that_has_left() -> None:
    first, second = WALKS["alice"][:2]
    mempool = filled([second, WALKS["bob"][0], first])
    assert mempool.older_than(second.timestamp_ms + 1) == [second, WALKS["bob"][0], first]
    assert mempool.older_than(second.timestamp_ms) == [WALKS["bob"][0], first]
    mempool.remove(first.proof_id)
    assert mempool.older_than(second.timestamp_ms) == [WALKS["bob"][0]]


def test_the_longest_waiting_account_is_offered_first_and_nobody_twice_before_all_once() -> None:
    mempool = filled([*WALKS["bob"][:3], WALKS["alice"][0], WALKS["carol"][0]])
    offered = mempool.candidates(100, time_ms=NOW_MS, parameters=PARAMETERS)
    assert [proof.account for proof in offered[:3]] == [address("bob"), address("alice"), address("carol")]
    assert mempool.candidates(3, time_ms=NOW_MS, parameters=PARAMETERS) == offered[:3]


def test_untimely_proofs_are_not_offered_but_stay() -> None:
    old = signed_proof("alice", timestamp_ms=NOW_MS - PARAMETERS.proof_max_age_ms - 1)
    early = signed_proof("bob", timestamp_ms=NOW_MS + PARAMETERS.clock_drift_ms + 1)
    good = signed_proof("alice", timestamp_ms=NOW_MS)
    mempool = filled([old, early, good])
    assert mempool.candidates(10, time_ms=NOW_MS, parameters=PARAMETERS) == [good]
    assert len(mempool) == 3


@settings(max_examples=60)
@given(
    arrivals=st.permutations([proof for walk in WALKS.values() for proof in walk]),
    taken=st.integers(0, 24),
    limit=st.integers(1, 30),
)
def test_candidates_are_fair_and_in_each_accounts_order(arrivals: list[SignedProof], taken: int, limit: int) -> None:
    mempool = filled(arrivals[:taken])
    offered = mempool.candidates(limit, time_ms=NOW_MS, parameters=PARAMETERS)
    assert len(offered) == min(limit, taken) == len(set(offered))
    waiting = Counter(proof.account for proof in arrivals[:taken])
    shares = Counter(proof.account for proof in offered)
    for account in waiting:
        own = [proof.timestamp_ms for proof in offered if proof.account == account]
        of_all = sorted(proof.timestamp_ms for proof in arrivals[:taken] if proof.account == account)
        assert own == of_all[: len(own)], "an account's proofs are offered in order, and none is left out"
        if shares[account] < waiting[account]:
            assert shares[account] >= max(shares.values()) - 1, "who has more to offer is not behind the others"


def test_there_is_work_when_the_oldest_has_waited_for_the_interval() -> None:
    uptime = Uptime()
    mempool = filled([WALKS["alice"][0]], uptime=uptime)
    assert mempool.work_due_in_ms(time_ms=NOW_MS, parameters=PARAMETERS) == 1_000
    uptime.milliseconds = 999
    assert mempool.work_due_in_ms(time_ms=NOW_MS, parameters=PARAMETERS) == 1
    for uptime.milliseconds in (1_000, 2_000):
        assert mempool.work_due_in_ms(time_ms=NOW_MS, parameters=PARAMETERS) == 0


def test_a_clock_that_is_set_back_or_forward_makes_nobody_wait_longer_or_shorter() -> None:
    uptime = Uptime()
    mempool = filled([WALKS["alice"][0]], uptime=uptime)
    uptime.milliseconds = 999
    assert mempool.work_due_in_ms(time_ms=NOW_MS + 60_000, parameters=PARAMETERS) == 1
    uptime.milliseconds = 1_000
    assert mempool.work_due_in_ms(time_ms=NOW_MS - 60_000, parameters=PARAMETERS) == 0
    assert mempool.waited_ms(WALKS["alice"][0].proof_id) == 1_000


def test_there_is_work_at_once_when_enough_wait() -> None:
    three = Parameters(batch_target_proofs=3)
    mempool = filled([WALKS[name][0] for name in NAMES[:2]])
    assert mempool.work_due_in_ms(time_ms=NOW_MS, parameters=three) == three.batch_interval_ms
    mempool.add(WALKS["carol"][0])
    assert mempool.work_due_in_ms(time_ms=NOW_MS, parameters=three) == 0
    alone = filled([WALKS["alice"][0]])
    assert alone.work_due_in_ms(time_ms=NOW_MS, parameters=Parameters(batch_target_proofs=1)) == 0


def test_proofs_that_could_not_be_proposed_are_no_work() -> None:
    assert Mempool().work_due_in_ms(time_ms=NOW_MS, parameters=PARAMETERS) is None
    mempool = filled([WALKS["alice"][0]])
    too_late_ms = START_MS + PARAMETERS.proof_max_age_ms + 1
    for time_ms in (too_late_ms, START_MS - PARAMETERS.clock_drift_ms - 1):
        assert mempool.work_due_in_ms(time_ms=time_ms, parameters=PARAMETERS) is None


SCATTERED = [
    signed_proof(f"account-{index}", timestamp_ms=START_MS + offset_ms)
    for index, offset_ms in enumerate((-400, -300, -300, -201, -200, -199, 0, 0, 99, 100, 101, 300))
]
BRIEF = Parameters(proof_max_age_ms=200, clock_drift_ms=100, batch_interval_ms=50, batch_target_proofs=3)


def naive_work_due_in_ms(mempool: Mempool, now_ms: int) -> int | None:
    """The definition: in order of arrival, look at every waiting proof that a batch of now could hold."""
    waiting = [mempool.get(proof_id) for proof_id in mempool.ids()]
    timely = [proof for proof in waiting if proof is not None and check_clock(proof, now_ms, BRIEF) is None]
    if len(timely) >= BRIEF.batch_target_proofs:
        return 0
    waited_ms = mempool.waited_ms(timely[0].proof_id) if timely else None
    return None if waited_ms is None else max(0, BRIEF.batch_interval_ms - waited_ms)


@given(
    steps=st.lists(
        st.tuples(st.sampled_from(SCATTERED), st.booleans(), st.integers(-600, 600), st.integers(0, 60)), max_size=40
    ),
)
def test_work_is_due_exactly_when_a_look_at_every_proof_says_so(
    steps: list[tuple[SignedProof, bool, int, int]],
) -> None:
    uptime = Uptime()
    mempool = Mempool(monotonic_ms=uptime)
    for proof, is_added, offset_ms, pause_ms in steps:
        now_ms = START_MS + offset_ms
        if is_added:
            mempool.add(proof)
        else:
            mempool.remove(proof.proof_id)
        for later_ms in (0, 49, 50, 200):
            at_ms = now_ms + later_ms
            assert mempool.work_due_in_ms(time_ms=at_ms, parameters=BRIEF) == naive_work_due_in_ms(mempool, at_ms)
        uptime.milliseconds += pause_ms
