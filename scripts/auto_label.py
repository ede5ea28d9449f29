"""Label a folder of images with a trained network, for a further training on them.

python scripts/auto_label.py --snapshot TEACHER.pth --images DIR --out DIR --threshold 0.9 --scales 0.5,1.0,2.0

Started again it goes on where it was stopped. Under torchrun several GPUs share the images.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

if not __package__:  # run as a file: the packages are one folder up
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import config  # noqa: E402
import datasets  # noqa: E402
import inference  # noqa: E402
import network  # noqa: E402
from datasets import (
    folder,  # noqa: E402
    labelrecord,  # noqa: E402
)
from datasets.base import Item, SegmentationDataset, listed  # noqa: E402
from datasets.classes import ids_of, other_ids  # noqa: E402
from datasets.files import search  # noqa: E402
from datasets.loaders import EvalLoader, Seen  # noqa: E402
from datasets.look import bits_of_folder  # noqa: E402
from datasets.pictures import read_image  # noqa: E402
from datasets.reading import label_lut, read_label, remap_labels  # noqa: E402
from engine import agree  # noqa: E402
from engine.log import RunLog  # noqa: E402
from engine.runlock import FolderLock  # noqa: E402
from engine.session import Run, Start, load_for_evaluation, to_device  # noqa: E402
from evaluation import sinks  # noqa: E402
from evaluation.metrics import percent  # noqa: E402
from evaluation.report import Covered, Report, ReportData, environment  # noqa: E402
from evaluation.sinks.autolabels import AutoLabels, thresholds  # noqa: E402
from evaluation.sinks.coverage import Coverage  # noqa: E402
from inference import from_file  # noqa: E402
from inference.from_file import Trained  # noqa: E402
from network.weights import layouts  # noqa: E402
from transforms import Pipeline  # noqa: E402
from utils import amp, digest, distributed, madefrom  # noqa: E402
from utils.cli import exit_code, place_to_write, start  # noqa: E402
from utils.contracts import DatasetSpec  # noqa: E402
from utils.errors import UserError  # noqa: E402
from utils.progress import progress  # noqa: E402
from utils.visualize import colorize, encode_jpeg, encode_png, heat, shrink  # noqa: E402

SAMPLES, LONG_EDGE = 12, 512
# Options that the labels depend on: those of a folder are all made the same way.
DECISIVE = (
    "MODEL.N_SCALES", "EVAL.MULTI_SCALE", "EVAL.DEFAULT_SCALE", "EVAL.EXTRA_SCALES", "EVAL.DO_FLIP", "EVAL.TILE",
    "EVAL.TILE_OVERLAP", "MODEL.ALIGN_CORNERS", "MODEL.MSCALE_LO_SCALE", "DATASET.MEAN", "DATASET.STD",
    "TRAIN.FP16", "TRAIN.AMP_OPT_LEVEL", "EVAL.INFERENCE_MODE", "EVAL.SCALES", "EVAL.SINGLE_SCALE", "EVAL.NO_FLIP",
    "EVAL.WINDOW", "EVAL.SLIDING_OVERLAP", "EVAL.FIXED_ASPP_POOL", "DATASET.IMAGE_BITS", "EVAL.RULE",
    "EVAL.BASE_SIZE", "EVAL.PIECE", "EVAL.AUG_EVAL", "EVAL.FLIP_HORIZONTAL", "EVAL.FLIP_VERTICAL", "DATASET.IMG_SIZES",
    "DATASET.IMG_MAX_SIZE", "DATASET.PADDING", "MODEL.OFFSET_THRESHOLD", "MODEL.ITERATIVE_REFINEMENT", "MODEL.LOGITS",
)  # fmt: skip


class Job(NamedTuple):
    """A labelling: the run, its sink, every image, those that are left to do, and the range of all (`read_image`)."""

    run: Run
    sink: AutoLabels
    coverage: Coverage
    items: list[Item]
    left: list[Item]
    bits: int


def parser() -> argparse.ArgumentParser:
    """The command line; what else stands on it goes to the options of train.py."""
    p = argparse.ArgumentParser(
        description="Label a folder of images with a trained network.",
        epilog="Further flags and KEY VALUE pairs as train.py takes them: --do_flip, --fp16, --arch, --dataset, ...",
        allow_abbrev=False,
    )
    p.add_argument("--snapshot", required=True, help="the teacher: a checkpoint, which tells its network and classes")
    p.add_argument("--images", required=True, help="folder of images, in any depth, of any sizes")
    p.add_argument("--out", required=True, type=place_to_write, help="folder for the labels, the record and the report")
    p.add_argument("--threshold", default="0.9", help="least confidence; of single classes: 0.9,road=0.95,bus=0.5")
    p.add_argument("--scales", "--n_scales", default="0.5,1.0,2.0", help="scales that the teacher combines")
    return p


def teacher(args: argparse.Namespace, rest: Sequence[str]) -> Trained:
    """What the checkpoint and the command line say; scales are averaged where the network does not fuse them, nor has
    sizes of its own (--imgSize), which are averaged then.
    """
    argv = ["--eval", "folder", "--eval_folder", args.images, "--snapshot", args.snapshot]
    argv += ["--result_dir", str(args.out), *rest]
    found = from_file.build(argv, scales=args.scales)
    if hasattr(found.net, "scales") or found.cfg.DATASET.IMG_SIZES:
        return found
    if found.cfg.EVAL.INFERENCE_MODE:
        argv += ["EVAL.SCALES", args.scales]
    else:
        one, *more = sorted(args.scales.split(","), key=lambda scale: float(scale) != 1.0)
        argv += ["EVAL.MULTI_SCALE", "true", "EVAL.DEFAULT_SCALE", one, "EVAL.EXTRA_SCALES", ",".join(more)]
    return found._replace(cfg=config.load(argv, found.metadata))


def plan(run: Run, items: list[Item], least: list[float]) -> Job:
    """Where the labels of the images go, and which are left to do. UserError if they cannot go there."""
    cfg, ranks, out = run.cfg, run.ranks, Path(run.cfg.RESULT_DIR)
    made: dict[str, Any] = {
        "sha256": digest.of_files(layouts.files(Path(cfg.SNAPSHOT))),
        "images": str(Path(cfg.EVAL.FOLDER).resolve()),
    }
    made |= {"thresholds": dict(zip(run.spec.classes, least, strict=True))}
    options = config.flat(cfg)
    made |= {key: options[key] for key in (*DECISIVE, "PUBLISHED")} | {"upright": True}
    check_out(out, run.spec, made)
    made["teacher"] = Path(cfg.SNAPSHOT).name
    ranks.barrier()
    if ranks.is_main:
        labelrecord.write(out, run.spec, made)
    coverage = Coverage(out, run.spec.classes, ranks)
    sink = AutoLabels(out, run.spec, least, made, coverage)
    agree.compare(ranks, lambda: {"images": listed(items)})
    owner: dict[Path, Item] = {}
    for item in items:
        other = owner.setdefault(sink.files(item.name)[0], item)
        if other is not item:
            raise UserError(f"{other.image} and {item.image} would have the same label file: label their folders apart")
    made_from = {file: [Path(item.image)] for item in items for file in sink.files(item.name)}
    if note := distributed.from_main(ranks, lambda: madefrom.remove_stale(out, made_from)):
        run.log.line(note)
    left = [i for i, item in enumerate(items) if not is_done(sink, coverage, item)]
    bits, note = bits_of_folder([item.image for item in items], cfg.DATASET.IMAGE_BITS)
    if note:
        run.log.line(note)
    return Job(run, sink, coverage, items, [items[i] for i in ranks.gather(left)[0]], bits)


def is_done(sink: AutoLabels, coverage: Coverage, item: Item) -> bool:
    """Whether an image is labelled and counted."""
    return item.name in coverage.rows and all(file.is_file() for file in sink.files(item.name))


def check_out(out: Path, spec: DatasetSpec, made: Mapping[str, Any]) -> None:
    """UserError where the folder has labels made otherwise, or files that are none of ours."""
    record, cure = labelrecord.check(out, spec), "give the same options, or another --out"
    if record is None:
        if (out / "train_extra").is_dir() and any((out / "train_extra").iterdir()):
            raise UserError(f"{out / 'train_extra'} has files of other origin: give another --out")
        return
    if list(record.ids) != ids_of(spec):
        raise UserError(f"{out} has labels of other values ({other_ids(record.ids, spec)}): {cure}")
    # An option that the record does not know of had no effect yet.
    before = config.as_written(config.defaults()) | record.made | config.as_written(record.made)
    for key, value in made.items():
        if before.get(key) != value:
            change = "" if isinstance(value, dict) else f" {before.get(key)!r} there, {value!r} now"
            raise UserError(f"{out} has labels made otherwise ({key}{change}): {cure}")


def label(job: Job, net: network.Net) -> Seen:
    """Predict what is left and write it, but for pictures that cannot be read; what was met in them."""
    cfg, ranks, log = job.run.cfg, job.run.ranks, job.run.log
    predictor = inference.build_predictor(cfg, to_device(job.run, net), job.run.precision, log.line)
    dataset = SegmentationDataset(job.left, job.run.spec, Pipeline(), image_bits=job.bits)
    workers = cfg.DATASET.NUM_WORKERS
    loader = EvalLoader(dataset, cfg.EVAL.BATCH_SIZE, workers, ranks.rank, ranks.world, lenient=True)
    for batch in progress(loader, "auto labels", len(loader), lines=20, shown=ranks.is_main):
        for item in sinks.items(batch, predictor(batch["image"])):
            job.sink.add(item)
    seen = loader.seen(ranks)
    log.line("\n".join(seen.lines)) if seen.lines else None
    return seen


def report(job: Job, covered: Sequence[Covered]) -> Path:
    """The page: what was kept of each class, and samples. It reads the files, whoever wrote them when."""
    run, done = job.run, labelled(job)
    step = max(1, len(done) // SAMPLES)
    data = ReportData(
        title=f"Automatic labels by {Path(run.cfg.SNAPSHOT).name}",
        command=run.command,
        date=time.strftime("%Y-%m-%d %H:%M"),
        class_names=run.spec.classes,
        palette=run.spec.palette,
        coverage=covered,
        rows=[sample(job.sink, item, job.bits) for item in done[::step][:SAMPLES]],
        facts=[("images", f"{len(done):,}"), ("pixels kept", f"{percent(share_kept(covered))} %")],
        versions=environment(run.ranks.device),
    )
    return Report(job.sink.folder).write(data)


def labelled(job: Job) -> list[Item]:
    """The images that have labels by now."""
    return [item for item in job.items if item.name in job.coverage.rows]


def share_kept(covered: Sequence[Covered]) -> float:
    """Share of all pixels that have a label."""
    return sum(one.kept for one in covered) / sum(one.predicted for one in covered)


def sample(sink: AutoLabels, item: Item, bits: int) -> sinks.Row:
    """Image, label and confidence of one image as small pictures."""
    label_file, probability_file = sink.files(item.name)
    table = label_lut(sink.spec, train_ids=not sink.spec.train_to_id)  # as the sink writes them
    classes = remap_labels(read_label(str(label_file)), table, str(label_file), sink.spec)
    colours = shrink(colorize(classes, sink.spec.palette), LONG_EDGE, smooth=False)
    panels = {
        "image": encode_jpeg(shrink(read_image(item.image, item.upright, bits), LONG_EDGE)),
        "label": encode_png(colours, level=9),
        "confidence": encode_jpeg(heat(shrink(read_label(str(probability_file)), LONG_EDGE), 0, 255)),
    }
    share = (classes != sink.spec.ignore_label).mean()
    return sinks.Row(f"{item.name}: {percent(share)} % kept", None, None, panels)


def drive(args: argparse.Namespace, rest: Sequence[str], command: str) -> None:
    """Read the teacher, label what is left, say what came of it."""
    cfg, spec, net, _ = teacher(args, rest)
    least, out = thresholds(args.threshold, spec), Path(cfg.RESULT_DIR)
    items = folder.tree(cfg.EVAL.FOLDER, str(out / "train_extra"))
    apart = search(Path(cfg.EVAL.FOLDER), [out / "train_extra"]).note
    ranks = distributed.init(cfg.TRAIN.LOCAL_RANK)
    lock = FolderLock()
    note = distributed.from_main(ranks, lambda: lock.take(out, command))
    log = RunLog(out, ranks.is_main, "auto_label.log")
    try:
        if note:
            log.line(note)
        precision = amp.build(cfg.TRAIN.FP16, cfg.TRAIN.AMP_OPT_LEVEL, ranks.device)
        run = Run(cfg, spec, ranks, log, precision, command, lock)
        job = plan(run, items, least)
        before = len(job.items) - len(job.left)
        counted = f"{len(job.items)} images, {before} of them labelled before"
        log.line("\n".join(filter(None, [command, counted, apart])))
        seen = Seen()
        if job.left:
            load_for_evaluation(run, net, Start(Path(cfg.SNAPSHOT)))
            seen = label(job, net)
        job.coverage.join()
        covered = job.coverage.close([item.name for item in labelled(job)])
        if ranks.is_main:
            log.line(f"{percent(share_kept(covered))} % of their pixels are labelled, report: {report(job, covered)}")
            frames = all(item.name.endswith("_leftImg8bit") for item in job.items)
            if frames and spec.classes == datasets.spec("cityscapes").classes:
                prob = min(0.5, max(least))  # of single classes, some may be taken whatever their confidence
                log.line(f"for training: --custom_coarse_prob {prob:g} DATASET.CITYSCAPES_CUSTOMCOARSE {out}")
        ranks.barrier()
        if seen.left_out:
            raise UserError(f"{seen.note} (named above); the others are labelled")
    finally:
        log.close()
        lock.release()


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code 0, 2 with one line for a user's mistake, 130 if it was stopped."""
    argv = list(sys.argv[1:] if argv is None else argv)
    args, rest = parser().parse_known_args(argv)
    command = f"{distributed.launcher()} scripts/auto_label.py {shlex.join(argv)}"
    try:
        return exit_code(lambda: drive(args, rest, command), args.out)
    finally:
        distributed.close()


if __name__ == "__main__":
    sys.exit(start(main))
