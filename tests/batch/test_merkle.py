"""The Merkle root against the words of RFC 6962 §2.1."""

from __future__ import annotations

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from step_node.batch.merkle import merkle_root


def by_definition(leaves: list[bytes]) -> bytes:
    """MTH(D[n]) as the RFC defines it, recursively: split at k, the largest power of two smaller than n."""
    if not leaves:
        return hashlib.sha256().digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return hashlib.sha256(b"\x01" + by_definition(leaves[:k]) + by_definition(leaves[k:])).digest()


def test_the_root_is_the_rfcs_for_every_count_up_to_130() -> None:
    leaves = [index.to_bytes(32, "big") for index in range(130)]
    for count in range(len(leaves) + 1):
        assert merkle_root(leaves[:count]) == by_definition(leaves[:count])


@given(st.lists(st.binary(max_size=40), max_size=70))
def test_the_root_is_the_rfcs_for_any_leaves(leaves: list[bytes]) -> None:
    assert merkle_root(leaves) == by_definition(leaves)


def test_known_answers_of_certificate_transparency() -> None:
    # The test vectors of the reference implementation (google/certificate-transparency, merkletree tests).
    leaves = [bytes.fromhex(text) for text in ("", "00", "10", "2021", "3031", "40414243")]
    assert merkle_root([]).hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert merkle_root(leaves[:1]).hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    assert merkle_root(leaves[:2]).hex() == "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"
    assert merkle_root(leaves[:3]).hex() == "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"


@given(st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=20), st.data())
def test_any_other_order_or_content_has_another_root(leaves: list[bytes], data: st.DataObject) -> None:
    other = data.draw(st.one_of(st.permutations(leaves), st.just([*leaves, leaves[-1]]), st.just(leaves[:-1])))
    assert (merkle_root(other) == merkle_root(leaves)) == (list(other) == leaves)
