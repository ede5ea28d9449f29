"""Every setting is a command line, and the table tells how far plans are off. That they are not: tests/engine/plan."""

from __future__ import annotations

import pytest

from benchmarks.planner_error import SETTINGS, Row, markdown, options


@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_is_a_command_line(name: str) -> None:
    assert options(SETTINGS[name]).MODEL.ARCH


def test_the_table_tells_how_far_plans_are_off() -> None:
    text = markdown([Row("one", 100 << 20, 95 << 20, "the loss"), Row("two", 200 << 20, 240 << 20, "a pass")])
    assert "| one | 100.0 | 95.0 | -5.0 | the loss |" in text
    assert "1 of 2 within 10 %; at most 20.0 %, 12.5 % in the mean" in text
