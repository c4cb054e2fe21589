"""Files with secrets: created once, durably, with mode 0600; refused if anyone but their owner may read them."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from step_node.durable.atomic_file import write_atomically
from step_node.errors import StepNodeError

KEYSTORE_BYTES_MAX = 16_384
"""A keystore has some 500 bytes; a longer file is none."""


class KeystoreError(StepNodeError):
    """A file of keys, or a password, that cannot be used. The message names the file and the rule, never a secret."""

    def __init__(self, path: Path | None, rule: str) -> None:
        super().__init__(rule if path is None else f"{path}: {rule}")
        self.path = path


def create_private_file(path: Path, content: bytes) -> None:
    """Write a new file of mode 0600, durably. Raises KeystoreError if it exists or cannot be written."""
    try:
        write_atomically(path, content, replace=False)
    except FileExistsError as error:
        raise KeystoreError(path, "exists already; keys are never overwritten") from error
    except OSError as error:
        raise KeystoreError(path, f"cannot be written: {error.strerror}") from error


def read_private_file(path: Path, bytes_max: int) -> bytes:
    """Its content. Raises KeystoreError if it cannot be read, is no regular file, is longer, or is open to others."""
    try:
        # Without O_NONBLOCK, opening a named pipe would wait for ever.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise KeystoreError(path, "must be a regular file")
            if status.st_mode & 0o077:
                raise KeystoreError(
                    path, f"must be readable by its owner alone (chmod 600), not {stat.S_IMODE(status.st_mode):04o}"
                )
            content = file.read(bytes_max + 1)
    except OSError as error:
        raise KeystoreError(path, f"cannot be read: {error.strerror}") from error
    if len(content) > bytes_max:
        raise KeystoreError(path, f"must be at most {bytes_max} bytes")
    return content
