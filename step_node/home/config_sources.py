"""Where settings come from, and how they are put over one another: command, environment, file, default.

The settings themselves are a model (`home.config.NodeConfig`); what is here works for any. Each value is read by the
rule of its own field, and told with its source if it breaks it, so that all mistakes are told at once. TOML has types,
and they are strict; a variable or `--set` is text, so there "8601" is a number, and a list is given as JSON.
"""

from __future__ import annotations

import difflib
import json
import re
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar, get_args, get_origin

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from step_node.errors import StepNodeError, broken_rules
from step_node.home.secrets import SECRET, ReadSecret, SecretCommand, SecretError, SecretFile
from step_node.strict_toml import TomlError, parse_toml

ENVIRONMENT_PREFIX: Final = "STEP_"
"""`STEP_API__PORT=8601` overrides `port` under `[api]`."""

CONFIG_BYTES_MAX: Final = 65_536

PROBLEMS_SHOWN_MAX: Final = 5
"""Of one error's message; `step-node config check` tells all."""

_NESTED: Final = "__"
_FILE_ENDING: Final = "_FILE"
_COMMAND_ENDING: Final = "_COMMAND"

OTHER_VARIABLES: Final = frozenset(
    {"STEP_NODE_KEYSTORE_PASSWORD", "STEP_CHAOS_LIBFAKETIME", "STEP_IMAGE", "STEP_TEST_MONGODB_URI"}
)
"""Variables with our prefix that are no settings of a node: of keystores, chaos, compose.yaml and the tests."""

_OF_KUBERNETES = re.compile(r"STEP_(.+_)?(SERVICE_HOST|SERVICE_PORT(_.+)?|PORT(_[0-9]+_(TCP|UDP|SCTP)(_.+)?)?)")
"""What Kubernetes puts into the environment of every container beside a service whose name begins with "step"."""

_M = TypeVar("_M", bound=BaseModel)


class Reloadable:
    """Marks a setting that a running node takes anew, when it is told to read its settings again."""

    def __repr__(self) -> str:
        return "RELOADABLE"


RELOADABLE: Final = Reloadable()


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong with a setting: where it is said, its name, and the rule it breaks."""

    source: str
    name: str
    rule: str

    def __str__(self) -> str:
        return f"{self.source}: {self.what}"

    @property
    def what(self) -> str:
        """Without the source."""
        return f"{self.name}: {self.rule}" if self.name else self.rule


class ConfigError(StepNodeError):
    """The settings cannot be used; the message names the file or the variable, the key and the rule."""

    def __init__(self, message: str, *, is_json: bool = False) -> None:
        super().__init__(message)
        self.is_json = is_json
        """Whether whoever reads the log wants every line of it in JSON."""

    @classmethod
    def of(cls, problems: Sequence[Problem], *, is_json: bool = False) -> ConfigError:
        """What is wrong, in one line: by source, the first few of all."""
        by_source: dict[str, list[str]] = {}
        for problem in problems[:PROBLEMS_SHOWN_MAX]:
            by_source.setdefault(problem.source, []).append(problem.what)
        told = "; ".join(f"{source}: {'; '.join(rules)}" for source, rules in by_source.items())
        more = len(problems) - PROBLEMS_SHOWN_MAX
        return cls(f"{told}; and {more} more (`step-node config check`)" if more > 0 else told, is_json=is_json)


class SourceKind(StrEnum):
    """What says a setting, the weakest first."""

    DEFAULT = "default"
    FILE = "file"
    ENVIRONMENT = "environment"
    COMMAND = "command"


@dataclass(frozen=True, slots=True)
class Source:
    """Where a value comes from: the path of `config.toml`, a variable, `--set`; and where that has a secret from."""

    kind: SourceKind
    name: str = ""
    place: SecretFile | SecretCommand | None = None
    """Of a secret, if the source only says where it is."""

    def __str__(self) -> str:
        said = self.name or str(self.kind)
        return said if self.place is None else f"{said}, {self.place}"


@dataclass(frozen=True, slots=True)
class Setting:
    """A field of the model, however deep: its name is `section.key`."""

    path: tuple[str, ...]
    info: FieldInfo

    @property
    def name(self) -> str:
        """As files and errors call it."""
        return ".".join(self.path)

    @property
    def variable(self) -> str:
        """The variable that sets it."""
        return (ENVIRONMENT_PREFIX + _NESTED.join(self.path)).upper()

    @property
    def is_secret(self) -> bool:
        """Whether its value is never shown."""
        return SECRET in self.info.metadata

    @property
    def is_reloadable(self) -> bool:
        """Whether a running node can take a new value."""
        return RELOADABLE in self.info.metadata

    @property
    def is_list(self) -> bool:
        """Whether it is JSON where only text can be given."""
        kinds = (self.info.annotation, *get_args(self.info.annotation))
        return any(get_origin(kind) in (tuple, list, dict, frozenset) for kind in kinds)

    def read(self, value: object, *, is_strict: bool) -> Any:
        """`value`, made of what JSON has, as the field has it. Raises ValidationError."""
        kind: Any = self.info.annotation
        adapter: TypeAdapter[Any] = TypeAdapter(Annotated[kind, *self.info.metadata] if self.info.metadata else kind)
        # As JSON, since strict validation takes an array for a tuple there, and TOML's dates are no values of ours.
        return adapter.validate_json(json.dumps(value), strict=is_strict)

    def of(self, model: BaseModel) -> Any:
        """Its value in `model`."""
        value: Any = model
        for name in self.path:
            value = getattr(value, name)
        return value


def settings_of(model: type[BaseModel], path: tuple[str, ...] = ()) -> Iterator[Setting]:
    """All settings of a model, in its order."""
    for name, info in model.model_fields.items():
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            yield from settings_of(info.annotation, (*path, name))
        else:
            yield Setting((*path, name), info)


@dataclass(slots=True)
class Layers:
    """What the sources say, put over one another: values by name, where each is from, and what is wrong with others."""

    path: Path
    values: dict[str, Any] = field(default_factory=dict, repr=False)
    sources: dict[str, Source] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    @property
    def wants_json(self) -> bool:
        """Whether the log is to be JSON, as far as the sources can be read."""
        return bool(self.values.get("log.format") == "json")

    def model(self, kind: type[_M], problems: list[Problem]) -> _M | None:
        """The model of all values; None if a rule of a whole section is broken, which is added to `problems`."""
        nested: dict[str, Any] = {}
        for setting in settings_of(kind):
            if setting.name in self.values:
                section = nested
                for name in setting.path[:-1]:
                    section = section.setdefault(name, {})
                section[setting.path[-1]] = self.values[setting.name]
        try:
            return kind.model_validate(nested)
        except ValidationError as error:
            problems += [Problem(str(self.path), name, rule) for name, rule in broken_rules(error)]
            return None


def read_layers(
    model: type[BaseModel], path: Path, sets: Iterable[str], environment: Mapping[str, str], read: ReadSecret
) -> Layers:
    """Read all sources. Raises `ConfigError` if the file is none of TOML at all."""
    layers = Layers(path)
    settings = {setting.name: setting for setting in settings_of(model)}
    for name in settings:
        layers.sources[name] = Source(SourceKind.DEFAULT)
    _read_commands(layers, settings, sets)
    _read_environment(layers, settings, environment, read)
    try:
        content = _read_toml(path)
    except ConfigError as error:
        error.is_json = layers.wants_json
        raise
    _read_section(layers, settings, content, (), read)
    return layers


# --- the file -------------------------------------------------------------------------------------------------------


def _read_section(
    layers: Layers, settings: Mapping[str, Setting], content: Mapping[str, Any], path: tuple[str, ...], read: ReadSecret
) -> None:
    source = str(layers.path)
    sections = {setting.path[: len(path) + 1] for setting in settings.values() if len(setting.path) > len(path) + 1}
    for key, value in content.items():
        inner = (*path, key)
        name = ".".join(inner)
        if name in settings:
            _read_value(layers, settings[name], value, read)
        elif inner not in sections:
            layers.problems.append(Problem(source, name, "unknown key"))
        elif isinstance(value, dict):
            _read_section(layers, settings, value, inner, read)
        else:
            layers.problems.append(Problem(source, name, f"must be a table: [{name}], with a line for each key"))


def _read_value(layers: Layers, setting: Setting, value: object, read: ReadSecret) -> None:
    source = Source(SourceKind.FILE, str(layers.path))
    try:
        if setting.is_secret and isinstance(value, dict):
            _take_secret(layers, setting, _place_of(value), source, read)
            return
        _take(layers, setting, value, source, is_strict=True)
    except TypeError:
        layers.problems.append(Problem(source.name, setting.name, "holds a date or a time, and no setting is one"))
    except ValueError as error:
        layers.problems.append(Problem(source.name, setting.name, str(error)))


def _place_of(value: Mapping[str, object]) -> SecretFile | SecretCommand:
    """Of `{ file = "…" }` or `{ command = ["…"] }`. Raises ValueError with the rule."""
    match value:
        case {"file": str(file), **others} if file and not others:
            return SecretFile(Path(file))
        case {"command": [*words], **others} if words and not others and all(isinstance(one, str) for one in words):
            return SecretCommand(tuple(map(str, words)))
    raise ValueError('must be a text, { file = "…" } or { command = ["…", "…"] }')


def _read_toml(path: Path) -> dict[str, Any]:
    if path.is_dir():
        raise ConfigError(f"{path}: is a directory; the settings are a file, which `step-node init` writes")
    if not path.is_file():
        raise ConfigError(f"{path}: is not there; `step-node init` writes one")
    try:
        if path.stat().st_size > CONFIG_BYTES_MAX:
            raise ConfigError(f"{path}: must be at most {CONFIG_BYTES_MAX} bytes")
        text = path.read_text(encoding="utf-8")
        return parse_toml(text)
    except TomlError as error:
        raise ConfigError(f"{path}: {error}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not TOML: {error}") from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error


# --- the environment ------------------------------------------------------------------------------------------------


def variables_of(setting: Setting) -> tuple[str, ...]:
    """The variables that set it: one, and two more that say where a secret is."""
    name = setting.variable
    return (name, f"{name}{_FILE_ENDING}", f"{name}{_COMMAND_ENDING}") if setting.is_secret else (name,)


def _read_environment(
    layers: Layers, settings: Mapping[str, Setting], environment: Mapping[str, str], read: ReadSecret
) -> None:
    known = {variable: setting for setting in settings.values() for variable in variables_of(setting)}
    sections = tuple({f"{ENVIRONMENT_PREFIX}{setting.path[0]}{_NESTED}".upper() for setting in settings.values()})
    for name, value in sorted(environment.items()):
        upper = name.upper()
        if upper in known:
            _read_variable(layers, known[upper], name, value, read)
        elif not upper.startswith(ENVIRONMENT_PREFIX) or upper in OTHER_VARIABLES or _is_of_kubernetes(upper, value):
            continue
        elif upper.startswith(sections):
            key = upper.removeprefix(ENVIRONMENT_PREFIX).lower().replace(_NESTED, ".")
            layers.problems.append(Problem(f"{name} (environment)", key, "unknown key"))
        else:
            nearest = difflib.get_close_matches(upper, sorted({*known, *OTHER_VARIABLES}), n=1, cutoff=0.0)[0]
            rule = (
                f"no setting has this name; the nearest is {nearest}. Rename it, or unset it: variables that begin with"
                f" {ENVIRONMENT_PREFIX} are settings, {ENVIRONMENT_PREFIX}<SECTION>{_NESTED}<KEY>"
            )
            layers.problems.append(Problem(f"{name} (environment)", "", rule))


def _read_variable(layers: Layers, setting: Setting, variable: str, value: str, read: ReadSecret) -> None:
    source = Source(SourceKind.ENVIRONMENT, f"{variable} (environment)")
    upper = variable.upper()
    try:
        said = layers.sources[setting.name]
        if setting.is_secret and said.kind is SourceKind.ENVIRONMENT:
            raise ValueError(f"is said twice, also by {said.name}; unset one")
        if upper == setting.variable:
            _take(layers, setting, _decoded(setting, value), source, is_strict=False)
        elif upper.endswith(_FILE_ENDING):
            _take_secret(layers, setting, _place_of({"file": value}), source, read)
        else:
            words = _json_of(value, 'must be a list of words as JSON, such as ["pass", "show", "step"]')
            _take_secret(layers, setting, _place_of({"command": words}), source, read)
    except ValueError as error:
        layers.problems.append(Problem(source.name, setting.name, str(error)))


def _decoded(setting: Setting, text: str) -> object:
    return _json_of(text, 'must be a list as JSON, such as ["…", "…"]') if setting.is_list else text


def _json_of(text: str, rule: str) -> object:
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError(rule) from None
    return value


def _is_of_kubernetes(name: str, value: str) -> bool:
    if _OF_KUBERNETES.fullmatch(name) is None:
        return False
    # STEP_API_PORT may be a slip of an operator's; of Kubernetes it is a URL.
    return "SERVICE" in name or not name.endswith("_PORT") or "://" in value


# --- the command ----------------------------------------------------------------------------------------------------


def _read_commands(layers: Layers, settings: Mapping[str, Setting], sets: Iterable[str]) -> None:
    for given in sets:
        name, equals, value = given.partition("=")
        setting = settings.get(name)
        source = Source(SourceKind.COMMAND, f"--set {name}")
        if not equals:
            rule = "must be section.key=value, such as api.port=8601"
            layers.problems.append(Problem("--set", "", rule))
        elif setting is None:
            nearest = difflib.get_close_matches(name, sorted(settings), n=1, cutoff=0.0)[0]
            layers.problems.append(Problem(source.name, name, f"unknown key; the nearest is {nearest}"))
        elif setting.is_secret:
            rule = f"is a secret, which others would see in the list of processes; use {setting.variable}{_FILE_ENDING}"
            layers.problems.append(Problem(source.name, name, rule))
        else:
            try:
                _take(layers, setting, _decoded(setting, value), source, is_strict=False)
            except ValueError as error:
                layers.problems.append(Problem(source.name, name, str(error)))


# --- all of them ----------------------------------------------------------------------------------------------------


def _take(layers: Layers, setting: Setting, value: object, source: Source, *, is_strict: bool) -> None:
    """Read a value by its rule, and keep it unless a stronger source has spoken. Raises TypeError for a date."""
    try:
        taken = setting.read(value, is_strict=is_strict)
    except ValidationError as error:
        for name, rule in broken_rules(error, path=setting.path, hides_values=setting.is_secret):
            layers.problems.append(Problem(source.name, name, rule))
        return
    if not _is_outdone(layers, setting, source):
        layers.values[setting.name], layers.sources[setting.name] = taken, source


def _take_secret(
    layers: Layers, setting: Setting, place: SecretFile | SecretCommand, source: Source, read: ReadSecret
) -> None:
    if _is_outdone(layers, setting, source):
        return
    try:
        if isinstance(place, SecretCommand) and source.kind is SourceKind.FILE:
            _require_safe(layers.path)
        text = read(place, layers.path.parent)
    except SecretError as error:
        layers.problems.append(Problem(source.name, setting.name, str(error)))
        return
    _take(layers, setting, text, Source(source.kind, source.name, place), is_strict=True)


def _require_safe(path: Path) -> None:
    """A file whose commands the node runs is one that nobody else can write. Raises SecretError."""
    mode = path.stat().st_mode
    if mode & 0o022:
        found = f"{stat.S_IMODE(mode):04o}"
        raise SecretError(f"names a command, so the file must be writable by its owner alone (chmod go-w), not {found}")


def _is_outdone(layers: Layers, setting: Setting, source: Source) -> bool:
    order = list(SourceKind)
    return order.index(layers.sources[setting.name].kind) > order.index(source.kind)
