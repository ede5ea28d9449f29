"""Datasets by name, and the loaders that a config asks for.

A dataset is a `DatasetSpec` and a function that lists its files; everything after that is common to all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import transforms
from datasets import ade20k, camvid, centroids, cityscapes, drawn, folder, kitti, mapillary, neighbours
from datasets.base import Listing, SegmentationDataset
from datasets.loaders import AugmentationDump, EvalLoader, TrainLoader
from datasets.samplers import ClassUniformSampler, Rounds, balanced_share, keep_items, merge, presence_of
from utils.contracts import DatasetSpec
from utils.distributed import Ranks
from utils.errors import UserError, nearest

# Steps of --test_mode, as published.
TEST_STEPS, TEST_VAL_STEPS = 11, 7


@dataclass(frozen=True)
class Entry:
    """`listing(cfg, mode, ranks)` gives the files of "train", "val", "trainval" or "test".

    `own_spec(cfg)`: the classes where the dataset's folder says them. `val_size`: long edge at which its images are
    validated where --pre_size does not say otherwise; 0: as they are, whatever it says. `coarse`: it has coarse images.
    `around(cfg)`: where frames around its images lie, and that in words.
    """

    spec: DatasetSpec
    listing: Callable[[Any, str, Ranks], Listing]
    own_spec: Callable[[Any], DatasetSpec] | None = None
    val_size: int = 0
    coarse: bool = False
    around: Callable[[Any], tuple[neighbours.Place, str]] | None = None


def _cityscapes(cfg: Any, mode: str, ranks: Ranks) -> Listing:
    root = cfg.DATASET.ROOT or cfg.DATASET.CITYSCAPES_DIR
    return cityscapes.listing(root, mode, cfg.DATASET.CV, _coarse(cfg) if mode == "train" else None)


def _around_cityscapes(cfg: Any) -> tuple[neighbours.Place, str]:
    """Of the toy scenes, too, which are laid out in the same way."""
    root = cfg.DATASET.AUG_DIR or str(
        Path(cfg.DATASET.ROOT or cfg.DATASET[f"{cfg.DATASET.NAME.upper()}_DIR"]) / "cs_aug"
    )
    return cityscapes.frames_around(root, "frames with propagated labels (--aug_dir)"), f"looked in {root}"


def _around_camvid(cfg: Any) -> tuple[neighbours.Place, str]:
    root = Path(cfg.DATASET.ROOT or cfg.DATASET.CAMVID_DIR)
    aug = Path(cfg.DATASET.AUG_DIR) if cfg.DATASET.AUG_DIR else root / "camvid_aug3" / "CamVid"
    if _camvid_spec(cfg).colours:
        raise UserError(f"--maxSkip: {root} is CamVid's painted original; frames with labels are of the SegNet layout")
    return neighbours.of_camvid(aug), f"looked for {aug}/train/*.png and {aug}/trainannot/*.png"


def _toy(cfg: Any, mode: str, ranks: Ranks) -> Listing:
    root = cfg.DATASET.ROOT or cfg.DATASET.TOY_DIR
    coarse = _coarse(cfg) if mode == "train" else None
    if ranks.local_rank == 0:  # on every machine, since its disk may be its own
        wanted = ["fine"] + ["coarse"] * (coarse is not None) + ["test"] * (mode == "test")
        drawn.write(Path(root), wanted)
    ranks.barrier()
    return cityscapes.listing(root, mode, cfg.DATASET.CV, coarse)


def _camvid(cfg: Any, mode: str, ranks: Ranks) -> Listing:
    root = cfg.DATASET.ROOT or cfg.DATASET.CAMVID_DIR
    if cfg.DATASET.CV == cityscapes.CV_ALL:  # as published: train on both, validate on the test images where they are
        mode = {"train": "trainval", "val": "test" if camvid.has_test(root) else "val"}.get(mode, mode)
    return Listing.plain(camvid.items(root, mode))


def _camvid_spec(cfg: Any) -> DatasetSpec:
    return camvid.spec(cfg.DATASET.ROOT or cfg.DATASET.CAMVID_DIR, cfg.DATASET.CAMVID_CLASSES)


def _ade20k(cfg: Any, mode: str, ranks: Ranks) -> Listing:
    """A list where there is one for `mode`, else the plain folder."""
    c, root = cfg.DATASET, cfg.DATASET.ROOT or cfg.DATASET.ADE20K_DIR
    path = {"train": c.LIST_TRAIN, "val": c.LIST_VAL}.get(mode, "")
    return Listing.plain(ade20k.listed(path, root) if path else ade20k.items(root, mode))


def _kitti(cfg: Any, mode: str, ranks: Ranks) -> Listing:
    return Listing.plain(kitti.items(cfg.DATASET.ROOT or cfg.DATASET.KITTI_DIR, mode, cfg.DATASET.CV))


def _mapillary(cfg: Any, mode: str, ranks: Ranks) -> Listing:
    mode = "trainval" if mode == "train" and cfg.DATASET.CV == cityscapes.CV_ALL else mode
    return Listing.plain(mapillary.items(*_mapillary_place(cfg), mode))


def _mapillary_place(cfg: Any) -> tuple[str, str]:
    """Root and release."""
    return cfg.DATASET.ROOT or cfg.DATASET.MAPILLARY_DIR, cfg.DATASET.MAPILLARY_RELEASE


def _folder(cfg: Any, mode: str, ranks: Ranks) -> Listing:
    """`<ROOT>/images` and `<ROOT>/labels` (or <ROOT>/<mode>/...), or a folder of images alone."""
    root = Path(cfg.DATASET.ROOT or cfg.EVAL.FOLDER or ".")
    root = root / mode if (root / mode).is_dir() else root
    images = root / "images" if (root / "images").is_dir() else root
    labels = root / "labels" if (root / "labels").is_dir() else ""
    return Listing.plain(folder.items(str(images), str(labels), folder.SPEC, _label_ids(cfg)))


DATASETS = {
    "cityscapes": Entry(cityscapes.SPEC, _cityscapes, coarse=True, around=_around_cityscapes),
    "kitti": Entry(kitti.SPEC, _kitti),
    "ade20k": Entry(ade20k.SPEC, _ade20k),
    "mapillary": Entry(
        mapillary.SPEC, _mapillary, lambda cfg: mapillary.spec(*_mapillary_place(cfg)), mapillary.VAL_SIZE
    ),
    "camvid": Entry(camvid.SPEC, _camvid, _camvid_spec, around=_around_camvid),
    "toy": Entry(replace(cityscapes.SPEC, name="toy"), _toy, coarse=True, around=_around_cityscapes),
    "folder": Entry(folder.SPEC, _folder),
}


def spec(dataset: Any) -> DatasetSpec:
    """Classes of a dataset given by its name or by a config that names it; UserError for an unknown name."""
    entry = _entry(dataset)
    return entry.spec if isinstance(dataset, str) or entry.own_spec is None else entry.own_spec(dataset)


def settle(cfg: Any) -> None:
    """Write into the options what the dataset's folder decides, so that checkpoints record it."""
    if cfg.DATASET.NAME == "mapillary" and not cfg.DATASET.MAPILLARY_RELEASE:
        cfg.DATASET.MAPILLARY_RELEASE, _ = mapillary.release_of(_mapillary_place(cfg)[0])


def build_train(cfg: Any, ranks: Ranks, run_dir: str | Path = "") -> TrainLoader:
    """Training batches as the config asks; `run_dir` receives augmented images if it asks for those."""
    entry, classes = _entry(cfg), spec(cfg)
    _check_classes(cfg, classes)
    _check_coarse(cfg, entry)
    listing = _with_frames(cfg, entry, entry.listing(cfg, "train", ranks))
    dataset = SegmentationDataset(listing.items, classes, transforms.build_train(cfg, classes), listing.refine)
    sampler = _sampler(cfg, ranks, dataset, listing)
    dump = None
    if cfg.DATASET.DUMP_IMAGES and ranks.is_main:
        dump = AugmentationDump(Path(run_dir) / "augmented", classes, cfg.DATASET.MEAN, cfg.DATASET.STD)
    if cfg.TRAIN.MAX_ITERS:
        sampler = Rounds(sampler, cfg.TRAIN.SAVE_INTERVAL, cfg.TRAIN.MAX_ITERS)
    return TrainLoader(dataset, sampler, cfg.DATASET.NUM_WORKERS, ranks.device.type == "cuda", dump)


def build_val(cfg: Any, ranks: Ranks, mode: str = "val") -> EvalLoader:
    """Evaluation batches: "val", "trn" (training images as they are), "test", or "folder" (`EVAL.FOLDER`)."""
    entry, classes = _entry(cfg), spec(cfg)
    if mode == "folder":
        listing = Listing.plain(folder.items(cfg.EVAL.FOLDER, cfg.EVAL.LABELS, classes, _label_ids(cfg)))
    elif mode in ("val", "test"):
        listing = entry.listing(cfg, mode, ranks)
    elif mode == "trn":
        full = entry.listing(cfg, "train", ranks)
        listing = Listing.plain(full.items[: full.fine])
    else:
        raise UserError(f"--eval takes val, trn, test or folder, not {mode!r}")
    shown = listing.items[cfg.EVAL.SPLIT_INDEX :: cfg.EVAL.SPLIT_COUNT]
    if not shown:
        count = f"{len(listing.items)} images leave none for it"
        raise UserError(f"--split_index {cfg.EVAL.SPLIT_INDEX} of --split_count {cfg.EVAL.SPLIT_COUNT}: {count}")
    if any(item.label for item in listing.items):
        _check_classes(cfg, classes)
    most = TEST_VAL_STEPS * cfg.EVAL.BATCH_SIZE * ranks.world
    shown = shown[:most] if cfg.OPTIONS.TEST_MODE else shown
    size = cfg.DATASET.PRE_SIZE or entry.val_size if entry.val_size and mode in ("val", "trn") else 0
    dataset = SegmentationDataset(shown, classes, transforms.build_val(cfg, classes, size))
    # Half the workers for validation, as published: those of training stay alive meanwhile.
    return EvalLoader(dataset, cfg.EVAL.BATCH_SIZE, cfg.DATASET.NUM_WORKERS // 2, ranks.rank, ranks.world)


def build(cfg: Any, ranks: Ranks, run_dir: str | Path = "") -> tuple[TrainLoader, EvalLoader]:
    """Training and validation batches."""
    return build_train(cfg, ranks, run_dir), build_val(cfg, ranks)


def _entry(dataset: Any) -> Entry:
    name = dataset if isinstance(dataset, str) else dataset.DATASET.NAME
    if name not in DATASETS:
        raise UserError(f"unknown --dataset {name!r}{nearest(name, DATASETS)}; known: {', '.join(DATASETS)}")
    return DATASETS[name]


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


def _with_frames(cfg: Any, entry: Entry, listing: Listing) -> Listing:
    """The listing, and with --maxSkip the frames around its fine images behind it."""
    skip = cfg.DATASET.MAX_SKIP
    if not skip:
        return listing
    if entry.around is None:
        able = ", ".join(name for name, other in DATASETS.items() if other.around)
        raise UserError(f"--maxSkip: {cfg.DATASET.NAME} has no frames around its images, {able} have; leave it out")
    place, where = entry.around(cfg)
    near = neighbours.around(listing.items[: listing.fine], skip, place, where)
    note = f"--maxSkip {skip}: {len(near.items)} frames around {listing.fine} images"
    note += f"; {near.missing} are not there" if near.missing else ""
    return replace(listing, items=listing.items + near.items, origins=near.origins, note=note)


def _sampler(cfg: Any, ranks: Ranks, dataset: SegmentationDataset, listing: Listing) -> ClassUniformSampler:
    """Fine images, class centroids where they are needed, and those of coarse images and frames up to MAX_CU_EPOCH."""
    c, classes = cfg.DATASET, dataset.spec.num_classes
    images = range(listing.fine)
    kept = list(images)
    near: dict[int, Any] = {}
    if c.CLASS_UNIFORM_PCT > 0 or c.TRAIN_FRACTION < 1:
        near = _centroids(cfg, ranks, dataset, images)
    if c.TRAIN_FRACTION < 1:
        kept = balanced_share(presence_of(near, listing.fine, classes), c.TRAIN_FRACTION, cfg.SEED)
        near = keep_items(near, kept)
    mixed = listing.coarse if c.COARSE_MULTIPLE else ()
    early = near
    if c.CLASS_UNIFORM_PCT > 0 and listing.coarse and not mixed:
        far = _centroids(cfg, ranks, dataset, listing.coarse)
        early = merge({} if c.ONLY_COARSE else near, far, listing.boost)
    if c.CLASS_UNIFORM_PCT > 0 and listing.origins:
        frames = range(listing.coarse.stop, len(listing.items))
        origins = set(kept)
        used = [frame for frame, origin in zip(frames, listing.origins, strict=True) if origin in origins]
        early = merge(early, keep_items(_centroids(cfg, ranks, dataset, frames), used), range(classes))
    return ClassUniformSampler(
        kept, early, classes, c.CLASS_UNIFORM_PCT, cfg.TRAIN.BATCH_SIZE, ranks.rank, ranks.world, cfg.SEED,
        near if early is not near else None, c.MAX_CU_EPOCH, TEST_STEPS if cfg.OPTIONS.TEST_MODE else 0,
        mixed, c.COARSE_MULTIPLE, listing.note,
    )  # fmt: skip


def _centroids(cfg: Any, ranks: Ranks, dataset: SegmentationDataset, indices: range) -> dict[int, Any]:
    c = cfg.DATASET
    small = "small_tile" in cfg.PUBLISHED
    return centroids.cached(dataset, indices, c.CLASS_UNIFORM_TILE, c.CENTROID_ROOT, small, c.NUM_WORKERS, ranks)


def _coarse(cfg: Any) -> cityscapes.Coarse | None:
    """What the config says of coarse images; None if it does not ask for them."""
    c = cfg.DATASET
    if not (c.COARSE_BOOST_CLASSES or c.ONLY_COARSE or c.COARSE_MULTIPLE or c.CUSTOM_COARSE_PROB >= 0):
        return None
    return cityscapes.Coarse(
        _classes(c.COARSE_BOOST_CLASSES, "--coarse_boost_classes"),
        c.CUSTOM_COARSE_PROB,
        _classes(c.CUSTOM_COARSE_DROPOUT_CLASSES, "--custom_coarse_dropout_classes"),
        c.MASK_OUT_CITYSCAPES,
        c.CITYSCAPES_CUSTOMCOARSE,
    )


def _classes(text: str, flag: str) -> tuple[int, ...]:
    try:
        classes = tuple(int(part) for part in str(text).split(",") if part.strip())
    except ValueError:
        classes = (-1,)
    if any(not 0 <= c < cityscapes.SPEC.num_classes for c in classes):
        raise UserError(f"{flag} takes train ids 0 to 18, comma-separated, not {text!r}")
    return classes


def _label_ids(cfg: Any) -> str:
    return cfg.EVAL.LABEL_IDS
