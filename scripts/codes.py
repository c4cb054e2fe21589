"""Writes what is made of the table of codes: the tables of docs/codes.md, and clients/codes.json.

    python -m scripts.codes

Run it after a change of `step_node/explanations`; a test says when it was forgotten. Of docs/codes.md it replaces only
what stands between the markers.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Final

from step_node.api.details import DetailsAnswer
from step_node.explanations.codes import ROWS, CodeRow, codes_file

ROOT: Final = Path(__file__).parents[1]
PAGE: Final = ROOT / "docs" / "codes.md"
FILE: Final = ROOT / "clients" / "codes.json"


def page_with_tables(page: str) -> str:
    """`page` with its two tables made anew."""
    page = _replaced(page, "codes", _codes_table())
    return _replaced(page, "details", _details_table())


def file_text() -> str:
    """The JSON file, as it is committed."""
    return json.dumps(codes_file(), indent=2, ensure_ascii=False) + "\n"


def _replaced(page: str, name: str, table: str) -> str:
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    found = re.search(f"{begin}.*{end}", page, re.DOTALL)
    if found is None:
        raise ValueError(f"{PAGE}: must hold {begin} and {end}")
    return f"{page[: found.start()]}{begin}\n{table}{end}{page[found.end() :]}"


def _codes_table() -> str:
    head = "| code | status | what happened | what to do | details |\n|---|---|---|---|---|\n"
    return head + "".join(map(_code_line, ROWS))


def _code_line(row: CodeRow) -> str:
    always = ", ".join(f"`{field}`" for field in row.details)
    retryable = " (`retryable`)" if row.retryable else ""
    return f"| `{row.code}` | {row.status}{retryable} | {row.happened} | {row.advice} | {always} |\n"


def _details_table() -> str:
    lines = ["| field | type | meaning |\n|---|---|---|\n"]
    schema = DetailsAnswer.model_json_schema(by_alias=True, mode="serialization")
    for name, field in schema["properties"].items():
        lines.append(f"| `{name}` | {_type_of(field)} | {field['description']} |\n")
    return "".join(lines)


def _type_of(field: dict[str, object]) -> str:
    choices = field.get("anyOf") or [field]
    assert isinstance(choices, list)
    names = [one.get("type", "object") for one in choices]
    return " or ".join(dict.fromkeys("text" if name == "string" else name for name in names if name != "null"))


def main() -> int:
    """Write both."""
    PAGE.write_text(page_with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(file_text(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
