"""Writing `config.toml`: every setting with its comment, so that the file is its own manual."""

from __future__ import annotations

import inspect
import json
import textwrap
from collections.abc import Iterable, Mapping
from typing import Final, Literal, get_args, get_origin

from annotated_types import Ge, Le
from pydantic import BaseModel

from step_node.home.config import NodeConfig
from step_node.home.config_sources import Setting, settings_of
from step_node.home.secrets import HIDDEN

COMMENT_COLUMNS_MAX: Final = 118

_HEAD = """\
# Settings of one STEP node. What all nodes of a chain must agree on stands in genesis.json, not here.
# Every setting can be overridden by a variable: STEP_API__PORT=8601 overrides port under [api]; and by `--set
# api.port=8601` of `step-node start`. A key that does not exist is an error. `step-node config check` tells what is
# wrong here, `step-node config show` what holds, and docs/configuration.md more.
"""


def render_config(config: NodeConfig) -> str:
    """The text of a `config.toml` that reads back as `config`, with comments. It ends with a newline."""
    lines = [_HEAD]
    section: tuple[str, ...] = ()
    for setting in settings_of(NodeConfig):
        if setting.path[:-1] != section:
            section = setting.path[:-1]
            lines.append(f"\n{_comment(about_section(section))}[{'.'.join(section)}]\n")
        lines.append(_comment(about(setting)))
        lines.append(_line(setting, setting.of(config)))
    return "".join(lines)


def about_section(path: tuple[str, ...]) -> str:
    """What a section is about, as its model says."""
    model: type[BaseModel] = NodeConfig
    for name in path:
        inner = model.model_fields[name].annotation
        assert isinstance(inner, type)
        assert issubclass(inner, BaseModel)
        model = inner
    return inspect.cleandoc(model.__doc__ or "")


def about(setting: Setting) -> str:
    """What a setting means, and which values it may have, in one line."""
    said = " ".join((setting.info.description or "").split())
    rule = values_of(setting)
    return f"{said} {rule}" if rule else said


def values_of(setting: Setting) -> str:
    """The bounds of a number, or the choices of a text; nothing for others."""
    least = next((one.ge for one in setting.info.metadata if isinstance(one, Ge)), None)
    most = next((one.le for one in setting.info.metadata if isinstance(one, Le)), None)
    if least is not None and most is not None:
        return f"({least:,} to {most:,})"
    if get_origin(setting.info.annotation) is Literal:
        return f"({', '.join(map(_text, get_args(setting.info.annotation)))})"
    return ""


def value_text(value: object) -> str:
    """A value as TOML has it. Raises TypeError for what is no setting."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(value_text, value))}]"
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{key} = {value_text(one)}' for key, one in value.items())} }}"
    return _text(str(value))


def shown_text(setting: Setting, config: NodeConfig) -> str:
    """Its value in `config` for people to read, as TOML has it; of a secret only whether there is one."""
    value = setting.of(config)
    if value is None:
        return "-"
    return HIDDEN if setting.is_secret else value_text(value)


def example_of(setting: Setting) -> object:
    """A value for a setting that has none by itself."""
    examples = setting.info.examples
    assert examples, f"{setting.name}: what has no default needs an example"
    return examples[0]


def _line(setting: Setting, value: object) -> str:
    key = setting.path[-1]
    if value is None:
        return f"# {key} = {value_text(example_of(setting))}\n"
    if isinstance(value, tuple) and len(value) > 1:
        return f"{key} = [\n{''.join(f'  {value_text(one)},{chr(10)}' for one in value)}]\n"
    return f"{key} = {value_text(value)}\n"


def _comment(text: str) -> str:
    return "".join(f"# {line}\n" for line in wrapped(text.splitlines()))


def wrapped(lines: Iterable[str]) -> list[str]:
    """Lines of comment, none too long."""
    return textwrap.wrap(" ".join(lines), COMMENT_COLUMNS_MAX, break_long_words=False, break_on_hyphens=False)


def _text(value: str) -> str:
    # TOML's basic strings have JSON's escapes; only DEL must be escaped in TOML and is not in JSON.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
