"""The networks that the page offers, and the one of them that is in memory, with its classes and its maps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

import inference
from evaluation import sinks
from inference import Predictor, from_file, temperature
from utils import amp
from utils.contracts import DatasetSpec
from utils.errors import UserError


@dataclass(frozen=True)
class Network:
    """A network that is ready. `maps`: outputs to ask for, the attention of scales; `single`: of several passes that
    are averaged, the one whose maps these are.
    """

    predictor: Predictor
    spec: DatasetSpec
    arch: str
    checkpoint: Path
    device: str
    maps: tuple[str, ...]
    single: str

    def __str__(self) -> str:
        return f"{self.arch}, {self.spec.num_classes} classes, on {self.device}, from {self.checkpoint}"


def load(checkpoint: str, argv: Sequence[str], say: Callable[[str], None]) -> Network:
    """Load the network of a checkpoint, or of the folder of a run; `argv`: further flags of train.py.

    UserError for what is no checkpoint, or fills its network in part only.
    """
    found = from_file.loaded(checkpoint, argv)
    cfg, gpu = found.cfg, torch.cuda.is_available()
    device = torch.device("cuda" if gpu else "cpu")
    precision = amp.build(cfg.TRAIN.FP16, cfg.TRAIN.AMP_OPT_LEVEL, device)
    for note in filter(None, [*cfg.NOTES, precision.note]):
        say(note)
    layout = torch.contiguous_format if gpu and precision.dtype is None else torch.channels_last
    net = found.net.to(device, memory_format=layout)  # type: ignore[call-overload]
    value, line = temperature.of(Path(cfg.SNAPSHOT), found.spec.classes, inference.eval_rule(cfg))
    say(line)
    predictor = inference.build_predictor(cfg, net, precision, say, found.spec, value)
    maps = tuple(name for name in sinks.maps(cfg) if name.startswith("attn_"))
    return Network(predictor, found.spec, cfg.MODEL.ARCH, Path(cfg.SNAPSHOT), device.type, maps, sinks.first_pass(cfg))


class Networks:
    """Keeps the network that was asked for last, and loads another in its place. For one thread at a time."""

    def __init__(self, argv: Sequence[str] = (), say: Callable[[str], None] = print) -> None:
        self.argv, self.say = argv, say
        self._key, self._path, self._network = "", "", None

    def of(self, key: str, checkpoints: Mapping[str, str]) -> Network:
        """Give the network of a key of `checkpoints`, {key: path}. UserError for another key, and as `load`."""
        if key not in checkpoints:
            raise UserError("there is no such network any more: load the page again")
        path = checkpoints[key]
        if self._network is None or (self._key, self._path) != (key, path):  # a run that goes on has a better one
            self._network = None  # its memory is free before the next one takes some
            self._network = load(path, self.argv, self.say)
            self._key, self._path = key, path
            self.say(f"network: {self._network}")
        return self._network
