"""All that three honest validators and a Byzantine one can do together, whatever the network does with the messages.

A node of the search is what each honest validator has said so far, with the set of all states that it can be in by now.
How it moves between those states while it says nothing is its own affair: the others cannot tell. So a node stands for
every combination of those states, and an edge is one validator saying something. Nodes are taken in the order of how
much has been said, so that all ways to a node are known when its turn comes, and their sets are put together.

Putting them together allows too much, never too little: a set may hold one state of an order of events, and another
validator's set one that needs the other order. So a violation found this way is looked for again, `exact`, among the
histories in which nothing else is said; then sets are not put together, and there is a history to show.
Why this misses no joint state of the machines: docs/exhaustive-check.md.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import combinations
from math import inf

from tests.consensus.exhaustive.local import (
    DECISION,
    LIARS,
    NIL,
    PRE_COMMIT,
    PRE_VOTE,
    QUORUM,
    VALIDATORS,
    Event,
    Local,
    Machine,
    Said,
    Step,
    Unsafe,
)

SaidByEach = tuple[frozenset[Said], ...]
States = frozenset[Local]
Chain = tuple[tuple[int, Step], ...]
"""Steps of one validator, each with how much had been said by all when it was taken."""


@dataclass(slots=True, eq=False)
class Crowd:
    """All states that one validator can be in, and what it can say next, with the states after that."""

    states: States
    next: dict[tuple[Said, ...], States]
    decisions: frozenset[Said]
    """What it can decide. Nobody can tell whether it has: a pre-commit is what the others hear."""


@dataclass(slots=True, eq=False)
class Node:
    """See the module. `parent` is kept in an exact search: the node before, who spoke, and what was said."""

    said: SaidByEach
    states: list[States]
    parent: "tuple[Node, int, tuple[Said, ...]] | None" = None


@dataclass(slots=True)
class Figures:
    """What a search has done."""

    rounds: int
    byzantine: int
    joint_states: int = 0
    """Combinations of the honest validators' states, over all nodes."""
    nodes: int = 0
    edges: int = 0
    depth: int = 0
    """How much has been said, by all, in the nodes seen last."""
    local_states: int = 0
    local_steps: int = 0
    applied: int = 0
    """Calls of the shipped `apply`."""
    decided: int = 0
    """Nodes in which somebody can decide."""
    wall_seconds: float = 0.0
    exhausted: bool = False
    """Whether everything within the bounds was seen."""
    violation: str | None = None
    confirmed: bool = False
    """Whether the exact search has found it too. Otherwise the check cannot tell."""
    trace: tuple[str, ...] = ()


class Search:
    """The search for one place of the Byzantine validator."""

    def __init__(self, rounds: int, byzantine: int, *, watch_locks: bool = True, loses_logs: bool = False) -> None:
        honest = [index for index in range(VALIDATORS) if index != byzantine]
        self.machines = [
            Machine(index, byzantine, rounds, watch_locks=watch_locks, loses_logs=loses_logs) for index in honest
        ]
        self.watch_locks = watch_locks
        self.figures = Figures(rounds, byzantine)
        self._crowds: dict[tuple[int, States, frozenset[Said]], Crowd] = {}

    def run(
        self,
        *,
        seconds: float = inf,
        depth: float = inf,
        told: Callable[[Figures], None] = lambda _figures: None,
    ) -> Figures:
        """Search until there is nothing left, something unsafe is found, so many `seconds` are over, or all nodes are
        seen in which at most `depth` messages have been sent. `told` is called once for each depth."""
        figures, began = self.figures, time.monotonic()

        def note(node: Node, crowds: list[Crowd], new_depth: bool) -> bool:
            here = sum(map(len, node.said))
            if here > depth or time.monotonic() - began > seconds:
                return False
            figures.depth = here
            figures.nodes += 1
            combinations = 1
            for crowd in crowds:
                combinations *= len(crowd.states)
                figures.edges += len(crowd.next)
            figures.joint_states += combinations
            figures.decided += any(crowd.decisions for crowd in crowds)
            if new_depth:
                self._count(began)
                told(figures)
            return True

        outcome = self._search(note, exact_within=None)
        figures.exhausted = outcome is True
        if isinstance(outcome, tuple):
            unsafe, node, trying = outcome
            figures.violation = str(unsafe)
            limit = list(node.said)
            if unsafe.own >= 0 and trying is not None:
                limit[trying[0]] |= frozenset(trying[1])
            again = self._search(lambda _node, _crowds, _new: True, exact_within=tuple(limit))
            if isinstance(again, tuple):
                figures.confirmed = True
                figures.violation = str(again[0])
                figures.trace = self._trace(again[0], again[1])
        self._count(began)
        return figures

    def _count(self, began: float) -> None:
        figures = self.figures
        figures.wall_seconds = time.monotonic() - began
        figures.local_states = sum(len(machine.states) for machine in self.machines)
        figures.local_steps = sum(machine.steps for machine in self.machines)
        figures.applied = sum(machine.applied for machine in self.machines)

    def _search(
        self, note: Callable[[Node, list[Crowd], bool], bool], exact_within: SaidByEach | None
    ) -> bool | tuple[Unsafe, Node, tuple[int, tuple[Said, ...]] | None]:
        """True if all was seen, False if `note` wanted no more; or what is unsafe, where, and in saying what."""
        nobody: SaidByEach = tuple(frozenset() for _ in self.machines)
        start = Node(nobody, [frozenset({machine.start}) for machine in self.machines])
        levels: dict[int, dict[object, Node]] = {0: {nobody: start}}
        while levels:
            depth = min(levels)
            new_depth = True
            for node in levels.pop(depth).values():
                trying: tuple[int, tuple[Said, ...]] | None = None
                try:
                    crowds = [
                        self._crowd(place, states, _heard(node.said, place)) for place, states in enumerate(node.states)
                    ]
                    if not note(node, crowds, new_depth):
                        return False
                    new_depth = False
                    self._check(node.said, crowds)
                    for trying in _speeches(node.said, crowds, exact_within):
                        self._add(levels, node, crowds, *trying, exact=exact_within is not None)
                except Unsafe as unsafe:
                    return unsafe, node, trying
        return True

    def _add(
        self,
        levels: dict[int, dict[object, Node]],
        node: Node,
        crowds: list[Crowd],
        place: int,
        speech: tuple[Said, ...],
        *,
        exact: bool,
    ) -> None:
        said = list(node.said)
        said[place] = said[place] | frozenset(speech)
        states = [crowd.states for crowd in crowds]
        states[place] = crowds[place].next[speech]
        level = levels.setdefault(sum(map(len, said)), {})
        key: object = (tuple(said), tuple(states)) if exact else tuple(said)
        known = level.get(key)
        if known is None:
            level[key] = Node(tuple(said), states, (node, place, speech) if exact else None)
        elif not exact:
            known.states = [
                one if one >= other else one | other for one, other in zip(known.states, states, strict=True)
            ]

    def _crowd(self, place: int, states: States, heard: frozenset[Said]) -> Crowd:
        """The crowd of `states` and of all that they can become without saying anything."""
        memo = (place, states, heard)
        known = self._crowds.get(memo)
        if known is not None:
            return known
        machine = self.machines[place]
        closed = set(states)
        waiting = list(states)
        following: dict[tuple[Said, ...], set[Local]] = {}
        while waiting:
            for step in machine.successors(waiting.pop(), heard):
                if step.said:
                    following.setdefault(step.said, set()).add(step.target)
                elif step.target not in closed:
                    closed.add(step.target)
                    waiting.append(step.target)
        decisions = frozenset(one for said in following for one in said if one.kind == DECISION)
        speeches = sorted(said for said in following if _audible(said))
        crowd = Crowd(frozenset(closed), {said: frozenset(following[said]) for said in speeches}, decisions)
        self._crowds[memo] = crowd
        return crowd

    def _check(self, said_by_each: SaidByEach, crowds: list[Crowd]) -> None:
        """What must hold of every joint state. It is a matter of what has been said, and of what can be decided."""
        said = [one for said in said_by_each for one in said]
        for one, other in combinations(said, 2):
            if (one.kind, one.round, one.sender) == (other.kind, other.round, other.sender):
                raise Unsafe(f"validator {one.sender} contradicts itself: {one}; {other}")
        decisions = {one for crowd in crowds for one in crowd.decisions}
        if len({one.value for one in decisions}) > 1:
            raise Unsafe("two batches can be decided: " + "; ".join(map(_decided, sorted(decisions))))
        commits = [(one.round, one.value) for one in said if one.kind == PRE_COMMIT and one.value != NIL]
        for one in decisions:
            if commits.count((one.round, one.value)) < QUORUM - LIARS:
                raise Unsafe(f"without a quorum of pre-commits: {_decided(one)}")
        if not self.watch_locks:
            return
        votes = [(one.round, one.value) for one in said if one.kind == PRE_VOTE and one.value != NIL]
        for number, value in set(commits):
            if commits.count((number, value)) < QUORUM - LIARS:
                continue
            for later, rival in set(votes):
                if later > number and rival != value and votes.count((later, rival)) >= QUORUM - LIARS:
                    raise Unsafe(
                        f"{value} may be final by round {number}, and {rival} can have a quorum in round {later}"
                    )

    def _trace(self, unsafe: Unsafe, node: Node) -> tuple[str, ...]:
        """One history that leads to `node`, and on to `unsafe`.

        For each validator a way from state to state is found that says what it said when it said it; then these ways
        are put together by time.
        """
        speeches: list[tuple[int, tuple[Said, ...]]] = []
        here = node
        while here.parent is not None:
            here, place, speech = here.parent
            speeches.insert(0, (place, speech))
        lines: list[tuple[int, str]] = []
        endings: dict[str, list[str]] = {}
        for place, machine in enumerate(self.machines):
            chains: dict[Local, Chain] = {machine.start: ()}
            heard: frozenset[Said] = frozenset()
            for tick, (speaker, speech) in enumerate(speeches):
                chains = _spread(machine, chains, heard, tick)
                if speaker == place:
                    chains = _speak(machine, chains, heard, speech, tick)
                heard = heard if speaker == place else heard | _audible(speech)
            chains = _spread(machine, chains, heard, len(speeches))
            best = min(chains.values(), key=len)
            last: list[str] = []
            if unsafe.own == machine.own and unsafe.here in chains:
                best = chains[unsafe.here]
                last = [_told(machine, event) for event in unsafe.events]
            for tick, step in best:
                lines += [(tick, _told(machine, event)) for event in step.events]
                lines += [(tick, f"validator {machine.own}   says {one}") for one in step.said]
            lines += [(len(speeches), line) for line in last]
            if unsafe.own < 0:
                for one, told in _deciding(machine, chains, heard):
                    endings.setdefault(one.value, told)
        lines.sort(key=lambda line: line[0])
        return (*(line for _, line in lines), *(line for told in endings.values() for line in told))


def _decided(one: Said) -> str:
    return f"validator {one.sender} decides {one.value} of round {one.round}"


def _heard(said: SaidByEach, place: int) -> frozenset[Said]:
    return _audible(one for other, all_of_it in enumerate(said) if other != place for one in all_of_it)


def _audible(said: Iterable[Said]) -> frozenset[Said]:
    return frozenset(one for one in said if one.kind != DECISION)


def _speeches(
    said: SaidByEach, crowds: list[Crowd], within: SaidByEach | None
) -> Iterator[tuple[int, tuple[Said, ...]]]:
    """What may be said next, by whom. A and B are but names, so the batch that is named first is called A."""
    named = any(one.value in ("A", "B") for said_by_one in said for one in said_by_one)
    for place, crowd in enumerate(crowds):
        for speech in crowd.next:
            if not named and next((one.value for one in speech if one.value in ("A", "B")), "A") == "B":
                continue
            if within is None or within[place].issuperset(speech):
                yield place, speech


def _deciding(machine: Machine, chains: dict[Local, Chain], heard: frozenset[Said]) -> Iterator[tuple[Said, list[str]]]:
    """What it can decide, and what happens then."""
    for local in sorted(chains, key=lambda one: len(chains[one])):
        for step in machine.successors(local, heard):
            for one in step.said:
                if one.kind == DECISION:
                    yield one, [*(_told(machine, event) for event in step.events), _decided(one)]


def _told(machine: Machine, event: Event) -> str:
    if isinstance(event, Said):
        return f"validator {machine.own} receives {event}, of {event.sender}"
    return f"validator {machine.own}: {event}"


def _spread(machine: Machine, chains: dict[Local, Chain], heard: frozenset[Said], tick: int) -> dict[Local, Chain]:
    reached = dict(chains)
    waiting = list(chains)
    for local in waiting:
        try:
            steps = machine.successors(local, heard)
        except Unsafe:
            continue
        for step in steps:
            if not step.said and step.target not in reached:
                reached[step.target] = (*reached[local], (tick, step))
                waiting.append(step.target)
    return reached


def _speak(
    machine: Machine, chains: dict[Local, Chain], heard: frozenset[Said], speech: tuple[Said, ...], tick: int
) -> dict[Local, Chain]:
    after: dict[Local, Chain] = {}
    for local, chain in chains.items():
        for step in machine.successors(local, heard):
            if step.said == speech and (step.target not in after or len(chain) < len(after[step.target]) - 1):
                after[step.target] = (*chain, (tick, step))
    return after
