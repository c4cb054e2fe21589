"""A signer's home, and signers that serve it, over real sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import trio

from step_node.clock import SystemClock
from step_node.home.histories import begin_history
from step_node.home.paths import NodeHome
from step_node.node.signing_history import NO_WORD, HistoryWord
from step_node.signer.daemon import SignerStarted, run_signer
from step_node.signing.keystore import KdfStrength, create_keystore
from step_node.signing.remote.address import PinnedTls, SignerAddress, UnixAddress, parse_signer_address
from step_node.signing.remote.client import RemoteSigner
from tests.support.chains import CHAIN_ID, make_genesis
from tests.support.clock import SetClock
from tests.support.proofs import address, private_key

PASSWORD = "a password"
NAME, NEXT_NAME = "validator", "next validator"
KEY, NEXT_KEY = address(NAME), address(NEXT_NAME)
TIMEOUT_MS = 5_000
GENESIS = make_genesis()


def make_home(root: Path, *, name: str = NAME) -> NodeHome:
    """With the keystore of `name`, which has never signed."""
    home = NodeHome(root)
    home.validator_keystore.parent.mkdir(parents=True)
    home.genesis.write_text(GENESIS.model_dump_json(exclude_none=True))
    put_key(home, "validator.json", name)
    return home


def put_key(home: NodeHome, file: str, name: str, *, has_history: bool = True) -> None:
    path = home.validator_keystore.with_name(file)
    create_keystore(path, private_key(name), PASSWORD, KdfStrength.DEVNET)
    if has_history:
        begin_history(home, chain_id=CHAIN_ID, validator=address(name))


@asynccontextmanager
async def serving(
    home: NodeHome,
    listen: str | None = None,
    *,
    tls: PinnedTls | None = None,
    word: HistoryWord = NO_WORD,
    clock: SystemClock | SetClock | None = None,
) -> AsyncIterator[SignerStarted]:
    """A signer, until the end of the block."""
    listen = str(socket_of(home)) if listen is None else listen
    run = partial(
        run_signer,
        home,
        GENESIS,
        listen=parse_signer_address(listen),
        tls=tls,
        password=PASSWORD,
        word=word,
        clock=clock or SystemClock(),
    )
    async with trio.open_nursery() as nursery:
        started: SignerStarted = await nursery.start(run)
        yield started
        nursery.cancel_scope.cancel()


def socket_of(home: NodeHome) -> UnixAddress:
    return UnixAddress(home.root / "signer.sock")


def remote(
    home: NodeHome,
    at: SignerAddress | None = None,
    *,
    validator: bytes = KEY,
    chain_id: str = CHAIN_ID,
    node: str = "node a",
    timeout_ms: int = TIMEOUT_MS,
    tls: PinnedTls | None = None,
) -> RemoteSigner:
    return RemoteSigner(
        at or socket_of(home), tls=tls, validator=validator, chain_id=chain_id, node=node, timeout_ms=timeout_ms
    )


async def connected(signer: RemoteSigner) -> RemoteSigner:
    """The same, in touch with its signer, if that lets it."""
    await trio.to_thread.run_sync(signer.keep_in_touch)
    signer.enter_session()
    return signer
