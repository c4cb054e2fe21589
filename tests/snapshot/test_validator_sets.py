"""A node keeps what newcomers need to trust the present validators, whenever it stops."""

from __future__ import annotations

from pathlib import Path

import pytest

from consensus.messages import PreCommit
from step_node.ledger.validators import validator_set
from step_node.receipts.links import TrustedSets
from step_node.snapshot.validator_sets import UNLINKED_MAX, ValidatorSetLinks
from tests.snapshot.changing_chain import ChangingChain, changing_genesis, signed_vote
from tests.support.chains import CHAIN_ID, make_genesis
from tests.support.proofs import address

GENESIS = changing_genesis()
GENESIS_SET = validator_set(GENESIS.head().validators)


def leads_to_the_head(chain: ChangingChain) -> bool:
    links = chain.set_links.links_to(chain.chain.validators.hash)
    if links is None:
        return False
    assert TrustedSets.along(CHAIN_ID, GENESIS_SET, links).latest == chain.chain.validators
    return True


async def restarted(chain: ChangingChain, path: Path) -> ChangingChain:
    again = ChangingChain(chain.chain, await ValidatorSetLinks.open(path, GENESIS))
    await again.set_links.begin(again.chain.validators)
    return again


async def test_while_nothing_changes_there_is_nothing_to_keep(tmp_path: Path) -> None:
    path = tmp_path / "sets"
    chain = await ChangingChain.begin(GENESIS, await ValidatorSetLinks.open(path, GENESIS))
    await chain.grow(4)
    assert chain.set_links.links_to(GENESIS_SET.hash) == ()
    assert chain.set_links.links_to(bytes(32)) is None
    assert not path.exists()


async def test_links_are_there_after_a_restart_at_any_height(tmp_path: Path) -> None:
    path = tmp_path / "sets"
    chain = await ChangingChain.begin(GENESIS, await ValidatorSetLinks.open(path, GENESIS))
    await chain.rotate(chain.members[0])
    for height in range(8):
        chain = await restarted(chain, path)
        if height == 3:
            await chain.slash(chain.members[0])
        else:
            await chain.grow()
        assert leads_to_the_head(chain) or height == 3
    assert len(chain.set_links.links) == 2


async def test_a_crash_before_the_trail_has_seen_a_batch_costs_nothing(tmp_path: Path) -> None:
    """The store has the batch; the first header under the new set goes by unseen."""
    path = tmp_path / "sets"
    chain = await ChangingChain.begin(GENESIS, await ValidatorSetLinks.open(path, GENESIS))
    for unseen in range(1, 4):
        blind = ChangingChain(chain.chain, ValidatorSetLinks(None, GENESIS))
        if unseen == 1:
            await blind.slash(blind.members[0])
        else:
            await blind.grow()
        chain = await restarted(chain, path)
        assert not leads_to_the_head(chain)
    await chain.grow()
    assert leads_to_the_head(chain)


async def test_the_link_waits_until_enough_of_the_old_set_have_signed() -> None:
    chain = await ChangingChain.begin(GENESIS)
    await chain.slash(chain.members[0])
    late = chain.members[0]
    await chain.grow(3, absent=[late])  # Two of three are a quorum now, and were none of four.
    assert chain.set_links.links_to(chain.chain.validators.hash) is None
    head = chain.chain.head.chain
    vote = signed_vote(PreCommit(head.height, 0, head.batch_hash, address(late)), late)
    chain.chain.note_late_pre_commit(vote)
    await chain.grow(1, absent=[late])
    assert leads_to_the_head(chain)
    assert chain.set_links.links[0].header.height == head.height


async def test_a_set_that_was_short_lived_is_passed_over() -> None:
    chain = await ChangingChain.begin(changing_genesis(7))
    first = validator_set(chain.chain.genesis.head().validators)
    await chain.slash(chain.members[0])
    await chain.grow(1, culprit=chain.members[0], absent=chain.members[1:3])
    await chain.grow()
    (link,) = chain.set_links.links
    assert TrustedSets.along(CHAIN_ID, first, [link]).latest == chain.chain.validators
    assert len(link.validators) == 5


async def test_when_more_than_a_third_change_at_once_no_link_leads_on() -> None:
    chain = await ChangingChain.begin(GENESIS)
    await chain.rotate(*chain.members[:2])
    await chain.grow(4)
    assert chain.set_links.links_to(chain.chain.validators.hash) is None
    # Nor does what is remembered grow for ever.
    for _ in range(UNLINKED_MAX):
        await chain.rotate(chain.members[0])
    assert len(chain.set_links._unlinked) <= UNLINKED_MAX
    assert chain.set_links.links == ()


@pytest.mark.parametrize("damage", ["truncated", "a wrong byte", "empty", "another chain's"])
async def test_a_file_that_cannot_be_used_costs_snapshots_and_nothing_else(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "sets"
    chain = await ChangingChain.begin(GENESIS, await ValidatorSetLinks.open(path, GENESIS))
    await chain.slash(chain.members[0])
    await chain.grow()
    assert leads_to_the_head(chain)
    content = bytearray(path.read_bytes())
    if damage == "a wrong byte":
        content[len(content) // 2] ^= 1
    path.write_bytes({"truncated": bytes(content[:-9]), "empty": b""}.get(damage, bytes(content)))
    genesis = make_genesis(1) if damage == "another chain's" else GENESIS
    again = await ValidatorSetLinks.open(path, genesis)
    assert again.links == ()
    assert again.links_to(chain.chain.validators.hash) is None
    assert again.links_to(validator_set(genesis.head().validators).hash) == ()


async def test_who_joins_takes_over_the_links_and_makes_the_next(tmp_path: Path) -> None:
    chain = await ChangingChain.begin(GENESIS)
    await chain.slash(chain.members[0])
    await chain.grow()
    path = tmp_path / "sets"
    joined = await ValidatorSetLinks.open(path, GENESIS)
    await joined.take_over(chain.set_links.links)
    chain = await restarted(chain, path)
    assert leads_to_the_head(chain)
    await chain.register()
    await chain.grow()
    assert leads_to_the_head(chain)
    assert len(chain.set_links.links) == 2
