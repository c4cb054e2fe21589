"""A network that runs for long, with a modest load, peers and clients that come and go, and samples of each node."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Final

import trio

from step_node.home.config import RetentionConfig
from step_node.parameters import Parameters
from step_node.testing.devnet.network import Devnet, DevnetSettings
from step_node.testing.devnet.node_client import Unavailable
from step_node.testing.devnet.walkers import Walkers
from step_node.testing.soak.clients import visit_by_turns
from step_node.testing.soak.peers import VisitingPeers
from step_node.testing.soak.samples import Sample, take_sample
from step_node.testing.soak.slopes import Growth, as_json, growth_of

PRUNING_PARAMETERS: Final = Parameters(batch_interval_ms=400)
"""Of the chain where nodes prune: more batches, so that the 1,000 that every node keeps are there within ten minutes,
and SQLite's log has had its 64 MiB within half an hour."""


@dataclass(frozen=True, slots=True)
class SoakSettings:
    """How long, and how much goes on meanwhile."""

    minutes: float = 60.0
    validators: int = 4
    proofs_per_second: float = 3.0
    peers_per_minute: float = 20.0
    clients_per_minute: float = 60.0
    sample_seconds: float = 15.0
    retention: str | None = None
    """How much the nodes keep of batches and of histories, as in the settings; None: all."""

    @property
    def settled_seconds(self) -> float:
        """From when on samples count: the second half. In the first half of an hour what has bounds reaches them (the
        feed's events, the index of SQLite's log), and nodes that prune come to have something to prune."""
        return 60 * self.minutes / 2


@dataclass(frozen=True, slots=True)
class Soaked:
    """What came of it. `samples` and `growth` are by node."""

    settings: SoakSettings
    samples: dict[str, list[Sample]]
    growth: dict[str, Growth]
    proofs_finalised: int
    peers_visited: int
    peers_failed: int
    peers_last_failure: str = ""

    def faults(self) -> list[str]:
        """What grew and must not, or did not happen at all."""
        prunes = self.settings.retention is not None
        faults = [
            f"{name}: {fault}" for name, growth in self.growth.items() for fault in growth.faults(is_level=prunes)
        ]
        if not self.proofs_finalised:
            faults.append("no proof became final: this was no load")
        if self.peers_failed > self.peers_visited / 2:
            faults.append(
                f"{self.peers_failed} of {self.peers_visited} visiting peers were not served, the last because of"
                f" {self.peers_last_failure}"
            )
        return faults

    def to_json(self) -> str:
        """Everything, on one line."""
        return json.dumps(
            {
                "settings": asdict(self.settings),
                "proofs_finalised": self.proofs_finalised,
                "peers_visited": self.peers_visited,
                "peers_failed": self.peers_failed,
                "peers_last_failure": self.peers_last_failure,
                "growth": as_json(self.growth, is_level=self.settings.retention is not None),
                "faults": self.faults(),
                "samples": {
                    name: [{"seconds": round(sample.seconds, 1), **sample.figures} for sample in samples]
                    for name, samples in self.samples.items()
                },
            }
        )


async def soak(settings: SoakSettings, *, report: Callable[[str], None]) -> Soaked:
    """Run the network, and measure. `report` gets a line at each sample.

    Raises StepNodeError if a node ends or the network does not come up, ValueError if it was too short for a slope, or
    for a retention that is none.
    """
    devnet_settings = DevnetSettings(validators=settings.validators, base_port=0)
    if settings.retention is not None:
        kept = RetentionConfig(batches=settings.retention, histories=settings.retention)
        devnet_settings = replace(devnet_settings, retention=kept, parameters=PRUNING_PARAMETERS)
    async with Devnet(devnet_settings, report=report) as devnet:
        samples: dict[str, list[Sample]] = {node.name: [] for node in devnet.nodes}
        proofs = max(1, round(settings.minutes * 60 * settings.proofs_per_second))
        walkers = Walkers(devnet.clients, devnet.genesis.parameters, proofs=proofs, rate=settings.proofs_per_second)
        addresses = [validator.p2p_address for validator in devnet.genesis.validators]
        peers = VisitingPeers(addresses, devnet.genesis, per_minute=settings.peers_per_minute)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(devnet.watch)
            nursery.start_soon(walkers.run)
            nursery.start_soon(peers.run)
            nursery.start_soon(partial(visit_by_turns, devnet.urls, per_minute=settings.clients_per_minute))
            with trio.move_on_after(settings.minutes * 60):
                await _sample_for_ever(devnet, samples, settings.sample_seconds, report)
            nursery.cancel_scope.cancel()
        growth = {name: growth_of(taken, settled_seconds=settings.settled_seconds) for name, taken in samples.items()}
        return Soaked(
            settings, samples, growth, len(walkers.result.final), peers.made, peers.failed, peers.last_failure
        )


async def _sample_for_ever(
    devnet: Devnet, samples: dict[str, list[Sample]], every_seconds: float, report: Callable[[str], None]
) -> None:
    began = trio.current_time()
    while True:
        for node, client in zip(devnet.nodes, devnet.clients, strict=True):
            try:
                metrics = await client.metrics()
            except Unavailable:
                continue  # Too busy to answer now; the next sample will do.
            sample = await trio.to_thread.run_sync(
                take_sample, trio.current_time() - began, node.pid, node.home, node.log_path, metrics
            )
            samples[node.name].append(sample)
        report(_progress(trio.current_time() - began, samples))
        await trio.sleep_until(began + every_seconds * (1 + (trio.current_time() - began) // every_seconds))


def _progress(seconds: float, samples: dict[str, list[Sample]]) -> str:
    latest = [taken[-1].figures for taken in samples.values() if taken]

    def each(figure: str) -> str:
        return " ".join(f"{figures[figure]:.0f}" for figures in latest)

    return (
        f"{seconds / 60:6.1f} min  height {each('height')}  RSS KiB {each('rss_kib')}  tasks {each('tasks')}"
        f"  streams {each('streams_kept')}  by peer {each('entries_by_peer')}"
    )
