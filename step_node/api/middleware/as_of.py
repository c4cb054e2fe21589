"""`Step-As-Of-Height`: how old an answer may be, in the chain's own measure.

A client that asks several nodes behind one address may be told of a height by one, and ask the next, which is not there
yet. So each answer to a GET says the node's height at the moment of asking: all that is final up to it is in the
answer, wherever the store has read it. What is not in the answer may be final only above that height.

A route whose answer is of an earlier height says so itself.
"""

from __future__ import annotations

from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from step_node.chain.chain import Chain

AS_OF_HEIGHT: Final = "Step-As-Of-Height"


class AsOfHeight:
    """ASGI middleware: adds the header."""

    def __init__(self, app: ASGIApp, chain: Chain) -> None:
        self._app = app
        self._chain = chain

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["method"] != "GET":
            await self._app(scope, receive, send)
            return
        name = AS_OF_HEIGHT.lower().encode()
        header = (name, str(self._chain.head.chain.height).encode())

        async def send_with_height(message: Message) -> None:
            if message["type"] == "http.response.start" and all(key.lower() != name for key, _ in message["headers"]):
                message = {**message, "headers": [*message["headers"], header]}
            await send(message)

        await self._app(scope, receive, send_with_height)
