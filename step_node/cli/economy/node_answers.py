"""What a node's API says, asked for patiently: many questions, of which no single one may end the command.

A node that is busy says when to ask again, and is asked again then; one that is out of reach for a moment, after a
pause. What cannot be had all the same raises `NotTold` with the reason, in the node's own words where it gave some.
Whoever answers is believed nothing, nor may it keep the command for ever: what may be waited has a maximum.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol

import trio

from step_node.cli.error_lines import CommandError
from step_node.cli.http_calls import HttpAnswer, NoAnswer, get_answer, object_in
from step_node.cli.output import plain

TRIES_MAX: Final = 5
"""How often one thing is asked for."""
PAUSE_SECONDS: Final = 1.0
"""Before it is asked for again, where the node does not say; doubled each time."""
PAUSE_SECONDS_MAX: Final = 30.0
"""A node that says to come back later than this is asked again after it."""
WAIT_SECONDS_MAX: Final = 300.0
"""What is waited in all; beyond it nothing is asked a second time."""
SILENCES_MAX: Final = 2
"""After so many things in turn to which nothing came back at all, nothing further is asked for."""
REASON_CHARACTERS_MAX: Final = 300

_OK: Final = 200
_BUSY: Final = frozenset({429, 503})
_SWITCHED_OFF: Final = "SWITCHED_OFF"
"""The one refusal with 503 that no patience helps against."""


class NotTold(Exception):
    """The node does not say it. The message says why, without the node's address."""


@dataclass(frozen=True, slots=True)
class Told:
    """An answer, and the height that all of it is of, or a later one; 0 where the node does not say."""

    body: dict[str, object]
    as_of_height: int


class Answers(Protocol):
    """Somebody who can be asked."""

    async def get(self, path: str) -> Told:
        """The JSON object at `path`. Raises `NotTold`."""
        ...

    async def get_bytes(self, path: str) -> bytes:
        """The body at `path` as it is. Raises `NotTold`."""
        ...


class NodeAnswers:
    """See the module's docstring. `ask` blocks, and is called on a thread."""

    def __init__(self, url: str, *, ask: Callable[[str, str], HttpAnswer] = get_answer) -> None:
        self.url = url.rstrip("/")
        self._ask = ask
        self._waited_seconds = 0.0
        self._has_answered = False
        self._silences = 0

    async def get(self, path: str) -> Told:
        """See `Answers`."""
        answer = await self._answer(path)
        try:
            body = object_in(answer.body, self.url, path)
        except CommandError as error:
            raise NotTold(self._short(error)) from error
        return Told(body, answer.as_of_height or 0)

    async def get_bytes(self, path: str) -> bytes:
        """See `Answers`."""
        return (await self._answer(path)).body

    async def _answer(self, path: str) -> HttpAnswer:
        """The first answer that is no refusal."""
        if self._silences >= SILENCES_MAX:
            raise NotTold("the node does not answer any more")
        pause_seconds, reason = PAUSE_SECONDS, ""
        for tries in range(1, TRIES_MAX + 1):
            heard = None
            try:
                heard = await trio.to_thread.run_sync(partial(self._ask, self.url, path))
            except NoAnswer as error:
                reason = self._short(error)
                if not self._has_answered:
                    break  # It is not there, or the address is wrong.
            except CommandError as error:
                raise NotTold(self._short(error)) from error
            else:
                self._silences, self._has_answered = 0, True
                if heard.status == _OK:
                    return heard
                reason, is_of_use = _refusal(heard)
                if not is_of_use:
                    break
            if tries == TRIES_MAX or not await self._paused(pause_seconds, heard):
                break
            pause_seconds *= 2
        self._silences += heard is None
        raise NotTold(reason)

    async def _paused(self, pause_seconds: float, heard: HttpAnswer | None) -> bool:
        """Wait as the node has said, or so long; False where that would be too much in all."""
        told = None if heard is None else heard.retry_after_seconds
        seconds = min(pause_seconds if told is None else float(told), PAUSE_SECONDS_MAX)
        if self._waited_seconds + seconds > WAIT_SECONDS_MAX:
            return False
        self._waited_seconds += seconds
        await trio.sleep(seconds)
        return True

    def _short(self, error: Exception) -> str:
        return plain(error).removeprefix(self.url)[:REASON_CHARACTERS_MAX]


def _refusal(heard: HttpAnswer) -> tuple[str, bool]:
    """What the node says against it, and whether asking again is of use."""
    try:
        answer = object_in(heard.body, "", "")
    except CommandError:
        return f"the answer has the status {heard.status}, and is none of a STEP node", heard.status in _BUSY
    code, details = answer.get("code"), answer.get("details")
    reason = f"the node answers {plain(code)}: {plain(answer.get('message'))}"[:REASON_CHARACTERS_MAX]
    is_retryable = isinstance(details, dict) and details.get("retryable") is True
    return reason, code != _SWITCHED_OFF and (heard.status in _BUSY or is_retryable)
