"""An attack as a process of its own: `python -m tests.hostile.attacker MODULE FUNCTION TARGET`, TARGET as JSON.

An attacker has a machine of its own. Here it has to share one, so it gets what honest clients and nodes leave; in their
process, it would take their event loop and not the nodes'.
"""

from __future__ import annotations

import importlib
import json
import os
import sys

import trio

from tests.hostile.siege import Attack, Target

NICENESS = 15


def main(module: str, function: str, target: str) -> None:
    """Attack until killed."""
    os.nice(NICENESS)
    attack: Attack = getattr(importlib.import_module(module), function)
    trio.run(attack, Target(**{name: tuple(values) for name, values in json.loads(target).items()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
