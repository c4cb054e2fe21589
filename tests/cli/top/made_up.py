"""Answers of nodes that are not there, and a transport that gives them."""

from __future__ import annotations

import json
from typing import Any

import httpx

OWN, OTHER, THIRD, FOURTH = ("0x" + digit * 40 for digit in "1234")
PEER_ID = "16Uiu2HAm1zXhWsn2hTkGsWUFNFgUEXYvmZCTkFTvh1aHiMSpFMTX"
URL, URL_OF_ANOTHER = "http://a.example:8600", "http://b.example:8600"
METRICS = """\
step_mempool_proofs_max 50000.0
step_proof_finality_seconds_bucket{le="0.5"} 10.0
step_proof_finality_seconds_bucket{le="1.0"} 20.0
step_proof_finality_seconds_bucket{le="9.0"} 20.0
step_proof_finality_seconds_bucket{le="+Inf"} 20.0
"""


def status(height: int = 42) -> dict[str, Any]:
    """Of `GET /status`."""
    peer = {
        "peerId": PEER_ID,
        "address": "/ip4/192.0.2.1/tcp/26600",
        "direction": "outbound",
        "version": "0.1.0",
        "height": height - 1,
        "validator": OTHER,
    }
    return {
        "ok": True,
        "version": "0.1.0",
        "chainId": "made-up",
        "height": height,
        "syncing": False,
        "mempoolProofs": 7,
        "validatorAddress": OWN,
        "peers": [peer],
    }


def consensus(height: int = 43) -> dict[str, Any]:
    """Of `GET /consensus`."""

    def voter(address: str, **more: object) -> dict[str, object]:
        plain = {"address": address, "isSelf": False, "isConnected": True, "preVote": None, "preCommit": None}
        return plain | more

    return {
        "ok": True,
        "height": height,
        "round": 2,
        "step": "PRE_VOTE",
        "stepSince": "2026-01-01T00:00:00.000Z",
        "takesPart": True,
        "proposer": OTHER,
        "quorum": 3,
        "validators": [
            voter(OWN, isSelf=True, preVote="nil"),
            voter(OTHER, preVote="0x" + "ab" * 32),
            voter(THIRD),
            voter(FOURTH, isConnected=False),
        ],
    }


class MadeUpNodes:
    """Nodes by their host; each a dictionary of answers by path. One without `paths` refuses connections."""

    def __init__(self) -> None:
        self.answers: dict[str, dict[str, Any]] = {}
        self.asked: list[str] = []
        self.signers: dict[tuple[str, int], list[str]] = {}
        """Host and height -> who has signed the commit there; all four where that is not said."""

    def add(self, host: str, height: int = 42) -> dict[str, Any]:
        """A node that is well."""
        paths: dict[str, Any] = {
            "/status": status(height),
            "/consensus": consensus(height + 1),
            "/health": {"status": "ok", "reasons": []},
            "/metrics": METRICS,
            "/events": "",
        }
        self.answers[host] = paths
        return paths

    def client(self) -> httpx.AsyncClient:
        """What asks them."""
        return httpx.AsyncClient(transport=httpx.MockTransport(self._answer))

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url.path)
        paths = self.answers.get(request.url.host)
        if paths is None:
            raise httpx.ConnectError("connection refused")
        if request.url.path.startswith("/batch/"):
            height = int(request.url.path.removeprefix("/batch/"))
            signers = self.signers.get((request.url.host, height), [OWN, OTHER, THIRD, FOURTH])
            return _streamed(200, {"commit": {"signatures": [{"validator": one} for one in signers]}})
        answer = paths.get(request.url.path)
        return _streamed(404, {"code": "NOT_FOUND"}) if answer is None else _streamed(200, answer)


def _streamed(code: int, answer: object) -> httpx.Response:
    """As a stream, for a body that is read already gives no bytes as they came."""
    data = (answer if isinstance(answer, str) else json.dumps(answer)).encode()
    return httpx.Response(code, stream=httpx.ByteStream(data))
