"""The live feed: `GET /events`."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Header, Query, Request, Response

from mesh import TriangleId, TriangleIdError
from step_node.api.documentation import EVERYWHERE, refusals
from step_node.api.errors import ApiError, RequestCode
from step_node.api.events.follower import Follower
from step_node.api.events.stream import EventStream, StreamEnd, address_of
from step_node.api.events.texts import EventTexts
from step_node.api.models.schema import BBOX_FORMAT, BBOX_PATTERN, EXAMPLE_ADDRESS, EXAMPLE_TRIANGLE, TRIANGLE_FORMAT
from step_node.api.parameters import parse_box
from step_node.api.routing import api_router
from step_node.api.services import ApiServices
from step_node.api.submissions.intake import refuse_if_off
from step_node.explanations.details import Details, shown
from step_node.feed.events import EventKind
from step_node.feed.filters import EventFilter, TriangleRange
from step_node.feed.position import POSITION_CHARACTERS_MAX, POSITION_PATTERN, Position, parse_position
from step_node.home.switches import Switch
from step_node.proofs.proof import RefusalCode

ACCOUNTS_MAX: Final = 64
"""Accounts in one filter; more are refused."""

TRIANGLES_MAX: Final = 16
"""Triangles in one filter; more are refused."""

_ADDRESS: Final = "0x[0-9a-fA-F]{40}"
_TRIANGLE: Final = "STEP-TRI-v1:[A-T](?:[1-9]|1[0-9]|2[01])-[0-3]{20}-[A-Z2-7]{3}"
_KIND: Final = f"(?:{'|'.join(EventKind)})"

_DESCRIPTION: Final = """Server-Sent Events: `docs/events.md` tells of each kind and of how to go on after a break.

The answer does not end before `duration_ms`, unless the node or the client cannot keep it up; its last event, `end`,
says why. Filters that are given must all fit."""

_STREAM: Final = {
    "description": "A stream of events; each has an `id` to go on from.",
    "content": {
        "text/event-stream": {
            "schema": {
                "type": "object",
                "description": "One event.",
                "properties": {
                    "id": {"type": "string", "pattern": POSITION_PATTERN},
                    "event": {"enum": [*EventKind, "open", "gap", "end"]},
                    "data": {"type": "string", "description": "JSON; docs/events.md has the fields of each kind."},
                    "retry": {"type": "integer"},
                },
                "required": ["id", "event", "data"],
            }
        }
    },
}


def _list_pattern(each: str, at_most: int) -> dict[str, str]:
    return {"pattern": f"^{each}(?:,{each}){{0,{at_most - 1}}}$"}


def event_routes(services: ApiServices) -> APIRouter:
    """The route of the feed."""
    routes = api_router("events")
    feed = services.feed
    texts = EventTexts(feed, services.chain.storage.for_strangers())
    places = services.event_places
    duration_ms_max = places.limits.stream_ms_max
    services.counters.show_event_streams(lambda: len(places), lambda: places.limits.streams_max, StreamEnd)

    @routes.get(
        "/events",
        summary="What happens, as it happens",
        description=_DESCRIPTION,
        response_class=Response,
        responses={200: _STREAM, **refusals(RequestCode.SWITCHED_OFF, *EVERYWHERE)},
    )
    async def events(
        request: Request,
        kinds: Annotated[
            str | None,
            Query(
                description="Kinds of events, with commas between; all if you do not say.",
                examples=["proof_finalised,batch"],
                json_schema_extra=_list_pattern(_KIND, len(EventKind)),
            ),
        ] = None,
        account: Annotated[
            str | None,
            Query(
                description=f"Events about one of these addresses, up to {ACCOUNTS_MAX}, with commas between.",
                examples=[EXAMPLE_ADDRESS],
                json_schema_extra=_list_pattern(_ADDRESS, ACCOUNTS_MAX),
            ),
        ] = None,
        triangle: Annotated[
            str | None,
            Query(
                description=f"Events in one of these triangles, or below one; up to {TRIANGLES_MAX}, with commas"
                " between.",
                examples=[EXAMPLE_TRIANGLE],
                json_schema_extra={**_list_pattern(_TRIANGLE, TRIANGLES_MAX), "format": f"{TRIANGLE_FORMAT}-list"},
            ),
        ] = None,
        bbox: Annotated[
            str | None,
            Query(
                description="Events in this box: west, south, east, north in degrees. Where west is greater than"
                " east, it crosses the antimeridian.",
                examples=["8.4,47.3,8.6,47.5"],
                json_schema_extra={"pattern": BBOX_PATTERN, "format": BBOX_FORMAT},
            ),
        ] = None,
        duration_ms: int = Query(
            duration_ms_max, ge=1, le=duration_ms_max, description="How long the stream may last, in milliseconds."
        ),
        last_event_id: Annotated[
            str | None,
            Query(
                alias="lastEventId",
                description="As the header `Last-Event-ID`, which goes before it, for those who cannot set that.",
                examples=["42.7-5f3a21bc.118"],
                json_schema_extra={"pattern": POSITION_PATTERN, "maxLength": POSITION_CHARACTERS_MAX},
            ),
        ] = None,
        last_event_id_header: Annotated[
            str | None,
            Header(
                alias="Last-Event-ID",
                description="The `id` of the last event that was seen; the stream goes on after it.",
                json_schema_extra={"pattern": POSITION_PATTERN, "maxLength": POSITION_CHARACTERS_MAX},
            ),
        ] = None,
    ) -> Response:
        """See `_DESCRIPTION`."""
        refuse_if_off(services.switches, Switch.EVENTS)
        wanted = EventFilter(
            kinds=frozenset(EventKind) if kinds is None else frozenset(_kinds(kinds)),
            accounts=frozenset() if account is None else frozenset(_accounts(account)),
            triangles=() if triangle is None else tuple(_triangles(triangle)),
            box=None if bbox is None else parse_box("bbox", bbox),
        )
        since = _since("Last-Event-ID", last_event_id_header) or _since("lastEventId", last_event_id)
        places.refuse_if_full(address_of(request.scope))
        return EventStream(
            Follower(feed, texts, wanted, since),
            feed=feed,
            texts=texts,
            places=places,
            metrics=services.counters,
            duration_ms=duration_ms,
            is_served=lambda: services.switches.is_on(Switch.EVENTS),
        )

    return routes


def _since(name: str, text: str | None) -> Position | None:
    if text is None:
        return None
    try:
        return parse_position(text)
    except ValueError as error:
        raise _invalid(name, str(error), text) from error


def _kinds(text: str) -> list[EventKind]:
    words = text.split(",")
    if len(words) > len(EventKind) or any(word not in list(EventKind) for word in words):
        raise _invalid("kinds", f"must be kinds of events with commas between: {', '.join(EventKind)}", text)
    return [EventKind(word) for word in words]


def _accounts(text: str) -> list[bytes]:
    words = text.split(",", ACCOUNTS_MAX)
    if len(words) > ACCOUNTS_MAX:
        raise _invalid("account", f"must be at most {ACCOUNTS_MAX} addresses with commas between", text)
    if not all(_is_address(word) for word in words):
        raise _invalid("account", "must be addresses with commas between, each 0x and 40 hex digits", text)
    return [bytes.fromhex(word[2:]) for word in words]


def _is_address(word: str) -> bool:
    return len(word) == 42 and word.startswith("0x") and all(one in "0123456789abcdefABCDEF" for one in word[2:])


def _triangles(text: str) -> list[TriangleRange]:
    words = text.split(",", TRIANGLES_MAX)
    if len(words) > TRIANGLES_MAX:
        raise _invalid("triangle", f"must be at most {TRIANGLES_MAX} triangles with commas between", text)
    try:
        return [TriangleRange.below(TriangleId.parse(word)) for word in words]
    except TriangleIdError as error:
        raise _invalid("triangle", str(error), text) from error


def _invalid(name: str, rule: str, value: str) -> ApiError:
    return ApiError(RefusalCode.INVALID_PAYLOAD, f"{name}: {rule}", details=Details(value=shown(value)))
