"""The operator's base map at `/app/`: whether there is one, and parts of it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Final

from fastapi import Request, Response, status

from step_node.api.base_map import PART_BYTES_MAX, read_part
from step_node.api.errors import ApiError, RequestCode
from step_node.api.server.bill import bill_of
from step_node.api.server.limits import SENDING_COST_MS_PER_KIB
from step_node.explanations.details import Details, shown
from step_node.offload import run_blocking
from step_node.proofs.proof import RefusalCode

BASE_MAP_NOTE: Final = "base-map.json"
"""Whether there is a base map: a page that asked for one in vain would have an error to show for it."""

BASE_MAP_FILE: Final = "base-map.pmtiles"

_RANGE: Final = re.compile(r"bytes=(\d{1,15})-(\d{1,15})")
_A_DAY: Final = "public, max-age=86400"


def base_map_note(base_map: Path | None) -> Response:
    """One word about it, in JSON."""
    body = json.dumps({"isThere": base_map is not None}).encode()
    return Response(body, headers={"Cache-Control": "no-cache"}, media_type="application/json")


async def base_map_part(base_map: Path, request: Request) -> Response:
    """The bytes that `Range` names. Never the whole file, which may have gigabytes."""
    asked = request.headers.get("range", "")
    found = _RANGE.fullmatch(asked)
    first, last = (int(found[1]), int(found[2])) if found else (0, -1)
    if not first <= last < first + PART_BYTES_MAX:
        raise _refused(asked, f"must be bytes=FIRST-LAST, of at most {PART_BYTES_MAX} bytes")
    count = last - first + 1
    # Before it is read: who waits for its turn holds no memory.
    await bill_of(request.scope)["charge"](SENDING_COST_MS_PER_KIB * count / 1024)
    try:
        part = await run_blocking(read_part, base_map, first, count)
    except OSError as error:
        raise ApiError(
            RequestCode.NOT_FOUND,
            f"path: the base map cannot be read ({error.strerror}); its operator should look",
            details=Details(value=shown(request.url.path)),
        ) from error
    if not part.content:
        raise _refused(asked, f"must begin within the file, which has {part.size} bytes")
    headers = {
        "Accept-Ranges": "bytes",
        "Cache-Control": _A_DAY,
        "Content-Range": f"bytes {first}-{first + len(part.content) - 1}/{part.size}",
        "ETag": part.tag,
        "X-Content-Type-Options": "nosniff",
    }
    return Response(
        part.content, status.HTTP_206_PARTIAL_CONTENT, headers=headers, media_type="application/vnd.pmtiles"
    )


def _refused(asked: str, rule: str) -> ApiError:
    return ApiError(
        RefusalCode.INVALID_PAYLOAD, f"Range: {rule}", details=Details(field="Range", rule=rule, value=shown(asked))
    )
