"""An account's proofs as a table for spreadsheets: read and sent page by page, however long it is.

A cell that a spreadsheet could take for a formula gets an apostrophe in front, which spreadsheets do not show: a nonce
is whatever its client has made up. Numbers stay as they are, the negative too.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Final

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from step_node.amounts import step_text
from step_node.api.errors import ApiError
from step_node.api.events.client_presence import is_gone
from step_node.api.histories.cursor import encode_cursor
from step_node.api.histories.pages import PageAsked
from step_node.api.middleware.methods import is_head
from step_node.api.models.schema import hex_text
from step_node.api.server.bill import bill_of
from step_node.offload import run_blocking
from step_node.proofs.timestamps import format_timestamp
from step_node.storage.interface import FinalisedProof, Place, StorageReads, StorageUnavailable

CSV_ROWS_MAX: Final = 10_000
"""Lines of one table, some 3 MB; what is beyond is asked for with the cursor of the last."""

PAGE_ROWS: Final = 500
"""Lines that are read and sent at once."""

PAGE_COST_MS: Final = 4.0
"""What each page costs beyond the first, which is the request's."""

COLUMNS: Final = (
    "proofId",
    "height",
    "index",
    "processedAt",
    "triangleId",
    "level",
    "lat",
    "lon",
    "accuracy",
    "timestamp",
    "nonce",
    "reward",
    "clicks",
    "balance",
    "cursor",
)

_FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r", "\n")


class ProofsCsv(Response):
    """See the module's docstring. `begin` makes it: then the first page is there, and the rest is final history."""

    media_type = "text/csv"

    def __init__(
        self, storage: StorageReads, account: bytes, asked: PageAsked, first_page: Sequence[FinalisedProof]
    ) -> None:
        self.status_code = 200
        self.background = None
        self.init_headers(
            {
                "Content-Type": "text/csv; charset=utf-8; header=present",
                "Content-Disposition": f'attachment; filename="proofs-{hex_text(account)}.csv"',
                "Cache-Control": "no-cache",
            }
        )
        self._storage = storage
        self._account = account
        self._rows_left = asked.limit
        self._page = first_page

    @classmethod
    async def begin(cls, storage: StorageReads, account: bytes, asked: PageAsked) -> ProofsCsv:
        """The table of what is final now, below `asked.before` if that is given. Raises `StorageUnavailable`."""
        first_page = await _read(storage, account, asked.limit, asked.before)
        return cls(storage, account, asked, first_page)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it. Where it cannot be ended, the connection is cut: half a table must not look like a whole one."""
        del receive  # Whether the client is still there is asked after each page.
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        if is_head(scope):
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            return
        await send({"type": "http.response.body", "body": _lines([list(COLUMNS)]), "more_body": True})
        while self._page:
            text = await run_blocking(_rows_text, self._page)
            await send({"type": "http.response.body", "body": text, "more_body": True})
            self._rows_left -= len(self._page)
            if len(self._page) < PAGE_ROWS or not self._rows_left:
                break
            last = self._page[-1].receipt
            try:
                await bill_of(scope)["charge"](PAGE_COST_MS)
                self._page = await _read(self._storage, self._account, self._rows_left, (last.height, last.index))
            except (ApiError, StorageUnavailable):
                return
            if is_gone(scope):
                return
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _read(storage: StorageReads, account: bytes, rows: int, before: Place | None) -> Sequence[FinalisedProof]:
    return await storage.account_proofs(account, limit=min(PAGE_ROWS, rows), before=before)


def _rows_text(page: Sequence[FinalisedProof]) -> bytes:
    return _lines([_row(one) for one in page])


def _lines(rows: Sequence[Sequence[object]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows([[_cell(value) for value in row] for row in rows])
    return text.getvalue().encode()


def _cell(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA_STARTS) else value


def _row(one: FinalisedProof) -> list[object]:
    proof, receipt = one.proof, one.receipt
    return [
        hex_text(receipt.proof_id),
        receipt.height,
        receipt.index,
        format_timestamp(receipt.processed_at_ms),
        proof.triangle.text,
        proof.triangle.level,
        proof.lat,
        proof.lon,
        proof.accuracy_m,
        format_timestamp(proof.timestamp_ms),
        proof.nonce,
        step_text(receipt.reward_ustep),
        receipt.clicks,
        step_text(receipt.balance_ustep),
        encode_cursor(receipt.height, receipt.index),
    ]
