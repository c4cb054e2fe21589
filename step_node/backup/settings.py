"""`config.toml` in a backup: as the operator has written it, but for its secrets; and with another store.

The text is edited line by line, so that comments stay, and what comes out is read again: a file that is written in some
other way than its sections and keys in lines of their own is refused, not misunderstood.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from step_node.backup.manifest import BackupError
from step_node.home.config import NodeConfig, StorageConfig
from step_node.home.secrets import SECRET
from step_node.strict_toml import TomlError, parse_toml

_SECTION = re.compile(r"^\s*\[\s*([A-Za-z0-9_-]+)\s*\]\s*(#.*)?$")
_KEY = re.compile(r"^\s*([A-Za-z0-9_-]+)\s*=")
_USER_IN_URI = re.compile(r"([a-z][a-z0-9+.-]*://)[^/\s\"'@]+@")


def without_secrets(text: str) -> tuple[str, tuple[str, ...]]:
    """`text` of a `config.toml` without what is secret in it, and the names of what was left out.

    Of the URI of a database only user and password go. What names a file or a command stays: that is no secret.
    Raises `BackupError` where a secret is written so that it cannot be taken out.
    """
    secrets = set(_secrets())
    written = _parsed(text)
    left_out: list[str] = []
    lines = []
    for section, key, line in _lines(text):
        value = written.get(section, {}).get(key) if isinstance(written.get(section), dict) else None
        if (section, key) in secrets and isinstance(value, str):
            without = _USER_IN_URI.sub(r"\1", line)
            if "://" not in value:
                without = f"# {key}: is a secret, and was left out of the backup"
            if without != line:
                left_out.append(f"{section}.{key}")
            line = without
        lines.append(line)
    clean = "\n".join(lines) + "\n"
    remaining = _parsed(clean)
    for section, key in secrets:
        value = remaining.get(section, {}).get(key)
        if isinstance(value, str) and ("://" not in value or _USER_IN_URI.search(value)):
            raise BackupError(
                f"config.toml: {section}.{key}: is a secret, and cannot be taken out of the copy as it is written: give"
                " it a line of its own, or name a file"
            )
    return clean, tuple(left_out)


def with_storage(text: str, storage: StorageConfig) -> str:
    """`text` of a `config.toml` with `storage` in place of what it says of the store. Raises `BackupError`."""
    kept = [line for section, _, line in _lines(text) if section != "storage"]
    block = ["[storage]", f"engine = {json.dumps(storage.engine)}"]
    if storage.mongodb_uri is not None:
        block += [
            f"mongodb_uri = {json.dumps(storage.mongodb_uri)}",
            f"mongodb_database = {json.dumps(storage.mongodb_database)}",
        ]
    changed = "\n".join([*kept, *block]) + "\n"
    if "storage" in _parsed("\n".join(kept)) or _parsed(changed).get("storage", {}).get("engine") != storage.engine:
        raise BackupError("config.toml: its storage cannot be replaced as it is written: give a file by --config")
    return changed


def _secrets() -> Iterator[tuple[str, str]]:
    for section, field in NodeConfig.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            for key, inner in field.annotation.model_fields.items():
                if SECRET in inner.metadata:
                    yield section, key


def _lines(text: str) -> Iterator[tuple[str, str, str]]:
    """Each line with the section that it stands in and the key that it sets, both empty where there is none."""
    section = ""
    for line in text.splitlines():
        header = _SECTION.match(line)
        if header is not None:
            section = header[1]
        key = _KEY.match(line)
        yield section, "" if key is None else key[1], line


def _parsed(text: str) -> dict[str, Any]:
    try:
        return parse_toml(text)
    except TomlError as error:
        raise BackupError(f"config.toml: {error}") from error
