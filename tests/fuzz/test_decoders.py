"""Nothing that comes from outside makes a decoder do anything but accept or refuse: no crash, no hang, no memory.

Inputs are arbitrary bytes, true examples with a few bytes changed, and, where the form is MessagePack, true examples
whose values have been exchanged for others, which pass the outer checks and reach the inner ones. `make fuzz` looks
further, guided by coverage.
"""

from __future__ import annotations

import ast
import time
import tracemalloc
from functools import cache
from pathlib import Path
from typing import Any

import msgpack
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from step_node.network import protocols
from tests.fuzz.decoders import FUZZED_AS, Decoder, decoders

HANG_SECONDS = 20.0
"""Of this thread's own time, far above what any input takes (milliseconds), measuring its memory included."""
MEMORY_BYTES_MAX = 64 * 1024 * 1024
"""What one input may cost for a moment, its own bytes included. The costliest is a megabyte of empty MessagePack maps:
a Python object for each byte, before anything can know that they are too many."""

MEMORY_BYTES_MAX_OF = dict.fromkeys(
    ("snapshot-manifest", "snapshot-index", "evidence", "consensus-log-entry", "proof-of-lock"), 160 * 1024 * 1024
)
"""Of what no stranger can send unasked: a manifest that this node has asked for, and its own files."""

TOKENS = (
    b"\xdd\xff\xff\xff\xff",  # a MessagePack array that promises 2**32 - 1 elements
    b"\xdf\xff\xff\xff\xff",  # a map
    b"\xc6\xff\xff\xff\xff",  # bytes
    b"\x91",
    b"\x80",
    b"\xc0",
    b"\xc1",
    b"\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00",  # not a number
    b"\xcf\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\xd3\x80\x00\x00\x00\x00\x00\x00\x00",
    b"\xc7\x00\x01",
    b"[",
    b'{"a":',
    b"\\ud800",
    b"1e999",
    b"-0",
    b"9" * 50,
    b"\x00",
    b"\xff\xff\xff\xff",
)


@cache
def table() -> dict[str, Decoder]:
    return decoders()


@st.composite
def edited(draw: st.DrawFn, samples: tuple[bytes, ...]) -> bytes:
    """A true example with a few edits."""
    data = bytearray(draw(st.sampled_from(samples)))
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(data)))
        length = draw(st.integers(0, min(16, len(data) - at)))
        new = draw(st.one_of(st.binary(max_size=4), st.sampled_from(TOKENS), st.sampled_from(samples)))
        data[at : at + length] = new
        if draw(st.integers(0, 9)) == 0:
            del data[draw(st.integers(0, len(data))) :]
    return bytes(data)


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(),
    st.text(max_size=8),
    st.binary(max_size=70),
)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner))


@st.composite
def exchanged(draw: st.DrawFn, samples: tuple[bytes, ...]) -> bytes:
    """A true example of MessagePack in which one to three values are others."""
    value = msgpack.unpackb(draw(st.sampled_from(samples)))
    for _ in range(draw(st.integers(1, 3))):
        value = _exchange(draw, value)
    packed: bytes = msgpack.packb(value)
    return packed


def _exchange(draw: st.DrawFn, value: Any) -> Any:
    if isinstance(value, dict) and value and draw(st.integers(0, 7)):
        key = draw(st.sampled_from(sorted(value)))
        changed = {**value, key: _exchange(draw, value[key])}
        if draw(st.integers(0, 9)) == 0:
            del changed[key]
        return changed
    if isinstance(value, list) and value and draw(st.integers(0, 7)):
        at = draw(st.integers(0, len(value) - 1))
        return [*value[:at], _exchange(draw, value[at]), *value[at + 1 :]]
    return draw(VALUES)


ROOT = Path(__file__).parents[2]
MESSAGES_OF = {
    "consensus_topic": ("consensus-gossip",),
    "proofs_topic": ("proof-bundle",),
    "operations_topic": ("operation",),
    "HELLO_PROTOCOL": ("hello",),
    "PEERS_PROTOCOL": ("peers-request", "peers-answer", "peer-address"),
    "SYNC_PROTOCOL": ("sync-request", "sync-answer", "consensus-message"),
    "FETCH_PROTOCOL": ("fetch-request", "inventory", "proof-bundle"),
    "SNAPSHOT_PROTOCOL": ("snapshot-request", "snapshot-manifest", "snapshot-chunk"),
}

MESSAGE_PACK = (
    "consensus-message",
    "consensus-gossip",
    "batch",
    "proof-bundle",
    "hello",
    "peers-request",
    "peers-answer",
    "sync-request",
    "sync-answer",
    "fetch-request",
    "inventory",
    "consensus-log-entry",
    "operation",
    "snapshot-request",
    "snapshot-manifest",
    "snapshot-index",
    "snapshot-chunk",
    "commit",
    "batch-header",
    "submissions-packed",
)


def places_that_decode() -> set[str]:
    """What is read with `decode` or `decode_union`, and the files that call MessagePack's or protobuf's own readers."""
    found: set[str] = set()
    for package in ("consensus", "p2p", "step_node"):
        for path in sorted((ROOT / package).rglob("*.py")):
            for call in ast.walk(ast.parse(path.read_text())):
                if isinstance(call, ast.Call) and isinstance(call.func, ast.Name | ast.Attribute):
                    called = ast.unparse(call.func)
                    if called in ("decode", "decode_union"):
                        found.add(ast.unparse(call.args[0]))
                    elif called in ("msgpack.unpackb", "msgpack.Unpacker"):
                        found.add(f"{path.relative_to(ROOT)} msgpack")
                    elif called.endswith((".FromString", ".ParseFromString")):
                        found.add(called)
    return found - {"consensus/wire.py msgpack"}


def test_every_decoder_in_the_code_is_fuzzed() -> None:
    assert places_that_decode() == set(FUZZED_AS)
    assert set(FUZZED_AS.values()) <= set(table())


def test_every_topic_and_stream_has_its_messages_in_the_table() -> None:
    names = {name for name in vars(protocols) if name.endswith(("_PROTOCOL", "_topic"))}
    assert names == set(MESSAGES_OF)
    assert {name for messages in MESSAGES_OF.values() for name in messages} <= set(table())


@pytest.mark.parametrize("name", sorted(table()))
def test_every_true_example_is_accepted(name: str) -> None:
    decoder = table()[name]
    assert all(decoder.try_out(sample) for sample in decoder.samples)


@pytest.mark.parametrize("name", sorted(table()))
@settings(deadline=HANG_SECONDS * 1000, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_any_bytes_are_accepted_or_refused(name: str, data: st.DataObject) -> None:
    decoder = table()[name]
    decoder.try_out(data.draw(st.one_of(edited(decoder.samples), st.binary(max_size=200)), label="input"))


@pytest.mark.parametrize("name", MESSAGE_PACK)
@settings(deadline=HANG_SECONDS * 1000, max_examples=80, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_true_forms_with_other_values_are_accepted_or_refused(name: str, data: st.DataObject) -> None:
    decoder = table()[name]
    decoder.try_out(data.draw(exchanged(decoder.samples), label="input"))


def large_inputs(decoder: Decoder) -> dict[str, bytes]:
    """What costs the most for its length, as long as it may be."""
    size = decoder.bytes_max
    many = size - 5
    return {
        "zeros": bytes(size),
        "empty maps": b"\xdd" + many.to_bytes(4, "big") + b"\x80" * many,
        "empty arrays": b"\xdd" + many.to_bytes(4, "big") + b"\x90" * many,
        "floats": b"\xdd" + (many // 9).to_bytes(4, "big") + b"\xcb\x3f\xf1\x99\x99\x99\x99\x99\x9a" * (many // 9),
        "a map of maps": b"\xdf"
        + (many // 4).to_bytes(4, "big")
        + b"".join(b"\xa2%c%c\x80" % (97 + n % 26, 97 + n // 26 % 26) for n in range(many // 4)),
        "one-element maps": b"\xdd" + (many // 3).to_bytes(4, "big") + b"\x81\xa0\xc0" * (many // 3),
        "nested arrays": b"\x91" * size,
        "nested maps": b"\x81\xa0" * (size // 2),
        "brackets": b"[" * size,
        "braces": b'{"a":' * (size // 5),
        "JSON arrays": b"[" + b"[]," * (size // 3 - 1) + b"[]",
        "digits": b"9" * size,
        "quoted": b'{"payload":"' + b"\\u0041" * ((size - 20) // 6) + b'"}',
        "TOML keys": b"a." * (size // 2 - 4) + b"a=1",
        "lines": b"\n" * size,
        "rows": b"lat,lon,level\n" + b"1,1,1\n" * ((size - 14) // 6),
    }


@pytest.mark.parametrize("name", sorted(table()))
def test_the_largest_inputs_cost_bounded_time_and_memory(name: str) -> None:
    decoder = table()[name]
    for kind, data in large_inputs(decoder).items():
        assert len(data) <= decoder.bytes_max + 20, kind
        tracemalloc.start()
        try:
            started_at = time.thread_time()
            decoder.try_out(data)
            peak_bytes = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak_bytes < MEMORY_BYTES_MAX_OF.get(name, MEMORY_BYTES_MAX), f"{kind}: {peak_bytes} bytes"
        assert time.thread_time() - started_at < HANG_SECONDS, kind
