"""The operator's settings: `config.toml` in a node home, overridden by `STEP_…` environment variables.

What the chain's nodes must agree on stands in genesis, never here. Unknown keys and impossible values are errors that
name the key. Precedence: environment, then file, then the defaults below.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from step_node.errors import StepNodeError, describe_validation_error
from step_node.mempool import PROOFS_MAX

Port = Annotated[int, Field(ge=0, le=65_535)]


def _multiaddr(value: str) -> str:
    if not value.startswith("/") or len(value) > 256:
        raise ValueError("must be a multiaddr such as /ip4/127.0.0.1/tcp/26600")
    return value


MultiaddrText = Annotated[str, AfterValidator(_multiaddr)]


class ConfigError(StepNodeError):
    """`config.toml` cannot be used; the message names the file, the key and the rule."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ApiConfig(_Section):
    """The HTTP API. Port 0 lets the system choose."""

    host: str = "127.0.0.1"
    port: Port = 8_600
    wait_ms_max: Annotated[int, Field(ge=0, le=60_000)] = 30_000


class P2pConfig(_Section):
    """libp2p. `bootstrap` multiaddrs end in `/p2p/<peer id>`."""

    listen: Annotated[tuple[MultiaddrText, ...], Field(min_length=1)] = ("/ip4/0.0.0.0/tcp/26600",)
    bootstrap: tuple[MultiaddrText, ...] = ()
    mdns: bool = False
    connections_max: Annotated[int, Field(ge=1, le=1_000)] = 100


class StorageConfig(_Section):
    """The engine: the embedded SQLite, or MongoDB (a replica set) at `mongodb_uri`, database `mongodb_database`."""

    engine: Literal["sqlite", "mongodb"] = "sqlite"
    mongodb_uri: str | None = None
    mongodb_database: Annotated[str, Field(pattern=r"\A[A-Za-z0-9_-]{1,63}\Z")] = "step"

    @model_validator(mode="after")
    def _uri_for_mongodb(self) -> StorageConfig:
        if self.engine == "mongodb" and not self.mongodb_uri:
            raise ValueError("mongodb_uri: is needed when engine is mongodb")
        return self


class MempoolConfig(_Section):
    """Bounds of the mempool."""

    proofs_max: Annotated[int, Field(ge=1, le=10_000_000)] = PROOFS_MAX


class LogConfig(_Section):
    """Structured logs on standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["console", "json"] = "console"


class NodeConfig(BaseSettings):
    """Everything in `config.toml`. A variable such as `STEP_API__PORT=8601` overrides `port` under `[api]`."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", env_prefix="STEP_", env_nested_delimiter="__")

    api: ApiConfig = ApiConfig()
    p2p: P2pConfig = P2pConfig()
    storage: StorageConfig = StorageConfig()
    mempool: MempoolConfig = MempoolConfig()
    log: LogConfig = LogConfig()

    _file: ClassVar[Path | None] = None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Environment first, then the file."""
        sources: tuple[PydanticBaseSettingsSource, ...] = (init_settings, env_settings)
        if cls._file is not None:
            sources = (*sources, TomlConfigSettingsSource(settings_cls, toml_file=cls._file))
        return sources


def load_config(path: Path) -> NodeConfig:
    """Read `config.toml`. Raises `ConfigError` naming the file (or the variable's section), the key and the rule."""
    if not path.is_file():
        raise ConfigError(f"{path}: is not there; `step-node init` writes one")

    class _FromFile(NodeConfig):
        _file = path

    try:
        return _FromFile()
    except ValidationError as error:
        raise ConfigError(f"{path}: {describe_validation_error(error)}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: is not TOML: {error}") from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
