"""From options to loaders: which images make an epoch, what is done to them, how they become batches."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import transforms
from datasets import audit, bit_depth, centroids, keeping, mixing, splits, subset, whole_images
from datasets.base import SegmentationDataset, Split
from datasets.batches import collate_train
from datasets.checking import quick
from datasets.entry import DatasetEntry
from datasets.leftout import agreed
from datasets.loaders import AugmentationDump, EvalLoader, TrainLoader
from datasets.registry import DATASETS
from datasets.samplers import ClassUniformSampler, IterationBasedSampler, balanced_share, keep_items, merge, presence_of
from datasets.splits import resolve, spec
from media import results
from utils.contracts import DatasetSpec
from utils.distributed import DistributedContext, from_main
from utils.errors import UserError

__all__ = ["DATASETS", "DatasetEntry", "agreed", "build", "build_train", "build_val", "resolve", "spec"]

# Steps of --test_mode, as published.
TEST_STEPS, TEST_VAL_STEPS = 11, 7


def build_train(cfg: Any, ranks: DistributedContext, run_dir: str | Path = "") -> TrainLoader:
    """Load training batches as the config asks; `run_dir` receives augmented images if it asks for those."""
    classes = spec(cfg)
    _check_classes(cfg, classes)
    splits.check_training_options(cfg)
    split = splits.with_adjacent_frames(cfg, splits.load(cfg, "train", ranks))
    # Already now: what is wrong or missing there would come to light after an epoch.
    val = audit.Labels.of(build_val(cfg, ranks).dataset) if cfg.TRAIN.DO_EVAL else None
    bits, note = bit_depth.image_bits(cfg, ranks, split, "train")
    looked_at = {"training": split.items[: split.fine], "validation": val.dataset.items if val else ()}
    skips = cfg.DATASET.ON_BAD_SAMPLE == "skip"
    looked = from_main(ranks, lambda: quick.line(looked_at, skips)) or ""
    notes = (*split.notes, *filter(None, [note, bit_depth.turned_note(split)]))
    transform = transforms.build_train(cfg, classes)
    dataset = SegmentationDataset(split.items, classes, transform, split.filter_pseudo_labels, notes, bits, skips)
    dataset = keeping.keep(dataset, cfg.DATASET.CACHE_DECODED, ranks, cfg.DATASET.NUM_WORKERS)
    labels = audit.Labels(dataset, range(split.fine), notes=[looked] if looked else [])
    whole = bool(cfg.DATASET.IMG_SIZES)
    most = _most_steps(cfg)
    sampler = whole_images.sampler(cfg, ranks, split, most) if whole else _sampler(cfg, ranks, labels, split)
    if isinstance(sampler, ClassUniformSampler):
        dataset = mixing.build(cfg, dataset, sampler, labels)
    dump = None
    if cfg.DATASET.DUMP_IMAGES and ranks.is_main:
        dump = AugmentationDump(Path(run_dir) / "augmented", classes, cfg.DATASET.MEAN, cfg.DATASET.STD)
    if cfg.TRAIN.MAX_ITERS:
        sampler = IterationBasedSampler(sampler, cfg.TRAIN.SAVE_INTERVAL, cfg.TRAIN.MAX_ITERS)
    collate = whole_images.build_collate(cfg, classes) if whole else collate_train
    pin = ranks.device.type == "cuda"
    return TrainLoader(dataset, sampler, cfg.DATASET.NUM_WORKERS, pin, dump, collate, labels, val)


def build_val(cfg: Any, ranks: DistributedContext, mode: str = "val") -> EvalLoader:
    """Load evaluation batches: "val", "trn" (training images as they are), "test", or "folder" (`EVAL.FOLDER`)."""
    classes, val_size = spec(cfg), splits.find(cfg).val_size
    if mode == "folder":
        results.check_apart(cfg.EVAL.FOLDER, cfg.RESULT_DIR, "--result_dir", made=_dumps(cfg))
        split = splits.load_folder(cfg, ranks)
    elif mode in ("val", "test"):
        split = splits.load(cfg, mode, ranks)
    elif mode == "trn":
        full = splits.load(cfg, "train", ranks)
        split = Split.plain(full.items[: full.fine], full.notes)
    else:
        raise UserError(f"--eval takes val, trn, test or folder, not {mode!r}")
    some = subset.share(split.items, cfg.EVAL.NUM_IMAGES) if cfg.EVAL.NUM_IMAGES else split.items
    shown = some[cfg.EVAL.SPLIT_INDEX :: cfg.EVAL.SPLIT_COUNT]
    if not shown:
        count = f"{len(some)} images leave none for it"
        raise UserError(f"--split_index {cfg.EVAL.SPLIT_INDEX} of --split_count {cfg.EVAL.SPLIT_COUNT}: {count}")
    if any(item.label for item in split.items):
        _check_classes(cfg, classes)
    most = TEST_VAL_STEPS * cfg.EVAL.BATCH_SIZE * ranks.world
    shown = subset.share(shown, most) if cfg.OPTIONS.TEST_MODE else shown
    size = cfg.DATASET.PRE_SIZE or val_size if val_size and mode in ("val", "trn") else 0
    bits, note = bit_depth.image_bits(cfg, ranks, split, mode)
    once = "--cache_decoded: a folder's pictures are read once, so that none is kept"
    said = [note, once if mode == "folder" and cfg.DATASET.CACHE_DECODED else ""]
    transform, notes = transforms.build_val(cfg, classes, size), (*split.notes, *filter(None, said))
    skips = cfg.DATASET.ON_BAD_SAMPLE == "skip"
    dataset = SegmentationDataset(shown, classes, transform, notes=notes, image_bits=bits, skips_bad=skips)
    if mode != "folder":
        dataset = keeping.keep(dataset, cfg.DATASET.CACHE_DECODED, ranks, cfg.DATASET.NUM_WORKERS)
    # Half the workers for validation, as published: those of training stay alive meanwhile.
    workers = cfg.DATASET.NUM_WORKERS // 2
    lenient = mode == "folder"  # the score of a dataset is one over all of its images
    return EvalLoader(dataset, cfg.EVAL.BATCH_SIZE, workers, ranks.rank, ranks.world, lenient)


def _dumps(cfg: Any) -> bool:
    """Say whether an evaluation writes pictures of its own."""
    return cfg.EVAL.VISUALIZE or any(value for key, value in cfg.EVAL.items() if key.startswith("DUMP_"))


def audit_labels(cfg: Any, ranks: DistributedContext, loader: TrainLoader) -> list[str]:
    """Tell the log of the files before the first step. UserError, on all processes, for useless labels."""
    val = loader.validation
    notes = dict.fromkeys([*loader.dataset.notes, *(val.dataset.notes if val else ()), *loader.labels.notes])
    found = from_main(ranks, lambda: audit.lines(loader.labels, val, cfg.SEED, cfg.DATASET.NUM_WORKERS))
    return [*notes, *found, *audit.bad_labels(loader.labels, val, ranks)]


def build(cfg: Any, ranks: DistributedContext, run_dir: str | Path = "") -> tuple[TrainLoader, EvalLoader]:
    """Load training and validation batches."""
    return build_train(cfg, ranks, run_dir), build_val(cfg, ranks)


def _check_classes(cfg: Any, spec: DatasetSpec) -> None:
    if cfg.DATASET.NUM_CLASSES != spec.num_classes:
        raise UserError(
            f"DATASET.NUM_CLASSES is {cfg.DATASET.NUM_CLASSES}, but labels of {spec.name} have {spec.num_classes} "
            "classes; leave it out"
        )


def _sampler(cfg: Any, ranks: DistributedContext, labels: audit.Labels, split: Split) -> ClassUniformSampler:
    """Draw fine images, by class centroids where asked, with coarse images and adjacent frames up to MAX_CU_EPOCH.

    Writes into `labels` which of them these are.
    """
    c, classes = cfg.DATASET, labels.dataset.spec.num_classes
    images = range(split.fine)
    kept: Sequence[int] = images
    near: dict[int, Any] = {}
    if c.CLASS_UNIFORM_PCT > 0 or c.TRAIN_FRACTION < 1 or cfg.AUG.COPY_PASTE:
        near = _centroids(cfg, ranks, labels, images)
    if c.TRAIN_FRACTION < 1:
        kept = balanced_share(presence_of(near, split.fine, classes), c.TRAIN_FRACTION, cfg.SEED)
        near = keep_items(near, kept)
    mixed = split.coarse if c.COARSE_MULTIPLE else ()
    early, used = near, [kept, mixed]
    if c.CLASS_UNIFORM_PCT > 0 and split.coarse and not mixed:
        far = _centroids(cfg, ranks, labels, split.coarse)
        early = merge({} if c.ONLY_COARSE else near, far, split.boost)
        used.append(split.coarse)
    if c.CLASS_UNIFORM_PCT > 0 and split.source_index:
        frames = range(split.coarse.stop, len(split.items))
        sources = set(kept)
        beside = [frame for frame, source in zip(frames, split.source_index, strict=True) if source in sources]
        early = merge(early, keep_items(_centroids(cfg, ranks, labels, frames), beside), range(classes))
        used.append(beside)
    labels.places = np.concatenate([np.asarray(part, np.int64) for part in used])
    return ClassUniformSampler(
        kept, early, classes, c.CLASS_UNIFORM_PCT, cfg.TRAIN.BATCH_SIZE, ranks.rank, ranks.world, cfg.SEED,
        near if early is not near else None, c.MAX_CU_EPOCH, _most_steps(cfg),
        mixed, c.COARSE_MULTIPLE,
    )  # fmt: skip


def _most_steps(cfg: Any) -> int:
    return TEST_STEPS if cfg.OPTIONS.TEST_MODE else 0


def _centroids(cfg: Any, ranks: DistributedContext, labels: audit.Labels, indices: range) -> dict[int, Any]:
    c = cfg.DATASET
    place = (c.CLASS_UNIFORM_TILE, c.CENTROID_ROOT, "small_tile" in cfg.PUBLISHED)
    found = centroids.cached(labels.dataset, indices, *place, c.NUM_WORKERS, ranks)
    labels.pixels.append(found.pixels)
    labels.notes += [found.note] if found.note else []
    return found
