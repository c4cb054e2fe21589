"""What is paid, written down twice: both agree, and neither is the other."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import step_node.economy.guardrails as package
from step_node.economy.guardrails.schedule import (
    EARNINGS,
    LEVELS,
    VERSIONS,
    clicks_of,
    proofs_ustep_max,
    reward_ustep,
    share_ustep,
    supply_ustep_max,
    triangles_of,
    validators_shares_ustep,
)
from step_node.ledger.records import TriangleState
from step_node.ledger.rewards import validator_rewards_ustep
from step_node.ledger.rules import RULES
from step_node.ledger.state_gates import clicks_max

DECIDES_WHAT_IS_PAID = ("rewards", "rules", "execution", "apply", "state_gates", "validators")


def test_nothing_of_the_ledger_that_decides_what_is_paid_is_used_by_what_checks_it() -> None:
    for path in Path(package.__path__[0]).glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for name in names:
                assert name not in {f"step_node.ledger.{module}" for module in DECIDES_WHAT_IS_PAID}, path


def test_every_version_that_the_ledger_knows_is_written_down_here_and_pays_the_same() -> None:
    assert set(VERSIONS) == set(RULES)
    for version, rules in RULES.items():
        for level in LEVELS:
            assert clicks_of(level) == clicks_max(level)
            for click in range(1, clicks_of(level) + 1):
                paid, state = EARNINGS[version][level, click]
                assert paid == reward_ustep(version, level, click) == rules.proof_reward_ustep(level, click)
                ended = TriangleState.EXHAUSTED if level == 21 else TriangleState.SUBDIVIDED
                assert state == (ended if click == clicks_of(level) else TriangleState.ACTIVE)
        assert len(EARNINGS[version]) == 20 * 11 + 28


def test_the_figures_of_the_protocol_s_page() -> None:
    assert [reward_ustep(1, level, 1) for level in (1, 10, 18, 19, 20, 21)] == [1_000_000, 1_953, 8, 4, 2, 1]
    assert sum(reward_ustep(2, 21, click) for click in range(1, 29)) == int(28 * share_ustep(21)) == 26
    by_version_1 = sum(triangles_of(level) * clicks_of(level) * reward_ustep(1, level, 1) for level in LEVELS)
    assert by_version_1 // 10_000 == 85_608_375_029
    assert by_version_1 < proofs_ustep_max() < by_version_1 * 1.001
    assert supply_ustep_max(10, 500) == 10 + proofs_ustep_max() * 105 // 100


@pytest.mark.parametrize("paid_ustep", [0, 1, 19, 20, 999, 1_953, 123_456_789])
@pytest.mark.parametrize("signers", [0, 1, 3, 7, 100])
@pytest.mark.parametrize("reward_bps", [0, 1, 500, 10_000])
def test_validators_share_as_in_the_ledger(paid_ustep: int, signers: int, reward_bps: int) -> None:
    names = [bytes([index]) * 20 for index in range(signers)]
    for proposer in (bytes([0]) * 20, bytes([255]) * 20):
        shares = validators_shares_ustep(paid_ustep, reward_bps, names, proposer)
        assert shares == validator_rewards_ustep(paid_ustep, reward_bps, names, proposer)
