"""docs/trending.md says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

from step_node.api.models.trending import TrendingParts
from step_node.api.routes.trending import ACROSS, LEVEL_DEFAULT
from step_node.economy.columns import HALF_LIFE_MS, PERIOD_MS, WINDOW_MS, WINDOW_PROOFS_MAX
from step_node.economy.observatory import KEPT_EVERY_SECONDS, TOLD_ROWS
from step_node.economy.rows import ROW_BYTES
from step_node.economy.trending import WEIGHT_BITS

PAGE = " ".join((Path(__file__).parents[2] / "docs" / "trending.md").read_text(encoding="utf-8").split())


def test_the_page_names_each_part_of_a_score() -> None:
    parts = {field.alias for field in TrendingParts.model_fields.values()}
    assert set(re.findall(r"\| `(\w+)` \|", PAGE)) == parts | {"score"}


def test_the_page_has_the_figures_of_the_code() -> None:
    hour_ms = 3_600_000
    for figure in (
        f"last {WINDOW_MS // hour_ms} hours",
        f"half after {HALF_LIFE_MS // hour_ms} hours, a quarter after {2 * HALF_LIFE_MS // hour_ms}",
        f"2^{WEIGHT_BITS} · 2^(-age / {HALF_LIFE_MS // hour_ms} h)",
        f"some {ACROSS} triangles lie across the box, or {LEVEL_DEFAULT}",
        f"At most {WINDOW_PROOFS_MAX:,} proofs",
        f"the last {TOLD_ROWS - 1:,} not sorted yet",
        f"On disk {ROW_BYTES}",
    ):
        assert figure in PAGE, figure
    assert PERIOD_MS == 10 * 60_000
    assert KEPT_EVERY_SECONDS == 60
