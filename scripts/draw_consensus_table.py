"""Print the transition table of `docs/consensus.md`, from the machine itself: seeded walks of one of four validators.

Each row is a change of step that was seen, with the input that made it. `--check` compares with the page instead.
"""

import argparse
import hashlib
import sys
from dataclasses import replace
from pathlib import Path
from random import Random

from consensus.effects import BuildBatch, Effect, Sign, ValidateBatch, WriteAhead
from consensus.inputs import (
    BatchBuilt,
    BatchNotBuilt,
    BatchValidated,
    Input,
    LogWritten,
    MessageReceived,
    OwnMessagesRecovered,
    Signed,
    TimerFired,
    WorkAvailable,
)
from consensus.machine import apply
from consensus.messages import PreCommit, PreVote, ProofBatch, TimeoutMessage
from consensus.state import ConsensusState, Step
from consensus.values import TimeoutKind, Timeouts, Validator, ValidatorSet

PAGE = Path(__file__).parent.parent / "docs" / "consensus.md"
BEGIN, END = "<!-- generated: scripts/draw_consensus_table.py -->", "<!-- end of generated -->"
WALKS, STEPS = 1_500, 40
VALIDATORS = ValidatorSet.of(Validator(bytes([index]) * 20, bytes(33), 1) for index in range(1, 5))
ADDRESSES = [validator.address for validator in VALIDATORS]
BATCH = b"a batch"
BATCH_HASH = hashlib.sha256(BATCH).digest()
SIGNATURE = bytes(65)


def answer(effect: Effect, random: Random) -> Input | None:
    """What a driver would answer to `effect`."""
    if isinstance(effect, WriteAhead):
        return LogWritten(effect.entry)
    if isinstance(effect, Sign):
        return Signed(replace(effect.message, signature=SIGNATURE))
    if isinstance(effect, ValidateBatch):
        return BatchValidated(effect.batch_hash, effect.round, effect.judge_clock is False or random.random() < 0.8)
    if isinstance(effect, BuildBatch):
        built = BatchBuilt(effect.round, BATCH_HASH, BATCH)
        return built if random.random() < 0.7 else BatchNotBuilt(effect.round)
    return None


def happening(state: ConsensusState, random: Random) -> Input:
    """Something that the outside might do."""
    number = max(0, state.round)
    other = random.choice(ADDRESSES[1:])
    value = random.choice([BATCH_HASH, BATCH_HASH, None])
    dice = random.randrange(11)
    if dice == 0:
        return WorkAvailable()
    if dice == 10:
        own = ADDRESSES[0]
        signed = [PreVote(state.height, number, value, own, SIGNATURE)]
        locked = [PreCommit(state.height, number, value, own, SIGNATURE)] if random.random() < 0.5 else []
        return OwnMessagesRecovered((*signed, *locked))
    if dice == 1:
        proposer = VALIDATORS.proposer(state.height, number).address
        return MessageReceived(ProofBatch(state.height, number, -1, BATCH_HASH, BATCH, proposer, SIGNATURE))
    if dice <= 4:
        return MessageReceived(PreVote(state.height, number, value, other, SIGNATURE))
    if dice <= 7:
        return MessageReceived(PreCommit(state.height, number, value, other, SIGNATURE))
    if dice == 8:
        kind = random.choice(list(TimeoutKind))
        return MessageReceived(TimeoutMessage(state.height, number, kind, other, SIGNATURE))
    return TimerFired(random.choice(list(TimeoutKind)), number)


def label(event: Input) -> str:
    """The input in the words of the table."""
    if isinstance(event, MessageReceived):
        return type(event.message).__name__
    if isinstance(event, TimerFired):
        return f"timer {event.kind}"
    return type(event).__name__


def changes() -> dict[tuple[Step, Step], set[str]]:
    """Every change of step that the walks made, with the inputs that made it."""
    random = Random(1)
    seen: dict[tuple[Step, Step], set[str]] = {}
    for _ in range(WALKS):
        state = ConsensusState.begin("walk", 3, VALIDATORS, ADDRESSES[0], Timeouts())
        answers: list[Input] = []
        for _ in range(STEPS):
            event = answers.pop(0) if answers and random.random() < 0.5 else happening(state, random)
            transition = apply(state, event)
            answers += [reply for effect in transition.effects if (reply := answer(effect, random)) is not None]
            if transition.state.step is not state.step:
                seen.setdefault((state.step, transition.state.step), set()).add(label(event))
            state = transition.state
    return seen


def table() -> str:
    """The rows, in the order of `Step`, as Markdown."""
    order = list(Step)
    rows = ["| from | to | on |", "|---|---|---|"]
    for (before, after), labels in sorted(
        changes().items(), key=lambda item: (order.index(item[0][0]), order.index(item[0][1]))
    ):
        rows.append(f"| `{before}` | `{after}` | {', '.join(sorted(labels))} |")
    return "\n".join(rows)


def main() -> int:
    """Write the table into the page, or with `--check` say whether it is there already."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    page = PAGE.read_text(encoding="utf-8")
    head, rest = page.split(BEGIN, 1)
    tail = rest.split(END, 1)[1]
    wanted = f"{head}{BEGIN}\n{table()}\n{END}{tail}"
    if arguments.check:
        return 0 if wanted == page else 1
    PAGE.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
