"""The limit of open files is raised, and HTTP gets what consensus, the store and the peers leave."""

from __future__ import annotations

import resource

import pytest

from step_node.errors import StepNodeError
from step_node.home.config import NodeConfig
from step_node.node.descriptors import API_CONNECTIONS_MIN, DESCRIPTORS_WANTED, api_connections, raise_limit

RESERVED_WITH_100_PEERS = 484


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """What the process is limited to, the last entry; a test puts the first one in."""
    held: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _which: held[-1])
    monkeypatch.setattr(resource, "setrlimit", lambda _which, limit: held.append(limit))
    return held


@pytest.mark.parametrize(
    ("before", "raised"),
    [
        ((1_024, 4_096), 4_096),
        ((1_024, 1_024), 1_024),
        ((1_024, 1_048_576), DESCRIPTORS_WANTED),
        ((256, resource.RLIM_INFINITY), DESCRIPTORS_WANTED),
        ((100_000, 1_048_576), 100_000),
        ((resource.RLIM_INFINITY, resource.RLIM_INFINITY), DESCRIPTORS_WANTED),
    ],
)
def test_the_soft_limit_is_raised_to_the_hard_one(
    limits: list[tuple[int, int]], before: tuple[int, int], raised: int
) -> None:
    limits.append(before)
    assert raise_limit() == raised
    assert limits[-1][1] == before[1]
    assert limits[-1][0] in (before[0], raised)


def test_a_limit_that_cannot_be_raised_is_lived_with(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_which: int, _limit: tuple[int, int]) -> None:
        raise ValueError("not allowed to raise maximum limit")

    monkeypatch.setattr(resource, "getrlimit", lambda _which: (256, 4_096))
    monkeypatch.setattr(resource, "setrlimit", refuse)
    assert raise_limit() == 256


def test_http_gets_what_is_left_and_no_more_than_is_wanted() -> None:
    assert api_connections(1_024, wanted=4_096, peers=100) == 1_024 - RESERVED_WITH_100_PEERS
    assert api_connections(16_384, wanted=4_096, peers=100) == 4_096


def test_all_that_is_configured_by_default_has_place_in_what_is_asked_for() -> None:
    config = NodeConfig()
    assert (
        api_connections(DESCRIPTORS_WANTED, wanted=config.api.connections_max, peers=config.p2p.connections_max)
        == config.api.connections_max
    )


def test_a_node_that_could_not_serve_does_not_start_and_says_what_to_do() -> None:
    with pytest.raises(StepNodeError, match=r"ulimit -n.*LimitNOFILE"):
        api_connections(RESERVED_WITH_100_PEERS + API_CONNECTIONS_MIN - 1, wanted=4_096, peers=100)
