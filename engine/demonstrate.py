"""Masks, overlays and a legend for pictures and videos, from a checkpoint alone: demo.py and demo_folder.py."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np

import inference
from datasets import folder
from datasets.bit_depth import bits_of_folder
from datasets.files import search
from datasets.pictures import PictureError, read_turned
from datasets.results import FilesBefore, check_apart
from engine import tool
from engine.session import Run, Start, load_for_evaluation, to_device
from evaluation.legend import Legend
from evaluation.sinks.submission import id_table
from inference import Predictor, from_file, temperature
from inference.memory import is_out_of_memory
from inference.video import Preview, VideoSink, VideoSource
from utils import distributed
from utils.cli import place_to_write
from utils.errors import MemoryShortageError, UserError
from utils.files import write_file
from utils.plural import counted
from utils.progress import progress
from utils.visualize import colorize, encode_png, overlay, probability_bytes, to_array

_WRITES = (
    "color_mask",
    "overlap",
    "pred_mask",
    "result",
    "confidence",
)  # what names of files that a demo writes begin with

# What the published commands mean where they say nothing.
ARCH, SNAPSHOT, SAVE_DIR = "deepv3.DeepWV3Plus", "./pretrained_models/cityscapes_best.pth", "./save"


@dataclass(frozen=True)
class RenderedMasks:
    """Of one picture: `pred_mask` (H, W) label ids, `color_mask` and `overlap` (H, W, 3), `confidence` (H, W), the
    probability of each class times 255, all uint8.

    Label ids are uint16 where one is above 255. None: the confidence is not asked for.
    """

    pred_mask: np.ndarray
    color_mask: np.ndarray
    overlap: np.ndarray
    confidence: np.ndarray | None = None


@dataclass
class Renderer:
    """From pictures to what is shown of them; counts the classes on the way. `confident`: with the certainty."""

    run: Run
    predictor: Predictor
    confident: bool = False
    legend: Legend = field(init=False)
    turned: int = field(default=0, init=False)
    older: FilesBefore = field(init=False)

    def __post_init__(self) -> None:
        self.legend = Legend(self.run.spec)
        self.older = FilesBefore(self.run.folder, [f"**/{kind}*" for kind in _WRITES])

    def read(self, path: str, bits: int) -> np.ndarray:
        """Read a picture, upright; PictureError for one that cannot be read."""
        image, turned = read_turned(path, upright=True, bits=bits)
        self.turned += turned
        return image

    def range(self, paths: list[str]) -> int:
        """Find the bits that the values of pictures use, with a line where that is fewer than the files have."""
        bits, note = bits_of_folder(paths, self.run.cfg.DATASET.IMAGE_BITS)
        if note:
            self.run.log.line(note)
        return bits

    def render(self, image: np.ndarray) -> RenderedMasks:
        """(H, W, 3) uint8 RGB -> its masks."""
        spec = self.run.spec
        (prediction,) = self.predictor([image])
        classes = to_array(prediction.classes)  # (H, W)
        self.legend.add(classes)
        return RenderedMasks(
            id_table(spec)[classes],
            colorize(classes, spec.palette),
            overlay(image, classes, spec.palette),
            probability_bytes(prediction.max_prob) if self.confident else None,
        )

    def write(self, image: np.ndarray, stem: str = "") -> None:
        """`color_mask`, `overlap` and `pred_mask`, of a picture "sub/x" sub/color_mask_x.png and so on.

        With --confidence also `confidence`. With --visualize also `result`: the picture and its colors side by side.
        """
        place, masks = self.run.folder / stem, self.render(image)
        pictures = {kind: picture for kind, picture in vars(masks).items() if picture is not None}
        if self.run.cfg.EVAL.VISUALIZE:
            pictures["result"] = np.hstack([image, masks.color_mask])  # (H, 2W, 3)
        for kind, picture in pictures.items():
            path = place.with_name(f"{kind}_{place.name}.png") if stem else place / f"{kind}.png"
            write_file(path, encode_png(picture))

    def finish(self) -> None:
        """Write the legend, as a picture and in words."""
        path = self.run.folder / "legend.png"
        write_file(path, encode_png(self.legend.picture()))
        lines = [f"classes above 0.1 % of the pixels, {path}", *self.legend.lines()]
        if self.turned:
            carry = f"{counted(self.turned, 'picture')} carr{'ies' if self.turned == 1 else 'y'} a turn (EXIF)"
            lines.append(f"{carry}: turned upright, as viewers show them")
        self.run.log.line("\n".join(filter(None, [*lines, self.older.note()])))


def parser(what: str) -> argparse.ArgumentParser:
    """Make the command line; what else stands on it goes to the options of train.py."""
    p = tool.parser(what, "--arch, --dataset, --n_scales, --fp16")
    p.add_argument(
        "--snapshot", default=SNAPSHOT, help="checkpoint or run folder, which may tell its network and classes"
    )
    p.add_argument(
        "--save-dir", type=place_to_write, default=SAVE_DIR, help="folder for masks, overlays and the legend"
    )
    p.add_argument(
        "--confidence", action="store_true", help="also how sure each pixel is, as PNG of 8 bits (probability * 255)"
    )
    return p


@contextmanager
def rendering(args: argparse.Namespace, rest: Sequence[str], command: str) -> Iterator[Renderer]:
    """Give the checkpoint's network, ready on its device; at the end write the legend, also after Ctrl-C."""
    argv = ["--eval", "folder", "--eval_folder", ".", "--snapshot", args.snapshot, "--result_dir", str(args.save_dir)]
    cfg, spec, net, _ = from_file.build([*rest, *argv], preferred=ARCH)
    ranks = distributed.init(cfg.TRAIN.LOCAL_RANK)
    if ranks.world > 1:
        raise UserError("a demo is one process: start it with python; train.py --eval folder shares pictures")
    with tool.opened(cfg, spec, ranks, command, "demo.log") as run:
        run.log.line(f"{cfg.MODEL.ARCH}, {spec.name}, on {ranks.device.type}")
        load_for_evaluation(run, net, Start(Path(cfg.SNAPSHOT)))
        value = 1.0
        if args.confidence:
            value, line = temperature.of(Path(cfg.SNAPSHOT), spec.classes, inference.eval_rule(cfg))
            run.log.line(line)
        net = to_device(run, net)
        predictor = inference.build_predictor(cfg, net, run.precision, run.log.line, temperature=value)
        renderer = Renderer(run, predictor, args.confidence)
        try:
            yield renderer
        except KeyboardInterrupt:
            renderer.finish()
            raise
        renderer.finish()


def render_image(path: str, args: argparse.Namespace, rest: Sequence[str], command: str) -> None:
    """Render masks and overlay of one picture."""
    if args.max_frames:
        raise UserError("--max_frames is of a video or a camera: leave it out, or give --demo-video")
    read_turned(path)  # a file that is none is said before the network is built
    with rendering(args, rest, command) as renderer:
        renderer.write(renderer.read(path, renderer.range([path])))


def render_folder(path: str, args: argparse.Namespace, rest: Sequence[str], command: str) -> None:
    """Render all pictures in any depth of a folder. What cannot be read is left out, and an error at the end."""
    check_apart(path, args.save_dir, "--save-dir", made=False)
    items, left_out = folder.tree(path, args.save_dir), 0
    with rendering(args, rest, command) as renderer:
        bits = renderer.range([item.image for item in items])
        if note := search(Path(path), [args.save_dir]).note:
            renderer.run.log.line(note)
        for item in progress(items, "pictures", len(items), lines=20):
            try:
                renderer.write(renderer.read(item.image, bits), item.name)
            except Exception as error:
                if not (line := _why_left_out(item.image, error)):
                    raise
                renderer.run.log.line(f"left out: {line}")
                left_out += 1
    if left_out:
        raise UserError(f"{left_out} of {len(items)} pictures could not be read (named above); the others are done")


def _why_left_out(path: str, error: Exception) -> str:
    """Say why a picture of a folder is left out; "" for an error that the others would meet as well."""
    if isinstance(error, PictureError):
        return str(error)
    short = isinstance(error, MemoryShortageError) or is_out_of_memory(error)
    return f"{path}: there is no memory for it" if short else ""


def render_video(path: str, args: argparse.Namespace, rest: Sequence[str], command: str) -> None:
    """Render overlay and colors as videos, label ids as a picture a frame, of at most --max_frames frames, 0: all.

    A camera ends by Ctrl-C, or q in its window; that is no error.
    """
    source, most = VideoSource(path), max(0, args.max_frames)
    total = min(most, source.count) if most and source.count else most or source.count
    try:
        with rendering(args, rest, command) as renderer:
            done = _render_frames(renderer, source, islice(source, most) if most else iter(source), total)
            if done < total and not source.is_camera:
                renderer.run.log.line(f"warning: {path} tells of {total} frames, {done} of them could be read")
    except KeyboardInterrupt:
        if not source.is_camera:
            raise
    finally:
        source.close()


def _render_frames(renderer: Renderer, source: VideoSource, frames: Iterator[np.ndarray], total: int) -> int:
    """Render and write frame by frame; gives how many there were."""
    place, window = renderer.run.folder, Preview("streetscale: q ends")
    sinks = {kind: VideoSink(place / kind, source.rate) for kind in ("overlap", "color_mask")}
    done = 0
    try:
        for image in progress(frames, "frames", total, lines=20):
            masks = renderer.render(image)
            write_file(place / f"pred_mask_{done:06d}.png", encode_png(masks.pred_mask))
            if masks.confidence is not None:
                write_file(place / f"confidence_{done:06d}.png", encode_png(masks.confidence))
            for kind, sink in sinks.items():
                sink.add(getattr(masks, kind))
            done += 1
            if source.is_camera and window.show(masks.overlap):
                break
    finally:
        for sink in sinks.values():
            sink.close()
        names = ", ".join(sink.path.name if sink.path else f"{kind}_*.png" for kind, sink in sinks.items())
        sure = ", confidence_*.png" if renderer.confident else ""
        renderer.run.log.line(f"{done} frames in {place}: {names}, pred_mask_*.png{sure}")
    return done


# By the flag that names the source.
_SOURCES = {"demo_image": render_image, "demo_video": render_video, "demo_folder": render_folder}


def run(args: argparse.Namespace, rest: Sequence[str], command: str) -> None:
    """Render the source that a command line names."""
    ((source, render),) = [(x, _SOURCES[name]) for name, x in vars(args).items() if name in _SOURCES and x is not None]
    render(source, args, rest, command)


def main(script: str, options: argparse.ArgumentParser, argv: Sequence[str] | None) -> int:
    """Run a command line: exit code 0, 2 with one line for a user's mistake, 130 if it was stopped."""
    return tool.main(script, options, run, "save_dir", argv, "what is done is written")
