"""What walkers and checks ask of a node, over its HTTP API."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import httpx

from step_node.proofs.client_signing import SignedPayload

TIMEOUT_SECONDS = 10.0
_STILL_THERE = {502, 503, 504, 429, 500}
"""Status codes that say "not now"; the same request may be sent again."""


class Unavailable(Exception):
    """The node does not answer, or not now; the message says why."""


@dataclass(frozen=True, slots=True)
class Final:
    """The proof is in the ledger."""

    height: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """The proof is accepted, and not decided yet."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The proof was refused at once, or accepted and dropped later."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """The node has never heard of the proof."""


ProofState: TypeAlias = Final | Waiting | Refused | Unknown


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a node stands. `peers` counts the connected ones; `validators` are the addresses of the present set."""

    height: int
    state_root: str
    peer_id: str
    peers: int
    validators: tuple[str, ...] = ()


class NodeClient:
    """One node's API. Every method raises Unavailable when the node cannot answer now."""

    def __init__(self, http: httpx.AsyncClient, url: str) -> None:
        self._http = http
        self.url = url

    async def submit(self, signed: SignedPayload, *, wait_ms: int) -> ProofState:
        """Submit a proof; the node may wait up to `wait_ms` for its finality."""
        status_code, answer = await self._call(
            "POST",
            "/proof/submit",
            json=signed,
            params={"wait_ms": wait_ms},
            seconds_max=TIMEOUT_SECONDS + wait_ms / 1000,
        )
        if status_code == 200:
            return Final(int(answer["height"]))
        if status_code == 202:
            return Waiting()
        return Refused(str(answer.get("code")), str(answer.get("message")))

    async def proof(self, proof_id: str) -> ProofState:
        """What became of a proof."""
        status_code, answer = await self._call("GET", f"/proof/status/{proof_id}")
        if status_code == 404:
            return Unknown()
        match answer.get("status"):
            case "finalised":
                return Final(int(answer["height"]))
            case "dropped":
                return Refused(str(answer["code"]), str(answer["message"]))
            case "pending":
                return Waiting()
        raise Unavailable(f"{self.url}: an answer that cannot be read: {answer}")

    async def status(self) -> Standing:
        """Where the node stands."""
        status_code, answer = await self._call("GET", "/status")
        if status_code != 200:
            raise Unavailable(f"{self.url}/status: {status_code}")
        return Standing(
            int(answer["height"]),
            str(answer["stateRoot"]),
            str(answer["peerId"]),
            len(list(answer["peers"])),
            tuple(str(one["address"]) for one in answer["validators"]),
        )

    async def batch_proof_ids(self, height: int) -> list[str]:
        """The ids of the proofs in a finalised batch, in their order."""
        status_code, answer = await self._call("GET", f"/batch/{height}")
        if status_code != 200:
            raise Unavailable(f"{self.url}/batch/{height}: {status_code}")
        return [str(proof_id) for proof_id in answer["proofIds"]]

    async def get(self, path: str) -> dict[str, Any]:
        """What the node answers to a question that it can answer."""
        status_code, answer = await self._call("GET", path)
        if status_code != 200:
            raise Unavailable(f"{self.url}{path}: {status_code} {answer.get('message')}")
        return answer

    async def post(self, path: str, body: object) -> dict[str, Any]:
        """What the node answers to what it accepts."""
        status_code, answer = await self._call("POST", path, json=body)
        if status_code not in (200, 202):
            raise Unavailable(f"{self.url}{path}: {status_code} {answer.get('message')}")
        return answer

    async def metrics(self) -> str:
        """The node's counters, in Prometheus' text format."""
        try:
            response = await self._http.get(self.url + "/metrics", timeout=TIMEOUT_SECONDS)
        except httpx.HTTPError as error:
            raise Unavailable(f"{self.url}/metrics: {type(error).__name__} {error}") from error
        return response.text

    async def _call(
        self,
        method: str,
        path: str,
        *,
        json: object = None,
        params: dict[str, int] | None = None,
        seconds_max: float = TIMEOUT_SECONDS,
    ) -> tuple[int, dict[str, Any]]:
        try:
            response = await self._http.request(method, self.url + path, json=json, params=params, timeout=seconds_max)
            answer = response.json()
        except httpx.HTTPError as error:
            raise Unavailable(f"{self.url}{path}: {type(error).__name__} {error}") from error
        except ValueError as error:
            raise Unavailable(f"{self.url}{path}: the answer is not JSON") from error
        if response.status_code in _STILL_THERE:
            raise Unavailable(f"{self.url}{path}: {answer.get('code')} {answer.get('message')}")
        return response.status_code, answer
