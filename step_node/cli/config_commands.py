"""`step-node config`: which settings hold and why, what is wrong with them, and what there is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from step_node.cli.error_lines import CommandError

app = typer.Typer(name="config", no_args_is_help=True, help="Show, check and list the settings of a node.")

HomeOption = Annotated[Path, typer.Option("--home", metavar="DIR", help="The node's home.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="A setting for this command, over file and environment, as api.port=8601. Again for each.",
    ),
]

_NO_SETS: Final[tuple[str, ...]] = ()


@app.command("show")
def show(
    home: HomeOption,
    json_output: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    sets: SetOption = None,
) -> None:
    """Print the settings that hold, and where each comes from: file, environment, command or default.

    What is secret is hidden.

    Example: step-node config show --home node
    """
    from step_node.cli.output import print_json, print_table
    from step_node.home.config import NodeConfig, load_settings
    from step_node.home.config_file import shown_text
    from step_node.home.config_sources import settings_of
    from step_node.home.paths import NodeHome

    loaded = load_settings(NodeHome(home).config, sets=sets or _NO_SETS)
    rows = [
        (setting.name, shown_text(setting, loaded.config), str(loaded.sources[setting.name]))
        for setting in settings_of(NodeConfig)
    ]
    if json_output:
        print_json({name: {"value": value, "from": source} for name, value, source in rows})
    else:
        print_table(("setting", "value", "from"), rows)


@app.command("check")
def check(home: HomeOption, sets: SetOption = None) -> None:
    """Check the settings and the files that they name, without starting anything; tell all that is wrong at once.

    Secrets are read, and commands that print them are run. Exit status: 0 nothing is wrong, 1 something is.

    Example: step-node config check --home node
    """
    from step_node.home.paths import NodeHome
    from step_node.node.config_check import problems_of

    problems = problems_of(NodeHome(home), sets=sets or _NO_SETS)
    for problem in problems:
        typer.echo(f"error: {problem}", err=True)
    if problems:
        raise CommandError(f"{len(problems)} of the settings or their files cannot be used")
    typer.echo("nothing is wrong with the settings, nor with the files that they name")


@app.command("reference")
def reference(
    environment: Annotated[bool, typer.Option("--env", help="Print a file of variables, .env.example.")] = False,
) -> None:
    """Print a page of all settings in Markdown, or a file of all variables.

    Example: step-node config reference --env
    """
    from step_node.home.config_reference import environment_reference, markdown_reference

    typer.echo(environment_reference() if environment else markdown_reference(), nl=False)
