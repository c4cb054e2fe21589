"""A receiver of traces that throws all away, in a process of its own, so that what it takes is not the sender's.

It imports little, since the new process does so again.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from multiprocessing.connection import Connection
from typing import Final

START_SECONDS_MAX: Final = 30.0


@contextmanager
def discarding_receiver() -> Iterator[str]:
    """Its address, of OTLP over HTTP."""
    context = multiprocessing.get_context("spawn")
    ours, its = context.Pipe()
    process = context.Process(target=_receive, args=(its,), daemon=True)
    process.start()
    try:
        if not ours.poll(START_SECONDS_MAX):
            raise RuntimeError("the receiver of traces has not started")
        yield f"http://127.0.0.1:{ours.recv()}/v1/traces"
    finally:
        process.kill()
        process.join()
        process.close()


def _receive(port: Connection) -> None:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("content-length", 0)))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 -- the name is the library's
            """Says nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        port.send(server.server_address[1])
        server.serve_forever()
