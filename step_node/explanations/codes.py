"""The one table of codes: what each means, what to do about it, and what its details hold.

The page docs/codes.md, the file clients/codes.json that the client libraries are made with, the statuses of answers and
their description in OpenAPI are made of it, and nothing else says what a code means. A new code of an enum that has no
row here fails where its status is looked up; a row without an enum's code, a test.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

PATIENCE_STATUSES: Final = (429, 503)
"""The statuses that mean: the same request may succeed a little later."""

CLOCK_GATE: Final = "clock"
"""What this gate refuses tells the node's clock."""


@dataclass(frozen=True, slots=True)
class CodeRow:
    """One code.

    `status`: of HTTP. `gate`: what refuses, unless the details name a narrower limit. `order`: the place among a
    proof's gates, which are asked in turn, or None. `happened` and `advice` are prose for people, in Markdown.
    `retryable`: whether the same body may be accepted later, where the details do not say otherwise. `details`: the
    fields that the details of this code always have, besides `gate` and `retryable`; they may have others. `message`
    and `example` make the example in OpenAPI.
    """

    code: str
    status: int
    gate: str
    order: int | None
    happened: str
    advice: str
    retryable: bool
    details: tuple[str, ...]
    message: str
    example: dict[str, Any]


_TRIANGLE: Final = "STEP-TRI-v1:P10-13131312000000000000-VV7"
_CHILD: Final = {"triangleId": "STEP-TRI-v1:P11-13131312000000000000-3WC", "level": 11}
_ADDRESS: Final = "0x7e5f4552091a69125d5dfcb7b8c2659029395bdf"
_MOMENT: Final = "2026-01-31T12:00:00.000Z"
_LATER: Final = "2026-01-31T12:00:10.000Z"

ROWS: Final = (
    CodeRow(
        "INVALID_PAYLOAD",
        400,
        "form",
        1,
        "the body, a field, or a parameter of any request is not of its form, is unknown or stands twice",
        "a bug of the client: correct it",
        False,
        ("field", "rule"),
        "lat: must be a finite number of degrees from -90 to 90",
        {"field": "lat", "rule": "must be a finite number of degrees from -90 to 90", "value": 91.5},
    ),
    CodeRow(
        "LOW_GPS_ACCURACY",
        422,
        "accuracy",
        2,
        "`accuracy` is over `GPS_MAX_ACCURACY_M`",
        "wait for a better fix",
        False,
        ("field", "value", "limit", "unit"),
        "accuracy: must be at most 50 metres",
        {"field": "accuracy", "value": 80.5, "limit": 50, "unit": "m"},
    ),
    CodeRow(
        "BAD_SIGNATURE",
        401,
        "signature",
        3,
        "the signature is not by `account`, or by an operation's owner, over this line",
        "compare your line with `line`, character by character, above all the numbers; if they are the same, compare"
        " the `digest`, and then whether `recovered` is the address of the key that you meant to sign with",
        False,
        ("field", "line", "digest"),
        "signature: must be by account; it is by 0x2b5ad5c4795c026514f8317c7a215e218dccd6cf or over another line",
        {
            "field": "signature",
            "line": f"STEP-PROOF-v1|account:{_ADDRESS}|triangle:{_TRIANGLE}|lat:47.3769|lon:8.5417|acc:5"
            f"|ts:{_MOMENT}|nonce:0b4ce9f6-1f2a-4d0e-9c55-8b6f1d1f8a11",
            "digest": "0xe0b4810950c9e8813e4e08ddfa8941d22606747af26d99335594cd12ef055eac",
            "recovered": "0x2b5ad5c4795c026514f8317c7a215e218dccd6cf",
        },
    ),
    CodeRow(
        "OUT_OF_BOUNDS",
        422,
        "bounds",
        4,
        "the point is not in the triangle",
        "sign the triangle of `tryInstead`, which holds the point at that level; round latitude and longitude *before*"
        " you ask for the triangle, and sign the very numbers that you asked with",
        False,
        ("field", "value", "tryInstead"),
        "lat, lon: the point must be in the triangle triangleId",
        {
            "field": "lat, lon",
            "value": "STEP-TRI-v1:P10-13131312100000000000-OEK",
            "tryInstead": {"triangleId": _TRIANGLE, "level": 10},
        },
    ),
    CodeRow(
        "CLOCK_DRIFT",
        422,
        CLOCK_GATE,
        5,
        "the timestamp is too far from the node's clock, or too old for the chain's next batch",
        "correct your clock by `serverTime`, sign anew. If it is ahead, the same body is accepted from `retryAt` on",
        False,
        ("field", "value", "limit", "unit", "serverTime", "driftMs"),
        "timestamp: 400000 ms old; at most 300000 ms are allowed",
        {
            "field": "timestamp",
            "value": 400_000,
            "limit": 300_000,
            "unit": "ms",
            "serverTime": _MOMENT,
            "driftMs": -400_000,
        },
    ),
    CodeRow(
        "NONCE_REPLAY",
        409,
        "nonce",
        6,
        "another proof of this account has used the nonce",
        "sign anew with a new nonce",
        False,
        ("field", "value"),
        "nonce: this account has used 'walk-17' already",
        {"field": "nonce", "value": "walk-17"},
    ),
    CodeRow(
        "TRIANGLE_NOT_FOUND",
        404,
        "triangle",
        7,
        "the triangle does not exist yet: its parent is not subdivided",
        "prove in the triangle of `tryInstead`: the active one that holds the point",
        False,
        ("field", "value", "limit", "unit"),
        "triangleId: does not exist: its parent is not subdivided",
        {
            "field": "triangleId",
            "value": 12,
            "limit": 10,
            "unit": "level",
            "tryInstead": {"triangleId": _TRIANGLE, "level": 10},
        },
    ),
    CodeRow(
        "TRIANGLE_EXHAUSTED",
        409,
        "triangle",
        8,
        "the triangle is subdivided, or exhausted",
        "prove in the triangle of `tryInstead`: the active one that holds the point; where there is none, level 21 is"
        " used up here too",
        False,
        ("field", "value", "limit", "unit", "state"),
        "triangleId: is subdivided; choose an active triangle",
        {
            "field": "triangleId",
            "value": 11,
            "limit": 11,
            "unit": "clicks",
            "state": "subdivided",
            "tryInstead": _CHILD,
        },
    ),
    CodeRow(
        "TOO_FAST",
        422,
        "speed",
        9,
        "too far from the account's last proof for the time between",
        "move more slowly, or check for a wrong fix; a new proof of this place is not too fast from `retryAt` on. After"
        " `PROOF_SPEED_HORIZON_MS` (an hour) the last proof is not compared any more: that ends a lock-out by a wrong"
        " fix, and a flight",
        False,
        ("field", "value", "limit", "unit", "distanceM", "elapsedMs", "lastProofAt", "retryAt"),
        "lat, lon: too far from this account's last proof, 10000 ms before, for 15 m/s",
        {
            "field": "lat, lon",
            "value": 25.4,
            "limit": 15,
            "unit": "m/s",
            "distanceM": 254.0,
            "elapsedMs": 10_000,
            "lastProofAt": _MOMENT,
            "retryAt": "2026-01-31T12:00:16.934Z",
        },
    ),
    CodeRow(
        "MORATORIUM",
        422,
        "moratorium",
        10,
        "too soon after the account's last proof, or not after it",
        "sign a new proof at `retryAt` or later (`PROOF_MORATORIUM_MS` after the last one)",
        False,
        ("field", "value", "limit", "unit", "elapsedMs", "lastProofAt", "retryAt"),
        "timestamp: 4000 ms after this account's last proof; at least 10000 ms must lie between two",
        {
            "field": "timestamp",
            "value": 4_000,
            "limit": 10_000,
            "unit": "ms",
            "elapsedMs": 4_000,
            "lastProofAt": _MOMENT,
            "retryAt": _LATER,
        },
    ),
    CodeRow(
        "RATE_LIMITED",
        429,
        "rate",
        None,
        "`ACCOUNT_WAITING_PROOFS_MAX` proofs of this account wait already (`gate` is `account_places`), or so many in"
        " this triangle that their clicks use it up (`triangle_clicks`); or your account is not in the ledger yet, and"
        " a quarter of the node's places is taken by such accounts that came from your address (`source_places`); or"
        " your address asks for more than [its share](clients.md#how-much-you-may-ask-for) (`address_share`,"
        " `address_bodies`), or has submitted what it may in a minute (`address_submissions`), or your account has"
        " (`account_submissions`)",
        "wait until `retryAt`, or as `Retry-After` says, then send the same body; with `tryInstead`, a new proof in"
        " that triangle is taken at once",
        True,
        ("retryAt",),
        "address: asks for more than its share of this node's time",
        {"gate": "address_share", "field": "address", "retryAt": "2026-01-31T12:00:01.000Z"},
    ),
    CodeRow(
        "MEMPOOL_FULL",
        503,
        "backlog",
        None,
        "more proofs wait than the chain finalises in three seconds (`gate` is `backlog`), or as many as the node may"
        " hold, in all (`places`), of accounts that are in the ledger (`known_places`) or of others"
        " (`newcomer_places`), or on their way in (`queue`)",
        "send the same body at `retryAt`, or as `Retry-After` says, or to another node",
        True,
        ("value", "unit", "retryAt"),
        "50000 proofs wait already; try again in a few seconds",
        {"gate": "places", "value": 50_000, "limit": 50_000, "unit": "proofs", "retryAt": "2026-01-31T12:00:01.000Z"},
    ),
    CodeRow(
        "NOT_READY",
        503,
        "readiness",
        None,
        "the node's store (`gate` is `store`) or its journal (`journal`) does not answer, the node is stopping"
        " (`stopping`) or not well (`health`), the chain has not begun (`genesis_time`), or all clients together ask"
        " for too much (`share`, `bodies`, `connection`)",
        "send the same body at `retryAt`, or to another node",
        True,
        ("retryAt",),
        "the node's store does not answer just now; try again in a second",
        {"gate": "store", "retryAt": "2026-01-31T12:00:01.000Z"},
    ),
    CodeRow(
        "INTAKE_PAUSED",
        503,
        "intake",
        None,
        "the node's operator has paused the intake: it takes no proofs and no transfers from clients, and goes on with"
        " everything else; what was accepted before becomes final all the same. Or, with the gate `intake_share`, it"
        " takes them of only `value` % of all accounts for now, and this one is not among these",
        "send the same body to another node; here again at `retryAt`, though nobody knows when it ends",
        True,
        ("retryAt",),
        "the operator of this node has paused the intake: nothing is taken from clients; submit to another node",
        {"retryAt": "2026-01-31T12:01:00.000Z"},
    ),
    CodeRow(
        "INTAKE_SHED",
        503,
        "breaker",
        None,
        "more proofs are submitted to the node than several times what it is used to, `value` in place of at most"
        " `limit`: its circuit breaker sheds some or all of them until that is over",
        "send the same body at `retryAt`, or as `Retry-After` says, or to another node",
        True,
        ("value", "limit", "unit", "retryAt"),
        "far more is submitted than this node is used to, and it takes no more for now; try again in 5 s, or at another"
        " node",
        {"value": 412.5, "limit": 300.0, "unit": "submissions/s", "retryAt": "2026-01-31T12:00:05.000Z"},
    ),
    CodeRow(
        "SWITCHED_OFF",
        503,
        "switch",
        None,
        "the node's operator has turned off what was asked for: transfers, the live feed, or what maps ask for"
        " (`value`)",
        "ask another node",
        True,
        ("value", "retryAt"),
        "the operator of this node has turned this off (events: the live feed is served); ask another node",
        {"value": "events", "retryAt": "2026-01-31T12:01:00.000Z"},
    ),
    CodeRow(
        "INTERNAL_ERROR",
        500,
        "node",
        None,
        "a bug of the node; its operator finds it in the log",
        "send the same body again; tell the operator",
        True,
        (),
        "the node failed to answer; its operator finds why in its log",
        {},
    ),
    CodeRow(
        "PROOF_NOT_FOUND",
        404,
        "lookup",
        None,
        "this node has neither accepted nor finalised such a proof, or has let go of it: its `/status` says from which"
        " height on it keeps histories",
        "ask the node you submitted to, or one that keeps more, or submit again",
        False,
        ("field", "value"),
        "proofId: this node has neither accepted nor finalised such a proof",
        {"field": "proofId", "value": "0xe0b4810950c9e8813e4e08ddfa8941d22606747af26d99335594cd12ef055eac"},
    ),
    CodeRow(
        "OPERATION_NOT_FOUND",
        404,
        "lookup",
        None,
        "no batch that this node keeps holds the operation, and it does not wait here",
        "submit it again: if it was applied, the answer says so (or `WRONG_SEQUENCE`), and it is not applied twice",
        False,
        ("field", "value"),
        "operationId: waits for no batch on this node, and none that it keeps holds it",
        {"field": "operationId", "value": "0x" + "11" * 32},
    ),
    CodeRow(
        "RECEIPT_NOT_FOUND",
        404,
        "lookup",
        None,
        "the proof is known, but not final yet, or was dropped, or this node has not all that its receipt is made of,"
        " or it would be too long to be read; the message says which",
        "ask again once it is final, or another node",
        False,
        ("field", "value"),
        "proofId: the proof waits to be final; ask again when its status says so",
        {
            "field": "proofId",
            "value": "0xe0b4810950c9e8813e4e08ddfa8941d22606747af26d99335594cd12ef055eac",
            "retryable": True,
        },
    ),
    CodeRow(
        "BATCH_NOT_FOUND",
        404,
        "lookup",
        None,
        "the height is not finalised on this node yet, or below the lowest that it keeps (`earliestHeight` in its"
        " `/status`); the message says which",
        "ask later, or a node that keeps more",
        False,
        ("field", "value", "limit", "unit"),
        "height: 43 is not finalised yet; the last is 42",
        {"field": "height", "value": 43, "limit": 42, "unit": "height", "retryable": True},
    ),
    CodeRow(
        "REPORT_NOT_FOUND",
        404,
        "lookup",
        None,
        "the epoch has no report of fairness on this node: it has not ended, its report is being made, or the node has"
        " not followed the chain from the epoch's beginning; the message says which",
        "ask later where `retryable` says so; else a node that has followed the chain for longer",
        False,
        ("field", "value", "unit"),
        "epoch: 43 has not ended yet: it has the heights 42001 to 43000, the last is 42500",
        {"field": "epoch", "value": 43, "limit": 42, "unit": "epoch", "retryable": True},
    ),
    CodeRow(
        "VALIDATOR_NOT_FOUND",
        404,
        "lookup",
        None,
        "no validator has this address",
        "see `/validators` for those that there are",
        False,
        ("field", "value"),
        "address: is not a validator's",
        {"field": "address", "value": _ADDRESS},
    ),
    CodeRow(
        "INVALID_OPERATION",
        400,
        "form",
        None,
        "an operation is not of its form",
        "correct the field it names",
        False,
        ("field", "rule"),
        "stake: must be a decimal string of STEP",
        {"field": "stake", "rule": "must be a decimal string of STEP"},
    ),
    CodeRow(
        "WRONG_SEQUENCE",
        409,
        "sequence",
        None,
        "the sequence number is not the owner's next",
        "sign anew with `expected`; if yours is lower, an operation with it may have been applied",
        False,
        ("field", "value", "expected"),
        "sequence: the owner's next is 3",
        {"field": "sequence", "value": 2, "expected": 3},
    ),
    CodeRow(
        "UNKNOWN_VALIDATOR",
        404,
        "validator",
        None,
        "no validator has this address",
        "see `/validators` for those that there are",
        False,
        ("field", "value"),
        "validator: there is none with this address",
        {"field": "validator", "value": _ADDRESS},
    ),
    CodeRow(
        "NOT_THE_OWNER",
        403,
        "owner",
        None,
        "the validator's stake is another's",
        "sign with the key of its owner, which `/validators/{address}` tells",
        False,
        ("field", "value"),
        "owner: is not this validator's",
        {"field": "owner", "value": _ADDRESS},
    ),
    CodeRow(
        "KEY_IN_USE",
        409,
        "key",
        None,
        "the hot key is a validator's already, or was",
        "use a new key",
        False,
        ("field", "value"),
        "public_key: is another validator's, or was",
        {"field": "public_key", "value": _ADDRESS},
    ),
    CodeRow(
        "STAKE_TOO_LOW",
        422,
        "stake",
        None,
        "the stake is below `min_stake`",
        "put up at least `need`",
        False,
        ("field", "have", "need", "unit"),
        "stake_ustep: must be at least min_stake",
        {"field": "stake_ustep", "have": "1.000000", "need": "100000.000000", "unit": "STEP"},
    ),
    CodeRow(
        "INSUFFICIENT_BALANCE",
        422,
        "balance",
        None,
        "the owner's balance does not cover the amount",
        "wait until `have` is at least `need`",
        False,
        ("field", "have", "need", "unit"),
        "stake_ustep: is more than the owner's balance",
        {"field": "stake_ustep", "have": "12.500000", "need": "100000.000000", "unit": "STEP"},
    ),
    CodeRow(
        "NO_PLACE",
        409,
        "set",
        None,
        "there are as many validators as there may be",
        "ask later",
        True,
        ("value", "limit", "unit"),
        "there are 128 validators; at most 128 may be",
        {"value": 128, "limit": 128, "unit": "validators"},
    ),
    CodeRow(
        "WRONG_UPGRADE",
        409,
        "upgrade",
        None,
        "these rules cannot be agreed on from that height on, or there is nothing to take back",
        "ask `step-node upgrade show` what is in force, approved and agreed on, and from which heights on rules can"
        " change",
        False,
        (),
        "activation_height: must be the first height of an epoch, 3001 or a multiple of 1000 above it: a whole epoch"
        " lies between the agreement and the change",
        {"value": 2500, "limit": 3001, "unit": "height"},
    ),
    CodeRow(
        "WRONG_STATE",
        409,
        "state",
        None,
        "the validator is not in a state for this, or not yet",
        "look at `/validators/{address}`; where time heals it, the same operation is taken from `retryAt` on",
        False,
        ("field", "value", "rule", "state"),
        "validator: 0x7e5f4552091a69125d5dfcb7b8c2659029395bdf is waiting: only one that has left can be withdrawn",
        {
            "field": "validator",
            "value": _ADDRESS,
            "rule": "only one that has left can be withdrawn",
            "state": "waiting",
            "allowed": ["unbonding", "jailed"],
        },
    ),
    CodeRow(
        "POOL_FULL",
        503,
        "pool",
        None,
        "too many operations wait, or one of this owner's, or a transfer gave way to one whose owner has more",
        "ask again when it is done",
        True,
        ("value", "limit", "unit", "retryAt"),
        "256 operations wait already",
        {"value": 256, "limit": 256, "unit": "operations", "retryAt": "2026-01-31T12:00:01.000Z"},
    ),
    CodeRow(
        "NOT_FOUND",
        404,
        "path",
        None,
        "there is no such path",
        "see `/docs`",
        False,
        ("field", "value"),
        "path: there is nothing here; the API is described at /docs",
        {"field": "path", "value": "/proof/submitt"},
    ),
    CodeRow(
        "METHOD_NOT_ALLOWED",
        405,
        "method",
        None,
        "the path has other methods, named in `allowed` and in the `Allow` header",
        "see `/docs`",
        False,
        ("field", "value", "allowed"),
        "method: PUT is not allowed here; see the Allow header",
        {"field": "method", "value": "PUT", "allowed": ["GET", "HEAD", "OPTIONS"]},
    ),
    CodeRow(
        "FORBIDDEN",
        403,
        "origin",
        None,
        "a browser asks on behalf of a page of another origin, and `/metrics` is closed to those",
        "read it with a program, or from a page of the node's own",
        False,
        ("field", "value"),
        "origin: pages of other origins may not read /metrics",
        {"field": "origin", "value": "https://app.example"},
    ),
    CodeRow(
        "PAYLOAD_TOO_LARGE",
        413,
        "body_bytes",
        None,
        "the body is over `BODY_BYTES_MAX`, of many at once over `BATCH_BODY_BYTES_MAX`; the connection is closed",
        "a submission has some 600 bytes",
        False,
        ("field", "limit", "unit"),
        "body: must have at most 16384 bytes",
        {"field": "body", "value": 20_000, "limit": 16_384, "unit": "bytes"},
    ),
    CodeRow(
        "HEADERS_TOO_LARGE",
        431,
        "head_bytes",
        None,
        "the request's line and headers are over 16 KiB or 100 lines; the connection is closed",
        "send fewer headers",
        False,
        ("field", "limit", "unit"),
        "request: its line and headers must have at most 16384 bytes",
        {"field": "request", "limit": 16_384, "unit": "bytes"},
    ),
    CodeRow(
        "REQUEST_TIMEOUT",
        408,
        "arrival",
        None,
        "the head did not arrive within five seconds, or the body within ten; the connection is closed",
        "send it again",
        True,
        ("field", "limit", "unit"),
        "body: must arrive within 10 seconds",
        {"field": "body", "limit": 10, "unit": "s"},
    ),
)
"""In the order of the page: the gates of a proof as they are asked, then the rest."""

BY_CODE: Final = {row.code: row for row in ROWS}

FILE_VERSION: Final = 1
"""Of clients/codes.json."""


def codes_file() -> dict[str, Any]:
    """What clients/codes.json holds: the rows, as the client libraries take them."""
    return {
        "version": FILE_VERSION,
        "patienceStatuses": list(PATIENCE_STATUSES),
        "codes": [asdict(row) for row in ROWS],
    }
