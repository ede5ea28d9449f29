"""Worker of test_train: losses and gradients of one global batch in double precision, on one rank or several."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch.nn.parallel import DistributedDataParallel
from yacs.config import CfgNode

import config
import datasets
import inference
import loss
import network
from inference.rule import normalize
from utils import distributed
from utils.distributed import DistributedContext


def main(words: list[str]) -> int:
    """One backward pass for each command line of a JSON table {file: words}; {"loss", "grad"} goes to the file."""
    ranks = distributed.init()
    for path, line in json.loads(words[0]).items():
        one_pass(Path(path), config.load(line), ranks)
    distributed.close()
    return 0


def one_pass(path: Path, cfg: CfgNode, ranks: DistributedContext) -> None:
    """What one pass finds, to `path`, written by the main rank."""
    torch.manual_seed(0)
    net = distributed.sync_batchnorm(network.build(cfg).double(), ranks).train()
    forward = DistributedDataParallel(net) if ranks.world > 1 else net
    criterion = loss.build(cfg, ranks)
    batch = next(iter(datasets.build_train(cfg, ranks)))
    image = normalize(batch["image"], inference.eval_rule(cfg)).double()
    total, _ = criterion(forward(image, batch["label"].shape[-2:]), batch["label"], 0)
    total.backward()
    value = ranks.sum(total.detach()) / ranks.world
    if ranks.is_main:
        torch.save({"loss": value, "grad": {n: p.grad for n, p in net.named_parameters()}}, path)
    ranks.barrier()
