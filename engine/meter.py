"""Figures of a training step: loss, learning rate, speed, memory, remaining time."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable

import torch


class StepMeter:
    """Keeps a running speed over the steps of a run; `images` a step over all processes, `left()` steps to come.

    The host runs ahead of the device, so that a speed is that of all steps between two waits for a loss.
    """

    def __init__(self, images: int, left: Callable[[], float], device: torch.device) -> None:
        self.images, self.left, self.device = images, left, device
        self._last, self._seconds, self._ticks = time.perf_counter(), 0.0, 0
        self._total = 0.0

    def tick(self) -> None:
        """Count one more step."""
        self._ticks += 1

    def figures(self, loss: float, lr: float) -> dict[str, str]:
        """Give the text of the figures after the step whose `loss` is known, data loading included."""
        now = time.perf_counter()
        taken, kept = (now - self._last) / self._ticks, 0.9**self._ticks
        self._seconds = taken if not self._seconds else kept * self._seconds + (1 - kept) * taken
        self._total += now - self._last
        self._last, self._ticks = now, 0
        return {
            "loss": f"{loss:.4f}",
            "lr": f"{lr:.2e}",
            "images/s": f"{self.images / self._seconds:.1f}",
            "memory": f"{peak_bytes(self.device) / 2**30:.1f}G",
            "left": duration(self.left() * self._seconds),
        }

    def cost(self) -> dict[str, float]:
        """Give what the steps since the last call took: all of them, and one as of late; and the peak so far."""
        seconds, self._total = self._total, 0.0
        return {"seconds": seconds, "step_seconds": self._seconds, "peak_gib": peak_bytes(self.device) / 2**30}

    def pause(self) -> None:
        """Leave out the time until now (validation, saving)."""
        self._last, self._ticks = time.perf_counter(), 0


def peak_bytes(device: torch.device) -> int:
    """Give the most memory held so far: allocated on the GPU, or resident on the host."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def duration(seconds: float) -> str:
    """Write seconds as hours, minutes and seconds: 3725 -> "1:02:05"."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}"
