"""The page about consensus shows the machine as it is."""

from consensus.state import Step
from scripts.draw_consensus_table import PAGE, changes, table


def test_the_table_of_the_page_is_the_one_that_the_machine_makes() -> None:
    assert table() in PAGE.read_text(encoding="utf-8"), "run: python -m scripts.draw_consensus_table"


def test_each_step_of_the_protocol_is_reached() -> None:
    assert {step for change in changes() for step in change} == set(Step)
