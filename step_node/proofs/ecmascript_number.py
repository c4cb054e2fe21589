"""Numbers as ECMAScript's `Number::toString` writes them (ECMA-262, Number::toString with radix 10).

Wallets are JavaScript, so the signed line holds numbers in JavaScript's form (protocol.md §2). Both languages print
the shortest digits that read back as the same float64, the nearest to it if there are several; they differ only in
where they turn to exponents (Python below 1e-4 and from 1e16, ECMAScript below 1e-6 and from 1e21) and in their looks.
So the digits are taken from `repr` and laid out anew.
"""

from __future__ import annotations

import math

_POSITIONAL_DIGITS_MAX = 21
_LEADING_ZEROS_MAX = 6


def ecmascript_number(value: float) -> str:
    """`String(value)` of JavaScript, for a finite float: `47`, `0` for -0.0, `1e-7`, `0.000001`, `1e+21`.

    Raises ValueError for NaN and the infinities, which no proof may hold.
    """
    text = repr(float(value))
    if "e" not in text and "n" not in text:
        # Neither exponent, infinity nor NaN: as nearly all numbers of proofs are.
        if not text.endswith(".0"):
            return text
        return text[:-2] if value else "0"
    if not math.isfinite(value):
        raise ValueError(f"must be a finite number, not {value}")
    mantissa, _, exponent = text.partition("e")
    sign = "-" if mantissa[0] == "-" else ""
    whole, _, fraction = mantissa.lstrip("-").partition(".")
    return sign + _lay_out(whole + fraction, len(whole) + int(exponent))


def _lay_out(digits: str, point: int) -> str:
    """Steps 6 to 11 of Number::toString: the value is 0.`digits` × 10^`point` (`digits` is k long, `point` is n)."""
    if len(digits) <= point <= _POSITIONAL_DIGITS_MAX:
        return digits + "0" * (point - len(digits))
    if 0 < point <= _POSITIONAL_DIGITS_MAX:
        return f"{digits[:point]}.{digits[point:]}"
    if -_LEADING_ZEROS_MAX < point <= 0:
        return f"0.{'0' * -point}{digits}"
    fraction = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{digits[0]}{fraction}e{point - 1:+d}"
