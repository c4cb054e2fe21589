"""What is on Grafana's dashboards: tables of panels, each with its title, what it tells, its unit and its queries.

`scripts.dashboards` writes the dashboards of it; run that after a change.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

Query: TypeAlias = tuple[str, str]
"""An expression, in which `@` stands for the nodes that are chosen, and the legend of what it gives."""


@dataclass(frozen=True)
class PanelPlan:
    """One panel: a curve, or with `kind` "figure" its last value alone. `unit` is one of Grafana's."""

    title: str
    tells: str
    unit: str
    queries: tuple[Query, ...]
    kind: Literal["curve", "figure"] = "curve"


@dataclass(frozen=True)
class DashboardPlan:
    """One dashboard, `name` that of its file."""

    name: str
    title: str
    tells: str
    panels: tuple[PanelPlan, ...]


def _quantiles(metric: str, *, by: str = "") -> tuple[Query, ...]:
    """The median, the ninth tenth and the last hundredth of a histogram, over all nodes that are chosen."""
    label = "".join(f" {{{{{name}}}}}" for name in (by,) if name)
    labels = ", ".join(filter(None, ("le", by)))
    return tuple(
        (
            f"histogram_quantile({share}, sum by ({labels}) (rate({metric}_bucket@[$__rate_interval])))",
            f"p{name}{label}",
        )
        for share, name in ((0.5, "50"), (0.9, "90"), (0.99, "99"))
    )


def _rate(metric: str, *by: str) -> str:
    return f"sum by ({', '.join(by)}) (rate({metric}@[$__rate_interval]))"


NETWORK: Final = DashboardPlan(
    "network",
    "STEP: network",
    "Is the chain moving, how fast, who votes, who is connected to whom.",
    (
        PanelPlan("Height", "The last finalised height.", "none", (("max(step_height@)", "height"),), "figure"),
        PanelPlan(
            "Since the last batch",
            "An idle chain makes no batches.",
            "s",
            (("time() - max(step_last_batch_timestamp_seconds@)", "seconds"),),
            "figure",
        ),
        PanelPlan("Validators", "Members of the set.", "none", (("max(step_validators@)", "validators"),), "figure"),
        PanelPlan("Nodes that answer", "Of the chosen ones.", "none", (("sum(up@)", "up"),), "figure"),
        PanelPlan("Heights", "Nodes at the head lie on one line.", "none", (("step_height@", "{{instance}}"),)),
        PanelPlan(
            "Undecided for",
            "How long something has waited at the present height; beyond 30 s the chain stands still.",
            "s",
            (("step_height_undecided_seconds@", "{{instance}}"),),
        ),
        PanelPlan(
            "Batches", "Finalised a second.", "ops", (("instance:step_batches_finalised:rate5m@", "{{instance}}"),)
        ),
        PanelPlan(
            "Proofs", "Finalised a second.", "ops", (("instance:step_proofs_finalised:rate5m@", "{{instance}}"),)
        ),
        PanelPlan(
            "Finality",
            "From a proof's acceptance on a node to its finality there.",
            "s",
            _quantiles("step_proof_finality_seconds"),
        ),
        PanelPlan(
            "Round",
            "Of the height that is being decided; above 0, a proposer is away or late.",
            "none",
            (("step_consensus_round@", "{{instance}}"),),
        ),
        PanelPlan(
            "Failed rounds",
            "Left undecided, a second.",
            "ops",
            ((_rate("step_consensus_rounds_failed_total", "instance"), "{{instance}}"),),
        ),
        PanelPlan(
            "Validators without a vote",
            "Commits in a row that lack each validator's vote.",
            "none",
            (("max by (validator) (step_validator_absent_batches@)", "{{validator}}"),),
        ),
        PanelPlan(
            "Validators connected",
            "How many of the chosen nodes are connected to each.",
            "none",
            (("sum by (validator) (step_validator_connected@)", "{{validator}}"),),
        ),
        PanelPlan(
            "Peers",
            "Members of the set, others, and those that have not greeted yet.",
            "none",
            (("sum by (instance, role) (step_peers_by_role@)", "{{instance}} {{role}}"),),
        ),
        PanelPlan("Mempool", "Proofs that wait.", "none", (("step_mempool_proofs@", "{{instance}}"),)),
    ),
)

VALIDATOR: Final = DashboardPlan(
    "validator",
    "STEP: validator",
    "Does our validator do its work, and is it in danger.",
    (
        PanelPlan(
            "In the set", "1: it is a member.", "none", (("step_own_in_validator_set@", "{{instance}}"),), "figure"
        ),
        PanelPlan("Jailed", "1: it is.", "none", (("step_own_jailed@", "{{instance}}"),), "figure"),
        PanelPlan(
            "Ready", "1: clients' traffic may be sent here.", "none", (("step_ready@", "{{instance}}"),), "figure"
        ),
        PanelPlan("Stake", "In STEP.", "none", (("step_own_stake_ustep@ / 1e6", "{{instance}}"),), "figure"),
        PanelPlan(
            "Missed votes",
            "Commits in batches of the last five minutes that lack our vote.",
            "none",
            (("increase(step_own_votes_missed_total@[5m])", "{{instance}}"),),
        ),
        PanelPlan(
            "Missed in a row",
            "Commits in a row that lack our vote.",
            "none",
            (("step_own_absent_batches@", "{{instance}}"),),
        ),
        PanelPlan(
            "What is wrong",
            "Reasons of /health that hold now, by code; all at 0 is well.",
            "none",
            (("sum by (instance, code) (step_health_reason@)", "{{instance}} {{code}}"),),
        ),
        PanelPlan(
            "Clock",
            "Ahead of other validators' (negative: behind).",
            "s",
            (("step_clock_ahead_seconds@", "{{instance}}"),),
        ),
        PanelPlan(
            "Signatures refused",
            "What the guard against double signing has refused since the start.",
            "none",
            (("step_double_signs_refused_total@", "{{instance}}"),),
        ),
        PanelPlan(
            "Slashed",
            "Punishments in finalised batches, of any validator.",
            "none",
            (("max by (kind) (step_validators_slashed_total@)", "{{kind}}"),),
        ),
        PanelPlan(
            "Contradictions seen",
            "Of any validator, by kind of evidence.",
            "none",
            (("max by (kind) (step_equivocations_seen_total@)", "{{kind}}"),),
        ),
        PanelPlan("Evidence that waits", "For a batch.", "none", (("step_evidence_waiting@", "{{instance}}"),)),
        PanelPlan(
            "Batches found invalid", "Proposed by others.", "none", (("step_batches_refused_total@", "{{instance}}"),)
        ),
        PanelPlan(
            "Proposals in outline",
            "Lacking: proofs reach this node late.",
            "ops",
            ((_rate("step_proposal_outlines_total", "instance", "outcome"), "{{instance}} {{outcome}}"),),
        ),
    ),
)

INTERNALS: Final = DashboardPlan(
    "node-internals",
    "STEP: node internals",
    "Processor, memory, descriptors, event loop, gossip and log.",
    (
        PanelPlan(
            "Up for",
            "Since the start of the process.",
            "s",
            (("time() - process_start_time_seconds@", "{{instance}}"),),
            "figure",
        ),
        PanelPlan(
            "Version",
            "What runs.",
            "none",
            (("step_build_info@", "{{instance}}: {{version}}, Python {{python}}"),),
            "figure",
        ),
        PanelPlan(
            "Upgrade needed",
            "1: the validators have agreed on rules that this release does not know.",
            "none",
            (('step_health_reason@{code="UPGRADE_NEEDED"}', "{{instance}}"),),
            "figure",
        ),
        PanelPlan(
            "Rules in force",
            "The version of the protocol's rules, by which batches are judged.",
            "none",
            (("step_protocol_version@", "{{instance}}"),),
            "figure",
        ),
        PanelPlan(
            "Processor",
            "Seconds of a processor, a second.",
            "percentunit",
            (("rate(process_cpu_seconds_total@[$__rate_interval])", "{{instance}}"),),
        ),
        PanelPlan("Memory", "Resident.", "bytes", (("process_resident_memory_bytes@", "{{instance}}"),)),
        PanelPlan(
            "Descriptors",
            "Files and sockets that are open, and how many may be.",
            "none",
            (("process_open_fds@", "{{instance}}"), ("process_max_fds@", "{{instance}} at most")),
        ),
        PanelPlan("Tasks", "Of the event loop.", "none", (("step_tasks@", "{{instance}}"),)),
        PanelPlan(
            "Event loop's lag",
            "By how much a task that had slept was woken too late.",
            "s",
            (
                ("instance:step_event_loop_lag_seconds:p99_5m@", "{{instance}} p99"),
                *_quantiles("step_event_loop_lag_seconds"),
            ),
        ),
        PanelPlan(
            "Gossip",
            "Bytes a second by topic.",
            "Bps",
            ((_rate("step_gossip_bytes_total", "topic", "direction"), "{{topic}} {{direction}}"),),
        ),
        PanelPlan(
            "Gossip's messages",
            "A second by topic.",
            "ops",
            ((_rate("step_gossip_messages_total", "topic", "direction"), "{{topic}} {{direction}}"),),
        ),
        PanelPlan(
            "Thrown away by the network",
            "By reason.",
            "ops",
            ((_rate("step_network_drops_total", "reason"), "{{reason}}"),),
        ),
        PanelPlan(
            "Faults of peers",
            "That were charged, by fault; and peers that are banned.",
            "none",
            (
                ("sum by (fault) (increase(step_peer_penalties_total@[5m]))", "{{fault}}"),
                ("step_peers_banned@", "{{instance}} banned"),
            ),
        ),
        PanelPlan(
            "Streams",
            "Served now, and not let go of.",
            "none",
            (("step_p2p_streams_open@", "{{instance}} open"), ("step_p2p_streams_kept@", "{{instance}} kept")),
        ),
        PanelPlan(
            "Remembered by peer",
            "Of who is connected and who has gone; it must not grow for days.",
            "none",
            (("step_p2p_entries_by_peer@", "{{instance}}"),),
        ),
        PanelPlan(
            "Ignored by consensus",
            "Stale or duplicate inputs: no errors.",
            "ops",
            ((_rate("step_consensus_inputs_ignored_total", "reason"), "{{reason}}"),),
        ),
        PanelPlan(
            "Log",
            "Lines that were lost, by reason, and lines that were only counted.",
            "ops",
            (
                (_rate("step_log_lines_dropped_total", "reason"), "{{reason}}"),
                (_rate("step_log_lines_summed_up_total", "instance"), "{{instance}} summed up"),
            ),
        ),
    ),
)

STORAGE: Final = DashboardPlan(
    "storage",
    "STEP: storage",
    "How quick the store is, and how much room there is.",
    (
        PanelPlan(
            "Free",
            "On the file system of the node's data.",
            "bytes",
            (("step_disk_free_bytes@", "{{instance}}"),),
            "figure",
        ),
        PanelPlan(
            "Full to",
            "That file system.",
            "percentunit",
            (("1 - step_disk_free_bytes@ / step_disk_size_bytes@", "{{instance}}"),),
            "figure",
        ),
        PanelPlan(
            "Questions",
            "How long the store takes to answer for its head.",
            "s",
            _quantiles("step_store_answer_seconds"),
        ),
        PanelPlan("Batches", "How long the store takes to take a batch.", "s", _quantiles("step_store_write_seconds")),
        PanelPlan(
            "Slowest tenth by node",
            "Of the last five minutes.",
            "s",
            (
                ("instance:step_store_answer_seconds:p90_5m@", "{{instance}} questions"),
                ("instance:step_store_write_seconds:p90_5m@", "{{instance}} batches"),
            ),
        ),
        PanelPlan(
            "Tried again",
            "Calls that the store did not answer.",
            "ops",
            ((_rate("step_storage_retries_total", "instance"), "{{instance}}"),),
        ),
        PanelPlan("Room", "Free, by node.", "bytes", (("step_disk_free_bytes@", "{{instance}}"),)),
        PanelPlan(
            "Room in four days",
            "If it goes on as in the last six hours.",
            "bytes",
            (("predict_linear(step_disk_free_bytes@[6h], 4 * 86400)", "{{instance}}"),),
        ),
        PanelPlan(
            "Full in",
            "By how the home's files grew in the last day; nothing while they do not grow.",
            "s",
            (("step_disk_full_seconds@ < Inf", "{{instance}}"),),
        ),
        PanelPlan(
            "Used",
            "By each part of the home.",
            "bytes",
            (("sum by (instance, part) (step_disk_used_bytes@)", "{{instance}} {{part}}"),),
        ),
        PanelPlan(
            "Growth",
            "Of each part of the home, a day.",
            "bytes",
            (("sum by (instance, part) (step_disk_growth_bytes_per_day@)", "{{instance}} {{part}}"),),
        ),
        PanelPlan(
            "Journal fails",
            "1: nothing is accepted from clients.",
            "none",
            (("step_journal_failing@", "{{instance}}"),),
        ),
        PanelPlan(
            "Batches fetched from peers",
            "While catching up, a second.",
            "ops",
            ((_rate("step_sync_batches_applied_total", "instance"), "{{instance}}"),),
        ),
    ),
)

API: Final = DashboardPlan(
    "api",
    "STEP: API",
    "Requests, answers, times, who was refused and why, and who follows events.",
    (
        PanelPlan(
            "Answers",
            "A second, by class of status.",
            "reqps",
            ((_rate("step_api_request_duration_seconds_count", "status"), "{{status}}"),),
        ),
        PanelPlan(
            "Errors of the node's own",
            "5xx among all answers.",
            "percentunit",
            (("instance:step_api_server_errors:ratio_5m@", "{{instance}}"),),
        ),
        PanelPlan(
            "Times", "From a request's head to its answer's.", "s", _quantiles("step_api_request_duration_seconds")
        ),
        PanelPlan(
            "Submissions",
            "A second, by answer.",
            "reqps",
            ((_rate("step_submission_duration_seconds_count", "answer"), "{{answer}}"),),
        ),
        PanelPlan(
            "Times of submissions",
            "With what they wait for finality.",
            "s",
            _quantiles("step_submission_duration_seconds", by="answer"),
        ),
        PanelPlan(
            "Proofs refused",
            "A second, by code and source.",
            "ops",
            ((_rate("step_proofs_refused_total", "code", "source"), "{{code}} {{source}}"),),
        ),
        PanelPlan(
            "Promises broken",
            "Proofs dropped after clients were told that they are accepted, by code.",
            "ops",
            ((_rate("step_promises_broken_total", "code"), "{{code}}"),),
        ),
        PanelPlan(
            "Not served",
            "Connections and requests a second, by reason.",
            "ops",
            ((_rate("step_api_refused_total", "reason"), "{{reason}}"),),
        ),
        PanelPlan(
            "Connections",
            "Open, and how many may be.",
            "none",
            (("step_api_connections@", "{{instance}}"), ("step_api_connections_max@", "{{instance}} at most")),
        ),
        PanelPlan(
            "Streams of events",
            "Open, and how many may be.",
            "none",
            (("step_event_streams@", "{{instance}}"), ("step_event_streams_max@", "{{instance}} at most")),
        ),
        PanelPlan(
            "Ends of streams",
            "A second, by reason.",
            "ops",
            ((_rate("step_event_streams_ended_total", "reason"), "{{reason}}"),),
        ),
        PanelPlan(
            "Events sent",
            "Text a second.",
            "Bps",
            ((_rate("step_event_bytes_sent_total", "instance"), "{{instance}}"),),
        ),
    ),
)

ECONOMY: Final = DashboardPlan(
    "economy",
    "STEP: economy",
    "Does the ledger do what its rules say, how much is minted, who holds it, and what is done about it.",
    (
        PanelPlan(
            "Guardrails that are broken",
            "0 is well; docs/guardrails.md says what each means.",
            "none",
            (("sum by (instance) (step_guardrail_broken@)", "{{instance}}"),),
            "figure",
        ),
        PanelPlan(
            "Batches not gone over",
            "Final, and not seen by the guardrails: above 0 for long, they are off or blind.",
            "none",
            (("step_height@ - step_guardrails_checked_height@", "{{instance}}"),),
            "figure",
        ),
        PanelPlan(
            "Intake",
            "Of how many of a hundred accounts anything is taken.",
            "none",
            (("step_intake_percent@", "{{instance}}"),),
            "figure",
        ),
        PanelPlan(
            "Supply",
            "In STEP, and the most that all clicks there are can have come to.",
            "none",
            (
                ('max(step_guardrail_figure@{guardrail="supply"}) / 1e6', "supply"),
                ('max(step_guardrail_bound@{guardrail="supply"}) / 1e6', "at most"),
            ),
            "figure",
        ),
        PanelPlan(
            "Broken",
            "Which guardrail, on which node.",
            "none",
            (("step_guardrail_broken@", "{{instance}} {{guardrail}}"),),
        ),
        PanelPlan(
            "Minted this hour",
            "In STEP, by batch time: it falls to nothing with each full hour.",
            "none",
            (('max(step_guardrail_figure@{guardrail="minting_rate"}) / 1e6', "STEP"),),
        ),
        PanelPlan(
            "Shares",
            "What the ten largest holders have of all there is, and which part of the stakes answers for nothing.",
            "percent",
            (
                ('max(step_guardrail_figure@{guardrail="concentration"}) / 100', "ten largest"),
                ('max(step_guardrail_figure@{guardrail="orphaned_stake"}) / 100', "orphaned stake"),
            ),
        ),
        PanelPlan(
            "How evenly epochs pay",
            "Of the last epoch that has ended: the Gini coefficient of what it paid for proofs, and what the top"
            " hundredth of its accounts got (docs/fairness.md).",
            "percentunit",
            (
                ("max(step_fairness_income_gini@)", "Gini coefficient"),
                ("max(step_fairness_income_top_share@)", "top hundredth"),
            ),
        ),
        PanelPlan(
            "Shift of pay",
            "How far both are from the mean of the ten epochs before.",
            "percentunit",
            (
                ("max(step_fairness_income_gini_drift@)", "Gini coefficient"),
                ("max(step_fairness_income_top_share_drift@)", "top hundredth"),
            ),
        ),
        PanelPlan(
            "Near the bounds",
            "Each figure over its bound: above 1 a drift is a breach. The supply lies close to 1 as it should.",
            "none",
            (("max by (guardrail) (step_guardrail_figure@ / step_guardrail_bound@)", "{{guardrail}}"),),
        ),
        PanelPlan(
            "Breaches",
            "Times that each guardrail came to be broken, since the start.",
            "none",
            (("max by (guardrail) (step_guardrail_breaches_total@)", "{{guardrail}}"),),
        ),
    ),
)

DASHBOARDS: Final = (NETWORK, VALIDATOR, INTERNALS, STORAGE, API, ECONOMY)
