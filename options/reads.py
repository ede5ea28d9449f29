"""Which options a run reads: those of its network, its losses, its optimizer, its schedule. One row says when."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, NamedTuple

from options import archs
from options.archs import ANY, ATROUS, OCR, PLAIN, Arch
from options.table import OPTIONS

Values = Mapping[str, Any]  # {key: value} of every option


class Row(NamedTuple):
    """Options, what they are of, and whether a run is one of those. `network`: its --arch decides."""

    keys: tuple[str, ...]
    of: str
    reads: Callable[[Values], bool]
    network: bool = True


def _arch(values: Values) -> Arch:
    return archs.find(values["MODEL.ARCH"])


def _by_name(values: Values) -> bool:
    """Whether the network is HRNet under a name of its own; as an encoder it has its published shape."""
    return _arch(values).trunk == "hrnet"


def _twins(first: int) -> Callable[[Values], bool]:
    """Networks whose stages exist twice from `first`, or an earlier one, on."""
    return lambda v: _by_name(v) and _arch(v).offsets and v["MODEL.OFFSET_BRANCH"] <= first


def _gate(values: Values) -> bool:
    """Whether each scale has an attention of its own, whose layers can be chosen."""
    return _arch(values).scales in ("hierarchical", "fused")


def _old_gate(values: Values) -> bool:
    """--init_decoder asks for the start of the older attention elsewhere, too."""
    return _gate(values) or (values["MODEL.INIT_DECODER"] and _arch(values).scales in ("paired", "pairs"))


def _aspp(values: Values) -> bool:
    arch = _arch(values)
    return arch.head in ATROUS or (arch.head == "ocr" and (values["MODEL.OCR_ASPP"] or "ocr_aspp" in arch.more))


def _wide(values: Values) -> bool:
    return _arch(values).head in PLAIN or bool(_arch(values).scales)


def _plain_losses(values: Values) -> bool:
    return not values["LOSS.TERMS"]


def _second_head(values: Values) -> bool:
    return "deepsup" in archs.outputs(_arch(values), values["MODEL.DECODER"]) and _plain_losses(values)


def _auxiliary(values: Values) -> bool:
    return _arch(values).head in OCR and _plain_losses(values)


def _losses(values: Values) -> set[str]:
    """Names of the losses that a training computes."""
    if values["LOSS.TERMS"]:
        return {term.strip().partition(":")[0] for term in values["LOSS.TERMS"].split(",")}
    chosen = (("rmi", "RMI"), ("weighted", "IMG_WT"), ("relaxation", "JOINTWTBORDER"))
    offsets = values["MODEL.ARCH"] in archs.ARCHS and _arch(values).offsets
    return {next((name for name, key in chosen if values[f"LOSS.{key}"]), "ohem" if offsets else "ce")}


def _loss(*names: str) -> Callable[[Values], bool]:
    return lambda values: bool(_losses(values) & {*names})


def _optimizer(*names: str) -> Callable[[Values], bool]:
    return lambda values: values["OPTIM.NAME"] in names


def _schedule(*names: str) -> Callable[[Values], bool]:
    return lambda values: values["OPTIM.SCHEDULE"] in names


def _switches_losses(values: Values) -> bool:
    return values["OPTIM.SCHEDULE"] == "scl-poly" or "relaxation" in _losses(values)


def _keys(group: str, *names: str) -> tuple[str, ...]:
    return tuple(f"{group}.{name}" for name in names)


def _stage(name: str) -> tuple[str, ...]:
    return _keys(f"MODEL.OCR_EXTRA.{name}", "NUM_MODULES", "NUM_BLOCKS")


# Of a network, whatever is done with it.
NETWORK = (
    Row(_keys("MODEL", "ENCODER", "DECODER", "FC_DIM"), "encoder_decoder", lambda v: _arch(v).head == ANY),
    Row(("MODEL.HRNET_WIDTH", *(key for n in (1, 2, 3, 4) for key in _stage(f"STAGE{n}"))),
        "networks with HRNet in their name", _by_name),
    Row(_keys("MODEL.OCR", "MID_CHANNELS", "KEY_CHANNELS", "DROPOUT"), "networks with OCR",
        lambda v: _arch(v).head in OCR),
    Row(("MODEL.OCR_ASPP",), "ocrnet....", lambda v: _arch(v).head == "ocr"),
    Row(("MODEL.SEGATTN_BOT_CH",), "networks whose head or attention has 3x3 convolutions", _wide),
    Row(("MODEL.ASPP_BOT_CH",), "networks with an ASPP", _aspp),
    Row(("MODEL.N_SCALES",), "networks that combine scales", lambda v: bool(_arch(v).scales)),
    Row(("MODEL.SECOND_SCALE_FROM",), "networks that combine scales", lambda v: bool(_arch(v).scales)),
    Row(("MODEL.MSCALE_LO_SCALE",), "networks that are trained with two scales",
        lambda v: _arch(v).scales not in ("", "all")),
    Row(_keys("MODEL", "MSCALE_INNER_3x3", "MSCALE_DROPOUT"), "hierarchical attention that is not the older one",
        lambda v: _gate(v) and not v["MODEL.MSCALE_OLDARCH"]),
    Row(("MODEL.MSCALE_OLDARCH",), "hierarchical attention", _old_gate),
    Row(("MODEL.ATTNSCALE_BN_HEAD",), "attnscale.DeepV3R50 and attnscale.DeepV3W38",
        lambda v: _arch(v).scales == "all"),
    Row(_keys("MODEL", "OFFSET_THRESHOLD", "ITERATIVE_REFINEMENT", "LOGITS"), "networks with offset vectors",
        lambda v: _arch(v).offsets),
    Row(("MODEL.OFFSET_BRANCH",), "offset.HRNet...", lambda v: _by_name(v) and _arch(v).offsets),
    *(Row(_stage(f"STAGE{n}_2"), f"offset.HRNet... with MODEL.OFFSET_BRANCH up to {n}", _twins(n)) for n in (2, 3, 4)),
)  # fmt: skip
# Of a training.
TRAINING = (
    Row(_keys("LOSS", "OCR_ALPHA"), "the loss of networks with OCR, without --loss_terms", _auxiliary),
    Row(("LOSS.OCR_AUX_RMI",), "networks with OCR under --rmi_loss", lambda v: _auxiliary(v) and v["LOSS.RMI"]),
    Row(("LOSS.SUPERVISED_MSCALE_WT",), "the loss of networks that combine scales, without --loss_terms",
        lambda v: bool(_arch(v).scales) and _plain_losses(v)),
    Row(("LOSS.DEEP_SUP_SCALE",), "the loss of an encoder_decoder whose decoder ends in deepsup, without --loss_terms",
        _second_head),
    Row(("MODEL.HRNET_CHECKPOINT",), "networks on HRNet", lambda v: _arch(v).trunk in ("hrnet", ANY)),
    Row(("MODEL.WRN38_CHECKPOINT",), "networks on Wide-ResNet-38", lambda v: _arch(v).trunk == "wide_resnet38"),
    Row(("MODEL.X71_CHECKPOINT",), "networks on Xception-71", lambda v: _arch(v).trunk == "xception71"),
    Row(("MODEL.TRUNK_WEIGHTS",), "a start without --snapshot", lambda v: not v["SNAPSHOT"], False),
    Row(("TRAIN.RESTORE_OPTIMIZER",), "--snapshot", lambda v: bool(v["SNAPSHOT"] or v["RESUME"]), False),
    Row(_keys("LOSS", "WT_BOUND", "BATCH_WEIGHTING"), "--img_wt_loss and --jointwtborder",
        _loss("weighted", "relaxation"), False),
    Row(_keys("LOSS", "STRICT_BDR_CLS", "BORDER_WINDOW"), "--jointwtborder", _loss("relaxation"), False),
    Row(("LOSS.DICE_SMOOTH",), "the loss dice in --loss_terms", _loss("dice"), False),
    Row(_keys("LOSS", "BOOT_MIN_PIXELS", "BOOT_THRESHOLD"), "the loss bootstrapped in --loss_terms",
        _loss("bootstrapped"), False),
    Row(_keys("LOSS", "OHEM_THRES", "OHEM_KEEP"), "the loss ohem", _loss("ohem"), False),
    Row(("LOSS.CLASS_WEIGHTS",), "the losses ce, ohem, bootstrapped, dice",
        _loss("ce", "ohem", "bootstrapped", "dice"), False),
    Row(("OPTIM.MOMENTUM",), "--optimizer sgd", _optimizer("sgd", "apex_sgd"), False),
    Row(("OPTIM.AMSGRAD",), "--optimizer adam and adamw", _optimizer("adam", "adamw", "apex_adam"), False),
    Row(("OPTIM.POLY_EXP",), "--lr_schedule poly, poly2 and scl-poly", _schedule("poly", "poly2", "scl-poly"), False),
    Row(("OPTIM.POLY_STEP",), "--lr_schedule poly2", _schedule("poly2"), False),
    Row(_keys("OPTIM", "RESCALE", "REPOLY"), "--lr_schedule scl-poly", _schedule("scl-poly"), False),
    Row(("OPTIM.RLX_OFF_EPOCH",), "--lr_schedule scl-poly and --jointwtborder", _switches_losses, False),
    Row(("TRAIN.SAVE_INTERVAL",), "--max_iters and --epoch_iters", lambda v: v["TRAIN.MAX_ITERS"] > 0, False),
)  # fmt: skip


def unread(values: Values) -> dict[str, str]:
    """{key: what it is of} of the options that a run with these values does not read."""
    rows = NETWORK if values["EVAL.MODE"] else (*NETWORK, *TRAINING)
    named = values["MODEL.ARCH"] in archs.ARCHS or "+" in values["MODEL.ARCH"]
    left = [row for row in rows if (named or not row.network) and not row.reads(values)]
    return {key: row.of for row in left for key in row.keys}


def refused(values: Values, given: Collection[str]) -> Iterator[str]:
    """A line for each key of a command line that asks for something and is not read."""
    for key, of in unread(values).items():
        if key in given and not _asks_nothing(key, values[key]) and not _carried(key, values):
            where = f"not of --arch {values['MODEL.ARCH']}" if key in _OF_NETWORKS else "which is not used here"
            yield f"{OPTIONS[key].name} is of {of}, {where}: leave it out"


def notes(values: Values, given: Collection[str], filed: Collection[str]) -> list[str]:
    """What option files ask for and is not read: a recipe may carry what another network of it reads.

    PaddleSeg's flips do nothing, there as here, unless they are switched on.
    """
    flips = {"--flip_horizontal": "EVAL.FLIP_HORIZONTAL", "--flip_vertical": "EVAL.FLIP_VERTICAL"}
    idle = [] if values["EVAL.AUG_EVAL"] else [f"{f} (without --aug_eval)" for f, key in flips.items() if values[key]]
    left = {key for key in filed if values[key] != OPTIONS[key].default} - {*given}
    left |= {key for key in given if _carried(key, values)}
    odd = [key for key in unread(values) if key in left]
    return idle + [f"{key} {values[key]} (not read by {values['MODEL.ARCH'] or 'this run'})" for key in odd]


def _carried(key: str, values: Values) -> bool:
    """Whether command lines carry this option as part of a block, although not all networks read it: then it is said.

    The shape of HRNet and OCR is such a block; --save_interval beside a --max_iters that may be 0; and the second
    head's weight, in those of all scene-parsing networks.
    """
    parsing = values["MODEL.ARCH"] in archs.ARCHS and _arch(values).head == ANY
    return key.startswith(("MODEL.OCR.", "MODEL.OCR_EXTRA.", "TRAIN.SAVE_INTERVAL")) or (
        key == "LOSS.DEEP_SUP_SCALE" and parsing
    )


def _asks_nothing(key: str, value: Any) -> bool:
    return value == OPTIONS[key].default and value in (False, "", 0, -1)


_OF_NETWORKS = frozenset(key for row in (*NETWORK, *TRAINING) if row.network for key in row.keys)
