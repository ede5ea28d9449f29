"""Labels of a folder of images by a trained network, the teacher, for a further training: scripts/auto_label.py."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import config
import datasets
import inference
import network
from datasets import folder, labelrecord
from datasets.base import Item, SegmentationDataset, listed
from datasets.classes import ids_of, other_ids
from datasets.loaders import EvalLoader, Seen
from datasets.reading import label_lut, read_label, remap_labels
from engine import agree, tool
from engine.outcome import write_report
from engine.session import Run, Start, join, load_for_evaluation, to_device
from evaluation import sinks
from evaluation.sinks.coverage import Coverage, Covered
from evaluation.sinks.pseudolabels import PseudoLabels, thresholds
from inference import from_file
from media.bits import bits_of_folder
from media.files import search
from media.reading import read_image
from network.weights import layouts
from utils import digest, distributed, madefrom
from utils.contracts import DatasetSpec
from utils.errors import UserError
from utils.plural import percent
from utils.progress import progress
from utils.visualize import colorize, encode_jpeg, encode_png, heat, shrink

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
    """A labeling: the run, its sink, every image, those that are left to do, and the range of all (`read_image`)."""

    run: Run
    sink: PseudoLabels
    coverage: Coverage
    items: list[Item]
    left: list[Item]
    bits: int

    @property
    def done(self) -> list[Item]:
        """The images that have labels by now."""
        return [item for item in self.items if item.name in self.coverage.rows]


def teacher(args: argparse.Namespace, rest: Sequence[str]) -> from_file.Trained:
    """Read what the checkpoint and the command line say; scales are averaged where the network does not fuse them, nor
    has sizes of its own (--imgSize), which are averaged then.
    """
    argv = ["--eval", "folder", "--eval_folder", args.images, "--snapshot", args.snapshot]
    argv += ["--result_dir", str(args.out), *rest]
    found = from_file.build(argv, scales=args.scales)
    scales = found.cfg.MODEL.N_SCALES
    if hasattr(found.net, "scales") or found.cfg.DATASET.IMG_SIZES or not scales:
        return found
    if found.cfg.EVAL.INFERENCE_MODE:
        argv += ["EVAL.SCALES", str([*scales])]
    else:
        one, *more = sorted(scales, key=lambda scale: scale != 1.0)
        argv += ["EVAL.MULTI_SCALE", "true", "EVAL.DEFAULT_SCALE", str(one), "EVAL.EXTRA_SCALES", str(more)]
    return found._replace(cfg=config.load(argv, found.metadata))


def plan(run: Run, items: list[Item], least: list[float]) -> Job:
    """Decide where the labels of the images go, and which are left to do. UserError if they cannot go there."""
    cfg, ranks, out = run.cfg, run.ranks, run.folder
    made = made_by(run, least)
    check_out(out, run.spec, made)
    made["teacher"] = Path(cfg.SNAPSHOT).name
    ranks.barrier()
    if ranks.is_main:
        labelrecord.write(out, run.spec, made)
    coverage = Coverage(out, run.spec.classes, ranks)
    sink = PseudoLabels(out, run.spec, least, made, coverage)
    agree.compare(ranks, lambda: {"images": listed(items)})
    owner: dict[Path, Item] = {}
    for item in items:
        other = owner.setdefault(sink.files(item.name)[0], item)
        if other is not item:
            raise UserError(f"{other.image} and {item.image} would have the same label file: label their folders apart")
    made_from = {file: [Path(item.image)] for item in items for file in sink.files(item.name)}
    stale = distributed.from_main(ranks, lambda: madefrom.remove_stale(out, made_from))
    left = [i for i, item in enumerate(items) if not is_done(sink, coverage, item)]
    bits, note = bits_of_folder([item.image for item in items], cfg.DATASET.IMAGE_BITS)
    for line in filter(None, (stale, note)):
        run.log.line(line)
    return Job(run, sink, coverage, items, [items[i] for i in ranks.gather(left)[0]], bits)


def made_by(run: Run, least: list[float]) -> dict[str, Any]:
    """Tell what the labels depend on, as their record has it: teacher, images, thresholds and options."""
    cfg, options = run.cfg, config.flat(run.cfg)
    return {
        "sha256": digest.of_files(layouts.files(Path(cfg.SNAPSHOT))),
        "images": str(Path(cfg.EVAL.FOLDER).resolve()),
        "thresholds": dict(zip(run.spec.classes, least, strict=True)),
        **{key: options[key] for key in (*DECISIVE, "PUBLISHED")},
        "upright": True,
    }


def is_done(sink: PseudoLabels, coverage: Coverage, item: Item) -> bool:
    """Tell whether an image is labeled and counted."""
    return item.name in coverage.rows and all(file.is_file() for file in sink.files(item.name))


def check_out(out: Path, spec: DatasetSpec, made: Mapping[str, Any]) -> None:
    """Raise UserError where the folder has labels made otherwise, or files that are none of ours."""
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
    dataset = SegmentationDataset(job.left, job.run.spec, image_bits=job.bits)
    workers = cfg.DATASET.NUM_WORKERS
    loader = EvalLoader(dataset, cfg.EVAL.BATCH_SIZE, workers, ranks.rank, ranks.world, lenient=True)
    for batch in progress(loader, "pseudo-labels", len(loader), lines=20, shown=ranks.is_main):
        for item in sinks.items(batch, predictor(batch["image"])):
            job.sink.add(item)
    seen = loader.seen(ranks)
    log.line("\n".join(seen.lines)) if seen.lines else None
    return seen


def report(job: Job, covered: Sequence[Covered]) -> Path:
    """Write the page: what was kept of each class, and samples. It reads the files, whoever wrote them when."""
    done = job.done
    return write_report(
        job.run,
        f"Pseudo-labels by {Path(job.run.cfg.SNAPSHOT).name}",
        coverage=covered,
        rows=[sample(job.sink, item, job.bits) for item in done[:: max(1, len(done) // SAMPLES)][:SAMPLES]],
        facts=[("images", f"{len(done):,}"), ("pixels kept", f"{percent(share_kept(covered))} %")],
    )


def share_kept(covered: Sequence[Covered]) -> float:
    """Give the share of all pixels that have a label."""
    return sum(one.kept for one in covered) / sum(one.predicted for one in covered)


def sample(sink: PseudoLabels, item: Item, bits: int) -> sinks.Row:
    """Draw image, label and confidence of one image as small pictures."""
    label_file, probability_file = sink.files(item.name)
    table = label_lut(sink.spec, train_ids=not sink.spec.train_to_id)  # as the sink writes them
    classes = remap_labels(read_label(str(label_file)), table, str(label_file), sink.spec)
    colors = shrink(colorize(classes, sink.spec.palette), LONG_EDGE, smooth=False)
    panels = {
        "image": encode_jpeg(shrink(read_image(item.image, item.exif_turned, bits), LONG_EDGE)),
        "label": encode_png(colors, level=9),
        "confidence": encode_jpeg(heat(shrink(read_label(str(probability_file)), LONG_EDGE), 0, 255)),
    }
    share = (classes != sink.spec.ignore_label).mean()
    return sinks.Row(f"{item.name}: {percent(share)} % kept", None, None, panels)


def run(args: argparse.Namespace, rest: Sequence[str], command: str) -> None:
    """Read the teacher, label what is left, say what came of it."""
    cfg, spec, net, _ = teacher(args, rest)
    least, own = thresholds(args.threshold, spec), Path(cfg.RESULT_DIR) / "train_extra"
    items = folder.tree(cfg.EVAL.FOLDER, str(own))
    apart = search(Path(cfg.EVAL.FOLDER), [own]).note
    with tool.opened(cfg, spec, join(cfg), command, "auto_label.log") as run:
        job = plan(run, items, least)
        before = len(job.items) - len(job.left)
        counted = f"{len(job.items)} images, {before} of them labeled before"
        run.log.line("\n".join(filter(None, [counted, apart])))
        seen = Seen()
        if job.left:
            load_for_evaluation(run, net, Start(Path(cfg.SNAPSHOT)))
            seen = label(job, net)
        job.coverage.join()
        covered = job.coverage.close([item.name for item in job.done])
        if run.ranks.is_main:
            tell(job, covered)
        run.ranks.barrier()
        if seen.left_out:
            raise UserError(f"{seen.note} (named above); the others are labeled")


def tell(job: Job, covered: Sequence[Covered]) -> None:
    """Write the page, and say what was kept and how a training takes it."""
    run = job.run
    run.log.line(f"{percent(share_kept(covered))} % of their pixels are labeled, report: {report(job, covered)}")
    frames = all(item.name.endswith("_leftImg8bit") for item in job.items)
    if frames and run.spec.classes == datasets.spec("cityscapes").classes:
        # Of single classes, some may be taken at any probability.
        prob = min(0.5, float(job.sink.thresholds.max()))
        run.log.line(f"for training: --custom_coarse_prob {prob:g} DATASET.CITYSCAPES_CUSTOMCOARSE {run.folder}")
