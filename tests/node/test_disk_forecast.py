"""When the disk is full, by how the files of a home have grown."""

from __future__ import annotations

from pathlib import Path

from step_node.home.paths import NodeHome
from step_node.node.disk_forecast import DAY_SECONDS, DiskForecast, DiskSample, take_sample


def told(forecast: DiskForecast) -> dict[str, float]:
    return {
        " ".join([sample.name, *sample.labels.values()]): sample.value
        for family in forecast.collect()
        for sample in family.samples
    }


def test_a_disk_is_full_when_its_growth_has_used_up_what_is_free() -> None:
    forecast = DiskForecast()
    assert told(forecast) == {}
    forecast.note(DiskSample(0.0, {"store": 1_000, "journal": 500}, free_bytes=9_000))
    assert told(forecast) == {"step_disk_used_bytes store": 1_000, "step_disk_used_bytes journal": 500}
    forecast.note(DiskSample(DAY_SECONDS / 2, {"store": 2_000, "journal": 400}, free_bytes=8_100))
    assert forecast.growth_bytes_per_day() == {"store": 2_000, "journal": -200}
    assert told(forecast)["step_disk_full_seconds"] == 8_100 / 1_800 * DAY_SECONDS
    assert told(forecast)["step_disk_growth_bytes_per_day store"] == 2_000


def test_a_home_that_does_not_grow_fills_no_disk() -> None:
    forecast = DiskForecast()
    for day in range(3):
        forecast.note(DiskSample(day * DAY_SECONDS, {"store": 1_000}, free_bytes=10))
    assert forecast.full_seconds() == float("inf")


def test_growth_is_that_of_the_last_day() -> None:
    forecast = DiskForecast()
    for sample in range(400):
        grown = 1_000 * min(sample, 200)
        forecast.note(DiskSample(sample * DAY_SECONDS / 144, {"store": grown}, free_bytes=1))
    assert forecast.growth_bytes_per_day() == {"store": 0}


def test_each_file_of_a_home_is_counted_once(tmp_path: Path) -> None:
    home = NodeHome(tmp_path)
    (home.snapshots / "500").mkdir(parents=True)
    for path, size in (
        (home.ledger, 100),
        (home.ledger.with_name("ledger.sqlite-wal"), 20),
        (home.journal, 7),
        (home.consensus_log, 3),
        (home.snapshots / "500" / "000000", 40),
        (home.root / "genesis.json", 11),
    ):
        path.write_bytes(bytes(size))
    sample = take_sample(home, 5.0)
    assert sample is not None
    assert sample.parts == {"store": 120, "journal": 7, "consensus_log": 3, "snapshots": 40, "log": 0, "other": 11}
    assert sample.free_bytes > 0
