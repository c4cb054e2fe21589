"""A database of the single-server STEP made into the initial state of a chain: read, checked, summed up, written.

Everything that the result depends on is ordered by its own key and summed in integers, so whoever imports the same
documents for the same plan gets the same state, to the last bit.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from mesh import LEVEL_MAX, LEVEL_MIN, TriangleId
from step_node.chain.genesis import GenesisPlan
from step_node.chain.initial_state import AMOUNT_USTEP_MAX, InitialState
from step_node.errors import describe_validation_error
from step_node.importing.documents import (
    Document,
    OldAccount,
    OldEvent,
    OldTriangle,
    are_outside,
    read_account,
    read_event,
    read_triangle,
    remarks_about,
)
from step_node.importing.mongo_source import ACCOUNTS, EVENTS, TRIANGLES, ImportFailed, Source, whole
from step_node.importing.report import Kind, Report, Unusable, cut
from step_node.importing.scratch import Scratch
from step_node.ledger.apply import nonce_expiry
from step_node.snapshot.initial_state import check_initial_state, write_initial_state

CLICK: Final = "click"
EVENT_TYPES_MAX: Final = 20
"""Other types of events that are told by name; what is beyond is told together, as `…`."""

Progress = Callable[[str, int, int], None]


class TotalsBroken(AssertionError):
    """The sums do not add up: a bug, which must end the import before anything is written."""


@dataclass(slots=True)
class Totals:
    """What was read, taken over and left out. Amounts are micro-STEP."""

    accounts_read: int = 0
    accounts_imported: int = 0
    balances_read_ustep: int = 0
    """Of all accounts whose balance can be read."""
    balances_imported_ustep: int = 0
    balances_left_out_ustep: int = 0
    rewards_read_ustep: int = 0
    """What all events that can be read say they have paid."""
    rewards_of_no_account_ustep: int = 0
    rewards_difference_ustep: int = 0
    """The sum, over the accounts whose balance is not the sum of their rewards, of balance less rewards."""
    triangles_read: int = 0
    triangles_imported: int = 0
    triangles_untouched: int = 0
    children_added: int = 0
    events_read: int = 0
    clicks_read: int = 0
    other_events: Counter[str] = field(default_factory=Counter)
    events_naming_no_triangle: int = 0
    clicks_outside: int = 0
    """Clicks whose position is not within the triangle that they name; of them those of triangles that are taken over,
    and those of triangles that are not."""
    clicks_outside_imported: int = 0
    clicks_outside_left_out: int = 0
    rewards_outside_ustep: int = 0
    """What they say they have paid, in the same parts."""
    rewards_outside_imported_ustep: int = 0
    rewards_outside_left_out_ustep: int = 0
    nonces_imported: int = 0
    nonces_expired: int = 0

    def require_reconciled(self) -> None:
        """Raises `TotalsBroken` unless every micro-STEP that was read is accounted for, and every click outside."""
        accounted = self.balances_imported_ustep + self.balances_left_out_ustep
        if self.balances_read_ustep != accounted:
            raise TotalsBroken(f"balances: {self.balances_read_ustep} µSTEP read, {accounted} accounted for: {self}")
        rewards_here = self.rewards_read_ustep - self.rewards_of_no_account_ustep
        if self.balances_imported_ustep - rewards_here != self.rewards_difference_ustep:
            raise TotalsBroken(f"rewards: the differences do not add up: {self}")
        clicks = self.clicks_outside_imported + self.clicks_outside_left_out
        outside_ustep = self.rewards_outside_imported_ustep + self.rewards_outside_left_out_ustep
        if (self.clicks_outside, self.rewards_outside_ustep) != (clicks, outside_ustep):
            raise TotalsBroken(f"clicks outside their triangle: the parts do not add up: {self}")


@dataclass(frozen=True, slots=True)
class Imported:
    """The plan with the state that it begins with, and how that came about."""

    plan: GenesisPlan
    state: InitialState
    totals: Totals


def import_database(source: Source, plan: GenesisPlan, folder: Path, report: Report, progress: Progress) -> Imported:
    """Read all of `source`, and write the state to `state.bin` in `folder`, where scratch files may go as well.

    Raises `ImportFailed`, `InitialStateError`, OSError.
    """
    try:
        with closing(Scratch(folder / "scratch.sqlite")) as scratch:
            work = _Import(source, plan, scratch, report, progress)
            work.read()
            work.settle()
            state = work.write(folder / "state.bin")
    except sqlite3.Error as error:
        raise ImportFailed(
            f"{folder}: the scratch file cannot be used: {error}. It needs about as much room as the old database: make"
            " room there, or name an --initial-state on a larger disk"
        ) from error
    imported = plan.model_copy(update={"initial_state": state})
    progress("checking", 0, 1)
    check_initial_state(folder / "state.bin", imported)
    return Imported(imported, state, work.totals)


class _Import:
    def __init__(self, source: Source, plan: GenesisPlan, scratch: Scratch, report: Report, progress: Progress) -> None:
        self._source = source
        self._plan = plan
        self._scratch = scratch
        self._report = report
        self._progress = progress
        self.totals = Totals()

    def read(self) -> None:
        """All three collections."""
        for page in whole(self._source, ACCOUNTS, self._progress):
            self._read_accounts(page)
        for page in whole(self._source, TRIANGLES, self._progress):
            self._read_triangles(page)
        for page in whole(self._source, EVENTS, self._progress):
            self._read_events(page)

    def _read_accounts(self, page: Sequence[Document]) -> None:
        accounts: list[OldAccount] = []
        for document in page:
            try:
                accounts.append(read_account(document))
            except Unusable as unusable:
                self._note(ACCOUNTS, document, unusable)
        self.totals.accounts_read += len(page)
        self.totals.balances_read_ustep += sum(one.balance_ustep for one in accounts)
        if self.totals.balances_read_ustep > AMOUNT_USTEP_MAX:
            raise ImportFailed(f"accounts: balance: together they hold more than a chain can, {AMOUNT_USTEP_MAX} µSTEP")
        self._scratch.add_accounts(accounts)

    def _read_triangles(self, page: Sequence[Document]) -> None:
        triangles: list[OldTriangle] = []
        for document in page:
            try:
                triangle = read_triangle(document)
            except Unusable as unusable:
                self._note(TRIANGLES, document, unusable)
                continue
            for remark in remarks_about(document, triangle):
                self._note(TRIANGLES, document, remark)
            triangles.append(triangle)
        self.totals.triangles_read += len(page)
        self._scratch.add_triangles(triangles)

    def _read_events(self, page: Sequence[Document]) -> None:
        read: list[tuple[Document, OldEvent]] = []
        for document in page:
            if not self._is_click(document):
                continue
            try:
                read.append((document, read_event(document)))
            except Unusable as unusable:
                self._note(EVENTS, document, unusable)
        events = [event for _, event in read]
        outside = are_outside(events)
        for (document, event), is_outside in zip(read, outside, strict=True):
            self._remark(document, event, is_outside=is_outside)
        totals, scratch = self.totals, self._scratch
        totals.events_read += len(page)
        totals.clicks_read += len(events)
        totals.rewards_read_ustep += sum(one.reward_ustep or 0 for one in events)
        if totals.rewards_read_ustep > AMOUNT_USTEP_MAX:
            raise ImportFailed(f"triangle_events: payload.reward: together more than {AMOUNT_USTEP_MAX} µSTEP")
        begins_ms = self._plan.genesis_time_ms
        taken = [pair for pair in zip(events, outside, strict=True) if pair[0].timestamp_ms <= begins_ms]
        clicks = [one for one, _ in taken]
        scratch.add_rewards([one for one in events if one.timestamp_ms > begins_ms], taken=False)
        scratch.add_rewards(clicks, taken=True)
        scratch.add_nonces(clicks)
        scratch.add_clicks(taken)
        outsiders = [one for one, is_outside in taken if is_outside]
        totals.clicks_outside += len(outsiders)
        totals.rewards_outside_ustep += sum(one.reward_ustep or 0 for one in outsiders)
        scratch.add_places([one for one, is_outside in taken if one.made_up is None and not is_outside])

    def _is_click(self, document: Document) -> bool:
        kind = document.get("eventType")
        if kind == CLICK:
            return True
        name, known = cut(kind), self.totals.other_events
        known[name if name in known or len(known) < EVENT_TYPES_MAX else "…"] += 1
        return False

    def _remark(self, document: Document, event: OldEvent, *, is_outside: bool) -> None:
        if event.reward_ustep is None:
            rule = "must be whole micro-STEP, a number or a string of digits"
            self._note(EVENTS, document, Unusable(Kind.REWARD_UNREADABLE, "payload.reward", rule))
        if event.timestamp_ms > self._plan.genesis_time_ms:
            rule = "must not be after the chain begins (genesis_time_ms of the plan)"
            self._note(EVENTS, document, Unusable(Kind.EVENT_AFTER_GENESIS, "timestamp", rule))
        if event.made_up is not None:
            self._note(EVENTS, document, Unusable(Kind.TRIANGLE_MADE_UP, "triangleId", event.made_up))
        elif event.triangle is None:
            self.totals.events_naming_no_triangle += 1
        elif is_outside and event.triangle is not None:
            rule = f"{event.lat}, {event.lon} is not within {event.triangle.text}"
            self._note(EVENTS, document, Unusable(Kind.EVENT_OUTSIDE, "payload.lat, payload.lon", rule))

    def settle(self) -> None:
        """Hold what was read against one another, and take out what cannot be."""
        self._settle_accounts()
        self._settle_triangles()
        self._settle_clicks_outside()
        self.totals.require_reconciled()
        for account, nonce, events in self._scratch.nonces_twice():
            self._report.note(Kind.NONCE_TWICE, EVENTS, _hex(account), "nonce", f"{nonce!r} is that of {events} events")

    def _settle_accounts(self) -> None:
        totals, note = self.totals, self._report.note
        for address, documents, ustep in self._scratch.take_accounts_twice():
            rule = f"{documents} documents are of this address, with {ustep} µSTEP together"
            note(Kind.ACCOUNT_TWICE, ACCOUNTS, _hex(address), "_id", rule)
            totals.balances_left_out_ustep += ustep
        for address, events, ustep in self._scratch.accounts_lacking():
            rule = f"there is no such account; {events} events have paid it {ustep} µSTEP"
            note(Kind.EVENT_OF_NO_ACCOUNT, EVENTS, _hex(address), "account", rule)
            totals.rewards_of_no_account_ustep += ustep
        for address, balance_ustep, ustep in self._scratch.rewards_differing():
            rule = f"is {balance_ustep} µSTEP, and its events have paid {ustep}: {balance_ustep - ustep:+}"
            note(Kind.REWARDS_DIFFER, ACCOUNTS, _hex(address), "balance", rule)
            totals.rewards_difference_ustep += balance_ustep - ustep
        totals.balances_imported_ustep = self._scratch.balances_ustep()

    def _settle_triangles(self) -> None:
        totals, scratch, note = self.totals, self._scratch, self._report.note
        if scratch.names_triangles():
            for triangle, clicks, events in scratch.clicks_differing():
                rule = f"is {clicks}, and {events} events name it"
                note(Kind.CLICKS_DIFFER, TRIANGLES, _text(triangle), "clicks", rule)
        for triangle, events in scratch.take_triangles_elsewhere():
            rule = f"has {events} events, and none of their positions is within it"
            note(Kind.TRIANGLE_MADE_UP, TRIANGLES, _text(triangle), "_id", rule)
        seeded_level = self._plan.parameters.seeded_level
        for level in range(max(seeded_level, LEVEL_MIN), LEVEL_MAX):
            totals.children_added += scratch.add_children(level)
            for triangle in scratch.take_orphans(level + 1):
                rule = f"a triangle of level {level + 1} is there only once its parent is subdivided"
                note(Kind.TRIANGLE_WITHOUT_PARENT, TRIANGLES, _text(triangle), "_id", rule)
        totals.triangles_untouched = scratch.drop_untouched(seeded_level)

    def _settle_clicks_outside(self) -> None:
        """List the triangles that are taken over with clicks from elsewhere (ADR 57)."""
        totals, scratch = self.totals, self._scratch
        for triangle, clicks, events, outside, ustep in scratch.clicks_outside():
            rule = f"is {clicks}, and of the {events} events that name it {outside} lie outside and paid {ustep} µSTEP"
            self._report.note(Kind.CLICKS_OUTSIDE, TRIANGLES, _text(triangle), "clicks", rule)
            totals.clicks_outside_imported += outside
            totals.rewards_outside_imported_ustep += ustep
        totals.clicks_outside_left_out, totals.rewards_outside_left_out_ustep = scratch.clicks_outside_of_none()

    def write(self, path: Path) -> InitialState:
        """The state as a file."""
        expiry = nonce_expiry(self._plan.genesis_time_ms, self._plan.parameters)
        self._progress("writing", 0, 1)
        try:
            with path.open("wb") as file:
                state = write_initial_state(file, self._scratch.pages(nonces_from_ms=expiry.before_ms))
        except ValidationError as error:
            raise ImportFailed(f"the state is not one to begin with: {describe_validation_error(error)}") from error
        totals = self.totals
        if state.balances_ustep != totals.balances_imported_ustep:
            raise TotalsBroken(f"{state.balances_ustep} µSTEP written, {totals.balances_imported_ustep} read")
        totals.accounts_imported = state.accounts
        totals.triangles_imported = state.triangles
        totals.nonces_imported = state.nonces
        totals.nonces_expired = self._scratch.nonces_before(expiry.before_ms)
        return state

    def _note(self, collection: str, document: Document, unusable: Unusable) -> None:
        self._report.note(unusable.kind, collection, document.get("_id"), unusable.field, unusable.rule)


def unaccepted(report: Report, accepted: Iterable[Kind]) -> list[Kind]:
    """The kinds of discrepancies that were found and that nobody has said may be, in their order."""
    allowed = set(accepted)
    return [kind for kind in Kind if report.counts[kind] and kind not in allowed]


def _hex(address: bytes) -> str:
    return f"0x{address.hex()}"


def _text(triangle: int) -> str:
    return TriangleId.from_int(triangle).text
