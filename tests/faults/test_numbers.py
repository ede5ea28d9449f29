"""Numbers that are none, in each loss, place and way of training, on one rank and on all: docs/reliability.md."""

from __future__ import annotations

import json
import os
from pathlib import Path

import forked
import pytest
import rank_numbers
from faults.figures import record
from rank_numbers import Case
from runs import finish

# At least one of each place, way and odd content; each loss once.
DOZEN = [
    Case("ce", "image nan"),
    Case("bootstrapped", "output inf", "accum"),
    Case("dice", "loss nan", "recomputed"),
    Case("weighted", "gradient inf", "scaled"),
    Case("relaxation", "weight nan"),
    Case("ohem", "output -inf", "parts"),
    Case("rmi", "gradient nan", "accum"),
    Case("rmi", "one color"),
    Case("rmi_ce", "image inf", "parts"),
    Case("distill", "large outputs"),
    Case("confidence", "output nan"),
    Case("rmi", "constant outputs", "recomputed"),
    Case("ohem", "all ignored"),
    Case("bootstrapped", "one class"),
]


@pytest.mark.parametrize("case", DOZEN, ids=lambda case: f"{case.loss} {case.fault} {case.way}")
def test_a_number_that_is_none_is_left_out(case: Case, tmp_path: Path) -> None:
    assert rank_numbers.broken(rank_numbers.alone(tmp_path), case) == ""


# 1: all of the thousand cases of one process, and of the three thousand of two.
EVERY = int(os.environ.get("FAULTS_NUMBERS_EVERY", "1"))


@pytest.mark.faults
def test_every_number_in_one_process(tmp_path: Path) -> None:
    chosen = rank_numbers.cases()[::EVERY]
    found = rank_numbers.campaign(rank_numbers.alone(tmp_path), chosen)
    record("numbers", {"cases of one process": len(chosen), "broken in one process": found})
    assert found == {}


@pytest.mark.faults
def test_every_number_on_one_rank_of_two_and_on_both(tmp_path: Path) -> None:
    finish(*forked.ranks(rank_numbers.main, [str(tmp_path), str(EVERY)]))
    found = [json.loads((tmp_path / f"broken{rank}.json").read_text()) for rank in range(2)]
    record("numbers", {"cases of two": found[0]["cases"], "broken in two": [part["broken"] for part in found]})
    assert [part["broken"] for part in found] == [{}, {}]
