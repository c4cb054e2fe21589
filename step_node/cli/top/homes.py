"""Where the nodes of a home, or of a devnet's homes, are to be asked, and by which certificate they are known."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from step_node.cli.error_lines import CommandError
from step_node.home.config import load_config
from step_node.home.making import network_homes
from step_node.home.paths import NodeHome

HANDSHAKE_SECONDS_MAX: Final = 2.0
_STANDS_IN: Final = "https://hidden@localhost/0"
"""For each secret. It has the form of a DSN, since the settings ask that of one of them."""
DEVNET_CERTIFICATE: Final = Path("tls", "certificate.pem")


@dataclass(frozen=True, slots=True)
class HomeOfNode:
    """A node on this machine: its home, its API, and the file with its certificate if it speaks TLS."""

    root: Path
    url: str
    certificate: Path | None


def homes_in(root: Path, nodes_max: int) -> list[HomeOfNode]:
    """The node in `root`, or all nodes of the devnet there. Raises CommandError."""
    own = NodeHome(root)
    if own.config.is_file():
        return [_home_of(own, None)]
    homes = [one for one in network_homes(root, nodes_max) if one.config.is_file()]
    if not homes:
        raise CommandError(f"--home: {root}: is neither a node's home, which has a config.toml, nor a devnet's")
    made = root / DEVNET_CERTIFICATE
    return [_home_of(one, made if made.is_file() else None) for one in homes]


def _home_of(home: NodeHome, of_devnet: Path | None) -> HomeOfNode:
    # No secret is wanted here, so no file of one is opened, and no command run.
    api = load_config(home.config, read=lambda _place, _home: _STANDS_IN).api
    if api.port == 0:
        raise CommandError(f"{home.config}: api.port is 0, a port that the system chooses; name the node by --url")
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(api.host, api.host)
    certificate = None if api.tls_certificate is None else home.root / api.tls_certificate
    if certificate is None and of_devnet is not None and _speaks_tls(host, api.port):
        # A devnet is told of TLS at its start, not by its nodes' settings; its certificate is there ever after.
        certificate = of_devnet
    scheme = "http" if certificate is None else "https"
    return HomeOfNode(home.root, f"{scheme}://{f'[{host}]' if ':' in host else host}:{api.port}", certificate)


def _speaks_tls(host: str, port: int) -> bool:
    """Whether what listens there answers a handshake; whom it belongs to is seen when it is asked something."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with (
            socket.create_connection((host, port), timeout=HANDSHAKE_SECONDS_MAX) as plain,
            context.wrap_socket(plain),
        ):
            return True
    except OSError:
        return False
