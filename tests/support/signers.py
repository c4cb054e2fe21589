"""Remote signers as real processes, and something between them and their nodes that sees every signature."""

from __future__ import annotations

import json
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import trio

from step_node.home.config import NodeConfig, SignerConfig, load_config
from step_node.home.config_file import render_config
from step_node.home.paths import NodeHome
from step_node.signing.keystore import keystore_address
from step_node.signing.remote.wire import LENGTH, Sign, Signed, decode_answer, decode_request
from step_node.testing.devnet.node_process import SHIPPED_MODULE, NodeProcess

Asked = tuple[str, int, int]
"""Kind, height, round."""


class SignerProcess(NodeProcess):
    """`step-node signer` on a home, listening on a socket beside it."""

    def __init__(self, index: int, home: NodeHome) -> None:
        super().__init__(index, home)
        self.socket = home.root.with_suffix(".sock")
        self.arguments = ("--listen", f"unix:{self.socket}", "--log-format", "json")

    @property
    def name(self) -> str:
        """What messages call it."""
        return f"signer {self.index}"

    def _program(self) -> tuple[str, ...]:
        return (SHIPPED_MODULE, "signer")


def move_key_out(node: NodeHome, to: Path, *, address: str | None = None) -> SignerProcess:
    """Move the validator's keystore and its history into a new signer's home, and have the node's settings name it.

    `address` is where the node shall look for the signer, if not at the signer's own socket.
    """
    signer = SignerProcess(0, NodeHome(to))
    home = signer.home
    home.validator_keystore.parent.mkdir(parents=True, mode=0o700)
    home.data.mkdir(mode=0o700)
    shutil.copy(node.genesis, home.genesis)
    shutil.copy(node.password, home.password)
    validator = keystore_address(node.validator_keystore)
    node.validator_keystore.rename(home.validator_keystore)
    home.signing_histories.mkdir()
    node.signing_history(validator).rename(home.signing_history(validator))
    config = load_config(node.config).model_dump()
    config["signer"] = SignerConfig(address=address or f"unix:{signer.socket}", validator=f"0x{validator.hex()}")
    node.config.write_text(render_config(NodeConfig.model_validate(config)))
    return signer


class Wiretap:
    """Passes on what a node and its signer say, and keeps every signature that was given."""

    def __init__(self, signer: SignerProcess) -> None:
        self.path = signer.home.root.with_suffix(".tap")
        self._signer = signer
        self._frames = 0
        self.signatures: dict[Asked, set[tuple[bytes, bytes]]] = {}
        """The values and signatures by what was asked: more than one is a double sign."""
        self.cut_every: int | None = None
        """So many answers apart, one is cut in the middle, and the connection with it."""

    @property
    def contradictions(self) -> dict[Asked, set[tuple[bytes, bytes]]]:
        """What was signed in two ways."""
        return {asked: given for asked, given in self.signatures.items() if len(given) > 1}

    @property
    def height(self) -> int:
        """The highest that anything was signed at."""
        return max((height for _, height, _ in self.signatures), default=0)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Wiretap]:
        """Until the end of the block."""
        plain = trio.socket.socket(socket.AF_UNIX)
        await plain.bind(str(self.path))
        plain.listen(16)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.serve_listeners, self._connection, [trio.SocketListener(plain)])
            yield self
            nursery.cancel_scope.cancel()

    async def _connection(self, node: trio.SocketStream) -> None:
        with suppress(OSError, trio.BrokenResourceError, trio.ClosedResourceError):
            async with node, await trio.open_unix_socket(str(self._signer.socket)) as signer:
                asked: dict[int, Sign] = {}
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._requests, node, signer, asked, nursery.cancel_scope)
                    with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                        await self._answers(signer, node, asked)
                    nursery.cancel_scope.cancel()

    async def _requests(
        self, node: trio.SocketStream, signer: trio.SocketStream, asked: dict[int, Sign], scope: trio.CancelScope
    ) -> None:
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            while frame := await _frame(node):
                request = decode_request(frame[LENGTH.size :])
                if isinstance(request, Sign):
                    asked[request.number] = request
                await signer.send_all(frame)
        scope.cancel()

    async def _answers(self, signer: trio.SocketStream, node: trio.SocketStream, asked: dict[int, Sign]) -> None:
        while frame := await _frame(signer):
            answer = decode_answer(frame[LENGTH.size :])
            if isinstance(answer, Signed):
                request = asked[answer.number]
                key = (request.kind, request.height, request.round)
                self.signatures.setdefault(key, set()).add((request.value, answer.signature))
            self._frames += 1
            if self.cut_every is not None and self._frames % self.cut_every == 0:
                await node.send_all(frame[: len(frame) // 2])
                return
            await node.send_all(frame)


async def _frame(stream: trio.SocketStream) -> bytes:
    data = b""
    while len(data) < LENGTH.size or len(data) < LENGTH.size + LENGTH.unpack(data[: LENGTH.size])[0]:
        wanted = LENGTH.size if len(data) < LENGTH.size else LENGTH.size + LENGTH.unpack(data[: LENGTH.size])[0]
        more = await stream.receive_some(wanted - len(data))
        if not more:
            return b""
        data += more
    return data


def is_in_memory(pid: int, secret: bytes) -> bool:
    """Whether the process has these bytes, or their hex digits, anywhere in its memory, in either order of bytes."""
    wanted = (secret, secret[::-1], secret.hex().encode())
    overlap = max(map(len, wanted))
    with Path(f"/proc/{pid}/maps").open() as maps, Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for line in maps:
            span, rights = line.split()[:2]
            if not rights.startswith("rw"):
                continue
            start, end = (int(part, 16) for part in span.split("-"))
            tail = b""
            with suppress(OSError, ValueError):  # Regions of the kernel's, which nobody may read.
                memory.seek(start)
                while start < end:
                    chunk = memory.read(min(end - start, 16_777_216))
                    if not chunk:
                        break
                    start += len(chunk)
                    if any(each in tail + chunk for each in wanted):
                        return True
                    tail = chunk[-overlap:]
    return False


def log_lines(process: NodeProcess) -> list[dict[str, object]]:
    """Its log, as far as it is JSON."""
    lines = []
    for line in process.log_path.read_text().splitlines():
        with suppress(ValueError):
            lines.append(json.loads(line))
    return lines
