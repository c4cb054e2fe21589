"""Shares of the mempool: newcomers take neither every place nor every turn, and neither does one source."""

from __future__ import annotations

from collections import Counter
from itertools import count
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from mesh import locate
from step_node.mempool.outcomes import Pending
from step_node.mempool.pool import Mempool
from step_node.parameters import Parameters
from step_node.proofs.proof import Refusal, RefusalCode, SignedProof
from tests.mempool.parts import open_parts
from tests.support.proofs import START_MS, address, signed_proof

PARAMETERS = Parameters()
TRIANGLE = locate(47.3769, 8.5417, 10)
_numbers = count()


def proof_of(account: str, *, timestamp_ms: int = START_MS) -> SignedProof:
    """A proof that is signed by nobody: the mempool does not look at signatures."""
    number = next(_numbers)
    proof_id = number.to_bytes(32, "big")
    return SignedProof(address(account), TRIANGLE, 47.0, 8.0, 5.0, timestamp_ms, f"n{number}", bytes(65), proof_id)


def empty(proofs_max: int = 1_000) -> Mempool:
    return Mempool(proofs_max=proofs_max, monotonic_ms=lambda: 0)


def let_in(mempool: Mempool, proof: SignedProof, newcomer_from: str | None) -> RefusalCode | None:
    refusal = mempool.check(proof, PARAMETERS, newcomer_from=newcomer_from)
    if refusal is None:
        assert mempool.add(proof, newcomer_from=newcomer_from)
        return None
    return refusal.code


def offered(mempool: Mempool, limit: int = 1_000) -> list[SignedProof]:
    return mempool.candidates(limit, time_ms=START_MS, parameters=PARAMETERS)


def fill_with_newcomers(mempool: Mempool, sources: int, each: int) -> Counter[RefusalCode | None]:
    return Counter(
        let_in(mempool, proof_of(f"throw-away {source} {number}"), f"source {source}")
        for source in range(sources)
        for number in range(each)
    )


def test_the_shares_are_those_of_the_bound_that_holds() -> None:
    mempool = empty(40)

    def until_refused(source: str) -> tuple[int, RefusalCode | None]:
        before = len(mempool)
        answers = (let_in(mempool, proof_of(f"{source} {number}"), source) for number in count(before))
        return next((len(mempool) - before, code) for code in answers if code is not None)

    assert until_refused("a") == (10, RefusalCode.RATE_LIMITED)
    mempool.set_places(80)
    assert until_refused("a") == (10, RefusalCode.RATE_LIMITED)
    mempool.set_places(22)
    assert until_refused("b") == (0, RefusalCode.MEMPOOL_FULL)
    assert [let_in(mempool, proof_of(f"resident {number}"), None) for number in range(2)] == [None, None]


def test_newcomers_of_any_number_of_sources_leave_a_quarter_of_the_places_and_every_other_turn() -> None:
    mempool = empty(40)
    answers = fill_with_newcomers(mempool, sources=20, each=5)
    assert answers == {None: 30, RefusalCode.MEMPOOL_FULL: 70}
    resident = [proof_of(f"resident {number}") for number in range(10)]
    assert [let_in(mempool, proof, None) for proof in resident] == [None] * 10
    assert set(resident[:3]) < set(offered(mempool, 6))
    assert len(offered(mempool, 6)) == 6, "newcomers have the other turns"


def test_residents_leave_a_quarter_of_the_places_and_every_other_turn_to_newcomers() -> None:
    mempool = empty(40)
    answers = [let_in(mempool, proof_of(f"resident {number}"), None) for number in range(60)]
    assert answers == [None] * 30 + [RefusalCode.MEMPOOL_FULL] * 30
    newcomer = proof_of("newcomer")
    assert let_in(mempool, newcomer, "somewhere") is None
    assert newcomer in offered(mempool, 2)


def test_one_source_takes_a_quarter_of_the_places_and_no_turn_of_another() -> None:
    mempool = empty(40)
    assert fill_with_newcomers(mempool, sources=1, each=20) == {None: 10, RefusalCode.RATE_LIMITED: 10}
    honest = proof_of("honest")
    assert let_in(mempool, honest, "elsewhere") is None
    assert honest in offered(mempool, 2)


def test_more_proofs_of_a_newcomer_are_counted_for_whom_they_come_through() -> None:
    mempool = empty(8)
    first, second, third = (proof_of("newcomer", timestamp_ms=START_MS + 10_000 * step) for step in range(3))
    assert let_in(mempool, first, "honest") is None
    assert [let_in(mempool, proof, "crowded") for proof in (second, third)] == [None, None]
    assert let_in(mempool, proof_of("another"), "crowded") is RefusalCode.RATE_LIMITED
    assert let_in(mempool, proof_of("a third"), "honest") is None
    assert [proof for proof in offered(mempool) if proof.account == address("newcomer")] == [first, second, third]


def test_who_has_had_a_turn_comes_after_those_who_have_not() -> None:
    mempool = empty()
    of_bob = [proof_of("bob", timestamp_ms=START_MS + 10_000 * step) for step in range(3)]
    of_alice = proof_of("alice")
    for proof in (*of_bob, of_alice):
        assert let_in(mempool, proof, None) is None
    mempool.remove(of_bob[0].proof_id)
    assert offered(mempool) == [of_alice, of_bob[1], of_bob[2]]


def test_accounts_whose_proofs_are_out_of_time_hide_nobody() -> None:
    mempool = empty()
    for number in range(5):
        assert let_in(mempool, proof_of(f"late {number}", timestamp_ms=START_MS - 300_001), None) is None
    timely = proof_of("timely")
    assert let_in(mempool, timely, None) is None
    assert offered(mempool, 1) == [timely]


async def test_with_the_mempool_full_of_newcomers_an_account_with_history_is_in_the_next_batch(tmp_path: Path) -> None:
    async with open_parts(tmp_path, proofs_max=16) as parts:
        await parts.finalise([signed_proof("alice", timestamp_ms=START_MS - 60_000)])
        crowd = [signed_proof(f"throw-away-{number}", lat=float(number)) for number in range(20)]
        answers = [
            await parts.admission.submit(proof, wait_ms=0, source=f"192.0.2.{number % 5}")
            for number, proof in enumerate(crowd)
        ]
        assert answers[:12] == [Pending()] * 12
        assert all(isinstance(answer, Refusal) for answer in answers[12:])
        of_alice = signed_proof("alice")
        assert await parts.admission.submit(of_alice, wait_ms=0, source="192.0.2.0") == Pending()
        candidates = parts.mempool.candidates(2, time_ms=START_MS + 1, parameters=parts.chain.parameters)
        assert of_alice in candidates
        judged = await parts.finalise(candidates)
        assert of_alice in judged.batch.proofs
        (newcomer,) = set(candidates) - {of_alice}
        after_ms = START_MS + 20_000
        parts.clock.advance(20_000)
        # Its first proof is final: it is a newcomer no longer, and the places of newcomers are no matter to it.
        name = next(name for name in (f"throw-away-{n}" for n in range(20)) if address(name) == newcomer.account)
        again = signed_proof(name, lat=newcomer.lat, timestamp_ms=after_ms)
        assert await parts.admission.submit(again, wait_ms=0, source="192.0.2.0") == Pending()


ACCOUNTS = tuple("abcdefg")
SOURCES = (None, None, "one", "two", "three")


@settings(max_examples=150, deadline=None)
@given(
    steps=st.lists(
        st.one_of(
            st.tuples(st.just("add"), st.sampled_from(ACCOUNTS), st.sampled_from(SOURCES)),
            st.tuples(st.just("remove"), st.integers(0, 100), st.none()),
            st.tuples(st.just("history"), st.sampled_from(ACCOUNTS), st.none()),
        ),
        max_size=60,
    ),
    limit=st.integers(1, 70),
)
def test_every_waiting_proof_has_its_turn_and_the_sides_alternate(
    steps: list[tuple[str, str | int, str | None]], limit: int
) -> None:
    mempool = empty(24)
    waiting: dict[bytes, SignedProof] = {}
    source_of: dict[bytes, str] = {}
    """The model: of each newcomer's proof through whom it came; of others nothing."""

    def forget(account: bytes) -> None:
        for proof in waiting.values():
            if proof.account == account:
                source_of.pop(proof.proof_id, None)

    for number, (what, which, source) in enumerate(steps):
        if what == "add":
            proof = proof_of(str(which), timestamp_ms=START_MS + 10_000 * (number - 30))
            known = any(one.account == proof.account and one.proof_id not in source_of for one in waiting.values())
            newcomer = None if known else source
            same_side = len(source_of) if newcomer else len(waiting) - len(source_of)
            of_source = sum(one == newcomer for one in source_of.values())
            code = let_in(mempool, proof, source)
            if len(waiting) >= 24:
                assert code is RefusalCode.MEMPOOL_FULL
            elif newcomer and of_source >= 6:
                assert code is RefusalCode.RATE_LIMITED
            elif same_side >= 18:
                assert code is RefusalCode.MEMPOOL_FULL
            else:
                assert code is None
                if newcomer is None:
                    forget(proof.account)
                else:
                    source_of[proof.proof_id] = newcomer
                waiting[proof.proof_id] = proof
        elif what == "remove" and waiting:
            proof_id = list(waiting)[int(which) % len(waiting)]
            assert mempool.remove(proof_id) == waiting.pop(proof_id)
            source_of.pop(proof_id, None)
        elif what == "history":
            mempool.note_history([address(str(which))])
            forget(address(str(which)))
    found = mempool.candidates(
        limit, time_ms=START_MS, parameters=Parameters(clock_drift_ms=10**9, proof_max_age_ms=10**9)
    )
    assert len(found) == len(set(found)) == min(limit, len(waiting))
    assert set(found) <= set(waiting.values())
    for account in {proof.account for proof in found}:
        times = [proof.timestamp_ms for proof in found if proof.account == account]
        of_all = sorted(proof.timestamp_ms for proof in waiting.values() if proof.account == account)
        assert times == of_all[: len(times)]
    is_newcomer = [proof.proof_id in source_of for proof in found]
    pairs = min(len(source_of), len(waiting) - len(source_of), limit // 2)
    assert is_newcomer[: 2 * pairs] == [False, True] * pairs
