"""A real HTTP receiver in a thread: whatever is posted to it is kept, and answered with 200."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Receiver:
    """What has come, as (path, body); bodies are unpacked."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.received: list[tuple[str, bytes]] = []
        self.headers: list[dict[str, str]] = []
        self.arrived = threading.Condition()

    def wait_for(self, count: int, *, seconds_max: float = 30.0) -> list[tuple[str, bytes]]:
        """All that has come, once there are so many."""
        with self.arrived:
            assert self.arrived.wait_for(lambda: len(self.received) >= count, seconds_max), self.received
            return list(self.received)


@contextmanager
def http_receiver() -> Iterator[Receiver]:
    """Receive at a free port of 127.0.0.1."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()
            with receiver.arrived:
                receiver.received.append((self.path, body))
                receiver.headers.append(dict(self.headers))
                receiver.arrived.notify_all()

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 -- the name is the library's
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        receiver = Receiver(server.server_address[1])
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield receiver
        finally:
            server.shutdown()
            thread.join()
