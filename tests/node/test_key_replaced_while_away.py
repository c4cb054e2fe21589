"""A start after the key was replaced: the home goes on with the next one, also when the chain has forgotten the old."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from step_node.home.histories import begin_history
from step_node.home.keys import NodeKeys
from step_node.node.opening import _with_present_key
from step_node.node.signing_history import NO_WORD, check_history
from step_node.signing.keystore import KdfStrength, create_keystore, keystore_address
from tests.backup.homes import GENESIS, PASSWORD, VALIDATOR, make_home
from tests.support.chains import CHAIN_ID
from tests.support.proofs import address, private_key

NEXT = "the next key"


@pytest.mark.parametrize("is_here", [True, False])
async def test_the_key_that_the_history_names_is_taken_if_it_is_here(tmp_path: Path, is_here: bool) -> None:
    home = make_home(tmp_path / "node")
    create_keystore(home.next_validator_keystore, private_key(NEXT), PASSWORD, KdfStrength.DEVNET)
    begin_history(home, chain_id=CHAIN_ID, validator=address(NEXT))
    keys = NodeKeys(private_key(VALIDATOR), private_key("p2p"), lambda _: private_key(NEXT) if is_here else None)
    others = tuple(one for one in GENESIS.head().validators if one.address != address(VALIDATOR))
    known = (*others, replace(others[0], address=address(NEXT)))
    assert await _with_present_key(home, keys, None, known) is keys, "a key in the home is no word of the chain"
    present = await _with_present_key(home, keys, address(NEXT), known)
    if is_here:
        assert present.validator == private_key(NEXT)
        assert keystore_address(home.validator_keystore) == address(NEXT)
        assert not home.next_validator_keystore.exists()
    else:
        assert present is keys
        assert keystore_address(home.validator_keystore) == address(VALIDATOR)


async def test_where_nothing_tells_of_it_the_operator_puts_the_next_key_in_the_old_ones_place(tmp_path: Path) -> None:
    """As docs/becoming-a-validator.md says, of a store that began with a snapshot."""
    home = make_home(tmp_path / "node")
    create_keystore(home.next_validator_keystore, private_key(NEXT), PASSWORD, KdfStrength.DEVNET)
    begin_history(home, chain_id=CHAIN_ID, validator=address(NEXT))
    home.next_validator_keystore.replace(home.validator_keystore)
    check_history(home, validator=keystore_address(home.validator_keystore), word=NO_WORD, is_observer=False)
    assert keystore_address(home.validator_keystore) == address(NEXT)
