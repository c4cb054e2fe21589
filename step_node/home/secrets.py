"""Secrets among the settings: written out, or read from a file or from what a command prints.

In `config.toml` a secret is a text, `{ file = "…" }` or `{ command = ["…", "…"] }`; in the environment `STEP_…`,
`STEP_…_FILE` or `STEP_…_COMMAND` (a list as JSON). A command is run without a shell, in the home, for
`COMMAND_SECONDS_MAX`. The newline at the end is not part of the secret. No error repeats what was read.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from step_node.errors import StepNodeError
from step_node.signing.private_file import KeystoreError, read_private_file

SECRET_BYTES_MAX: Final = 4_096
"""Of a secret, as it is read; a longer one is refused."""
COMMAND_SECONDS_MAX: Final = 30
"""How long a command may take; then it is killed, and the setting refused."""
HIDDEN: Final = "(hidden)"
"""What is shown in the place of a secret."""


class Secret:
    """Marks a setting whose value is never shown."""

    def __repr__(self) -> str:
        return "SECRET"


SECRET: Final = Secret()


class SecretError(StepNodeError):
    """A secret cannot be read; the message is a rule, and names the file or the program."""


@dataclass(frozen=True, slots=True)
class SecretFile:
    """The secret is what this file holds; a relative path is one of the home."""

    path: Path

    def __str__(self) -> str:
        return f"file {self.path}"


@dataclass(frozen=True, slots=True)
class SecretCommand:
    """The secret is what this program prints."""

    words: tuple[str, ...]

    def __str__(self) -> str:
        # Its other words may be secrets themselves.
        return f"command {self.words[0]}"


ReadSecret: TypeAlias = Callable[[SecretFile | SecretCommand, Path], str]
"""Reads a secret; the path is the home's, where relative paths begin and commands run. Raises SecretError."""


def read_secret(place: SecretFile | SecretCommand, home: Path) -> str:
    """From the file, which is for its owner alone, or from the command. Raises SecretError."""
    content = _of_file(home / place.path) if isinstance(place, SecretFile) else _of_command(place, home)
    if len(content) > SECRET_BYTES_MAX:
        raise SecretError(f"{place}: must give at most {SECRET_BYTES_MAX} bytes")
    try:
        text = content.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise SecretError(f"{place}: must give UTF-8 text") from None
    if not text:
        raise SecretError(f"{place}: gives nothing")
    return text


def _of_file(path: Path) -> bytes:
    try:
        return read_private_file(path, SECRET_BYTES_MAX)
    except KeystoreError as error:
        raise SecretError(f"file {error}") from None


def _of_command(place: SecretCommand, home: Path) -> bytes:
    try:
        done = subprocess.run(
            place.words,
            cwd=home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # It may repeat a secret, and the node's own standard error may be all JSON.
            timeout=COMMAND_SECONDS_MAX,
            check=False,
        )
    except OSError as error:
        raise SecretError(f"{place}: cannot be run: {error.strerror}") from None
    except (ValueError, subprocess.TimeoutExpired) as error:
        rule = f"took over {COMMAND_SECONDS_MAX} s" if isinstance(error, subprocess.TimeoutExpired) else str(error)
        raise SecretError(f"{place}: {rule}") from None
    if done.returncode:
        raise SecretError(f"{place}: ended with status {done.returncode}; run it by hand to see why")
    return done.stdout
