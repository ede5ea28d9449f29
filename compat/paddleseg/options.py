"""PaddleSeg's option files: what a yml of its CityscapesSOTA folder says, under our keys."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from options.foreign import ForeignConfig
from utils.errors import UserError

# Their names in lower case, since published files write both.
_ARCHS = {"mscaleocrnet": "ocrnet.HRNet_Mscale", "ocrnetnv": "ocrnet.HRNet"}
_WIDTHS = {"hrnet_w48_nv": 48}
_DATASETS = {"cityscapesautolabeling": True, "cityscapes": False}  # whether coarse images come in
_OPTIMIZERS = {"sgd": "sgd", "momentum": "sgd", "adam": "adam", "adamw": "adamw"}
_SCHEDULES = {"poly": "poly", "polynomialdecay": "poly"}
_LOSSES = {"diceloss": "dice", "bootstrappedcrossentropyloss": "bootstrapped", "crossentropyloss": "ce"}
# What a network gives to the losses, in their order; the list begins anew at its end.
_OUTPUTS = {"ocrnet.HRNet_Mscale": ("pred", "aux", "pred_05x", "pred_10x"), "ocrnet.HRNet": ("pred", "aux")}
_STEPS = ("resizestepscaling", "randompaddingcrop", "randomhorizontalflip", "randomdistort", "normalize")

Node = dict[str, Any]


def is_theirs(tree: Node) -> bool:
    """Tell whether a file is one of PaddleSeg's."""
    whole = isinstance(tree.get("model"), dict) and bool({"type", "backbone"} & set(tree["model"]))
    return whole or "_base_" in tree


def options(tree: Node) -> dict[str, Any]:
    """Give our {key: value} for such a file; UserError that names, in one line, everything that is not known here.

    What is understood is taken out of a copy of the tree: the rest is what is not.
    """
    tree = _own(tree)
    if "_base_" in tree:
        raise UserError(f"this file of PaddleSeg goes on from _base_ {tree['_base_']}: put both into one file")
    values: dict[str, Any] = {"TRAIN.SYNCBN": True}
    try:
        _move(tree, values, {"batch_size": "TRAIN.BATCH_SIZE", "iters": "TRAIN.MAX_ITERS"})
        _model(tree["model"], values)
        for name in ("val_dataset", "train_dataset"):
            _dataset(tree.get(name, {}), values)
        _optimizer(tree, values)
        _losses(tree.get("loss", {}), values)
    except UserError:
        raise
    except (ValueError, TypeError, AttributeError, KeyError, IndexError) as error:
        raise UserError(f"this is no whole file of PaddleSeg ({type(error).__name__}: {error})") from None
    left = list(_leaves(tree))
    if left:
        raise UserError(
            f"in this file of PaddleSeg is not known here: {', '.join(left)}; take it out, or give the published value"
        )
    return values


def _own(tree: Any) -> Any:
    """Make a copy in which no part is the same as another one (YAML's anchors make such)."""
    if isinstance(tree, dict):
        return {name: _own(value) for name, value in tree.items()}
    return [_own(value) for value in tree] if isinstance(tree, list) else tree


def _move(node: Node, values: dict[str, Any], keys: dict[str, str]) -> None:
    """Take `keys` (theirs -> ours) over as they are."""
    for theirs, ours in keys.items():
        if theirs in node:
            values[ours] = node.pop(theirs)


def _fill(node: Node, **defaults: Any) -> None:
    """Fill in what their code takes where a file says nothing."""
    for name, value in defaults.items():
        node.setdefault(name, value)


def _drop(node: Node, **defaults: Any) -> None:
    """Take out what has the only value that is known here."""
    for name, value in defaults.items():
        if name in node and node[name] == value:
            node.pop(name)


def _chosen(node: Node, table: dict[str, Any], name: str = "type") -> Any:
    """Tell what the table has for their name, None where it has not: then the name stays."""
    word = str(node.get(name)).lower()
    if word in table:
        node.pop(name)
    return table.get(word)


def _model(node: Node, values: dict[str, Any]) -> None:
    _set(values, "MODEL.ARCH", _chosen(node, _ARCHS))
    _set(values, "MODEL.HRNET_WIDTH", _chosen(node.get("backbone", {}), _WIDTHS))
    _drop(node, backbone_indices=[0])
    _move(node, values, {"pretrained": "SNAPSHOT", "n_scales": "MODEL.N_SCALES", "num_classes": "DATASET.NUM_CLASSES"})


def _set(values: dict[str, Any], key: str, value: Any) -> None:
    if value is not None:
        values[key] = value


def _dataset(node: Node, values: dict[str, Any]) -> None:
    """Training wins where training and validation say the same thing: it is read last."""
    if not node:
        return
    training = str(node.pop("mode", "train")).lower() == "train"
    coarse = _chosen(node, _DATASETS)
    if coarse is not None:
        values["DATASET.NAME"], values["DATASET.CLASS_UNIFORM_PCT"] = "cityscapes", 0.0
    root = str(node.pop("dataset_root", "")).rstrip("/")
    _set(values, "DATASET.ROOT", root or None)
    if training and coarse:
        values["DATASET.COARSE_MULTIPLE"] = node.pop("coarse_multiple", 1)
        values["DATASET.CUSTOM_COARSE_PROB"] = 0.0
        values["DATASET.CITYSCAPES_CUSTOMCOARSE"] = f"{root}/convert_autolabelled"
        values["DATASET.CV"] = 3 if node.pop("add_val", False) else 0
    steps = node.get("transforms", [])
    if training:
        _augmentation(steps, values)
    elif len(steps) == 1 and str(steps[0].get("type")).lower() == "normalize":
        _normalize(steps[0], values)


def _augmentation(steps: list[Node], values: dict[str, Any]) -> None:
    """Take the steps of --aug_table paddle, in its order; others stay, and so does one out of order."""
    values |= {"AUG.TABLE": "paddle", "AUG.SCALE_MIN": 1.0, "AUG.SCALE_MAX": 1.0, "AUG.COLOR": 0.0, "AUG.HUE": 0.0}
    done: list[str] = []
    for step in steps:
        name = str(step.get("type")).lower()
        if name in _STEPS and all(_STEPS.index(name) > _STEPS.index(other) for other in done):
            done.append(step.pop("type").lower())
            _READERS[name](step, values)
    for name in ("RandomPaddingCrop", "RandomHorizontalFlip"):
        if name.lower() not in done:
            raise UserError(f"this file of PaddleSeg has no step {name}, which is always done here")


def _scaling(step: Node, values: dict[str, Any]) -> None:
    _fill(step, min_scale_factor=0.75, max_scale_factor=1.25, scale_step_size=0.25)
    _move(step, values, {"min_scale_factor": "AUG.SCALE_MIN", "max_scale_factor": "AUG.SCALE_MAX"})
    _drop(step, scale_step_size=0)


def _crop(step: Node, values: dict[str, Any]) -> None:
    width, height = step.pop("crop_size", (512, 512))
    values["DATASET.CROP_SIZE"] = f"{height},{width}"
    _drop(step, im_padding_value=127.5, label_padding_value=255)


def _flip(step: Node, values: dict[str, Any]) -> None:
    _drop(step, prob=0.5)


def _distort(step: Node, values: dict[str, Any]) -> None:
    """One strength for three kinds of color, each of them always drawn."""
    kinds = ("brightness", "contrast", "saturation")
    _fill(step, **{f"{name}_range": 0.5 for name in kinds}, hue_range=18)
    _fill(step, **{f"{name}_prob": 0.5 for name in (*kinds, "hue")})
    values |= {"AUG.COLOR": step["brightness_range"], "AUG.HUE": step.pop("hue_range")}
    _drop(step, **{f"{name}_range": values["AUG.COLOR"] for name in kinds})
    _drop(step, **{f"{name}_prob": 1 for name in (*kinds, "hue")}, sharpness_prob=0)
    if "sharpness_prob" not in step:
        step.pop("sharpness_range", None)


def _normalize(step: Node, values: dict[str, Any]) -> None:
    step.pop("type", None)
    values |= {"DATASET.MEAN": step.pop("mean", [0.5] * 3), "DATASET.STD": step.pop("std", [0.5] * 3)}


_READERS = dict(zip(_STEPS, (_scaling, _crop, _flip, _distort, _normalize), strict=True))


def _optimizer(tree: Node, values: dict[str, Any]) -> None:
    node = tree.get("optimizer", {})
    if node:
        _set(values, "OPTIM.NAME", _chosen(node, _OPTIMIZERS))
        _fill(node, weight_decay=0.0)
        _move(node, values, {"momentum": "OPTIM.MOMENTUM", "weight_decay": "OPTIM.WEIGHT_DECAY"})
    rates = {"value": "OPTIM.LR", "learning_rate": "OPTIM.LR", "power": "OPTIM.POLY_EXP", "end_lr": "OPTIM.END_LR"}
    old = tree.get("learning_rate", {})
    _move(old, values, rates)
    for node in (old.get("decay", {}), tree.get("lr_scheduler", {})):  # before release 2.1, and from then on
        if node:
            _set(values, "OPTIM.SCHEDULE", _chosen(node, _SCHEDULES))
            values.setdefault("OPTIM.POLY_EXP", 0.9)
            _move(node, values, rates)


def _losses(node: Node, values: dict[str, Any]) -> None:
    """Loss i is of output i; what losses of one kind say has to agree."""
    types, weights = node.get("types", []), node.get("coef", [])
    outputs = _OUTPUTS.get(values.get("MODEL.ARCH", ""), ())
    if not types or not outputs:
        return
    if len(types) != len(weights):
        raise UserError(f"this file of PaddleSeg has {len(types)} loss.types, but {len(weights)} loss.coef")
    terms, said = [], {}
    for i, (loss, weight) in enumerate(zip(types, weights, strict=True)):
        name = _chosen(loss, _LOSSES)
        known = {"bootstrapped": ("min_K", "loss_th"), "dice": ("smooth",)}.get(name or "", ())
        _drop(loss, ignore_index=255, **{key: said[name, key] for key in known if (name, key) in said})
        said |= {(name, key): loss.pop(key) for key in known if key in loss and (name, key) not in said}
        terms.append(f"{name}:{outputs[i % len(outputs)]}:{float(weight):g}")
    ours = {"min_K": "LOSS.BOOT_MIN_PIXELS", "loss_th": "LOSS.BOOT_THRESHOLD", "smooth": "LOSS.DICE_SMOOTH"}
    values |= {ours[key]: value for (_, key), value in said.items()} | {"LOSS.TERMS": ",".join(terms)}
    node.pop("coef")


def _leaves(tree: Any, path: str = "") -> Iterator[str]:
    """List everything that is left, as path=value."""
    if isinstance(tree, dict):
        for name, value in tree.items():
            yield from _leaves(value, f"{path}.{name}" if path else str(name))
    elif isinstance(tree, list) and any(isinstance(value, dict) for value in tree):
        for i, value in enumerate(tree):
            yield from _leaves(value, f"{path}[{i}]")
    elif tree not in ({}, [], None):
        yield f"{path}={tree}"


SYSTEM = ForeignConfig(
    "PaddleSeg", is_theirs, options, lambda foreign: ((key, key, value) for key, value in foreign.items())
)
