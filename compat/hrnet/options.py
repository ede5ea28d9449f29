"""Option files of the HRNet family (HRNet, with OCR, with offset vectors) and their KEY VALUE pairs, under our keys."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import PurePath
from typing import Any

from compat.hrnet.keys import EXTRA, IGNORED, KEYS, ONLY, RECIPE, STAGES
from options import archs
from options.foreign import ForeignConfig, ForeignValues, ParseContext, Tree, leaves, read_keys
from utils.errors import UserError, nearest

_TELLING = ("MODEL.NAME", "DATASET.DATASET", "DATASET.TRAIN_SET", "DATASET.TEST_SET")
_ARCHS = {"seg_hrnet": "seg_hrnet.HRNet", "seg_hrnet_ocr": "ocrnet.HRNet", "branched_seg_hrnet": "offset.HRNet"}
_WITH_OFFSETS = _ARCHS | {"seg_hrnet": "offset.HRNet", "seg_hrnet_ocr": "offset.HRNet_OCR"}
_DATASETS = ("cityscapes", "acdc")
_PLAIN = (f"{EXTRA}.STAGE", f"{EXTRA}.FINAL_CONV_KERNEL")


def is_theirs(tree: Tree) -> bool:
    """Tell whether a file is one of theirs: it names its network or data, or has a part, in their way."""
    return any(key in _TELLING or key.startswith((f"{EXTRA}.", "TEST.", "CUDNN.")) for key, _ in leaves(tree))


def translate(foreign: ForeignValues) -> Iterator[tuple[str, str, Any]]:
    """Give (their key, our key, value) of what has a counterpart; UserError for a value that is not known here."""
    for key, value in foreign.items():
        value = _plain(value)
        if isinstance(KEYS[key][1], bool) and value not in (True, False):
            raise UserError(f"{key} takes true or false, not {value!r}")
        if key in ONLY and value not in ONLY[key]:
            known = " or ".join(map(str, ONLY[key]))
            raise UserError(f"{key} {value}: here it is {known or 'empty'} alone")
        if key.endswith("IMAGE_SIZE"):
            width, height = _numbers(key, value, 2)
            yield key, KEYS[key][0], f"{height},{width}"
        elif key == "GPUS":
            yield key, "TRAIN.SYNCBN", len(_numbers(key, value)) > 1
        elif KEYS[key][0]:
            yield key, KEYS[key][0], value


def _plain(value: Any) -> Any:
    """Read text as their code reads it: "(0,1)" and "0,1" are numbers, "True" is a truth."""
    try:
        value = ast.literal_eval(value) if isinstance(value, str) else value
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        value = {"true": True, "false": False}.get(value.lower(), value)
    return list(value) if isinstance(value, tuple) else value


def _numbers(key: str, value: Any, count: int = 0) -> list[Any]:
    """Read `value` as a list of `count` numbers, or any number of them."""
    found = value if isinstance(value, list) else [value]
    if not all(isinstance(x, (int, float)) for x in found) or len(found) != (count or max(1, len(found))):
        raise UserError(f"{key} takes {count or 'a list of'} numbers, not {value!r}")
    return found


def ignored_flags(context: ParseContext) -> list[str]:
    """List what was asked for and has no effect: it has none there, or its file is missing, which they pass over."""
    foreign = {key: _plain(value) for key, value in context.foreign.items()}
    found = [f"{key} {foreign[key]}" for key in IGNORED if key in foreign and foreign[key] != KEYS[key][1]]
    if not (context.values["EVAL.MODE"] or _frozen(context)):
        files = ((key, foreign.get(f"MODEL.{key}")) for key in ("PRETRAINED", "OFFSET_PRETRAINED"))
        found += [f"MODEL.{key} {file} (not there)" for key, file in files if file and not _is_there(context, file)]
    return found


def overrides(context: ParseContext) -> dict[str, Any]:
    """Give {our key: value} of what takes several of their keys: network, data, losses, sizes, where a run starts.

    UserError for a network or dataset that is not known here, and for stages that do not fit together.
    """
    if not context.foreign:
        return {}
    context = context._replace(foreign={key: _plain(value) for key, value in context.foreign.items()})
    foreign, network = context.foreign, _network(context.foreign)
    arch = ({} if "MODEL.ARCH" in context.chosen else network).get("MODEL.ARCH", context.values["MODEL.ARCH"])
    found = network | _losses(foreign, arch) | _augmentation(foreign) | _data(context)
    mode = found.pop("EVAL.MODE", context.values["EVAL.MODE"])
    if mode:
        found |= _evaluation(foreign)
    elif size := foreign.get("TEST.BATCH_SIZE_PER_GPU"):  # their evaluation has one image at a time
        found["EVAL.BATCH_SIZE"] = size
    found |= _start(context, mode)
    return {key: value for key, value in found.items() if key not in context.chosen} | {"EVAL.MODE": mode}


def _network(foreign: Mapping[str, Any]) -> dict[str, Any]:
    """Their code with offsets alone never aligns corners, the one with OCR and offsets always, HRNet's by default."""
    found = _width(foreign)
    if "MODEL.ALIGN_CORNERS" in foreign:
        found["MODEL.ALIGN_CORNERS"] = foreign["MODEL.ALIGN_CORNERS"]
    if "MODEL.NAME" not in foreign:
        return found
    own = any(key.startswith(f"{EXTRA}.") and ("_2." in key or not key.startswith(_PLAIN)) for key in foreign)
    archs, name = _WITH_OFFSETS if own else _ARCHS, foreign["MODEL.NAME"]
    if name not in archs:
        raise UserError(f"MODEL.NAME {name}: unknown here{nearest(str(name), archs)}; known: {', '.join(archs)}")
    arch = archs[name]
    found = {"MODEL.ARCH": arch, "MODEL.ALIGN_CORNERS": arch != "offset.HRNet"} | found
    if arch == "offset.HRNet_OCR" and found["MODEL.ALIGN_CORNERS"] is not True:
        raise UserError(f"MODEL.ALIGN_CORNERS {found['MODEL.ALIGN_CORNERS']}: with OCR and offsets it is True alone")
    return found


def _width(foreign: Mapping[str, Any]) -> dict[str, Any]:
    """Give the width that the channels of all stages tell; UserError where a stage is none of HRNet's."""
    width = 0
    for stage in STAGES:
        number = int(stage[len("STAGE")])
        block = "BOTTLENECK" if number == 1 else "BASIC"
        known = {"NUM_BRANCHES": number, "NUM_RANCHES": number, "BLOCK": block, "FUSE_METHOD": "SUM"}
        key = f"{EXTRA}.{stage}.NUM_CHANNELS"
        if key in foreign:
            first, *_ = _numbers(key, foreign[key], number)
            width = width or (first if number > 1 else 0)
            known["NUM_CHANNELS"] = [64] if number == 1 else [width * 2**i for i in range(number)]
        for name, value in known.items():
            found = foreign.get(f"{EXTRA}.{stage}.{name}", value)
            if found not in (value, [value]) and [found] != value:
                raise UserError(f"{EXTRA}.{stage}.{name} {found}: here it is {value}")
    return {"MODEL.HRNET_WIDTH": width} if width else {}


def _losses(foreign: Mapping[str, Any], arch: str) -> dict[str, Any]:
    """Give the weights of classes, and the terms: OCR's auxiliary prediction has no hard pixels in HRNet's code."""
    found: dict[str, Any] = {}
    if "DATASET.DATASET" in foreign:
        found["LOSS.CLASS_WEIGHTS"] = "cityscapes" if foreign["DATASET.DATASET"] in _DATASETS else "none"
    if not {"LOSS.USE_OHEM", "LOSS.BALANCE_WEIGHTS"} & foreign.keys():
        return found
    row = archs.find(arch)
    offsets, ocr = row.offsets, "aux" in archs.outputs(row)
    ohem = foreign.get("LOSS.USE_OHEM", offsets)
    chosen = foreign.get("LOSS.BALANCE_WEIGHTS", [0.4, 1] if ocr else [1])
    heads = list(zip(_numbers("LOSS.BALANCE_WEIGHTS", chosen, 1 + ocr), ("aux", "pred")[not ocr :], strict=True))
    if offsets and ohem and heads[-1][0] == 1:  # the terms that such a network has by itself
        return found | {"LOSS.TERMS": ""} | ({"LOSS.OCR_ALPHA": heads[0][0]} if ocr else {})
    terms = []
    for weight, name in heads:
        loss, end = "ohem" if ohem and (offsets or name == "pred") else "ce", "_aux" if name == "aux" else ""
        terms += [f"{loss}:{seeds}{end}:{weight / 2:g}" for seeds in ("initial", "seed") if offsets]
        terms.append(f"{loss}:{name}:{weight:g}")
    return found | {"LOSS.TERMS": ",".join(terms + ["confidence:offset+confidence:1"] * offsets)}


def _augmentation(foreign: Mapping[str, Any]) -> dict[str, Any]:
    """Their factor is one of 0.5, 0.6, ..., 0.5 + SCALE_FACTOR / 10 of BASE_SIZE; without it images are not cropped."""
    if not foreign.get("TRAIN.MULTI_SCALE", True):
        return {"DATASET.FULL_CROP": True, "DATASET.PRE_SIZE": 0, "AUG.SCALE_MIN": 1.0, "AUG.SCALE_MAX": 1.0}
    found: dict[str, Any] = {}
    if "TRAIN.BASE_SIZE" in foreign:
        found["DATASET.PRE_SIZE"] = foreign["TRAIN.BASE_SIZE"]
    if "TRAIN.SCALE_FACTOR" in foreign:
        (factor,) = _numbers("TRAIN.SCALE_FACTOR", foreign["TRAIN.SCALE_FACTOR"], 1)
        found |= {"AUG.SCALE_MIN": 0.5, "AUG.SCALE_MAX": 0.5 + factor / 10}
    return found


def _data(context: ParseContext) -> dict[str, Any]:
    """Give the dataset, its folder, and its lists, whose paths start from the folder that this one lies in.

    A list of test images, where they are to be evaluated, means predictions of the test images.
    """
    foreign, values, chosen = context.foreign, context.values, context.chosen
    found: dict[str, Any] = {}
    dataset = foreign.get("DATASET.DATASET")
    name = values["DATASET.NAME"] if "DATASET.NAME" in chosen else dataset or values["DATASET.NAME"]
    if dataset and name != dataset:  # the file's data are not meant
        return found
    if dataset and dataset not in _DATASETS:
        raise UserError(
            f"DATASET.DATASET {dataset}: known are {', '.join(_DATASETS)}; others come in with --dataset list"
        )
    if dataset:
        found |= {"DATASET.NAME": dataset, "DATASET.ROOT": str(PurePath(str(foreign.get("DATASET.ROOT", "")), dataset))}
    folder = values["DATASET.ROOT"] if "DATASET.ROOT" in chosen else found.get("DATASET.ROOT", values["DATASET.ROOT"])
    folder = PurePath(folder or values.get(f"DATASET.{name.upper()}_DIR", "."))
    root = folder if name == "list" else folder.parent
    lists = {"DATASET.LIST_TRAIN": foreign.get("DATASET.TRAIN_SET")}
    asks = str(foreign.get("DATASET.TEST_SET", ""))
    tests = "test" in asks and "val" not in asks
    lists["DATASET.LIST_TEST" if tests else "DATASET.LIST_VAL"] = asks
    found |= {key: str(root / str(path)) for key, path in lists.items() if path}
    if tests and values["EVAL.MODE"] in ("val", "test"):
        found |= {"EVAL.MODE": "test", "EVAL.DUMP_PALETTE": True}
    return found


def _evaluation(foreign: Mapping[str, Any]) -> dict[str, Any]:
    """Give the scales and mirror images, which validation while training goes without."""
    found: dict[str, Any] = {}
    if "TEST.SCALE_LIST" in foreign:
        scales = sorted(_numbers("TEST.SCALE_LIST", foreign["TEST.SCALE_LIST"]), key=lambda scale: scale != 1)
        found = {"EVAL.DEFAULT_SCALE": scales[0], "EVAL.MULTI_SCALE": len(scales) > 1}
        found |= {"EVAL.EXTRA_SCALES": ",".join(map(str, scales[1:]))} if len(scales) > 1 else {}
    return found | ({"EVAL.DO_FLIP": foreign["TEST.FLIP_TEST"]} if "TEST.FLIP_TEST" in foreign else {})


def _start(context: ParseContext, mode: str) -> dict[str, Any]:
    """Folder and weights. A run with frozen parts needs its files; without, one that is not there is passed over."""
    foreign = context.foreign
    found: dict[str, Any] = {}
    folder = context.values["RESULT_DIR"]
    if "OUTPUT_DIR" in foreign and "RESULT_DIR" not in context.chosen:
        dataset = foreign.get("DATASET.DATASET", context.values["DATASET.NAME"])
        stems = [PurePath(file).stem for file in context.files]
        folder = found["RESULT_DIR"] = str(PurePath(str(foreign["OUTPUT_DIR"]), str(dataset), *stems[-1:]))
    if mode:
        file = foreign.get("TEST.MODEL_FILE")
        if file is None:
            return found
        if file or "SNAPSHOT" in context.chosen:
            return found | {"RESUME": "", "SNAPSHOT": str(file)}
        # What was trained here, or there.
        return found | {"RESUME": "auto", "SNAPSHOT": str(PurePath(folder, "final_state.pth"))}
    if "TRAIN.RESUME" in foreign:
        found["RESUME"] = "auto" if foreign["TRAIN.RESUME"] else ""
    for key, ours in (("MODEL.PRETRAINED", "MODEL.TRUNK_WEIGHTS"), ("MODEL.OFFSET_PRETRAINED",) * 2):
        file = foreign.get(key)
        if file and (_frozen(context) or _is_there(context, file)):
            # The first of two trained networks: its head, which is also frozen, counts.
            found["SNAPSHOT" if _frozen(context) and key == "MODEL.PRETRAINED" else ours] = str(file)
    return found


def _frozen(context: ParseContext) -> bool:
    return bool(context.values["MODEL.FREEZED_PAR"])


def _is_there(context: ParseContext, file: Any) -> bool:
    path = os.path.expanduser(str(file)).replace("ASSETS_PATH", os.path.expanduser(context.values["ASSETS_PATH"]))
    return os.path.isfile(path)


_NAME = "the HRNet family"
read = partial(read_keys, keys=KEYS, whose=_NAME)
SYSTEM = ForeignConfig(_NAME, is_theirs, read, translate, RECIPE, KEYS, True, {}, overrides, ignored_flags)
