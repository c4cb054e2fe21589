"""The exhaustive check as far as it goes in seconds; `make explore` goes further (docs/exhaustive-check.md)."""

from random import Random

import pytest

from consensus.state import Phase
from tests.consensus.exhaustive.bugs import BUGS, Bug
from tests.consensus.exhaustive.joint import Search
from tests.consensus.exhaustive.local import (
    COMMIT,
    NIL,
    PRE_COMMIT,
    PRE_VOTE,
    PROPOSAL,
    TIMEOUT,
    Event,
    Local,
    Machine,
    Said,
    committable,
    key_of,
)

pytestmark = pytest.mark.costly


@pytest.mark.parametrize("byzantine", range(4))
def test_no_interleaving_of_one_round_is_unsafe(byzantine: int) -> None:
    figures = Search(1, byzantine).run()
    assert figures.violation is None
    assert figures.exhausted
    assert figures.decided > 0, "nothing was decided anywhere, so nothing has been checked"


def test_no_interleaving_in_which_two_rounds_begin_is_unsafe() -> None:
    figures = Search(2, 2).run(depth=7)
    assert figures.violation is None
    assert figures.decided > 0


@pytest.mark.parametrize("byzantine", [0, 3])
def test_no_interleaving_of_one_round_in_which_logs_are_lost_is_unsafe(byzantine: int) -> None:
    figures = Search(1, byzantine, loses_logs=True).run()
    assert figures.violation is None
    assert figures.exhausted
    assert figures.decided > 0


def test_no_interleaving_in_which_two_rounds_begin_and_logs_are_lost_is_unsafe() -> None:
    figures = Search(2, 2, loses_logs=True).run(depth=6)
    assert figures.violation is None
    assert figures.decided > 0


@pytest.mark.long
@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_a_planted_bug_is_found_with_a_history_that_shows_it(bug: Bug) -> None:
    with bug.planted():
        figures = Search(bug.rounds, bug.byzantine, loses_logs=bug.loses_logs).run(depth=10)
    assert figures.violation is not None
    assert figures.confirmed
    assert figures.trace


@pytest.mark.parametrize("own", range(3))
def test_a_machine_that_remembers_everything_does_nothing_that_the_search_leaves_out(own: int) -> None:
    """The search lets a machine forget what it was sent, and delivers a message only when it makes a difference. Here
    the machine forgets nothing, gets messages in any order, and the search must have every state that it comes to."""
    machine = Machine(own, 3, 2)
    compared = sum(_walk(machine, Random(seed)) for seed in range(30))
    assert compared > 250


def _walk(machine: Machine, random: Random) -> int:
    """One random life of a machine, beside the crowd of states that the search has for it. How often they were
    compared."""
    heard = _some_honest_messages(machine, random)
    state = machine.start.state
    crowd = _silently(machine, {machine.start}, heard)
    commits: frozenset[Said] = frozenset()
    compared = 0
    while state.phase is not Phase.DECIDED and compared < 40:
        lies = [lie for told in machine.lies.values() for lie in told]
        proofs = [Said(COMMIT, *vote, machine.byzantine) for vote in sorted(committable(heard, commits))]
        events: list[Event] = [*machine.choices(state), *sorted(heard), *lies, *proofs]
        event = random.choice(events)
        state, said = random.choice(machine.run(state, machine.input(state, event)))
        if state.round >= machine.rounds:
            return compared
        commits |= {one for one in said if one.kind == PRE_COMMIT and one.value != NIL}
        crowd = _saying(machine, crowd, heard, said)
        assert key_of(state) in {local.key for local in crowd}, f"{event} led to a state that the search leaves out"
        compared += 1
    return compared


def _some_honest_messages(machine: Machine, random: Random) -> frozenset[Said]:
    """All that the two others say: anything, but one thing of a kind in a round."""
    heard = set()
    for sender in {0, 1, 2} - {machine.own}:
        for number in range(machine.rounds):
            heard.add(Said(PRE_VOTE, number, random.choice("AAB"), sender))
            heard.add(Said(PRE_COMMIT, number, random.choice(["A", NIL, NIL]), sender))
            heard.add(Said(TIMEOUT, number, "", sender))
            if number == sender:
                heard.add(Said(PROPOSAL, number, random.choice("AB"), sender, random.randrange(-1, number)))
    return frozenset(one for one in heard if random.random() < 0.8)


def _silently(machine: Machine, states: set[Local], heard: frozenset[Said]) -> set[Local]:
    waiting = list(states)
    for local in waiting:
        for step in machine.successors(local, heard):
            if not step.said and step.target not in states:
                states.add(step.target)
                waiting.append(step.target)
    return states


def _saying(machine: Machine, crowd: set[Local], heard: frozenset[Said], said: tuple[Said, ...]) -> set[Local]:
    """The crowd after `said`, which it may say at once or one after the other."""
    if not said:
        return crowd
    after: set[Local] = set()
    for local in crowd:
        for step in machine.successors(local, heard):
            if step.said and said[: len(step.said)] == step.said:
                rest = _silently(machine, {step.target}, heard)
                after |= _saying(machine, rest, heard, said[len(step.said) :])
    return after
