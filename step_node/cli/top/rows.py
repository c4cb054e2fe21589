"""What `step-node top` shows: readings become headings and rows of text, for a screen, a terminal's lines and programs.

Texts of nodes are anybody's: `plain` leaves nothing in them that a terminal would obey.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from step_node.cli.output import plain
from step_node.cli.top.readings import Finality, NetworkSeen, NodeSeen, Participation

Row = tuple[str, ...]

NODE_HEADINGS: Final[Row] = ("node", "health", "height", "round", "step", "for", "peers", "waiting", "p50", "p90")
VALIDATOR_HEADINGS: Final[Row] = ("validator", "node", "pre-vote", "pre-commit", "takes part", "")
PEER_HEADINGS: Final[Row] = ("peer", "direction", "height", "version", "validator", "address")

_BAR_CELLS: Final = 10
_ADDRESS_CHARACTERS_SHOWN: Final = 10
_PEER_CHARACTERS_SHOWN: Final = 12
_VOTE_CHARACTERS_SHOWN: Final = 10
_NOTHING: Final = "-"


def headline(network: NetworkSeen) -> str:
    """The chain, how far it has come, and how many nodes answer."""
    answering = network.answering
    nodes = f"{len(answering)} of {len(network.nodes)} nodes answer"
    if not answering:
        return nodes
    ahead = max(answering, key=lambda reading: reading.status.height)
    return plain(f"{ahead.status.chain_id}  height {ahead.status.height}  quorum {ahead.consensus.quorum}  {nodes}")


def node_rows(network: NetworkSeen, now_ms: int) -> list[Row]:
    """One row a node, in the order in which they were named; one that is away says so, with what it last was."""
    return [_node_row(node, now_ms) for node in network.nodes]


def _node_row(node: NodeSeen, now_ms: int) -> Row:
    url, reading = plain(node.url), node.reading
    health = f"AWAY {seconds_text(node.away_seconds)}" if node.trouble else ""
    if reading is None:
        return (url, health, *[_NOTHING] * (len(NODE_HEADINGS) - 2))
    status, consensus = reading.status, reading.consensus
    if not health:
        health = "syncing" if status.syncing else plain(reading.health.status)
    places = "" if reading.mempool_places is None else f"/{reading.mempool_places}"
    return (
        url,
        health,
        str(status.height),
        _NOTHING if consensus.round < 0 else str(consensus.round),
        plain(consensus.step),
        _NOTHING if node.trouble else _since_text(consensus.step_since, now_ms),
        str(len(status.peers)),
        f"{status.mempool_proofs}{places}",
        _quantile_text(reading.finality, 0.5),
        _quantile_text(reading.finality, 0.9),
    )


def validator_rows(node: NodeSeen, participation: Participation) -> list[Row]:
    """Who votes at the present height, as this node has it, and how often each has voted of late."""
    if node.reading is None:
        return []
    proposer = node.reading.consensus.proposer
    return [
        (
            short(one.address, _ADDRESS_CHARACTERS_SHOWN) + (" *" if one.address == proposer else ""),
            "this node" if one.is_self else "connected" if one.is_connected else "away",
            _vote_text(one.pre_vote),
            _vote_text(one.pre_commit),
            *_participation_texts(participation, one.address),
        )
        for one in node.reading.consensus.validators
    ]


def peer_rows(node: NodeSeen) -> list[Row]:
    """To whom this node is connected."""
    if node.reading is None:
        return []
    return [
        (
            short(one.peer_id, _PEER_CHARACTERS_SHOWN),
            plain(one.direction),
            plain(one.height),
            plain(one.version),
            _NOTHING if one.validator is None else short(one.validator, _ADDRESS_CHARACTERS_SHOWN),
            plain(one.address),
        )
        for one in node.reading.status.peers
    ]


def troubles(network: NetworkSeen) -> list[str]:
    """What is wrong, a sentence each: nodes that do not answer, and what the others say of themselves."""
    lines = []
    chains = sorted({reading.status.chain_id for reading in network.answering})
    if len(chains) > 1:
        lines.append(plain(f"these nodes are of different chains: {', '.join(chains)}; name those of one"))
    for node in network.nodes:
        if node.trouble:
            lines.append(plain(f"{node.url}: does not answer for {seconds_text(node.away_seconds)}: {node.trouble}"))
        elif node.reading is not None:
            lines += [plain(f"{node.url}: {one.code}: {one.message}") for one in node.reading.health.reasons]
    return lines


def event_line(kind: str, data: Mapping[str, Any], now: datetime) -> str:
    """One event of the feed, on one line."""
    match kind:
        case "batch":
            what = f"height {data.get('height')}: {data.get('proofs')} proofs, round {data.get('round')}"
        case "validator":
            what = f"{data.get('validator')} {data.get('change')}"
        case "proof_dropped":
            what = f"{data.get('proofId')} {data.get('code')}"
        case "operation_applied":
            what = f"{data.get('name')} of {data.get('owner')}"
        case "triangle_subdivided" | "triangle_exhausted":
            what = f"{data.get('triangleId')}"
        case "gap" | "end":
            what = f"{data.get('message')}"
        case _:
            what = ""
    return plain(f"{now.astimezone():%H:%M:%S} {kind} {what}".rstrip())


def as_json(network: NetworkSeen) -> dict[str, object]:
    """One look, for programs."""
    voters = next((reading.consensus.validators for reading in network.answering), ())
    participation = network.participation
    return {
        "nodes": [_node_json(node) for node in network.nodes],
        "heightsLookedAt": participation.heights,
        "validators": [{"address": one.address, "votes": participation.votes.get(one.address, 0)} for one in voters],
    }


def _node_json(node: NodeSeen) -> dict[str, object]:
    answer: dict[str, object] = {"url": node.url, "answers": not node.trouble}
    if node.trouble:
        return answer | {"trouble": node.trouble}
    if node.reading is None:
        return answer
    status, finality = node.reading.status, node.reading.finality or Finality()
    return answer | {
        **status.model_dump(by_alias=True),
        "health": node.reading.health.model_dump(by_alias=True),
        "consensus": node.reading.consensus.model_dump(by_alias=True),
        "mempoolProofsMax": node.reading.mempool_places,
        "finalitySeconds": {
            "p50": finality.quantile_seconds(0.5),
            "p90": finality.quantile_seconds(0.9),
        },
    }


def short(text: str, characters: int) -> str:
    """The beginning of an address or a hash."""
    shown = plain(text)
    return shown if len(shown) <= characters else shown[: characters - 1] + "…"


def seconds_text(seconds: float) -> str:
    """A duration as people read it."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _since_text(since: str, now_ms: int) -> str:
    """By this machine's clock, which may differ from the node's: never less than nothing."""
    try:
        began = datetime.fromisoformat(since)
    except ValueError:
        return _NOTHING
    began_ms = (began if began.tzinfo else began.replace(tzinfo=UTC)).timestamp() * 1_000
    return seconds_text(max(0.0, (now_ms - began_ms) / 1_000))


def _vote_text(vote: str | None) -> str:
    return "…" if vote is None else short(vote, _VOTE_CHARACTERS_SHOWN)


def _participation_texts(participation: Participation, address: str) -> tuple[str, str]:
    if not participation.heights:
        return _NOTHING, ""
    votes = participation.votes.get(address, 0)
    filled = round(_BAR_CELLS * votes / participation.heights)
    return f"{votes}/{participation.heights}", "#" * filled + "." * (_BAR_CELLS - filled)


def _quantile_text(finality: Finality | None, share: float) -> str:
    seconds = None if finality is None else finality.quantile_seconds(share)
    return _NOTHING if seconds is None else f"{seconds:.2f} s"
