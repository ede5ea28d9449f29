"""From options to loaders: which images make an epoch, what is done to them, how they become batches."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import transforms
from datasets import audit, catalogue, centroids, dynamic, look, neighbours, results, subset
from datasets.base import SegmentationDataset, Split, collate_train
from datasets.catalogue import DATASETS, Entry, find, settle, spec
from datasets.loaders import AugmentationDump, EvalLoader, TrainLoader, agreed
from datasets.samplers import ClassUniformSampler, IterationBasedSampler, balanced_share, keep_items, merge, presence_of
from utils.contracts import DatasetSpec
from utils.distributed import DistributedContext, from_main
from utils.errors import UserError

__all__ = ["DATASETS", "agreed", "build", "build_train", "build_val", "settle", "spec"]

# Steps of --test_mode, as published.
TEST_STEPS, TEST_VAL_STEPS = 11, 7


def build_train(cfg: Any, ranks: DistributedContext, run_dir: str | Path = "") -> TrainLoader:
    """Training batches as the config asks; `run_dir` receives augmented images if it asks for those."""
    entry, classes = find(cfg), spec(cfg)
    _check_classes(cfg, classes)
    _check_coarse(cfg, entry)
    listing = _with_frames(cfg, entry, catalogue.listing(cfg, "train", ranks))
    # Already now: what is wrong or missing there would come to light after an epoch.
    val = audit.Labels.of(build_val(cfg, ranks).dataset) if cfg.TRAIN.DO_EVAL else None
    bits, note = look.image_bits(cfg, ranks, listing, "train")
    notes = (*listing.notes, *filter(None, [note, look.turned_note(listing)]))
    transform = transforms.build_train(cfg, classes)
    dataset = SegmentationDataset(listing.items, classes, transform, listing.refine, notes, bits)
    whole, labels = bool(cfg.DATASET.IMG_SIZES), audit.Labels(dataset, list(range(listing.fine)))
    sampler = dynamic.sampler(cfg, ranks, listing, _most_steps(cfg)) if whole else _sampler(cfg, ranks, labels, listing)
    dump = None
    if cfg.DATASET.DUMP_IMAGES and ranks.is_main:
        dump = AugmentationDump(Path(run_dir) / "augmented", classes, cfg.DATASET.MEAN, cfg.DATASET.STD)
    if cfg.TRAIN.MAX_ITERS:
        sampler = IterationBasedSampler(sampler, cfg.TRAIN.SAVE_INTERVAL, cfg.TRAIN.MAX_ITERS)
    collate = dynamic.canvas(cfg, classes) if whole else collate_train
    pin = ranks.device.type == "cuda"
    return TrainLoader(dataset, sampler, cfg.DATASET.NUM_WORKERS, pin, dump, collate, labels, val)


def build_val(cfg: Any, ranks: DistributedContext, mode: str = "val") -> EvalLoader:
    """Evaluation batches: "val", "trn" (training images as they are), "test", or "folder" (`EVAL.FOLDER`)."""
    entry, classes = find(cfg), spec(cfg)
    if mode == "folder":
        results.check_apart(cfg.EVAL.FOLDER, cfg.RESULT_DIR, "--result_dir", made=_dumps(cfg))
        listing = catalogue.shown(cfg, ranks)
    elif mode in ("val", "test"):
        listing = catalogue.listing(cfg, mode, ranks)
    elif mode == "trn":
        full = catalogue.listing(cfg, "train", ranks)
        listing = Split.plain(full.items[: full.fine], full.notes)
    else:
        raise UserError(f"--eval takes val, trn, test or folder, not {mode!r}")
    some = subset.share(listing.items, cfg.EVAL.NUM_IMAGES) if cfg.EVAL.NUM_IMAGES else listing.items
    shown = some[cfg.EVAL.SPLIT_INDEX :: cfg.EVAL.SPLIT_COUNT]
    if not shown:
        count = f"{len(some)} images leave none for it"
        raise UserError(f"--split_index {cfg.EVAL.SPLIT_INDEX} of --split_count {cfg.EVAL.SPLIT_COUNT}: {count}")
    if any(item.label for item in listing.items):
        _check_classes(cfg, classes)
    most = TEST_VAL_STEPS * cfg.EVAL.BATCH_SIZE * ranks.world
    shown = subset.share(shown, most) if cfg.OPTIONS.TEST_MODE else shown
    size = cfg.DATASET.PRE_SIZE or entry.val_size if entry.val_size and mode in ("val", "trn") else 0
    bits, note = look.image_bits(cfg, ranks, listing, mode)
    transform, notes = transforms.build_val(cfg, classes, size), (*listing.notes, *filter(None, [note]))
    dataset = SegmentationDataset(shown, classes, transform, notes=notes, image_bits=bits)
    # Half the workers for validation, as published: those of training stay alive meanwhile.
    workers = cfg.DATASET.NUM_WORKERS // 2
    lenient = mode == "folder"  # the score of a dataset is one over all of its images
    return EvalLoader(dataset, cfg.EVAL.BATCH_SIZE, workers, ranks.rank, ranks.world, lenient)


def _dumps(cfg: Any) -> bool:
    """Whether an evaluation writes pictures of its own."""
    return cfg.EVAL.VISUALIZE or any(value for key, value in cfg.EVAL.items() if key.startswith("DUMP_"))


def audit_labels(cfg: Any, ranks: DistributedContext, loader: TrainLoader) -> list[str]:
    """What the log should say of the files before the first step. UserError, on all processes, for useless labels."""
    val = loader.validation
    notes = dict.fromkeys([*loader.dataset.notes, *(val.dataset.notes if val else ()), *loader.labels.notes])
    return [*notes] + from_main(ranks, lambda: audit.lines(loader.labels, val, cfg.SEED, cfg.DATASET.NUM_WORKERS))


def build(cfg: Any, ranks: DistributedContext, run_dir: str | Path = "") -> tuple[TrainLoader, EvalLoader]:
    """Training and validation batches."""
    return build_train(cfg, ranks, run_dir), build_val(cfg, ranks)


def _check_classes(cfg: Any, spec: DatasetSpec) -> None:
    if cfg.DATASET.NUM_CLASSES != spec.num_classes:
        raise UserError(
            f"DATASET.NUM_CLASSES is {cfg.DATASET.NUM_CLASSES}, but labels of {spec.name} have {spec.num_classes} "
            "classes; leave it out"
        )


def _check_coarse(cfg: Any, entry: Entry) -> None:
    """Options of coarse images are for datasets that have some, and those of automatic labels for automatic labels."""
    c, of_autos = cfg.DATASET, ("CUSTOM_COARSE_DROPOUT_CLASSES", "MASK_OUT_CITYSCAPES")
    given = ["coarse_boost_classes"] * bool(c.COARSE_BOOST_CLASSES) + ["only_coarse"] * c.ONLY_COARSE
    given += ["coarse_multiple"] * bool(c.COARSE_MULTIPLE)
    given += ["custom_coarse_prob"] * (c.CUSTOM_COARSE_PROB >= 0) + [name.lower() for name in of_autos if c[name]]
    if given and not entry.coarse:
        able = " and ".join(name for name, other in DATASETS.items() if other.coarse)
        raise UserError(f"--{given[0]}: {c.NAME} has no coarse images, only {able} have; leave it out")
    if c.CUSTOM_COARSE_DROPOUT_CLASSES and c.CUSTOM_COARSE_PROB < 0:
        raise UserError(
            "--custom_coarse_dropout_classes is for automatic labels: add --custom_coarse_prob, or leave it out"
        )


def _with_frames(cfg: Any, entry: Entry, listing: Split) -> Split:
    """The listing, and with --maxSkip the frames around its fine images behind it."""
    skip = cfg.DATASET.MAX_SKIP
    if not skip:
        return listing
    if entry.around is None:
        able = ", ".join(name for name, other in DATASETS.items() if other.around)
        raise UserError(f"--maxSkip: {cfg.DATASET.NAME} has no frames around its images, {able} have; leave it out")
    place, where = entry.around(cfg)
    near = neighbours.around(listing.items[: listing.fine], skip, place, where)
    note = f"note: --maxSkip {skip}: {len(near.items)} frames around {listing.fine} images"
    note += f"; {near.missing} are not there" if near.missing else ""
    return replace(listing, items=listing.items + near.items, origins=near.origins, notes=(*listing.notes, note))


def _sampler(cfg: Any, ranks: DistributedContext, labels: audit.Labels, listing: Split) -> ClassUniformSampler:
    """Fine images, class centroids where they are needed, and those of coarse images and frames up to MAX_CU_EPOCH.

    `labels` are told which of them these are.
    """
    c, classes = cfg.DATASET, labels.dataset.spec.num_classes
    images = range(listing.fine)
    kept = list(images)
    near: dict[int, Any] = {}
    if c.CLASS_UNIFORM_PCT > 0 or c.TRAIN_FRACTION < 1:
        near = _centroids(cfg, ranks, labels, images)
    if c.TRAIN_FRACTION < 1:
        kept = balanced_share(presence_of(near, listing.fine, classes), c.TRAIN_FRACTION, cfg.SEED)
        near = keep_items(near, kept)
    mixed = listing.coarse if c.COARSE_MULTIPLE else ()
    early, labels.places = near, [*kept, *mixed]
    if c.CLASS_UNIFORM_PCT > 0 and listing.coarse and not mixed:
        far = _centroids(cfg, ranks, labels, listing.coarse)
        early = merge({} if c.ONLY_COARSE else near, far, listing.boost)
        labels.places += listing.coarse
    if c.CLASS_UNIFORM_PCT > 0 and listing.origins:
        frames = range(listing.coarse.stop, len(listing.items))
        origins = set(kept)
        used = [frame for frame, origin in zip(frames, listing.origins, strict=True) if origin in origins]
        early = merge(early, keep_items(_centroids(cfg, ranks, labels, frames), used), range(classes))
        labels.places += used
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
    labels.pixels.update(zip(indices, found.pixels, strict=True))
    labels.notes += [found.note] if found.note else []
    return found
