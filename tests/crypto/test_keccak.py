import threading

from Crypto.Hash import keccak
from hypothesis import given
from hypothesis import strategies as st

from step_node.crypto.keccak import keccak_256


def _by_another_library(data: bytes) -> bytes:
    digest: bytes = keccak.new(digest_bits=256, data=data).digest()
    return digest


def test_it_is_ethereums_and_not_sha3() -> None:
    assert keccak_256(b"").hex() == "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"
    assert keccak_256(b"abc").hex() == "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45"


@given(st.binary(max_size=600))
def test_another_library_gives_the_same_digest(data: bytes) -> None:
    assert keccak_256(data) == _by_another_library(data)


def test_threads_do_not_disturb_each_other() -> None:
    disagreements: list[int] = []

    def hash_much(seed: int) -> None:
        disagreements.extend(
            index
            for index in range(500)
            if keccak_256(b"%d" % seed * index) != _by_another_library(b"%d" % seed * index)
        )

    threads = [threading.Thread(target=hash_much, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert disagreements == []
