"""How much faster than the published way of doing it: both sides in one run, in turns.

    python benchmarks/benchmark.py --what metrics --baseline eager
    python benchmarks/benchmark.py --what eval --baseline eager --size 512,1024 --steps 5 --arch ocrnet.HRNet_Mscale
    python benchmarks/benchmark.py --what train --baseline eager --size 256 --bs_trn 2 --rmi_loss --hrnet_width 18

--what data (decode, augment, crop), centroids, metrics (confusion matrix), eval (images to class maps), train (steps).
The published side is benchmarks/baselines.py. All other flags are options of train.py. Prints the median, the spread,
the ratio and the memory; --out FILE.json keeps the numbers. Uses the GPU if there is one.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the repository, when run as a script

import config
import datasets
import inference
import loss
import network
import train
from benchmarks import baselines, measure
from benchmarks.measure import Pair
from datasets.centroids import tile_centroids
from engine.budget import Budget
from engine.log import RunLog
from engine.session import Run, to_device
from engine.state import FiniteGuard, TrainState
from engine.training import Trainer
from evaluation.metrics import ConfusionMatrix
from inference.rule import normalize
from options.table import OPTIONS
from utils import amp
from utils.cli import exit_code, place_to_write, start
from utils.contracts import Batch
from utils.distributed import DistributedContext
from utils.normalization import Normalization

PUBLISHED_ARCH = "ocrnet.HRNet_Mscale"


@dataclass
class Job:
    """What is measured on: options, image size (H, W), device, a folder for files."""

    cfg: Any
    size: tuple[int, int]
    device: torch.device
    folder: Path

    @property
    def half(self) -> bool:
        """fp16 on the baseline's side: on a GPU with --fp16."""
        return self.device.type == "cuda" and self.cfg.TRAIN.FP16


# --- the five pairs ------------------------------------------------------------------------------------------------


def scene(size: tuple[int, int], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Draw an image (H, W, 3) uint8 and label (H, W) uint8 of train ids: smooth areas, texture, some pixels ignored."""
    rng = np.random.default_rng(seed)
    height, width = size
    field = cv2.resize(rng.random((height // 32 + 2, width // 32 + 2), np.float32), (width, height))
    label = np.clip(field * 24 - 2, 0, 20).astype(np.uint8)
    label[label > 18] = 255
    image = cv2.resize(rng.integers(0, 256, (height // 16 + 2, width // 16 + 2, 3), np.uint8), (width, height))
    noise = rng.integers(0, 12, image.shape, np.uint8)
    return cv2.add(image, noise), label


def write_cityscapes(root: Path, size: tuple[int, int], count: int) -> None:
    """Write `count` training images in the layout of Cityscapes, with labels, and one for validation."""
    spec = datasets.spec("cityscapes")
    raw = np.zeros(256, np.uint8)
    raw[: spec.num_classes] = spec.train_to_id
    for index, split in enumerate(["train"] * count + ["val"]):
        image, label = scene(size, index)
        for kind, suffix, array in (("leftImg8bit", "leftImg8bit", image), ("gtFine", "gtFine_labelIds", raw[label])):
            path = root / kind / split / "town" / f"town_000000_{index:06d}_{suffix}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), array)


def data(job: Job) -> Pair:
    """Run one process: decode, scale, crop, flip, color jitter. Ours leaves normalization to the device."""
    write_cityscapes(job.folder, job.size, 8)
    trees = [job.folder / kind / "train" for kind in ("leftImg8bit", "gtFine")]
    images, labels = (sorted(map(str, tree.rglob("*.png"))) for tree in trees)
    files = itertools.cycle(zip(images, labels, strict=True))
    spec, crop = datasets.spec("cityscapes"), job.cfg.DATASET.CROP_SIZE
    assert spec.id_to_train is not None
    ids = dict(spec.id_to_train)
    cfg = job.cfg.clone()
    cfg.defrost()
    cfg.DATASET.update(NAME="cityscapes", ROOT=str(job.folder), NUM_WORKERS=0, CLASS_UNIFORM_PCT=0.0)
    cfg.TRAIN.BATCH_SIZE = 1
    batches = endless(datasets.build_train(cfg, DistributedContext(), job.folder))
    scales, color = (cfg.AUG.SCALE_MIN, cfg.AUG.SCALE_MAX), cfg.AUG.COLOR

    def baseline() -> tuple[torch.Tensor, torch.Tensor]:
        return baselines.training_sample(*next(files), ids, crop, scales, color)

    def ours() -> tuple[torch.Tensor, torch.Tensor]:
        batch = next(batches)
        return batch["image"][0], batch["label"][0]

    # A loader's worker has one thread.
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    return Pair(baseline, ours, "image")


def endless(loader: Any) -> Iterator[Any]:
    """Give the batches of epoch after epoch."""
    for epoch in itertools.count():
        loader.set_epoch(epoch)
        yield from loader


def centroids(job: Job) -> Pair:
    """Find the class centroids of the tiles of one label."""
    _, label = scene(job.size)
    tile, classes = min(job.cfg.DATASET.CLASS_UNIFORM_TILE, *job.size), datasets.spec("cityscapes").num_classes
    return Pair(
        lambda: baselines.class_centroids(label, classes, tile), lambda: tile_centroids(label, classes, tile), "label"
    )


def metrics(job: Job) -> Pair:
    """Count the confusion matrix of one image; the prediction lies on the device, as after a forward pass."""
    (_, label), (_, other) = scene(job.size), scene(job.size, seed=1)
    classes = datasets.spec("cityscapes").num_classes
    pred = torch.from_numpy(other % classes).to(job.device)

    def ours() -> np.ndarray:
        return ConfusionMatrix(classes, device=job.device).update(pred, label).cpu().numpy()

    return Pair(lambda: baselines.histogram(pred.cpu().numpy(), label, classes), ours, "image")


def evaluation(job: Job) -> Pair:
    """Turn an image in host memory into a class map in host memory."""
    cfg, (image, _) = job.cfg, scene(job.size)
    torch.manual_seed(cfg.SEED)
    net = network.build(cfg).to(job.device).eval()
    run = our_run(job)
    predictor = inference.build_predictor(cfg, to_device(run, copy.deepcopy(net)), run.precision, print)
    mean, std = cfg.DATASET.MEAN, cfg.DATASET.STD

    def baseline() -> np.ndarray:
        return baselines.predict(net, image, mean, std, job.device, job.half)[0]

    return Pair(baseline, lambda: predictor([image])[0].classes.cpu().numpy(), "image")


def training(job: Job) -> Pair:
    """Make one step on a batch of crops that lies in host memory."""
    cfg, count = job.cfg, job.cfg.TRAIN.BATCH_SIZE
    pairs = [scene(job.size, seed) for seed in range(count)]
    image = torch.from_numpy(np.stack([pair[0] for pair in pairs])).permute(0, 3, 1, 2).contiguous()
    label = torch.from_numpy(np.stack([pair[1] for pair in pairs])).long()
    torch.manual_seed(cfg.SEED)
    net = network.build(cfg).to(job.device).train()
    return Pair(plain_step(job, copy.deepcopy(net), image, label), our_step(job, net, image, label), "image", count)


def plain_step(job: Job, net: torch.nn.Module, image: torch.Tensor, label: torch.Tensor) -> Callable[[], float]:
    """Make the published step: SGD, a normalized float batch from the loader."""
    cfg = job.cfg
    optimizer = torch.optim.SGD(net.parameters(), cfg.OPTIM.LR, cfg.OPTIM.MOMENTUM, weight_decay=cfg.OPTIM.WEIGHT_DECAY)
    scaler = torch.amp.GradScaler(job.device.type, enabled=job.half)
    floats = normalize(image, inference.eval_rule(cfg))  # a loader worker did this

    def step() -> float:
        x, y = floats.to(job.device), label.to(job.device)
        return baselines.train_step(
            net, optimizer, scaler, x, y, cfg.DATASET.NUM_CLASSES, cfg.DATASET.IGNORE_LABEL, cfg.LOSS.RMI,
            cfg.LOSS.SUPERVISED_MSCALE_WT,
        )  # fmt: skip

    return step


def our_run(job: Job) -> Run:
    """Make what train.py knows of a run; it logs nothing."""
    cfg, silent = job.cfg, RunLog(job.folder, main=False)
    precision = amp.build(cfg.TRAIN.FP16, cfg.TRAIN.AMP_OPT_LEVEL, job.device)
    return Run(cfg, datasets.spec(cfg), DistributedContext(device=job.device), silent, precision, "")


def our_step(job: Job, net: network.Net, image: torch.Tensor, label: torch.Tensor) -> Callable[[], float]:
    """Make the step of train.py, from the uint8 batch on."""
    cfg, run, loader = job.cfg, our_run(job), cast(datasets.TrainLoader, ())
    net = to_device(run, net)
    state = TrainState(net, loss.optimizer.build(cfg, net), run.precision.scaler)
    criterion, lr = loss.build(cfg, run.ranks), loss.schedule.rate_function(cfg)
    normalize = Normalization(cfg.DATASET.MEAN, cfg.DATASET.STD, job.device)
    guard, budget = FiniteGuard(net), Budget(state, run.ranks, epochs=1, batches=1, per_epoch=1)
    trainer = Trainer(state, net, net, criterion, lr, loader, normalize, guard, budget)
    batch = Batch(image=image, label=label, name=[""] * len(image), size=[job.size] * len(image))

    def step() -> float:
        value = train.backward(run, trainer, 0, batch, 1)
        train.optimizer_step(run, trainer, cfg.OPTIM.LR)
        return float(value)

    return step


PAIRS: dict[str, Callable[[Job], Pair]] = {
    "data": data,
    "centroids": centroids,
    "metrics": metrics,
    "eval": evaluation,
    "train": training,
}


@contextmanager
def prepared(args: argparse.Namespace, rest: Sequence[str]) -> Iterator[Job]:
    """Prepare the job of a command line; its files are gone afterwards, and thread counts as before."""
    cfg = config.load(rest, checkpoint_config={"MODEL.ARCH": PUBLISHED_ARCH})
    size = OPTIONS["DATASET.CROP_SIZE"].coerce(args.size, "--size")
    threads = cv2.getNumThreads(), torch.get_num_threads()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        with tempfile.TemporaryDirectory() as folder:
            yield Job(cfg, size, device, Path(folder))
    finally:
        cv2.setNumThreads(threads[0])
        torch.set_num_threads(threads[1])


def parser() -> argparse.ArgumentParser:
    """Make the command line; what it does not know goes to config.load."""
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    p.add_argument("--what", required=True, choices=sorted(PAIRS))
    p.add_argument("--baseline", default="eager", choices=["eager"], help="what to compare with")
    p.add_argument("--size", default="512,1024", help='image size, one number or "height,width"')
    p.add_argument("--steps", type=int, default=10, help="timed calls of each side")
    p.add_argument("--out", type=place_to_write, help="file for the numbers, JSON")
    return p


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    """Measure, print, write."""
    args, rest = parser().parse_known_args(argv)
    with prepared(args, rest) as job:
        pair = PAIRS[args.what](job)
        result = measure.summary(args.what, job.size, job.device, pair, measure.in_turns(pair, args.steps, job.device))
    print(measure.table(result))
    if args.out:
        args.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return result


if __name__ == "__main__":
    sys.exit(start(lambda: exit_code(main, stopped="nothing was written")))
