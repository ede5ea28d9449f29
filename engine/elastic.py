"""Going on with another number of processes: a step keeps its images, so the batch of each follows their number."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from engine.session import Start
from network.weights import metadata, safe_load
from utils.distributed import DistributedContext
from utils.errors import UserError
from utils.plural import counted

_BATCH = "TRAIN.BATCH_SIZE"


def followed(words: Sequence[str], cfg: Any, ranks: DistributedContext, start: Start) -> list[str]:
    """Give `words`, and behind them the images of each process that keep those of a step in the run that `start`
    continues. Where the command line asks for another --bs_trn than before, it is left as it is.

    UserError where the processes cannot share a step's images.
    """
    if start.path is None or not start.resumes or cfg.EVAL.MODE:
        return [*words]
    content = safe_load.read(start.path)
    size = metadata.recorded(content, start.path).get(_BATCH)
    if not size or cfg.TRAIN.BATCH_SIZE != content.get("bs_trn", size):
        return [*words]
    images = content["world"] * size
    if images % ranks.world:
        fitting = [str(count) for count in range(1, images + 1) if images % count == 0]
        raise UserError(
            f"--resume {start.path} has batches of {images} images ({_processes(content['world'])} "
            f"with {size} each), which {ranks.world} processes cannot share: start {_either(fitting)} of them"
        )
    own = images // ranks.world
    return [*words] if own == cfg.TRAIN.BATCH_SIZE else [*words, _BATCH, str(own)]


def remark(
    content: Mapping[str, Any], before: Mapping[str, Any], options: Mapping[str, Any], world: int, net: nn.Module
) -> str:
    """Tell what another number of processes means for the rest of a run, "" where it is the same.

    `content`: the checkpoint, `before`: its options, `options`: those of now.
    """
    was, size, now = content["world"], before[_BATCH], options[_BATCH]
    if was == world:
        return ""
    kept = "a step keeps its images and their order"
    parts = [kept if was * size == world * now else f"batches of {world * now} images in place of {was * size}"]
    if now != size and not options["TRAIN.SYNCBN"] and any(isinstance(module, _BatchNorm) for module in net.modules()):
        parts.append(f"batch norm without --syncbn sees {now} at a time in place of {size}")
    if any(isinstance(module, _DropoutNd) and module.p for module in net.modules()):
        parts.append("dropout is drawn by each process, so it is another")
    return f"\n{_processes(world)} with --bs_trn {now} in place of {_processes(was)} with {size}: {'; '.join(parts)}"


def parts(content: Mapping[str, Any], before: Mapping[str, Any], options: Mapping[str, Any]) -> int:
    """Give the parts in which a process does its batch, since memory has run out: as many images at once as before."""
    was = content.get("parts", 1)
    return max(1, math.ceil(was * options[_BATCH] / before[_BATCH])) if was > 1 else 1


def _processes(count: int) -> str:
    return counted(count, "process", "processes")


def _either(words: Sequence[str]) -> str:
    return " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
