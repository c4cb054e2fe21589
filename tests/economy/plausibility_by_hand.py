"""The signals of plausibility once more, account by account, in plain Python integers and floats.

Written against docs/plausibility.md, with other means than the shipped code: no arrays, no sorting of packed integers,
the C library's sines. It is slow, and is what the shipped one is compared with.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from statistics import median_low

from mesh import locate
from step_node.economy.columns import ProofColumns

MASK = 2**64 - 1
PERIOD_MS = 600_000
HOUR_MS = 3_600_000

Proof = tuple[int, int, float, float, float]
"""Signed time, batch time, latitude, longitude, accuracy."""


def strengths(columns: ProofColumns) -> dict[str, dict[int, int]]:
    """By signal and account key the strength, where it is not 0."""
    by_account: dict[int, list[Proof]] = defaultdict(list)
    for row in range(len(columns)):
        by_account[int(columns.account_key[row])].append(
            (
                int(columns.timestamp_ms[row]),
                int(columns.batch_time_ms[row]),
                float(columns.lat[row]),
                float(columns.lon[row]),
                float(columns.accuracy_m[row]),
            )
        )
    for proofs in by_account.values():
        proofs.sort()
    times = [proof[1] for proofs in by_account.values() for proof in proofs]
    begin_ms, end_ms = (min(times), max(times)) if times else (0, 0)
    middle_ms = begin_ms + (end_ms - begin_ms) // 2
    new = {account: proofs[0] for account, proofs in by_account.items() if proofs[0][1] > middle_ms}
    history = [proof for proofs in by_account.values() for proof in proofs if proof[1] <= middle_ms]
    said = {
        "identical_accuracies": {account: _identical(proofs) for account, proofs in by_account.items()},
        "machine_intervals": {account: _machine(proofs) for account, proofs in by_account.items()},
        "no_rest": {account: _no_rest(proofs) for account, proofs in by_account.items()},
        "impossible_travel": {account: _travel(proofs) for account, proofs in by_account.items()},
        "proves_once": {
            account: _ramp(end_ms - proofs[0][1], HOUR_MS, 6 * HOUR_MS) if len(proofs) == 1 else 0
            for account, proofs in by_account.items()
        },
        "newcomer_pace": _pace(new, middle_ms, end_ms),
        "newcomer_accuracies": _accuracies(new),
        "newcomer_intervals": _intervals(new),
        "far_from_history": _far(new, history, middle_ms - begin_ms),
        "co_movement": _together(by_account),
    }
    return {signal: {account: bps for account, bps in of.items() if bps} for signal, of in said.items()}


def score(strength_by_signal: Mapping[str, int], weights: Mapping[str, int]) -> int:
    """Of one account."""
    left = 10_000
    for signal, weight in weights.items():
        left = left * (10_000 - strength_by_signal.get(signal, 0) * weight // 10_000) // 10_000
    return 10_000 - left


def _ramp(value: int, low: int, high: int) -> int:
    return max(0, min(10_000, math.floor((value - low) * 10_000 / (high - low))))


def _pauses(proofs: Sequence[Proof]) -> list[int]:
    return [later[0] - earlier[0] for earlier, later in itertools.pairwise(proofs)]


def _even_bps(intervals: Sequence[int]) -> tuple[int, int]:
    """The median, and the share that is within a fiftieth of it."""
    middle = median_low(intervals)
    return middle, sum(abs(interval - middle) * 50 <= middle for interval in intervals) * 10_000 // len(intervals)


def _identical(proofs: Sequence[Proof]) -> int:
    most = Counter(proof[4] for proof in proofs).most_common(1)[0][1]
    return _ramp(most * 10_000 // len(proofs), 5_000, 9_000) if len(proofs) >= 12 else 0


def _machine(proofs: Sequence[Proof]) -> int:
    return _ramp(_even_bps(_pauses(proofs))[1], 3_000, 8_000) if len(proofs) > 12 else 0


def _no_rest(proofs: Sequence[Proof]) -> int:
    if proofs[-1][0] - proofs[0][0] < 24 * HOUR_MS:
        return 0
    return _ramp(5 * HOUR_MS - max(_pauses(proofs)), 0, 2 * HOUR_MS)


def _travel(proofs: Sequence[Proof]) -> int:
    ways = 0
    for earlier, later in itertools.pairwise(proofs):
        chord_m = 6_371_000 * math.dist(_vector(earlier), _vector(later))
        ways += chord_m > 100_000 and chord_m > 0.34 * (later[0] - earlier[0])
    return min(ways, 2) * 5_000


def _vector(proof: Proof) -> tuple[float, float, float]:
    lat, lon = math.radians(proof[2]), math.radians(proof[3])
    return math.cos(lat) * math.cos(lon), math.cos(lat) * math.sin(lon), math.sin(lat)


def _region(proof: Proof, level: int) -> int:
    return locate(proof[2], proof[3], level).integer


def _period(proof: Proof) -> int:
    return proof[1] // PERIOD_MS


def _groups(new: Mapping[int, Proof]) -> Iterable[dict[Hashable, list[int]]]:
    """Newcomers by region and period, at three levels, and by region alone at the last."""
    for level in (1, 5, 9, None):
        groups: dict[Hashable, list[int]] = defaultdict(list)
        for account, proof in new.items():
            groups[_region(proof, 9) if level is None else (_region(proof, level), _period(proof))].append(account)
        yield groups


def _pace(new: Mapping[int, Proof], middle_ms: int, end_ms: int) -> dict[int, int]:
    said = dict.fromkeys(new, 0)
    for level in (1, 5, 9):
        counts: Counter[tuple[int, int]] = Counter((_region(proof, level), _period(proof)) for proof in new.values())
        for account, proof in new.items():
            region, count = _region(proof, level), counts[_region(proof, level), _period(proof)]
            periods = range(middle_ms // PERIOD_MS, end_ms // PERIOD_MS + 1)
            usual = sorted(counts[region, period] for period in periods)[len(periods) // 2]
            said[account] = max(said[account], (count - 32 - 6 * usual) * 10_000 // count)
    return said


def _accuracies(new: Mapping[int, Proof]) -> dict[int, int]:
    said = dict.fromkeys(new, 0)
    for groups in _groups(new):
        for members in groups.values():
            counts = Counter(new[account][4] for account in members)
            for account in members if len(members) >= 32 else ():
                share_bps = counts[new[account][4]] * 10_000 // len(members)
                said[account] = max(said[account], _ramp(share_bps, 3_000, 7_000))
    return said


def _intervals(new: Mapping[int, Proof]) -> dict[int, int]:
    said = dict.fromkeys(new, 0)
    for groups in _groups(new):
        for members in groups.values():
            if len(members) >= 32:
                times = sorted(new[account][0] for account in members)
                middle, share_bps = _even_bps([b - a for a, b in itertools.pairwise(times)])
                for account in members if middle >= 50 else ():
                    said[account] = max(said[account], _ramp(share_bps, 3_000, 8_000))
    return said


def _far(new: Mapping[int, Proof], history: Sequence[Proof], history_ms: int) -> dict[int, int]:
    said = dict.fromkeys(new, 0)
    if len(history) >= 1_000 and history_ms >= HOUR_MS:
        for level in (5, 9):
            known = {_region(proof, level) for proof in set(history)}
            counts = Counter(_region(proof, level) for proof in new.values())
            for account, proof in new.items():
                if (region := _region(proof, level)) not in known:
                    said[account] = max(said[account], counts[region] * 10_000 // (counts[region] + 32))
    return said


def _together(by_account: Mapping[int, Sequence[Proof]]) -> dict[int, int]:
    stops = {}
    for account, proofs in by_account.items():
        at = [(_region(proof, 15) >> 17, proof[0] // 300_000) for proof in proofs]
        if len(set(at)) >= 8 and len({cell for cell, _ in at}) >= 4:
            stops[account] = {_mixed(_mixed(cell) ^ slot) for cell, slot in at}
    companions = dict.fromkeys(stops, 0)
    for band in range(6):
        groups = defaultdict(list)
        for account, of in stops.items():
            orders = range(3 * band, 3 * band + 3)
            groups[tuple(min(stop * (_mixed(order + 1) | 1) & MASK for stop in of) for order in orders)].append(account)
        for members in groups.values():
            for account in members:
                companions[account] = max(companions[account], len(members) - 1)
    return {account: _ramp(count, 3, 9) for account, count in companions.items()}


def _mixed(value: int) -> int:
    value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9 & MASK
    value = (value ^ value >> 27) * 0x94D049BB133111EB & MASK
    return value ^ value >> 31
