"""SIGINT and SIGTERM: the first asks everything to stop cleanly, the second is obeyed at once. SIGHUP stops nothing: it
has the settings read again."""

from __future__ import annotations

import os
import signal
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress

import trio

STOPPING_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def _nothing() -> None:
    """What to do before ending at once, where there is nothing to do."""


def _say_on_stderr(text: str) -> None:
    with suppress(OSError):  # Nobody reads it, which is no reason not to stop cleanly.
        os.write(2, f"{text}\n".encode())


@contextmanager
def cancelled_by_signals(
    scope: trio.CancelScope,
    *,
    say: Callable[[str], None] = _say_on_stderr,
    before_the_end: Callable[[], None] = _nothing,
) -> Iterator[None]:
    """Cancel `scope` at the first signal, and `say` so; at a second one call `before_the_end`, and die of the signal.

    Must be entered in trio's main thread, and held until everything has stopped, so that the second one is heard.
    """
    token = trio.lowlevel.current_trio_token()
    is_stopping = False

    def hear(number: int, _frame: object) -> None:
        nonlocal is_stopping
        if is_stopping:
            before_the_end()
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
            return
        is_stopping = True
        say("stopping; once more to end at once")
        token.run_sync_soon(scope.cancel)

    with _handled(STOPPING_SIGNALS, hear):
        yield


@contextmanager
def hang_ups_ignored(say: Callable[[str], None]) -> Iterator[None]:
    """Outlive the terminal also while the node starts or stops, when it cannot read its settings again; but `say` so.

    One that is ignored already, as under `nohup`, stays so.
    """

    def hear(_number: int, _frame: object) -> None:
        say("SIGHUP is ignored while the node starts or stops; SIGTERM stops it")

    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        yield
        return
    with _handled((signal.SIGHUP,), hear):
        yield


async def call_at_hang_ups(call: Callable[[], Awaitable[object]]) -> None:
    """Await `call` at each SIGHUP, until cancelled; at none if they are ignored, as under `nohup`."""
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        return
    with trio.open_signal_receiver(signal.SIGHUP) as hang_ups:
        async for _ in hang_ups:
            await call()


@contextmanager
def _handled(numbers: tuple[signal.Signals, ...], hear: Callable[[int, object], None]) -> Iterator[None]:
    previous = {number: signal.signal(number, hear) for number in numbers}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
