"""The Web3 Secret Storage format (version 3), from eth-keyfile, without what comes along with it.

eth-keyfile imports py_ecc, which raises the interpreter's recursion limit to 100,000 for everybody. With that limit a
deeply nested JSON text overflows the C stack and ends the process, where it would be a `RecursionError` otherwise. So
the limit is put back here, and nothing else in the project imports eth-keyfile.
"""

from __future__ import annotations

import sys

_recursion_limit = sys.getrecursionlimit()

from eth_keyfile.keyfile import create_keyfile_json, decode_keyfile_json  # noqa: E402  # after the limit is known

sys.setrecursionlimit(_recursion_limit)

__all__ = ["create_keyfile_json", "decode_keyfile_json"]
