"""What one request costs, and who pays for it (`visitors` has the accounts)."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Final, Protocol, TypedDict, cast

from starlette.types import Scope

from step_node.api.server.quotas import AddressQuota, Quotas
from step_node.api.server.visitors import Refused, Visitors

BILL_EXTENSION: Final = "step.bill"
"""An ASGI extension: under this name a request's scope has an `ApplicationBill`."""


class Charge(Protocol):
    """Have whoever asks pay for so many milliseconds, and wait for its turn. Raises `ApiError` if that is too long."""

    def __call__(self, cost_ms: float, /) -> Awaitable[None]: ...


class GiveBack(Protocol):
    """Give whoever asks this part of all that its request has cost back: it was something that the node is glad of."""

    def __call__(self, part: float, /) -> None: ...


class ApplicationBill(TypedDict):
    """What the application can do about the cost of a request."""

    charge: Charge
    give_back: GiveBack
    quota: AddressQuota


class Bill:
    """The bill of one request. Until it is known who asks, the cost is put down, and paid when it is."""

    def __init__(self, visitors: Visitors, payer: str | None, paid_ms: float = 0.0) -> None:
        self._visitors = visitors
        self.payer = payer
        """A proxy's client is known only when the head of its request is there."""
        self._paid_ms = paid_ms
        self._owed_ms = 0.0

    def add(self, cost_ms: float) -> float | Refused:
        """So much more: how many seconds the payer must wait for its turn, or why it is refused, and pays nothing."""
        if self.payer is None:
            self._owed_ms += cost_ms
            return 0.0
        seconds = self._visitors.charge(self.payer, self._owed_ms + cost_ms)
        if not isinstance(seconds, Refused):
            self._paid_ms += self._owed_ms + cost_ms
            self._owed_ms = 0.0
        return seconds

    def give_back(self, part: float) -> None:
        """Give the payer this part of what it has paid back."""
        if self.payer is not None:
            self._visitors.give_back(self.payer, part * self._paid_ms)
            self._paid_ms -= part * self._paid_ms


async def _charge_nothing(cost_ms: float, /) -> None:
    del cost_ms


def _give_nothing_back(part: float, /) -> None:
    del part


_FREE: Final = ApplicationBill(
    charge=_charge_nothing, give_back=_give_nothing_back, quota=AddressQuota(Quotas(0), None)
)
"""For a server that charges nothing."""


def bill_of(scope: Scope) -> ApplicationBill:
    """The bill of the request with this scope."""
    return cast(ApplicationBill, scope.get("extensions", {}).get(BILL_EXTENSION, _FREE))
