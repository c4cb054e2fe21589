"""The stateless gates, in the protocol's order (protocol.md §2): anyone can check them from the proof alone.

`SignedProof` stands for the first, INVALID_PAYLOAD: nothing else decodes to one. Then LOW_GPS_ACCURACY, BAD_SIGNATURE,
OUT_OF_BOUNDS; the first that fails gives the code. The gates that need the ledger are in `step_node.ledger`.

Checking is pure and may run on any thread. Its cost is signature recovery in libsecp256k1, which runs without the
interpreter's lock: `step_node.chain.verification` hands whole chunks to worker threads.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mesh import contains, contains_array
from step_node.crypto.eip191 import BadSignature, recover_address
from step_node.parameters import Parameters
from step_node.proofs.proof import Refusal, RefusalCode, SignedProof

_VECTORISED_PROOFS_MIN = 32
"""Below as many, NumPy's overhead costs more than it saves (6 µs a proof one by one; of 256 at once, 1 µs each)."""

_OUT_OF_BOUNDS = Refusal(RefusalCode.OUT_OF_BOUNDS, "lat, lon: the point must be in the triangle triangleId")


def check_stateless(proof: SignedProof, parameters: Parameters) -> Refusal | None:
    """The first stateless gate that refuses `proof`, or None. Pure; some 40 µs, so not for the event loop."""
    refusal = _check_accuracy(proof, parameters) or _check_signature(proof)
    if refusal is None and not contains(proof.triangle, proof.lat, proof.lon):
        return _OUT_OF_BOUNDS
    return refusal


def check_stateless_many(proofs: Sequence[SignedProof], parameters: Parameters) -> list[Refusal | None]:
    """`check_stateless` for each proof, in order, with the bounds of all computed at once. Pure."""
    # Recoveries in a row, so that the threads get in each other's way as little as can be: see recovery.py.
    refusals = [_check_accuracy(proof, parameters) or _check_signature(proof) for proof in proofs]
    return [
        refusal or (None if is_inside else _OUT_OF_BOUNDS)
        for refusal, is_inside in zip(refusals, _contained(proofs), strict=True)
    ]


def _contained(proofs: Sequence[SignedProof]) -> Iterable[bool]:
    if len(proofs) < _VECTORISED_PROOFS_MIN:
        return [contains(proof.triangle, proof.lat, proof.lon) for proof in proofs]
    inside: list[bool] = contains_array(
        [proof.triangle.integer for proof in proofs], [proof.lat for proof in proofs], [proof.lon for proof in proofs]
    ).tolist()
    return inside


def _check_accuracy(proof: SignedProof, parameters: Parameters) -> Refusal | None:
    if proof.accuracy_m <= parameters.gps_max_accuracy_m:
        return None
    return Refusal(RefusalCode.LOW_GPS_ACCURACY, f"accuracy: must be at most {parameters.gps_max_accuracy_m} metres")


def _check_signature(proof: SignedProof) -> Refusal | None:
    try:
        recovered = recover_address(proof.proof_id, proof.signature)
    except BadSignature as error:
        return Refusal(RefusalCode.BAD_SIGNATURE, f"signature: {error}")
    if recovered == proof.account:
        return None
    return Refusal(
        RefusalCode.BAD_SIGNATURE, f"signature: must be by account; it is by 0x{recovered.hex()} or over another line"
    )
