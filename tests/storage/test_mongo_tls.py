"""A real mongod that wants TLS and a password: a node keeps its chain there, and nothing gets in without either."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote_plus

import pymongo
import pytest
import trio

from step_node.storage.interface import StorageError, StorageUnavailable
from step_node.storage.mongo import MongoStorage
from step_node.storage.mongo_replica_set import initiate_replica_set
from step_node.storage.open import MongoSettings, measure_store, open_storage
from step_node.testing.devnet.certificate import Certificate, certificate_for
from step_node.testing.devnet.ports import LOOPBACK, free_ports
from step_node.testing.mongod import find_mongod
from tests.storage.made_up_chain import MadeUpChain, assert_holds, begin
from tests.storage.made_up_snapshot import Exported

pytestmark = pytest.mark.slow

DATABASE: Final = "step"
PASSWORD: Final = "p@ss/word: of the node"


@dataclass(frozen=True)
class Guarded:
    """The server, with a user for one database."""

    port: int
    made: Certificate

    def uri(self, *, user: str | None = "step", password: str = PASSWORD, tls: bool = True) -> str:
        """As docs/mongodb.md writes it."""
        who = "" if user is None else f"{quote_plus(user)}:{quote_plus(password)}@"
        options = ["replicaSet=rs0", *(["authSource=admin"] if user is not None else [])]
        if tls:
            options += ["tls=true", f"tlsCAFile={quote_plus(str(self.made.certificate))}"]
        return f"mongodb://{who}{LOOPBACK}:{self.port}/?{'&'.join(options)}"


@pytest.fixture(scope="module")
def guarded() -> Iterator[Guarded]:
    try:
        binary = find_mongod()
    except StorageUnavailable as error:
        pytest.skip(str(error))
    with tempfile.TemporaryDirectory(prefix="step-mongod-tls-") as name:
        folder = Path(name)
        made = certificate_for(folder, [])
        both, key_file, data = folder / "both.pem", folder / "key-file", folder / "data"
        both.write_bytes(made.certificate.read_bytes() + made.key.read_bytes())
        key_file.write_text("c2VjcmV0b2ZvbmVzZXQ=")
        for path in (both, key_file):
            path.chmod(0o600)
        data.mkdir()
        server = Guarded(free_ports(1)[0].api, made)
        command = [
            *(str(binary), "--dbpath", str(data), "--logpath", str(folder / "log"), "--port", str(server.port)),
            *("--bind_ip", LOOPBACK, "--nounixsocket", "--replSet", "rs0", "--wiredTigerCacheSizeGB", "0.25"),
            *("--oplogSize", "990", "--auth", "--keyFile", str(key_file)),
            *("--tlsMode", "requireTLS", "--tlsCertificateKeyFile", str(both), "--tlsCAFile", str(made.certificate)),
            "--tlsAllowConnectionsWithoutCertificates",
        ]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        try:
            # Until there is a user, whoever is on the machine itself may make the set and the first one.
            trio.run(initiate_replica_set, server.uri(user=None))
            with pymongo.MongoClient[dict[str, Any]](server.uri(user=None), serverSelectionTimeoutMS=30_000) as client:
                client.admin.command("createUser", "admin", pwd=PASSWORD, roles=["root"])
            with pymongo.MongoClient[dict[str, Any]](server.uri(user="admin")) as client:
                roles = [{"role": "readWrite", "db": DATABASE}]
                client.admin.command("createUser", "step", pwd=PASSWORD, roles=roles)
                reads = [{"role": "read", "db": DATABASE}]
                client.admin.command("createUser", "reader", pwd=PASSWORD, roles=reads)
            yield server
        finally:
            process.kill()
            process.wait()


async def test_a_node_with_a_user_of_its_own_keeps_its_chain_over_tls(guarded: Guarded) -> None:
    made = MadeUpChain(seed=1)
    async with open_storage(MongoSettings(guarded.uri(), DATABASE)) as storage:
        await begin(storage, made)
        for _ in range(3):
            await storage.finalise(made.grow())
    async with open_storage(MongoSettings(guarded.uri(), DATABASE)) as storage:
        await assert_holds(storage, made)


@pytest.mark.parametrize(
    ("without", "told"),
    [
        ({"user": None}, "auth"),
        ({"password": "another"}, "Authentication failed"),
        ({"tls": False}, ""),
    ],
    ids=["user", "password", "TLS"],
)
async def test_nothing_gets_in_without(without: dict[str, Any], told: str, guarded: Guarded) -> None:
    uri = guarded.uri(**without) + "&serverSelectionTimeoutMS=1000"
    with pytest.raises(StorageError) as caught:
        await MongoStorage.open(uri, DATABASE, retry_max_s=0.5)
    assert told in str(caught.value)
    assert PASSWORD not in str(caught.value)
    assert quote_plus(PASSWORD) not in str(caught.value)


async def test_the_nodes_user_reaches_no_other_database(guarded: Guarded) -> None:
    with pytest.raises(StorageError, match="not authorized"):
        await MongoStorage.open(guarded.uri(), "another", retry_max_s=0.5)


async def test_who_only_reads_needs_the_rights_of_a_reader(guarded: Guarded) -> None:
    made, as_reader = MadeUpChain(seed=1), MongoSettings(guarded.uri(user="reader"), DATABASE, retry_max_s=0.5)
    async with open_storage(MongoSettings(guarded.uri(), DATABASE)) as storage:
        await begin(storage, made)
    async with open_storage(as_reader, only_reads=True) as storage:
        exported = Exported()
        await storage.export(exported)
        assert exported.head is not None
        assert await storage.totals()
    assert await measure_store(as_reader)
    with pytest.raises(StorageError, match="not authorized"):
        async with open_storage(as_reader):
            pass
