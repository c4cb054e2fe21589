"""What the network makes of its misbehaving validators: who has noticed, and who has put them out of the set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import trio
from prometheus_client.parser import text_string_to_metric_families

from step_node.testing.devnet.misbehaviour import Misbehaviour
from step_node.testing.devnet.node_client import NodeClient, Unavailable

POLL_SECONDS = 0.25

_METRIC_OF: dict[Misbehaviour, str | None] = {
    Misbehaviour.DOUBLE_SIGN: "step_equivocations_seen_total",
    Misbehaviour.INVALID_BATCH: "step_batches_refused_total",
    Misbehaviour.SILENT: None,
}
"""What honest nodes count of each; None where silence cannot be told from a slow network."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Node indices: of the honest that have noticed `misbehaviour`, and of those in whose validator set it is gone."""

    culprit: int
    address: str
    misbehaviour: Misbehaviour
    seen_by: tuple[int, ...]
    out_of_set_of: tuple[int, ...]
    honest: tuple[int, ...]

    @property
    def is_seen(self) -> bool:
        """By every honest node, as far as there is anything to see."""
        return _METRIC_OF[self.misbehaviour] is None or self.seen_by == self.honest

    @property
    def is_slashed(self) -> bool:
        """Out of the set of every honest node."""
        return self.out_of_set_of == self.honest

    def as_json(self) -> dict[str, object]:
        """For `--json`."""
        return {
            "validator": self.address,
            "misbehaviour": self.misbehaviour.value,
            "seen_by_nodes": list(self.seen_by),
            "slashed": self.is_slashed,
        }


async def verdict_on(
    culprit: int,
    address: str,
    misbehaviour: Misbehaviour,
    clients: Sequence[NodeClient],
    honest: Sequence[int],
    *,
    wait_seconds_max: float = 0.0,
    want_slashed: bool = False,
) -> Verdict:
    """Ask the honest nodes, again and again for up to `wait_seconds_max` until it is seen (and slashed, if wanted)."""
    deadline = trio.current_time() + wait_seconds_max
    while True:
        verdict = await _ask(culprit, address, misbehaviour, clients, honest)
        is_done = verdict.is_slashed if want_slashed else verdict.is_seen
        if is_done or trio.current_time() >= deadline:
            return verdict
        await trio.sleep(POLL_SECONDS)


async def _ask(
    culprit: int, address: str, misbehaviour: Misbehaviour, clients: Sequence[NodeClient], honest: Sequence[int]
) -> Verdict:
    seen: list[int] = []
    out: list[int] = []
    metric = _METRIC_OF[misbehaviour]
    for index in honest:
        try:
            if metric is not None and metric_sum(await clients[index].metrics(), metric) > 0:
                seen.append(index)
            if address not in (await clients[index].status()).validators:
                out.append(index)
        except Unavailable:
            continue
    return Verdict(culprit, address, misbehaviour, tuple(seen), tuple(out), tuple(honest))


def metric_sum(text: str, name: str) -> float:
    """A counter in Prometheus' text format, over all its labels; 0 where it is not there."""
    return sum(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name
    )
