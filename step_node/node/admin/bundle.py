"""The debug bundle: all that somebody who was not there needs to understand what a node was doing. No secret is in it.

It is texts by name; whoever asked for it packs them into one file. Secrets are kept out twice: settings that may hold
one are left out by what they are (`repr=False`), and whatever the process knows as a secret is looked for in every text
and taken out, as is a user's part of any URI.
"""

from __future__ import annotations

import json
import os
import platform
import re
import resource
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import distributions
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel

import step_node
from step_node.home.config import NodeConfig
from step_node.home.secrets import HIDDEN

SECRET_CHARACTERS_MIN: Final = 6
"""A shorter word is not looked for: it would be found in every other one."""
ENTRIES_MAX: Final = 5_000
"""Files of a home that are listed; the rest is left out."""

_USER_OF_URI: Final = re.compile(r"(?<=://)[^\s/@'\"]{1,512}@")


def without_secrets(texts: Mapping[str, str], secrets: Iterable[str]) -> dict[str, str]:
    """These texts, with no secret in them that is known, and no user's part of a URI."""
    known = sorted({one for one in secrets if len(one) >= SECRET_CHARACTERS_MIN}, key=len, reverse=True)
    cleaned = {}
    for name, text in texts.items():
        for secret in known:
            text = text.replace(secret, HIDDEN)
        cleaned[name] = _USER_OF_URI.sub(f"{HIDDEN}@", text)
    return cleaned


def shown_config(config: BaseModel) -> dict[str, Any]:
    """Settings as they are, but for those that may hold a secret."""
    shown: dict[str, Any] = {}
    for name, field in type(config).model_fields.items():
        value = getattr(config, name)
        if isinstance(value, BaseModel):
            shown[name] = shown_config(value)
        elif not field.repr and value is not None:
            shown[name] = HIDDEN
        else:
            shown[name] = config.model_dump(mode="json", include={name})[name]
    return shown


def secrets_of(config: NodeConfig) -> list[str]:
    """What the settings hold that nobody may see."""
    secrets = list(_hidden_texts(config))
    users = [text.partition("://")[2].rpartition("@")[0] for text in secrets]
    return [*secrets, *filter(None, (user.partition(":")[2] for user in users))]


def _hidden_texts(config: BaseModel) -> Iterator[str]:
    for name, field in type(config).model_fields.items():
        value = getattr(config, name)
        if isinstance(value, BaseModel):
            yield from _hidden_texts(value)
        elif not field.repr and isinstance(value, str):
            yield value


def versions() -> dict[str, Any]:
    """Of the program, the interpreter, the system, and all packages."""
    return {
        "stepNode": step_node.__version__,
        "python": sys.version,
        "platform": platform.platform(),
        "packages": {one.name: one.version for one in sorted(distributions(), key=lambda one: one.name.lower())},
    }


def process() -> dict[str, Any]:
    """How much of the machine the process has, and may have."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    files_soft, files_hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return {
        "pid": os.getpid(),
        "user_cpu_seconds": round(usage.ru_utime, 1),
        "system_cpu_seconds": round(usage.ru_stime, 1),
        "resident_kilobytes_max": usage.ru_maxrss,
        "open_files_soft_max": files_soft,
        "open_files_hard_max": files_hard,
        "threads": threading.active_count(),
        "processors": os.cpu_count(),
        "load_average": list(os.getloadavg()),
    }


def disk(home: Path) -> dict[str, Any]:
    """What the home's files take, and what is free. It blocks."""
    free = os.statvfs(home)
    files: dict[str, int] = {}
    for folder, _, names in os.walk(home):
        for name in names:
            path = Path(folder) / name
            try:
                files[str(path.relative_to(home))] = path.lstat().st_size
            except OSError:
                continue  # It has gone in between.
        if len(files) >= ENTRIES_MAX:
            break
    return {
        "free_bytes": free.f_bavail * free.f_frsize,
        "size_bytes": free.f_blocks * free.f_frsize,
        "files_bytes": dict(sorted(files.items())[:ENTRIES_MAX]),
    }


def json_text(value: object) -> str:
    """As a file of the bundle."""
    return json.dumps(value, indent=1, ensure_ascii=False, default=str) + "\n"
