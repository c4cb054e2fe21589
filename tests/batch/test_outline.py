"""The outline of a batch: filled, it is the batch; and whatever is lacking or wrong never passes for it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.wire import encode
from step_node.batch.batch import Batch, MalformedBatch, encode_batch
from step_node.batch.outline import NAME_BYTES, decode_outline, outline_of
from step_node.proofs.proof import SignedProof
from tests.batch.test_batch import PROOFS, batch, with_content


def everything() -> Batch:
    """A batch of all the proofs there are."""
    return with_content(batch(), tuple(PROOFS))


def another_signature(proof: SignedProof) -> SignedProof:
    """The same proof as its account could have signed it too; only its length is looked at here."""
    return proof._replace(signature=bytes(byte ^ 1 for byte in proof.signature[:64]) + proof.signature[64:])


@given(st.sets(st.sampled_from(PROOFS)), st.sets(st.sampled_from(PROOFS)))
def test_an_outline_is_filled_exactly_where_every_proof_is_enclosed_or_known(
    enclosed: set[SignedProof], known: set[SignedProof]
) -> None:
    whole = everything()
    ids = {proof.proof_id for proof in enclosed}
    outline = decode_outline(encode(outline_of(whole, encloses=ids.__contains__)))
    assert outline.proof_ids == [proof.proof_id for proof in PROOFS]
    filled = outline.filled({proof.proof_id: proof for proof in known}.get)
    if enclosed | known == set(PROOFS):
        assert filled is not None
        assert encode_batch(filled) == encode_batch(whole)
    else:
        assert filled is None


def test_a_proof_that_waits_with_another_signature_is_lacking_unless_it_is_enclosed() -> None:
    whole = everything()
    known = {proof.proof_id: proof for proof in PROOFS} | {PROOFS[1].proof_id: another_signature(PROOFS[1])}
    assert outline_of(whole, encloses=lambda _: False).filled(known.get) is None
    enclosing = outline_of(whole, encloses=lambda proof_id: proof_id == PROOFS[1].proof_id)
    assert enclosing.filled(known.get) == whole


def test_signatures_that_begin_alike_do_not_make_another_batch_of_it() -> None:
    alike = PROOFS[1]._replace(signature=PROOFS[1].signature[:60] + bytes(4) + PROOFS[1].signature[64:])
    known = {proof.proof_id: proof for proof in PROOFS} | {PROOFS[1].proof_id: alike}
    with pytest.raises(MalformedBatch, match="proofs_root: is not the Merkle root"):
        outline_of(everything(), encloses=lambda _: False).filled(known.get)


def test_what_is_enclosed_must_be_proofs_and_names_must_be_whole() -> None:
    outline = outline_of(everything(), encloses=lambda _: True)
    account, *rest = outline.enclosed[0]
    spoilt = replace(outline, enclosed=((account[:19], *rest), *outline.enclosed[1:]))
    with pytest.raises(MalformedBatch, match="enclosed: account: must be 20 bytes"):
        decode_outline(encode(spoilt)).filled(lambda _: None)
    with pytest.raises(MalformedBatch, match=f"names: must have {NAME_BYTES} bytes for each proof"):
        decode_outline(encode(replace(outline, names=outline.names[:-1])))
    with pytest.raises(MalformedBatch, match="Outline"):
        decode_outline(b"\x80")


def test_an_outline_that_leaves_out_a_proof_is_not_filled_with_the_rest() -> None:
    outline = outline_of(everything(), encloses=lambda _: True)
    with pytest.raises(MalformedBatch, match="proof_ids_root: is not the Merkle root"):
        replace(outline, names=outline.names[NAME_BYTES:]).filled(lambda _: None)
