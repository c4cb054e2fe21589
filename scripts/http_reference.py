"""Writes docs/http-api.md, the reference of the HTTP API, from the OpenAPI description that every node serves.

    python -m scripts.http_reference

Run it after a change of `step_node/api`; a test says when it was forgotten.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import trio

from step_node.api.app import create_app
from step_node.api.documentation import EVERYWHERE, refusals
from tests.api.made_up_node import open_node

ROOT: Final = Path(__file__).parents[1]
PAGE: Final = ROOT / "docs" / "http-api.md"
HEAD: Final = """# Reference of the HTTP API

What `/docs` and `/openapi.json` of a node say, to be read without one; made by `python -m scripts.http_reference`. How
it is used: [clients.md](clients.md) for proofs, [endpoints.md](endpoints.md) for the rest. Codes of refusals:
[codes.md](codes.md). Amounts are decimal strings of STEP, hashes and addresses `0x` and hex digits.
"""

Schema = Mapping[str, Any]

ANYWHERE: Final = {str(status): answer["description"] for status, answer in refusals(*EVERYWHERE).items()}
"""What any route can refuse with, by status: said once."""


def reference(description: Schema) -> str:
    """The page, of an OpenAPI 3.1 document: its operations by tag, then the bodies that these name."""
    tags = {tag["name"]: tag.get("description", "") for tag in description["tags"]}
    by_tag: dict[str, list[str]] = {name: [] for name in tags}
    for path, methods in description["paths"].items():
        for method, operation in methods.items():
            by_tag.setdefault(operation["tags"][0], []).append(_operation(method.upper(), path, operation))
    parts = [HEAD, "\nAny route can refuse with these, in the form of [ErrorAnswer](#erroranswer):\n"]
    parts += ["\n| status | code |\n|---|---|\n", *(f"| {status} | {codes} |\n" for status, codes in ANYWHERE.items())]
    for name, operations in by_tag.items():
        if operations:
            parts += [f"\n## {name.capitalize()}\n", f"\n{tags[name]}\n" if tags.get(name) else "", *operations]
    parts.append("\n## Bodies\n")
    parts += [_body(name, schema) for name, schema in sorted(description["components"]["schemas"].items())]
    return "".join(parts)


def _operation(method: str, path: str, operation: Schema) -> str:
    lines = [f"\n### {method} {path}\n\n{_sentence(operation['summary'])}"]
    if about := operation.get("description"):
        lines.append(f" {_one_line(about)}")
    lines.append("\n")
    if parameters := operation.get("parameters"):
        lines.append("\n| parameter | where | type | meaning |\n|---|---|---|---|\n")
        lines += [
            f"| {one['name']}{'' if one.get('required') else ' (optional)'} | {one['in']} |"
            f" {type_of(one.get('schema', {}))} | {_cell(one.get('description', ''))} |\n"
            for one in parameters
        ]
    if body := operation.get("requestBody"):
        lines.append(f"\nBody: {_contents(body)}.\n")
    lines.append("\n| status | body | when |\n|---|---|---|\n")
    lines += [
        f"| {status} | {_contents(answer)} | {_cell(answer.get('description', ''))} |\n"
        for status, answer in sorted(operation["responses"].items())
        if ANYWHERE.get(status) != answer.get("description")
    ]
    return "".join(lines)


def _contents(holder: Schema) -> str:
    """The bodies that a request or an answer can have."""
    found = [
        type_of(content["schema"]) if kind == "application/json" and "schema" in content else kind
        for kind, content in holder.get("content", {}).items()
    ]
    return " or ".join(dict.fromkeys(found)) or "none"


def _body(name: str, schema: Schema) -> str:
    lines = [f"\n### {name}\n"]
    if about := schema.get("description"):
        lines.append(f"\n{_one_line(about)}\n")
    if properties := schema.get("properties"):
        required = schema.get("required", [])
        lines.append("\n| field | type | meaning |\n|---|---|---|\n")
        lines += [
            f"| {field}{'' if field in required else ' (optional)'} | {type_of(one)} |"
            f" {_cell(one.get('description', ''))} |\n"
            for field, one in properties.items()
        ]
    else:
        lines.append(f"\nOne of: {type_of(schema)}.\n")
    return "".join(lines)


def type_of(schema: Schema) -> str:
    """A type in words, with a link to the body that it names."""
    if reference := schema.get("$ref"):
        name = str(reference).rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "const" in schema:
        return f'"{schema["const"]}"' if isinstance(schema["const"], str) else str(schema["const"]).lower()
    if "enum" in schema:
        return ", ".join(f'"{one}"' for one in schema["enum"])
    for several in ("anyOf", "oneOf", "allOf"):
        if several in schema:
            return " or ".join(dict.fromkeys(type_of(one) for one in schema[several]))
    if schema.get("type") == "array":
        return f"list of {type_of(schema['items'])}" if "items" in schema else "list"
    if properties := schema.get("properties"):
        return f"object of {', '.join(properties)}"
    if isinstance(extra := schema.get("additionalProperties"), Mapping):
        return f"object of {type_of(extra)}"
    return f"{schema.get('type', 'any')}{_range(schema)}"


def _range(schema: Schema) -> str:
    least, most = schema.get("minimum"), schema.get("maximum")
    return f" {least} to {most}" if least is not None and most is not None else ""


def _one_line(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()


def _cell(text: str) -> str:
    return _one_line(text).replace("|", "\\|")


def _sentence(text: str) -> str:
    return text if text.endswith(".") else f"{text}."


async def _description() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as directory:
        async with open_node(Path(directory) / "journal.sqlite") as node:
            return create_app(node.services()).openapi()


def main() -> None:
    """Write the page."""
    PAGE.write_text(reference(trio.run(_description)), encoding="utf-8")


if __name__ == "__main__":
    main()
