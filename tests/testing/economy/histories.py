"""Random scenarios, small and wild: few places that are used up, many who are too fast, validators of every fate.

Each is made of one seed, and is run over both ledgers.
"""

from __future__ import annotations

import random
from typing import Any

from step_node.testing.economy.running import DayPassed, run
from step_node.testing.economy.scenario import AS_WRITTEN, DAY_MS, Scenario, scenarios_in
from step_node.testing.economy.work import DayDone, LedgerState, Start

Played = tuple[LedgerState, list[DayDone]]


def random_scenario(seed: int) -> Scenario:
    """A scenario of at most some hundred accounts and a week."""
    dice = random.Random(seed)
    validators = dice.randint(1, 9)
    content: dict[str, Any] = {
        "title": f"random {seed}",
        "days": dice.randint(2, 8),
        "batches_per_day": dice.choice([1, 3, 8, 24, 40]),
        "timestamps_every_ms": dice.choice([1, 10_000]),
        "protocol_version": dice.choice([1, 2]),
        "parameters": {
            "seeded_level": dice.choice([1, 2, 5, 10, 18, 20, 21]),
            "min_stake": dice.choice([1, 2, 5]),
            "epoch_batches": dice.choice([1, 3, 7, 24]),
            "validator_reward_bps": dice.choice([0, 1, 333, 500, 2_000, 10_000]),
            "unbonding_ms": dice.choice([1, DAY_MS // 2, 3 * DAY_MS]),
            "jail_ms": dice.choice([1, DAY_MS, 3 * DAY_MS]),
            "offline_ms": dice.choice([1, DAY_MS]),
            "slash_double_sign_bps": dice.choice([0, 3_333, 5_000, 10_000]),
            "slash_invalid_bps": dice.choice([1, 3_000, 7_777]),
            "slash_offline_bps": dice.choice([0, 1_000, 9_999]),
            "speed_limit_mps": dice.choice([1, 5, 15]),
            "speed_horizon_ms": dice.choice([60_000, 3_600_000, DAY_MS]),
            "moratorium_ms": dice.choice([0, 10_000, 1_800_000]),
        },
        "validators": {
            "count": validators,
            "stake_step": dice.choice([5, 7, 100_000]),
            "colluding": dice.randint(0, validators // 3),
        },
        "cities": [
            {
                "name": "town",
                "lat": dice.uniform(-75, 75),
                "lon": dice.choice([-180.0, 19.0, 179.9999]),
                "radius_km": 0.5,
            },
            {"name": "yard", "lat": dice.uniform(-75, 75), "lon": dice.uniform(-180, 180), "radius_km": 0.01},
        ],
        "groups": [_random_group(dice, number) for number in range(dice.randint(1, 5))],
        "faults": _random_faults(dice, validators),
    }
    return scenarios_in(content, name="random", source=f"seed {seed}")[AS_WRITTEN]


def play(scenario: Scenario, seed: int, *, exact: bool) -> Played:
    """The state in the end, and what became of everything on each day."""
    days: list[DayDone] = []

    def keep(passed: DayPassed) -> None:
        days.append(passed.done)

    return run(Start(scenario), seed, exact=exact, on_day=keep).state(), days


def _random_group(dice: random.Random, number: int) -> dict[str, Any]:
    kind = dice.choice(["walkers", "commuters", "tourists", "crowd", "farmers"])
    group: dict[str, Any] = {
        "kind": kind,
        "name": f"{kind}-{number}",
        "city": dice.choice(["town", "yard"]),
        "accounts": dice.randint(1, 20),
        "proofs_per_day": dice.uniform(0.5, 30.0),
        "first_day": dice.choice([0, 0, 1]),
        "join_within_days": dice.choice([0, 3]),
        "payments_per_week": dice.choice([0.0, 7.0, 30.0]),
        "payment_share": dice.choice([0.01, 0.5, 1.0]),
        "stakes": dice.random() < 0.5,
        "gives_up_below_ustep": dice.choice([0, 1_000]),
    }
    if dice.random() < 0.4:
        group["stay_days"] = dice.uniform(0.5, 5.0)
    if kind == "commuters":
        group["ride_mps"] = dice.choice([3.0, 15.0, 60.0])
    if kind == "tourists":
        group["sights"] = dice.choice([1, 4])
    if kind == "crowd":
        group |= {
            "every_days": dice.choice([1, 2]),
            "radius_m": dice.choice([1.0, 8.0]),
            "hours": dice.choice([0.2, 3.0]),
        }
    if kind == "farmers":
        group |= {"spread": dice.choice(["city", "world"]), "collect_every_days": dice.choice([0, 1, 2])}
    return group


def _random_faults(dice: random.Random, validators: int) -> list[dict[str, Any]]:
    faults: list[dict[str, Any]] = []
    if validators < 4:
        return faults
    for _ in range(dice.randint(0, 2)):
        what = dice.choice(["double-sign", "invalid-proposal"])
        faults.append({"day": dice.randint(1, 4), "validator": dice.randrange(validators), "what": what})
    if dice.random() < 0.5:
        faults.append(
            {"day": 1, "validator": dice.randrange(validators), "what": "offline", "days": dice.randint(1, 7)}
        )
    return faults
