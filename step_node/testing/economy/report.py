"""What was simulated as one page, for people who are no engineers: it needs no other file, and runs nothing."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from step_node.testing.economy.results import Outcome, spread, table
from step_node.testing.economy.words import COLUMN_WORDS, MEASURE_WORDS, TABLE_WORDS, in_short, told

if TYPE_CHECKING:
    from step_node.testing.economy.plots import Drawing

REPORT: Final = "report.html"
MAIN_MEASURES: Final = (
    "minted_since_genesis_step",
    "burnt_step",
    "people_pay_ustep_per_proof",
    "invented_share",
    "refused_share",
    "nothing_left_share",
    "velocity_per_year",
    "gini",
    "top_1_percent_share",
    "validators",
    "nakamoto",
)
"""In the table of the page; all of them are in runs.csv."""

STYLE: Final = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 54rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
figure { margin: 2.5rem 0 } figcaption { padding-left: 0.6rem }
svg { width: 100%; height: auto; font-family: "DejaVu Sans", Verdana, sans-serif }
.wide { overflow-x: auto } table { border-collapse: collapse; font-size: 0.9rem; margin: 1rem 0 }
th, td { padding: 0.2rem 0.6rem; text-align: right; border-bottom: 1px solid #ddd; vertical-align: top }
th:first-child, td:first-child, .word { text-align: left }
td:first-child { min-width: 11rem } td { white-space: nowrap } td.word { white-space: normal }
small { color: #555 }
"""


def page(outcomes: Sequence[Outcome], drawings: Sequence[Drawing]) -> str:
    """The page. It has links to the tables, which it takes to be beside it, as NAME.csv."""
    scenario = outcomes[0].scenario
    title, short = html.escape(scenario.title), in_short(outcomes)
    figures = "\n".join(_figure(drawing, short[drawing.name]) for drawing in drawings)
    tables = "\n".join(
        f'<li><a href="{name}.csv">{name}.csv</a>: {html.escape(words)}</li>' for name, words in TABLE_WORDS.items()
    )
    variants = "".join(f"<li>{html.escape(one.title)}</li>" for one in outcomes) if len(outcomes) > 1 else ""
    return f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{STYLE}</style>
<h1>{title}</h1>
<p>{html.escape(_what_was_simulated(outcomes))}</p>
{f"<p>What was compared:</p><ul>{variants}</ul>" if variants else ""}
<h2>The main figures</h2>
<p>Of the last day: the middle run, and below it what nine of ten runs lie between.</p>
{_main_figures(outcomes)}
<h2>Who has earned what</h2>
{_table("people", outcomes)}
<h2>How places are used up</h2>
{_table("cities", outcomes)}
<h2>Figures</h2>
{figures}
<h2>What to look at next</h2>
<ul>
{tables}
</ul>
<p>What the columns mean stands in docs/economy-simulation.md. Each figure is there by itself as well, as SVG.</p>
</html>
"""


def _what_was_simulated(outcomes: Sequence[Outcome]) -> str:
    scenario = outcomes[0].scenario
    counts = sorted({sum(group.accounts for group in one.scenario.groups) for one in outcomes})
    people = f"{counts[0]:,}" if len(counts) == 1 else f"{counts[0]:,} to {counts[-1]:,}"
    runs = len(outcomes[0].runs)
    times = "once" if runs == 1 else f"{runs:,} times, each with other chances,"
    kinds = ", ".join(group.name for group in scenario.groups)
    return (
        f"Nothing of this has happened: {people} made-up accounts ({kinds}) were simulated through {scenario.days}"
        f" days, {times} over the rules that nodes run."
    )


def _main_figures(outcomes: Sequence[Outcome]) -> str:
    rows = []
    for measure in MAIN_MEASURES:
        cells = [_Cell(MEASURE_WORDS[measure], is_word=True)]
        for outcome in outcomes:
            _, low, middle, high = spread(outcome.measure(measure)[:, -1])
            ends = "" if told(measure, low) == told(measure, high) else f"{told(measure, low)} to {told(measure, high)}"
            cells.append(_Cell(told(measure, middle), ends))
        rows.append(cells)
    return _grid(["", *(outcome.title if len(outcomes) > 1 else "" for outcome in outcomes)], rows)


def _table(name: str, outcomes: Sequence[Outcome]) -> str:
    found = table(name, outcomes)
    titles = {outcome.variant: outcome.title for outcome in outcomes}
    first = 0 if len(outcomes) > 1 else 1  # One variant need not be named.
    rows, before = [], ""
    for row in found.rows:
        variant = str(row[0])
        texts = ["" if variant == before else titles[variant], *map(told, found.columns[1:], row[1:])]
        cells = [_Cell(text, is_word=isinstance(cell, str)) for text, cell in zip(texts, row, strict=True)]
        rows.append(cells[first:])
        before = variant
    return _grid([COLUMN_WORDS[column] for column in found.columns[first:]], rows)


@dataclass(frozen=True, slots=True)
class _Cell:
    text: str
    small: str = ""
    """What stands below it."""
    is_word: bool = False

    def html(self) -> str:
        small = f"<br><small>{html.escape(self.small)}</small>" if self.small else ""
        return f"<td{' class=word' if self.is_word else ''}>{html.escape(self.text)}{small}</td>"


def _grid(headings: Sequence[str], rows: Sequence[Sequence[_Cell]]) -> str:
    words = [cell.is_word for cell in rows[0]]
    head = "".join(
        f"<th{' class=word' if is_word else ''}>{html.escape(one)}</th>"
        for one, is_word in zip(headings, words, strict=True)
    )
    body = "\n".join(f"<tr>{''.join(cell.html() for cell in row)}</tr>" for row in rows)
    return f'<div class="wide"><table><tr>{head}</tr>\n{body}</table></div>'


def _figure(drawing: Drawing, sentence: str) -> str:
    """It asks and explains itself; below it stands what it comes to."""
    text = drawing.svg.decode()
    label = html.escape(drawing.question, quote=True)
    inline = text[text.index("<svg") :].replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)
    return f"<figure>{inline}<figcaption>{html.escape(sentence)}</figcaption></figure>"
