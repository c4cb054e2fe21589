"""Who signed a line is found out once, for as long as the line comes again, and no longer."""

import tracemalloc
from collections.abc import Iterator

import pytest

from consensus.values import VALIDATORS_MAX
from step_node.crypto import eip191
from step_node.crypto.eip191 import BadSignature
from step_node.crypto.lines import recover_signer

SIGNATURE = eip191.sign("x", bytes.fromhex("22" * 32))
"""Over another line: it recovers to some other address, which takes as long and is remembered as well."""

LINES_OF_TWO_HEIGHTS = 2 * 2 * (2 * VALIDATORS_MAX + 1)
"""A proposal, and a pre-vote and a pre-commit of everybody, in two rounds of each."""

KEPT_BYTES_MAX = 1_000_000


@pytest.fixture(autouse=True)
def nothing_known() -> Iterator[None]:
    recover_signer.cache_clear()
    yield
    recover_signer.cache_clear()


def _recover(number: int) -> None:
    line = f"STEP-CONSENSUS-v1|PRE_COMMIT|chain:step|height:{number}|round:0|batch:0x{number:064x}|validator:0x{0:040x}"
    try:
        recover_signer(line, bytes(bytearray(SIGNATURE)))
    except BadSignature:
        return


def test_two_heights_of_the_largest_validator_set_are_remembered() -> None:
    for number in range(LINES_OF_TWO_HEIGHTS):
        _recover(number)
    recovered = recover_signer.cache_info().misses
    for number in range(LINES_OF_TWO_HEIGHTS):
        _recover(number)
    assert recover_signer.cache_info().misses == recovered


def test_what_is_remembered_of_signers_takes_less_than_a_megabyte() -> None:
    tracemalloc.start()
    try:
        for number in range(3_000):
            _recover(number)
        kept_bytes = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert kept_bytes < KEPT_BYTES_MAX
