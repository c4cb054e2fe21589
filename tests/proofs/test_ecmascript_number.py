import json
import math
import shutil
import struct
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from step_node.proofs.ecmascript_number import ecmascript_number

KNOWN_ANSWERS = [
    (0.0, "0"),
    (-0.0, "0"),
    (1.0, "1"),
    (-1.0, "-1"),
    (47.0, "47"),
    (-47.5, "-47.5"),
    (0.1 + 0.2, "0.30000000000000004"),
    (1 / 3, "0.3333333333333333"),
    (0.5, "0.5"),
    (0.001, "0.001"),
    (0.0001, "0.0001"),
    (0.00001, "0.00001"),
    (0.000001, "0.000001"),
    (0.00000123, "0.00000123"),
    (-0.0000012345, "-0.0000012345"),
    (1e-7, "1e-7"),
    (9.999999999999997e-7, "9.999999999999997e-7"),
    (-1.5e-7, "-1.5e-7"),
    (1.0e-10, "1e-10"),
    (1e15, "1000000000000000"),
    (1e16, "10000000000000000"),
    (1.2e16, "12000000000000000"),
    (123456789012345680000.0, "123456789012345680000"),
    (1e20, "100000000000000000000"),
    (999999999999999900000.0, "999999999999999900000"),
    (1e21, "1e+21"),
    (-1.5e21, "-1.5e+21"),
    (1e22, "1e+22"),
    (1.2345e25, "1.2345e+25"),
    (5e-324, "5e-324"),
    (2.2250738585072014e-308, "2.2250738585072014e-308"),
    (1.7976931348623157e308, "1.7976931348623157e+308"),
    (9007199254740991.0, "9007199254740991"),
    (9007199254740993.0, "9007199254740992"),
    (4.35, "4.35"),
    (89.99999999999999, "89.99999999999999"),
    (100.0, "100"),
    (1e100, "1e+100"),
]


@pytest.mark.parametrize(("value", "text"), KNOWN_ANSWERS)
def test_numbers_are_written_as_javascript_writes_them(value: float, text: str) -> None:
    assert ecmascript_number(value) == text


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_finite_is_an_error(value: float) -> None:
    with pytest.raises(ValueError, match="must be a finite number"):
        ecmascript_number(value)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_what_is_written_reads_back_as_the_same_number(value: float) -> None:
    assert float(ecmascript_number(value)) == value


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_the_form_is_one_that_javascript_can_write(value: float) -> None:
    text = ecmascript_number(value)
    magnitude = abs(value)
    assert ("e" in text) == (value != 0 and (magnitude < 1e-6 or magnitude >= 1e21))
    assert "e+" in text or "e-" in text or "e" not in text
    assert not text.endswith(".0")


@pytest.mark.skipif(shutil.which("node") is None, reason="needs Node.js; the table above stands in for it")
def test_node_agrees_on_ten_thousand_bit_patterns() -> None:
    patterns = [(index * 0x9E3779B97F4A7C15) % 2**64 for index in range(10_000)]
    values = [struct.unpack("<d", struct.pack("<Q", pattern))[0] for pattern in patterns]
    # Numbers near the turns between the two forms are rare among random bits.
    values += [digit * 10.0**exponent for exponent in range(-10, 25) for digit in (1, 1.5, 9.999999999999999)]
    finite = [value for value in values if math.isfinite(value)]
    script = "process.stdout.write(JSON.stringify(JSON.parse(require('fs').readFileSync(0)).map(String)))"
    answer = subprocess.run(
        ["node", "-e", script], input=json.dumps(finite).encode(), stdout=subprocess.PIPE, check=True, timeout=60
    )
    assert json.loads(answer.stdout) == [ecmascript_number(value) for value in finite]
