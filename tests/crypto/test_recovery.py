"""The library's functions called directly find the keys that coincurve's public interface finds."""

import threading

from coincurve import PublicKey
from hypothesis import given
from hypothesis import strategies as st

from step_node.crypto import eip191
from step_node.crypto.recovery import recover


def _by_public_interface(digest: bytes, signature: bytes, recovery_id: int) -> bytes | None:
    try:
        key = PublicKey.from_signature_and_message(signature + bytes((recovery_id,)), digest, hasher=None)
    except ValueError:
        return None
    return key.format(compressed=False)


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=64, max_size=64), st.integers(0, 3))
def test_whatever_the_bytes_the_key_is_the_one_of_the_public_interface(
    digest: bytes, signature: bytes, recovery_id: int
) -> None:
    assert recover(digest, signature, recovery_id) == _by_public_interface(digest, signature, recovery_id)


@given(st.binary(min_size=32, max_size=32), st.integers(1, eip191.GROUP_ORDER - 1))
def test_a_signature_recovers_to_the_key_that_made_it(digest: bytes, key: int) -> None:
    private_key = key.to_bytes(32, "big")
    signature = eip191.sign_digest(digest, private_key)
    public_key = recover(digest, signature, signature[64] - 27)
    assert public_key == PublicKey.from_secret(private_key).format(compressed=False)


def test_a_key_is_not_that_of_the_signature_before_when_there_is_none() -> None:
    digest = bytes(range(32))
    signature = eip191.sign_digest(digest, b"\1" * 32)
    assert recover(digest, signature, signature[64] - 27) is not None
    assert recover(digest, b"\xff" * 64, 0) is None
    assert recover(digest, bytes(64), 0) is None


def test_threads_recover_at_once_without_disturbing_each_other() -> None:
    wrong: list[int] = []

    def recover_much(seed: int) -> None:
        private_key = bytes((seed,)) * 32
        expected = PublicKey.from_secret(private_key).format(compressed=False)
        for number in range(100):
            digest = bytes((seed, number)) * 16
            signature = eip191.sign_digest(digest, private_key)
            if recover(digest, signature, signature[64] - 27) != expected:
                wrong.append(seed)

    threads = [threading.Thread(target=recover_much, args=(seed,)) for seed in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
