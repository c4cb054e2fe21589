import pytest

from mesh import TriangleId, locate
from step_node.chain.verification import CHUNK_PROOFS_MAX, verify_on_threads
from step_node.crypto import eip191
from step_node.parameters import Parameters
from step_node.proofs.client_signing import sign_payload
from step_node.proofs.gates import check_stateless, check_stateless_many
from step_node.proofs.payload import parse_payload
from step_node.proofs.proof import ProofRefused, RefusalCode, SignedProof
from tests.proofs.vectors import VECTORS, Vector, decoded

KEY = bytes.fromhex("11" * 32)
PARAMETERS = Parameters()
TIMESTAMP_MS = 1_761_000_000_000


def signed(
    accuracy_m: float = 5,
    lat: float = 47.3769,
    lon: float = 8.5417,
    triangle: TriangleId | None = None,
    nonce: str = "n",
) -> SignedProof:
    body = sign_payload(KEY, triangle or locate(47.3769, 8.5417, 12), lat, lon, accuracy_m, TIMESTAMP_MS, nonce)
    return parse_payload(body["payload"], body["signature"])


def with_high_s(proof: SignedProof) -> SignedProof:
    s = eip191.GROUP_ORDER - int.from_bytes(proof.signature[32:64], "big")
    v = 55 - proof.signature[64]
    return proof._replace(signature=proof.signature[:32] + s.to_bytes(32, "big") + bytes((v,)))


def code(proof: SignedProof) -> RefusalCode | None:
    refusal = check_stateless(proof, PARAMETERS)
    # The vectorised way decides as the single one does.
    assert check_stateless_many([proof] * 130, PARAMETERS) == [refusal] * 130
    return None if refusal is None else refusal.code


def test_a_good_proof_passes() -> None:
    assert code(signed()) is None


@pytest.mark.parametrize("vector", VECTORS)
def test_the_known_answers_have_good_signatures(vector: Vector) -> None:
    assert code(decoded(vector)) in (None, RefusalCode.OUT_OF_BOUNDS)


def test_accuracy_may_be_the_limit_and_not_above_it() -> None:
    assert code(signed(accuracy_m=50)) is None
    assert code(signed(accuracy_m=50.00000000000001)) is RefusalCode.LOW_GPS_ACCURACY


def test_the_point_must_be_in_the_triangle() -> None:
    assert code(signed(lat=48)) is RefusalCode.OUT_OF_BOUNDS


def test_another_accounts_signature_is_refused() -> None:
    assert code(signed()._replace(account=bytes(20))) is RefusalCode.BAD_SIGNATURE


def test_the_second_form_of_a_signature_is_refused() -> None:
    proof = signed()
    assert code(with_high_s(proof)) is RefusalCode.BAD_SIGNATURE


@pytest.mark.parametrize("v", [2, 26, 29, 255])
def test_a_wrong_v_is_a_bad_signature(v: int) -> None:
    proof = signed()
    assert code(proof._replace(signature=proof.signature[:64] + bytes((v,)))) is RefusalCode.BAD_SIGNATURE


@pytest.mark.parametrize("part", [slice(0, 32), slice(32, 64)])
@pytest.mark.parametrize("number", [0, eip191.GROUP_ORDER, 2**256 - 1])
def test_r_and_s_out_of_range_are_bad_signatures(part: slice, number: int) -> None:
    proof = signed()
    signature = bytearray(proof.signature)
    signature[part] = number.to_bytes(32, "big")
    assert code(proof._replace(signature=bytes(signature))) is RefusalCode.BAD_SIGNATURE


def test_the_first_gate_that_fails_gives_the_code() -> None:
    everything_wrong = with_high_s(signed(accuracy_m=60, lat=48))
    assert code(everything_wrong) is RefusalCode.LOW_GPS_ACCURACY
    assert code(with_high_s(signed(lat=48))) is RefusalCode.BAD_SIGNATURE


def test_the_parameters_limit_decides_and_not_the_default() -> None:
    assert check_stateless(signed(accuracy_m=60), Parameters(gps_max_accuracy_m=60)) is None


async def test_verifying_on_threads_answers_in_order() -> None:
    kinds = [signed(), signed(accuracy_m=60), with_high_s(signed()), signed(lat=48)]
    proofs = [kinds[index % 3 if index < CHUNK_PROOFS_MAX else index % 4] for index in range(3 * CHUNK_PROOFS_MAX + 7)]
    assert await verify_on_threads(proofs, PARAMETERS) == check_stateless_many(proofs, PARAMETERS)
    assert await verify_on_threads([], PARAMETERS) == []


@pytest.mark.parametrize("count", [1, 31, 32, 33, 300])
def test_many_get_the_verdicts_that_each_gets_alone(count: int) -> None:
    kinds = [signed(), signed(accuracy_m=60), with_high_s(signed()), signed(lat=48)]
    proofs = [kinds[index % 4] for index in range(count)]
    assert check_stateless_many(proofs, PARAMETERS) == [check_stateless(proof, PARAMETERS) for proof in proofs]


def test_signing_refuses_a_payload_that_is_not_of_the_form() -> None:
    with pytest.raises(ProofRefused, match="lat: must be a finite number"):
        signed(lat=91)
    with pytest.raises(ProofRefused, match="nonce: must be"):
        signed(nonce="a b")
