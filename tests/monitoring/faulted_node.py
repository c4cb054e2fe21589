"""A node whose part is at fault when a test says so: `python -m tests.monitoring.faulted_node start --home DIR …`.

It is the shipped node, assembled and served as ever, with one task more, which reads the words in the file `faults` of
the home, a line each:

- `leak`: memory is kept, `LEAK_BYTES_A_SECOND`, until the word is gone; then it is let go.
- `hold`: so many files are opened, `FILES_HELD`, and closed when the word is gone.
- `grow`: a file of the home, which is there from the start, grows, `GROWTH_BYTES_A_SECOND`, until the word is gone;
  then it is removed. It is sparse: the disk keeps its room.
- `block`: the event loop is held up, `BLOCK_SECONDS` at a time.
- `sign N`: the key signs a pre-vote of its own for height N, past the node, with the node's own guard. So the node's
  vote at that height is a second one.
- `misjudge`: the guardrails are shown the next batch with a reward that is one micro-STEP too high.
- `uneven`: the last report of fairness says that one in a hundred was paid nearly all, until the word is gone.
- `publish FILE`: the bytes in FILE are given to the gossip of consensus, as a peer would give them.
"""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Final

import trio
import typer

from consensus.messages import PreVote
from step_node.chain.judging import JudgedBatch
from step_node.cli.start_command import run_home
from step_node.economy.fairness.drift import Headline, drift_of
from step_node.network.protocols import consensus_topic
from step_node.node import disk_forecast
from step_node.node.node import Node
from step_node.node.opening import StartOptions
from step_node.node.parts import NodeParts
from step_node.signing.signed_value import signed_value

MODULE: Final = "tests.monitoring.faulted_node"
FAULTS: Final = "faults"
DONE: Final = "faults_done"
"""A file of the home with what has been done of `sign` and `publish`, a line each."""

LOOK_SECONDS: Final = 0.1
BLOCK_SECONDS: Final = 0.9
BLOCK_PAUSE_SECONDS: Final = 1.1
"""In which Prometheus, which waits for a second, gets its answer now and then."""

LEAK_BYTES_A_SECOND: Final = 40_000_000
LEAK_BYTES_MAX: Final = 700_000_000
FILES_HELD: Final = 600

GROWN: Final = "grown"
GROWTH_BYTES_A_SECOND: Final = 1_000_000
GROWN_BYTES_AT_FIRST: Final = 200_000_000
"""So much that the home has become smaller when it is removed, whatever else has grown."""

DISK_SAMPLED_EVERY_SECONDS: Final = 2.0
"""Instead of ten minutes: the forecast of a full disk needs two samples."""

EVEN: Final = Headline(
    epoch=1,
    first_height=1,
    last_height=1_000,
    begins="2026-01-31T12:00:00.000Z",
    ends="2026-01-31T12:20:00.000Z",
    report_hash=f"0x{bytes(32).hex()}",
    proofs=5_000,
    accounts=500,
    paid="9.765000",
    income_gini_ppm=300_000,
    income_top_share_ppm=20_000,
    balances_gini_ppm=300_000,
    newcomers_share_ppm=100_000,
    stake_nakamoto=2,
    votes_nakamoto=2,
    absences=0,
)
UNEVEN: Final = EVEN.model_copy(update={"epoch": 2, "income_gini_ppm": 950_000, "income_top_share_ppm": 900_000})


class FaultedNode(Node):
    """See the module's docstring."""

    def __init__(self, parts: NodeParts, home: Path) -> None:
        super().__init__(parts)
        self._given = parts
        self._file, self._done_file = home / FAULTS, home / DONE
        self._grown = home / GROWN
        with self._grown.open("wb") as grown:
            grown.truncate(GROWN_BYTES_AT_FIRST)
        self._kept: list[bytes] = []
        self._held: list[int] = []
        self._done: set[str] = set()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """The node, and its faults beside it."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._have_faults)
            await super().run(task_status=task_status)

    async def _have_faults(self) -> None:
        while True:
            await trio.sleep(LOOK_SECONDS)
            words = set(self._file.read_text().splitlines()) if self._file.exists() else set()
            if "leak" in words:
                if sum(map(len, self._kept)) < LEAK_BYTES_MAX:
                    self._kept.append(b"\x01" * int(LEAK_BYTES_A_SECOND * LOOK_SECONDS))
            else:
                self._kept.clear()
            if "hold" in words and not self._held:
                self._held = [os.open(os.devnull, os.O_RDONLY) for _ in range(FILES_HELD)]
            elif "hold" not in words:
                while self._held:
                    os.close(self._held.pop())
            self._grow("grow" in words)
            self._pay_unevenly("uneven" in words)
            if "block" in words:
                time.sleep(BLOCK_SECONDS)
                await trio.sleep(BLOCK_PAUSE_SECONDS)
            for word in words - self._done:
                await self._do_once(word)
                with self._done_file.open("a") as done:
                    done.write(f"{word}\n")
            self._done = self._done & words | words

    def _grow(self, is_wanted: bool) -> None:
        if is_wanted:
            with self._grown.open("ab") as grown:
                grown.truncate(grown.tell() + int(GROWTH_BYTES_A_SECOND * LOOK_SECONDS))
        elif self._grown.exists() and self._grown.stat().st_size > GROWN_BYTES_AT_FIRST:
            self._grown.unlink()

    def _pay_unevenly(self, is_wanted: bool) -> None:
        """As if an epoch had ended so; a network would need many people for it, and their epochs."""
        shown = vars(self.economy.fairness)
        if is_wanted and shown["latest"] is not UNEVEN:
            shown.update(latest=UNEVEN, drift=drift_of(UNEVEN, {1: EVEN}))
        elif not is_wanted and shown["latest"] is UNEVEN:
            shown.update(latest=None, drift=None)

    async def _do_once(self, word: str) -> None:
        kind, _, value = word.partition(" ")
        if kind == "sign":
            signer = self._given.signer
            assert signer is not None
            vote = PreVote(int(value), 0, bytes(32), signer.address)
            line = vote.signing_line(self._given.genesis.chain_id)
            await trio.to_thread.run_sync(signer.sign, *_what_is_signed(vote), line)
        elif kind == "misjudge":
            self._show_a_wrong_reward()
        elif kind == "publish":
            topic = consensus_topic(self._given.genesis.chain_id)
            await self._given.network.publish(topic, Path(value).read_bytes())

    def _show_a_wrong_reward(self) -> None:
        """What a ledger with a fault would have done, which this node's has not: the network goes on as it was."""
        watch = self.economy.guardrails
        shown = watch.after_batch

        async def after_batch(judged: JudgedBatch) -> None:
            transition = judged.transition
            if transition.receipts:
                first, *others = transition.receipts
                wrong = first._replace(reward_ustep=first.reward_ustep + 1)
                judged = replace(judged, transition=replace(transition, receipts=(wrong, *others)))
                vars(watch)["after_batch"] = shown
            await shown(judged)

        vars(watch)["after_batch"] = after_batch


def _what_is_signed(vote: PreVote) -> tuple[str, int, int, bytes]:
    kind, value = signed_value(vote)
    return kind, vote.height, vote.round, value


def main(
    command: Annotated[str, typer.Argument()],
    home: Annotated[Path, typer.Option()],
    password_file: Annotated[Path | None, typer.Option()] = None,
    stop_with_stdin: Annotated[bool, typer.Option("--stop-with-stdin")] = False,
) -> None:
    """Run it until a signal."""
    assert command == "start"
    vars(disk_forecast)["SAMPLED_EVERY_SECONDS"] = DISK_SAMPLED_EVERY_SECONDS
    run_home(
        home,
        password_file,
        options=StartOptions(),
        stop_with_stdin=stop_with_stdin,
        make_node=lambda _keys, parts: FaultedNode(parts, home),
    )


if __name__ == "__main__":
    typer.run(main)
