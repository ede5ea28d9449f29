"""Figures of a training step: loss, learning rate, speed, memory, remaining time."""

from __future__ import annotations

import resource
import sys
import time

import torch


class StepMeter:
    """Keeps a running speed over the steps of a run; `images` a step over all processes, `steps` left in the run."""

    def __init__(self, images: int, steps: int, device: torch.device) -> None:
        self.images, self.steps, self.device = images, steps, device
        self._last, self._seconds = time.perf_counter(), 0.0

    def tick(self, loss: float, lr: float) -> dict[str, str]:
        """Text of the figures after one more step, data loading included."""
        now = time.perf_counter()
        taken, self._last = now - self._last, now
        self._seconds = taken if not self._seconds else 0.9 * self._seconds + 0.1 * taken
        self.steps -= 1
        return {
            "loss": f"{loss:.4f}",
            "lr": f"{lr:.2e}",
            "images/s": f"{self.images / self._seconds:.1f}",
            "memory": f"{peak_bytes(self.device) / 2**30:.1f}G",
            "left": duration(self.steps * self._seconds),
        }

    def pause(self) -> None:
        """Leave out the time until now (validation, saving)."""
        self._last = time.perf_counter()


def peak_bytes(device: torch.device) -> int:
    """Most memory held so far: allocated on the GPU, or resident on the host."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def duration(seconds: float) -> str:
    """3725 -> "1:02:05"."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}"
