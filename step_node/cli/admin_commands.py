"""`step-node admin`: commands to a running node, by the socket in its home. They are in `cli.admin`, by subject."""

from __future__ import annotations

import typer

from step_node.cli.admin import guardrails, insight, peers, switches, upkeep

app = typer.Typer(
    no_args_is_help=True,
    help="Command a running node, by the socket in its home. Each command but log is recorded there, in"
    " data/admin_audit.log.",
)

app.command("pause-intake")(switches.pause_intake)
app.command("resume")(switches.resume)
app.command("switches")(switches.switches)
app.command("intake-share")(switches.intake_share)
app.command("guardrails")(guardrails.guardrails)
app.command("set-log-level")(insight.set_log_level)
app.command("peers")(peers.peers)
app.command("ban")(peers.ban)
app.command("unban")(peers.unban)
app.command("add-peer")(peers.add_peer)
app.command("drop-peer")(peers.drop_peer)
app.command("reload")(upkeep.reload)
app.command("prune")(upkeep.prune)
app.command("snapshot")(upkeep.snapshot)
app.command("consensus")(insight.consensus)
app.command("log")(insight.log)
app.command("debug-bundle")(insight.debug_bundle)
