"""What can be said of a training before its first step: what would end it later, and what cannot have its effect."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import nn
from yacs.config import CfgNode

from engine.state import TrainState
from loss.terms import training_scales
from network.batchnorm_check import single_value
from network.net import Net
from utils.distributed import DistributedContext
from utils.errors import UserError
from utils.resize import rounded_up

LARGER = 4  # how much a crop is enlarged to see whether that helps


def check_batchnorm(cfg: CfgNode, net: Net, ranks: DistributedContext) -> None:
    """Raise UserError where a batch norm would see a single value at some scale that this run is trained with.

    Values are counted over an image, its batch and, with --syncbn, all processes: with two images there are two.
    """
    name = single_value_in(cfg, net, ranks) if cfg.TRAIN.BATCH_SIZE == 1 else ""
    if not name:
        return
    d, size = cfg.DATASET, smallest_input(cfg)
    cures = ["--bs_trn 2 or more", "--fix_bn"] + (["--syncbn"] if ranks.world > 1 else [])
    if not single_value(net, (LARGER * size[0], LARGER * size[1]), cfg.TRAIN.MAX_EPOCH - 1):
        cures.insert(1, "larger --imgSize" if d.IMG_SIZES else "a larger --crop_size")
    raise UserError(
        f"--bs_trn {cfg.TRAIN.BATCH_SIZE}: at {_written(size)} pixels batch norm {name} gets a single value of each "
        f"channel, which has no variance: give {', '.join(cures[:-1])} or {cures[-1]}"
    )


def single_value_in(cfg: CfgNode, net: Net, ranks: DistributedContext) -> str:
    """Give the name of a batch norm that gets a single value of a channel from one image of this run, or ""."""
    d, syncs = cfg.DATASET, cfg.TRAIN.SYNCBN and ranks.world > 1
    if syncs or (d.FULL_CROP and not d.IMG_SIZES):
        return ""
    return single_value(net, smallest_input(cfg), cfg.TRAIN.MAX_EPOCH - 1)


def smallest_input(cfg: CfgNode) -> tuple[int, int]:
    """Give (H, W) of the smallest image that a step can see: the crop, or a square at the shortest of --imgSize."""
    d = cfg.DATASET
    if d.IMG_SIZES:
        side = rounded_up(min(d.IMG_SIZES), d.PADDING)
        return side, side
    return d.CROP_SIZE


def notes(cfg: CfgNode, state: TrainState, batches: int) -> Iterator[str]:
    """Write a line for each option that cannot have its effect in this run; `batches`: of an epoch, on each process."""
    end, unit = cfg.TRAIN.MAX_EPOCH, "rounds" if cfg.TRAIN.MAX_ITERS else "epochs"
    if state.epoch + 1 >= end:
        flag = f"--max_iters {cfg.TRAIN.MAX_ITERS}" if cfg.TRAIN.MAX_ITERS else f"--max_epoch {end}"
        yield f"nothing is left to train: {state.epoch + 1} {unit} are done, {flag} asks for {end}; raise it to go on"
        return
    yield from _padded(cfg, state.net)
    for option, late, effect in _behind_the_end(cfg):
        if late >= end:
            yield f"{option} lies behind the end of this run of {end} {unit}: {effect}"
    if cfg.OPTIM.WARMUP >= end:
        yield f"--warmup {cfg.OPTIM.WARMUP:g}: this run of {end} {unit} ends within it, so that --lr is never reached"
    if cfg.OPTIM.END_LR > cfg.OPTIM.LR:
        yield f"--end_lr {cfg.OPTIM.END_LR:g} is above --lr {cfg.OPTIM.LR:g}: the learning rate rises"
    if cfg.TRAIN.ACCUM > batches:
        yield f"--accum {cfg.TRAIN.ACCUM}: an epoch has {batches} batches, of which all are added up for its one step"
    if not cfg.TRAIN.DO_EVAL:
        yield "--do_eval false: no validation, so that there is no score and no best checkpoint"


def _padded(cfg: CfgNode, net: nn.Module) -> Iterator[str]:
    """Give a line where the trunk pads the inputs of a step, at one of the scales that training sees."""
    multiple = net.multiple if isinstance(net, Net) else 1
    scales = training_scales(cfg.MODEL) or (1.0,)
    inputs = [[int(side * scale) for side in smallest_input(cfg)] for scale in sorted(scales, reverse=True)]
    if any(side % multiple for sides in inputs for side in sides):
        padded = (f"{_written(sides)} to {_written([rounded_up(x, multiple) for x in sides])}" for sides in inputs)
        yield f"the trunk takes sides of a multiple of {multiple}: inputs are padded inside, {', '.join(padded)}"


def _written(sides: Sequence[int]) -> str:
    """Write a size, (H, W), as people do."""
    return "x".join(map(str, sides))


def _behind_the_end(cfg: CfgNode) -> Iterator[tuple[str, float, str]]:
    """Give (option, the epoch at which it would begin to count, what it means where a run has ended by then)."""
    o, t, d, m = cfg.OPTIM, cfg.TRAIN, cfg.DATASET, cfg.MODEL
    if o.SCHEDULE == "poly2":
        yield f"--poly_step {o.POLY_STEP}", o.POLY_STEP, "--lr_schedule poly2 is plain poly"
    if cfg.LOSS.JOINTWTBORDER and not cfg.LOSS.RMI and o.SCHEDULE != "scl-poly" and o.RLX_OFF_EPOCH >= 0:
        yield f"--rlx_off_epoch {o.RLX_OFF_EPOCH}", o.RLX_OFF_EPOCH + 1, "label relaxation is never reduced"
    if m.SECOND_SCALE_FROM:
        effect = "the second scale is never seen, and the attention between scales stays untrained"
        yield f"--second_scale_from {m.SECOND_SCALE_FROM}", m.SECOND_SCALE_FROM, effect
    if d.COARSE_BOOST_CLASSES or d.MAX_SKIP:
        yield f"--max_cu_epoch {d.MAX_CU_EPOCH}", d.MAX_CU_EPOCH, "the added images are drawn from until the end"
    if t.DO_EVAL:
        yield f"--val_freq {t.VAL_FREQ}", t.VAL_FREQ - 1, "the only validation is that of the last epoch"
    if o.UNFREEZE:
        effect = "parts of the trunk stay as they are loaded"
        yield f"--unfreeze {','.join(map(str, o.UNFREEZE))}", o.UNFREEZE[-1], effect
    if t.SAVE_EVERY:
        yield f"--save_every {t.SAVE_EVERY}", t.SAVE_EVERY - 1, "no checkpoint is kept beside the last and the best"
