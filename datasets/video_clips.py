"""Frames of which some have labels: clips of Cityscapes, or a plain folder; and what can be reached from a label."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from datasets.cityscapes import FINE_TREES
from datasets.reading import find_folder
from media.files import images_in, listing_for_message, visible
from utils.errors import UserError

FRAME_TREES = ("leftImg8bit_sequence_trainvaltest/leftImg8bit_sequence", "leftImg8bit_sequence")
_LABEL_END = "_gtFine_labelIds.png"
_ENDINGS = re.compile(r"(_leftImg8bit|_gtFine_labelIds|_labelIds|_gtFine_labelTrainIds|_labelTrainIds|_L)$")


class VideoClip(NamedTuple):
    """Consecutive frames and the labels of some of them, by number; `place` is their folder, `name` what all files of
    it begin with. `tree`: the split of a Cityscapes tree, or empty for plain folders."""

    tree: str
    place: str
    name: str
    frames: dict[int, Path]
    labels: dict[int, Path]

    def outputs(self, number: int) -> tuple[str, str, str]:
        """Name relative paths of image, label and colors of a frame, as the trainer reads them."""
        if self.tree:
            stem, place = f"{self.name}_{number:06d}", f"{self.tree}/{self.place}"
            label = f"gtFine/{place}/{stem}_gtFine"
            return f"leftImg8bit/{place}/{stem}_leftImg8bit.png", f"{label}_labelIds.png", f"{label}_color.png"
        stem = Path(self.place) / _stem(self.frames[number])
        return f"train/images/{stem}.png", f"train/labels/{stem}.png", f"train/colors/{stem}.png"


class Chain(NamedTuple):
    """From the labeled frame `start` a number of `steps` on, `way` +1 or -1 at a time."""

    clip: VideoClip
    start: int
    way: int
    steps: int

    def targets(self) -> list[int]:
        """List the frames that are reached, in order."""
        return [self.start + self.way * k for k in range(1, self.steps + 1)]


def cityscapes(root: str, split: str = "train") -> list[VideoClip]:
    """List clips below `leftImg8bit_sequence` of the labels in `gtFine`, by name. UserError if there are no labels."""
    frames = find_folder(root, FRAME_TREES, "frames of the sequences") / split
    labels = find_folder(root, FINE_TREES, "Cityscapes fine labels") / split
    made = []
    for city in (path.name for path in visible(labels.glob("*")) if path.is_dir()):
        clips: dict[str, VideoClip] = {}
        for name, number, path in numbered(visible((labels / city).glob(f"*{_LABEL_END}"))):
            clips.setdefault(name, VideoClip(split, city, name, {}, {})).labels[number] = path
        for name, number, path in numbered(visible((frames / city).glob("*_leftImg8bit.png"))):
            if name in clips:
                clips[name].frames[number] = path
        made += clips.values()
    if not made:
        raise UserError(f"no labels <city>/*{_LABEL_END} in {labels}; found there: {_found(labels)}")
    return made


def plain(frames: str, labels: str) -> list[VideoClip]:
    """List clips of a folder of frames, in any depth, whose names end with their numbers; labels have the same names,
    perhaps with `_labelIds` or the like behind. UserError if there are none."""
    of_frames, of_labels = sequences(Path(frames), "--frames"), sequences(Path(labels), "--labels")
    return [VideoClip("", *key, of_frames.get(key, {}), numbers) for key, numbers in sorted(of_labels.items())]


def sequences(folder: Path, what: str) -> dict[tuple[str, str], dict[int, Path]]:
    """List {(place below a folder, name before the number): {number: image}} of all images of sequences, in any depth.

    UserError if there are none, and for two files of one frame; `what` says there what the folder is.
    """
    if not folder.is_dir():
        raise UserError(f"{what} {folder}: there is no such folder")
    made: dict[tuple[str, str], dict[int, Path]] = {}
    for name, number, path in numbered(images_in(folder, recursive=True)):
        other = made.setdefault((path.parent.relative_to(folder).as_posix(), name), {}).setdefault(number, path)
        if other is not path:
            raise UserError(f"{what} {folder}: {other} and {path} are the same frame; keep one of them")
    if not made:
        raise UserError(f"{what} {folder}: no images whose names end with a number; found there: {_found(folder)}")
    return made


def chains(
    clips: Iterable[VideoClip], reach: int, skip_missing: bool = False, from_behind: bool = False
) -> tuple[list[Chain], int]:
    """Find what is reached from all labels by up to `reach` steps each way, and how many steps lack a frame.

    A frame that has a label of its own is not reached, and between two labels each frame is reached from the nearer
    one (from the earlier one of two). A missing frame is a UserError, or with `skip_missing` ends its chain.
    `from_behind`: a chain also needs the frame on the other side of its label.
    """
    made, missing = [], 0
    for clip in clips:
        for start in sorted(clip.labels):
            if start not in clip.frames and not skip_missing:
                raise UserError(f"label without frame: {clip.labels[start]}; add the frame, or give --skip_missing")
            for way in (1, -1):
                wanted = _room(clip, start, way, reach)
                steps = _unbroken(clip, start, way, wanted)
                if from_behind and start - way not in clip.frames:
                    steps = 0
                missing += wanted - steps
                if steps < wanted and not skip_missing:
                    raise UserError(_gap(clip, start, way, steps))
                made += [Chain(clip, start, way, steps)] if steps else []
    if not made:
        raise UserError("no labeled frame has a frame next to it: check that labels and frames belong together")
    return made, missing


def _gap(clip: VideoClip, start: int, way: int, steps: int) -> str:
    """Say what is missing behind or after so many steps."""
    here = f"sequence {clip.name} in {clip.frames[start].parent} has no frame"
    fewer = f"give --propagate {steps} or --skip_missing" if steps else "give --skip_missing"
    if start + way * (steps + 1) in clip.frames:
        return f"{here} {start - way}, from which on motion is predicted past the labeled {start}: add it, or {fewer}"
    return f"{here} {start + way * (steps + 1)}, {steps + 1} from the labeled {start}: add it, or {fewer}"


def _room(clip: VideoClip, start: int, way: int, reach: int) -> int:
    """Count steps until another label is nearer."""
    ahead = [way * (other - start) for other in clip.labels if way * (other - start) > 0]
    return min([reach, *(gap // 2 if way > 0 else (gap - 1) // 2 for gap in ahead)])


def _unbroken(clip: VideoClip, start: int, way: int, wanted: int) -> int:
    """Count steps until a frame is missing."""
    if start not in clip.frames:
        return 0
    return next((k - 1 for k in range(1, wanted + 1) if start + way * k not in clip.frames), wanted)


def _stem(path: Path) -> str:
    return _ENDINGS.sub("", path.stem)


def numbered(paths: Iterable[Path]) -> Iterator[tuple[str, int, Path]]:
    """Yield (what comes before the number, number, path) of names that end with one."""
    for path in sorted(paths):
        match = re.fullmatch(r"(.*?)_?(\d+)", _stem(path))
        if match:
            yield match[1], int(match[2]), path


def _found(folder: Path) -> str:
    return listing_for_message(folder) if folder.is_dir() else "no such folder"
