"""The page about the load that others are compared with: its form, and that the one in docs/ has it."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from step_node.testing.bench.baseline import SCENARIOS, Scenario, meaning, measure, page
from step_node.testing.load.report import LoadReport
from tests.testing.bench.curves.made_up import BUSY, QUIET

PAGE = Path(__file__).parents[3] / "docs" / "load-baseline.md"
LATENCIES: dict[str, float | None] = {"p50": 900.4, "p95": 1_800.0, "p99": 2_100.0, "max": 2_400.0}
ALL_FINAL = LoadReport(
    offered=60_000,
    accepted=60_000,
    refused={},
    retry_after_seconds={},
    final=60_000,
    dropped={},
    lost=0,
    seconds=61.5,
    offered_per_second=1_000.0,
    accepted_per_second=1_000.0,
    final_per_second=975.6,
    acceptance_ms=LATENCIES,
    finality_ms=LATENCIES,
    sent_late_ms=LATENCIES,
    own_cpu=0.234,
    signing_cpu=0.1,
)
MOST_REFUSED = replace(
    ALL_FINAL,
    accepted=6_000,
    final=6_000,
    refused={"MEMPOOL_FULL": 54_000},
    retry_after_seconds={"MEMPOOL_FULL": 3.0},
)
EXPECTED = """\
# The load that others are compared with

Made by `make load`; do not edit. Each load went to a new network of four validators, processes on one machine that \
the load ran on as well, over HTTP, an open loop ([how](benchmarks.md#loads)).

Run on 2026-01-31 at 12:00 UTC: 2 cores (x86_64), SQLite, Python 3.11.7, step-node 0.1.0. The machine had nothing else \
to do.

## Sustained: 1,000 proofs/s for 60 s

100 proofs in a request. 10 % of what was offered was accepted, and all of that became final, half of them within \
900 ms and 95 % within 1,800 ms of when they were due; the rest was refused with a time to come back.

| | |
|---|---|
| offered | 60,000 (1,000/s) |
| accepted | 6,000 (1,000/s) |
| refused | `MEMPOOL_FULL` 54,000 (Retry-After from 3 s) |
| final | 6,000 (976/s) |
| finality p50 | 900 ms |
| finality p95 | 1,800 ms |
| finality p99 | 2,100 ms |
| lost | 0 |
| dropped | 0 |
| waited for a connection, p95 | 1,800 ms |
| CPU of the client | 0.23 cores |
| CPU of the signers | 0.10 cores |

## Again

```sh
make load
```

It takes three to four minutes, starts what it needs, and writes this page. Any other network is given such a load by \
`step-node load`; its `--json` prints everything that was counted.
"""


def test_the_loads_are_a_thousand_a_second_for_a_minute_and_ten_thousand_for_five_seconds() -> None:
    assert [(one.rate, one.seconds) for one in SCENARIOS] == [(1_000, 60), (10_000, 5)]


def test_the_page_of_a_run() -> None:
    assert page(QUIET, [(SCENARIOS[0], MOST_REFUSED)]) == EXPECTED


def test_a_busy_machine_is_said_to_have_been_busy() -> None:
    assert "**The machine was busy with other things**" in page(BUSY, [])
    assert "busy" not in page(QUIET, [])


@pytest.mark.parametrize(
    ("report", "said"),
    [
        (ALL_FINAL, "All that was offered became final, half of them within 900 ms"),
        (MOST_REFUSED, "10 % of what was offered was accepted, and all of that became final"),
        (replace(MOST_REFUSED, retry_after_seconds={}), "some of it without a time to come back (MEMPOOL_FULL)."),
        (replace(ALL_FINAL, lost=7), "7 proofs that were accepted have been lost, which must not be."),
        (replace(ALL_FINAL, dropped={"NONCE_REPLAY": 2, "STALE": 1}), "3 proofs that were accepted have been dropped"),
        (replace(MOST_REFUSED, final=0, accepted=0), "Nothing became final."),
        (replace(ALL_FINAL, own_cpu=0.95), "The client took nearly a core, and may be what was slow."),
    ],
)
def test_what_a_load_has_shown_is_said_in_a_sentence(report: LoadReport, said: str) -> None:
    assert said in meaning(report)


def test_the_page_that_is_kept_was_made_so_and_not_by_hand() -> None:
    """All but what was measured is what `page` writes of any run."""
    kept, made = PAGE.read_text(encoding="utf-8"), page(QUIET, [(one, ALL_FINAL) for one in SCENARIOS])
    assert _form(kept) == _form(made)


def test_the_page_names_no_place_of_a_machine() -> None:
    assert re.findall(r"/(?:home|tmp|work|root|Users)/|localhost|127\.0\.0\.1", PAGE.read_text(encoding="utf-8")) == []


def _form(text: str) -> list[str]:
    """The lines of the page, those that a run fills in by what they begin with."""
    rows = [re.sub(r"^(\| [^|]+ \|).*", r"\1", line) for line in text.splitlines()]
    return [re.sub(r"^(Run on |\d+ proofs in a request\. ).*", r"\1", line) for line in rows]


@pytest.mark.slow
async def test_a_load_is_measured_on_a_network_of_its_own() -> None:
    told: list[str] = []
    report = await measure(Scenario("Tiny", 20.0, 1.0), validators=1, tell=told.append)
    assert (report.offered, report.accepted, report.final, report.lost) == (20, 20, 20, 0)
    assert (told[0], told[-1]) == ("Tiny: 20 proofs/s for 1 s", "final 20 of 20, lost 0")
