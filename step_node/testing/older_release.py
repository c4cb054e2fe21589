"""The release before this one, as far as the protocol's rules go: the shipped program without the newest of them.

    python -m step_node.testing.older_release start --home DIR …        (all that `step-node` takes)

For networks in which two releases meet. It takes the newest version out of the table before anything else has looked at
it, and calls itself by another version; nothing of the shipped program knows of it.
"""

from __future__ import annotations

import runpy
from types import MappingProxyType
from typing import Final

import step_node
from step_node.ledger import rules

OLDER_VERSION: Final = "0.0.9"
"""Below any release that there is."""


def become_older() -> None:
    """Forget the newest rules. To be called before anything else of the program is imported."""
    newest = max(rules.RULES)
    older = {version: known for version, known in rules.RULES.items() if version != newest}
    vars(rules)["RULES"] = MappingProxyType(older)
    vars(step_node)["__version__"] = OLDER_VERSION


if __name__ == "__main__":
    become_older()
    runpy.run_module("step_node.cli.main", run_name="__main__")
