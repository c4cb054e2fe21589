"""All that a page asks for and complains about, so that a test can say what must not be among it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, ConsoleMessage, Request, WebError

_WITHIN_THE_PAGE: Final = ("data", "blob", "about")
"""Schemes of addresses that no one is asked for."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, of a page or its service worker, with what went out in it."""

    method: str
    url: str
    headers: dict[str, str]
    body: bytes | None


@dataclass
class Watched:
    """What one visitor's pages did. `origins` may be asked; a test may add to it, or empty the lists it expects."""

    origins: set[str]
    asked: list[Asked] = field(default_factory=list)
    console: list[str] = field(default_factory=list)
    """What is written to the console as an error or a warning."""
    errors: list[str] = field(default_factory=list)
    """Exceptions that nobody caught."""

    def follow(self, context: BrowserContext) -> None:
        """Watch every page of the context from now on."""
        context.on("request", self._request)
        context.on("console", self._console)
        context.on("weberror", self._error)

    @property
    def elsewhere(self) -> list[str]:
        """What was asked of others than `origins`."""
        return [
            one.url
            for one in self.asked
            if urlsplit(one.url).scheme not in _WITHIN_THE_PAGE and origin_of(one.url) not in self.origins
        ]

    @property
    def violations(self) -> list[str]:
        """What the content security policy, or that of permissions, forbade."""
        return [line for line in self.console if "Content Security Policy" in line or "Permissions policy" in line]

    def check(self) -> None:
        """Fail if anybody else was asked for anything, a policy was broken, or an exception was left uncaught."""
        assert self.elsewhere == [], f"asked of others: {self.elsewhere}"
        assert self.violations == [], f"forbidden by the policy: {self.violations}"
        assert self.errors == [], f"not caught: {self.errors}"

    def _request(self, request: Request) -> None:
        self.asked.append(Asked(request.method, request.url, request.headers, request.post_data_buffer))

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.console.append(message.text)

    def _error(self, error: WebError) -> None:
        self.errors.append(str(error.error))


def origin_of(url: str) -> str:
    """Scheme, host and port."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def bodies_with(asked: Collection[Asked], text: str) -> list[str]:
    """The addresses of requests that have `text` in address, headers or body, in whichever case."""
    wanted = text.lower()
    return [
        one.url
        for one in asked
        if wanted in one.url.lower()
        or wanted in str(one.headers).lower()
        or wanted.encode() in (one.body or b"").lower()
    ]
