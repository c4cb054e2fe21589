"""Proofs of walkers for tests of what pages show: signed here, submitted to a node, final when the call returns."""

from __future__ import annotations

import random
import uuid
from dataclasses import dataclass

import httpx

from mesh import TriangleId, locate
from step_node.clock import SystemClock
from step_node.proofs.client_signing import sign_payload
from step_node.signing.keystore import new_private_key
from tests.web.browser.network import Network

ACCURACY_M = 5.0
WAIT_MS = 15_000


@dataclass(frozen=True, slots=True)
class Spot:
    lat: float
    lon: float

    def triangle(self, level: int = 10) -> TriangleId:
        """The one that holds it; the network's triangles begin at level 10."""
        return locate(self.lat, self.lon, level)


def new_spot() -> Spot:
    """Somewhere in inner Australia, where no other test has been."""
    return Spot(random.uniform(-28.0, -20.0), random.uniform(120.0, 140.0))


def prove(network: Network, spot: Spot, *, private_key: bytes | None = None, node: int = 0) -> str:
    """The proof id of a proof at a spot, by somebody new if no key is given, submitted to node `node`."""
    signed = sign_payload(
        new_private_key() if private_key is None else private_key,
        spot.triangle(),
        spot.lat,
        spot.lon,
        ACCURACY_M,
        SystemClock().now_ms(),
        str(uuid.uuid4()),
    )
    answer = httpx.post(f"{network.urls[node]}/proof/submit", params={"wait_ms": WAIT_MS}, json=signed, timeout=30)
    told = answer.json()
    assert answer.status_code == 200, told
    return str(told["proofId"])
