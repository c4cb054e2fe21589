"""All settings as pages: for people (docs/settings.md), and as a file of variables (`.env.example`)."""

from __future__ import annotations

from itertools import groupby
from pathlib import PurePath

from step_node.home.config import NodeConfig
from step_node.home.config_file import about, about_section, example_of, value_text, wrapped
from step_node.home.config_sources import Setting, settings_of

_MARKDOWN_HEAD = """\
# Settings

Every setting of `config.toml`, with its default. `step-node config reference` writes this page; how settings are read,
checked and taken anew is in [configuration.md](configuration.md). The variable of `port` under `[api]` is
`STEP_API__PORT`, and so on: [.env.example](../.env.example) has them all. *Reload*: a running node takes a new value
when it reads its settings again (SIGHUP); others need a restart. *Secret*: never shown, and best kept in a file of its
own.
"""

_ENVIRONMENT_HEAD = """\
# Variables that override settings of config.toml, each with its default. `step-node config reference --env` writes
# this file; copy it to .env, and keep the lines that you change. A list is JSON. A variable that begins with STEP_ and
# is no setting is an error. A secret can be in a file for its owner alone, which its variable with _FILE names.
"""


def markdown_reference() -> str:
    """The page of all settings, in Markdown."""
    parts = [_MARKDOWN_HEAD]
    for section, settings in groupby(settings_of(NodeConfig), key=lambda setting: setting.path[:-1]):
        parts.append(f"\n## [{'.'.join(section)}]\n\n{about_section(section)}\n\n")
        parts.append("| key | default | what it is |\n|---|---|---|\n")
        parts += [_row(setting) for setting in settings]
    return "".join(parts)


def _row(setting: Setting) -> str:
    marks = [word for word, is_so in (("Secret", setting.is_secret), ("Reload", setting.is_reloadable)) if is_so]
    told = " ".join([about(setting), *(f"*{word}*." for word in marks)])
    default = setting.info.default
    shown = "none" if default is None else f"`{value_text(default)}`"
    return f"| `{setting.path[-1]}` | {shown} | {_cell(told)} |\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace('*"', '\\*"')


def environment_reference() -> str:
    """All variables, as comments in the form that `docker compose` and systemd read."""
    parts = [_ENVIRONMENT_HEAD]
    for section, settings in groupby(settings_of(NodeConfig), key=lambda setting: setting.path[:-1]):
        parts.append(f"\n# --- {'.'.join(section)} ---\n")
        for setting in settings:
            parts += [f"# {line}\n" for line in wrapped([about(setting)])]
            parts.append(f"# {setting.variable}={_as_text(setting)}\n")
    return "".join(parts)


def _as_text(setting: Setting) -> str:
    default = setting.info.default
    value = example_of(setting) if default is None else default
    if isinstance(value, dict):
        return ""
    return str(value) if isinstance(value, str | PurePath) else value_text(value)
