"""The versions of the protocol's rules that this release knows, and what each does otherwise than the one before it
(protocol.md §6).

What all versions have in common is plain code. What differs is a field of `Rules`, looked up by the version that is in
force; nobody asks for the number of a version anywhere else. So two releases with one version in their tables agree
under it, whatever else the newer one knows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, Final

from mesh.triangle_id import LEVEL_MASK
from step_node.errors import StepNodeError
from step_node.ledger.protocol_record import ProtocolRecord, Upgrade
from step_node.ledger.records import Triangle
from step_node.ledger.rewards import exact_reward_ustep, rounded_reward_ustep


@dataclass(frozen=True, slots=True)
class Rules:
    """One version. `proof_reward_ustep(level, click)` is what the `click`th proof (from 1) in a triangle is paid."""

    version: int
    summary: str
    proof_reward_ustep: Callable[[int, int], int]


RULES: Final[Mapping[int, Rules]] = MappingProxyType(
    {
        1: Rules(1, "each proof is paid its share, rounded half up", rounded_reward_ustep),
        2: Rules(2, "the proofs of a triangle together are paid their exact share, rounded down", exact_reward_ustep),
    }
)


class UnknownRules(StepNodeError):
    """The next batch is to be judged by rules that this release does not know: the node signs and finalises no more."""

    exit_status: ClassVar[int] = 5


def known_versions() -> tuple[int, ...]:
    """The versions of this release, in rising order."""
    return tuple(sorted(RULES))


def rules_of(protocol: ProtocolRecord) -> Rules:
    """The rules of the next batch. Raises `UnknownRules`, which says what to install."""
    rules = RULES.get(protocol.version)
    if rules is None:
        raise UnknownRules(
            f"{unknown_version(protocol.in_force)}. Nothing is signed or final here from that height on."
            f" {what_to_install(protocol.in_force)}; it goes on where this one has stopped"
        )
    return rules


def next_reward_ustep(protocol: ProtocolRecord, triangle: Triangle) -> int:
    """What the next proof in it is paid, if the next batch has it. Raises `UnknownRules`."""
    return rules_of(protocol).proof_reward_ustep(triangle.id & LEVEL_MASK, triangle.clicks + 1)


def unknown_version(upgrade: Upgrade) -> str:
    """For people: which version, from which height on, and what this release knows instead."""
    known = ", ".join(map(str, known_versions()))
    return (
        f"protocol version {upgrade.protocol_version} is in force from height {upgrade.activation_height} on, and this"
        f" release knows {known}"
    )


def what_to_install(upgrade: Upgrade) -> str:
    """For people: which release knows the version, as far as the validators have named one."""
    release = f"release {upgrade.release}" if upgrade.release else "a release"
    return f"Install {release} that knows version {upgrade.protocol_version}, and start it on this home"
