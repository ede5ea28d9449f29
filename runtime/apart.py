"""An exported file run in a process of its own: a runtime that dies is an error of one line, and not the end.

The two processes hand each other arrays, named, behind the number of their bytes; nothing of it is code.
"""

from __future__ import annotations

import io
import os
import signal
import struct
import subprocess
import sys
import weakref
from pathlib import Path
from typing import IO

import numpy as np

from runtime import files
from utils.errors import UserError, in_short

_ROOT = Path(__file__).resolve().parents[1]
_ERROR = "error"  # the name of a text in place of outputs


class Apart:
    """A `Runner` of a file that lives in another process, as long as this object does.

    `precision`: as `runtime.files.openvino` takes it. A call raises UserError where the file cannot be opened or run,
    or its process has died.
    """

    def __init__(self, path: Path, precision: str = "") -> None:
        self.path = path
        words = [sys.executable, "-m", "runtime.apart", str(path.absolute()), precision]
        self._process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=_ROOT)
        weakref.finalize(self, _end, self._process)

    def __call__(self, image: np.ndarray) -> list[np.ndarray]:
        """Run it on an array."""
        process = self._process
        assert process.stdin and process.stdout
        try:
            _put(process.stdin, {"image": image})
            found = _take(process.stdout)
        except (BrokenPipeError, EOFError):
            code = process.wait()
            how = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
            raise UserError(f"{self.path.name}: its runtime ended {how}; try --size, or another target") from None
        if _ERROR in found:
            raise UserError(f"{self.path.name}: {found[_ERROR]}")
        return [*found.values()]


def _end(process: subprocess.Popen[bytes]) -> None:
    """Let it read the end of its input, which ends it."""
    process.communicate()


def _put(stream: IO[bytes], arrays: dict[str, np.ndarray]) -> None:
    data = io.BytesIO()
    np.savez(data, **arrays)  # type: ignore[arg-type]
    stream.write(struct.pack("<Q", data.tell()))
    stream.write(data.getbuffer())
    stream.flush()


def _take(stream: IO[bytes]) -> dict[str, np.ndarray]:
    """Read what `_put` wrote; EOFError at the end."""
    head = stream.read(8)
    if len(head) < 8:
        raise EOFError
    return {**np.load(io.BytesIO(stream.read(*struct.unpack("<Q", head))), allow_pickle=False)}


def serve(path: Path, precision: str, given: IO[bytes], answers: IO[bytes]) -> None:
    """Answer arrays by what the file gives of them, until there are none."""
    run: files.Runner | None = None
    while True:
        try:
            image = _take(given)["image"]
        except EOFError:
            return
        try:
            run = run or (files.openvino(path, precision) if path.suffix == ".xml" else files.onnx(path)).run
            found = {f"output_{index:06d}": array for index, array in enumerate(run(image))}
        except Exception as error:  # each runtime has errors of its own
            found = {_ERROR: np.array(in_short(error))}
        _put(answers, found)


def main() -> None:
    """Serve between the standard streams; what a runtime prints goes to stderr."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    serve(Path(sys.argv[1]), sys.argv[2], sys.stdin.buffer, answers)


if __name__ == "__main__":
    main()
