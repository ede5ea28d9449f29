"""Worker of tests/faults/test_ranks.py: train.py on several processes with a network of two convolutions, and a fault.

The first word is JSON: `notes`, a folder for what each step saw; `stop`, after how many steps to stop; `die`, the rank
and the message to the others before which it is killed; `differs`, what rank 1 has otherwise.
"""

from __future__ import annotations

import json
import os
import signal
import zlib
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn

import network
import train
from engine import session
from engine.endings import explain
from engine.stop import StopRequest
from utils import digest, distributed
from utils.cli import exit_code, start
from utils.normalization import Normalization

MESSAGES = ("all_reduce", "broadcast", "barrier", "all_gather_object")


class Small(nn.Module):
    """Gloo's messages for the norms of a real network take seconds on a busy machine."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.one, self.norm, self.two = nn.Conv2d(3, 4, 3, stride=4), nn.BatchNorm2d(4), nn.Conv2d(4, classes, 1)

    def start_epoch(self, epoch: int) -> None:
        """Nothing changes."""

    def wait(self, groups: object) -> None:
        """Nothing waits."""

    def trunk_layers(self, stages: bool) -> dict[int, int]:  # noqa: ARG002
        """It has no trunk."""
        return {}

    def forward(self, image: Tensor, size: Any = None, keep: Any = None) -> dict[str, Tensor]:  # noqa: ARG002
        """(N, 3, H, W) -> {pred: (N, K, H, W)}."""
        x, size = self.two(self.norm(self.one(image)).relu()), size or image.shape[-2:]
        return {"pred": nn.functional.interpolate(x, size, mode="bilinear")}


def main(words: list[str]) -> int:
    """Train in double precision; with `--arch basic.HRNet` the small network in place of that one."""
    fault, line, rank = json.loads(words[0]), words[1:], int(os.environ.get("RANK", "0"))
    normalize, real, asked = Normalization.forward, network.build, list[int]()

    def build(cfg: Any) -> nn.Module:
        return (Small(cfg.DATASET.NUM_CLASSES) if cfg.MODEL.ARCH == "basic.HRNet" else real(cfg)).double()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(network, "build", build)
        patch.setattr(Normalization, "forward", lambda self, images: normalize(self, images).double())
        if "basic.HRNet" in line:
            patch.setattr(network, "start_trunk", lambda cfg, net: "")  # noqa: ARG005
            patch.setattr(session, "channels_last", lambda cfg, net, precision: (False, ""))  # noqa: ARG005
        if "notes" in fault:
            patch.setattr(train, "backward", noting(Path(fault["notes"])))
        if "stop" in fault:
            patch.setattr(StopRequest, "asked", lambda *_: bool(asked.append(1) or len(asked) == fault["stop"]))
            patch.setattr(StopRequest, "exit_code", 143)
        if rank == fault.get("die", [None])[0]:
            die_at(fault["die"][1], patch)
        if rank == 1:
            line = different(fault.get("differs", ""), line, patch)
        return start(lambda: train.main(line))


def noting(folder: Path) -> Any:
    """`train.backward` that notes a line for each batch: its place, its loss, and its samples, [file, checksum]."""
    backward = train.backward

    def noted(run: Any, trainer: Any, epoch: int, batch: Any, divisor: float) -> Tensor:
        value = backward(run, trainer, epoch, batch, divisor)
        pixels = zip(batch["name"], batch["image"], batch["label"], strict=True)
        samples = [[name, zlib.crc32(x.numpy().tobytes() + y.numpy().tobytes())] for name, x, y in pixels]
        with (folder / f"{run.ranks.rank}.jsonl").open("a") as file:
            file.write(json.dumps([epoch, trainer.state.iteration, float(value), samples]) + "\n")
        return value

    return noted


def steps_of(folder: Path) -> list[tuple[int, int, float, list[Any]]]:
    """What the steps saw, in their order: epoch, batch, loss over all ranks, and samples in the order of all ranks."""
    found: dict[tuple[int, int], dict[int, tuple[float, list[Any]]]] = {}
    for file in folder.glob("*.jsonl"):
        for line in file.read_text().splitlines():
            epoch, batch, loss, samples = json.loads(line)
            found.setdefault((epoch, batch), {})[int(file.stem)] = loss, samples
    steps = []
    for (epoch, batch), by_rank in sorted(found.items()):
        losses, parts = zip(*(by_rank[rank] for rank in sorted(by_rank)), strict=True)
        assert len({*losses}) == 1
        steps.append((epoch, batch, losses[0], [sample for row in zip(*parts, strict=True) for sample in row]))
    return steps


def die_at(message: int, patch: pytest.MonkeyPatch) -> None:
    """SIGKILL before the message of this number."""
    sent = list[str]()

    def counted(name: str) -> Any:
        real = getattr(dist, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            sent.append(name)
            if len(sent) == message:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*args, **kwargs)

        return call

    for name in MESSAGES:
        patch.setattr(dist, name, counted(name))


def different(what: str, line: list[str], patch: pytest.MonkeyPatch) -> list[str]:
    """The command line of the process that is not like the others."""
    if what == "code":
        patch.setattr(digest, "of_code", lambda code: "another")  # noqa: ARG005
    if what == "torch":
        patch.setattr("engine.agree.torch.__version__", "2.5.0")
    if what == "data":
        root = Path(line[line.index("--data_root") + 1])
        return [*line, "--data_root", str(root.with_name("other"))]
    return [*line, *what.split()] if what.startswith("--") else line


def meet(words: list[str]) -> int:
    """Two messages, of which a rank is killed before the second where the first word says so."""

    def work() -> None:
        ranks = distributed.init()
        if json.loads(words[0]).get("die") and ranks.rank == 1:
            with pytest.MonkeyPatch.context() as patch:
                die_at(1, patch)
                ranks.barrier()
        ranks.barrier()
        ranks.sum(torch.ones(2))

    try:
        return exit_code(work, explain=explain)
    finally:
        distributed.close()
