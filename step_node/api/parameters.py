"""Query parameters are read as strictly as bodies: one that no route knows, or that stands twice, is an error.

Otherwise `?waitms=0` would wait for five seconds, and nobody would learn why. A number is written in digits: `4_7`,
which the validation of types takes for 47, is a slip of the hand.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from fastapi import Request
from fastapi.routing import APIRoute

from step_node.api.errors import ApiError
from step_node.explanations.details import Details, shown
from step_node.proofs.proof import RefusalCode

NAME_CHARACTERS_SHOWN: Final = 40
"""A parameter's name is the client's own text: only its beginning is repeated to it, in ASCII."""


async def known_parameters_only(request: Request) -> None:
    """A dependency of every route. Raises `ApiError` (INVALID_PAYLOAD) naming the parameter."""
    route = request.scope["route"]
    if not isinstance(route, APIRoute):
        return
    numbers = {
        field.alias
        for field in (*route.dependant.path_params, *route.dependant.query_params)
        if field.field_info.annotation in (int, float)
    }
    for name, value in (*request.path_params.items(), *request.query_params.multi_items()):
        if name in numbers and any(one == "_" or one.isspace() for one in str(value)):
            raise _refused(name, "must be a number in plain digits", value)
    known = [field.alias for field in route.dependant.query_params]
    for name, count in Counter(name for name, _ in request.query_params.multi_items()).items():
        if name not in known:
            rule = f"the parameters here are {', '.join(known)}" if known else "there are no parameters here"
            raise _refused(
                ascii(name[:NAME_CHARACTERS_SHOWN]), f"is not a parameter of this request; {rule}", allowed=known
            )
        if count > 1:
            raise _refused(name, "must be given once", count)


def _refused(name: str, rule: str, value: object = None, *, allowed: Sequence[str] | None = None) -> ApiError:
    return ApiError(
        RefusalCode.INVALID_PAYLOAD,
        f"{name}: {rule}",
        details=Details(field=name, rule=rule, value=shown(value), allowed=None if allowed is None else tuple(allowed)),
    )
