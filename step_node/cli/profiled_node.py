"""A node that writes down where its processor's time goes, for the benchmark: `python -m` this takes what `step-node`
takes."""

from __future__ import annotations

import os
from pathlib import Path

from step_node.testing.bench.cpu_account import ACCOUNT_VARIABLE, CpuAccount, install

if __name__ == "__main__":
    install(CpuAccount(Path(os.environ[ACCOUNT_VARIABLE])))
    # Only now: a module may take what is replaced by its name.
    from step_node.cli.main import run

    run()
