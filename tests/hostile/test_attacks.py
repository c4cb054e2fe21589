"""Under each attack the network keeps at least half of its finality, its memory, and the ability to stop."""

from __future__ import annotations

from typing import Final

import pytest

from tests.hostile import http_attacks, p2p_attacks
from tests.hostile.siege import (
    MEMORY_GROWTH_MIB_MAX,
    RATE_RATIO_MIN,
    STOP_SECONDS_MAX,
    Attack,
    Measured,
    besiege,
    tell,
)

pytestmark = pytest.mark.long

ATTACKS: Final[tuple[Attack, ...]] = (*http_attacks.ATTACKS, *p2p_attacks.ATTACKS)
DESCRIPTORS_OF_A_LOGIN_SHELL: Final = 1_024


def name_of(attack: Attack) -> str:
    """The function's, for people."""
    return attack.__name__.replace("_", " ")


def require_endured(measured: Measured) -> None:
    """What every attack is held to."""
    assert measured.ratio >= RATE_RATIO_MIN
    assert measured.memory_growth_mib <= MEMORY_GROWTH_MIB_MAX
    assert measured.stop_seconds <= STOP_SECONDS_MAX


@pytest.mark.parametrize("attack", ATTACKS, ids=name_of)
async def test_honest_clients_keep_half_of_their_finality(attack: Attack) -> None:
    measured = await besiege(attack)
    tell(name_of(attack), measured)
    require_endured(measured)


@pytest.mark.parametrize(
    "attack", [http_attacks.idle_connections_of_one, http_attacks.idle_connections_of_many], ids=name_of
)
async def test_the_same_where_few_files_may_be_open(attack: Attack) -> None:
    measured = await besiege(attack, descriptors_max=DESCRIPTORS_OF_A_LOGIN_SHELL)
    tell(f"{name_of(attack)}, {DESCRIPTORS_OF_A_LOGIN_SHELL} files", measured)
    require_endured(measured)
