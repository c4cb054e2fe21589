"""A report of fairness as lines for people: what was paid to whom, with a small bar for each share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from mesh import TriangleId, centroid
from step_node.cli.economy.fairness_source import ShownReport
from step_node.economy.fairness.measures import PPM
from step_node.economy.fairness.report import AccountsPart, PaidPart, TierPart, ValidatorPart

BAR_CELLS: Final = 20
_NONE: Final = "-"

Row = tuple[str, str, str, str]
"""What, its share, the bar, and what else there is to say."""


def report_lines(shown: ShownReport) -> Iterator[str]:
    """The report, part by part."""
    report, drift = shown.report, shown.drift
    yield f"Epoch {report.epoch} of {report.chain_id}, heights {report.first_height} to {report.last_height}"
    yield f"{report.begins} to {report.ends}"
    yield f"{report.paid} STEP for {_count(report.proofs, 'proof')} of {_count(report.accounts, 'account')}"
    income, balances = report.income, report.balances
    top = _count(income.top_accounts, "account")
    gini_drift = None if drift is None else drift.income_gini_ppm
    top_drift = None if drift is None else drift.income_top_share_ppm
    yield from _block(
        "How unevenly (0 %: all alike; 100 %: one has all)",
        [
            ("pay: Gini coefficient", *_share(income.gini_ppm), _drift_text(gini_drift)),
            (f"pay: top 1 %, {top}", *_share(income.top_share_ppm), _drift_text(top_drift)),
            ("balances: Gini coefficient", *_share(balances.gini_ppm), ""),
            (f"balances: top 1 %, {top}", *_share(balances.top_share_ppm), ""),
        ],
    )
    yield from _block(
        "Who was paid",
        [
            ("new accounts", *_share(report.newcomers.share_ppm), _of_accounts(report.newcomers)),
            ("all others", *_share(report.others.share_ppm), _of_accounts(report.others)),
        ],
    )
    yield from _block(
        "By what they had before",
        [(tier_text(tier), *_share(tier.share_ppm), _of_accounts(tier)) for tier in report.tiers if tier.accounts],
    )
    yield from _block(
        "By level of the triangle (1: a continent, 21: a room)",
        [(f"level {one.level}", *_share(one.share_ppm), _paid_text(one)) for one in report.levels],
    )
    by_share = sorted(report.regions, key=lambda one: -(one.share_ppm or 0))
    yield from _block(
        "By region (the twenty triangles of level 1, by their middle)",
        [(region_text(one.triangle_id), *_share(one.share_ppm), _paid_text(one)) for one in by_share],
    )
    validators = report.validators
    yield from _block(
        f"Validators: {validators.rewards} STEP paid to their owners, by share of it",
        [
            (one.validator, *_share(one.rewards_share_ppm), _validator_text(one))
            for one in sorted(validators.members, key=lambda one: -(one.rewards_share_ppm or 0))
        ],
    )
    stake, votes = _count(validators.stake_nakamoto, "owner"), _count(validators.votes_nakamoto, "owner")
    yield ""
    yield f"More than a third of the stake takes {stake}, more than a third of the votes {votes}"
    yield f"Report {shown.hash}"


def tier_text(tier: TierPart) -> str:
    """The tier in words: `nothing`, `below 0.1 STEP`, `1 to 10 STEP`."""
    begins, ends = _short(tier.from_balance), None if tier.below_balance is None else _short(tier.below_balance)
    if ends is None:
        return f"{begins} STEP and more"
    if begins == "0":
        return "nothing"
    return f"below {ends} STEP" if tier.from_balance == "0.000001" else f"{begins} to {ends} STEP"


def region_text(triangle_id: str) -> str:
    """The triangle's letter, and where its middle is."""
    lon, lat = centroid(TriangleId.parse(triangle_id))
    north_south = f"{abs(round(lat))}° {'N' if lat >= 0 else 'S'}"
    return f"{triangle_id.split(':')[1][0]}, around {north_south} {abs(round(lon))}° {'E' if lon >= 0 else 'W'}"


def _short(step: str) -> str:
    return f"{float(step):,g}"


def _block(title: str, rows: Sequence[Row]) -> Iterator[str]:
    yield ""
    yield title
    if not rows:
        yield "  nothing"
        return
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for name, share, bar, rest in rows:
        yield f"  {name:{widths[0]}}  {share:>{widths[1]}}  {bar}  {rest}".rstrip()


def _share(ppm: int | None) -> tuple[str, str]:
    if ppm is None:
        return _NONE, "." * BAR_CELLS
    filled = round(BAR_CELLS * ppm / PPM)
    return f"{ppm / 10_000:.1f} %", "#" * filled + "." * (BAR_CELLS - filled)


def _drift_text(ppm: int | None) -> str:
    return "" if ppm is None else f"{ppm / 10_000:+.1f} percentage points against the epochs before"


def _paid_text(part: PaidPart) -> str:
    return f"{part.paid} STEP, {_count(part.proofs, 'proof')}"


def _of_accounts(part: AccountsPart) -> str:
    return f"{_paid_text(part)}, {_count(part.accounts, 'account')}"


def _validator_text(one: ValidatorPart) -> str:
    stake = f"{one.stake} STEP at stake" if one.is_in_set else "no member any more"
    return f"{one.rewards} STEP, missed {one.absences:,} of {one.batches:,}, {stake}"


def _count(count: int | None, what: str) -> str:
    """`3 proofs`, `1 account`."""
    if count is None:
        return _NONE
    return f"{count:,} {what}{'' if count == 1 else 's'}"
