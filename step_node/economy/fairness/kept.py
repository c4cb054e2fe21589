"""What a node keeps of an epoch that has ended: its report, if it has one, and where the chain stood.

The point is what the next epoch is made from when the node starts again. An epoch within which a node has begun to
follow the chain has a point, but no report.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import msgpack

from step_node.economy.fairness.drift import Headline
from step_node.economy.fairness.point import ChainPoint, InvalidPoint
from step_node.economy.fairness.report import FairnessReport
from step_node.economy.side_file import EconomyFileError, kept_reports

_EPOCHS_END = 2**63 - 1

REPORT_BYTES_MAX = 1 << 20
"""A report of a thousand validators has 350 KB of JSON; what unpacks to more than this is none."""


KEPT_BYTES_MAX = 1 << 19
"""Of all that is kept of an epoch, packed; what is longer is not read."""


class Lacking(StrEnum):
    """Why an epoch has no report here."""

    NOTHING = ""
    """It has one."""
    BEGUN_WITHIN = "begun_within"
    """This node has followed the chain only from a later batch of the epoch on."""
    TOO_MANY_ACCOUNTS = "too_many_accounts"
    """No node makes one of an epoch with so many."""
    UNSOUND = "unsound"
    """What its receipts say cannot be: the ledger has a fault, which is for the guardrails to tell."""


class InvalidKeptEpoch(ValueError):
    """The bytes are not what is kept of an epoch. The message says why."""


@dataclass(frozen=True, slots=True)
class KeptEpoch:
    """`report` is the canonical JSON of it, and empty where `lacking` says why there is none; `point` is that of the
    epoch's end."""

    point: ChainPoint
    report: bytes = b""
    headline: Headline | None = None
    lacking: Lacking = Lacking.NOTHING

    @classmethod
    def of(cls, report: FairnessReport, point: ChainPoint) -> KeptEpoch:
        """What is kept of an epoch that has a report."""
        canonical_json = report.canonical_json()
        return cls(point, canonical_json, Headline.of(report, canonical_json))

    def encoded(self) -> bytes:
        """What `decoded` reads."""
        headline = b"" if self.headline is None else self.headline.model_dump_json(by_alias=True).encode()
        return bytes(msgpack.packb((zlib.compress(self.report), headline, self.point.encoded(), self.lacking.value)))

    @classmethod
    def decoded(cls, data: bytes) -> KeptEpoch:
        """What is kept in `data`. Raises `InvalidKeptEpoch`."""
        try:
            packed, headline, point, lacking = _fields_in(data)
            return cls(
                ChainPoint.decoded(point),
                _unpacked(packed),
                Headline.model_validate_json(headline) if headline else None,
                Lacking(lacking),
            )
        except (ValueError, TypeError, InvalidPoint, zlib.error, msgpack.UnpackException) as error:
            raise InvalidKeptEpoch(f"what is kept of an epoch cannot be read: {error}") from error


def unreported_from(path: Path) -> int | None:
    """The first height of which a stopped node, whose side file this is, has no report yet: it still needs the batches
    from there on. None where the file says nothing. Blocks."""
    try:
        last = kept_reports(path, before=_EPOCHS_END, limit=1)
        return KeptEpoch.decoded(last[0].body).point.height + 1 if last else None
    except (EconomyFileError, InvalidKeptEpoch):
        return None


def headline_in(data: bytes) -> Headline | None:
    """The headline of what is kept in `data`, which is not unpacked for it; None where there is no report.

    Raises `InvalidKeptEpoch`.
    """
    try:
        _, headline, _, _ = _fields_in(data)
        return Headline.model_validate_json(headline) if headline else None
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise InvalidKeptEpoch(f"what is kept of an epoch cannot be read: {error}") from error


def _fields_in(data: bytes) -> tuple[bytes, bytes, bytes, str]:
    if len(data) > KEPT_BYTES_MAX:
        raise ValueError(f"it has {len(data)} bytes; {KEPT_BYTES_MAX} are the most")
    packed, headline, point, lacking = msgpack.unpackb(data)
    return packed, headline, point, lacking


def _unpacked(packed: bytes) -> bytes:
    unpacker = zlib.decompressobj()
    report = unpacker.decompress(packed, REPORT_BYTES_MAX)
    if not unpacker.eof:
        raise ValueError(f"the report is cut short, or longer than {REPORT_BYTES_MAX} bytes")
    return report
