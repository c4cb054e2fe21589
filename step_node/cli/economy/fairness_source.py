"""Reports of fairness for a command: from a node's API, or from the side file in a home, whose node may run."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from mesh import TriangleId, TriangleIdError
from step_node.cli.error_lines import CommandError
from step_node.cli.http_calls import get_bytes, get_json
from step_node.cli.output import plain
from step_node.economy.fairness.drift import COMPARED_EPOCHS, Drift, Headline, drift_of
from step_node.economy.fairness.kept import InvalidKeptEpoch, KeptEpoch
from step_node.economy.fairness.report import FairnessReport, report_hash
from step_node.economy.side_file import EconomyFileError, EpochReport, kept_reports
from step_node.home.paths import NodeHome
from step_node.parameters import CHAIN_ID_PATTERN
from step_node.proofs.timestamps import parse_timestamp

EPOCHS_SHOWN_MAX: Final = 100
"""Epochs up to the one that is shown, by which it is compared; older ones are left out."""

_EPOCH_MAX: Final = 2**63 - 1

ToldT = TypeVar("ToldT", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class ShownReport:
    """A report, its hash, its drift, and the figures of the epochs up to it, oldest first."""

    report: FairnessReport
    hash: str
    drift: Drift | None
    headlines: tuple[Headline, ...]

    def as_json(self) -> dict[str, object]:
        """The report with what is told of it."""
        return {
            "report": self.report.model_dump(mode="json", by_alias=True),
            "reportHash": self.hash,
            "drift": None if self.drift is None else self.drift.model_dump(mode="json", by_alias=True),
        }


class _Told(BaseModel):
    """What is read of an answer; what else is in it is another release's."""

    model_config = ConfigDict(extra="ignore")


class _Drift(Drift):
    model_config = ConfigDict(extra="ignore")


class _Listed(Headline):
    model_config = ConfigDict(extra="ignore")


class _List(_Told):
    epochs: list[_Listed]


def report_of_node(url: str, epoch: int | None) -> ShownReport:
    """The report of `epoch`, or of the last one, that the node at `url` tells. Raises CommandError."""
    listed = _read(_List, url, f"/fairness?limit={EPOCHS_SHOWN_MAX}").epochs
    if epoch is None:
        if not listed:
            raise CommandError(f"{url}: has no report yet: the first one comes with the end of an epoch")
        epoch = listed[0].epoch
    path = f"/fairness/{epoch}"
    told = get_bytes(url, path, accept="application/json")
    try:
        report = FairnessReport.parse(told)
        _require_plain(report, epoch)
        if report.canonical_json() != told:
            raise ValueError("the report must be in its canonical form, by which it is compared")
    except ValidationError as error:
        raise _other_release(url, path, error) from error
    except ValueError as error:  # Of a number too large for JSON, too.
        raise CommandError(f"{url}{path}: {plain(error)}; is it a node of another release?") from error
    headlines = tuple(Headline(**one.model_dump()) for one in reversed(listed) if one.epoch <= epoch)
    return ShownReport(report, f"0x{report_hash(told).hex()}", _drift_of_node(url, f"{path}/drift"), headlines)


def _drift_of_node(url: str, path: str) -> Drift | None:
    """What the node tells; None where it lacks the report of an epoch before."""
    answer = get_json(url, path)
    if answer.get("code") == "REPORT_NOT_FOUND":
        return None
    return Drift(**_checked(_Drift, answer, url, path).model_dump())


def _require_plain(report: FairnessReport, epoch: int) -> None:
    """Raise ValueError unless the report is that of `epoch`, and its texts are no more than they should be: they are
    shown in terminals and in pages."""
    if report.epoch != epoch:
        raise ValueError(f"report.epoch: is {report.epoch}, and {epoch} was asked for")
    if re.fullmatch(CHAIN_ID_PATTERN, report.chain_id) is None:
        raise ValueError(f"report.chainId: must match {CHAIN_ID_PATTERN}")
    for name, text in (("begins", report.begins), ("ends", report.ends)):
        try:
            parse_timestamp(text)
        except ValueError as error:
            raise ValueError(f"report.{name}: {error}") from error
    for region in report.regions:
        try:
            TriangleId.parse(region.triangle_id)
        except TriangleIdError as error:
            raise ValueError(f"report.regions.triangleId: {error}") from error


def report_of_home(home: Path, epoch: int | None) -> ShownReport:
    """The report of `epoch`, or of the last one, in the side file of a home. Raises CommandError."""
    path = NodeHome(home).economy
    try:
        before = _EPOCH_MAX if epoch is None else epoch + 1
        kept = [_kept(path, one) for one in kept_reports(path, before=before, limit=EPOCHS_SHOWN_MAX + COMPARED_EPOCHS)]
    except EconomyFileError as error:
        raise CommandError(f"{error}; has a node run in this home?") from error
    told = [one for one in kept if one.headline is not None]
    headlines = {one.headline.epoch: one.headline for one in told if one.headline is not None}
    wanted = epoch if epoch is not None else max(headlines, default=None)
    if wanted is None or wanted not in headlines:
        what = "no report yet" if epoch is None else f"no report of epoch {epoch}"
        has = f"; it has those of {min(headlines)} to {max(headlines)}" if headlines else ""
        raise CommandError(f"{path}: has {what}{has}")
    report = FairnessReport.parse(told[0].report)
    shown = tuple(headlines[one] for one in sorted(headlines))[-EPOCHS_SHOWN_MAX:]
    return ShownReport(report, headlines[wanted].report_hash, drift_of(headlines[wanted], headlines), shown)


def _kept(path: Path, report: EpochReport) -> KeptEpoch:
    try:
        return KeptEpoch.decoded(report.body)
    except InvalidKeptEpoch as error:
        raise CommandError(f"{path}: epoch {report.epoch}: {error}") from error


def _read(form: type[ToldT], url: str, path: str) -> ToldT:
    return _checked(form, get_json(url, path), url, path)


def _checked(form: type[ToldT], answer: dict[str, object], url: str, path: str) -> ToldT:
    if answer.get("ok") is not True:
        raise CommandError(f"{url}{path}: {plain(answer.get('code'))}: {plain(answer.get('message'))}")
    try:
        return form.model_validate(answer)
    except ValidationError as error:
        raise _other_release(url, path, error) from error


def _other_release(url: str, path: str, error: ValidationError) -> CommandError:
    first = error.errors()[0]
    field = ".".join(map(str, first["loc"]))
    return CommandError(f"{url}{path}: {plain(field)}: {plain(first['msg'])}; is it a node of another release?")
