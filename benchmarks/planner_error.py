"""How far the planner's peak of memory is from the one that the allocator's own events show, over many settings.

python benchmarks/planner_error.py --out DIR             all settings, on the CPU: a table as JSON and as Markdown
python benchmarks/planner_error.py --out DIR --only rmi  those whose name contains this; the others stay in the table
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, cast

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch
from torch.profiler import ProfilerActivity, profile

import config
import datasets
import inference
import loss
import network
import train
from engine.budget import Budget
from engine.ema import ModelEma
from engine.log import RunLog
from engine.plan import trace
from engine.session import Run, to_device
from engine.state import FiniteGuard, TrainState
from engine.survival import survive_step
from engine.training import Trainer
from utils import amp
from utils.cli import start
from utils.contracts import Batch
from utils.distributed import DistributedContext
from utils.files import write_file
from utils.normalization import Normalization

# Networks: words of a command line.
_FEW = "MODEL.OCR_EXTRA.STAGE2.NUM_BLOCKS 1,1 MODEL.OCR_EXTRA.STAGE3.NUM_MODULES 1 MODEL.OCR_EXTRA.STAGE3.NUM_BLOCKS "
_FEW += "1,1,1 MODEL.OCR_EXTRA.STAGE4.NUM_MODULES 1 MODEL.OCR_EXTRA.STAGE4.NUM_BLOCKS 1,1,1,1"
_SMALL_HEAD = "MODEL.OCR.MID_CHANNELS 64 MODEL.OCR.KEY_CHANNELS 32"
_OCR = f"--arch ocrnet.HRNet_Mscale --width_mult 0.25 --segattn_bot_ch 32 {_SMALL_HEAD} {_FEW}"
_WIDE = f"--arch ocrnet.HRNet --width_mult 0.5 {_SMALL_HEAD} {_FEW}"
_PLAIN = f"--arch basic.HRNet --width_mult 0.25 {_FEW}"
_DEEPLAB = "--arch deepv3.DeepV3R50 --width_mult 0.25"
# {name: words}; "tile" and "val" ones are validations of an image of --crop_size.
SETTINGS = {
    "ocr mscale": f"{_OCR} --crop_size 128 --bs_trn 2",
    "ocr mscale, batch 4": f"{_OCR} --crop_size 128 --bs_trn 4",
    "ocr mscale, crop 256": f"{_OCR} --crop_size 256 --bs_trn 2",
    "ocr mscale, crop 96x192": f"{_OCR} --crop_size 96,192 --bs_trn 2",
    "ocr mscale, rmi": f"{_OCR} --crop_size 128 --bs_trn 2 --rmi_loss",
    "ocr mscale, rmi, crop 256": f"{_OCR} --crop_size 256 --bs_trn 2 --rmi_loss",
    "ocr mscale, rmi, aux rmi": f"{_OCR} --crop_size 128 --bs_trn 2 --rmi_loss --ocr_aux_loss_rmi",
    "ocr mscale, relaxation": f"{_OCR} --crop_size 128 --bs_trn 2 --jointwtborder",
    "ocr mscale, class weights": f"{_OCR} --crop_size 128 --bs_trn 2 --img_wt_loss",
    "ocr mscale, scales' losses": f"{_OCR} --crop_size 128 --bs_trn 2 --supervised_mscale_loss_wt 0.05",
    "ocr mscale, grad_ckpt": f"{_OCR} --crop_size 192 --bs_trn 2 --grad_ckpt",
    "ocr mscale, grad_ckpt, rmi": f"{_OCR} --crop_size 192 --bs_trn 2 --grad_ckpt --rmi_loss",
    "ocr mscale, accum 2": f"{_OCR} --crop_size 128 --bs_trn 2 --accum 2",
    "ocr mscale, ema": f"{_OCR} --crop_size 128 --bs_trn 2 --ema 0.99",
    "ocr mscale, adamw": f"{_OCR} --crop_size 128 --bs_trn 2 --optimizer adamw",
    "ocr mscale, adam, amsgrad": f"{_OCR} --crop_size 64 --bs_trn 2 --optimizer adam --amsgrad",
    "ocr mscale, bf16": f"{_OCR} --crop_size 128 --bs_trn 2 --fp16",
    "ocr mscale, bf16, rmi": f"{_OCR} --crop_size 128 --bs_trn 2 --fp16 --rmi_loss",
    "ocr mscale, label stride 4": f"{_OCR} --crop_size 256 --bs_trn 2 --label_stride 4",
    "ocr mscale, contiguous": f"{_OCR} --crop_size 128 --bs_trn 2 --channels_last off",
    "ocr wide": f"{_WIDE} --crop_size 128 --bs_trn 2",
    "ocr wide, batch 1": f"{_WIDE} --crop_size 192 --bs_trn 1",
    "ocr wide, adamw, ema": f"{_WIDE} --crop_size 96 --bs_trn 2 --optimizer adamw --ema 0.9",
    "plain": f"{_PLAIN} --crop_size 256 --bs_trn 2",
    "plain, ohem": f"{_PLAIN} --crop_size 128 --bs_trn 2 --loss_terms ohem:pred:1",
    "plain, dice": f"{_PLAIN} --crop_size 128 --bs_trn 2 --loss_terms ce:pred:1,dice:pred:1",
    "deeplab": f"{_DEEPLAB} --crop_size 128 --bs_trn 2",
    "deeplab, bf16": f"{_DEEPLAB} --crop_size 128 --bs_trn 2 --fp16",
    "val ocr mscale": f"{_OCR} --crop_size 256,512",
    "val ocr mscale, three scales": f"{_OCR} --crop_size 192,384 --n_scales 0.5,1.0,2.0",
    "val ocr mscale, flip": f"{_OCR} --crop_size 256,512 --do_flip",
    "val ocr mscale, tile 192": f"{_OCR} --crop_size 256,512 --tile 192",
    "val deeplab, tile 128": f"{_DEEPLAB} --crop_size 256,512 --tile 128",
    "val plain, bf16": f"{_PLAIN} --crop_size 256,512 --fp16",
}
HOST = torch.device("cpu")
COLUMNS = ("setting", "measured, MiB", "planned, MiB", "error, %", "the peak is in")


class Row(NamedTuple):
    """Bytes of a setting, as the allocator had them and as they were planned, and when they are at their most."""

    setting: str
    measured: int
    planned: int
    during: str

    @property
    def error(self) -> float:
        """How far the plan is off, in percent of what was measured."""
        return 100 * (self.planned / self.measured - 1)


def options(words: str) -> Any:
    """Give the options of a setting."""
    return config.load(["--dataset", "cityscapes", *words.split()])


def row(name: str, folder: Path) -> Row:
    """Plan a setting and measure it."""
    cfg = options(SETTINGS[name])
    if name.startswith("val "):
        planned, _ = trace.validation(cfg, HOST, cfg.DATASET.CROP_SIZE)
        return Row(name, measured(partial(predict, cfg)), planned.bytes, planned.during)
    planned = trace.training(cfg, HOST)
    return Row(name, measured(partial(train_steps, cfg, folder)), planned.bytes, planned.during)


def measured(work: Any) -> int:
    """Give the most bytes that torch's allocator had given out at once during `work`, by its own events."""
    gc.collect()  # what a setting before this one has left would count as given back
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        work()
    kineto: Any = seen.profiler
    events = [event for event in kineto.kineto_results.events() if event.name() == "[memory]"]
    changes = np.array([event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())])
    return int(changes.cumsum().max())


def train_steps(cfg: Any, folder: Path, steps: int = 2) -> None:
    """Build a training and take steps of it, as train.py does."""
    precision = amp.build(cfg.TRAIN.FP16, cfg.TRAIN.AMP_OPT_LEVEL, HOST)
    run = Run(cfg, datasets.spec(cfg), DistributedContext(), RunLog(folder, main=False), precision, "")
    net = to_device(run, network.build(cfg))
    optimizer = loss.optimizer.build(cfg, net, net.trunk_layers(cfg.OPTIM.LAYER == "stage"))
    survive_step(optimizer)
    state = TrainState(net, optimizer, precision.scaler, ModelEma(net, cfg.TRAIN.EMA) if cfg.TRAIN.EMA else None)
    normalize = Normalization(cfg.DATASET.MEAN, cfg.DATASET.STD, HOST)
    budget = Budget(state, run.ranks, epochs=1, batches=1, per_epoch=1)
    loader, rate = cast(datasets.TrainLoader, ()), loss.schedule.rate_function(cfg)
    trainer = Trainer(state, net, net, loss.build(cfg, run.ranks), rate, loader, normalize, FiniteGuard(net), budget)
    net.train()
    net.start_epoch(cfg.TRAIN.MAX_EPOCH - 1)
    work = partial(train.backward, run, trainer, cfg.TRAIN.MAX_EPOCH - 1)
    for _ in range(steps):
        for number in range(cfg.TRAIN.ACCUM):
            state.iteration += 1
            trainer.open_step.add(run, work, batch(cfg), cfg.TRAIN.ACCUM, number + 1 == cfg.TRAIN.ACCUM)
        train.optimizer_step(run, trainer, cfg.OPTIM.LR)
        state.settle()


def batch(cfg: Any) -> Batch:
    """Draw a batch: noise, with labels in blocks."""
    n, (height, width), stride = cfg.TRAIN.BATCH_SIZE, cfg.DATASET.CROP_SIZE, cfg.DATASET.LABEL_STRIDE
    image = torch.randint(0, 256, (n, 3, height, width), dtype=torch.uint8)
    blocks = torch.randint(0, cfg.DATASET.NUM_CLASSES, (n, height // stride // 8, width // stride // 8))
    label = blocks.repeat_interleave(8, 1).repeat_interleave(8, 2)
    return Batch(image=image, label=label, name=["noise"] * n, size=[(height, width)] * n)


def predict(cfg: Any) -> None:
    """Predict an image of noise, as a validation does."""
    precision = amp.build(cfg.TRAIN.FP16, cfg.TRAIN.AMP_OPT_LEVEL, HOST)
    net = network.build(cfg).eval()
    image = torch.randint(0, 256, (*cfg.DATASET.CROP_SIZE, 3), dtype=torch.uint8)
    inference.build_predictor(cfg, net.to(memory_format=torch.channels_last), precision)([image])


def markdown(rows: Sequence[Row]) -> str:
    """Write rows as a table, and how they are off in all."""
    lines = [f"| {' | '.join(COLUMNS)} |", f"|{'---|' * len(COLUMNS)}"]
    for one in rows:
        sizes = (f"{size / 2**20:.1f}" for size in (one.measured, one.planned))
        lines.append(f"| {one.setting} | {' | '.join(sizes)} | {one.error:+.1f} | {one.during} |")
    far = [abs(one.error) for one in rows]
    within = sum(error <= 10 for error in far)
    lines += [
        "",
        f"{within} of {len(rows)} within 10 %; at most {max(far):.1f} %, {sum(far) / len(far):.1f} % in the mean",
    ]
    return "\n".join(lines) + "\n"


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of planner_error.json and .md")
    parser.add_argument("--only", default="", help="settings whose name contains this")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    path = args.out / "planner_error.json"
    known = json.loads(path.read_text())["rows"] if path.exists() else []
    rows = {one["setting"]: Row(**one) for one in known}
    args.out.mkdir(parents=True, exist_ok=True)
    for name in (name for name in SETTINGS if args.only in name):
        began = time.monotonic()
        rows[name] = row(name, args.out / "run")
        print(f"{name}: {rows[name].error:+.1f} % in {time.monotonic() - began:.0f} s", flush=True)
        ordered = [rows[name] for name in SETTINGS if name in rows]
        about = {"torch": str(torch.__version__), "date": time.strftime("%Y-%m-%d"), "device": "cpu, 1 thread"}
        write_file(path, json.dumps({**about, "rows": [one._asdict() for one in ordered]}, indent=1).encode())
        write_file(path.with_suffix(".md"), markdown(ordered).encode())
    return 0


if __name__ == "__main__":
    sys.exit(start(main))
