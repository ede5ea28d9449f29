"""Masks, overlays and a legend of pictures and videos, whoever predicts them: a checkpoint, or an exported file."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np

from media.bits import bits_of_folder
from media.files import named, search
from media.legend import Legend
from media.reading import PictureError, read_turned
from media.results import FilesBefore, check_apart
from media.video import CODECS, Preview, VideoSink, VideoSource
from runtime.taken import LEGEND, check_free
from utils.contracts import DatasetSpec, id_table
from utils.errors import MemoryShortageError, UserError
from utils.files import write_file
from utils.memory import ran_out
from utils.plural import counted
from utils.progress import progress
from utils.visualize import colorize, encode_png, overlay, probability_bytes

_WRITES = (
    "color_mask",
    "overlap",
    "pred_mask",
    "result",
    "confidence",
)  # what names of files that a demo writes begin with


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


# (H, W, 3) uint8 RGB -> classes (H, W), and their probability (H, W), None where nobody asks for it.
Predict = Callable[[np.ndarray], "tuple[np.ndarray, np.ndarray | None]"]


@dataclass
class Renderer:
    """From pictures to what is shown of them in `folder`; counts the classes on the way.

    `say` takes lines for the log. `beside`: also the picture and its colors side by side. `image_bits`: of pictures
    with 16 bits, how many their values use; 0: by some of them.
    """

    folder: Path
    spec: DatasetSpec
    predict: Predict
    say: Callable[[str], None]
    beside: bool = False
    image_bits: int = 0
    legend: Legend = field(init=False)
    turned: int = field(default=0, init=False)
    older: FilesBefore = field(init=False)

    def __post_init__(self) -> None:
        self.legend = Legend(self.spec)
        self.older = FilesBefore(self.folder, [f"**/{kind}*" for kind in _WRITES])

    def read(self, path: str, bits: int) -> np.ndarray:
        """Read a picture, upright; PictureError for one that cannot be read."""
        image, turned = read_turned(path, upright=True, bits=bits)
        self.turned += turned
        return image

    def range(self, paths: list[str]) -> int:
        """Find the bits that the values of pictures use, with a line where that is fewer than the files have."""
        bits, note = bits_of_folder(paths, self.image_bits)
        if note:
            self.say(note)
        return bits

    def render(self, image: np.ndarray) -> RenderedMasks:
        """(H, W, 3) uint8 RGB -> its masks."""
        classes, max_prob = self.predict(image)  # (H, W)
        self.legend.add(classes)
        return RenderedMasks(
            id_table(self.spec)[classes],
            colorize(classes, self.spec.palette),
            overlay(image, classes, self.spec.palette),
            None if max_prob is None else probability_bytes(max_prob),
        )

    def write(self, image: np.ndarray, stem: str = "") -> None:
        """`color_mask`, `overlap` and `pred_mask`, of a picture "sub/x" sub/color_mask_x.png and so on.

        With --confidence also `confidence`. With --visualize also `result`: the picture and its colors side by side.
        """
        masks = self.render(image)
        pictures = {kind: picture for kind, picture in vars(masks).items() if picture is not None}
        if self.beside:
            pictures["result"] = np.hstack([image, masks.color_mask])  # (H, 2W, 3)
        for kind, picture in pictures.items():
            write_file(_path(self.folder, kind, stem), encode_png(picture))

    def finish(self) -> None:
        """Write the legend, as a picture and in words."""
        path = self.folder / LEGEND
        write_file(path, encode_png(self.legend.picture()))
        lines = [f"classes above 0.1 % of the pixels, {path}", *self.legend.lines()]
        if self.turned:
            carry = f"{counted(self.turned, 'picture')} carr{'ies' if self.turned == 1 else 'y'} a turn (EXIF)"
            lines.append(f"{carry}: turned upright, as viewers show them")
        self.say("\n".join(filter(None, [*lines, self.older.note()])))


def _path(folder: Path, kind: str, stem: str) -> Path:
    """Name the file of a picture "sub/x": sub/KIND_x.png; of the one picture there is: KIND.png."""
    place = folder / stem
    return place.with_name(f"{kind}_{place.name}.png") if stem else place / f"{kind}.png"


def _targets(folder: Path, stems: Iterable[str]) -> Iterator[Path]:
    """Name the files that pictures may get."""
    return (_path(folder, kind, stem) for stem in stems for kind in _WRITES)


def _targets_of_frames(folder: Path) -> Iterator[Path]:
    """Find the files that the frames of a video may get, of which nobody knows the number."""
    for kind in _WRITES:
        yield from (folder / f"{kind}{suffix}" for suffix, _ in CODECS)
        yield from folder.glob(f"{kind}_{6 * '[0-9]'}.png")


@contextmanager
def finishing(renderer: Renderer) -> Iterator[None]:
    """Write the legend at the end, also after Ctrl-C."""
    try:
        yield
    except KeyboardInterrupt:
        renderer.finish()
        raise
    renderer.finish()


# Opens a renderer; its block ends with the legend.
Rendering = Callable[[], AbstractContextManager[Renderer]]
# Raises UserError where one of these files is there and may not be replaced.
Free = Callable[[Iterable[Path]], None]


def render_image(path: str, args: argparse.Namespace, rendering: Rendering, free: Free) -> None:
    """Render masks and overlay of one picture."""
    if args.max_frames:
        raise UserError("--max_frames is of a video or a camera: leave it out, or give --demo-video")
    read_turned(path)  # a file that is none is said before the network is built
    free(_targets(Path(args.save_dir), [""]))
    with rendering() as renderer:
        renderer.write(renderer.read(path, renderer.range([path])))


def render_folder(path: str, args: argparse.Namespace, rendering: Rendering, free: Free) -> None:
    """Render all pictures in any depth of a folder. What cannot be read is left out, and an error at the end."""
    check_apart(path, args.save_dir, "--save-dir", made=False)
    items, left_out = named(path, args.save_dir), 0
    free(_targets(Path(args.save_dir), (name for _, name in items)))
    with rendering() as renderer:
        bits = renderer.range([str(image) for image, _ in items])
        if note := search(Path(path), [args.save_dir]).note:
            renderer.say(note)
        for image_path, name in progress(items, "pictures", len(items), lines=20):
            try:
                renderer.write(renderer.read(str(image_path), bits), name)
            except Exception as error:
                if not (line := _why_left_out(str(image_path), error)):
                    raise
                renderer.say(f"left out: {line}")
                left_out += 1
    if left_out:
        raise UserError(f"{left_out} of {len(items)} pictures could not be read (named above); the others are done")


def _why_left_out(path: str, error: Exception) -> str:
    """Say why a picture of a folder is left out; "" for an error that the others would meet as well."""
    if isinstance(error, PictureError):
        return str(error)
    short = isinstance(error, MemoryShortageError) or (not isinstance(error, (UserError, OSError)) and ran_out(error))
    return f"{path}: there is no memory for it" if short else ""


def render_video(path: str, args: argparse.Namespace, rendering: Rendering, free: Free) -> None:
    """Render overlay and colors as videos, label ids as a picture a frame, of at most --max_frames frames, 0: all.

    A camera ends by Ctrl-C, or q in its window; that is no error.
    """
    source, most = VideoSource(path), max(0, args.max_frames)
    total = min(most, source.count) if most and source.count else most or source.count
    try:
        free(_targets_of_frames(Path(args.save_dir)))
        with rendering() as renderer:
            done = _render_frames(renderer, source, islice(source, most) if most else iter(source), total)
            if done < total and not source.is_camera:
                renderer.say(f"warning: {path} tells of {total} frames, {done} of them could be read")
    except KeyboardInterrupt:
        if not source.is_camera:
            raise
    finally:
        source.close()


def _render_frames(renderer: Renderer, source: VideoSource, frames: Iterator[np.ndarray], total: int) -> int:
    """Render and write frame by frame; gives how many there were."""
    place, window = renderer.folder, Preview("streetscale: q ends")
    sinks = {kind: VideoSink(place / kind, source.rate) for kind in ("overlap", "color_mask")}
    done, sure = 0, ""
    try:
        for image in progress(frames, "frames", total, lines=20):
            masks = renderer.render(image)
            write_file(place / f"pred_mask_{done:06d}.png", encode_png(masks.pred_mask))
            if masks.confidence is not None:
                write_file(place / f"confidence_{done:06d}.png", encode_png(masks.confidence))
                sure = ", confidence_*.png"
            for kind, sink in sinks.items():
                sink.add(getattr(masks, kind))
            done += 1
            if source.is_camera and window.show(masks.overlap):
                break
    finally:
        for sink in sinks.values():
            sink.close()
        names = ", ".join(sink.path.name if sink.path else f"{kind}_*.png" for kind, sink in sinks.items())
        renderer.say(f"{done} frames in {place}: {names}, pred_mask_*.png{sure}")
    return done


# By the flag that names the source.
_SOURCES = {"demo_image": render_image, "demo_video": render_video, "demo_folder": render_folder}


def run(args: argparse.Namespace, rendering: Rendering, command: str) -> None:
    """Render the source that a command line names."""

    def free(targets: Iterable[Path]) -> None:
        check_free(Path(args.save_dir), command, targets, args.overwrite)

    ((source, render),) = [(x, _SOURCES[name]) for name, x in vars(args).items() if name in _SOURCES and x is not None]
    render(source, args, rendering, free)
