"""What computes here is named, and compared with what did."""

from __future__ import annotations

import torch

from utils import machine


def test_facts_are_text_and_compare() -> None:
    now = machine.facts(torch.device("cpu"))
    assert now["torch"] == str(torch.__version__) and now["threads"] == str(torch.get_num_threads())
    assert now["processor"].split()[-1] == torch.backends.cpu.get_cpu_capability()
    assert machine.differences(now, now) == "" == machine.differences({}, now)
    assert machine.differences({**now, "threads": "64", "gone": "1"}, now) == f"threads 64 -> {now['threads']}"
