"""The stateless gates, in the protocol's order (protocol.md §2): anyone can check them from the proof alone.

`SignedProof` stands for the first, INVALID_PAYLOAD: nothing else decodes to one. Then LOW_GPS_ACCURACY, BAD_SIGNATURE,
OUT_OF_BOUNDS; the first that fails gives the code. The gates that need the ledger are in `step_node.ledger`.

Checking is pure and may run on any thread. Its cost is signature recovery in libsecp256k1, which runs without the
interpreter's lock: `step_node.chain.verification` hands whole chunks to worker threads.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mesh import contains, contains_array, locate
from step_node.crypto.eip191 import BadSignature, recover_address
from step_node.explanations.details import Details, TryInstead, shown
from step_node.parameters import Parameters
from step_node.proofs.canonical_line import canonical_line
from step_node.proofs.proof import Refusal, RefusalCode, SignedProof
from step_node.proofs.timestamps import format_timestamp

_VECTORISED_PROOFS_MIN = 32
"""Below as many, NumPy's overhead costs more than it saves (6 µs a proof one by one; of 256 at once, 1 µs each)."""


def check_stateless(proof: SignedProof, parameters: Parameters) -> Refusal | None:
    """The first stateless gate that refuses `proof`, or None. Pure; some 40 µs, so not for the event loop."""
    refusal = _check_accuracy(proof, parameters) or _check_signature(proof)
    if refusal is None and not contains(proof.triangle, proof.lat, proof.lon):
        return _out_of_bounds(proof)
    return refusal


def check_stateless_many(proofs: Sequence[SignedProof], parameters: Parameters) -> list[Refusal | None]:
    """`check_stateless` for each proof, in order, with the bounds of all computed at once. Pure."""
    # Recoveries in a row, so that the threads get in each other's way as little as can be: see recovery.py.
    refusals = [_check_accuracy(proof, parameters) or _check_signature(proof) for proof in proofs]
    return [
        refusal or (None if is_inside else _out_of_bounds(proof))
        for proof, refusal, is_inside in zip(proofs, refusals, _contained(proofs), strict=True)
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
    return Refusal(
        RefusalCode.LOW_GPS_ACCURACY,
        f"accuracy: must be at most {parameters.gps_max_accuracy_m} metres",
        Details(value=proof.accuracy_m, limit=parameters.gps_max_accuracy_m, unit="m"),
    )


def _check_signature(proof: SignedProof) -> Refusal | None:
    try:
        recovered = recover_address(proof.proof_id, proof.signature)
    except BadSignature as error:
        return Refusal(RefusalCode.BAD_SIGNATURE, f"signature: {error}", _signed_by(proof, None))
    if recovered == proof.account:
        return None
    return Refusal(
        RefusalCode.BAD_SIGNATURE,
        f"signature: must be by account; it is by 0x{recovered.hex()} or over another line",
        _signed_by(proof, recovered),
    )


def _signed_by(proof: SignedProof, recovered: bytes | None) -> Details:
    """What a client compares with what it has signed: most wrong signatures are of a line with another number in it."""
    return Details(
        line=canonical_line(
            proof.account,
            proof.triangle.text,
            proof.lat,
            proof.lon,
            proof.accuracy_m,
            format_timestamp(proof.timestamp_ms),
            proof.nonce,
        ),
        digest=f"0x{proof.proof_id.hex()}",
        recovered=None if recovered is None else f"0x{recovered.hex()}",
    )


def _out_of_bounds(proof: SignedProof) -> Refusal:
    holds_it = locate(proof.lat, proof.lon, proof.triangle.level)
    return Refusal(
        RefusalCode.OUT_OF_BOUNDS,
        "lat, lon: the point must be in the triangle triangleId",
        Details(value=shown(proof.triangle.text), try_instead=TryInstead(holds_it.text, holds_it.level)),
    )
