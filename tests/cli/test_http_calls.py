"""Whatever listens at `--url`, a command ends, in bounded memory, with a sentence that names the address."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from step_node.cli import http_calls
from step_node.cli.error_lines import CommandError


@contextmanager
def serving(body: bytes, *, status: int = 200, encoding: str | None = None) -> Iterator[str]:
    """An HTTP server on a free port that answers everything with `body`; its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            if encoding is not None:
                self.send_header("Content-Encoding", encoding)
            self.end_headers()
            try:
                self.wfile.write(body)
            except OSError:
                self.close_connection = True  # The caller has read enough.

        def log_message(self, *_arguments: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_a_json_object_is_an_answer() -> None:
    with serving(b'{"ok": true}') as url:
        assert http_calls.get_json(url + "/", "/status") == {"ok": True}


def test_an_answer_as_long_as_it_may_be_is_read_and_one_byte_more_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    body = b'{"ok": true}'
    with serving(body) as url:
        monkeypatch.setattr(http_calls, "ANSWER_BYTES_MAX", len(body))
        assert http_calls.get_json(url, "/status") == {"ok": True}
        monkeypatch.setattr(http_calls, "ANSWER_BYTES_MAX", len(body) - 1)
        with pytest.raises(CommandError, match=re.escape(f"{url}/status: the answer has more than 11 bytes")):
            http_calls.get_json(url, "/status")


@pytest.mark.parametrize(
    ("body", "encoding", "rule"),
    [
        (b"<html>", None, "is not JSON"),
        (b"\xff\xfe\xff", None, "is not JSON"),
        (b"[" * 100_000, None, "is not JSON"),
        (b"[]", None, "is not a JSON object"),
        (gzip.compress(b'{"ok": "' + b" " * 50_000_000 + b'"}'), "gzip", "is not JSON"),
    ],
    ids=["page", "bytes", "nesting", "array", "bomb"],
)
def test_what_is_no_answer_of_a_node_is_an_error_that_names_the_address(
    body: bytes, encoding: str | None, rule: str
) -> None:
    with serving(body, encoding=encoding) as url, pytest.raises(CommandError, match=rule) as refused:
        http_calls.get_json(url, "/status")
    assert f"{url}/status" in str(refused.value)
