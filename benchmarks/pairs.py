"""The same work done twice, the published way (benchmarks/baselines.py) and ours: what benchmarks/run.py measures.

`PAIRS`: data (decode, augment, crop), cached (the same from decoded images), centroids, metrics (confusion matrix),
eval (images to class maps), train (steps).
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import torch

import datasets
import inference
import loss
import network
import train
from benchmarks import baselines
from benchmarks.measure import Pair
from datasets.centroids import tile_centroids
from engine.budget import Budget
from engine.log import RunLog
from engine.session import Run, to_device
from engine.state import FiniteGuard, TrainState
from engine.training import Trainer
from evaluation.metrics import ConfusionMatrix
from inference.rule import normalize
from utils import amp
from utils.contracts import Batch
from utils.distributed import DistributedContext
from utils.normalization import Normalization


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


# --- the pairs -----------------------------------------------------------------------------------------------------


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


def cached(job: Job) -> Pair:
    """Run the same, from images and labels that --cache_decoded keeps."""
    cfg = job.cfg.clone()
    cfg.defrost()
    cfg.DATASET.CACHE_DECODED = str(job.folder / "decoded")
    return data(replace(job, cfg=cfg))


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
    mean, std = cfg.DATASET.MEAN, cfg.DATASET.STD

    def baseline() -> np.ndarray:
        return baselines.predict(net, image, mean, std, job.device, job.half)[0]

    return Pair(baseline, our_prediction(job, copy.deepcopy(net), image), "image")


def our_prediction(job: Job, net: network.Net, image: np.ndarray) -> Callable[[], np.ndarray]:
    """Make the prediction of an evaluation: image (H, W, 3) uint8 -> classes (H, W) uint8."""
    run = our_run(job)
    predictor = inference.build_predictor(job.cfg, to_device(run, net), run.precision, print)
    return lambda: predictor([image])[0].classes.cpu().numpy()


def training(job: Job) -> Pair:
    """Make one step on a batch of crops that lies in host memory."""
    image, label = crops(job)
    torch.manual_seed(job.cfg.SEED)
    net = network.build(job.cfg).to(job.device).train()
    return Pair(
        plain_step(job, copy.deepcopy(net), image, label), our_step(job, net, image, label), "image", len(image)
    )


def crops(job: Job) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw a batch: images (N, 3, H, W) uint8 and labels (N, H, W) int64."""
    pairs = [scene(job.size, seed) for seed in range(job.cfg.TRAIN.BATCH_SIZE)]
    image = torch.from_numpy(np.stack([pair[0] for pair in pairs])).permute(0, 3, 1, 2).contiguous()
    return image, torch.from_numpy(np.stack([pair[1] for pair in pairs])).long()


def plain_step(job: Job, net: torch.nn.Module, image: torch.Tensor, label: torch.Tensor) -> Callable[[], float]:
    """Make the published step: SGD, a normalized float batch from the loader."""
    cfg, optimizer = job.cfg, sgd(job, net)
    scaler = torch.amp.GradScaler(job.device.type, enabled=job.half)
    floats = normalize(image, inference.eval_rule(cfg))  # a loader worker did this

    def step() -> float:
        x, y = floats.to(job.device), label.to(job.device)
        return baselines.train_step(
            net, optimizer, scaler, x, y, cfg.DATASET.NUM_CLASSES, cfg.DATASET.IGNORE_LABEL, cfg.LOSS.RMI,
            cfg.LOSS.SUPERVISED_MSCALE_WT,
        )  # fmt: skip

    return step


def sgd(job: Job, net: torch.nn.Module) -> torch.optim.Optimizer:
    """Make PyTorch's optimizer as it comes."""
    o = job.cfg.OPTIM
    return torch.optim.SGD(net.parameters(), o.LR, o.MOMENTUM, weight_decay=o.WEIGHT_DECAY)


def our_run(job: Job) -> Run:
    """Make what train.py knows of a run; it logs nothing."""
    cfg, silent = job.cfg, RunLog(job.folder, main=False)
    precision = amp.build(cfg.TRAIN.FP16, cfg.TRAIN.AMP_OPT_LEVEL, job.device)
    return Run(cfg, datasets.spec(cfg), DistributedContext(device=job.device), silent, precision, "")


def our_trainer(job: Job, run: Run, net: network.Net) -> Trainer:
    """Make the moving parts of train.py's step."""
    cfg, loader = job.cfg, cast(datasets.TrainLoader, ())
    net = to_device(run, net)
    state = TrainState(net, loss.optimizer.build(cfg, net), run.precision.scaler)
    criterion, lr = loss.build(cfg, run.ranks), loss.schedule.rate_function(cfg)
    normalize = Normalization(cfg.DATASET.MEAN, cfg.DATASET.STD, job.device)
    guard, budget = FiniteGuard(net), Budget(state, run.ranks, epochs=1, batches=1, per_epoch=1)
    return Trainer(state, net, net, criterion, lr, loader, normalize, guard, budget)


def our_step(job: Job, net: network.Net, image: torch.Tensor, label: torch.Tensor) -> Callable[[], float]:
    """Make the step of train.py, from the uint8 batch on."""
    run = our_run(job)
    trainer = our_trainer(job, run, net)
    batch = Batch(image=image, label=label, name=[""] * len(image), size=[job.size] * len(image))

    def step() -> float:
        value = train.backward(run, trainer, 0, batch, 1)
        train.optimizer_step(run, trainer, job.cfg.OPTIM.LR)
        return float(value)

    return step


PAIRS: dict[str, Callable[[Job], Pair]] = {
    "data": data,
    "cached": cached,
    "centroids": centroids,
    "metrics": metrics,
    "eval": evaluation,
    "train": training,
}
