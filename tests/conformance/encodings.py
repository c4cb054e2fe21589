"""One example of everything whose bytes others rely on: peers, stored files, clients.

`python -m tests.conformance` writes them to `tests/vectors/encodings.json`, and the tests compare. Most come from the
table of decoders that the fuzzer has, so a new message or file is here without a line; what that table cannot have is
made here: records of the state, frames, rows of the journal, answers of the API. Everything is made from fixed keys
and times. A keystore is not (it has a random salt): `tests/vectors/keystore.json` must stay readable.
"""

from __future__ import annotations

import json
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import trio

from p2p.addresses import parse_peer_address
from p2p.framing import FramedStream
from p2p.network import PeerId
from step_node.api.app import create_app
from step_node.api.models.events import event_text
from step_node.economy.columns import ProofColumns
from step_node.economy.side_file import EconomyFile, Hashes
from step_node.economy.window import ProofWindow
from step_node.ledger.commitment import EMPTY_LANES, commit_changes, state_root
from step_node.ledger.protocol_record import ProtocolRecord, Upgrade, UpgradeVote
from step_node.ledger.records import (
    Account,
    ChainRecord,
    LastProof,
    NonceRecord,
    ParametersRecord,
    Record,
    Triangle,
    TriangleState,
    ValidatorRecord,
    ValidatorState,
    record_bytes,
)
from step_node.mempool.journal import DroppedProof, open_journal
from step_node.network import protocols
from step_node.network.address_book import keep_address_book
from step_node.network.bans import keep_bans
from step_node.operations import client_signing
from step_node.operations.json_form import operation_json
from step_node.parameters import Parameters
from step_node.proofs.proof import Refusal, RefusalCode
from tests.api.made_up_node import START_MS as API_START_MS
from tests.api.made_up_node import MadeUpNode, Walker, open_node
from tests.fuzz.decoders import PEER_ADDRESS, decoders
from tests.support.chains import make_genesis
from tests.support.clock import SetClock
from tests.support.proofs import START_MS, address, signed_proof

NOT_REPRODUCED = frozenset({"keystore", "config", "address-book", "bans", "points-csv", "peer-address", "payload"})
"""Decoders whose examples are random, written by hand, or nobody's but the reader's."""

RECORDS: tuple[Record, ...] = (
    ChainRecord(7, b"\x01" * 32, START_MS, b"\x02" * 20, 1_953, 10**15, 4 * 10**14, 5 * 10**14, 10**14, 1, 5, START_MS),
    ParametersRecord(Parameters().canonical_json()),
    ValidatorRecord(
        b"\x03" * 20, b"\x02" + b"\x04" * 32, 10**11, "/dns4/node/tcp/26600", b"\x05" * 20, ValidatorState.JAILED,
        1, 900, 899, 10**10, START_MS + 1, START_MS + 2, 3, b"\x03" + b"\x06" * 32,
    ),
    Account(b"\x07" * 20, 2**62, 3, LastProof(START_MS, 47.3769, -8.5), 1),
    Account(b"\x08" * 20),
    Triangle(5 << 45 | 10, 11, TriangleState.SUBDIVIDED),
    NonceRecord(b"\x07" * 20, "n-1", START_MS),
    ProtocolRecord(
        Upgrade(1, 1), Upgrade(2, 3_001, "0.2.0"), (UpgradeVote(b"\x03" * 20, Upgrade(2, 3_001, "0.2.0")),)
    ),
)  # fmt: skip


def encodings() -> dict[str, str]:
    """Each example by its name: hex digits of bytes, or, of what is text, the text."""
    found: dict[str, str] = {}
    for name, decoder in decoders().items():
        if name not in NOT_REPRODUCED:
            for number, sample in enumerate(decoder.samples):
                found[f"{name}/{number}"] = _shown(sample)
    for number, record in enumerate(RECORDS):
        found[f"state-record/{number} {type(record).__name__}"] = _shown(record_bytes(record))
    found["state-root"] = state_root(commit_changes(EMPTY_LANES, removed=(), added=RECORDS)).hex()
    found["genesis-hash"] = make_genesis(4, allocations={"alice": 5}).hash.hex()
    found["protocols"] = json.dumps(
        {name: getattr(protocols, name) for name in sorted(vars(protocols)) if name.endswith("_PROTOCOL")}
        | {name: getattr(protocols, name)("c") for name in sorted(vars(protocols)) if name.endswith("_topic")}
    )
    with tempfile.TemporaryDirectory() as directory:
        trio.run(_add_files, found, Path(directory))
        trio.run(_add_answers, found, Path(directory))
    return dict(sorted(found.items()))


def _shown(data: bytes) -> str:
    """Text as text, if it is JSON; everything else in hex digits."""
    try:
        json.loads(data)
        return data.decode("ascii")
    except ValueError:
        return data.hex()


class _Written:
    """A stream that keeps what is written."""

    def __init__(self) -> None:
        self.data = b""

    async def read(self, size_bytes_max: int) -> bytes:
        raise NotImplementedError

    async def write(self, data: bytes) -> None:
        self.data += data

    async def close(self) -> None:
        raise NotImplementedError

    async def reset(self) -> None:
        raise NotImplementedError


async def _add_files(found: dict[str, str], directory: Path) -> None:
    stream = _Written()
    await FramedStream(PeerId("p"), "/p", stream, message_bytes_max=1_000).send_message(b"message" * 40)
    found["stream-frame"] = stream.data.hex()
    clock = SetClock(START_MS)
    async with keep_address_book(directory / "book", clock) as book:
        book.note_answer(parse_peer_address(PEER_ADDRESS))
    found["address-book"] = (directory / "book").read_text()
    async with keep_bans(directory / "bans", clock) as bans:
        bans.changed({PeerId("16Uiu2HAm"): 600.0})
    found["bans"] = (directory / "bans").read_text()
    proofs = [signed_proof(name, nonce=f"journal-{name}") for name in ("alice", "bob")]
    refusal = Refusal(RefusalCode.CLOCK_DRIFT, "timestamp: too old")
    async with open_journal(directory / "journal", b"\x09" * 32) as journal:
        await journal.accept(proofs, now_ms=START_MS)
        await journal.settle(finalised=[], dropped=[DroppedProof(proofs[1].proof_id, refusal)], now_ms=START_MS + 1_000)
    connection = sqlite3.connect(directory / "journal")
    versions = [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")]
    found["journal"] = "\n".join([f"application_id, user_version: {versions}", *connection.iterdump()])
    connection.close()
    await _add_economy_file(found, directory / "economy")


async def _add_economy_file(found: dict[str, str], path: Path) -> None:
    proofs = tuple(signed_proof(name, nonce=f"economy-{name}") for name in ("alice", "bob"))
    window, rows = ProofWindow(), ProofColumns.of_proofs(proofs, height=7, batch_time_ms=START_MS)
    window.append(rows, height=7, batch_time_ms=START_MS)
    with closing(EconomyFile.open(path, b"\x09" * 32)) as file:
        await file.keep(window.standing, Hashes(b"\x07" * 32, b"\x06" * 32), [(0, [rows])])
        await file.keep_report(3, b"the report of an epoch")
    with closing(sqlite3.connect(path)) as connection:
        versions = [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")]
        found["economy-file"] = "\n".join([f"application_id, user_version: {versions}", *connection.iterdump()])


async def _add_answers(found: dict[str, str], directory: Path) -> None:
    async with open_node(directory / "api-journal") as node:
        transport = httpx.ASGITransport(create_app(node.services()))
        async with httpx.AsyncClient(transport=transport, base_url="http://node") as client:
            for name, answer in (await _answers(node, client)).items():
                found[f"api/{name}"] = f"{answer.status_code} {answer.text}"
        final = await node.feed.events_at(1, node.storage)
        assert final is not None
        for number, event in enumerate((*final, *node.feed.local_since(0, 10))):
            found[f"event/{number} {event.kind}"] = event_text(event).decode()


async def _answers(node: MadeUpNode, client: httpx.AsyncClient) -> dict[str, httpx.Response]:
    walker = Walker(1)
    final, waiting, dropped, bad = (
        walker.proof(API_START_MS - 60_000 + 20_000 * step, accuracy_m=51.0 if step == 3 else 5.0) for step in range(4)
    )

    async def submit(proof: Any) -> httpx.Response:
        return await client.post("/proof/submit", params={"wait_ms": 0}, json=proof)

    answers = {"submit, refused": await submit(bad), "submit, pending": await submit(final)}
    (receipt,) = await node.finalise()
    answers["submit, finalised"] = await submit(final)
    await node.until_trending()
    pending = (await submit(waiting)).json()["proofId"]
    lost = (await submit(dropped)).json()["proofId"]
    await node.drop(bytes.fromhex(lost[2:]), Refusal(RefusalCode.CLOCK_DRIFT, "timestamp: too old"))
    validator = node.chain.head.validators[0].address.hex()
    triangle = final["payload"]["triangleId"]
    for path in (
        f"/proof/status/0x{receipt.proof_id.hex()}",
        f"/proof/status/{pending}",
        f"/proof/status/{lost}",
        f"/proof/status/0x{bytes(32).hex()}",
        "/proof/config",
        f"/account/{walker.address_text}",
        f"/account/{walker.address_text}/proofs",
        f"/account/0x{address('nobody').hex()}",
        f"/triangle/{triangle}",
        "/mesh/triangleAt?lat=47.3769&lon=8.5417&level=3",
        "/mesh/triangleAt?lat=91&lon=8.5417&level=3",
        "/mesh/triangleAt?lat=47.3769&lon=8.5417&level=active",
        f"/mesh/polygon/{triangle}?includeMetadata=true",
        f"/mesh/children/{triangle}",
        f"/mesh/parent/{triangle}",
        f"/mesh/info/{triangle}",
        "/mesh/search?bbox=8.4,47.3,8.5,47.4&level=10&includePolygon=true",
        "/mesh/nearest?lat=47.3769&lon=8.5417&level=10&count=2",
        f"/mesh/nearby?lat=47.3769&lon=8.5417&radius_m=100&level=active&account={walker.address_text}",
        "/mesh/active?bbox=8.4,47.3,8.5,47.4&maxResults=1",
        "/mesh/stats?level=10",
        "/batch/1",
        "/batch/2",
        "/batches",
        "/batches?from=1",
        "/batch/latest",
        f"/triangle/{triangle}/proofs",
        f"/account/{walker.address_text}/proofs.csv",
        "/events?kinds=nothing",
        "/leaderboard",
        "/trending?level=10",
        "/validators",
        f"/validators/0x{validator}",
        "/evidence",
        "/status",
        "/health",
        "/nowhere",
    ):
        answers[path] = await client.get(path)
    # Last: what it moves would change the answers above.
    await _add_transfer(answers, node, client, walker)
    return answers


async def _add_transfer(
    answers: dict[str, httpx.Response], node: MadeUpNode, client: httpx.AsyncClient, walker: Walker
) -> None:
    sent = client_signing.transfer(
        owner_key=walker.key,
        chain_id=node.chain.chain_id,
        sequence=0,
        to=address("bob"),
        amount_ustep=1_000,
        memo="rent | Zürich",
    )
    body = operation_json(sent)
    answers["transfer, pending"] = await client.post("/account/transfer", json=body)
    answers["transfer, refused"] = await client.post("/account/transfer", json=body | {"amount": "1.000000"})
    operation = f"/operation/{answers['transfer, pending'].json()['operationId']}"
    answers[f"{operation}, pending"] = await client.get(operation)
    await node.finalise()
    answers["transfer, applied"] = await client.post("/account/transfer", json=body)
    for path in (operation, f"/operation/0x{bytes(32).hex()}", f"/account/{walker.address_text}/transactions"):
        answers[path] = await client.get(path)
