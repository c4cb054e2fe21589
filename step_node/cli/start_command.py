"""`step-node start`: run a node until a signal stops it."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from step_node.cli.config_commands import SetOption
from step_node.cli.error_lines import CommandError
from step_node.cli.keys_commands import PasswordFileOption

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import trio

    from step_node.chain.genesis import Genesis
    from step_node.home.config import NodeConfig
    from step_node.home.keys import NodeKeys
    from step_node.home.paths import NodeHome
    from step_node.node.logging import TellError
    from step_node.node.node import Node
    from step_node.node.opening import StartOptions
    from step_node.node.parts import NodeParts
    from step_node.node.reload import Reloader
    from step_node.node.start import NodeStarted

    NodeMaker = Callable[[NodeKeys, NodeParts], Node]


HEIGHT_MAX = 2**63 - 1
"""That of `signing.history`, which is too heavy to be imported for a help text."""
HISTORY_PANEL = "What you know of the key's past, once"


def start(
    home: Annotated[Path, typer.Option(metavar="DIR", help="The node's home, as `init` or `testnet` made it.")],
    password_file: PasswordFileOption = None,
    stop_with_stdin: Annotated[
        bool, typer.Option("--stop-with-stdin", help="Also stop when standard input ends, as it does with its parent.")
    ] = False,
    check_doppelganger: Annotated[
        float,
        typer.Option(
            metavar="SECONDS",
            min=0,
            max=3_600,
            help="Catch up, then listen for so long whether another process signs with this key; only then sign.",
        ),
    ] = 0.0,
    new_signing_history: Annotated[
        bool,
        typer.Option(
            "--new-signing-history",
            help="Say that the validator's key has never signed on this chain: its history is begun.",
            rich_help_panel=HISTORY_PANEL,
        ),
    ] = False,
    lost_signing_history: Annotated[
        bool,
        typer.Option(
            "--lost-signing-history",
            help="Say that the key may have signed and its history is lost, or cannot be true: the node follows the"
            " chain, and signs again by itself once all that the key can have signed is final. Say it once.",
            rich_help_panel=HISTORY_PANEL,
        ),
    ] = False,
    sign_from_height: Annotated[
        int | None,
        typer.Option(
            metavar="HEIGHT",
            min=1,
            max=HEIGHT_MAX,
            help="Say that the key has signed nothing at this height or above, and end the waiting. If that is wrong,"
            " the key contradicts itself and half its stake is gone. For a chain that cannot go on without it: one or"
            " two validators, or a third and more that lost their histories together. Say it once.",
            rich_help_panel=HISTORY_PANEL,
        ),
    ] = None,
    observer: Annotated[
        bool,
        typer.Option("--observer", help="Only observe: sign nothing, though this home has or had a validator's key."),
    ] = False,
    sets: SetOption = None,
) -> None:
    """Run a node until SIGINT or SIGTERM, which stop it cleanly; a second signal ends it at once.

    The keystore's password comes from --password-file, else from STEP_NODE_KEYSTORE_PASSWORD, else from the setting
    keystore.password, else from the home's own keys/password (which `testnet` writes), else it is asked for. Logs go to
    standard error, or to log.file. SIGHUP has the settings read again: what can change does, and the log tells.

    Exit status: 0 stopped by a signal, 1 an error the operator can act on, 2 wrong usage, 4 another process signs with
    this validator's key; a second signal ends the process with that signal's status.

    A home without a signing history of its key does not start: bring it with `step-node keys import-history`, or say
    one of the three words below.

    Example: step-node start --home node
    """
    from step_node.node.opening import StartOptions
    from step_node.node.signing_history import HistoryWord

    try:
        word = HistoryWord(new_signing_history, lost_signing_history, sign_from_height)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    options = StartOptions(check_doppelganger, word, observer)
    run_home(home, password_file, options=options, stop_with_stdin=stop_with_stdin, sets=tuple(sets or ()))


def run_home(
    home: Path,
    password_file: Path | None,
    *,
    options: StartOptions,
    stop_with_stdin: bool,
    make_node: NodeMaker | None = None,
    sets: Sequence[str] = (),
) -> None:
    """Run the node in `home` until a signal; `make_node` wires it otherwise than `step_node.node.node.Node` does."""
    import trio

    from step_node.chain.genesis import GenesisError, load_genesis
    from step_node.cli.end_lines import end_told
    from step_node.cli.signals import hang_ups_ignored
    from step_node.clock import SystemClock
    from step_node.home.config import load_settings
    from step_node.home.paths import NodeHome
    from step_node.node.admin.bundle import secrets_of
    from step_node.node.error_reports import error_reports
    from step_node.node.line_writer import STANDARD_OUTPUT, LineWriter, hold_standard_descriptors
    from step_node.node.logging import LOG_SETTINGS, logging_set_up
    from step_node.node.memory import share_heaps
    from step_node.node.reload import Reloader
    from step_node.node.start import node_secrets

    share_heaps()
    hold_standard_descriptors()
    node_home = NodeHome(home)
    config = _load_settings(node_home, sets)
    with logging_set_up(config.log, home=home) as log, LineWriter(STANDARD_OUTPUT, name="output") as output:
        # Whoever asks for JSON reads both outputs as one, as containers' logs are: no line may be of another form.
        is_json = config.log.format == "json"
        say = _inform if is_json else output.say
        with end_told(_log_errors, config.log), hang_ups_ignored(_warn):
            with _advice(GenesisError, _COPY_GENESIS):
                genesis = load_genesis(node_home.genesis)
            genesis.check_time(SystemClock().now_ms())
            has_key = not options.observer and config.signer.address is None
            keys = _load_keys(node_home, config, password_file, has_key=has_key)
            reloader = Reloader(config, lambda: load_settings(node_home.config, sets=sets).config)
            reloader.register(LOG_SETTINGS, log.prepare)
            parts = (node_home, config, genesis, keys, options, stop_with_stdin, make_node, reloader)

            def follow(tell: TellError | None) -> None:
                log.tell_error = tell

            known = (*secrets_of(config), *node_secrets(node_home, keys))
            with error_reports(config.telemetry.errors_dsn, secrets=known, follow=follow):
                trio.run(_run_until_signal, log.writer.close, say, *parts)
        say("stopped")


def _load_settings(home: NodeHome, sets: Sequence[str]) -> NodeConfig:
    """The settings; their errors are lines of JSON if that is the form of the log, as far as it can be known."""
    from step_node.cli.error_lines import errors_told
    from step_node.home.config import ConfigError, LogConfig, load_settings
    from step_node.node.logging import logging_set_up

    try:
        return load_settings(home.config, sets=sets).config
    except ConfigError as error:
        if not error.is_json:
            raise
        with logging_set_up(LogConfig(format="json")), errors_told(_log_errors):
            raise error from None


def _load_keys(home: NodeHome, config: NodeConfig, password_file: Path | None, *, has_key: bool) -> NodeKeys:
    import os

    from step_node.cli.passwords import find_password
    from step_node.home.keys import NodeKeys
    from step_node.home.rotation import next_keystore
    from step_node.signing.key_file import load_key_file
    from step_node.signing.keystore import PASSWORD_ENVIRONMENT_VARIABLE, load_keystore
    from step_node.signing.private_file import KeystoreError

    with _advice(KeystoreError, _PUT_BACK):
        p2p = load_key_file(home.p2p_key)
    if not has_key or not home.validator_keystore.exists():
        return NodeKeys(None, p2p)
    password = None
    if password_file is None and PASSWORD_ENVIRONMENT_VARIABLE not in os.environ:
        password = config.keystore.password
        if password is None and home.password.exists():
            password_file = home.password
    if password is None:
        password = find_password(password_file, purpose=f"of {home.validator_keystore}")
    password_of_both = password

    def following(address: bytes) -> bytes | None:
        keystore = next_keystore(home, address)
        return None if keystore is None else load_keystore(keystore, password_of_both)

    with _advice(KeystoreError, _PUT_BACK):
        return NodeKeys(load_keystore(home.validator_keystore, password), p2p, following)


_COPY_GENESIS = "copy the network's genesis.json into the home again, which is the same on every node"
_PUT_BACK = "if the file is damaged, put it back from your backup of the home's keys/"


@contextmanager
def _advice(kind: type[Exception], what_to_do: str) -> Iterator[None]:
    """Have an error of a file of the home say what its operator can do about it."""
    try:
        yield
    except kind as error:
        raise CommandError(f"{error}; {what_to_do}") from None


async def _run_until_signal(
    flush_log: Callable[[], None],
    say: Callable[[str], None],
    home: NodeHome,
    config: NodeConfig,
    genesis: Genesis,
    keys: NodeKeys,
    options: StartOptions,
    stop_with_stdin: bool,
    make_node: NodeMaker | None,
    reloader: Reloader,
) -> None:
    from functools import partial

    import trio

    from step_node.cli.signals import call_at_hang_ups, cancelled_by_signals
    from step_node.clock import SystemClock
    from step_node.node.memory import collect_by_the_clock, leave_alone_what_is_there
    from step_node.node.node import Node
    from step_node.node.start import run_node

    with trio.CancelScope() as scope, cancelled_by_signals(scope, say=_warn, before_the_end=flush_log):
        async with trio.open_nursery() as nursery:
            if stop_with_stdin:
                nursery.start_soon(cancel_at_end_of_input, scope)
            wired = Node if make_node is None else partial(make_node, keys)
            run = partial(run_node, home, config, genesis, keys, options=options, make_node=wired, reloader=reloader)
            started: NodeStarted = await nursery.start(run)
            nursery.start_soon(call_at_hang_ups, reloader.reload)
            leave_alone_what_is_there()
            nursery.start_soon(collect_by_the_clock)
            _tell(started, genesis.told_to_wait(SystemClock().now_ms()), say)


def _warn(text: str) -> None:
    import structlog

    structlog.get_logger("node").warning(text)


def _inform(text: str) -> None:
    import structlog

    structlog.get_logger("node").info(text)


def _log_errors(lines: Sequence[str]) -> None:
    import structlog

    for line in lines:
        structlog.get_logger("node").error("the node ends", reason=line)


async def cancel_at_end_of_input(scope: trio.CancelScope) -> None:
    """Cancel `scope` once standard input ends."""
    import trio

    # A thread rather than trio's own waiting: standard input may be a file, which the latter refuses.
    await trio.to_thread.run_sync(_read_to_the_end, abandon_on_cancel=True)
    scope.cancel()


def _read_to_the_end() -> None:
    import os

    while os.read(0, 4_096):
        pass


def _tell(started: NodeStarted, waits: str | None, say: Callable[[str], None]) -> None:
    status = started.status
    role = "observer" if status.validator_address is None else f"validator 0x{status.validator_address.hex()}"
    say(f"chain    {status.chain_id}, height {status.height}")
    if waits is not None and status.height == 0:
        say(f"genesis  {waits}; nothing is proposed until then")
    say(f"role     {role}")
    say(f"API      {started.api_url} (documentation at {started.api_url}/docs)")
    if started.app_url is not None:
        say(f"app      {started.app_url}")
    for address in status.p2p_addresses:
        say(f"libp2p   {address}")
    say(f"Running. `step-node status --url {started.api_url}` asks how it is; Ctrl-C stops it.")
