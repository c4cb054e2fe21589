"""What a node keeps of an epoch that has ended: its report, if it has one, and where the chain stood.

The point is what the next epoch is made from when the node starts again. An epoch within which a node has begun to
follow the chain has a point, but no report.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from enum import StrEnum

import msgpack

from step_node.economy.fairness.drift import Headline
from step_node.economy.fairness.point import ChainPoint, InvalidPoint
from step_node.economy.fairness.report import FairnessReport, report_hash

REPORT_BYTES_MAX = 1 << 20
"""A report of a thousand validators has 350 KB of JSON; what unpacks to more than this is none."""

KEPT_BYTES_MAX = 1 << 19
"""Of all that is kept of an epoch, packed; what is longer is not read."""

_FAULTS = (ValueError, TypeError, zlib.error, msgpack.UnpackException)


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

    @property
    def encoded_headline(self) -> bytes:
        """The headline as JSON; empty where there is no report."""
        return b"" if self.headline is None else self.headline.model_dump_json(by_alias=True).encode()

    def encoded(self) -> bytes:
        """What `decoded` reads."""
        fields = (zlib.compress(self.report), self.encoded_headline, self.point.encoded(), self.lacking.value)
        return bytes(msgpack.packb(fields))

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
        except (*_FAULTS, InvalidPoint) as error:
            raise InvalidKeptEpoch(f"what is kept of an epoch cannot be read: {error}") from error


@dataclass(frozen=True, slots=True)
class KeptReport:
    """A report as everybody has it: its canonical JSON, and the SHA-256 of that.

    Both are empty where `lacking` says why there is none.
    """

    canonical_json: bytes
    hash: bytes
    lacking: Lacking

    @classmethod
    def decoded(cls, data: bytes) -> KeptReport:
        """The report in what is kept of an epoch, of which nothing else is looked at. Raises `InvalidKeptEpoch`."""
        try:
            packed, _, _, lacking = _fields_in(data)
            report = _unpacked(packed)
            return cls(report, report_hash(report) if report else b"", Lacking(lacking))
        except _FAULTS as error:
            raise InvalidKeptEpoch(f"what is kept of an epoch cannot be read: {error}") from error


def headline_in(data: bytes) -> bytes:
    """The headline in what is kept of an epoch, as JSON; empty where there is no report.

    Raises `InvalidKeptEpoch`.
    """
    try:
        _, headline, _, _ = _fields_in(data)
        if headline:
            Headline.model_validate_json(headline)
    except _FAULTS as error:
        raise InvalidKeptEpoch(f"what is kept of an epoch cannot be read: {error}") from error
    return headline


def _fields_in(data: bytes) -> tuple[bytes, bytes, bytes, str]:
    if len(data) > KEPT_BYTES_MAX:
        raise ValueError(f"it has {len(data)} bytes; {KEPT_BYTES_MAX} are the most")
    packed, headline, point, lacking = msgpack.unpackb(data)
    if not (isinstance(packed, bytes) and isinstance(headline, bytes) and isinstance(point, bytes)):
        raise TypeError("a report, a headline and a point are bytes")
    return packed, headline, point, lacking


def _unpacked(packed: bytes) -> bytes:
    unpacker = zlib.decompressobj()
    report = unpacker.decompress(packed, REPORT_BYTES_MAX)
    if not unpacker.eof:
        raise ValueError(f"the report is cut short, or longer than {REPORT_BYTES_MAX} bytes")
    return report
