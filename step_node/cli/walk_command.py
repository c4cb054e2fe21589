"""`step-node walk`: prove a recorded track, as if it were walked now."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from step_node.cli.keys_commands import PasswordFileOption
from step_node.cli.numbers import plain_float
from step_node.cli.output import console, plain, print_json, print_table
from step_node.cli.owner_calls import DEFAULT_URL

if TYPE_CHECKING:
    from step_node.cli.walk_plan import WalkPlan
    from step_node.cli.walking import Proven, WalkAccount
    from step_node.client import NodeRules, StepClient

INTERRUPTED = 130
SPEED_UP_MAX = 1_000.0
PLACES_SHOWN_MAX = 5
"""Of the points that one reason left out; --json has them all."""


def walk(
    gpx: Annotated[
        Path, typer.Option("--gpx", metavar="FILE", help="The track: GPX, GeoJSON (LineString with times), or NMEA.")
    ],
    url: Annotated[
        list[str] | None,
        typer.Option(
            metavar="URL", help=f"A node's API; give several to go on where one fails.  [default: {DEFAULT_URL}]"
        ),
    ] = None,
    speed_up: Annotated[
        float,
        typer.Option(parser=plain_float, metavar="NUMBER", help="Walk it so many times as fast as it was recorded."),
    ] = 1.0,
    accuracy: Annotated[
        float, typer.Option(parser=plain_float, metavar="NUMBER", help="Accuracy of the positions in metres.")
    ] = 5.0,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be proven; without --url, by the default rules.")
    ] = False,
    keystore: Annotated[Path | None, typer.Option(metavar="FILE", help="The account's encrypted keystore.")] = None,
    key_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The account's key in the clear, 64 hex digits (mode 0600).")
    ] = None,
    password_file: PasswordFileOption = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object for each proof, and one for the walk.")
    ] = False,
) -> None:
    """Submit a recorded track as proofs: each point when its time comes, in the triangle that is active there.

    The track is walked again from now on. Of its points those are proven that lie a moratorium apart (10 s) and are not
    faster than the chain allows (15 m/s); the account at the end says what became of all of them, and why.

    --speed-up N divides the waiting by N. The chain sees the same way in less time, so whatever was faster than its
    limit divided by N would be refused as TOO_FAST, and is left out: a walk at 1.5 m/s can be sped up by 10, a bicycle
    by 2. --dry-run says how far this track can be.

    Ctrl-C ends the walk with the account of what is done. The exit status is 0 if every proof is final, 1 if one is
    not, 130 if interrupted.

    Example: step-node walk --gpx hike.gpx --key-file me.key --dry-run

    Example: step-node walk --gpx hike.gpx --key-file me.key --speed-up 5
    --url http://127.0.0.1:8600 --url http://127.0.0.1:8601
    """
    from step_node.cli.error_lines import CommandError
    from step_node.cli.keys_commands import load_private_key
    from step_node.cli.track_files import read_track
    from step_node.cli.walk_plan import plan_walk
    from step_node.cli.walking import WalkAccount
    from step_node.client import BadPosition, Position, StepClient

    if not 0 < speed_up <= SPEED_UP_MAX:
        raise typer.BadParameter(f"must be above 0, and at most {SPEED_UP_MAX:g}", param_hint="--speed-up")
    try:
        Position(1.0, 1.0, accuracy)
    except BadPosition as error:
        raise CommandError(f"--accuracy: {error.rule}") from error
    points = read_track(gpx)
    if dry_run and url is None:
        plan = plan_walk(points, default_rules(), speed_up=speed_up)
        _tell_plan(plan, len(points), speed_up, as_json=as_json)
        return
    key = None if dry_run else load_private_key(keystore, key_file, password_file)
    try:
        client = StepClient(url or [DEFAULT_URL], key=key)
    except ValueError as error:
        raise CommandError(f"--url: {error}") from error
    with client:
        plan = plan_walk(points, client.rules(), speed_up=speed_up)
        if dry_run:
            _tell_plan(plan, len(points), speed_up, as_json=as_json)
            return
        if not as_json:
            _tell_plan(plan, len(points), speed_up, as_json=False)
        account = WalkAccount()
        exit_status = _walk(client, plan, account, accuracy, as_json=as_json)
    _tell_account(plan, account, as_json=as_json)
    raise typer.Exit(exit_status or (0 if len(account.final) == len(plan.steps) else 1))


def _walk(client: StepClient, plan: WalkPlan, account: WalkAccount, accuracy: float, *, as_json: bool) -> int:
    """Walk, with live progress on standard error; 130 if interrupted, else 0."""
    import time

    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from step_node.cli.walking import walk as walk_on

    columns = (
        TextColumn("proven"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=console(stderr=True), disable=as_json) as progress:
        task = progress.add_task("", total=len(plan.steps))

        def waiting(seconds: float) -> None:
            refused = len(account.outcomes) - len(account.final)
            next_one = f"next in {math.ceil(seconds)} s" if seconds else "waiting for finality"
            progress.update(task, description=f"{account.earned} STEP, {refused} refused; {next_one}")

        def report(one: Proven) -> None:
            progress.advance(task)
            if as_json:
                print_json(_proven_json(one))

        try:
            walk_on(client, plan, account, accuracy_m=accuracy, sleep=time.sleep, report=report, waiting=waiting)
        except KeyboardInterrupt:
            return INTERRUPTED
    return 0


def default_rules() -> NodeRules:
    """The rules of a chain with the protocol's parameters."""
    from step_node.client import NodeRules
    from step_node.parameters import Parameters

    defaults = Parameters()
    return NodeRules(
        chain_id="",
        accuracy_max_m=defaults.gps_max_accuracy_m,
        speed_limit_mps=defaults.speed_limit_mps,
        speed_horizon_ms=defaults.speed_horizon_ms,
        moratorium_ms=defaults.moratorium_ms,
        proof_max_age_ms=defaults.proof_max_age_ms,
        seeded_level=defaults.seeded_level,
        wait_ms_max=0,
        batch_submissions_max=1,
        batch_body_bytes_max=0,
        submissions_per_minute=None,
        account_submissions_per_minute=None,
        node_time_ms=0,
        all={},
    )


def _plan_json(plan: WalkPlan, points: int, speed_up: float) -> dict[str, object]:
    speed_up_max = plan.speed_up_max
    return {
        "points": points,
        "proofs": len(plan.steps),
        "seconds": plan.seconds,
        "speed_up": speed_up,
        "fastest_mps": round(plan.fastest_mps, 3),
        "speed_up_max": None if speed_up_max is None or math.isinf(speed_up_max) else round(speed_up_max, 3),
        "left_out": {
            "without_fix": plan.without_fix,
            "too_soon": plan.too_soon,
            "too_fast": [point.place for point in plan.too_fast],
        },
    }


def _tell_plan(plan: WalkPlan, points: int, speed_up: float, *, as_json: bool) -> None:
    if as_json:
        print_json(_plan_json(plan, points, speed_up))
        return
    minutes, seconds = divmod(round(plan.seconds), 60)
    typer.echo(f"{points} points: {len(plan.steps)} proofs, in {minutes} min {seconds} s")
    if plan.too_soon:
        typer.echo(f"  {plan.too_soon} are left out: sooner after another than the chain's moratorium")
    if plan.without_fix:
        typer.echo(f"  {plan.without_fix} are left out: 0, 0 is what receivers record without a fix")
    if plan.too_fast:
        shown = ", ".join(plain(point.place) for point in plan.too_fast[:PLACES_SHOWN_MAX])
        more = len(plan.too_fast) - PLACES_SHOWN_MAX
        typer.echo(
            f"  {len(plan.too_fast)} are left out: too fast for the chain's speed rule, which would refuse them as"
            f" TOO_FAST ({shown}{f', and {more} more' if more > 0 else ''})"
        )
    if plan.speed_up_max is not None and plan.fastest_mps:
        typer.echo(
            f"  the fastest stretch is {plan.fastest_mps:.1f} m/s: up to about --speed-up"
            f" {math.floor(plan.speed_up_max * 10) / 10:g} nothing is too fast"
        )


def _proven_json(one: Proven) -> dict[str, object]:
    from step_node.client import Finalised

    said: dict[str, object] = {"place": one.step.point.place, "lat": one.step.point.lat, "lon": one.step.point.lon}
    if isinstance(one.outcome, Finalised):
        final = one.outcome
        return said | {
            "status": "finalised",
            "proof_id": final.proof_id,
            "reward": str(final.reward),
            "triangle_id": final.triangle_id,
            "height": final.height,
        }
    return said | {
        "status": "refused",
        "code": one.outcome.code,
        "message": one.outcome.message,
        "details": dict(one.outcome.details),
    }


def _tell_account(plan: WalkPlan, account: WalkAccount, *, as_json: bool) -> None:
    from step_node.explanations.codes import BY_CODE

    refused = account.refused
    if as_json:
        print_json(
            {
                "planned": len(plan.steps),
                "finalised": len(account.final),
                "earned": str(account.earned),
                "refused": {code: len(those) for code, those in sorted(refused.items())},
                "not_begun": len(plan.steps) - len(account.outcomes),
            }
        )
        return
    typer.echo(f"{len(account.final)} of {len(plan.steps)} proofs are final, and earned {account.earned} STEP")
    if len(account.outcomes) < len(plan.steps):
        typer.echo(f"{len(plan.steps) - len(account.outcomes)} were not begun")
    if not refused:
        return
    rows = [(step.point.place, code, error.message) for code, those in sorted(refused.items()) for step, error in those]
    print_table(("point", "code", "why"), rows)
    for code in sorted(refused):
        if code in BY_CODE:
            typer.echo(f"{code}: {BY_CODE[code].advice}")
