"""What a command says, where its reader leaves, its terminal lacks letters, or nobody is there."""

from __future__ import annotations

import errno
import io
import os
import re
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
from tqdm import tqdm

from engine.log import RunLog
from utils import console
from utils.console import Lasting
from utils.progress import progress

ROOT = Path(__file__).parents[2]


def closed_pipe() -> io.TextIOWrapper:
    """What stdout is once `head` has what it wants."""
    reader, writer = os.pipe()
    os.close(reader)
    return open(writer, "w", encoding="utf-8")


@contextmanager
def left() -> Iterator[None]:
    """Both streams of this process are pipes that nobody reads."""
    with closed_pipe() as out, closed_pipe() as err, redirect_stdout(out), redirect_stderr(err):
        console.prepare()
        yield  # closing them would raise where anything were left to write


def test_a_run_goes_on_without_its_reader(tmp_path: Path) -> None:
    with left():
        speak(tmp_path)
    text = (tmp_path / "train.log").read_text()
    assert [f"line {number}" in text for number in range(2)] == [True, True] and "stopped as asked" in text
    assert text.count("warning: stdout goes nowhere from here on (Broken pipe); the run goes on") == 1


def speak(tmp_path: Path) -> None:
    """In all the ways that a run has."""
    log = RunLog(tmp_path)
    for number in range(2):
        log.line(f"line {number}")
    print("x" * 100_000)
    warnings.showwarning(UserWarning("w"), UserWarning, "f", 1)
    assert list(progress([1, 2], "work", 2)) == list(tqdm([1, 2])) == [1, 2]
    log.line("stopped as asked")
    log.close()
    os.write(sys.stdout.fileno(), b"of a library")  # went to the pipe before


class Failing(io.StringIO):
    """A stream that cannot be written to."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number

    def write(self, text: str) -> int:
        raise OSError(self.number, os.strerror(self.number))


@pytest.mark.parametrize(
    ("number", "said"), [(errno.EPIPE, False), (errno.EIO, False), (errno.ENOSPC, True), (errno.EFBIG, True)]
)
def test_what_is_lost_on_a_disk_is_said(number: int, said: bool, capsys: pytest.CaptureFixture[str]) -> None:
    stream = Lasting(Failing(number), "stdout")
    assert stream.write("a") == 1 and stream.write("b") == 1
    line = f"warning: stdout cannot be written to ({os.strerror(number)}): the rest of it is lost\n"
    assert capsys.readouterr().err == line * said and stream.lost


def test_a_slow_reader_is_not_gone() -> None:
    stream = Lasting(Failing(errno.EAGAIN), "stdout")
    stream.write("a")
    assert not stream.lost


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [
        ("ascii", "??, Stra?e, ?"),
        ("latin-1", "??, Straße, ?"),
        ("cp437", "??, Straße, ?"),
        ("utf-8", "道路, Straße, ?"),
    ],
)
def test_letters_that_a_terminal_lacks(encoding: str, shown: str) -> None:
    """The last one is a byte of a file's name that is no UTF-8."""
    raw = io.BytesIO()
    stream = Lasting(io.TextIOWrapper(raw, encoding=encoding), "stdout")
    stream.write("道路, Straße, \udcff")
    stream.flush()
    assert raw.getvalue().decode(encoding) == shown


def test_a_stream_with_ways_of_its_own() -> None:
    """A notebook's has no `reconfigure`."""

    class Narrow(io.StringIO):
        encoding = "ascii"

        def write(self, text: str) -> int:
            return super().write(text.encode("ascii").decode())

    narrow = Narrow()
    Lasting(narrow, "stdout").write("Straße")
    assert narrow.getvalue() == "Stra?e"


SHORT = """
import sys
sys.path.insert(0, {root!r})
from utils.cli import exit_code, start
sys.exit(start(lambda: exit_code(lambda: print("x" * {size}) or {code})))
"""


@pytest.mark.parametrize(("size", "code"), [(1, 0), (1, 3), (1_000_000, 0)])
def test_the_interpreter_ends_in_silence(size: int, code: int) -> None:
    """What is left in a buffer meets the closed pipe at the very end only."""
    reader, writer = os.pipe()
    os.close(reader)
    text = SHORT.format(root=str(ROOT), size=size, code=code)
    done = subprocess.run([sys.executable, "-c", text], stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    assert (done.returncode, done.stderr) == (code, "")


@pytest.mark.parametrize("closing", [">&-", "2>&-", ">&- 2>&-", "> /dev/full"])
def test_streams_that_were_never_there(closing: str) -> None:
    text = SHORT.format(root=str(ROOT), size=10, code=0)
    done = subprocess.run(
        ["bash", "-c", f'"$0" -c "$1" {closing}', sys.executable, text], capture_output=True, text=True
    )
    assert done.returncode == 0 and "Traceback" not in done.stderr and "Exception" not in done.stderr


@pytest.mark.parametrize(
    "file",
    [
        path
        for path in (*ROOT.glob("*.py"), *ROOT.glob("scripts/*.py"), ROOT / "slurm/submit_job")
        if "__main__" in path.read_text()
    ],
    ids=lambda path: path.name,
)
def test_every_command_starts_so(file: Path) -> None:
    last = file.read_text().split('if __name__ == "__main__":')[1]
    assert re.fullmatch(r"\s+sys\.exit\(start\(.*\)\)\s*", last)
