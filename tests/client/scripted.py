"""A world without sockets or clocks: nodes answer as a test says, and time passes only where a flow pauses."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from step_node.client.exchange import Flow, Nodes, NoReply, Pause, Reply, Request, RetryPolicy
from step_node.client.flows import Session
from step_node.proofs.timestamps import format_timestamp

T = TypeVar("T")

A, B, C = "http://a:8600", "http://b:8600", "http://c:8600"
NOW_MS = 1_769_860_800_000
KEY = bytes(range(1, 33))
TRIANGLE = "STEP-TRI-v1:P10-13131312000000000000-VV7"
CHILD = "STEP-TRI-v1:P11-13131312000000000000-3WC"
ZURICH = (47.3769, 8.5417)

Handler = Callable[[Request], Reply | NoReply]

CONFIG: Mapping[str, Any] = {
    "ok": True,
    "timestamp": format_timestamp(NOW_MS),
    "CHAIN_ID": "step-test",
    "GPS_MAX_ACCURACY_M": 50,
    "PROOF_SPEED_LIMIT_MPS": 15,
    "PROOF_SPEED_HORIZON_MS": 3_600_000,
    "PROOF_MORATORIUM_MS": 10_000,
    "PROOF_MAX_AGE_MS": 300_000,
    "SEEDED_LEVEL": 10,
    "WAIT_MS_MAX": 30_000,
    "BATCH_SUBMISSIONS_MAX": 3,
    "BATCH_BODY_BYTES_MAX": 1_048_576,
    "SUBMISSIONS_PER_MINUTE": 100,
    "ACCOUNT_SUBMISSIONS_PER_MINUTE": None,
}


def reply(status: int, document: Mapping[str, Any], **headers: str) -> Reply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, named, json.dumps(document).encode())


def refused(status: int, code: str, details: Mapping[str, Any] | None = None, **headers: str) -> Reply:
    envelope = {"ok": False, "code": code, "message": f"{code} it is", "timestamp": format_timestamp(NOW_MS)}
    return reply(status, envelope | ({} if details is None else {"details": details}), **headers)


def finalised(proof_id: str, **others: object) -> dict[str, Any]:
    return {
        "ok": True,
        "proofId": proof_id,
        "reward": "0.001953",
        "unit": "STEP",
        "triangleId": TRIANGLE,
        "level": 10,
        "clicks": 1,
        "balance": "0.003906",
        "height": 7,
        "processedAt": format_timestamp(NOW_MS + 1_000),
        **others,
    }


BROKEN = NoReply("the connection broke")


@dataclass
class World:
    """`handlers` by node; `sent` is what was asked of whom, in order; `pauses` are how long each was."""

    handlers: Mapping[str, Handler]
    attempts_max: int = 10
    seconds_max: float = 120.0
    chance: float = 0.0
    seconds: float = 0.0
    sent: list[tuple[str, Request]] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        policy = RetryPolicy(
            attempts_max=self.attempts_max,
            seconds_max=self.seconds_max,
            chance=lambda: self.chance,
            clock=lambda: self.seconds,
        )
        self.session = Session(Nodes(list(self.handlers), policy.clock), policy, self.now_ms)

    def now_ms(self) -> int:
        return NOW_MS + int(self.seconds * 1000)

    def run(self, flow: Flow[T]) -> T:
        told: Reply | NoReply | None = None
        while True:
            try:
                effect = flow.send(told)
            except StopIteration as end:
                result: T = end.value
                return result
            if isinstance(effect, Pause):
                assert effect.seconds > 0
                self.pauses.append(effect.seconds)
                self.seconds += effect.seconds
                told = None
            else:
                self.sent.append((effect.url, effect.request))
                told = self.handlers[effect.url](effect.request)

    @property
    def asked(self) -> list[str]:
        """The nodes, in the order in which they were asked, the question for the rules aside."""
        return [url for url, request in self.sent if request.path != "/proof/config"]


def one_after_another(*replies: Reply | NoReply) -> Handler:
    """Gives these in turn; asking once more is a fault of the test. The rules are told whenever asked for."""
    left = list(replies)

    def answer(request: Request) -> Reply | NoReply:
        return reply(200, CONFIG) if request.path == "/proof/config" else left.pop(0)

    return answer


def always(given: Reply | NoReply) -> Handler:
    """Gives this whenever asked, and the rules."""
    return lambda request: reply(200, CONFIG) if request.path == "/proof/config" else given
