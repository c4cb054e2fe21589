"""Batches against the ledger: subdivision, exhaustion, gates inside a batch, conservation, and the state root."""

from __future__ import annotations

from dataclasses import replace
from itertools import count, islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh import locate
from step_node.ledger.apply import BatchRefused, LedgerInput, apply_batch
from step_node.ledger.commitment import commit_changes, state_root
from step_node.ledger.execution import ConservationBroken, check_conservation
from step_node.ledger.records import (
    Account,
    ChainRecord,
    NonceRecord,
    Triangle,
    TriangleState,
    nonce_age,
)
from step_node.proofs.proof import RefusalCode, SignedProof
from tests.ledger.world import World
from tests.support.proofs import START_MS, address, signed_proof


def crowd(count: int, *, level: int, timestamp_ms: int = START_MS, prefix: str = "walker") -> list[SignedProof]:
    """`count` accounts clicking the same triangle."""
    return [signed_proof(f"{prefix}-{index}", level=level, timestamp_ms=timestamp_ms) for index in range(count)]


def test_a_proof_credits_its_account_and_clicks_its_triangle() -> None:
    world = World()
    proof = signed_proof("bob", level=10)
    (receipt,) = world.apply(proof).receipts
    assert (receipt.height, receipt.index, receipt.reward_ustep, receipt.clicks) == (1, 0, 1_953, 1)
    assert world.accounts[address("bob")].balance_ustep == 1_953
    assert world.triangles[int(proof.triangle)] == Triangle(int(proof.triangle), 1, TriangleState.ACTIVE)


def test_the_eleventh_click_subdivides_and_the_children_come_into_being_in_the_same_transition() -> None:
    world = World()
    proofs = crowd(11, level=10)
    receipts = world.apply(*proofs).receipts
    assert [receipt.triangle_state for receipt in receipts] == [TriangleState.ACTIVE] * 10 + [TriangleState.SUBDIVIDED]
    for child in proofs[0].triangle.children:
        assert world.triangles[int(child)] == Triangle(int(child), 0, TriangleState.ACTIVE)


def test_children_that_genesis_seeded_keep_their_clicks_when_their_parent_is_subdivided() -> None:
    world = World()
    child_proof = signed_proof("early", level=6)
    world.apply(child_proof)
    world.apply(*crowd(11, level=5))
    assert world.triangles[int(child_proof.triangle)].clicks == 1
    assert int(locate(child_proof.lat, child_proof.lon, 5)) in world.triangles
    assert world.root_from_scratch() == state_root(world.head.lanes)


def test_a_child_can_be_clicked_in_the_batch_that_brings_it_into_being() -> None:
    world = World()
    receipts = world.apply(*crowd(11, level=10), signed_proof("late", level=11)).receipts
    assert receipts[-1].clicks == 1
    assert world.root_from_scratch() == state_root(world.head.lanes)


def test_a_twelfth_click_in_the_same_batch_makes_the_batch_invalid() -> None:
    with pytest.raises(BatchRefused, match="proof 11: TRIANGLE_EXHAUSTED"):
        World().apply(*crowd(12, level=10))


def test_a_triangle_of_the_last_level_is_exhausted_by_its_28th_click() -> None:
    world = World(seeded_level=21)
    receipts = world.apply(*crowd(28, level=21)).receipts
    assert [receipt.clicks for receipt in receipts] == list(range(1, 29))
    assert {receipt.triangle_state for receipt in receipts[:-1]} == {TriangleState.ACTIVE}
    assert receipts[-1].triangle_state is TriangleState.EXHAUSTED
    with pytest.raises(BatchRefused, match="exhausted"):
        world.apply(signed_proof("too-late", level=21))


def test_a_triangle_above_the_seeded_levels_does_not_exist_before_its_parent_is_subdivided() -> None:
    with pytest.raises(BatchRefused, match="TRIANGLE_NOT_FOUND"):
        World().apply(signed_proof(level=11))


STEP_TABLE: list[tuple[str, list[dict[str, object]], RefusalCode | None]] = [
    ("the same nonce twice in one batch", [{"nonce": "a"}, {"nonce": "a", "timestamp_ms": START_MS + 60_000}],
     RefusalCode.NONCE_REPLAY),
    ("two clicks 9.999 s apart", [{}, {"timestamp_ms": START_MS + 9_999}], RefusalCode.MORATORIUM),
    ("two clicks 10 s apart", [{}, {"timestamp_ms": START_MS + 10_000}], None),
    ("a click at the same time", [{}, {}], RefusalCode.MORATORIUM),
    ("a click before the last one", [{}, {"timestamp_ms": START_MS - 60_000}], RefusalCode.MORATORIUM),
    ("one degree of latitude in 30 s", [{}, {"lat": 48.3769, "timestamp_ms": START_MS + 30_000}], RefusalCode.TOO_FAST),
    ("too fast and too soon: speed is asked first", [{}, {"lat": 48.3769, "timestamp_ms": START_MS + 5_000}],
     RefusalCode.TOO_FAST),
    ("149 m in 10 s", [{"lat": 0.0, "lon": 0.0}, {"lat": 0.0, "lon": 0.00134, "timestamp_ms": START_MS + 10_000}],
     None),
    ("151 m in 10 s", [{"lat": 0.0, "lon": 0.0}, {"lat": 0.0, "lon": 0.00136, "timestamp_ms": START_MS + 10_000}],
     RefusalCode.TOO_FAST),
    ("across the antimeridian, 20 m",
     [{"lat": 0.0, "lon": 179.9999}, {"lat": 0.0, "lon": -179.9999, "timestamp_ms": START_MS + 10_000}], None),
    ("120.001 s ahead of the batch", [{"timestamp_ms": START_MS + 181_001}], RefusalCode.CLOCK_DRIFT),
    ("120 s ahead of the batch", [{"timestamp_ms": START_MS + 181_000}], None),
    ("300 s behind the batch", [{"timestamp_ms": START_MS + 61_000 - 300_000}], None),
    ("300.001 s behind the batch", [{"timestamp_ms": START_MS + 61_000 - 300_001}], RefusalCode.CLOCK_DRIFT),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "code"), [row[1:] for row in STEP_TABLE], ids=[row[0] for row in STEP_TABLE])
def test_the_state_gates(changes: list[dict[str, object]], code: RefusalCode | None) -> None:
    proofs = [signed_proof("carol", **change) for change in changes]  # type: ignore[arg-type]  # a table of keywords
    world = World()
    if code is None:
        assert len(world.apply(*proofs, at_ms=START_MS + 61_000).receipts) == len(proofs)
    else:
        with pytest.raises(BatchRefused) as refused:
            world.apply(*proofs, at_ms=START_MS + 61_000)
        assert str(refused.value).startswith(f"proof {len(proofs) - 1}: {code}: ")
        assert refused.value.index == len(proofs) - 1


def test_the_moratorium_counts_from_the_last_finalised_proof_too() -> None:
    world = World()
    world.apply(signed_proof("dave"))
    with pytest.raises(BatchRefused, match="MORATORIUM"):
        world.apply(signed_proof("dave", timestamp_ms=START_MS + 9_000))


def test_a_nonce_is_remembered_until_no_proof_that_waited_beside_it_can_come_back() -> None:
    world = World()
    window_ms = 2 * (300_000 + 120_000)
    world.apply(signed_proof("erin", nonce="once"), at_ms=START_MS)
    late_ms = START_MS + window_ms
    with pytest.raises(BatchRefused, match="NONCE_REPLAY"):
        world.apply(signed_proof("erin", nonce="once", timestamp_ms=late_ms), at_ms=late_ms)
    world.apply(signed_proof("frank", timestamp_ms=late_ms + 1), at_ms=late_ms + 1)
    assert (address("erin"), "once") not in world.nonces
    world.apply(signed_proof("erin", nonce="once", timestamp_ms=late_ms + 2), at_ms=late_ms + 2)
    assert world.root_from_scratch() == state_root(world.head.lanes)


def test_after_a_pause_a_batch_removes_twice_its_places_of_nonces_and_the_rest_stay_used() -> None:
    world = World(batch_target_proofs=1, batch_max_proofs=2)
    for seconds in range(5):
        pair_ms = [START_MS + seconds * 1_000 + index for index in (1, 0)]
        proofs = [signed_proof(f"{at_ms}", nonce=f"{at_ms}", timestamp_ms=at_ms) for at_ms in pair_ms]
        world.apply(*proofs, at_ms=pair_ms[0])
    by_age = sorted(world.nonces.values(), key=nonce_age)
    after_ms = START_MS + 86_400_000

    def again(nonce: NonceRecord) -> SignedProof:
        return signed_proof(nonce.nonce, nonce=nonce.nonce, timestamp_ms=after_ms, level=9)

    with pytest.raises(BatchRefused, match="NONCE_REPLAY"):
        world.apply(again(by_age[4]), at_ms=after_ms)
    first = world.apply(again(by_age[3]), at_ms=after_ms)
    assert first.changes.nonces_removed == tuple(by_age[:4])
    second = world.apply(signed_proof("grace", timestamp_ms=after_ms, level=9), at_ms=after_ms + 1)
    assert second.changes.nonces_removed == tuple(by_age[4:8])
    third = world.apply(again(by_age[9]), at_ms=after_ms + 2)
    assert third.changes.nonces_removed == tuple(by_age[8:])
    world.check()


PAUSES_MS = (1_000, 60_000, 400_000, 839_999, 840_001, 86_400_000)


@settings(max_examples=15, deadline=None)
@given(
    batches=st.lists(st.tuples(st.integers(1, 2), st.sampled_from(PAUSES_MS)), min_size=1, max_size=12),
    backlog=st.integers(0, 40),
)
def test_nonces_leave_oldest_first_twice_as_fast_as_they_can_come_and_none_stays_for_ever(
    batches: list[tuple[int, int]], backlog: int
) -> None:
    places, window_ms = 2, 2 * (300_000 + 120_000)
    world = World(batch_target_proofs=1, batch_max_proofs=places)
    # As many more as a fuller past has left, of one age: their place is decided by account and nonce.
    older = [NonceRecord(address("henry"), f"{index:x}", START_MS - 1) for index in range(backlog)]
    world.nonces.update(((nonce.account, nonce.nonce), nonce) for nonce in older)
    world.head = replace(world.head, lanes=commit_changes(world.head.lanes, removed=(), added=older))
    now_ms, places_taken = START_MS, count()

    def grow(proofs: int) -> int:
        """A batch of so many; how many that have expired it leaves."""
        before = sorted(world.nonces.values(), key=nonce_age)
        expired = sum(nonce.timestamp_ms < now_ms - window_ms for nonce in before)
        new = [signed_proof(f"{one}", lon=one / 10, timestamp_ms=now_ms) for one in islice(places_taken, proofs)]
        world.apply(*new, at_ms=now_ms)
        left = [nonce for nonce in before if (nonce.account, nonce.nonce) in world.nonces]
        assert left == before[min(expired, 2 * places) :]
        return max(0, expired - 2 * places)

    for proofs, pause_ms in batches:
        grow(proofs)
        now_ms += pause_ms
    now_ms += window_ms + 1
    left = len(world.nonces)
    for _ in range(-(-left // (2 * places))):
        # Even while as many come as can, those that have expired get fewer.
        left = grow(places)
        now_ms += 1
    assert left == 0
    world.check()


def test_validators_are_rewarded_with_the_batch_after_theirs() -> None:
    world = World()
    world.apply(signed_proof("gina", level=1))
    assert world.head.chain.paid_ustep == 1_000_000
    minted_before_ustep = world.head.chain.minted_ustep
    transition = world.apply(signed_proof("hugo", level=10))
    shares = [world.accounts[validator.address].balance_ustep for validator in world.head.validators[:3]]
    assert shares == [16_668, 16_666, 16_666]  # 5 % of 1 STEP among three; the first proposed and gets the remainder
    assert [transition.validator_rewards_ustep[one.address] for one in world.head.validators[:3]] == shares
    assert world.head.chain.minted_ustep == minted_before_ustep + 50_000 + 1_953


@settings(max_examples=25)
@given(
    st.lists(
        st.lists(
            st.tuples(
                st.integers(0, 5), st.integers(1, 10), st.floats(-80, 80, width=32), st.floats(-180, 180, width=32)
            ),
            min_size=1,
            max_size=6,
            unique_by=lambda click: click[0],
        ),
        min_size=1,
        max_size=4,
    )
)
def test_value_is_conserved_and_the_root_is_that_of_the_records(
    batches: list[list[tuple[int, int, float, float]]],
) -> None:
    world = World(speed_limit_mps=300_000_000, moratorium_ms=0)
    for number, clicks in enumerate(batches):
        at_ms = START_MS + number * 60_000
        world.apply(
            *(
                signed_proof(f"p{who}", level=level, lat=lat, lon=lon, timestamp_ms=at_ms)
                for who, level, lat, lon in clicks
            ),
            at_ms=at_ms + 1,
        )
        chain = world.head.chain
        assert sum(account.balance_ustep for account in world.accounts.values()) == chain.balances_ustep
        assert chain.minted_ustep == chain.balances_ustep + chain.stakes_ustep + chain.burnt_ustep
        assert world.root_from_scratch() == state_root(world.head.lanes)


def test_value_from_nowhere_stops_the_ledger() -> None:
    chain = World().head.chain
    with pytest.raises(ConservationBroken, match="minted"):
        check_conservation(replace(chain, balances_ustep=chain.balances_ustep + 1))
    with pytest.raises(ConservationBroken, match="negative"):
        check_conservation(ChainRecord(1, b"", 0, b"", 0, 0, -1, 1, 0))


def test_a_record_that_was_not_loaded_is_a_bug_and_not_an_absent_one() -> None:
    world = World()
    with pytest.raises(KeyError):
        apply_batch(
            world.slice([], (), ()),
            LedgerInput(START_MS, address("x"), (), (signed_proof(),), b"h" * 32),
        )


def test_account_and_triangle_records_never_change_in_place() -> None:
    account = Account(b"a" * 20)
    with pytest.raises(AttributeError):
        account.balance_ustep = 1  # type: ignore[misc]  # the point of the test


def test_speed_is_compared_up_to_the_horizon_and_no_longer() -> None:
    """A first fix at 0, 0 must not lock an account out for days."""
    here, far = signed_proof("alice", lat=0.0, lon=0.0), (47.0, 8.0)
    for later_ms, is_refused in ((3_600_000, True), (3_600_001, False)):
        world = World()
        world.apply(here)
        at_ms = here.timestamp_ms + later_ms
        there = signed_proof("alice", lat=far[0], lon=far[1], timestamp_ms=at_ms)
        if is_refused:
            with pytest.raises(BatchRefused, match=r"TOO_FAST: .* more than 3600000 ms after it is not compared"):
                world.apply(there, at_ms=at_ms)
        else:
            world.apply(there, at_ms=at_ms)
            world.check()


def test_the_horizon_is_a_parameter_of_the_chain() -> None:
    world = World(speed_horizon_ms=20_000)
    here = signed_proof("alice", lat=0.0, lon=0.0)
    world.apply(here)
    at_ms = here.timestamp_ms + 20_001
    world.apply(signed_proof("alice", lat=47.0, lon=8.0, timestamp_ms=at_ms), at_ms=at_ms)
