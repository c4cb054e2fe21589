"""Whether a node could start with its settings: their rules, and the files that they name."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, TypeAlias

from step_node.api.base_map import checked_base_map
from step_node.api.server.tls import load_tls
from step_node.api.web_app import read_wallet_adapter
from step_node.chain.genesis import load_genesis
from step_node.clock import SystemClock
from step_node.errors import StepNodeError
from step_node.home.config import NodeConfig, read_settings
from step_node.home.config_sources import ConfigError, Problem, Source, SourceKind, settings_of
from step_node.home.paths import NodeHome
from step_node.signing.key_file import load_key_file
from step_node.signing.keystore import (
    PASSWORD_ENVIRONMENT_VARIABLE,
    keystore_address,
    load_keystore,
    read_password,
)
from step_node.storage.mongo_driver import options_in

Check: TypeAlias = Callable[[NodeHome, NodeConfig], None]
"""Raises StepNodeError, naming the setting or the file and the rule."""


def problems_of(home: NodeHome, *, sets: Sequence[str]) -> list[str]:
    """Everything that is wrong, a line each: of the settings, and, if they can be used, of the files that they name."""
    try:
        settings, problems, _ = read_settings(home.config, sets=sets)
    except ConfigError as error:
        return [str(error)]
    if settings is None:
        return list(map(str, problems))
    found = list(map(str, _open_secrets(home, settings.config, settings.sources)))
    for check in CHECKS:
        try:
            check(home, settings.config)
        except StepNodeError as error:
            found.append(str(error))
    return found


def _open_secrets(home: NodeHome, config: NodeConfig, sources: Mapping[str, Source]) -> Iterator[Problem]:
    """Secrets that are written into a `config.toml` which others can read."""
    mode = home.config.stat().st_mode
    if not mode & 0o077:
        return
    for setting in settings_of(NodeConfig):
        source, value = sources[setting.name], setting.of(config)
        is_written_here = source.kind is SourceKind.FILE and source.place is None
        if setting.is_secret and is_written_here and not _is_without_password(value):
            rule = (
                "is a secret in a file that others can read; chmod 600 the file, or name another with { file = … }, not"
                f" {stat.S_IMODE(mode):04o}"
            )
            yield Problem(source.name, setting.name, rule)


def _is_without_password(value: str) -> bool:
    """Whether it is a URI in which no user stands."""
    return "://" in value and "@" not in value


def _genesis(home: NodeHome, _config: NodeConfig) -> None:
    load_genesis(home.genesis)


def _p2p_key(home: NodeHome, _config: NodeConfig) -> None:
    load_key_file(home.p2p_key)


def _keystore(home: NodeHome, config: NodeConfig) -> None:
    """That the keystore is one, and that it opens, if its password need not be asked for."""
    if not home.validator_keystore.exists():
        return
    if PASSWORD_ENVIRONMENT_VARIABLE in os.environ:
        password = read_password()
    elif config.keystore.password is not None:
        password = config.keystore.password
    elif home.password.exists():
        password = read_password(home.password)
    else:
        keystore_address(home.validator_keystore)
        return
    load_keystore(home.validator_keystore, password)


def _certificate(home: NodeHome, config: NodeConfig) -> None:
    certificate, key = config.api.tls_certificate, config.api.tls_key
    if certificate is not None and key is not None:
        load_tls(home.root / certificate, home.root / key, now_ms=SystemClock().now_ms())


def _mongodb_uri(_home: NodeHome, config: NodeConfig) -> None:
    """Its form and its options, not whether anybody answers."""
    if config.storage.engine == "mongodb" and config.storage.mongodb_uri is not None:
        options_in(config.storage.mongodb_uri)


def _log_file(home: NodeHome, config: NodeConfig) -> None:
    if config.log.file is None:
        return
    path = home.root / config.log.file
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise StepNodeError(f"log.file: {path} cannot be written; make its directory, or give it to the node's user")


def _wallet_adapter(home: NodeHome, config: NodeConfig) -> None:
    if config.api.web_app_wallet is not None:
        read_wallet_adapter(home.root / config.api.web_app_wallet)


def _base_map(home: NodeHome, config: NodeConfig) -> None:
    if config.api.web_app_base_map is not None:
        checked_base_map(home.root / config.api.web_app_base_map)


CHECKS: Final[Sequence[Check]] = (
    _genesis,
    _p2p_key,
    _keystore,
    _certificate,
    _wallet_adapter,
    _base_map,
    _mongodb_uri,
    _log_file,
)
"""What is looked at besides the settings themselves."""
