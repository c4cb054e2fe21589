"""What a node is to the chain is said when it changes, and stays a reason in its health while it needs a look."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import structlog
import trio

from p2p.memory import MemoryHub
from step_node.api.status.health import HealthCode, HealthLevel
from step_node.crypto.eip191 import public_key_of
from step_node.ledger.records import ValidatorRecord, ValidatorState
from step_node.node.roles import RoleWatch
from tests.support.chains import make_genesis, validator_names
from tests.support.nodes import QUICK, running_node
from tests.support.proofs import address, private_key

PEER = "16Uiu2HAmPeer"
OWN = ValidatorRecord(
    address=address("own"),
    public_key=public_key_of(private_key("own")),
    stake_ustep=1,
    p2p_address="/ip4/192.0.2.1/tcp/26600/p2p/16Uiu2HAmOther",
    owner=address("cold"),
)
NEXT = public_key_of(private_key("next"))
JAILED = replace(OWN, state=ValidatorState.JAILED, slashed_at_height=9)
ROTATING = replace(OWN, next_public_key=NEXT)


def watch(own: str | None = "own", **more: bool | frozenset[bytes]) -> RoleWatch:
    return RoleWatch(own=None if own is None else address(own), peer_id=PEER, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("record", "code", "sentence"),
    [
        (None, HealthCode.KEY_NOT_A_VALIDATORS, "is no validator's on this chain: the node only observes"),
        (
            replace(OWN, state=ValidatorState.WAITING, active_from_height=41),
            HealthCode.KEY_NOT_YET_ACTIVE,
            "joins the validator set at height 41",
        ),
        (
            replace(OWN, state=ValidatorState.LEAVING),
            HealthCode.KEY_LEAVING,
            "leaves the validator set at the epoch's end",
        ),
        (replace(OWN, state=ValidatorState.UNBONDING), HealthCode.KEY_LEFT, "has left the validator set"),
        (JAILED, HealthCode.KEY_JAILED, "is jailed, slashed for height 9"),
        (ROTATING, HealthCode.KEY_LEAVING, f"then 0x{address('next').hex()} takes over"),
        (
            replace(ROTATING, state=ValidatorState.ROTATED),
            HealthCode.KEY_REPLACED,
            f"has been replaced by 0x{address('next').hex()}",
        ),
    ],
)
def test_whatever_keeps_a_key_from_voting_for_good_is_a_warning_and_a_reason(
    record: ValidatorRecord | None, code: HealthCode, sentence: str
) -> None:
    roles, records = watch(), [] if record is None else [record]
    with structlog.testing.capture_logs() as logged:
        roles.look(records)
        roles.look(records)
    assert roles.reason is not None
    assert roles.reason.code is code
    assert roles.reason.message.startswith(f"this node's key 0x{address('own').hex()} ")
    assert sentence in roles.reason.message
    (line,) = logged
    assert (line["log_level"], line["role"]) == ("warning", roles.reason.message)


def test_each_change_is_a_warning_and_a_validator_in_the_set_is_as_it_should_be() -> None:
    roles = watch()
    with structlog.testing.capture_logs() as logged:
        for records in ([OWN], [OWN], [JAILED], [OWN], []):
            roles.look(records)
            assert (roles.reason is None) == (records == [OWN])
    assert [line["event"] for line in logged] == ["what this node is to the chain has changed"] * 3
    assert all(line["log_level"] == "warning" and line["before"] != line["role"] for line in logged)


def test_a_new_key_started_before_the_epochs_end_says_whose_place_it_takes() -> None:
    roles = watch("next")
    roles.look([ROTATING])
    assert f"takes over from 0x{OWN.address.hex()} at the epoch's end" in str(roles.reason)


def test_an_observer_is_as_it_should_be_unless_the_set_has_a_key_that_belongs_here() -> None:
    here = replace(OWN, p2p_address=f"/ip4/192.0.2.1/tcp/26600/p2p/{PEER}")
    for records, signed_here, why in (
        ([OWN], frozenset[bytes](), None),
        ([JAILED], frozenset({OWN.address}), None),
        ([OWN], frozenset({OWN.address}), "has signed in this home"),
        ([here], frozenset[bytes](), "is said to be at this node's address"),
    ):
        roles, on_purpose = (
            watch(None, signed_here=signed_here, observes_on_purpose=is_said) for is_said in (False, True)
        )
        with structlog.testing.capture_logs() as logged:
            roles.look(records)
        assert len(logged) == (why is not None)
        assert (roles.reason is None) == (why is None)
        assert why is None or f"0x{OWN.address.hex()} is in the validator set and {why}" in str(roles.reason)
        with structlog.testing.capture_logs() as logged:
            on_purpose.look(records)
        assert on_purpose.reason is None
        assert [line["log_level"] for line in logged] == ["warning"]


async def test_a_running_node_whose_key_is_no_validators_says_so_in_its_health(tmp_path: Path) -> None:
    (name,) = validator_names(1)
    genesis = make_genesis(1, **QUICK)
    async with running_node(MemoryHub(), name, genesis, tmp_path / name) as node:
        with trio.fail_after(10):
            while node.overview.health().level is not HealthLevel.OK:
                await trio.sleep(0.01)
    with structlog.testing.capture_logs() as logged:
        async with running_node(MemoryHub(), "stranger", genesis, tmp_path / "stranger") as node:
            health = node.overview.health()
    assert health.level is HealthLevel.DEGRADED
    assert any("is no validator's on this chain" in reason.message for reason in health.reasons)
    assert any("is no validator's on this chain" in line.get("role", "") for line in logged)
