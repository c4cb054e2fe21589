"""Writes what is made of the formulas of the economy and of what a new chain begins with: the figures and tables of
docs/economy.md and of ADR 65, and the examples configs/genesis.json and genesis.user.json.

    python -m scripts.economy

Run it after a change of `step_node/economy/figures.py`, of `step_node/chain/new_chains.py` or of the protocol's
parameters; a test says when it was forgotten. Of a page it replaces the numbers before the markers, and the tables
after them, and nothing else: look through what it has changed, for sentences that are no longer true. What was
simulated is marked alike, and is `scripts.economy_simulations`'.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Final

from step_node.chain.genesis import load_genesis
from step_node.chain.new_chains import RULES_VERSION, named_version, new_chain_parameters
from step_node.economy.figures import Economy, Figure, Table, figures, rounded, tables
from step_node.parameters import Parameters

ROOT: Final = Path(__file__).parents[1]
PAGE: Final = ROOT / "docs" / "economy.md"
DECISION: Final = ROOT / "docs" / "adr" / "0065-parameters-with-evidence.md"
PAGES: Final = (PAGE, DECISION)
NEW_CHAIN: Final = ROOT / "configs" / "genesis.json"
USERS_FIGURES: Final = ROOT / "configs" / "genesis.user.json"

FIGURE: Final = re.compile(r"(?P<text>[\d,]+(?:\.\d+)?)(?P<unit>(?: %)?<!-- (?P<minus>-?)(?P<name>[\w.-]+) -->)")
"""`38,194,690.29<!-- supply.rounding.version1 -->`: a figure and its name, which has a minus before it where the
sentence says by how much something is less."""

ECONOMIES: Final = {
    "": Economy(),
    "given.": Economy(Parameters(), version=1),
    **{f"stake-{step}.": Economy(new_chain_parameters({"min_stake": step})) for step in (10_000, 1_000, 10)},
}
"""What figures are of, by what their names begin with: a new chain; the parameters that were given; a new chain with
another least stake."""

TABLE: Final = re.compile(r"<!-- table: (?P<name>\w+) -->\n(?P<rows>(?:\|.*\n)*)")


def known_figures() -> dict[str, Figure]:
    """All figures that a page may have, by their names there."""
    return {start + name: one for start, economy in ECONOMIES.items() for name, one in figures(economy).items()}


def figure_text(marked: re.Match[str], known: dict[str, Figure]) -> str:
    """What stands in place of a marked figure, to as many places as are written there; of one that is not known, what
    is written."""
    if marked["name"] not in known:
        return marked["text"]
    value = known[marked["name"]].value * (-1 if marked["minus"] else 1)
    return rounded(value, len(marked["text"].partition(".")[2]))


def page_of(page: str) -> str:
    """`page` with its figures and tables made anew."""
    known = known_figures()
    made = {table.name: _rows(table) for table in tables(Economy())}
    page = TABLE.sub(lambda one: f"<!-- table: {one['name']} -->\n{made[one['name']]}", page)
    return FIGURE.sub(lambda one: figure_text(one, known) + one["unit"], page)


def _rows(table: Table) -> str:
    lines = (f"| {' | '.join(row)} |" for row in (table.headings, *table.rows))
    heading, *rows = lines
    return "\n".join([heading, f"|{'---|' * len(table.headings)}", *rows]) + "\n"


def genesis_text(parameters: Parameters, protocol_version: int | None) -> str:
    """An example as it is committed: the validators and balances that are there, with these parameters and rules."""
    written = {"parameters": parameters, "protocol_version": protocol_version}
    example = load_genesis(NEW_CHAIN).model_copy(update=written)
    return json.dumps(example.model_dump(mode="json", exclude_none=True), indent=2) + "\n"


def examples() -> dict[Path, str]:
    """Both of them: what the commands write that make a genesis, and what the protocol's defaults are."""
    return {
        NEW_CHAIN: genesis_text(new_chain_parameters(), named_version(RULES_VERSION)),
        USERS_FIGURES: genesis_text(Parameters(), None),
    }


def main() -> int:
    """Write all of it."""
    for page in PAGES:
        page.write_text(page_of(page.read_text(encoding="utf-8")), encoding="utf-8")
    for path, text in examples().items():
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
