"""Which form of an answer a client asks for, by its `Accept` header (RFC 9110 §12.5.1)."""

from __future__ import annotations

import re
from typing import Final

JSON: Final = "application/json"
GEO_JSON: Final = "application/geo+json"
"""RFC 7946 §12."""

_QUALITY: Final = re.compile(r"q=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)", re.ASCII | re.IGNORECASE)


def prefers_geo_json(accept: str) -> bool:
    """Whether GeoJSON is named, and no less wanted than JSON. `*/*` alone means JSON: nobody gets GeoJSON unasked."""
    qualities = _qualities(accept)
    geo_json = qualities.get(GEO_JSON, 0.0)
    json = next((qualities[kind] for kind in (JSON, "application/*", "*/*") if kind in qualities), 0.0)
    return geo_json > 0.0 and geo_json >= json


def _qualities(accept: str) -> dict[str, float]:
    """Media range → how much it is wanted, 0 to 1; what is no media range with parameters is left out."""
    qualities: dict[str, float] = {}
    for element in accept.split(","):
        kind, *parameters = (part.strip() for part in element.split(";"))
        quality = 1.0
        for parameter in parameters:
            if parameter[:2].lower() == "q=":
                found = _QUALITY.fullmatch(parameter)
                quality = float(found[1]) if found else 0.0
        if kind:
            qualities[kind.lower()] = quality
    return qualities
