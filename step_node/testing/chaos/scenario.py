"""A scenario as data: what network, what load, what is done to it and when, and what must hold.

Scenarios are TOML files. Unknown keys, impossible values and timelines that leave the network broken at the end are
errors that name the file, the key and the rule.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from step_node.errors import StepNodeError, describe_validation_error
from step_node.parameters import Parameters
from step_node.testing.chaos.proxy import Cut
from step_node.testing.devnet.misbehaviour import Misbehaviour

SCENARIOS: Final = Path(__file__).parent / "scenarios"
"""Those that come with the program, as data of this package: a wheel and an image have them too."""
SCENARIO_BYTES_MAX = 100_000
ACTIONS_MAX = 100
VALIDATORS_MAX = 13

QUICK: Final = {
    "batch_interval_ms": 300,
    "timeout_propose_ms": 1_500,
    "timeout_pre_vote_ms": 800,
    "timeout_pre_commit_ms": 500,
    "timeout_delta_ms": 200,
}
"""Shorter waits than the protocol's, so that a scenario has more heights and rounds in its time."""

Release: TypeAlias = Literal["present", "older"]
"""Of the program: `older` is `step_node.testing.older_release`, which lacks the newest rules."""

NodeIndex = Annotated[int, Field(ge=0, lt=VALIDATORS_MAX)]
Nodes = Annotated[tuple[NodeIndex, ...], Field(min_length=1, max_length=VALIDATORS_MAX)]
Seconds = Annotated[float, Field(ge=0, le=600)]
Milliseconds = Annotated[float, Field(ge=0, le=60_000)]


class ScenarioError(StepNodeError):
    """A scenario cannot be used; the message names the file, the key and the rule."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Timed(_Section):
    """When: just one of these. Actions are carried out one after another; one whose moment has passed comes at once."""

    at_seconds: Seconds | None = None
    """After the load began."""
    after_seconds: Seconds | None = None
    """After the action before was done (or the load began)."""
    after_finalised: Annotated[int, Field(ge=1)] | None = None
    """When so many proofs are final, as their walkers were told."""
    after_height: Annotated[int, Field(ge=1)] | None = None
    """When some node stands at this height."""

    @model_validator(mode="after")
    def _one_moment(self) -> _Timed:
        moments = (self.at_seconds, self.after_seconds, self.after_finalised, self.after_height)
        if sum(moment is not None for moment in moments) != 1:
            raise ValueError("must have one of at_seconds, after_seconds, after_finalised and after_height")
        return self


class Kill(_Timed):
    """SIGKILL, all of `nodes` at once."""

    do: Literal["kill"]
    nodes: Nodes


class Restart(_Timed):
    """Start `nodes` again on their homes, and wait until they serve. One that runs is killed first."""

    do: Literal["restart"]
    nodes: Nodes


class Pause(_Timed):
    """SIGSTOP, and SIGCONT after `seconds`."""

    do: Literal["pause"]
    nodes: Nodes
    seconds: Seconds


class CutLinks(_Timed):
    """Cut every link between the groups; nodes in no group are cut from nobody. `how`: see `proxy.Cut`.

    The action is done when the nodes show that they are apart (with `reset`, where they can know it).
    """

    do: Literal["cut"]
    groups: Annotated[tuple[Nodes, ...], Field(min_length=2)]
    how: Cut = Cut.SILENCE


class Heal(_Timed):
    """Mend every link."""

    do: Literal["heal"]


class Disconnect(_Timed):
    """End every connection of `nodes`; they may dial again at once."""

    do: Literal["disconnect"]
    nodes: Nodes


class SetWeather(_Timed):
    """Latency, jitter and stalls of every link, from now on; see `proxy.Weather`. All 0 is none."""

    do: Literal["weather"]
    latency_ms: Milliseconds = 0
    jitter_ms: Milliseconds = 0
    stall_every_seconds: Seconds = 0
    stall_ms: Milliseconds = 0

    @model_validator(mode="after")
    def _jitter_within_latency(self) -> SetWeather:
        if self.jitter_ms > self.latency_ms:
            raise ValueError("jitter_ms: must be at most latency_ms")
        return self


class KillStore(_Timed):
    """SIGKILL to mongod, and its restart after `seconds`."""

    do: Literal["kill_store"]
    seconds: Seconds = 0


class StepDownStore(_Timed):
    """The replica set's primary steps down, and may not be elected again for `seconds`."""

    do: Literal["step_down_store"]
    seconds: Annotated[int, Field(ge=1, le=60)]


class FillDisk(_Timed):
    """Leave no byte free on the disks of `nodes`."""

    do: Literal["fill_disk"]
    nodes: Nodes


class FreeDisk(_Timed):
    """Free what `fill_disk` took."""

    do: Literal["free_disk"]
    nodes: Nodes


class Replace(_Timed):
    """Stop `nodes` by SIGTERM, one after another, and start each by `release` on its home; wait until it serves."""

    do: Literal["replace"]
    nodes: Nodes
    release: Release


class AgreeOnUpgrade(_Timed):
    """A quorum of the validators approves version `version` of the rules, for the first height that leaves time."""

    do: Literal["agree_on_upgrade"]
    version: Annotated[int, Field(ge=1)]


class AwaitEnd(_Timed):
    """Wait until each of `nodes` has ended by itself, with this exit status. Each must be one that `may_end`."""

    do: Literal["await_end"]
    nodes: Nodes
    status: Annotated[int, Field(ge=0, le=255)]


Action: TypeAlias = Annotated[
    Kill
    | Restart
    | Replace
    | AgreeOnUpgrade
    | AwaitEnd
    | Pause
    | CutLinks
    | Heal
    | Disconnect
    | SetWeather
    | KillStore
    | StepDownStore
    | FillDisk
    | FreeDisk,
    Field(discriminator="do"),
]


class NetworkSection(_Section):
    """The devnet. `timeouts` quick is `QUICK`, protocol is the defaults; `parameters` override either."""

    validators: Annotated[int, Field(ge=1, le=VALIDATORS_MAX)] = 4
    store: Literal["sqlite", "mongodb"] = "sqlite"
    timeouts: Literal["quick", "protocol"] = "quick"
    parameters: dict[str, int] = {}

    def chain_parameters(self) -> Parameters:
        """What goes into genesis. Raises ValidationError for what the protocol does not allow."""
        return Parameters(**((QUICK if self.timeouts == "quick" else {}) | self.parameters))

    @model_validator(mode="after")
    def _possible_parameters(self) -> NetworkSection:
        self.chain_parameters()
        return self


class NodeSection(_Section):
    """What is different about one node."""

    index: NodeIndex
    byzantine: Misbehaviour | None = None
    release: Release = "present"
    """That it begins with."""
    clock_offset_seconds: Annotated[float, Field(ge=-3_600, le=3_600)] = 0
    """By Debian's libfaketime, under the whole process: what time it is is off, how long something takes is not."""
    disk_mib: Annotated[int, Field(ge=8, le=1_024)] | None = None
    """Its data stands on a file system of this size (tmpfs)."""
    may_end: bool = False
    """Whether it may end by itself with an error: what is right where going on would not be safe."""


class LoadSection(_Section):
    """Signed proofs, spread over all nodes in turn, from the beginning until `tail_seconds` after the last action."""

    rate: Annotated[float, Field(gt=0, le=1_000)] = 8
    tail_seconds: Seconds = 5


class ExpectSection(_Section):
    """What must hold besides agreement, which is always asked for: see `checks.py`."""

    longest_stall_seconds_max: Seconds
    """The longest time without a finalised batch while proofs waited."""
    longest_stall_seconds_min: Seconds = 0
    """Where no quorum is left for a while: less would mean that what was done did not reach the nodes."""
    finalised_min: Annotated[int, Field(ge=1)] = 50
    seconds_max: Seconds = 180
    """For the whole scenario from the first proof to the last; a limit against hanging, not a measurement."""
    misbehaviour_seen: bool = False
    """Every honest node has counted what the Byzantine validators did."""
    protocol_version: Annotated[int, Field(ge=1)] | None = None
    """In force in the end: it came so at one height on every node, and each proof was paid by its height's rules."""
    slashed: bool = False
    """The Byzantine validators are out of the set, on every node."""


class Scenario(_Section):
    """One scenario. Its name is its file's."""

    name: Annotated[str, Field(pattern="^[a-z0-9-]{1,40}$")]
    summary: Annotated[str, Field(min_length=1, max_length=200)]
    network: NetworkSection = NetworkSection()
    nodes: tuple[NodeSection, ...] = ()
    load: LoadSection = LoadSection()
    actions: Annotated[tuple[Action, ...], Field(max_length=ACTIONS_MAX)] = ()
    expect: ExpectSection

    def node(self, index: int) -> NodeSection:
        """What is different about node `index`."""
        return next((node for node in self.nodes if node.index == index), NodeSection(index=index))

    @property
    def byzantine(self) -> dict[int, Misbehaviour]:
        """The validators that misbehave."""
        return {node.index: node.byzantine for node in self.nodes if node.byzantine is not None}

    @model_validator(mode="after")
    def _nodes_exist(self) -> Scenario:
        indices = [node.index for node in self.nodes]
        if len(set(indices)) != len(indices):
            raise ValueError("nodes: an index stands twice")
        for index in (*indices, *(index for action in self.actions for index in _nodes_of(action))):
            if index >= self.network.validators:
                raise ValueError(f"there is no node {index}: the network has {self.network.validators} validators")
        if (self.expect.misbehaviour_seen or self.expect.slashed) and not self.byzantine:
            raise ValueError("expect: nobody is Byzantine whose misbehaviour could be seen or slashed")
        return self

    @model_validator(mode="after")
    def _whole_at_the_end(self) -> Scenario:
        """Agreement of all nodes is asked for in the end, so everything that breaks must be mended by then."""
        down: set[int] = set()
        full: set[int] = set()
        is_cut = False
        for number, action in enumerate(self.actions):
            match action:
                case Kill():
                    down.update(action.nodes)
                case Restart() | Replace():
                    down.difference_update(action.nodes)
                case AwaitEnd():
                    down.update(action.nodes)
                    if not all(self.node(index).may_end for index in action.nodes):
                        raise ValueError(f"actions.{number}: await_end: a node must be one that may_end")
                case FillDisk():
                    full.update(action.nodes)
                    down.update(index for index in action.nodes if self.node(index).may_end)
                case FreeDisk():
                    full.difference_update(action.nodes)
                case CutLinks():
                    is_cut = True
                case Heal():
                    is_cut = False
                case KillStore() | StepDownStore() if self.network.store != "mongodb":
                    raise ValueError(f'actions.{number}: {action.do} needs network.store = "mongodb"')
                case Pause(nodes=nodes) if down.intersection(nodes):
                    raise ValueError(f"actions.{number}: pause: a node that is down cannot be paused")
            if isinstance(action, FillDisk | FreeDisk):
                for index in action.nodes:
                    if self.node(index).disk_mib is None:
                        raise ValueError(f"actions.{number}: {action.do}: node {index} has no disk_mib of its own")
        for broken, what in ((down, "nodes are down"), (full, "disks are full"), (is_cut, "links are cut")):
            if broken:
                raise ValueError(f"actions: must leave the network whole, and at the end {what}")
        return self


def _nodes_of(action: Action) -> Sequence[int]:
    if isinstance(action, CutLinks):
        return [index for group in action.groups for index in group]
    if isinstance(action, Kill | Restart | Replace | AwaitEnd | Pause | Disconnect | FillDisk | FreeDisk):
        return action.nodes
    return ()


def load_scenario(path: Path) -> Scenario:
    """Read one file. Raises ScenarioError naming the file, the key and the rule."""
    content = _read(path)
    if "name" in content:
        raise ScenarioError(f"{path}: name: is the file's name, and stands nowhere else")
    try:
        return Scenario.model_validate_json(json.dumps(content | {"name": path.stem}))
    except ValidationError as error:
        raise ScenarioError(f"{path}: {describe_validation_error(error)}") from error
    except TypeError as error:
        raise ScenarioError(f"{path}: holds a date or a time, and nothing in a scenario is one") from error


def load_scenarios(folder: Path, names: Sequence[str] = ()) -> list[Scenario]:
    """Those of a folder, in order of their names, or the named ones. Raises ScenarioError."""
    paths = {path.stem: path for path in sorted(folder.glob("*.toml"))}
    if not paths:
        raise ScenarioError(f"{folder}: holds no scenarios (*.toml)")
    unknown = next((name for name in names if name not in paths), None)
    if unknown is not None:
        raise ScenarioError(f"there is no scenario {unknown!r} in {folder}; there are: {', '.join(paths)}")
    return [load_scenario(paths[name]) for name in (names or paths)]


def _read(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > SCENARIO_BYTES_MAX:
            raise ScenarioError(f"{path}: must be at most {SCENARIO_BYTES_MAX} bytes")
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ScenarioError(f"{path}: is not TOML: {error}") from error
    except OSError as error:
        raise ScenarioError(f"{path}: cannot be read: {error.strerror}") from error
