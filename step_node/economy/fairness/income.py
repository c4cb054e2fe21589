"""What the accounts of an epoch were paid for their proofs: a row for each payment, and their sums by account.

The rows of a full batch take 0.04 MB, and those of an epoch are summed by account whenever there are `ROWS_MAX` of
them. So what an epoch takes of memory grows with its accounts, of which there may be `ACCOUNTS_MAX`: a million payments
take 46 MB, and 210 MB for the seconds in which a million accounts are summed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from step_node.ledger.state import Receipt
from step_node.proofs.proof import ADDRESS_BYTES

ROWS_MAX: Final = 1 << 20
"""Payments that are kept one by one; once there are so many, they are summed by account. A thousand batches of a
thousand proofs stay below."""

ACCOUNTS_MAX: Final = 1 << 20
"""Accounts that a report is made of. An epoch with more has none: so many proofs fit in one only where genesis has
made epochs longer than a thousand batches."""

Integers: TypeAlias = npt.NDArray[np.int64]
Bytes: TypeAlias = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Payments:
    """Payments for proofs, in the order in which they became final. `account` has 20 bytes a row, `triangle` is the
    integer form, `balance_ustep` the account's balance right after the payment."""

    account: Bytes
    triangle: Integers
    reward_ustep: Integers
    balance_ustep: Integers

    @classmethod
    def of(cls, receipts: Sequence[Receipt]) -> Payments:
        """Those that the receipts of one batch tell of, which are in its order."""
        rows = len(receipts)
        return cls(
            np.frombuffer(b"".join([one.account for one in receipts]), np.uint8).reshape(rows, ADDRESS_BYTES),
            np.array([one.triangle for one in receipts], np.int64),
            np.array([one.reward_ustep for one in receipts], np.int64),
            np.array([one.balance_ustep for one in receipts], np.int64),
        )

    @classmethod
    def joined(cls, parts: Sequence[Payments]) -> Payments:
        """All of them, one after another."""
        if not parts:
            return cls.of(())
        return cls(*(np.concatenate([getattr(part, one.name) for part in parts]) for one in fields(cls)))

    def __len__(self) -> int:
        return len(self.account)


@dataclass(frozen=True, eq=False)
class AccountSums:
    """A row for each account, by rising address: how many proofs it was paid for, what, and its balance before the
    first of them and after the last."""

    account: Bytes
    proofs: Integers
    paid_ustep: Integers
    before_ustep: Integers
    after_ustep: Integers

    @classmethod
    def of(cls, payments: Payments) -> AccountSums:
        """The sums of these payments."""
        alone = cls(
            payments.account,
            np.ones(len(payments), np.int64),
            payments.reward_ustep,
            payments.balance_ustep - payments.reward_ustep,
            payments.balance_ustep,
        )
        return alone._by_account()

    def then(self, later: AccountSums) -> AccountSums:
        """The sums of what was before and of what came later."""
        columns = (one.name for one in fields(self))
        both = (np.concatenate((getattr(self, column), getattr(later, column))) for column in columns)
        return AccountSums(*both)._by_account()

    def _by_account(self) -> AccountSums:
        """One row for each account, of rows in the order of time."""
        if len(self) == 0:
            return self
        # A stable sort: an account's rows stay in the order of time.
        keys = _sort_keys(self.account)
        order = np.lexsort(keys)
        is_first = np.ones(len(self), np.bool_)
        is_first[1:] = np.any([key[order][1:] != key[order][:-1] for key in keys], axis=0)
        first = np.flatnonzero(is_first)
        last = np.append(first[1:], len(self)) - 1
        return AccountSums(
            self.account[order[first]],
            np.add.reduceat(self.proofs[order], first),
            np.add.reduceat(self.paid_ustep[order], first),
            self.before_ustep[order[first]],
            self.after_ustep[order[last]],
        )

    def __len__(self) -> int:
        return len(self.account)


def _sort_keys(accounts: Bytes) -> tuple[npt.NDArray[np.uint64], ...]:
    """The addresses as columns of numbers, the last the most significant, as `np.lexsort` wants them."""
    padded = np.zeros((len(accounts), 24), np.uint8)
    padded[:, :ADDRESS_BYTES] = accounts
    columns = padded.view(">u8").astype(np.uint64)
    return columns[:, 2], columns[:, 1], columns[:, 0]
