"""docs/import.md, run to the letter: from an old server's database to a home with the state, and its store filled.

What stands for the reader's own is replaced, and nothing else: the beginning and the database.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
import trio

from step_node.chain.genesis import load_genesis
from step_node.clock import SystemClock
from step_node.home.paths import NodeHome
from step_node.proofs.timestamps import format_timestamp
from step_node.signing.private_file import create_private_file
from step_node.snapshot.initial_state import initialise_store
from step_node.storage.open import SqliteSettings, open_storage
from tests.importing.old_database import clicked_server, write
from tests.support.mongod import mongodb_uri, new_database_name

__all__ = ["mongodb_uri"]

PAGE: Final = Path(__file__).parents[2] / "docs" / "import.md"
ACCOUNTS: Final = 50
BEGINNING: Final = "2026-12-01T12:00:00.000Z"
OLD_URI: Final = "mongodb://127.0.0.1:27017/step"


@pytest.mark.long
async def test_the_guide_leads_from_an_old_database_to_a_home_that_holds_it(mongodb_uri: str, tmp_path: Path) -> None:
    now_ms, name = SystemClock().now_ms(), new_database_name()
    server = clicked_server(ACCOUNTS, ends_ms=now_ms - 60_000)
    write(mongodb_uri, name, server)
    create_private_file(tmp_path / "password", b"a password of the guide\n")
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    blocks = re.findall(r"^```sh\n(.*?)^```", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    told = ""
    for block in blocks:
        here = block.replace(BEGINNING, format_timestamp(now_ms)).replace(
            OLD_URI, f"'{mongodb_uri.replace('/?', f'/{name}?')}'"
        )
        ended = await trio.run_process(
            ["bash", "-e", "-c", here],
            cwd=tmp_path,
            env=environment,
            capture_stdout=True,
            stderr=subprocess.STDOUT,
            check=False,
        )
        told += ended.stdout.decode()
        assert ended.returncode == 0, f"{block}\n{ended.stdout.decode()}"
    assert f"{ACCOUNTS} accounts" in told
    home = NodeHome(tmp_path / "anna")
    genesis = load_genesis(home.genesis)
    balances = {one["_id"]: int(one["balance"]) for one in server.accounts.values()}
    assert genesis.balances_ustep == sum(balances.values())
    async with open_storage(SqliteSettings(home.ledger)) as store:
        await initialise_store(store, genesis, home.initial_state)
        for address, balance_ustep in balances.items():
            account = await store.account(bytes.fromhex(address[2:]))
            assert account is not None
            assert account.balance_ustep == balance_ustep
