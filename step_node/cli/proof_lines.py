"""Judging a file of signed proofs, one JSON object a line, by the stateless gates (protocol.md §2).

Line n of the output is about line n of the input, whatever stands there: an empty line, or one that is no JSON, is a
proof that is not of the protocol's form. Chunks of lines are judged on threads, a few at a time, and printed in order;
so memory is bounded by `CHUNKS_AHEAD` · `LINES_PER_CHUNK` lines of at most `LINE_BYTES_MAX` bytes.
"""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import BinaryIO, NoReturn, TextIO

from step_node.parameters import Parameters
from step_node.proofs.gates import check_stateless_many
from step_node.proofs.payload import parse_payload
from step_node.proofs.proof import ProofRefused, Refusal, RefusalCode, SignedProof
from step_node.strict_json import unique_keys

LINES_PER_CHUNK = 256
LINE_BYTES_MAX = 16_384
"""A proof has some 500 bytes; a longer line is answered with INVALID_PAYLOAD, and its rest is passed over."""

THREADS = max(2, os.cpu_count() or 2)
CHUNKS_AHEAD = 2 * THREADS

_FIELDS = {"payload", "signature"}


def check_lines(source: BinaryIO, target: TextIO, parameters: Parameters) -> None:
    """Judge every line of `source`, and print one JSON line for each to `target`, in order.

    `{"ok": true, "proof_id": "0x…"}`, or `{"ok": false, "code": "…", "message": "…"}` with the first stateless gate
    that refuses it. The newline at the very end begins no line.
    """
    waiting: deque[Future[str]] = deque()
    with ThreadPoolExecutor(THREADS) as threads:
        for chunk in _chunks(source):
            waiting.append(threads.submit(_judge_chunk, chunk, parameters))
            if len(waiting) > CHUNKS_AHEAD:
                target.write(waiting.popleft().result())
        while waiting:
            target.write(waiting.popleft().result())
    target.flush()


def judge_lines(lines: list[bytes | None], parameters: Parameters) -> list[SignedProof | Refusal]:
    """The proof in each line if the stateless gates let it through, or why not. None stands for a line too long."""
    answers: list[SignedProof | Refusal] = [_decode(line) for line in lines]
    proofs = [(index, answer) for index, answer in enumerate(answers) if isinstance(answer, SignedProof)]
    verdicts = check_stateless_many([proof for _, proof in proofs], parameters)
    for (index, _), refusal in zip(proofs, verdicts, strict=True):
        if refusal is not None:
            answers[index] = refusal
    return answers


def _judge_chunk(lines: list[bytes | None], parameters: Parameters) -> str:
    return "".join(f"{json.dumps(_answer(judged))}\n" for judged in judge_lines(lines, parameters))


def _answer(judged: SignedProof | Refusal) -> dict[str, object]:
    if isinstance(judged, Refusal):
        return {"ok": False, "code": judged.code.value, "message": judged.message}
    return {"ok": True, "proof_id": f"0x{judged.proof_id.hex()}"}


def _decode(line: bytes | None) -> SignedProof | Refusal:
    if line is None:
        return _invalid(f"line: must be at most {LINE_BYTES_MAX} bytes")
    try:
        value = json.loads(line.decode(), object_pairs_hook=unique_keys, parse_constant=_no_constant)
    except UnicodeDecodeError:
        return _invalid("line: must be UTF-8 text")
    except RecursionError:
        return _invalid("line: is nested too deeply")
    except ValueError as error:
        return _invalid(f"line: must be one JSON object: {error}")
    if not isinstance(value, dict) or value.keys() != _FIELDS:
        return _invalid("line: must be a JSON object of payload and signature, and nothing else")
    try:
        return parse_payload(value["payload"], value["signature"])
    except ProofRefused as error:
        return error.refusal


def _chunks(source: BinaryIO) -> Iterator[list[bytes | None]]:
    chunk: list[bytes | None] = []
    while line := source.readline(LINE_BYTES_MAX + 1):
        if len(line) > LINE_BYTES_MAX:
            while line and not line.endswith(b"\n"):
                line = source.readline(LINE_BYTES_MAX)
            chunk.append(None)
        else:
            chunk.append(line)
        if len(chunk) == LINES_PER_CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _invalid(message: str) -> Refusal:
    return Refusal(RefusalCode.INVALID_PAYLOAD, message)
