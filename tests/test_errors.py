"""Which errors of a run people are told of."""

from __future__ import annotations

import pytest

from step_node.errors import StepNodeError, foreseen


def test_each_foreseen_error_is_told_by_itself_however_deep_it_lies() -> None:
    one, other = StepNodeError("one"), StepNodeError("other")
    assert foreseen(one) == [one]
    assert foreseen(BaseExceptionGroup("", [BaseExceptionGroup("", [one]), other])) == [one, other]


@pytest.mark.parametrize("beside", [[], [StepNodeError("foreseen")]])
def test_a_bug_is_raised_whole(beside: list[Exception]) -> None:
    group = BaseExceptionGroup("", [*beside, KeyError("a bug")])
    with pytest.raises(BaseExceptionGroup) as raised:
        foreseen(group)
    assert raised.value is group
