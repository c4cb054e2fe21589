"""An old database becomes a state: what is in it, what is not believed, and that every micro-STEP is accounted for."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mesh import TriangleId, locate
from step_node.chain.initial_state import AMOUNT_USTEP_MAX
from step_node.importing import scratch
from step_node.importing.importer import Totals, TotalsBroken, import_database, unaccepted
from step_node.importing.mongo_source import ACCOUNTS, EVENTS, TRIANGLES, ImportFailed
from step_node.importing.report import EXAMPLES_MAX, Kind, Report
from step_node.ledger.records import Account, LastProof, NonceRecord, Triangle, TriangleState
from step_node.parameters import Parameters
from tests.importing.conftest import PLAN, Collections, Outcome, import_
from tests.importing.old_database import ListSource, moment
from tests.support.proofs import START_MS

Importing = Callable[..., Outcome]
SOMEBODY = f"0x{1:040x}"
DEEPER_MS = 2 * (Parameters().proof_max_age_ms + Parameters().clock_drift_ms)


def document_of(collections: Collections, collection: str, **fields: object) -> dict[str, Any]:
    return next(one for one in collections[collection] if all(one[name] == fields[name] for name in fields))


def test_a_sound_database_is_taken_over_whole_and_nothing_is_found_wrong(
    do_import: Importing, collections: Collections
) -> None:
    found = do_import(collections)
    assert not found.report.counts
    totals = found.imported.totals
    balances = {bytes.fromhex(one["_id"][2:]): int(one["balance"]) for one in collections[ACCOUNTS]}
    accounts = {one.address: one for one in found.records if isinstance(one, Account)}
    assert {address: one.balance_ustep for address, one in accounts.items()} == balances
    assert totals.balances_imported_ustep == totals.rewards_read_ustep == sum(balances.values())
    latest = max(
        (one for one in collections[EVENTS] if one["account"] == SOMEBODY), key=lambda event: event["timestamp"]
    )
    somebody = accounts[bytes.fromhex(SOMEBODY[2:])]
    assert somebody.last_proof == LastProof(
        int(latest["timestamp"].timestamp() * 1000), latest["payload"]["lat"], latest["payload"]["lon"]
    )
    assert somebody.proofs == sum(one["account"] == SOMEBODY for one in collections[EVENTS])
    triangles = {one.id: one for one in found.records if isinstance(one, Triangle)}
    seeded = PLAN.parameters.seeded_level
    for one in collections[TRIANGLES]:
        place = TriangleId.parse(one["_id"])
        if one["clicks"] == 0 and place.level <= seeded:
            assert place.integer not in triangles, "what nobody has touched needs no record"
        else:
            record = triangles.pop(place.integer)
            assert (record.clicks, record.state.name.lower()) == (one["clicks"], one["state"])
    assert not triangles
    assert {one["state"] for one in collections[TRIANGLES]} == {"active", "subdivided"}, "it has all that it should"
    nonces = {(one.account, one.nonce) for one in found.records if isinstance(one, NonceRecord)}
    assert nonces == {(bytes.fromhex(one["account"][2:]), one["nonce"]) for one in collections[EVENTS]}


def test_two_people_get_the_same_state_in_whatever_order_the_documents_lie(
    collections: Collections, tmp_path: Path
) -> None:
    first = import_(collections, tmp_path / "first")
    numbers = random.Random(1)
    for documents in collections.values():
        numbers.shuffle(documents)
    for index, event in enumerate(collections[EVENTS]):
        event["_id"] = f"restored-{index}"
    second = import_(collections, tmp_path / "second")
    assert first.imported.state == second.imported.state
    assert first.path.read_bytes() == second.path.read_bytes()


def test_a_nonce_that_no_proof_could_use_again_stays_behind_and_is_counted(
    do_import: Importing, collections: Collections
) -> None:
    document_of(collections, EVENTS, nonce="old-3")["timestamp"] = moment(START_MS - DEEPER_MS - 1)
    document_of(collections, EVENTS, nonce="old-4")["timestamp"] = moment(START_MS - DEEPER_MS)
    found = do_import(collections)
    nonces = {one.nonce for one in found.records if isinstance(one, NonceRecord)}
    assert "old-3" not in nonces
    assert "old-4" in nonces
    assert found.imported.totals.nonces_expired == 1


def broken_address(collections: Collections) -> None:
    document_of(collections, ACCOUNTS, _id=SOMEBODY)["_id"] = "0x12"


def negative_balance(collections: Collections) -> None:
    document_of(collections, ACCOUNTS, _id=SOMEBODY)["balance"] = "-5"


def address_twice(collections: Collections) -> None:
    collections[ACCOUNTS] += [
        {"_id": "0x" + "ab" * 20, "balance": "7"},
        {"_id": "0x" + "AB" * 20, "balance": "9"},
    ]


def subdivided_one(collections: Collections, level: int) -> dict[str, Any]:
    return document_of(collections, TRIANGLES, state="subdivided", level=level)


def made_up_id(collections: Collections) -> None:
    collections[TRIANGLES].append(
        {"_id": "STEP-TRI-v1:A2-10000000000000000000-AAA", "level": 2, "state": "active", "clicks": 1}
    )


def another_level(collections: Collections) -> None:
    collections[TRIANGLES].append({"_id": locate(1, 1, 5).text, "level": 6, "state": "active", "clicks": 1})


def made_up_in_event(collections: Collections) -> None:
    document_of(collections, EVENTS, nonce="old-3")["triangleId"] = "a triangle"


def all_positions_elsewhere(collections: Collections) -> None:
    place = locate(1, 1, 5)
    collections[TRIANGLES].append({"_id": place.text, "level": 5, "state": "active", "clicks": 1})
    event = dict(document_of(collections, EVENTS, nonce="old-3"), _id="more", nonce="more", triangleId=place.text)
    event["payload"] = dict(event["payload"], lat=-10.0, lon=-10.0, reward=0)
    collections[EVENTS].append(event)


def too_many_clicks(collections: Collections) -> None:
    collections[TRIANGLES].append({"_id": locate(1, 1, 5).text, "level": 5, "state": "active", "clicks": 11})


def unknown_state(collections: Collections) -> None:
    collections[TRIANGLES].append({"_id": locate(1, 1, 5).text, "level": 5, "state": "moved", "clicks": 1})


def orphan(collections: Collections) -> None:
    collections[TRIANGLES].append({"_id": locate(1, 1, 12).text, "level": 12, "state": "active", "clicks": 0})


def foreign_child(collections: Collections) -> None:
    subdivided = subdivided_one(collections, 9)
    subdivided["childrenIds"] = [*subdivided["childrenIds"][:3], locate(1, 1, 10).text]


def more_clicks(collections: Collections) -> None:
    collections[TRIANGLES].append({"_id": locate(1, 1, 5).text, "level": 5, "state": "active", "clicks": 3})


def unreadable_last_click(collections: Collections) -> None:
    collections[TRIANGLES][0]["lastClickAt"] = 17


def position_elsewhere(collections: Collections) -> None:
    event = document_of(collections, EVENTS, nonce="old-403")
    event["payload"] = dict(event["payload"], lat=event["payload"]["lat"] + 5)


def position_of_text(collections: Collections) -> None:
    document_of(collections, EVENTS, nonce="old-3")["payload"] = {"lat": "47", "lon": 8.0, "reward": "1"}


def tomorrow(collections: Collections) -> None:
    document_of(collections, EVENTS, nonce="old-3")["timestamp"] = moment(START_MS + 1)


def nobody(collections: Collections) -> None:
    event = dict(document_of(collections, EVENTS, nonce="old-3"), _id="more", account="0x" + "cd" * 20)
    collections[EVENTS].append(event)


def nonce_again(collections: Collections) -> None:
    event = dict(document_of(collections, EVENTS, nonce="old-3"), _id="more")
    event["payload"] = dict(event["payload"], reward=0)
    collections[EVENTS].append(event)


def reward_of_float(collections: Collections) -> None:
    event = document_of(collections, EVENTS, nonce="old-3")
    event["payload"] = dict(event["payload"], reward=0.5)


def gift(collections: Collections) -> None:
    holder = document_of(collections, ACCOUNTS, _id=SOMEBODY)
    holder["balance"] = str(int(holder["balance"]) + 1)


@pytest.mark.parametrize(
    ("change", "kind", "told"),
    [
        (broken_address, Kind.ACCOUNT_UNREADABLE, "accounts 0x12: _id: must be an address"),
        (negative_balance, Kind.ACCOUNT_UNREADABLE, f"accounts {SOMEBODY}: balance: must be whole micro-STEP"),
        (address_twice, Kind.ACCOUNT_TWICE, f"accounts 0x{'ab' * 20}: _id: 2 documents"),
        (made_up_id, Kind.TRIANGLE_MADE_UP, "_id: checksum"),
        (another_level, Kind.TRIANGLE_MADE_UP, "level: must be 5, that of the id, not '6'"),
        (made_up_in_event, Kind.TRIANGLE_MADE_UP, "triangle_events 3: triangleId: prefix"),
        (all_positions_elsewhere, Kind.TRIANGLE_MADE_UP, "_id: has 1 events, and none of their positions"),
        (too_many_clicks, Kind.TRIANGLE_IMPOSSIBLE, "clicks: an active triangle of level 5 has 0 to 10"),
        (unknown_state, Kind.TRIANGLE_IMPOSSIBLE, "state: must be one of active, subdivided, exhausted"),
        (orphan, Kind.TRIANGLE_WITHOUT_PARENT, "_id: a triangle of level 12 is there only once"),
        (foreign_child, Kind.CHILDREN_DIFFER, "childrenIds: must be the mesh's four children"),
        (more_clicks, Kind.CLICKS_DIFFER, "clicks: is 3, and 0 events name it"),
        (unreadable_last_click, Kind.LAST_CLICK_UNREADABLE, "lastClickAt: must be a date"),
        (position_of_text, Kind.EVENT_UNREADABLE, "triangle_events 3: payload.lat: must be a number"),
        (tomorrow, Kind.EVENT_AFTER_GENESIS, "triangle_events 3: timestamp"),
        (nobody, Kind.EVENT_OF_NO_ACCOUNT, f"triangle_events 0x{'cd' * 20}: account: there is no such account"),
        (position_elsewhere, Kind.EVENT_OUTSIDE, "triangle_events 403: payload.lat, payload.lon:"),
        (position_elsewhere, Kind.CLICKS_OUTSIDE, "events that name it 1 lie outside and paid "),
        (nonce_again, Kind.NONCE_TWICE, f"triangle_events {SOMEBODY[:-1]}4: nonce: 'old-3' is that of 2 events"),
        (reward_of_float, Kind.REWARD_UNREADABLE, "triangle_events 3: payload.reward: must be whole"),
        (gift, Kind.REWARDS_DIFFER, f"accounts {SOMEBODY}: balance: is "),
    ],
)
def test_what_is_wrong_is_listed_by_collection_id_field_and_rule_and_sums_still_add_up(
    do_import: Importing, collections: Collections, change: Callable[[Collections], None], kind: Kind, told: str
) -> None:
    change(collections)
    found = do_import(collections)
    assert any(told in str(one) for one in found.report.examples[kind]), found.report.examples
    assert [json.loads(line)["kind"] for line in found.lines].count(kind) == found.report.counts[kind] > 0
    found.imported.totals.require_reconciled()
    assert found.imported.state.balances_ustep == sum(
        one.balance_ustep for one in found.records if isinstance(one, Account)
    )


def test_every_kind_of_discrepancy_says_what_is_done_about_it() -> None:
    assert all(kind.effect for kind in Kind)


def test_an_untrusted_triangle_takes_its_descendants_with_it(do_import: Importing, collections: Collections) -> None:
    subdivided = subdivided_one(collections, 10)
    place = TriangleId.parse(subdivided["_id"])
    subdivided["clicks"] = 12
    found = do_import(collections)
    assert found.report.counts[Kind.TRIANGLE_IMPOSSIBLE] == 1
    assert found.report.counts[Kind.TRIANGLE_WITHOUT_PARENT] >= len(place.children)
    kept = [TriangleId.from_int(one.id) for one in found.records if isinstance(one, Triangle)]
    assert place not in kept
    assert not any(place.is_ancestor_of(one) for one in kept)


def test_children_that_the_old_server_lost_come_into_being(do_import: Importing, collections: Collections) -> None:
    subdivided = subdivided_one(collections, 10)
    child = next(
        one for one in collections[TRIANGLES] if one["_id"] in subdivided["childrenIds"] and one["clicks"] == 0
    )
    collections[TRIANGLES].remove(child)
    found = do_import(collections)
    assert found.imported.totals.children_added == 1
    assert Triangle(TriangleId.parse(child["_id"]).integer) in found.records


def test_positions_that_are_not_trusted_are_nobodys_last_and_their_nonces_stay_used(
    do_import: Importing, collections: Collections
) -> None:
    position_elsewhere(collections)
    holder = document_of(collections, EVENTS, nonce="old-403")["account"]
    before = document_of(collections, EVENTS, nonce="old-303")
    assert before["account"] == holder
    found = do_import(collections)
    account = next(one for one in found.records if isinstance(one, Account) and one.address.hex() == holder[2:])
    assert account.last_proof is not None
    assert account.last_proof.lat == before["payload"]["lat"]
    assert NonceRecord(account.address, "old-403", START_MS - 60_000 - 96 * 10) in found.records


def test_clicks_from_elsewhere_stay_in_their_triangle_and_are_told_with_what_they_were_paid(
    do_import: Importing, collections: Collections
) -> None:
    # Of a subdivided triangle three; of another, which is left out for that, all; and one of an impossible one.
    partly = subdivided_one(collections, 9)
    moved = [one for one in collections[EVENTS] if one["triangleId"] == partly["_id"]][:3]
    counted = {
        one["_id"]: sum(event["triangleId"] == one["_id"] for event in collections[EVENTS])
        for one in collections[TRIANGLES]
    }
    wholly = next(one for one in collections[TRIANGLES] if counted[one["_id"]] == one["clicks"] > 0 and one != partly)
    left_out = [one for one in collections[EVENTS] if one["triangleId"] == wholly["_id"]]
    for event in moved + left_out:
        event["payload"] = dict(event["payload"], lat=-event["payload"]["lat"])
    found = do_import(collections)
    (told,) = (json.loads(line) for line in found.lines if json.loads(line)["kind"] == Kind.CLICKS_OUTSIDE)
    paid = [sum(int(one["payload"]["reward"]) for one in events) for events in (moved, left_out)]
    assert (told["document"], told["field"]) == (partly["_id"], "clicks")
    assert told["rule"] == f"is 11, and of the 11 events that name it 3 lie outside and paid {paid[0]} µSTEP"
    kept = {one.id: one for one in found.records if isinstance(one, Triangle)}
    assert kept[TriangleId.parse(partly["_id"]).integer].clicks == 11
    totals = found.imported.totals
    assert (totals.clicks_outside_imported, totals.rewards_outside_imported_ustep) == (3, paid[0])
    assert (totals.clicks_outside_left_out, totals.rewards_outside_left_out_ustep) == (len(left_out), paid[1])
    assert (totals.clicks_outside, totals.rewards_outside_ustep) == (3 + len(left_out), sum(paid))
    assert totals.rewards_difference_ustep == 0, "balances count, and the rewards in them"


def test_clicks_outside_that_do_not_add_up_end_the_import() -> None:
    Totals(clicks_outside=2, clicks_outside_imported=1, clicks_outside_left_out=1).require_reconciled()
    for broken in (Totals(clicks_outside=1), Totals(rewards_outside_ustep=5, rewards_outside_imported_ustep=4)):
        with pytest.raises(TotalsBroken, match="clicks outside their triangle"):
            broken.require_reconciled()


def test_an_exhausted_triangle_of_the_last_level_is_taken_over(do_import: Importing, collections: Collections) -> None:
    place = locate(1, 1, 21)
    above = [locate(1, 1, level) for level in range(10, 21)]
    collections[TRIANGLES] += [
        {
            "_id": one.text,
            "level": one.level,
            "state": "subdivided",
            "clicks": 11,
            "childrenIds": [child.text for child in one.children],
        }
        for one in above
    ]
    collections[TRIANGLES].append({"_id": place.text, "level": 21, "state": "exhausted", "clicks": 28})
    found = do_import(collections)
    assert Triangle(place.integer, 28, TriangleState.EXHAUSTED) in found.records
    assert found.kinds == {Kind.CLICKS_DIFFER}


def test_more_than_a_chain_can_hold_ends_the_import(do_import: Importing, collections: Collections) -> None:
    collections[ACCOUNTS] += [
        {"_id": "0x" + "ab" * 20, "balance": str(AMOUNT_USTEP_MAX)},
    ]
    with pytest.raises(ImportFailed, match="accounts: balance: together they hold more than a chain can"):
        do_import(collections)


def test_a_database_that_changes_meanwhile_ends_the_import(tmp_path: Path, collections: Collections) -> None:
    class Living(ListSource):
        def count(self, collection: str) -> int:
            collections[ACCOUNTS].append({"_id": f"0x{len(collections[ACCOUNTS]):040x}", "balance": "0"})
            return super().count(collection)

    with pytest.raises(ImportFailed, match=r"accounts: .* the old server still writes to it"):
        import_database(Living(collections), PLAN, tmp_path, Report(None), lambda _what, _done, _total: None)


def test_a_full_disk_ends_the_import_saying_which_and_that_it_needs_room(
    do_import: Importing, collections: Collections, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scratch, "_SCHEMA", f"{scratch._SCHEMA}PRAGMA max_page_count = 10;")
    with pytest.raises(ImportFailed, match=r"scratch file cannot be used: database or disk is full\..*make room there"):
        do_import(collections)


def test_of_a_million_discrepancies_a_few_are_kept_and_all_are_counted() -> None:
    report = Report(None)
    for index in range(1000):
        report.note(Kind.EVENT_UNREADABLE, EVENTS, index, "nonce", "x" * 10_000)
    assert report.counts[Kind.EVENT_UNREADABLE] == 1000
    assert len(report.examples[Kind.EVENT_UNREADABLE]) == EXAMPLES_MAX
    assert len(str(report.examples[Kind.EVENT_UNREADABLE][0])) < 600


def test_an_ids_text_cannot_speak_to_the_terminal() -> None:
    report = Report(None)
    report.note(Kind.ACCOUNT_UNREADABLE, ACCOUNTS, "\x1b[2J", "_id", "must be an address")
    assert "\x1b" not in str(report.examples[Kind.ACCOUNT_UNREADABLE][0])


def test_kinds_that_nobody_has_accepted_are_in_the_way() -> None:
    report = Report(None)
    report.note(Kind.REWARDS_DIFFER, ACCOUNTS, "a", "balance", "x")
    report.note(Kind.EVENT_OUTSIDE, EVENTS, "b", "payload.lat", "x")
    assert unaccepted(report, [Kind.REWARDS_DIFFER]) == [Kind.EVENT_OUTSIDE]
    assert unaccepted(report, [Kind.REWARDS_DIFFER, Kind.EVENT_OUTSIDE]) == []
