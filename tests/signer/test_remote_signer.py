"""A node's signer over a socket: what it signs, what it refuses, and what either does when the other is gone."""

from __future__ import annotations

import socket
import stat
import subprocess
from pathlib import Path

import pytest
import structlog
import trio

from consensus.messages import PreCommit, PreVote, ProofBatch, SignedMessage
from step_node.crypto.lines import recover_signer
from step_node.errors import StepNodeError
from step_node.home.lock import HomeInUse
from step_node.home.paths import NodeHome
from step_node.node.signing_history import HistoryWord
from step_node.signer import service
from step_node.signing.guard import DoubleSignRefused, SigningGuard, SigningRule
from step_node.signing.remote.address import PinnedTls, TlsAddress, UnixAddress, parse_signer_address
from step_node.signing.remote.client import RemoteSigner
from step_node.signing.remote.wire import LENGTH, Open, Ping, Sign, decode_answer, encode_frame
from step_node.signing.signed_value import signed_value
from step_node.signing.signer import SignerAway
from tests.signer.homes import (
    KEY,
    NEXT_KEY,
    NEXT_NAME,
    connected,
    make_home,
    put_key,
    remote,
    serving,
    socket_of,
)
from tests.support.chains import CHAIN_ID
from tests.support.clock import SetClock
from tests.support.proofs import START_MS

A, B = b"a" * 32, b"b" * 32
LONGEST_SECONDS = 60


@pytest.fixture
def home(tmp_path: Path) -> NodeHome:
    return make_home(tmp_path / "signer")


def pre_vote(height: int, batch_hash: bytes | None = A, *, number: int = 0) -> PreVote:
    return PreVote(height, number, batch_hash, KEY)


def asked(signer: RemoteSigner, message: SignedMessage, chain_id: str = CHAIN_ID) -> bytes:
    kind, value = signed_value(message)
    return signer.sign(kind, message.height, message.round, value, message.signing_line(chain_id))


async def signed(signer: RemoteSigner, message: SignedMessage, chain_id: str = CHAIN_ID) -> bytes:
    return await trio.to_thread.run_sync(asked, signer, message, chain_id)


def history_of(home: NodeHome, validator: bytes = KEY) -> SigningGuard:
    return SigningGuard.open(home.signing_history(validator), chain_id=CHAIN_ID, validator=validator)


async def test_what_consensus_says_is_signed_with_the_key_and_stands_in_both_histories(home: NodeHome) -> None:
    messages: list[SignedMessage] = [
        ProofBatch(1, 0, -1, A, b"", KEY),
        pre_vote(1),
        PreCommit(1, 0, None, KEY),
        pre_vote(2, None),
    ]
    with trio.fail_after(LONGEST_SECONDS):
        async with serving(home):
            signer = await connected(remote(home))
            assert signer.absence is None
            for message in messages:
                signature = await signed(signer, message)
                assert recover_signer(message.signing_line(CHAIN_ID), signature) == KEY
                assert signature == await signed(signer, message)
            known = signer.guard.history()
            signer.close()
    with history_of(home) as guard:
        assert guard.height == 2
        assert guard.history() == known


async def test_the_guard_stands_before_the_key_whoever_asks(home: NodeHome) -> None:
    with trio.fail_after(LONGEST_SECONDS):
        async with serving(home):
            signer = await connected(remote(home))
            await signed(signer, pre_vote(3))
            with pytest.raises(DoubleSignRefused) as refused:
                await signed(signer, pre_vote(3, B))
            assert refused.value.rule is SigningRule.ANOTHER_VALUE
            signer.close()
            again = await connected(remote(home))
            assert again.guard.height == 3
            for message, rule in ((pre_vote(3, B), SigningRule.ANOTHER_VALUE), (pre_vote(2), SigningRule.HEIGHT_BELOW)):
                with pytest.raises(DoubleSignRefused) as refused:
                    await signed(again, message)
                assert refused.value.rule is rule
            again.close()


async def test_a_line_of_another_kind_is_not_signed_whatever_the_node_calls_it(home: NodeHome) -> None:
    """The signer makes the line itself: one that the node did not mean, or meant otherwise, is of no use to it."""
    with trio.fail_after(LONGEST_SECONDS):
        async with serving(home):
            signer = await connected(remote(home))
            kind, value = signed_value(pre_vote(1))
            with pytest.raises(SignerAway, match="no signature of this key"):
                await trio.to_thread.run_sync(signer.sign, kind, 1, 0, value, "STEP-TRANSFER-v1|to:0x00")
            await connected(signer)
            with pytest.raises(SignerAway, match="no message has this value"):
                await trio.to_thread.run_sync(signer.sign, kind, 2, 0, b"short", "x")
            signer.close()


async def test_floor_and_doubt_are_the_signers(home: NodeHome) -> None:
    with trio.fail_after(LONGEST_SECONDS):
        async with serving(home, clock=SetClock(START_MS)):
            signer = await connected(remote(home))
            await trio.to_thread.run_sync(signer.guard.raise_floor, 7)
            assert signer.guard.floor == 7
            with pytest.raises(DoubleSignRefused) as refused:
                await signed(signer, pre_vote(7))
            assert refused.value.rule is SigningRule.FLOOR
            await trio.to_thread.run_sync(signer.guard.doubt, "the chain shows more")
            with pytest.raises(DoubleSignRefused) as refused:
                await signed(signer, pre_vote(8))
            assert refused.value.rule is SigningRule.DOUBT
            signer.close()
        async with serving(home, clock=SetClock(START_MS)):
            signer = await connected(remote(home))
            assert signer.guard.is_doubtful
            await trio.to_thread.run_sync(signer.guard.settle, 9)
            assert (signer.guard.floor, signer.guard.is_doubtful) == (9, False)
            await signed(signer, pre_vote(10))
            signer.close()


async def test_a_height_that_the_chain_cannot_have_come_to_does_not_silence_the_key(home: NodeHome) -> None:
    with trio.fail_after(LONGEST_SECONDS):
        async with serving(home, clock=SetClock(START_MS)):
            signer = await connected(remote(home))
            with pytest.raises(SignerAway, match="BEYOND"):
                await signed(signer, pre_vote(2**62))
            await connected(signer)
            with pytest.raises(SignerAway, match="BEYOND"):
                await trio.to_thread.run_sync(signer.guard.raise_floor, 2**62)
            await connected(signer)
            await signed(signer, pre_vote(1))
            signer.close()


async def test_a_second_node_is_refused_loudly_until_the_first_is_gone(home: NodeHome) -> None:
    with trio.fail_after(LONGEST_SECONDS):
        async with serving(home):
            first = await connected(remote(home))
            await signed(first, pre_vote(1))
            second = remote(home, node="node b")
            with structlog.testing.capture_logs() as logged:
                await connected(second)
            assert [line["node"] for line in logged if line["log_level"] == "error"] == ["node b"]
            assert second.absence is not None
            assert "node a" in second.absence
            with pytest.raises(SignerAway):
                await signed(second, pre_vote(2))
            await signed(first, pre_vote(2))
            first.close()
            while is_away(second):
                await connected(second)
            # It goes on from all that the first has had signed.
            assert second.guard.height == 2
            with pytest.raises(DoubleSignRefused):
                await signed(second, pre_vote(2, B))
            second.close()


async def test_a_signature_is_given_only_to_who_has_looked_at_the_history_of_this_session(home: NodeHome) -> None:
    with trio.fail_after(LONGEST_SECONDS):
        async with serving(home):
            signer = await connected(remote(home))
            await signed(signer, pre_vote(1))
        assert not await is_signed(signer, pre_vote(2))
        async with serving(home):
            await trio.to_thread.run_sync(signer.keep_in_touch)
            assert not is_away(signer)
            assert signer.is_new_session
            assert not await is_signed(signer, pre_vote(2))
            signer.enter_session()
            assert await is_signed(signer, pre_vote(2))
            signer.close()


def is_away(signer: RemoteSigner) -> bool:
    return signer.absence is not None


async def is_signed(signer: RemoteSigner, message: SignedMessage) -> bool:
    try:
        await signed(signer, message)
    except SignerAway:
        return False
    return True


async def test_the_node_connects_again_by_itself_when_its_signer_comes_back(home: NodeHome) -> None:
    with trio.fail_after(LONGEST_SECONDS):
        async with trio.open_nursery() as nursery:
            signer = remote(home)
            nursery.start_soon(signer.run)
            for _ in range(2):
                while not is_away(signer):
                    await trio.sleep(0.01)
                assert not signer.guard.is_current
                async with serving(home):
                    while is_away(signer):
                        await trio.sleep(0.01)
                    assert signer.guard.is_current
            nursery.cancel_scope.cancel()
        signer.close()


async def test_a_late_answer_is_dropped_and_the_guard_has_counted_it(home: NodeHome) -> None:
    """Between node and signer sits something that keeps every answer back, once."""
    with trio.fail_after(LONGEST_SECONDS):
        async with serving(home), trio.open_nursery() as nursery:
            holds, may_go = trio.Event(), trio.Event()
            between = await nursery.start(answers_held, home, holds, may_go)
            signer = await connected(remote(home, UnixAddress(between), timeout_ms=400))
            holds.set()
            with pytest.raises(SignerAway, match="does not answer in time"):
                await signed(signer, pre_vote(5))
            assert signer.absence is not None
            may_go.set()
            again = remote(home)
            while again.absence is not None:
                await connected(again)
            assert again.guard.height == 5
            with pytest.raises(DoubleSignRefused):
                await signed(again, pre_vote(5, B))
            again.close()
            nursery.cancel_scope.cancel()


async def answers_held(
    home: NodeHome, holds: trio.Event, may_go: trio.Event, task_status: trio.TaskStatus[Path]
) -> None:
    path = home.root / "between.sock"
    with trio.socket.socket(socket.AF_UNIX) as plain, trio.socket.socket(socket.AF_UNIX) as signer:
        await plain.bind(str(path))
        plain.listen(1)
        task_status.started(path)
        node, _ = await plain.accept()
        await signer.connect(str(socket_of(home).path))

        async def forwards() -> None:
            while data := await node.recv(65_536):
                await signer.send(data)

        with node:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(forwards)
                while data := await signer.recv(65_536):
                    if holds.is_set():
                        await may_go.wait()
                        nursery.cancel_scope.cancel()
                        break
                    await node.send(data)


async def test_what_is_no_request_ends_the_connection_and_nothing_else(home: NodeHome) -> None:
    opening = encode_frame(Open(CHAIN_ID, KEY, "node a"))
    sign = encode_frame(Sign(1, "PRE_VOTE", 1, 0, A))
    garbage = [
        b"\xff\xff\xff\xff",
        LENGTH.pack(5) + b"hello",
        sign,
        opening + opening,
        opening + LENGTH.pack(3) + b"\xc1\xc1\xc1",
        opening[:-3],
        opening + sign[:-1],
    ]
    with trio.fail_after(LONGEST_SECONDS):
        async with serving(home):
            for data in garbage:
                stream = await trio.open_unix_socket(str(socket_of(home).path))
                await stream.send_all(data)
                if data.endswith((opening[:-3], sign[:-1])):
                    await stream.send_eof()
                while await stream.receive_some(65_536):
                    pass
                await stream.aclose()
            signer = remote(home)
            while signer.absence is not None:
                await connected(signer)
            assert signer.guard.height == 0
            await signed(signer, pre_vote(1))
            signer.close()


async def test_a_node_of_another_chain_or_of_a_key_that_is_not_here_gets_nothing(home: NodeHome) -> None:
    with trio.fail_after(LONGEST_SECONDS):
        async with serving(home):
            other_chain = await connected(remote(home, chain_id="step-other"))
            other_key = await connected(remote(home, validator=NEXT_KEY))
    assert "OTHER_CHAIN" in str(other_chain.absence)
    assert "NO_KEY" in str(other_key.absence)


async def test_a_key_that_is_put_there_meanwhile_is_served_if_its_history_is_there(home: NodeHome) -> None:
    with trio.fail_after(LONGEST_SECONDS):
        async with serving(home):
            put_key(home, "next-validator.json", NEXT_NAME, has_history=False)
            without = await connected(remote(home, validator=NEXT_KEY))
            assert "no signing history" in str(without.absence)
            home.validator_keystore.with_name("next-validator.json").unlink()
            put_key(home, "another-name.json", NEXT_NAME)
            signer = await connected(remote(home, validator=NEXT_KEY))
            message = PreVote(4, 0, A, NEXT_KEY)
            assert recover_signer(message.signing_line(CHAIN_ID), await signed(signer, message)) == NEXT_KEY
            # Each key has a lease of its own.
            first = await connected(remote(home))
            await signed(first, pre_vote(2))
            first.close()
            signer.close()


async def test_the_socket_is_the_owners_alone_and_a_dead_ones_is_taken_over(home: NodeHome) -> None:
    path = socket_of(home).path
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with trio.fail_after(LONGEST_SECONDS):
        async with serving(home):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            with pytest.RaisesGroup(HomeInUse):
                async with serving(home):
                    pass
            (home.root.parent / "second").mkdir()
            second = make_home(home.root.parent / "second" / "signer")
            with pytest.RaisesGroup(pytest.RaisesExc(StepNodeError, match="another process listens there")):
                async with serving(second, str(socket_of(home))):
                    pass
        assert not path.exists()
        path.write_text("mine")
        with pytest.RaisesGroup(pytest.RaisesExc(StepNodeError, match="is no socket")):
            async with serving(home):
                pass
        assert path.read_text() == "mine"


async def test_the_operators_words_are_the_signers(home: NodeHome) -> None:
    home.signing_history(KEY).unlink()
    with trio.fail_after(LONGEST_SECONDS):
        with pytest.RaisesGroup(pytest.RaisesExc(StepNodeError, match="step-node signer --home .*--lost-signing")):
            async with serving(home):
                pass
        async with serving(home, word=HistoryWord(is_lost=True)):
            signer = await connected(remote(home))
            assert signer.guard.is_doubtful
            signer.close()
        async with serving(home, word=HistoryWord(sign_from_height=12)):
            signer = await connected(remote(home))
            assert (signer.guard.floor, signer.guard.is_doubtful) == (11, False)
            signer.close()


async def test_a_node_of_which_nothing_is_heard_loses_the_key(home: NodeHome, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "LEASE_SECONDS", 0.05)
    with trio.fail_after(LONGEST_SECONDS):
        async with serving(home):
            stream = await trio.open_unix_socket(str(socket_of(home).path))
            await stream.send_all(encode_frame(Open(CHAIN_ID, KEY, "node a")))
            while await stream.receive_some(65_536):
                pass
            await stream.aclose()
            signer = remote(home)
            while signer.absence is not None:
                await connected(signer)
            signer.close()


def make_certificate(folder: Path, name: str) -> tuple[Path, Path]:
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-days", "30", "-subj", f"/CN={name}", "-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    key.chmod(0o600)
    return certificate, key


async def test_over_tls_each_side_takes_the_others_pinned_certificate_and_no_other(
    home: NodeHome, tmp_path: Path
) -> None:
    names = ("signer", "node", "stranger")
    files = {name: make_certificate(tmp_path, name) for name in names}
    of_signer = PinnedTls(*files["signer"], files["node"][0])
    of_node = PinnedTls(*files["node"], files["signer"][0])
    stranger = PinnedTls(*files["stranger"], files["signer"][0])
    misled = PinnedTls(*files["node"], files["stranger"][0])
    with trio.fail_after(LONGEST_SECONDS):
        async with serving(home, "tls://127.0.0.1:0", tls=of_signer) as started:
            at = parse_signer_address(started.address)
            assert isinstance(at, TlsAddress)
            for tls in (stranger, misled):
                refused = await connected(remote(home, at, tls=tls))
                assert refused.absence is not None
            plain = await trio.open_tcp_stream("127.0.0.1", at.port)
            await plain.send_all(encode_frame(Ping(1)))
            await plain.aclose()
            signer = await connected(remote(home, at, tls=of_node))
            assert signer.absence is None
            message = pre_vote(1)
            assert recover_signer(message.signing_line(CHAIN_ID), await signed(signer, message)) == KEY
            signer.close()


async def test_a_key_file_that_others_may_read_is_refused(home: NodeHome, tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path, "signer")
    key.chmod(0o644)
    with pytest.RaisesGroup(pytest.RaisesExc(StepNodeError, match="chmod 600")):
        async with serving(home, "tls://127.0.0.1:0", tls=PinnedTls(certificate, key, certificate)):
            pass


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("/run/signer.sock", "must be unix:"),
        ("unix:signer.sock", "must be absolute"),
        (f"unix:/{'a' * 107}", "at most 107 bytes"),
        ("tls://host", "must be unix:"),
        ("tls://host:99999", "must be unix:"),
        ("tcp://host:1", "must be unix:"),
    ],
)
def test_an_address_that_is_none_is_told_the_rule(text: str, rule: str) -> None:
    with pytest.raises(StepNodeError, match=rule):
        parse_signer_address(text)


def test_an_address_reads_as_it_is_written() -> None:
    for text in ("unix:/run/step/signer.sock", "tls://signer.example:8650", "tls://[2001:db8::1]:8650"):
        assert str(parse_signer_address(text)) == text


async def test_a_node_waits_for_its_signature_on_a_thread_of_its_own(home: NodeHome) -> None:
    """A signer that says nothing holds up no other task."""
    path = home.root / "silent.sock"
    with socket.socket(socket.AF_UNIX) as silent, trio.fail_after(LONGEST_SECONDS):
        silent.bind(str(path))
        silent.listen(1)
        signer = remote(home, UnixAddress(path), timeout_ms=300)
        turns = 0
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.to_thread.run_sync, signer.keep_in_touch)
            while "in time" not in str(signer.absence):
                turns += 1
                await trio.sleep(0.01)
        assert turns > 1


def test_answers_that_are_none_are_errors() -> None:
    with pytest.raises(ValueError, match="must be a map"):
        decode_answer(b"\xc0")
