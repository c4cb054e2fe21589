"""A machine whose /etc/resolv.conf has no name server can import py-libp2p, and dial addresses that are numbers."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import builtins, io

open_file = builtins.open

def open_without_name_servers(path, *args, **kwargs):
    if path == "/etc/resolv.conf":
        return io.StringIO("search example.org\\n")
    return open_file(path, *args, **kwargs)

builtins.open = open_without_name_servers

import dns.resolver
try:
    dns.resolver.Resolver()
except dns.resolver.NoResolverConfiguration:
    pass
else:
    raise SystemExit("the script does not pretend what it should")

import trio
from p2p.libp2p_network import open_libp2p_network
from p2p.libp2p_settings import Libp2pSettings

async def main():
    async with open_libp2p_network(Libp2pSettings(private_key=bytes([1] * 32))) as one:
        await one.start()
        async with open_libp2p_network(Libp2pSettings(private_key=bytes([2] * 32))) as two:
            await two.start()
            await two.connect(one.listen_addresses[0])
            print(two.peers() == (one.peer_id,))

trio.run(main)
"""


def test_a_machine_without_a_name_server_can_run_a_node() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=120, check=False)
    assert (done.stdout, done.stderr) == ("True\n", "")
