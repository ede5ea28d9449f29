"""The words by which people call folders and files: splits, images, labels, and what is neither."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

SPLITS = {
    "train": ("train", "training", "trn", "trainset", "traindata"),
    "val": ("val", "valid", "validation", "validate", "valset", "dev", "eval"),
    "test": ("test", "testing", "tst", "testset", "testdata"),
}
_SPLIT_OF = {word: split for split, words in SPLITS.items() for word in words}
_LABELS = frozenset(
    "mask masks label labels labelled labeled annotation annotations annot annots anno gt gts groundtruth truth seg "
    "segs segm segmentation segmentations segmentationclass semantic semantics target targets labelids gtfine gtcoarse "
    "matte segmap segmaps segmask segmasks stuffthingmaps labelmap labelmaps labeling labelling".split()
)
_IMAGES = frozenset(
    "image images img imgs rgb jpegimages photo photos picture pictures pic pics original originals raw input inputs "
    "leftimg8bit frame frames camera sat jpg jpeg rgbs scans".split()
)
# Pictures beside a set that are neither its images nor its labels of classes.
_OTHERS = frozenset(
    "instance instances instanceids inst panoptic depth disparity flow edge edges boundary contour contours overlay "
    "overlays vis visualization visualizations viz preview previews thumbnail thumbnails segmentationobject bbox "
    "right rightimg8bit colormaps blend".split()
)
_LETTERS = {"x": "image", "y": "label"}  # beside a split
_FILLERS = frozenset("set data dir folder full all of the and level ids id".split())

# Ends of names that an image and its label do not share.
LABEL_ENDINGS = (
    "gtFine_labellevel3Ids", "gtFine_labelTrainIds", "gtCoarse_labelTrainIds", "gtFine_labelIds", "gtCoarse_labelIds",
    "gt_labelTrainIds", "gt_labelIds", "labelTrainIds", "labelIds", "train_id", "ground_truth", "groundtruth",
    "segmentation", "annotation", "label_map", "annot", "labels", "label", "masks", "mask", "matte", "segm", "seg",
    "gt", "target", "L",
)  # fmt: skip
IMAGE_ENDINGS = ("leftImg8bit", "rgb_anon", "original", "image", "photo", "img", "rgb", "sat")
OTHER_ENDINGS = (
    "color_mask", "color_label", "instance_mask", "inst_label", "color", "colors", "colour", "labelColors",
    "instancelevel3Ids", "instanceIds", "instance", "inst", "panoptic", "overlay", "vis", "depth",
)  # fmt: skip

_ENDINGS = {
    ending.lower(): role
    for role, endings in (("other", OTHER_ENDINGS), ("image", IMAGE_ENDINGS), ("label", LABEL_ENDINGS))
    for ending in endings
}

# Names of what is no class: drawn, but left out of training and scores.
_VOID = re.compile(
    r"(void|ignored?|ignore.region|unlabell?ed|un-?annotated|unknown|dont.?care|do.not.care|out.of.roi|nodata|no.data)"
)


class Part(NamedTuple):
    """What the name of a folder says: its split and its role ("image", "label", "other"), "" where it says nothing."""

    split: str
    role: str


@lru_cache(maxsize=4096)
def part_of(name: str) -> Part:
    """Read the name of a folder: "train", "val_masks", "trainannot", "images2017"."""
    words = _words(name)
    split = next((found for word in words if (found := _SPLIT_OF.get(word))), "")
    role = _role(name.lower(), words)
    # "test_drive_7" is a drive, not a split: nothing but roles and fillers may stand beside the word.
    beside = [word for word in words if word not in _SPLIT_OF and word not in _FILLERS and not word.isdigit()]
    if split and len(beside) == 1 and beside[0] in _LETTERS:  # x_train and y_train
        return Part(split, _LETTERS[beside[0]])
    if split and any(word not in _LABELS | _IMAGES | _OTHERS for word in beside):
        split = ""
    return Part(split, role)


def _role(name: str, words: list[str]) -> str:
    for role, known in (("other", _OTHERS), ("label", _LABELS), ("image", _IMAGES)):
        if name in known or any(word in known for word in words):
            return role
    return ""


def _words(name: str) -> list[str]:
    """Split a name into words of small letters: at blanks, signs, digits and capitals; "trainannot" too."""
    if name.lower() in _LABELS | _IMAGES | _OTHERS:
        return [name.lower()]
    found = [word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+", name)]
    parted: list[str] = []
    for word in found:
        head = next((head for head in sorted(_SPLIT_OF, key=len, reverse=True) if word.startswith(head)), "")
        rest = word.removeprefix(head)
        parted += [head, rest] if head and rest in _LABELS | _IMAGES else [word]
    return parted


class Stem(NamedTuple):
    """What the name of a file says, without its suffix: the part that it shares with others, its role and its end."""

    key: str
    role: str
    ending: str


def stem_of(stem: str) -> Stem:
    """Read the name of a file: "street_7_mask" is a label that belongs to "street_7". The longest ending counts.

    A name that is such an ending as a whole, as "mask" in a folder for each image, belongs to what its folder does.
    """
    if role := _ENDINGS.get(stem.lower()) if len(stem) > 1 else "":
        return Stem("", role, stem)
    for sign in re.finditer(r"[_\-. ]", stem):
        ending = stem[sign.end() :]
        # A capital L alone is CamVid's; a small one is a word's end.
        if sign.start() and (role := _ENDINGS.get(ending.lower())) and ending != "l":
            return Stem(stem[: sign.start()], role, stem[sign.start() :])
    return Stem(stem, "", "")


def is_void(name: str) -> bool:
    """Tell whether a class of this name stands for what is not labeled."""
    return _VOID.fullmatch(name.strip().lower().replace("_", " ")) is not None


def split_of_list(stem: str) -> str:
    """Tell which split a list of this name is of: "train", "val_list", "testing"; "" for none, as "trainval"."""
    words = [word.lower() for word in re.findall(r"[A-Za-z]+", stem)]
    found = {_SPLIT_OF[word] for word in words if word in _SPLIT_OF}
    beside = [
        word for word in words if word not in _SPLIT_OF and word not in ("list", "set", "split", "files", "images")
    ]
    return found.pop() if len(found) == 1 and not beside else ""
