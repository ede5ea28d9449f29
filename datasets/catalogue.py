"""Datasets by name: a `DatasetSpec`, and a function that lists the files; everything after that is common to all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from datasets import acdc, ade20k, camvid, cityscapes, drawn, folder, kitti, labelids, lists, mapillary, neighbours
from datasets.base import Split
from utils.contracts import DatasetSpec
from utils.distributed import DistributedContext, from_main
from utils.errors import UserError, nearest


@dataclass(frozen=True)
class Entry:
    """`listing(cfg, mode, ranks)` gives the files of "train", "val", "trainval" or "test".

    `own_spec(cfg)`: the classes where the dataset's folder says them. `val_size`: long edge at which its images are
    validated where --pre_size does not say otherwise; 0: as they are, whatever it says. `coarse`: it has coarse images.
    `around(cfg)`: where frames around its images lie, and that in words.
    """

    spec: DatasetSpec
    listing: Callable[[Any, str, DistributedContext], Split]
    own_spec: Callable[[Any], DatasetSpec] | None = None
    val_size: int = 0
    coarse: bool = False
    around: Callable[[Any], tuple[neighbours.Place, str]] | None = None


def _cityscapes(cfg: Any, mode: str, ranks: DistributedContext) -> Split:
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


def _toy(cfg: Any, mode: str, ranks: DistributedContext) -> Split:
    root = cfg.DATASET.ROOT or cfg.DATASET.TOY_DIR
    coarse = _coarse(cfg) if mode == "train" else None
    if ranks.local_rank == 0:  # on every machine, since its disk may be its own
        wanted = ["fine"] + ["coarse"] * (coarse is not None) + ["test"] * (mode == "test")
        drawn.write(Path(root), wanted)
    ranks.barrier()
    return cityscapes.listing(root, mode, cfg.DATASET.CV, coarse)


def _camvid(cfg: Any, mode: str, ranks: DistributedContext) -> Split:
    root = cfg.DATASET.ROOT or cfg.DATASET.CAMVID_DIR
    if cfg.DATASET.CV == cityscapes.CV_ALL:  # as published: train on both, validate on the test images where they are
        mode = {"train": "trainval", "val": "test" if camvid.has_test(root) else "val"}.get(mode, mode)
    return camvid.listing(root, mode)


def _camvid_spec(cfg: Any) -> DatasetSpec:
    return camvid.spec(cfg.DATASET.ROOT or cfg.DATASET.CAMVID_DIR, cfg.DATASET.CAMVID_CLASSES)


def _ade20k(cfg: Any, mode: str, ranks: DistributedContext) -> Split:
    return Split.plain(ade20k.items(cfg.DATASET.ROOT or cfg.DATASET.ADE20K_DIR, mode))


def _acdc(cfg: Any, mode: str, ranks: DistributedContext) -> Split:
    conditions = cfg.DATASET.CONDITIONS or acdc.CONDITIONS
    return Split.plain(acdc.items(cfg.DATASET.ROOT or cfg.DATASET.ACDC_DIR, mode, conditions))


def _unlisted(cfg: Any, mode: str, ranks: DistributedContext) -> Split:
    flag = {"val": "--list_val", "test": "--list_test"}.get(mode, "--list_train")
    raise UserError(f"--dataset list needs a list of images and labels here: give {flag} FILE.lst")


def _kitti(cfg: Any, mode: str, ranks: DistributedContext) -> Split:
    return Split.plain(kitti.items(cfg.DATASET.ROOT or cfg.DATASET.KITTI_DIR, mode, cfg.DATASET.CV))


def _mapillary(cfg: Any, mode: str, ranks: DistributedContext) -> Split:
    mode = "trainval" if mode == "train" and cfg.DATASET.CV == cityscapes.CV_ALL else mode
    return Split.plain(mapillary.items(*_mapillary_place(cfg), mode))


def _mapillary_place(cfg: Any) -> tuple[str, str]:
    """Root and release."""
    return cfg.DATASET.ROOT or cfg.DATASET.MAPILLARY_DIR, cfg.DATASET.MAPILLARY_RELEASE


def _folder(cfg: Any, mode: str, ranks: DistributedContext) -> Split:
    """`<ROOT>/images` and `<ROOT>/labels` (or <ROOT>/<mode>/...), or a folder of images alone."""
    images, labels = _folder_place(cfg, mode)
    return folder.listing(str(images), str(labels or ""), folder.SPEC, cfg.EVAL.LABEL_IDS)


def _folder_place(cfg: Any, mode: str) -> tuple[Path, Path | None]:
    """Images and labels of a mode."""
    root = Path(cfg.DATASET.ROOT or cfg.EVAL.FOLDER or ".")
    root = root / mode if (root / mode).is_dir() else root
    images = root / "images" if (root / "images").is_dir() else root
    return images, root / "labels" if (root / "labels").is_dir() else None


def _listed_spec(cfg: Any) -> DatasetSpec:
    return lists.spec_of(cfg.DATASET.CLASSES, cfg.DATASET.NUM_CLASSES)


DATASETS = {
    "cityscapes": Entry(cityscapes.SPEC, _cityscapes, coarse=True, around=_around_cityscapes),
    "kitti": Entry(kitti.SPEC, _kitti),
    "ade20k": Entry(ade20k.SPEC, _ade20k),
    "mapillary": Entry(
        mapillary.SPEC, _mapillary, lambda cfg: mapillary.spec(*_mapillary_place(cfg)), mapillary.VAL_SIZE
    ),
    "camvid": Entry(camvid.SPEC, _camvid, _camvid_spec, around=_around_camvid),
    "acdc": Entry(acdc.SPEC, _acdc),
    "list": Entry(DatasetSpec("list", (), ()), _unlisted, _listed_spec),
    "toy": Entry(replace(cityscapes.SPEC, name="toy"), _toy, coarse=True, around=_around_cityscapes),
    "folder": Entry(folder.SPEC, _folder),
}


def spec(dataset: Any) -> DatasetSpec:
    """Classes of a dataset given by its name or by a config that names it; UserError for an unknown name."""
    found = find(dataset)
    return found.spec if isinstance(dataset, str) or found.own_spec is None else found.own_spec(dataset)


def listing(cfg: Any, mode: str, ranks: DistributedContext) -> Split:
    """The files of "train", "val" or "test": by a list where one is given, else as the dataset's folder has them.

    Where nobody says which of Cityscapes' ids labels hold, the whole run's labels say it, those of training and
    validation alike, and `notes` has it.
    """
    c = cfg.DATASET
    path = {"train": c.LIST_TRAIN, "val": c.LIST_VAL, "test": c.LIST_TEST}.get(mode, "")
    if not path:
        found = find(cfg).listing(cfg, mode, ranks)
        return _settled(cfg, found, _folder_labels(cfg) if c.NAME == "folder" else {}, ranks)
    if path.endswith(".odgt"):
        return ade20k.listed(path, _list_root(cfg))
    found = lists.listing(path, _list_root(cfg), spec(cfg), mode != "test", cfg.EVAL.LABEL_IDS)
    if c.NAME == "acdc":
        found = replace(found, items=[acdc.with_condition(item) for item in found.items])
    return _settled(cfg, found, _list_labels(cfg), ranks)


def shown(cfg: Any, ranks: DistributedContext) -> Split:
    """The pictures of --eval_folder, with the labels of --eval_labels if there are some."""
    e = cfg.EVAL
    found = folder.listing(e.FOLDER, e.LABELS, spec(cfg), e.LABEL_IDS, results=cfg.RESULT_DIR)
    return _settled(cfg, found, {}, ranks)


def _list_root(cfg: Any) -> str:
    return cfg.DATASET.ROOT or cfg.DATASET.get(f"{cfg.DATASET.NAME.upper()}_DIR", ".")


def _settled(cfg: Any, listing: Split, places: Mapping[str, list[str]], ranks: DistributedContext) -> Split:
    """With what labels hold of which nobody says it: decided by those of all `places`, or, of none, by themselves."""
    classes, untold = find(cfg).spec, labelids.untold(listing.items)
    if not untold:
        return listing
    if cfg.EVAL.LABEL_IDS != "auto":
        return labelids.settle(listing, labelids.Guess(cfg.EVAL.LABEL_IDS == "train", ""))
    open_ = {place: [f for f in files if labelids.told(f, classes) is None] for place, files in places.items()}
    guess = from_main(ranks, lambda: labelids.look(open_ or {str(Path(untold[0]).parent): untold}, classes))
    return labelids.settle(listing, guess)


def _list_labels(cfg: Any) -> dict[str, list[str]]:
    """{list: its labels} of training and validation."""
    return {
        path: lists.labels(path, _list_root(cfg)) for path in (cfg.DATASET.LIST_TRAIN, cfg.DATASET.LIST_VAL) if path
    }


def _folder_labels(cfg: Any) -> dict[str, list[str]]:
    """{folder: its labels} of training and validation, which may be the same."""
    folders = dict.fromkeys(_folder_place(cfg, mode)[1] for mode in ("train", "val"))
    return {str(labels): [str(path) for path in folder.label_files(labels)] for labels in folders if labels}


def settle(cfg: Any) -> None:
    """Write into the options what the dataset's folder decides, so that checkpoints record it."""
    if cfg.DATASET.NAME == "mapillary" and not cfg.DATASET.MAPILLARY_RELEASE:
        cfg.DATASET.MAPILLARY_RELEASE, _ = mapillary.release_of(_mapillary_place(cfg)[0])


def find(dataset: Any) -> Entry:
    """What stands under a dataset's name, or under that of a config; UserError for an unknown one."""
    name = dataset if isinstance(dataset, str) else dataset.DATASET.NAME
    if name not in DATASETS:
        raise UserError(f"unknown --dataset {name!r}{nearest(name, DATASETS)}; known: {', '.join(DATASETS)}")
    return DATASETS[name]


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


def _classes(classes: tuple[int, ...], flag: str) -> tuple[int, ...]:
    if any(not 0 <= c < cityscapes.SPEC.num_classes for c in classes):
        raise UserError(f"{flag} takes train ids 0 to 18, comma-separated, not {','.join(map(str, classes))!r}")
    return classes
