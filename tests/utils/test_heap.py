"""What is freed stays in the process, where the C library can do so."""

from __future__ import annotations

import ctypes
import os
import resource
import sys

import pytest
import torch
from forked import Process
from runs import finish

from utils import heap


def faults_of_steps(words: list[str]) -> int:
    """Page faults of twenty tensors of 40 MB, one after another, after the first."""
    if words:
        assert heap.keep()
    torch.ones(10_000_000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        torch.ones(10_000_000)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
    return 0


@pytest.mark.run
@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="another C library than glibc")
def test_memory_is_asked_for_once() -> None:
    by_itself, kept = (int(finish(Process(faults_of_steps, words, os.environ))) for words in ([], ["keep"]))
    assert kept < by_itself / 4


def test_another_system_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not heap.keep()
