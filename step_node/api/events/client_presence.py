"""Whether the client of a long answer is still there.

ASGI lets an application send to a client that has gone, and says nothing. For an answer that ends by itself that does
no harm; one that goes on for long has to ask.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, cast

from starlette.types import Scope

PRESENCE_EXTENSION: Final = "step.is_gone"
"""An ASGI extension: under this name a request's scope has a function that tells whether its client has gone."""


def is_gone(scope: Scope) -> bool:
    """Whether what is sent from now on reaches nobody. Where the server cannot tell, the client stays."""
    asked = scope.get("extensions", {}).get(PRESENCE_EXTENSION)
    return asked is not None and cast(Callable[[], bool], asked)()
