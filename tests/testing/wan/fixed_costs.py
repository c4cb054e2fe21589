"""A table of costs that no machine has a say in."""

from __future__ import annotations

from step_node.testing.wan.costs import Costs, GossipCosts

FIXED = Costs(
    submission_us=30,
    check_us=35,
    admit_us=10,
    journal_us=10,
    bundle_us=8,
    load_us=10,
    apply_us=20,
    finalise_us=30,
    propose_us=2,
    fill_us=5,
    decode_us=10,
    message_us=20,
    recover_us=30,
    step_us=30,
    commit_us=3,
    sync_ms=1,
    gossip=GossipCosts(
        publish_us=500, send_us=50, send_us_per_kib=2, receive_us=550, receive_us_per_kib=4, told_id_us=1
    ),
)
