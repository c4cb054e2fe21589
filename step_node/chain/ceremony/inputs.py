"""Parameters and allocations in files that people write: TOML or JSON, and CSV for allocations.

Allocations are amounts of STEP in decimals, as people count; a genesis has micro-STEP. What is wrong is named by its
file, and its key or line.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from step_node.chain.genesis import GenesisError, parse_json, read_text
from step_node.chain.initial_state import AMOUNT_USTEP_MAX
from step_node.chain.new_chains import new_chain_parameters
from step_node.crypto.checksum import has_wrong_checksum
from step_node.errors import describe_validation_error
from step_node.operations.json_form import STEP_PATTERN
from step_node.parameters import USTEP_PER_STEP, Parameters
from step_node.strict_toml import TomlError, parse_toml

ERRORS_SHOWN_MAX: Final = 20
CSV_COLUMNS: Final = ["address", "amount"]
_ADDRESS: Final = re.compile("0x[0-9a-fA-F]{40}")
_AMOUNT: Final = re.compile(STEP_PATTERN, re.ASCII)


def load_parameters(path: Path) -> Parameters:
    """The parameters in a file `.toml` or `.json`; what is not there is as on new chains. Raises `GenesisError`."""
    content = _structured(path, read_text(path))
    if not isinstance(content, dict):
        raise GenesisError(f"{path}: must have parameters with their values")
    try:
        return new_chain_parameters(content)
    except ValidationError as error:
        raise GenesisError(f"{path}: {describe_validation_error(error)}") from error


def load_allocations(path: Path) -> dict[str, int]:
    """Micro-STEP by address, from a file `.csv` with the columns address and amount, or `.toml` or `.json` with amounts
    of STEP, in strings, by address. Raises `GenesisError` that names up to `ERRORS_SHOWN_MAX` lines or keys."""
    text = read_text(path)
    entries = _csv_entries(path, text) if path.suffix == ".csv" else _structured_entries(path, text)
    allocations: dict[str, int] = {}
    first_places: dict[str, str] = {}
    errors: list[str] = []
    for place, address, amount in entries:
        error = _entry_error(address, amount)
        if error is None and (key := address.lower()) in first_places:
            error = f"{address} stands at {first_places[key]} already"
        if error is not None:
            errors.append(f"{path}: {place}: {error}")
            continue
        first_places[key] = place
        allocations[key] = _ustep(amount)
    if errors:
        more = [f"and {len(errors) - ERRORS_SHOWN_MAX} more"] if len(errors) > ERRORS_SHOWN_MAX else []
        raise GenesisError("\n".join([*errors[:ERRORS_SHOWN_MAX], *more]))
    return allocations


def _structured(path: Path, text: str) -> object:
    if path.suffix == ".toml":
        try:
            return parse_toml(text)
        except TomlError as error:
            raise GenesisError(f"{path}: {error}") from error
    if path.suffix == ".json":
        return parse_json(text, name=str(path))
    raise GenesisError(f"{path}: its name must end in .toml or .json, or .csv for allocations")


def _structured_entries(path: Path, text: str) -> Iterable[tuple[str, str, object]]:
    content = _structured(path, text)
    if not isinstance(content, dict):
        raise GenesisError(f"{path}: must have addresses with amounts")
    return ((f"key {index + 1}", address, amount) for index, (address, amount) in enumerate(content.items()))


def _csv_entries(path: Path, text: str) -> Iterator[tuple[str, str, object]]:
    reader = csv.reader(text.splitlines(), strict=True)
    try:
        header = next(reader, None)
        if header != CSV_COLUMNS:
            raise GenesisError(f"{path}: line 1: must be {','.join(CSV_COLUMNS)}")
        for row in reader:
            if len(row) != len(CSV_COLUMNS):
                raise GenesisError(f"{path}: line {reader.line_num}: must have an address and an amount, no more")
            yield f"line {reader.line_num}", row[0], row[1]
    except csv.Error as error:
        raise GenesisError(f"{path}: line {reader.line_num}: is not CSV: {error}") from error


def _entry_error(address: str, amount: object) -> str | None:
    if _ADDRESS.fullmatch(address) is None:
        return f"must be an address, 0x and 40 hex digits (not {address[:60]!r})"
    if has_wrong_checksum(address):
        return f"{address}: its capital letters are not its checksum (EIP-55): a digit is wrong, or write it small"
    if not isinstance(amount, str):
        return f'{address}: must be an amount of STEP in quotes, as "1.500000"'
    if _AMOUNT.fullmatch(amount) is None:
        return f"{address}: must be an amount of STEP with at most six places (not {amount[:60]!r})"
    if _ustep(amount) > AMOUNT_USTEP_MAX:
        return f"{address}: must be at most {AMOUNT_USTEP_MAX} micro-STEP"
    return None


def _ustep(amount: object) -> int:
    whole, _, fraction = str(amount).partition(".")
    return int(whole) * USTEP_PER_STEP + int(fraction.ljust(6, "0"))
