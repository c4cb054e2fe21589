"""Where a keystore's password comes from: a file, the environment, or whoever sits at the terminal."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import typer

from step_node.signing.keystore import PASSWORD_ENVIRONMENT_VARIABLE, read_password
from step_node.signing.private_file import KeystoreError


def find_password(password_file: Path | None, *, purpose: str, confirm: bool = False) -> str:
    """The password from `password_file`, else from the environment, else asked for at the terminal.

    `purpose` is shown when it is asked for; `confirm` asks twice, for a new keystore. Raises KeystoreError if the file
    cannot be used, or there is nobody to ask.
    """
    if password_file is not None or PASSWORD_ENVIRONMENT_VARIABLE in os.environ:
        return read_password(password_file)
    otherwise = f"--password-file FILE, or set the variable {PASSWORD_ENVIRONMENT_VARIABLE}"
    return ask_password(otherwise, purpose=purpose, confirm=confirm)


def ask_password(otherwise: str, *, purpose: str, confirm: bool = False) -> str:
    """The password that somebody types at the terminal. Raises KeystoreError, naming what `otherwise` to give, if there
    is nobody to ask."""
    if not sys.stdin.isatty():
        raise KeystoreError(None, f"a password {purpose} is needed: give {otherwise}")
    password: str = typer.prompt(f"Password {purpose}", hide_input=True, confirmation_prompt=confirm, err=True)
    return password
