"""Query parameters are read as strictly as bodies: one that no route knows, or that stands twice, is an error.

Otherwise `?waitms=0` would wait for five seconds, and nobody would learn why. Numbers and booleans are written as JSON
has them: `4_7`, `+47`, ` 47` and `0x2f`, some of which the validation of types takes for 47, and `yes`, which it takes
for true, are slips of the hand.
"""

from __future__ import annotations

import math
import re
import types
from collections import Counter
from collections.abc import Sequence
from typing import Final, Union, get_args, get_origin

from fastapi import Request
from fastapi.routing import APIRoute

from step_node.api.errors import ApiError
from step_node.explanations.details import Details, shown
from step_node.feed.filters import Box
from step_node.proofs.proof import RefusalCode

NAME_CHARACTERS_SHOWN: Final = 40
"""A parameter's name is the client's own text: only its beginning is repeated to it, in ASCII."""

NUMBER_CHARACTERS_MAX: Final = 40
"""A number that is longer says nothing that a shorter one does not."""

_WHOLE: Final = re.compile(r"-?(?:0|[1-9][0-9]*)", re.ASCII)
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?", re.ASCII)


DEGREES_CHARACTERS_MAX: Final = 24
"""A number of degrees in a query; a longer one is refused."""

_DEGREES: Final = re.compile(r"-?[0-9]{1,3}(?:\.[0-9]+)?", re.ASCII)


async def known_parameters_only(request: Request) -> None:
    """A dependency of every route. Raises `ApiError` (INVALID_PAYLOAD) naming the parameter."""
    route = request.scope["route"]
    if not isinstance(route, APIRoute):
        return
    kinds = {
        field.alias: _kinds(field.field_info.annotation)
        for field in (*route.dependant.path_params, *route.dependant.query_params)
    }
    for name, value in (*request.path_params.items(), *request.query_params.multi_items()):
        rule = _broken_rule(str(value), kinds.get(name, frozenset()))
        if rule is not None:
            raise _refused(name, rule, value)
    known = [field.alias for field in route.dependant.query_params]
    for name, count in Counter(name for name, _ in request.query_params.multi_items()).items():
        if name not in known:
            rule = f"the parameters here are {', '.join(known)}" if known else "there are no parameters here"
            raise _refused(
                ascii(name[:NAME_CHARACTERS_SHOWN]), f"is not a parameter of this request; {rule}", allowed=known
            )
        if count > 1:
            raise _refused(name, "must be given once", count)


def _kinds(annotation: object) -> frozenset[object]:
    """The types that a parameter may have: `int | None` has two."""
    is_union = get_origin(annotation) in (Union, types.UnionType)
    return frozenset(get_args(annotation) if is_union else (annotation,)) - {type(None)}


def _broken_rule(value: str, kinds: frozenset[object]) -> str | None:
    """What a value of such a type has to be and is not; None if it is of its form."""
    if kinds == {bool}:
        return None if value in ("true", "false") else "must be true or false"
    if kinds == {int}:
        is_number = len(value) <= NUMBER_CHARACTERS_MAX and _WHOLE.fullmatch(value) is not None
        return None if is_number else "must be a whole number in plain digits, such as 47"
    if kinds and kinds <= {int, float}:
        is_number = len(value) <= NUMBER_CHARACTERS_MAX and _NUMBER.fullmatch(value) is not None
        return (
            None if is_number and math.isfinite(float(value)) else "must be a number as JSON has them, such as -47.25"
        )
    return None


def parse_box(name: str, text: str) -> Box:
    """The box `west,south,east,north`, in degrees. Raises `ApiError` (INVALID_PAYLOAD) naming the parameter."""
    words = text.split(",")
    if len(words) != 4 or not all(len(word) <= DEGREES_CHARACTERS_MAX and _DEGREES.fullmatch(word) for word in words):
        raise _refused(
            name, "must be four decimal numbers of degrees with commas between: west, south, east, north", text
        )
    west, south, east, north = map(float, words)
    if not (-180 <= west <= 180 and -180 <= east <= 180):
        raise _refused(name, "west and east must be from -180 to 180", text)
    if not -90 <= south <= north <= 90:
        raise _refused(name, "south and north must be from -90 to 90, and south not above north", text)
    return Box(west, south, east, north)


def _refused(name: str, rule: str, value: object = None, *, allowed: Sequence[str] | None = None) -> ApiError:
    return ApiError(
        RefusalCode.INVALID_PAYLOAD,
        f"{name}: {rule}",
        details=Details(field=name, rule=rule, value=shown(value), allowed=None if allowed is None else tuple(allowed)),
    )
