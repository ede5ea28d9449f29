"""What reads an option: kinds of networks, losses, optimizers and schedules. A row of the table names one of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from options import archs
from options.archs import ANY, Arch
from options.parts import NO_PARTS, Parts


class AskedRun(NamedTuple):
    """What is to be done: the network's row and those of its parts, empty ones where none is named, and {key: value} of
    every option.
    """

    arch: Arch
    parts: Parts
    values: Mapping[str, Any]

    def asks(self, key: str) -> bool:
        """Whether an option is on."""
        return bool(self.values[key])


class Reader(NamedTuple):
    """`of`: how messages call it. `reads(run)`: whether a run is one. `network`: --arch decides, so that nothing is
    known without one. `training`: an evaluation is not asked. `lenient`: a command line may write the default.
    """

    of: str
    reads: Callable[[AskedRun], bool]
    network: bool = True
    training: bool = False
    lenient: bool = False


def _images(of: str, reads: Callable[[AskedRun], bool], training: bool = True) -> Reader:
    """How images are cropped for a training, or scaled for an evaluation: whatever the network is."""
    return Reader(of, reads, False, training, True)


def _training(of: str, reads: Callable[[AskedRun], bool], network: bool = False) -> Reader:
    return Reader(of, reads, network, True)


def _term(of: str, reads: Callable[[AskedRun], bool]) -> Reader:
    """Trainings of such networks with the losses that their outputs have by themselves."""
    whole = f"the loss of {of}, without --loss_terms"
    return Reader(whole, lambda run: reads(run) and not run.asks("LOSS.TERMS"), True, True)


def run_of(values: Mapping[str, Any]) -> AskedRun:
    """The run that these options ask for; UserError for an unknown network."""
    if not values["MODEL.ARCH"]:
        return AskedRun(Arch("", ""), NO_PARTS, values)
    arch = archs.find(values["MODEL.ARCH"])
    return AskedRun(arch, archs.parts(arch, values["MODEL.ENCODER"], values["MODEL.DECODER"]), values)


def losses(run: AskedRun) -> set[str]:
    """Names of the losses that a training computes."""
    if run.asks("LOSS.TERMS"):
        return {term.loss for term in run.values["LOSS.TERMS"]}
    main = main_loss(run.arch, *(run.asks(f"LOSS.{key}") for key in ("RMI", "IMG_WT", "JOINTWTBORDER")))
    return {main, "distill"} if run.asks("LOSS.TEACHER") else {main}


def main_loss(arch: Arch, rmi: bool, weighted: bool, relaxation: bool) -> str:
    """The loss of `pred` without --loss_terms: RMI wins over class weights, these over relaxation, as published."""
    asked = {"rmi": rmi, "weighted": weighted, "relaxation": relaxation}
    return next((name for name, on in asked.items() if on), "ohem" if arch.offsets else "ce")


def _old_gate(run: AskedRun) -> bool:
    """--init_decoder also asks for the start of the older attention where that is the only one."""
    bounded = bool(run.arch.scales) and run.parts.scales.bounded
    return run.parts.take("old_attention") or (run.asks("MODEL.INIT_DECODER") and bounded)


def _aspp(run: AskedRun) -> bool:
    """Whether there is an ASPP: a head has one, or has one where it is asked for."""
    asked = run.asks("MODEL.OCR_ASPP") or "ocr_aspp" in run.arch.fixed_settings
    return run.parts.take("aspp_channels") and (asked or not run.parts.take("ocr_aspp"))


def part(of: str, setting: str) -> Reader:
    """Networks of which a part takes this setting."""
    return Reader(of, lambda run: run.parts.take(setting))


def second_stage(number: int) -> Reader:
    """Networks that have the stage `number` twice: from MODEL.OFFSET_BRANCH on they all are."""
    return Reader(
        f"{SECOND_BRANCH.of}, with MODEL.OFFSET_BRANCH up to {number}",
        lambda run: SECOND_BRANCH.reads(run) and run.values["MODEL.OFFSET_BRANCH"] <= number,
    )


def checkpoint(of: str, key: str) -> Reader:
    """Trainings of a trunk whose ImageNet file the option MODEL.`key` names."""
    return _training(f"trunks of {of}", lambda run: run.parts.trunk.checkpoint == key, True)


def loss(of: str, *names: str) -> Reader:
    """Trainings that compute one of these losses."""
    return _training(of, lambda run: bool(losses(run) & {*names}))


def optimizer(of: str, *names: str) -> Reader:
    """Trainings with one of these optimizers."""
    return _training(f"--optimizer {of}", lambda run: run.values["OPTIM.NAME"] in names)


def schedule(of: str, *names: str) -> Reader:
    """Trainings with one of these schedules."""
    return _training(f"--lr_schedule {of}", lambda run: run.values["OPTIM.SCHEDULE"] in names)


def looks(table: str) -> Reader:
    """Trainings with the colors and blur of this --aug_table, which whole images have under any."""
    return _images(f"--aug_table {table}", lambda run: run.values["AUG.TABLE"] == table or not CROPS.reads(run))


def crops(table: str, dataset: str = "") -> Reader:
    """Trainings on crops as this --aug_table makes them, and those on `dataset`, whose validation also reads it."""
    return _images(
        f"crops by --aug_table {table}{f', and of the validation of {dataset}' if dataset else ''}",
        lambda run: (CROPS.reads(run) and run.values["AUG.TABLE"] == table) or run.values["DATASET.NAME"] == dataset,
    )


# Of a network, in training and evaluation.
PARSING = Reader("--arch encoder_decoder and offset.encoder_decoder", lambda run: run.arch.head == ANY)
HRNET = part("networks on the trunk hrnet", "stages")
NECK = Reader(
    "networks whose trunk is one of a package, and whose head does not read all of its maps",
    lambda run: run.parts.trunk.neck and not run.parts.head.all_maps,
)
OCR_HEADS = part("networks with OCR", "key_channels")
ASPP = Reader("networks with an ASPP", _aspp)
SCALES = part("networks that combine scales", "scales")
TWO_SCALES = part("networks that are trained with two scales", "lo_scale")
ATTENTION = Reader("hierarchical attention", _old_gate)
NEW_ATTENTION = Reader(
    "hierarchical attention that is not the older one",
    lambda run: run.parts.take("inner_3x3") and not run.asks("MODEL.MSCALE_OLDARCH"),
)
OFFSETS = Reader("networks with offset vectors", lambda run: run.arch.offsets)
SECOND_BRANCH = Reader(
    "networks with offset vectors from a second branch", lambda run: run.arch.offsets and run.parts.head.second_branch
)
HALF = _images("--fp16", lambda run: run.asks("TRAIN.FP16"), False)
# Of evaluation, also of that in training.
MULTI_SCALE = _images("--multi_scale_inference", lambda run: run.asks("EVAL.MULTI_SCALE"), False)
PLAN = _images("--plan", lambda run: run.asks("OPTIONS.PLAN"))
TRACED = _images("--plan and --max_memory", lambda run: run.asks("OPTIONS.PLAN") or run.asks("OPTIONS.MAX_MEMORY"))
PLANNED = _images("--auto", lambda run: run.asks("OPTIONS.AUTO"))
TOPN = _images("--dump_topn", lambda run: run.asks("EVAL.DUMP_TOPN"), False)
FOLDER = _images("--eval folder", lambda run: run.values["EVAL.MODE"] == "folder", False)
INFERENCE_MODE = _images("--inference_mode", lambda run: run.asks("EVAL.INFERENCE_MODE"), False)
SLIDING = _images("--inference_mode sliding", lambda run: run.values["EVAL.INFERENCE_MODE"] == "sliding", False)
HRNET_RULE = _images("--eval_rule hrnet", lambda run: run.values["EVAL.RULE"] == "hrnet", False)
FLIPS = _images("--aug_eval", lambda run: run.asks("EVAL.AUG_EVAL"), False)
# Of a training's images.
# A checkpoint may bring sizes along.
SIZES = _images("--imgSize", lambda run: any(map(run.asks, ("DATASET.IMG_SIZES", "SNAPSHOT", "RESUME"))), False)
CROPS = _images("training on crops, without --imgSize", lambda run: not run.asks("DATASET.IMG_SIZES"))
UNIFORM = _images(CROPS.of, lambda run: CROPS.reads(run) or not run.asks("DATASET.CLASS_UNIFORM_PCT"))
UNIFORM_CROPS = _images(
    "--class_uniform_pct, on crops", lambda run: CROPS.reads(run) and run.asks("DATASET.CLASS_UNIFORM_PCT")
)
# Of a training's loss and steps.
NAMED_LOSS = _training("a loss without --loss_terms", lambda run: not run.asks("LOSS.TERMS"))
DECODER = _training("heads of scene parsing, which are a decoder", lambda run: run.parts.head.decoder, True)
AUXILIARY = _term("heads with an auxiliary output, as OCR", lambda run: "aux" in run.parts.head.outputs)
AUXILIARY_RMI = _training(
    "heads with an auxiliary output under --rmi_loss", lambda run: AUXILIARY.reads(run) and run.asks("LOSS.RMI"), True
)
SINGLE_SCALES = _term("networks that combine scales", lambda run: bool(run.arch.scales))
SECOND_HEAD = _term("heads that supervise the map before the last", lambda run: "deepsup" in run.parts.head.outputs)
TAUGHT = _training(
    "trainings without --loss_terms, or with the loss distill there",
    lambda run: not run.asks("LOSS.TERMS") or "distill" in losses(run),
)
DISTILLED = _training(
    "--teacher without --loss_terms", lambda run: run.asks("LOSS.TEACHER") and not run.asks("LOSS.TERMS")
)
TRAINED_TRUNK = _training("a training without --freeze_trunk", lambda run: not run.asks("MODEL.FREEZE_TRUNK"))
LAYERS = _training(
    "--layer_decay and --unfreeze", lambda run: run.values["OPTIM.LAYER_DECAY"] != 1 or run.asks("OPTIM.UNFREEZE")
)
WEIGHTED = loss("--img_wt_loss and --jointwtborder", "weighted", "relaxation")
RELAXATION = loss("--jointwtborder", "relaxation")
BARE_START = _training("a start without --snapshot", lambda run: not run.asks("SNAPSHOT"))
TRUNK_FILE = _training("--trunk_weights", lambda run: run.asks("MODEL.TRUNK_WEIGHTS"))
FILE_START = _training("--snapshot", lambda run: run.asks("SNAPSHOT") or run.asks("RESUME"))
ROUNDS = _training("--max_iters and --epoch_iters", lambda run: run.values["TRAIN.MAX_ITERS"] > 0)
SWITCHED_LOSSES = _training(
    "--lr_schedule scl-poly and --jointwtborder",
    lambda run: run.values["OPTIM.SCHEDULE"] == "scl-poly" or "relaxation" in losses(run),
)
