"""A report of fairness as figures and as a page, for people who are no engineers. The same report gives the same bytes.

Matplotlib is no dependency of a node; the extra `plots` brings it. So this module is imported where figures are drawn,
and nowhere else. Colours are those of Okabe and Ito, which people who do not see all colours can tell apart.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from contextlib import AbstractContextManager
from io import BytesIO
from typing import Final

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from step_node.cli.economy.fairness_lines import region_text, report_lines, tier_text
from step_node.cli.economy.fairness_source import ShownReport

BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#999999"
WIDTH_INCHES: Final = 8.0
ROW_INCHES: Final = 0.34
FRAME_INCHES: Final = 1.3
PERCENT: Final = 10_000
"""Parts per million in one."""
VALIDATORS_DRAWN_MAX: Final = 30
"""Those that were paid the most; others would only make the bars too thin to read."""

_CAPTIONS: Final = {
    "who": "Shares of all that was paid for proofs: of new accounts, which had nothing before, and by what accounts had"
    " before.",
    "where": "Shares of all that was paid for proofs. By region: the Earth is cut into twenty large triangles, named"
    " here by their middle. By level: a triangle of level 1 is as large as a continent, one of level 21 as a room;"
    " large ones pay more.",
    "over-time": "0 % would be the same for all, 100 % all for one. The bands are five percentage points around the"
    " mean of the ten epochs before the last: an end outside of them raises an alert where a hundred accounts or more"
    " were paid.",
    "validators": "What each validator's owner was paid, beside its part of all stakes, and how often its vote was"
    " missing.",
}


def draw_all(shown: ShownReport) -> dict[str, bytes]:
    """Each file's name and bytes: the figures, and a page that holds them."""
    figures = {"who": _who(shown), "where": _where(shown), "validators": _validators(shown)}
    if len(shown.headlines) > 1:
        figures["over-time"] = _over_time(shown)
    files = {f"{name}.svg": figure for name, figure in figures.items()}
    return files | {"report.html": _page(shown, figures).encode()}


def _who(shown: ShownReport) -> bytes:
    report = shown.report
    groups = [("new accounts", report.newcomers.share_ppm), ("all others", report.others.share_ppm)]
    tiers = [(tier_text(tier), tier.share_ppm) for tier in report.tiers if tier.accounts]
    return _bars(
        [
            ("Do newcomers get a share of what proofs were paid?", groups, ORANGE),
            ("Do accounts that had much before get more of it?", tiers, BLUE),
        ]
    )


def _where(shown: ShownReport) -> bytes:
    regions = sorted(shown.report.regions, key=lambda one: -(one.share_ppm or 0))
    return _bars(
        [
            ("Where on Earth was it paid?", [(region_text(one.triangle_id), one.share_ppm) for one in regions], GREEN),
            (
                "For how large triangles was it paid?",
                [(f"level {one.level}", one.share_ppm) for one in shown.report.levels],
                BLUE,
            ),
        ]
    )


def _validators(shown: ShownReport) -> bytes:
    members = sorted(shown.report.validators.members, key=lambda one: -(one.rewards_share_ppm or 0))
    members = members[:VALIDATORS_DRAWN_MAX]
    names = [f"{one.validator[:10]}…" for one in members]
    places = range(len(members))
    with _style():
        height = FRAME_INCHES + max(3, len(members)) * 1.5 * ROW_INCHES
        figure = Figure(figsize=(WIDTH_INCHES, height), layout="constrained")
        paid, missed = figure.subplots(1, 2, sharey=True, width_ratios=(3, 2))
        rewards = [(one.rewards_share_ppm or 0) / PERCENT for one in members]
        stakes = [(one.stake_share_ppm or 0) / PERCENT for one in members]
        paid.barh([place - 0.2 for place in places], rewards, 0.38, color=BLUE, label="rewards")
        paid.barh([place + 0.2 for place in places], stakes, 0.38, color=GREY, label="stake")
        paid.set_yticks(places, names, family="monospace")
        _finish(paid, "Share of rewards, and of the stake")
        # Below the bars: beside one of them it would hide it.
        paid.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=2, frameon=False)
        shares = [100 * one.absences / one.batches if one.batches else 0.0 for one in members]
        bars = missed.barh(places, shares, 0.6, color=ORANGE)
        missed.bar_label(bars, [f" {one.absences:,} of {one.batches:,}" for one in members], fontsize=9)
        _finish(missed, "Batches without its vote")
        missed.set_xlim(0, max(5.0, 1.6 * max(shares, default=0.0)))
        missed.invert_yaxis()
        return _svg(figure)


def _over_time(shown: ShownReport) -> bytes:
    known = [one for one in shown.headlines if one.income_gini_ppm is not None]
    epochs = [one.epoch for one in known]
    lines = (
        ("Gini coefficient of pay", [one.income_gini_ppm or 0 for one in known], BLUE, "income_gini_ppm"),
        ("top 1 % of accounts", [one.income_top_share_ppm or 0 for one in known], ORANGE, "income_top_share_ppm"),
    )
    with _style():
        figure = Figure(figsize=(WIDTH_INCHES, 3.8), layout="constrained")
        axes = figure.subplots()
        for name, shares, colour, field in lines:
            percents = [share / PERCENT for share in shares]
            axes.plot(epochs, percents, color=colour, marker="o", markersize=3.5, linewidth=1.8, label=name)
            drift = None if shown.drift is None else getattr(shown.drift, field)
            if drift is not None and percents:
                mean = percents[-1] - drift / PERCENT
                axes.fill_between([epochs[-1] - 10, epochs[-1]], mean - 5, mean + 5, color=colour, alpha=0.12, lw=0)
        axes.set_title("How unevenly have the epochs paid?", loc="left", fontweight="bold")
        axes.set_xlabel("epoch")
        axes.set_xlim(epochs[0] - 0.5, epochs[-1] + 0.5)
        axes.set_ylim(0, 100)
        axes.yaxis.set_major_formatter(PercentFormatter(decimals=0, symbol=" %"))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(axis="y", alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False)
        return _svg(figure)


def _bars(panels: Sequence[tuple[str, Sequence[tuple[str, int | None]], str]]) -> bytes:
    """A panel of lying bars for each title, as high as it has rows."""
    rows = [max(1, len(entries)) for _, entries, _ in panels]
    with _style():
        height = sum(FRAME_INCHES * 0.7 + count * ROW_INCHES for count in rows)
        figure = Figure(figsize=(WIDTH_INCHES, height), layout="constrained")
        figure.get_layout_engine().set(hspace=0.08)  # type: ignore[union-attr, call-arg]
        axes_of = figure.subplots(len(panels), 1, height_ratios=[count + 1.5 for count in rows], squeeze=False)
        for axes, (title, entries, colour) in zip(axes_of[:, 0], panels, strict=True):
            shares = [(share or 0) / PERCENT for _, share in entries]
            bars = axes.barh(range(len(entries)), shares, 0.7, color=colour)
            axes.bar_label(bars, [f" {share:.1f} %" for share in shares], fontsize=9)
            axes.set_yticks(range(len(entries)), [name for name, _ in entries])
            axes.invert_yaxis()
            _finish(axes, title)
            axes.set_xlim(0, 112)
            axes.set_xticks(range(0, 101, 20))
        return _svg(figure)


def _finish(axes: Axes, title: str) -> None:
    axes.set_title(title, loc="left", fontweight="bold")
    axes.xaxis.set_major_formatter(PercentFormatter(decimals=0, symbol=" %"))
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right"]].set_visible(False)


def _style() -> AbstractContextManager[None]:
    return rc_context({"svg.hashsalt": "step", "svg.fonttype": "path", "font.size": 10, "axes.titlesize": 11})


def _svg(figure: Figure) -> bytes:
    drawn = BytesIO()
    figure.savefig(drawn, format="svg", metadata={"Date": None, "Creator": None})
    return drawn.getvalue()


def _page(shown: ShownReport, figures: dict[str, bytes]) -> str:
    """All of it in one file, which needs no other and runs nothing."""
    report = shown.report
    title = f"Epoch {report.epoch} of {report.chain_id}: who got how much"
    parts = "\n".join(
        f"<figure>{_inline(figures[name])}<figcaption>{html.escape(caption)}</figcaption></figure>"
        for name, caption in _CAPTIONS.items()
        if name in figures
    )
    text = html.escape("\n".join(report_lines(shown)))
    return f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{html.escape(title)}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 50rem; margin: 2rem auto; padding: 0 1rem; color: #222 }}
figure {{ margin: 2rem 0 }} figcaption {{ color: #555; font-size: 0.9rem }} svg {{ width: 100%; height: auto }}
pre {{ overflow-x: auto; font-size: 0.8rem }}
</style>
<h1>{html.escape(title)}</h1>
<p>{report.paid} STEP were paid for {report.proofs:,} proofs of {report.accounts:,} accounts, in the batches
{report.first_height} to {report.last_height} ({html.escape(report.begins)} to {html.escape(report.ends)}).</p>
<p>{html.escape(_unevenness(shown))}</p>
{parts}
<h2>All figures</h2>
<pre>{text}</pre>
</html>
"""


def _unevenness(shown: ShownReport) -> str:
    """The two figures that are watched, in a sentence each."""
    income, drift = shown.report.income, shown.drift
    if income.gini_ppm is None or income.top_share_ppm is None:
        return "Nobody was paid."
    gini, top = income.gini_ppm / PERCENT, income.top_share_ppm / PERCENT
    accounts = "one account" if income.top_accounts == 1 else f"{income.top_accounts:,} accounts"
    return (
        f"The Gini coefficient of pay is {gini:.1f} % (0 % if all were paid the same, 100 % if one had all)"
        f"{_since(None if drift is None else drift.income_gini_ppm)}. The best paid hundredth, {accounts}, got"
        f" {top:.1f} % of it{_since(None if drift is None else drift.income_top_share_ppm)}."
    )


def _since(drift_ppm: int | None) -> str:
    if drift_ppm is None:
        return ""
    points = f"{abs(drift_ppm) / PERCENT:.1f} percentage points"
    return f", {points} {'above' if drift_ppm >= 0 else 'below'} the mean of the epochs before"


def _inline(svg: bytes) -> str:
    """The drawing itself, without what only a file of its own begins with."""
    text = svg.decode()
    return text[text.index("<svg") :]
