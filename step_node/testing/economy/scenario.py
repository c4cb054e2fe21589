"""A scenario as data: which parameters, cities, people and validators, for how many days, and what is varied.

Scenarios are TOML files. Unknown keys and impossible values are errors that name the file, the key and the rule.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Discriminator, Field, ValidationError, field_validator, model_validator

from step_node.chain.new_chains import CHOSEN, RULES_VERSION, new_chain_parameters
from step_node.errors import PATTERN_RULES, StepNodeError, describe_validation_error
from step_node.ledger.rules import known_versions
from step_node.parameters import USTEP_PER_STEP, Parameters
from step_node.strict_toml import TomlError, parse_toml
from step_node.testing.economy.movement import RIDE_MPS

SCENARIOS: Final = Path(__file__).parent / "scenarios"
"""Those that come with the program, as data of this package."""

SCENARIO_BYTES_MAX = 100_000
VARIANTS_MAX = 32
"""Of one scenario; a file with more is refused."""
ATTEMPTS_MAX = 2_000_000
"""Proofs that one run may be expected to try: more would take gigabytes, and is refused."""
ACCOUNTS_MAX = 200_000
"""Of one run; a scenario with more is refused."""
FAULTS_MAX = 100
GENESIS_VALIDATORS_MAX = 50

DAY_MS: Final = 86_400_000
AS_WRITTEN: Final = "as-written"
"""The name of the one variant of a scenario without variants."""

NAME_PATTERN: Final = "^[a-z0-9-]{1,40}$"
NAME_CHARACTERS_MAX: Final = 40
TITLE_CHARACTERS_MAX: Final = 60
"""Of a variant: more would not fit beside the others in a figure, and is refused."""
Name = Annotated[str, Field(pattern=NAME_PATTERN)]
Title = Annotated[str, Field(max_length=TITLE_CHARACTERS_MAX)]
Share = Annotated[float, Field(ge=0, le=1)]


class ScenarioError(StepNodeError):
    """A scenario cannot be used; the message names the file, the key and the rule."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class City(_Section):
    """A region. People live around its centre, ever fewer the farther out, and none beyond `radius_km`."""

    name: Name
    lat: Annotated[float, Field(ge=-80, le=80)]
    lon: Annotated[float, Field(ge=-180, le=180)]
    radius_km: Annotated[float, Field(ge=0.01, le=100)]


class _Group(_Section):
    name: Name
    city: Name
    accounts: Annotated[int, Field(ge=1, le=100_000)]
    proofs_per_day: Annotated[float, Field(gt=0, le=200)]
    """On average, of each account while it is there."""
    first_day: Annotated[int, Field(ge=0, le=3_650)] = 0
    join_within_days: Annotated[int, Field(ge=0, le=3_650)] = 0
    """They come one after another within so many days from `first_day` on: newcomers. 0: all at once."""
    stay_days: Annotated[float, Field(gt=0, le=36_500)] | None = None
    """How long one stays on average; whoever stays is as likely to leave as on the first day. None: nobody leaves."""
    gives_up_below_ustep: Annotated[int, Field(ge=0, le=USTEP_PER_STEP)] = 0
    """Who was paid less than that for each proof tried in a week leaves. No proof is paid more than 1 STEP."""
    payments_per_week: Annotated[float, Field(ge=0, le=70)] = 0.0
    """How often one pays somebody of the scenario, on average."""
    payment_share: Share = 0.1
    """Which share of the balance such a payment is."""
    stakes: bool = False
    """Whether one registers a validator once the balance is enough for it."""


class Walkers(_Group):
    """People who go out on foot, most often from home, and prove on their way."""

    kind: Literal["walkers"]
    proofs_per_walk: Annotated[int, Field(ge=1, le=50)] = 5


class Commuters(_Group):
    """People between home and work: on five days of seven they ride there and back."""

    kind: Literal["commuters"]
    ride_mps: Annotated[float, Field(gt=0, le=100)] = RIDE_MPS


class Tourists(_Group):
    """People who stay for some days and walk from sight to sight, of which all see the same."""

    kind: Literal["tourists"]
    sights: Annotated[int, Field(ge=1, le=1_000)] = 30


class Crowd(_Group):
    """People who meet in one small place: a stadium. `proofs_per_day` is of a day on which something is on."""

    kind: Literal["crowd"]
    every_days: Annotated[int, Field(ge=1, le=365)] = 7
    hours: Annotated[float, Field(gt=0, le=12)] = 2.5
    radius_m: Annotated[float, Field(ge=1, le=5_000)] = 120.0
    attendance: Share = 0.6


class Farmers(_Group):
    """Accounts that somebody has invented, who proves from a desk in places that nobody has touched."""

    kind: Literal["farmers"]
    spread: Literal["city", "world"] = "world"
    collect_every_days: Annotated[int, Field(ge=0, le=365)] = 7
    """How often all of them send what they have to the first of them; 0 is never."""


Group: TypeAlias = Annotated[Walkers | Commuters | Tourists | Crowd | Farmers, Discriminator("kind")]


class Validators(_Section):
    """Those that the chain begins with."""

    count: Annotated[int, Field(ge=1, le=GENESIS_VALIDATORS_MAX)] = 4
    stake_step: Annotated[int, Field(ge=1, le=10**9)] = 100_000
    """Of each, in whole STEP."""
    colluding: Annotated[int, Field(ge=0, le=GENESIS_VALIDATORS_MAX)] = 0
    """So many of them leave the pre-commits of others out of their batches, as far as a quorum can do without."""

    @model_validator(mode="after")
    def _some_honest(self) -> Validators:
        if self.colluding > self.count:
            raise ValueError(f"colluding ({self.colluding}) must not be above count ({self.count})")
        return self


class Fault(_Section):
    """What validator `validator` (of genesis, from 0) does on day `day`.

    `offline` is for `days`; the others are seen at once, and slashed for.
    """

    day: Annotated[int, Field(ge=1, le=3_650)]
    validator: Annotated[int, Field(ge=0, lt=GENESIS_VALIDATORS_MAX)]
    what: Literal["double-sign", "invalid-proposal", "offline"]
    days: Annotated[int, Field(ge=1, le=3_650)] = 1


class Scenario(_Section):
    """See the module's docstring."""

    name: Name
    title: Annotated[str, Field(min_length=1, max_length=200)]
    variant_title: Title = AS_WRITTEN
    """What figures call this variant of it."""
    days: Annotated[int, Field(ge=1, le=3_650)]
    batches_per_day: Annotated[int, Field(ge=1, le=1_440)] = 24
    protocol_version: Annotated[int, Field(ge=1)] = RULES_VERSION
    parameters: Parameters = Field(default_factory=new_chain_parameters)
    """Of the chain; what is left out is a new chain's."""
    timestamps_every_ms: Annotated[int, Field(ge=1, le=60_000)] = 1
    """How coarsely phones tell the time."""
    validators: Validators = Validators()
    cities: Annotated[tuple[City, ...], Field(min_length=1, max_length=50)]
    groups: Annotated[tuple[Group, ...], Field(min_length=1, max_length=50)]
    faults: Annotated[tuple[Fault, ...], Field(max_length=FAULTS_MAX)] = ()

    @field_validator("parameters", mode="before")
    @classmethod
    def _of_a_new_chain(cls, value: Any) -> Any:
        return {**CHOSEN, **value} if isinstance(value, dict) else value

    @model_validator(mode="after")
    def _consistent(self) -> Scenario:
        cities = _unique("cities", [city.name for city in self.cities])
        _unique("groups", [group.name for group in self.groups])
        if self.protocol_version not in known_versions():
            raise ValueError(f"protocol_version: must be one of {', '.join(map(str, known_versions()))}")
        for number, group in enumerate(self.groups):
            if group.city not in cities:
                raise ValueError(f"groups.{number}.city: {group.city!r} is none of cities: {', '.join(sorted(cities))}")
        for number, fault in enumerate(self.faults):
            if fault.validator >= self.validators.count:
                raise ValueError(f"faults.{number}.validator: must be below validators.count, {self.validators.count}")
        if self.validators.stake_step < self.parameters.min_stake:
            raise ValueError(
                f"validators.stake_step: {self.validators.stake_step} is below parameters.min_stake,"
                f" {self.parameters.min_stake}"
            )
        accounts = sum(group.accounts for group in self.groups)
        if accounts > ACCOUNTS_MAX:
            raise ValueError(f"groups: {accounts} accounts in all; at most {ACCOUNTS_MAX} may be")
        expected = sum(group.accounts * group.proofs_per_day * self.days for group in self.groups)
        if expected > ATTEMPTS_MAX:
            raise ValueError(
                f"groups: some {math.ceil(expected)} proofs would be tried in {self.days} days; at most {ATTEMPTS_MAX}"
                " may be: take fewer accounts, proofs or days"
            )
        return self

    @property
    def batch_ms(self) -> int:
        """How far apart two batches are."""
        return DAY_MS // self.batches_per_day

    @property
    def chain_parameters(self) -> Parameters:
        """`parameters`, with proofs that may be as old as batches are apart.

        A real chain has batches as fast as proofs come. A simulated one has few a day, and their proofs keep the times
        at which they were made, since what the ledger says of movement depends on them.
        """
        age_ms = max(self.parameters.proof_max_age_ms, self.batch_ms)
        return self.parameters.model_copy(update={"proof_max_age_ms": age_ms})


class Variant(_Section):
    """The scenario once more, with some values changed: `change` has them by their path, as "parameters.min_stake"."""

    name: Name
    title: Title = ""
    """What figures call it; its name, if nothing."""
    change: dict[str, bool | int | float | str] = {}


class _Variants(_Section):
    variants: Annotated[tuple[Variant, ...], Field(max_length=VARIANTS_MAX)] = ()

    @model_validator(mode="after")
    def _consistent(self) -> _Variants:
        _unique("variants", [variant.name for variant in self.variants])
        return self


def load_scenario(name_or_path: str) -> dict[str, Scenario]:
    """A shipped scenario by its name, or the one in a file (whose name ends in .toml), by the names of its variants.

    Raises ScenarioError naming the file, the key and the rule.
    """
    path = Path(name_or_path)
    if path.suffix != ".toml":
        path = SCENARIOS / f"{name_or_path}.toml"
        if not path.is_file():
            raise ScenarioError(
                f"there is no scenario {name_or_path!r}; there are: {', '.join(shipped_names())}; a file's name ends in"
                " .toml"
            )
    elif not re.fullmatch(NAME_PATTERN, path.stem):
        fitting = re.sub("[^a-z0-9]+", "-", path.stem.lower()).strip("-")[:NAME_CHARACTERS_MAX] or "mine"
        raise ScenarioError(
            f"{path}: the file's name before .toml is the scenario's, and {PATTERN_RULES[NAME_PATTERN]}: call it"
            f" {fitting}.toml"
        )
    return scenarios_in(_read(path), name=path.stem, source=str(path))


def shipped_names() -> list[str]:
    """Of the scenarios that come with the program."""
    return sorted(path.stem for path in SCENARIOS.glob("*.toml"))


def scenarios_in(document: Mapping[str, Any], *, name: str, source: str) -> dict[str, Scenario]:
    """The scenarios of a document, by variant; `source` is what errors call it. Raises ScenarioError."""
    content = dict(document)
    if "name" in content:
        raise ScenarioError(f"{source}: name: is the file's name, and stands nowhere else")
    if "variant_title" in content:
        raise ScenarioError(f"{source}: variant_title: is a variant's title, and stands in variants")
    written = content.pop("variants", [])
    try:
        listed = _Variants.model_validate_json(json.dumps({"variants": written})).variants
        plain = content | {"name": name}
        scenarios = {AS_WRITTEN: Scenario.model_validate_json(json.dumps(plain))}
    except ValidationError as error:
        raise ScenarioError(f"{source}: {describe_validation_error(error)}") from error
    except TypeError as error:
        raise ScenarioError(f"{source}: holds a date or a time, and nothing in a scenario is one") from error
    if not listed:
        return scenarios
    return {variant.name: _varied(plain, variant, source) for variant in listed}


def _varied(plain: Mapping[str, Any], variant: Variant, source: str) -> Scenario:
    changed = deepcopy(dict(plain)) | {"variant_title": variant.title or variant.name}
    for path, value in variant.change.items():
        _set(changed, path, value, where=f"{source}: variants.{variant.name}.change")
    try:
        return Scenario.model_validate_json(json.dumps(changed))
    except ValidationError as error:
        raise ScenarioError(f"{source}: variants.{variant.name}: {describe_validation_error(error)}") from error


def _set(content: dict[str, Any], path: str, value: object, *, where: str) -> None:
    """Change one value; entries of `groups` and `cities` are named by their names: "groups.farmers.accounts"."""
    *parents, last = path.split(".")
    place: Any = content
    for part in parents:
        if isinstance(place, list):
            place = next((one for one in place if isinstance(one, dict) and one.get("name") == part), None)
        elif isinstance(place, dict):
            place = place.setdefault(part, {})
        if not isinstance(place, dict | list):
            raise ScenarioError(f"{where}: {path}: there is no {part!r} to change")
    if not isinstance(place, dict):
        raise ScenarioError(f"{where}: {path}: must name one value")
    place[last] = value


def _unique(what: str, names: list[str]) -> frozenset[str]:
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"{what}: the name {twice!r} stands there twice")
    return frozenset(names)


def _read(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > SCENARIO_BYTES_MAX:
            raise ScenarioError(f"{path}: must be at most {SCENARIO_BYTES_MAX} bytes")
        return parse_toml(path.read_text(encoding="utf-8"))
    except (TomlError, UnicodeDecodeError) as error:
        raise ScenarioError(f"{path}: {error}") from error
    except OSError as error:
        raise ScenarioError(f"{path}: cannot be read: {error.strerror}") from error
