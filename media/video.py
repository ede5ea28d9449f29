"""Frames of a video file or a camera, and videos written frame by frame. Frames are (H, W, 3) uint8 RGB."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np

from utils.errors import UserError
from utils.files import write_file
from utils.names import utf8_path
from utils.visualize import encode_png

# Container and code of what OpenCV may be able to write, the smaller files first.
CODECS = ((".mp4", "mp4v"), (".avi", "MJPG"))
USUAL_RATE = 25.0  # frames a second, where a source does not tell


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps the decoders' own lines off the terminal: they write past Python, and the error says the same in one."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


class VideoSource:
    """Frames of a file, or of the camera whose number is given. `count`: frames of the file, 0 if unknown."""

    def __init__(self, source: str) -> None:
        self.name, self.is_camera = source, source.isdigit()
        if not self.is_camera and not Path(source).is_file():
            raise UserError(f"video {source}: there is no such file; give a video, or the number of a camera")
        with _quiet():
            self._capture = cv2.VideoCapture(int(source)) if self.is_camera else _opened(Path(source))
        if not self._capture.isOpened():
            if self.is_camera:
                raise UserError(f"camera {source} cannot be opened: is it connected, and free? The first one is 0")
            raise UserError(f"video {source} cannot be read: damaged, no video, or of a codec that OpenCV lacks")
        self.count = 0 if self.is_camera else max(0, int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT)))
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        self.rate = rate if 0 < rate < 1000 else USUAL_RATE

    def __iter__(self) -> Iterator[np.ndarray]:
        """The frames from here on. UserError if there is none at all."""
        seen = 0
        while True:
            with _quiet():
                there, frame = self._capture.read()
            if not there:
                break
            seen += 1
            yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
        if not seen:
            what = "camera" if self.is_camera else "video"
            raise UserError(f"{what} {self.name} gives no picture: damaged, empty, or of a codec that OpenCV lacks")

    def close(self) -> None:
        """Let go of the file or the device."""
        self._capture.release()


class VideoSink:
    """Writes frames to `<stem>.mp4` (or .avi); where OpenCV has no codec, each to `<stem>_<number>.png`.

    The codecs halve the colors, so that an odd side gets its last row or column twice.
    """

    def __init__(self, stem: Path, rate: float) -> None:
        self.stem, self.rate = stem, rate
        self.path: Path | None = None
        self.frames = 0
        self._writer: cv2.VideoWriter | None = None

    def add(self, frame: np.ndarray) -> None:
        """Write the next frame; all have the size of the first."""
        if not self.frames:
            self._open(frame)
        if self._writer is None:
            write_file(self.stem.with_name(f"{self.stem.name}_{self.frames:06d}.png"), encode_png(frame))
        else:
            self._writer.write(cv2.cvtColor(_even(frame), cv2.COLOR_RGB2BGR))
        self.frames += 1

    def _open(self, frame: np.ndarray) -> None:
        height, width = _even(frame).shape[:2]
        for suffix, code in CODECS:
            path = self.stem.with_name(self.stem.name + suffix)
            with _quiet():
                writer = _writer(path, code, self.rate, (width, height))
            if writer.isOpened():
                self.path, self._writer = path, writer
                return

    def close(self) -> None:
        """Finish the file. UserError where nothing of it arrived on the disk."""
        if self._writer is not None:
            self._writer.release()
            self._writer = None
            if self.path is not None and not (self.path.is_file() and self.path.stat().st_size):
                why = "its encoder does not say why: look at the free space and at the folder's permissions"
                raise UserError(f"cannot write {self.path}: nothing of it arrived; {why}")


def _opened(path: Path) -> cv2.VideoCapture:
    with utf8_path(path) as named:
        return cv2.VideoCapture(str(named))


def _writer(path: Path, code: str, rate: float, size: tuple[int, int]) -> cv2.VideoWriter:
    """OpenCV takes UTF-8 alone; the file stays open under its own name."""
    with utf8_path(path.parent) as folder:
        return cv2.VideoWriter(str(folder / path.name), cv2.VideoWriter.fourcc(*code), rate, size)


def _even(frame: np.ndarray) -> np.ndarray:
    """Give (H, W, 3) with even sides."""
    height, width = frame.shape[:2]
    return cv2.copyMakeBorder(frame, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)


class Preview:
    """A window with what a camera shows, where there is a screen and OpenCV has windows."""

    def __init__(self, title: str) -> None:
        self.title = title
        screens = ("DISPLAY", "WAYLAND_DISPLAY")
        self._works = not sys.platform.startswith("linux") or any(os.environ.get(name) for name in screens)

    def show(self, frame: np.ndarray) -> bool:
        """Show a frame; True if somebody pressed q."""
        if not self._works:
            return False
        try:
            cv2.imshow(self.title, cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
            return cv2.waitKey(1) & 0xFF == ord("q")
        except cv2.error:  # the builds without windows
            self._works = False
            return False
