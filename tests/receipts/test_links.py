"""Whose word a newcomer takes when the validators are not those of genesis any more, and whose it does not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from consensus.commit import commit_of
from consensus.messages import Commit, CommitSignature, PreCommit
from consensus.values import VALIDATORS_MAX, Validator, ValidatorSet
from consensus.wire import WireError, decode, encode
from step_node.batch.batch import RECEIPTS_MAX, BatchHeader, header_hash
from step_node.crypto.eip191 import public_key_of
from step_node.ledger.validators import validator_set
from step_node.network.protocols import LINKS_BYTES_MAX, LINKS_PER_MESSAGE, SetLinks
from step_node.operations.operation import PROTOCOL_VERSION_MAX
from step_node.receipts.links import InvalidLink, SetLink, TrustedSets, needed_links
from tests.snapshot.changing_chain import ChangingChain, changing_genesis, signed_vote
from tests.support.chains import CHAIN_ID, make_genesis, validator_names
from tests.support.proofs import START_MS, address, private_key

GENESIS = changing_genesis()
GENESIS_SET = validator_set(GENESIS.head().validators)


async def changed_chain() -> ChangingChain:
    """A chain on which one validator has registered, one has changed its key, and one has been slashed."""
    chain = await ChangingChain.begin(GENESIS)
    await chain.grow(2)
    await chain.register()
    await chain.rotate(chain.members[0])
    await chain.slash(next(name for name in chain.members if name in validator_names(4)))
    await chain.grow(2)
    return chain


@pytest.fixture(scope="module")
def changed() -> ChangingChain:
    return trio.run(changed_chain)


def along(links: Sequence[SetLink]) -> TrustedSets:
    return TrustedSets.along(CHAIN_ID, GENESIS_SET, links)


def set_of(names: Sequence[str]) -> ValidatorSet:
    return ValidatorSet.of(Validator(address(name), public_key_of(private_key(name)), 10**11) for name in names)


def forged(
    names: Sequence[str], signers: Sequence[str], *, pretended: Sequence[str] = (), height: int = 1_000
) -> SetLink:
    """A link to a set of `names`, signed by `signers`; `pretended` stand in the commit with what is not their own."""
    validators = set_of(names)
    header = BatchHeader(
        chain_id=CHAIN_ID,
        protocol_version=1,
        height=height,
        round=0,
        proposer=validators.validators[0].address,
        timestamp_ms=START_MS,
        previous_batch_hash=bytes(32),
        validator_set_hash=validators.hash,
        state_root=bytes(32),
        proof_ids_root=bytes(32),
        proofs_root=bytes(32),
        receipts_root=bytes(32),
        receipts_size=0,
        body_hash=bytes(32),
    )
    batch_hash = header_hash(header)
    votes = [signed_vote(PreCommit(height, 0, batch_hash, address(name)), name) for name in signers]
    signatures = commit_of(votes).signatures
    entries = {one.validator: one for one in signatures}
    for name in pretended:
        entries.setdefault(address(name), CommitSignature(address(name), signatures[0].signature))
    commit = Commit(height, 0, batch_hash, tuple(entries[key] for key in sorted(entries)))
    return SetLink(header, commit, validators.validators)


def test_links_lead_from_genesis_through_every_kind_of_change(changed: ChangingChain) -> None:
    assert len(changed.set_links.links) == 3
    trusted = along(changed.set_links.links)
    assert trusted.latest == changed.chain.validators
    assert trusted.find(GENESIS_SET.hash) == GENESIS_SET
    assert {*changed.members} & {*validator_names(4)} == {*changed.members} - {"newcomer-0", "again-0"}


@given(st.data())
def test_a_wrong_byte_in_the_links_is_found(changed: ChangingChain, data: st.DataObject) -> None:
    encoded = bytearray(encode(SetLinks(changed.set_links.links)))
    encoded[data.draw(st.integers(0, len(encoded) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises((WireError, InvalidLink)):
        along(decode(SetLinks, bytes(encoded), bytes_max=LINKS_BYTES_MAX, structure_bytes_max=LINKS_BYTES_MAX).links)


def test_links_stand_in_one_order_each_once(changed: ChangingChain) -> None:
    one, two, three = changed.set_links.links
    for wrong in ((two, one), (one, one), (one, three, two), (one, two, three, three)):
        with pytest.raises(InvalidLink):
            along(wrong)


@given(st.data())
def test_who_has_less_than_a_quorum_of_keys_leads_nowhere(data: st.DataObject) -> None:
    """Whatever set they make up, whoever else they let sign, and whoever they pretend has signed."""
    genesis = make_genesis(data.draw(st.integers(1, 7)))
    trusted = TrustedSets(CHAIN_ID, validator_set(genesis.head().validators))
    members = validator_names(len(genesis.validators))
    held = data.draw(st.lists(st.sampled_from(members), unique=True, max_size=trusted.latest.quorum - 1))
    own = data.draw(st.lists(st.sampled_from([f"attacker-{one}" for one in range(6)]), unique=True, min_size=1))
    others = [name for name in members if name not in held]
    claimed = data.draw(st.lists(st.sampled_from(others), unique=True))
    pretended = data.draw(st.lists(st.sampled_from(others), unique=True))
    link = forged([*held, *own, *claimed], [*held, *own], pretended=pretended)
    with pytest.raises(InvalidLink):
        trusted.follow(link)
    assert trusted.latest == validator_set(genesis.head().validators)
    assert trusted.find(link.header.validator_set_hash) is None


@given(st.data())
def test_a_quorum_of_the_old_set_and_one_of_the_new_are_enough_and_needed(data: st.DataObject) -> None:
    members = validator_names(data.draw(st.integers(1, 7)))
    joined = [f"newcomer-{one}" for one in range(data.draw(st.integers(1, 4)))]
    stay = data.draw(st.lists(st.sampled_from(members), unique=True))
    new = [*stay, *joined]
    signers = data.draw(st.lists(st.sampled_from(new), unique=True, min_size=1))
    trusted = TrustedSets(CHAIN_ID, validator_set(make_genesis(len(members)).head().validators))
    of_old = sum(name in members for name in signers)
    link = forged(new, signers)
    if of_old >= trusted.latest.quorum and len(signers) >= set_of(new).quorum:
        trusted.follow(link)
        assert trusted.latest == set_of(new)
    else:
        with pytest.raises(InvalidLink):
            trusted.follow(link)


def test_each_rule_of_a_link(changed: ChangingChain) -> None:
    first = changed.set_links.links[0]
    header = first.header
    wrong = {
        "chain_id": replace(first, header=replace(header, chain_id="step-other-1")),
        "another one": forged(validator_names(4), validator_names(4)),
        "sorted": replace(first, validators=first.validators[::-1]),
        "not the set": replace(first, validators=first.validators[:-1]),
        "validators before": replace(first, commit=replace(first.commit, signatures=first.commit.signatures[:2])),
        "commit of height": replace(first, header=replace(header, state_root=bytes(32))),
    }
    for message, link in wrong.items():
        # The set of genesis itself, with the stakes of genesis.
        if message == "another one":
            link = replace(link, header=replace(link.header, validator_set_hash=GENESIS_SET.hash))
        with pytest.raises(InvalidLink, match=message):
            along([link])
    along([first])


def replacing(places: Iterable[int]) -> list[SetLink]:
    """From four validators on, each by replacing the one at a place by a newcomer; all of the new set sign."""
    members, links = [*validator_names(4)], []
    for number, place in enumerate(places):
        members[place] = f"newcomer-{number}"
        links.append(forged(members, members, height=number + 1))
    return links


def test_links_that_a_quorum_before_has_signed_past_are_not_needed() -> None:
    links = replacing([0, 0, 0, 0, 1, 1, 2])
    assert needed_links(GENESIS_SET, links) == (links[3], links[5], links[6])
    assert needed_links(GENESIS_SET, links[:4]) == (links[3],)
    assert needed_links(GENESIS_SET, []) == ()


def test_a_set_that_is_there_again_needs_no_link() -> None:
    names = [*validator_names(4)]
    there = forged(["newcomer-0", *names[1:]], ["newcomer-0", *names[1:]], height=1)
    # Under its own hash: the set of genesis has other stakes than `forged` gives.
    back = replace(
        forged(names, names, height=2), header=replace(there.header, height=2, validator_set_hash=GENESIS_SET.hash)
    )
    on = forged([*names[:3], "newcomer-1"], [*names[:3], "newcomer-1"], height=3)
    assert needed_links(GENESIS_SET, [there, back]) == ()
    assert needed_links(GENESIS_SET, [there, back, on]) == (on,)


@given(st.lists(st.integers(0, 3), max_size=8))
def test_the_needed_links_lead_where_all_of_them_lead(places: list[int]) -> None:
    links = replacing(places)
    needed = needed_links(GENESIS_SET, links)
    assert along(needed).latest == along(links).latest
    assert len(needed) <= len(links)


def test_the_largest_links_fit_into_one_message() -> None:
    number_max = 2**53 - 1
    addresses = [index.to_bytes(20, "big") for index in range(VALIDATORS_MAX)]
    link = SetLink(
        BatchHeader(
            chain_id="c" * 64,
            protocol_version=PROTOCOL_VERSION_MAX,
            height=number_max,
            round=2**16,
            proposer=addresses[0],
            timestamp_ms=number_max,
            previous_batch_hash=bytes(32),
            validator_set_hash=bytes(32),
            state_root=bytes(32),
            proof_ids_root=bytes(32),
            proofs_root=bytes(32),
            receipts_root=bytes(32),
            receipts_size=RECEIPTS_MAX,
            body_hash=bytes(32),
        ),
        Commit(number_max, 2**16, bytes(32), tuple(CommitSignature(one, bytes(65)) for one in addresses)),
        tuple(Validator(one, bytes(33), number_max) for one in addresses),
    )
    message = SetLinks((link,) * LINKS_PER_MESSAGE)
    data = encode(message)
    assert decode(SetLinks, data, bytes_max=LINKS_BYTES_MAX, structure_bytes_max=LINKS_BYTES_MAX) == message
