"""The operator's settings: `config.toml` in a node home, overridden by `STEP_…` environment variables.

What the chain's nodes must agree on stands in genesis, never here. Unknown keys and impossible values are errors that
name the key. Precedence: environment, then file, then the defaults below.
"""

from __future__ import annotations

import difflib
import json
import os
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, IPvAnyAddress, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

from step_node.errors import StepNodeError, describe_validation_error
from step_node.mempool.pool import PROOFS_MAX
from step_node.multiaddrs import MultiaddrText

ENVIRONMENT_PREFIX = "STEP_"
"""`STEP_API__PORT=8601` overrides `port` under `[api]`; a list is given as JSON."""

CONFIG_BYTES_MAX = 65_536
LINE_DOTS_MAX = 32
"""Dots of one line outside of quotes. Python's TOML parser takes gigabytes for a key of some ten thousand parts."""
_STRING = re.compile(r"\"[^\"]*\"|'[^']*'")

_NESTED = "__"

OTHER_VARIABLES = frozenset(
    {"STEP_NODE_KEYSTORE_PASSWORD", "STEP_CHAOS_LIBFAKETIME", "STEP_IMAGE", "STEP_TEST_MONGODB_URI"}
)
"""Variables with our prefix that are no settings of a node: of keystores, chaos, compose.yaml and the tests."""

_OF_KUBERNETES = re.compile(r"STEP_(.+_)?(SERVICE_HOST|SERVICE_PORT(_.+)?|PORT(_[0-9]+_(TCP|UDP|SCTP)(_.+)?)?)")
"""What Kubernetes puts into the environment of every container beside a service whose name begins with "step"."""

Origin = Annotated[
    str, Field(pattern=r"^(\*|https?://[a-z0-9.-]{1,253}(:[0-9]{1,5})?|https?://\[[0-9a-f:.]+\](:[0-9]{1,5})?)$")
]
"""An origin as browsers write it, in small letters and without a path; `*` for all."""

Port = Annotated[int, Field(ge=0, le=65_535)]


class ConfigError(StepNodeError):
    """`config.toml` cannot be used; the message names the file, the key and the rule."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ApiConfig(_Section):
    """The HTTP API. Port 0 lets the system choose.

    `cost_ms_per_second` is how much time answering may take, of all clients and of one address (its `address_…`).
    `submissions_per_minute` are of one address, `account_…` of one account; 0 is no bound.
    `proxies` are the addresses of reverse proxies, whose `X-Forwarded-For` is believed. `cors_origins` are those whose
    pages may read answers in a browser. With `tls_certificate` and `tls_key` (files in PEM, relative to the home)
    the API speaks TLS alone.
    """

    host: str = "127.0.0.1"
    port: Port = 8_600
    wait_ms_max: Annotated[int, Field(ge=0, le=60_000)] = 30_000
    connections_max: Annotated[int, Field(ge=16, le=10_000)] = 4_096
    connections_per_address_max: Annotated[int, Field(ge=1, le=10_000)] = 128
    event_streams_max: Annotated[int, Field(ge=0, le=5_000)] = 1_000
    event_streams_per_address_max: Annotated[int, Field(ge=1, le=5_000)] = 32
    cost_ms_per_second: Annotated[int, Field(ge=10, le=10_000)] = 400
    address_cost_ms_per_second: Annotated[int, Field(ge=10, le=10_000)] = 200
    submissions_per_minute: Annotated[int, Field(ge=0, le=1_000_000)] = 100
    account_submissions_per_minute: Annotated[int, Field(ge=0, le=1_000_000)] = 60
    proxies: tuple[IPvAnyAddress, ...] = ()
    tls_certificate: Path | None = None
    tls_key: Annotated[Path | None, Field(repr=False)] = None
    cors_origins: Annotated[tuple[Origin, ...], Field(max_length=100)] = ("*",)


class P2pConfig(_Section):
    """libp2p. `bootstrap` multiaddrs end in `/p2p/<peer id>`; those of `external_address` may."""

    listen: Annotated[tuple[MultiaddrText, ...], Field(min_length=1)] = ("/ip4/0.0.0.0/tcp/26600",)
    bootstrap: tuple[MultiaddrText, ...] = ()
    mdns: bool = False
    discovery: bool = True
    external_address: Annotated[tuple[MultiaddrText, ...], Field(max_length=4)] = ()
    connections_max: Annotated[int, Field(ge=1, le=1_000)] = 100
    strangers_per_address_max: Annotated[int, Field(ge=1, le=1_000)] = 8


class StorageConfig(_Section):
    """The engine: the embedded SQLite, or MongoDB (a replica set) at `mongodb_uri`, database `mongodb_database`.

    `mongodb_answers_from` is where what clients ask is read, as far as the secondaries have it.
    """

    engine: Literal["sqlite", "mongodb"] = "sqlite"
    mongodb_uri: Annotated[str | None, Field(repr=False)] = None
    mongodb_database: Annotated[str, Field(pattern="^[A-Za-z0-9_-]{1,63}$")] = "step"
    mongodb_answers_from: Literal["primary", "secondaries"] = "primary"


class SyncConfig(_Section):
    """Catching up. `snapshot`: an empty home that is `snapshot_distance_batches` behind joins from a peer's snapshot.

    A snapshot for others is taken every `snapshot_every_batches`; 0 takes none.
    """

    snapshot: bool = True
    snapshot_distance_batches: Annotated[int, Field(ge=1, le=2**53)] = 1_000
    snapshot_every_batches: Annotated[int, Field(ge=0, le=2**53)] = 500


class MempoolConfig(_Section):
    """Bounds of the mempool."""

    proofs_max: Annotated[int, Field(ge=1, le=10_000_000)] = PROOFS_MAX


class LogConfig(_Section):
    """Structured logs on standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["console", "json"] = "console"
    libraries: Literal["debug", "info", "warning", "error"] = "warning"
    """What of the libraries is kept, of what `level` lets through; at debug they say something of every message."""


class NodeConfig(_Section):
    """Everything in `config.toml`."""

    api: ApiConfig = ApiConfig()
    p2p: P2pConfig = P2pConfig()
    storage: StorageConfig = StorageConfig()
    sync: SyncConfig = SyncConfig()
    mempool: MempoolConfig = MempoolConfig()
    log: LogConfig = LogConfig()


class _Layered(BaseSettings, NodeConfig):
    """The environment over what the file says. A variable is text, so here "8601" is a number, as it is not in TOML."""

    model_config = SettingsConfigDict(env_prefix=ENVIRONMENT_PREFIX, env_nested_delimiter=_NESTED)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Environment first, then what was read from the file."""
        del settings_cls, dotenv_settings, file_secret_settings
        return env_settings, init_settings

    @model_validator(mode="after")
    def _uri_for_mongodb(self) -> _Layered:
        # Asked of the whole only: the URI may hold a password, and come from the environment.
        if self.storage.engine == "mongodb" and not self.storage.mongodb_uri:
            raise ValueError("storage.mongodb_uri: is needed when storage.engine is mongodb")
        return self

    @model_validator(mode="after")
    def _certificate_with_key(self) -> _Layered:
        for missing, given in (("tls_key", "tls_certificate"), ("tls_certificate", "tls_key")):
            if getattr(self.api, given) is not None and getattr(self.api, missing) is None:
                raise ValueError(f"api.{missing}: is needed when api.{given} is set")
        return self


def load_config(path: Path) -> NodeConfig:
    """Read `config.toml`, and what the environment overrides.

    Raises `ConfigError` naming the file, or the variable, and the key and the rule.
    """
    content = _read(path)
    _refuse_unknown_variables()
    try:
        # As JSON, since strict validation takes an array for a tuple there, and TOML's dates are no values of ours.
        NodeConfig.model_validate_json(json.dumps(content), strict=True)
    except ValidationError as error:
        raise ConfigError(f"{path}: {describe_validation_error(error)}") from error
    except TypeError as error:
        raise ConfigError(f"{path}: holds a date or a time, and no setting is one") from error
    try:
        return NodeConfig.model_validate(_Layered(**content).model_dump())
    except ValidationError as error:
        variables = sorted(filter(None, (_variable(item["loc"]) for item in error.errors())))
        origin = f"{', '.join(variables)} (environment)" if variables else str(path)
        raise ConfigError(f"{origin}: {describe_validation_error(error)}") from error
    except SettingsError as error:
        raise ConfigError(f"environment: a {ENVIRONMENT_PREFIX}… variable cannot be read as JSON: {error}") from error


def _read(path: Path) -> dict[str, Any]:
    if path.is_dir():
        raise ConfigError(f"{path}: is a directory; the settings are a file, which `step-node init` writes")
    if not path.is_file():
        raise ConfigError(f"{path}: is not there; `step-node init` writes one")
    try:
        if path.stat().st_size > CONFIG_BYTES_MAX:
            raise ConfigError(f"{path}: must be at most {CONFIG_BYTES_MAX} bytes")
        text = path.read_text(encoding="utf-8")
        for number, line in enumerate(text.splitlines(), start=1):
            if _STRING.sub("", line).partition("#")[0].count(".") > LINE_DOTS_MAX:
                raise ConfigError(f"{path}: line {number}: at most {LINE_DOTS_MAX} dots may stand outside of quotes")
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: is not TOML: {error}") from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except RecursionError as error:
        raise ConfigError(f"{path}: is nested too deeply") from error


def _refuse_unknown_variables() -> None:
    known = sorted({*_variables(NodeConfig, ENVIRONMENT_PREFIX), *OTHER_VARIABLES})
    sections = tuple(f"{ENVIRONMENT_PREFIX}{name}{_NESTED}".upper() for name in NodeConfig.model_fields)
    for name, value in sorted(os.environ.items()):
        upper = name.upper()
        if not upper.startswith(ENVIRONMENT_PREFIX) or upper in known or _is_of_kubernetes(upper, value):
            continue
        if upper.startswith(sections):
            continue  # A key that its section does not know: told with the section's other mistakes.
        nearest = difflib.get_close_matches(upper, known, n=1, cutoff=0.0)[0]
        raise ConfigError(
            f"{name} (environment): no setting has this name; the nearest is {nearest}. Rename it, or unset it:"
            f" variables that begin with {ENVIRONMENT_PREFIX} are settings, {ENVIRONMENT_PREFIX}<SECTION>{_NESTED}<KEY>"
        )


def _is_of_kubernetes(name: str, value: str) -> bool:
    if _OF_KUBERNETES.fullmatch(name) is None:
        return False
    # STEP_API_PORT may be a slip of an operator's; of Kubernetes it is a URL.
    return "SERVICE" in name or not name.endswith("_PORT") or "://" in value


def _variables(model: type[BaseModel], prefix: str) -> Iterator[str]:
    """The variables that set fields of `model`: whole sections, as JSON, and single keys."""
    for name, field in model.model_fields.items():
        variable = f"{prefix}{name}".upper()
        yield variable
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _variables(field.annotation, f"{variable}{_NESTED}")


def _variable(location: tuple[int | str, ...]) -> str | None:
    """The variable that set this key, if one did."""
    for length in range(len(location), 0, -1):
        name = (ENVIRONMENT_PREFIX + _NESTED.join(map(str, location[:length]))).upper()
        if any(variable.upper() == name for variable in os.environ):
            return name
    return None
