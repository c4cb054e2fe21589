"""What `step-node devnet --proofs` shows: progress, and in the end a table or a JSON object."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from step_node.testing.devnet.agreement import Agreement
from step_node.testing.devnet.verdict import Verdict
from step_node.testing.devnet.walkers import ProofRecord, WalkResult
from step_node.testing.load.report import PERCENTILES, percentile


@dataclass(frozen=True, slots=True)
class Summary:
    """The outcome of a walk. `finalised` counts the proofs that are final on every node."""

    submitted: int
    finalised: int
    rejected: dict[str, int]
    proofs_per_second: float
    finality_ms: dict[str, float | None]
    height: int
    state_roots_equal: bool
    validators: int
    verdict: Verdict | None = None
    """What became of the validator that misbehaved, if there was one."""

    @property
    def is_success(self) -> bool:
        """All are final everywhere, and the nodes agree."""
        return self.finalised == self.submitted and self.state_roots_equal

    def as_json(self) -> dict[str, object]:
        """The object that `--json` prints."""
        return {
            "submitted": self.submitted,
            "finalised": self.finalised,
            "rejected": self.rejected,
            "proofs_per_second": self.proofs_per_second,
            "finality_ms": self.finality_ms,
            "height": self.height,
            "state_roots_equal": self.state_roots_equal,
            "validators": self.validators,
            **({} if self.verdict is None else {"byzantine": self.verdict.as_json()}),
        }


def summarise(
    walked: WalkResult, agreement: Agreement, *, proofs: int, validators: int, verdict: Verdict | None = None
) -> Summary:
    """Put together what the walkers saw and what the nodes say."""
    finality_ms = sorted(record.finality_ms for record in walked.final if record.finality_ms is not None)
    return Summary(
        submitted=proofs,
        finalised=len(walked.final) - agreement.missing,
        rejected=walked.rejected_by_code(),
        proofs_per_second=round(len(walked.final) / walked.seconds, 1) if walked.seconds else 0.0,
        finality_ms={f"p{percent}": percentile(finality_ms, percent) for percent in PERCENTILES},
        height=agreement.height,
        state_roots_equal=agreement.state_roots_equal,
        validators=validators,
        verdict=verdict,
    )


def print_table(screen: Console, summary: Summary) -> None:
    """The table at the end."""
    table = Table(title="STEP devnet", title_justify="left", show_header=False)
    table.add_column(style="bold")
    table.add_column(justify="right")
    table.add_row("submitted", str(summary.submitted))
    table.add_row("finalised on every node", f"{summary.finalised} of {summary.submitted}")
    for code, count in summary.rejected.items():
        table.add_row(f"rejected: {code}", str(count))
    undecided = summary.submitted - summary.finalised - sum(summary.rejected.values())
    if undecided:
        table.add_row("undecided, or not on every node", str(undecided))
    table.add_row("proofs per second", f"{summary.proofs_per_second:.1f}")
    for name, value in summary.finality_ms.items():
        table.add_row(f"finality {name}", "-" if value is None else f"{value:,.0f} ms")
    table.add_row("height", str(summary.height))
    table.add_row("state roots equal", "yes" if summary.state_roots_equal else "NO")
    table.add_row("validators", str(summary.validators))
    if summary.verdict is not None:
        verdict = summary.verdict
        table.add_row("misbehaving validator", f"node {verdict.culprit}, {verdict.misbehaviour}")
        table.add_row("noticed by", f"{len(verdict.seen_by)} of {len(verdict.honest)} honest nodes")
        table.add_row("out of the set (slashed)", "yes" if verdict.is_slashed else "no")
    screen.print(table)
    screen.print("[green]success[/green]" if summary.is_success else "[red]not all proofs are final everywhere[/red]")


@contextmanager
def progress_of(screen: Console, proofs: int) -> Iterator[Callable[[ProofRecord], None]]:
    """A progress bar; call what it gives for each decided proof."""
    columns = (
        SpinnerColumn(),
        TextColumn("walkers prove where they are"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=screen) as progress:
        task = progress.add_task("", total=proofs)
        yield lambda _record: progress.advance(task)
