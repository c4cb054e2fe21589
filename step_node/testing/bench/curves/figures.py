"""Drawing curves with Matplotlib: one SVG each, from the points alone. The same points give the same bytes.

Matplotlib is no dependency of a node; the extra `curves` brings it. So this module is imported where figures are drawn,
and nowhere else.
"""

from __future__ import annotations

import textwrap
from io import BytesIO
from statistics import median
from typing import Final

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from step_node.testing.bench.curves.points import Curve
from step_node.testing.bench.figures import plain_number

RATE_AXIS: Final = "final, proofs/s"
FINALITY_AXIS: Final = "finality, ms"
SIZE_INCHES: Final = (7.0, 6.5)
CAPTION_CHARACTERS: Final = 118
CAPTION_POINTS: Final = 7.5


def draw(curve: Curve) -> bytes:
    """The SVG of a curve: proofs a second above, finality below, and under both what was measured, and on what."""
    # Text stays text, and ids follow from the curve's name: figures can be searched, and compared.
    with rc_context({"svg.hashsalt": f"step {curve.name}", "svg.fonttype": "none"}):
        figure = Figure(figsize=SIZE_INCHES, layout="constrained")
        above, below = figure.subplots(2, 1, sharex=True)
        _draw_rate(above, curve)
        _draw_finality(below, curve)
        above.set_title(curve.title)
        below.set_xlabel(curve.axis)
        below.set_xscale(curve.scale)
        if curve.found_per_second is None:
            below.set_xticks([point.at for point in curve.points])
            below.xaxis.set_minor_formatter(NullFormatter())
        for axis in (below.xaxis, above.yaxis, below.yaxis):
            axis.set_major_formatter(FuncFormatter(_tick))
        figure.supxlabel(caption(curve), fontsize=CAPTION_POINTS)
        drawn = BytesIO()
        figure.savefig(drawn, format="svg", metadata={"Date": None, "Creator": None, "Title": curve.title})
    return drawn.getvalue()


def caption(curve: Curve) -> str:
    """What a figure says below its axes: how it was measured, on what, and the limit of the same run."""
    conditions = curve.conditions
    recoveries = median(point.recoveries_per_second for point in curve.points)
    lost = sum(point.lost for point in curve.points)
    sentences = [
        curve.how,
        f"{curve.engine}, {conditions.cores} cores ({conditions.machine}), Python {conditions.python}, step-node"
        f" {conditions.version}, {conditions.time[:10]}.",
        f"Limit in the same run: {plain_number(recoveries)} recoveries/s on one core.",
        f"{lost} accepted proofs were not final a minute later." if lost else "",
        "The machine was busy with other things, so this says little." if conditions.was_busy else "",
    ]
    return textwrap.fill(" ".join(filter(None, sentences)), CAPTION_CHARACTERS)


def _draw_rate(axes: Axes, curve: Curve) -> None:
    places, rates = [point.at for point in curve.points], [point.final_per_second for point in curve.points]
    axes.plot(places, rates, marker="o", color="tab:blue", gid="rate")
    axes.set_ylabel(RATE_AXIS)
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    if curve.found_per_second is not None:
        axes.axvline(curve.found_per_second, color="grey", linestyle=":", label="the most that was final")
        axes.legend()


def _draw_finality(axes: Axes, curve: Curve) -> None:
    for name, style in (("p50", "-"), ("p95", "--")):
        latencies = [(point.at, getattr(point, f"finality_{name}_ms")) for point in curve.points]
        known = [(at, latency) for at, latency in latencies if latency is not None]
        places, values = [at for at, _ in known], [latency for _, latency in known]
        axes.plot(places, values, style, marker="o", color="tab:red", label=name, gid=name)
    axes.set_ylabel(FINALITY_AXIS)
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    if curve.found_per_second is not None:
        axes.axvline(curve.found_per_second, color="grey", linestyle=":")
    axes.legend()


def _tick(value: float, _position: int | None) -> str:
    return plain_number(value)
