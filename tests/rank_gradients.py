"""Worker of test_train: loss and gradients of one global batch in double precision, written by the main rank."""

from __future__ import annotations

import sys

import torch
from torch.nn.parallel import DistributedDataParallel

import config
import datasets
import inference
import loss
import network
from inference.rule import normalize
from utils import distributed


def main(out: str, words: list[str]) -> None:
    """One backward pass with the options `words`; {"loss", "grad"} goes to the file `out`."""
    cfg = config.load(words)
    ranks = distributed.init()
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
        torch.save({"loss": value, "grad": {n: p.grad for n, p in net.named_parameters()}}, out)
    ranks.barrier()
    distributed.close()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
