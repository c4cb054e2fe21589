"""`step-node signer`: keep a validator's key, and sign for its node, until a signal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from step_node.cli.keys_commands import PasswordFileOption
from step_node.cli.start_command import HEIGHT_MAX, HISTORY_PANEL

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from step_node.signer.daemon import SignerStarted


def signer(
    home: Annotated[
        Path,
        typer.Option(metavar="DIR", help="The signer's home: genesis.json, keystores in keys/, histories in data/."),
    ],
    listen: Annotated[
        str,
        typer.Option(metavar="ADDRESS", help="unix:/path/of/a/socket, of mode 0600; or tls://host:port."),
    ],
    certificate: Annotated[
        Path | None, typer.Option(metavar="FILE", help="For tls://: the signer's certificate, in PEM.")
    ] = None,
    key: Annotated[Path | None, typer.Option(metavar="FILE", help="For tls://: its key (mode 0600), in PEM.")] = None,
    node_certificates: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="For tls://: the certificates of the nodes that may connect, in PEM."),
    ] = None,
    password_file: PasswordFileOption = None,
    new_signing_history: Annotated[
        bool,
        typer.Option(
            "--new-signing-history",
            help="Say that the key in keys/validator.json has never signed on this chain: its history is begun.",
            rich_help_panel=HISTORY_PANEL,
        ),
    ] = False,
    lost_signing_history: Annotated[
        bool,
        typer.Option(
            "--lost-signing-history",
            help="Say that it may have signed and its history is lost, or cannot be true: its node follows the chain,"
            " and the key signs again once all that it can have signed is final. Say it once.",
            rich_help_panel=HISTORY_PANEL,
        ),
    ] = False,
    sign_from_height: Annotated[
        int | None,
        typer.Option(
            metavar="HEIGHT",
            min=1,
            max=HEIGHT_MAX,
            help="Say that it has signed nothing at this height or above, and end the waiting. If that is wrong, the"
            " key contradicts itself and half its stake is gone. Say it once.",
            rich_help_panel=HISTORY_PANEL,
        ),
    ] = None,
    log_format: Annotated[
        Literal["console", "json"], typer.Option(help="How the log is written to standard error.")
    ] = "console",
    stop_with_stdin: Annotated[
        bool, typer.Option("--stop-with-stdin", help="Also stop when standard input ends, as it does with its parent.")
    ] = False,
) -> None:
    """Keep a validator's key, its double-sign guard and its history, and sign for one node, until a signal.

    The node has no key then: its config.toml names this signer in the section "signer". Each key signs for one node at
    a time; a second one is refused. docs/remote-signer.md tells how to move a key here.

    Example: step-node signer --home signer --listen unix:/run/step/signer.sock
    """
    from functools import partial

    import trio

    from step_node.chain.genesis import load_genesis
    from step_node.cli.passwords import find_password
    from step_node.clock import SystemClock
    from step_node.home.config import LogConfig
    from step_node.home.paths import NodeHome
    from step_node.node.line_writer import STANDARD_OUTPUT, LineWriter, hold_standard_descriptors
    from step_node.node.logging import logging_set_up
    from step_node.node.signing_history import HistoryWord
    from step_node.signer.daemon import run_signer
    from step_node.signing.keystore import PASSWORD_ENVIRONMENT_VARIABLE
    from step_node.signing.remote.address import PinnedTls, TlsAddress, parse_signer_address

    try:
        word = HistoryWord(new_signing_history, lost_signing_history, sign_from_height)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    address, tls = parse_signer_address(listen), None
    if isinstance(address, TlsAddress):
        if certificate is None or key is None or node_certificates is None:
            raise typer.BadParameter("tls:// needs --certificate, --key and --node-certificates")
        tls = PinnedTls(certificate, key, node_certificates)
    elif certificate is not None or key is not None or node_certificates is not None:
        raise typer.BadParameter("certificates are for tls://; a socket of this machine has none")
    signer_home = NodeHome(home)
    genesis = load_genesis(signer_home.genesis)
    if password_file is None and signer_home.password.exists() and not _is_set(PASSWORD_ENVIRONMENT_VARIABLE):
        password_file = signer_home.password
    password = find_password(password_file, purpose=f"of {signer_home.validator_keystore}")
    run = partial(
        run_signer, signer_home, genesis, listen=address, tls=tls, password=password, word=word, clock=SystemClock()
    )
    hold_standard_descriptors()
    with logging_set_up(LogConfig(format=log_format)), LineWriter(STANDARD_OUTPUT, name="output") as output:
        trio.run(_run_until_signal, run, output.say, stop_with_stdin)
        output.say("stopped")


def _is_set(variable: str) -> bool:
    import os

    return variable in os.environ


async def _run_until_signal(
    run: Callable[..., Awaitable[None]], say: Callable[[str], None], stop_with_stdin: bool
) -> None:
    import signal

    import trio

    from step_node.cli.signals import cancelled_by_signals
    from step_node.cli.start_command import cancel_at_end_of_input

    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # It outlives the terminal, and has no settings to be read again.
    with trio.CancelScope() as scope, cancelled_by_signals(scope):
        async with trio.open_nursery() as nursery:
            if stop_with_stdin:
                nursery.start_soon(cancel_at_end_of_input, scope)
            started: SignerStarted = await nursery.start(run)
            say(f"signer   {started.address}")
            say(f"key      0x{started.validator.hex()}")
            say("Running; Ctrl-C stops it.")
