"""A film of a page: frames as the browser draws them, in one animated picture that any browser shows."""

from __future__ import annotations

import base64
import io
import itertools
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from PIL import Image
from playwright.sync_api import Page

WIDTH_MAX: Final = 390
LAST_FRAME_MS: Final = 3_000
FRAME_MS_MIN: Final = 80
"""Frames that come sooner after another are left out."""


@contextmanager
def filmed(page: Page, path: Path) -> Iterator[None]:
    """Film the page meanwhile, in the time that it took, and write it to `path` (WebP), also if something fails."""
    devtools = page.context.new_cdp_session(page)
    frames: list[tuple[float, bytes]] = []

    def take(event: dict[str, Any]) -> None:
        frames.append((time.monotonic(), base64.b64decode(event["data"])))
        devtools.send("Page.screencastFrameAck", {"sessionId": event["sessionId"]})

    devtools.on("Page.screencastFrame", take)
    devtools.send("Page.startScreencast", {"format": "jpeg", "quality": 70, "maxWidth": WIDTH_MAX})
    try:
        yield
    finally:
        devtools.send("Page.stopScreencast")
        if frames:
            _write(frames, path)


def _write(frames: list[tuple[float, bytes]], path: Path) -> None:
    kept = frames[:1]
    for frame in frames[1:]:
        if (frame[0] - kept[-1][0]) * 1_000 >= FRAME_MS_MIN:
            kept.append(frame)
    times = [at for at, _ in kept]
    lasting = [round((after - at) * 1_000) for at, after in itertools.pairwise(times)]
    pictures = [Image.open(io.BytesIO(frame)) for _, frame in kept]
    path.parent.mkdir(parents=True, exist_ok=True)
    pictures[0].save(
        path, save_all=True, append_images=pictures[1:], duration=[*lasting, LAST_FRAME_MS], loop=0, quality=60
    )
