"""`step-node devnet`: a whole network on this machine, and walkers who use it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from step_node.cli.home_commands import VALIDATORS_DEFAULT, StoreChoice
from step_node.testing.devnet.misbehaviour import Misbehaviour

if TYPE_CHECKING:
    from rich.console import Console

    from step_node.testing.devnet.network import Devnet, DevnetSettings
    from step_node.testing.devnet.verdict import Verdict

VALIDATORS_MAX = 32
PROOFS_MAX = 100_000
WALKERS_DEFAULT = 12
"""About one proof a second."""
WALKERS_MAX = 200
INTERRUPTED = 130
VERDICT_SECONDS_MAX = 5.0
"""How long the honest nodes may take to notice a misbehaving one, and to slash it, once every proof is final."""
VALIDATORS_FOR_BYZANTINE_MIN = 4
"""Fewer have no quorum without the one that misbehaves."""


def devnet(
    validators: Annotated[
        int, typer.Option(min=1, max=VALIDATORS_MAX, help="How many nodes, each a validator.")
    ] = VALIDATORS_DEFAULT,
    store: Annotated[StoreChoice, typer.Option(help="Storage engine of all nodes.")] = StoreChoice.SQLITE,
    mongodb_uri: Annotated[
        str | None,
        typer.Option(metavar="URI", help="Replica set for --store mongodb.  [default: a throw-away one]"),
    ] = None,
    base_port: Annotated[
        int | None,
        typer.Option(
            metavar="PORT",
            min=0,
            max=65_535,
            help="APIs at PORT + i, libp2p at PORT + validators + i; 0 takes any free ones."
            "  [default: 8600, or free ones if those are in use]",
        ),
    ] = None,
    host: Annotated[
        str, typer.Option(metavar="HOST", help="Where the APIs listen; 0.0.0.0 lets other machines in.")
    ] = "127.0.0.1",
    tls: Annotated[
        bool,
        typer.Option("--tls", help="APIs over TLS, by a certificate made on the spot: phones want it for positions."),
    ] = False,
    home: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Keep the nodes' homes here, or go on with them.  [default: removed at the end]"
        ),
    ] = None,
    proofs: Annotated[
        int | None, typer.Option(min=1, max=PROOFS_MAX, help="Let walkers submit so many proofs, check, and stop.")
    ] = None,
    rate: Annotated[
        float | None, typer.Option(min=0.01, max=10_000, help="Proofs a second, with --proofs.  [default: no limit]")
    ] = None,
    walkers: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=WALKERS_MAX,
            help="How many simulated people walk and prove it while the network runs, without --proofs; 0 is none."
            f"  [default: {WALKERS_DEFAULT}]",
        ),
    ] = None,
    byzantine: Annotated[
        Misbehaviour | None, typer.Option(help="Let the last validator misbehave in this way.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Results as JSON on standard output, all else on standard error.")
    ] = False,
) -> None:
    """Run a network of validators on this machine: real processes on loopback, which find each other over libp2p.

    Without --proofs it runs until Ctrl-C, and simulated people walk about in cities and prove it: the web app, whose
    link comes first, shows them. With --proofs N simulated walkers submit N valid proofs, spread over the nodes; then
    every node is asked for every proof, and for its state root, and the network stops. The exit status is 0 only if all
    N are final on every node and the state roots are equal; 1 if not; 130 if interrupted before that.

    With --json the last line of standard output is one JSON object: submitted, finalised, rejected, proofs_per_second,
    finality_ms, height, state_roots_equal, validators; and byzantine, with --byzantine.

    With --host 0.0.0.0 the addresses of this machine are shown, and the app at the first as a QR code for a phone.
    Whoever reaches them may use the network, and its test accounts are everyone's.

    Example: step-node devnet --proofs 200
    """
    import trio

    from step_node.chain.new_chains import RULES_VERSION, named_version, new_chain_parameters
    from step_node.cli.mongodb_uri import check_mongodb_uri
    from step_node.testing.devnet.network import DevnetSettings

    if store is StoreChoice.SQLITE and mongodb_uri:
        raise typer.BadParameter("goes with --store mongodb", param_hint="--mongodb-uri")
    if mongodb_uri:
        check_mongodb_uri(mongodb_uri)
    if store is StoreChoice.MONGODB and home is not None and not mongodb_uri:
        raise typer.BadParameter(
            "keeps the nodes' data, and a throw-away replica set does not: give --mongodb-uri", param_hint="--home"
        )
    if rate is not None and proofs is None:
        raise typer.BadParameter("goes with --proofs", param_hint="--rate")
    if walkers is not None and proofs is not None:
        raise typer.BadParameter("is for a network that runs on, without --proofs", param_hint="--walkers")
    if byzantine is not None and validators < VALIDATORS_FOR_BYZANTINE_MIN:
        raise typer.BadParameter(
            f"needs {VALIDATORS_FOR_BYZANTINE_MIN} validators at least: fewer cannot go on without one of them",
            param_hint="--byzantine",
        )
    settings = DevnetSettings(
        validators=validators,
        store=store.value,
        mongodb_uri=mongodb_uri,
        base_port=base_port,
        home=home,
        parameters=new_chain_parameters(),
        protocol_version=named_version(RULES_VERSION),
        byzantine=byzantine,
        host=host,
        tls=tls,
    )
    raise typer.Exit(trio.run(_run, settings, proofs, rate, WALKERS_DEFAULT if walkers is None else walkers, as_json))


async def _run(settings: DevnetSettings, proofs: int | None, rate: float | None, walkers: int, as_json: bool) -> int:
    import trio

    from step_node.cli.output import console
    from step_node.cli.signals import cancelled_by_signals
    from step_node.testing.devnet.network import Devnet
    from step_node.testing.devnet.strolling import stroll

    screen = console(stderr=as_json)
    network = Devnet(settings, report=lambda line: screen.print(line, style="dim"))
    exit_status = INTERRUPTED if proofs else 0
    with trio.CancelScope() as scope, cancelled_by_signals(scope, before_the_end=network.kill_at_once):
        async with network, trio.open_nursery() as nursery:
            nursery.start_soon(network.watch)
            _print_banner(screen, network)
            if proofs is None:
                if as_json:
                    _print_ready(network)
                screen.print("[bold]Ctrl-C stops the network.[/bold]")
                await stroll(network.clients, network.genesis.parameters, walkers=walkers)
                await trio.sleep_forever()
            else:
                exit_status = await _walk(network, screen, proofs, rate, as_json)
            nursery.cancel_scope.cancel()
    screen.print("stopped", style="dim")
    return exit_status


async def _walk(network: Devnet, screen: Console, proofs: int, rate: float | None, as_json: bool) -> int:
    from step_node.cli.devnet_results import print_table, progress_of, summarise
    from step_node.cli.output import print_json
    from step_node.testing.devnet.agreement import check_agreement
    from step_node.testing.devnet.walkers import Walkers

    with progress_of(screen, proofs) as advance:
        walkers = Walkers(network.clients, network.genesis.parameters, proofs=proofs, rate=rate, report=advance)
        walked = await walkers.run()
    screen.print("asking every node for every proof", style="dim")
    agreement = await check_agreement(network.clients, [record.proof_id for record in walked.final])
    verdict = await _verdict(network)
    summary = summarise(walked, agreement, proofs=proofs, validators=len(network.nodes), verdict=verdict)
    print_table(screen, summary)
    sys.stderr.flush()
    if as_json:
        print_json(summary.as_json())
    return 0 if summary.is_success else 1


async def _verdict(network: Devnet) -> Verdict | None:
    from step_node.testing.devnet.verdict import verdict_on

    misbehaviour = network.settings.byzantine
    if misbehaviour is None:
        return None
    culprit = len(network.nodes) - 1
    return await verdict_on(
        culprit,
        network.genesis.validators[culprit].address,
        misbehaviour,
        network.clients,
        range(culprit),
        wait_seconds_max=VERDICT_SECONDS_MAX,
        want_slashed=misbehaviour is Misbehaviour.DOUBLE_SIGN,
    )


def _print_banner(screen: Console, network: Devnet) -> None:
    from step_node.api.web_app import app_url
    from step_node.cli.qr_code import qr_code
    from step_node.clock import SystemClock
    from step_node.testing.devnet.accounts import dev_accounts, example_request
    from step_node.testing.devnet.ports import LOOPBACK

    def line(text: str) -> None:
        screen.print(text, soft_wrap=True)

    genesis = network.genesis
    # Passkeys belong to a name, and not to an address.
    link = app_url(network.urls[0]).replace(f"//{LOOPBACK}:", "//localhost:")
    line(f"\n[bold]Open[/bold]  {link}  (the web app: a globe, a wallet, an explorer)")
    elsewhere = network.addresses(0)
    if elsewhere:
        line(f"[bold]For a phone[/bold] on this network: {app_url(elsewhere[0])}")
        screen.print(qr_code(app_url(elsewhere[0])), markup=False, highlight=False)
    line(f"\n[bold]STEP devnet[/bold]  chain {genesis.chain_id}, {len(network.nodes)} validators")
    line(f"homes and logs: {network.root}\n")
    line("[bold]Nodes[/bold]")
    for validator, url, node in zip(genesis.validators, network.urls, network.nodes, strict=True):
        line(f"  {node.index}  {url}  (documentation {url}/docs)")
        line(f"     validator {validator.address}")
        line(f"     peer id   {validator.p2p_address.rpartition('/')[2]}")
        for address in network.addresses(node.index):
            line(f"     elsewhere {address}")
    if network.certificate is not None:
        line("\n[bold]TLS[/bold]  browsers ask once; programs have to trust this (SSL_CERT_FILE=, curl --cacert):")
        line(f"  {network.certificate.certificate}")
    line("\n[bold]Test accounts[/bold]  [red]everyone knows these keys: never use them for anything of value[/red]")
    for index, account in enumerate(dev_accounts()):
        line(f"  {index}  {account.address}  key 0x{account.private_key.hex()}")
    if network.certificate is None:
        line("\n[bold]Watch it[/bold] in another terminal")
        line(f"  step-node top --home {network.root}")
    line("\n[bold]Try it[/bold]  (valid for the next five minutes)")
    request = example_request(
        network.urls[0],
        now_ms=SystemClock().now_ms(),
        level=min(10, genesis.parameters.seeded_level),
        certificate=None if network.certificate is None else network.certificate.certificate,
    )
    screen.print(request, soft_wrap=True, markup=False)
    line("")


def _print_ready(network: Devnet) -> None:
    from step_node.api.web_app import app_url
    from step_node.cli.output import print_json

    print_json(
        {
            "ready": True,
            "chain_id": network.genesis.chain_id,
            "urls": network.urls,
            "apps": [app_url(url) for url in network.urls],
            "addresses": [network.addresses(node.index) for node in network.nodes],
            "certificate": None if network.certificate is None else str(network.certificate.certificate),
            "home": str(network.root),
        }
    )
