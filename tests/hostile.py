"""Files that somebody made to do harm: mutated inputs for every reader, and a watch over what happens while they are read.

A process of its own reads them (`forked.Process(hostile.child, ...)`): it has an audit hook, which nobody can take off
again, and bounds of memory and time for each input.
"""

from __future__ import annotations

import json
import os
import pickle
import resource
import signal
import sys
import traceback
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import hostile_readers
import numpy as np
from hostile_bombs import BOMBS
from hostile_readers import READERS, Reader

from utils.errors import UserError

SECONDS, MEMORY = 10, 1 << 30  # of processor time, and of address space beyond what is there, for one input
LONGEST = 1 << 16  # bytes of an input
ROOT = Path(__file__).resolve().parents[1]
# What nothing that is read may lead to; the others in `Watch._look` depend on their arguments.
FORBIDDEN = (
    "ctypes.call_function", "ftplib", "os.exec", "os.fork", "os.kill",
    "os.posix_spawn", "os.spawn", "os.startfile", "os.system", "pickle.find_class", "pty.spawn", "smtplib", "socket.connect", "socket.getaddrinfo", "socket.bind", "socket.send",
    "sqlite3.enable_load_extension", "sqlite3.load_extension", "subprocess.Popen", "telnetlib", "urllib.Request", "webbrowser.open",
)  # fmt: skip
WRITES = (
    "os.chmod", "os.chown", "os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.symlink", "os.truncate",
    "os.utime", "shutil.",
)  # fmt: skip
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class TooLongError(BaseException):
    """An input has taken more than its time."""


class Watch:
    """Notes what is executed, and what is written outside of `folder`, while it is `armed`."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.armed = str(folder), False
        self.seen: Counter[str] = Counter()
        sys.addaudithook(self._hook)

    def _hook(self, event: str, args: tuple[Any, ...]) -> None:
        if self.armed:
            self.armed = False  # looking is not looked at
            try:
                if what := self._look(event, args):
                    self.seen[what] += 1
            finally:
                self.armed = True

    def _look(self, event: str, args: tuple[Any, ...]) -> str:
        """Say what an event is that should not be; empty for others."""
        if event.startswith(FORBIDDEN):
            return f"{event} {args!r:.80}"
        if event.startswith(WRITES) or (event == "open" and args[2] & _WRITING):
            named = args[:1] if event == "open" else args[:2]
            paths = [os.path.abspath(os.fsdecode(x)) for x in named if isinstance(x, (str, bytes, os.PathLike))]
            return "" if all(path.startswith((self.folder, os.devnull)) for path in paths) else f"{event} {paths}"
        if event in ("exec", "compile", "marshal.loads", "code.__new__") and not _is_library_at_work(event):
            return f"{event} of {args[0]!r:.80}"
        return f"import of {args[0]}" if event == "import" and not _is_needed(str(args[0])) else ""


def _is_library_at_work(event: str) -> bool:
    """Say whether a module is being imported, which is looked at by its name; or an expression is parsed and not run,
    as NumPy reads the heads of its files by.
    """
    frame = sys._getframe(3)
    if event == "compile" and frame.f_globals.get("__name__") == "ast":
        return True
    while frame is not None and not frame.f_code.co_filename.startswith("<frozen importlib"):
        frame = frame.f_back
    return frame is not None


def _is_needed(module: str) -> bool:
    """Say whether a module may be imported late: by the library that is at work, never by a name that a file gives."""
    return module.split(".")[0] in ("encodings", "PIL", "numpy", "torch", "cv2", "_codecs") or module in sys.modules


# What inputs are made of, beside those of each reader.
NUMBERS = (b"0", b"-1", b"1e999", b"-1e999", b"NaN", b"1e308", b"4294967296", b"9" * 25, b"0.5", b"1" + b"0" * 4400)
WORDS = (
    b"null", b"[]", b"{}", b'""', b"true", b"<<: *a", b"&a [*a]", b"../../../etc/passwd", b"<script>alert(1)</script>",
    b"\0", b"\xff\xfe", b"\n", b"\r", b"%s%n", b"'", b'"', b"$(id)", b"[" * 3000, b"{" * 3000, b'[{"a":' * 2000,
    b"!!python/object/apply:os.system [id]", b"!!int ''", b"!!bool x", b"!!timestamp x", b"1:0:0:0.5",
    b"<!DOCTYPE a [<!ENTITY b 'cc'>]>", b"cos\nsystem\n(S'id'\ntR", b"\x80\x04\x8c\x05posix\x8c\x06system\x93",
    b"\x8e" + b"\xff" * 7 + b"\x7f", b"\x8d" + b"\xff" * 7 + b"\x0f", b"J\xff\xff\xff\x7f", b"\x8a\x08" + b"\xff" * 7 + b"\x7f",
)  # fmt: skip
_WIDE = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x10000, 0x7FFFFFFF, 0xFFFFFFFF, 1 << 40, (1 << 63) - 1, (1 << 64) - 1)


def mutated(rng: np.random.Generator, seeds: Sequence[bytes], words: Sequence[bytes]) -> bytes:
    """Change one of the seeds in one to six places."""
    data = bytearray(seeds[rng.integers(len(seeds))])
    for _ in range(min(6, int(rng.geometric(0.6)))):
        act = _ACTS[rng.integers(len(_ACTS))]
        at = int(rng.integers(len(data) + 1))
        act(data, at, rng, seeds, words)
    return bytes(data[:LONGEST])


def _byte(data: bytearray, at: int, rng: np.random.Generator, *_: Any) -> None:
    data[at : at + 1] = bytes([int(rng.integers(256))])


def _bit(data: bytearray, at: int, rng: np.random.Generator, *_: Any) -> None:
    if at < len(data):
        data[at] ^= 1 << int(rng.integers(8))


def _cut(data: bytearray, at: int, rng: np.random.Generator, *_: Any) -> None:
    del data[at : at + 1 + int(rng.integers(1 << int(rng.integers(10))))]


def _again(data: bytearray, at: int, rng: np.random.Generator, *_: Any) -> None:
    part = data[at : at + 1 + int(rng.integers(200))]
    data[at:at] = part * int(rng.integers(1, 1 << int(rng.integers(1, 8))))


def _word(data: bytearray, at: int, rng: np.random.Generator, seeds: Sequence[bytes], words: Sequence[bytes]) -> None:
    every = (*WORDS, *words)
    word = every[rng.integers(len(every))]
    data[at : at + (len(word) if rng.integers(2) else 0)] = word


def _wide(data: bytearray, at: int, rng: np.random.Generator, *_: Any) -> None:
    width = 1 << int(rng.integers(4))
    number = _WIDE[rng.integers(len(_WIDE))] & ((1 << 8 * width) - 1)
    data[at : at + width] = number.to_bytes(width, "little" if rng.integers(2) else "big")


def _number(data: bytearray, at: int, rng: np.random.Generator, *_: Any) -> None:
    """Replace the number behind a place, as texts have them."""
    start = next((i for i in range(at, len(data)) if 48 <= data[i] < 58), None)
    if start is not None:
        end = next((i for i in range(start, len(data)) if not 48 <= data[i] < 58), len(data))
        data[start:end] = NUMBERS[rng.integers(len(NUMBERS))]


def _splice(data: bytearray, at: int, rng: np.random.Generator, seeds: Sequence[bytes], words: Sequence[bytes]) -> None:
    other = seeds[rng.integers(len(seeds))]
    start = int(rng.integers(len(other) + 1))
    data[at : at + int(rng.integers(64))] = other[start : start + int(rng.integers(400))]


_ACTS = (_byte, _bit, _cut, _again, _word, _wide, _number, _splice, _word, _number)


class Result(NamedTuple):
    """What came of many inputs: how many were read and refused, each undocumented error with one input, what was
    executed or written elsewhere.
    """

    inputs: int
    read: int
    refused: int
    errors: dict[str, str]
    executions: dict[str, int]


class Trial:
    """Gives inputs to a reader, in a folder of its own; `read` gives nothing and notes everything."""

    def __init__(self, name: str, folder: Path) -> None:
        self.reader: Reader = READERS[name]
        self.folder = folder
        self.seeds = hostile_readers.seeds(self.reader, folder)
        self.inputs = self.well = self.refused = 0
        self.errors: dict[str, str] = {}
        self.watch = Watch(folder)
        for seed in self.seeds:  # what is imported when it is first needed is there now
            self.read(seed)
        self.inputs = self.well = self.refused = 0
        self.watch.seen.clear()

    def read(self, data: bytes) -> None:
        """Read one input."""
        self.inputs += 1
        path = self.reader.place(self.folder, data)
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        try:
            self._watched(path)
            self.well += 1
        except self.reader.refusals as error:
            self.refused += 1
            if "\n" in str(error):
                self._note(f"a message of several lines, {_frames(error)}", data)
        except (Exception, TooLongError) as error:
            self._note(f"{type(error).__name__}: {str(error).splitlines()[:1]!r:.80} {_frames(error)}", data)
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)

    def _watched(self, path: Path) -> None:
        self.watch.armed = True
        try:
            self.reader.read(path)
        finally:
            self.watch.armed = False

    def _note(self, what: str, data: bytes) -> None:
        if what not in self.errors and len(self.errors) < 50:
            kept = self.folder / f"found_{len(self.errors)}"
            kept.write_bytes(data)
            self.errors[what] = str(kept)

    def result(self) -> Result:
        """Give what came of it."""
        return Result(self.inputs, self.well, self.refused, self.errors, dict(self.watch.seen))


def bound() -> None:
    """Bound memory and, by a signal, time; what comes is read under both."""
    pages = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (pages + MEMORY, resource.RLIM_INFINITY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGPROF, _too_long)


def _too_long(*_: object) -> None:
    raise TooLongError(f"more than {SECONDS} s of processor time")


def _frames(error: BaseException) -> str:
    """Name the last two places in our code that an error came through: it is told from others by them."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if str(ROOT) in frame.filename and "/tests/" not in frame.filename]
    own = [frame for frame in own if ".venv" not in frame.filename] or frames[-1:]
    return " < ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in reversed(own[-2:]))


def child(words: list[str]) -> int:
    """Read inputs `first` to `last` of readers: FOLDER SEED FIRST LAST NAME.... Prints the name of each, and what came
    of it as JSON, a line each.
    """
    folder, seed, first, last, *names = words
    cv2.setNumThreads(0)
    for place, name in enumerate(names):
        print(name, flush=True)
        home = Path(folder, str(place))
        home.mkdir(parents=True)
        trial = Trial(name, home)
        bound()
        for number in range(int(first), int(last)):
            rng = np.random.default_rng([int(seed), *name.encode(), number])
            trial.read(mutated(rng, trial.seeds, trial.reader.words))
        print(json.dumps(trial.result()._asdict()), flush=True)
    return 0


def bombs(words: list[str]) -> int:
    """Read bombs of `hostile_bombs`: FOLDER NAME.... Prints {name: how it ended} as JSON."""
    folder, *names = words
    found: dict[str, str] = {}
    watch = Watch(Path(folder))
    for place, name in enumerate(sorted({BOMBS[name].reader for name in names})):
        (home := Path(folder, f"seeds{place}")).mkdir()
        Trial(name, home)  # what is imported when it is first needed is there now
    for place, name in enumerate(names):
        bomb = BOMBS[name]
        (home := Path(folder, str(place))).mkdir()
        path = bomb.write(home)
        bound()
        found[name] = "read"
        watch.armed = True
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        try:
            bomb.read(path)
        except UserError as error:
            found[name] = f"UserError: {error}"
        except (Exception, TooLongError) as error:
            found[name] = f"{type(error).__name__}: {str(error)[:200]}"
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
            watch.armed = False
            resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    print(json.dumps({"ends": found, "executions": dict(watch.seen)}))
    return 0


def traps(words: list[str]) -> int:
    """Do under the watch what no reader may do: FOLDER. Prints what was seen."""
    watch, errors = Watch(Path(words[0])), []
    bound()
    watch.armed = True
    for act in _TRAPS:
        signal.setitimer(signal.ITIMER_PROF, 0.2)
        try:
            act()
        except (Exception, TooLongError) as error:
            errors.append(type(error).__name__)
    signal.setitimer(signal.ITIMER_PROF, 0)
    watch.armed = False
    print(json.dumps({"executions": dict(watch.seen), "errors": errors}))
    return 0


def _forever() -> None:
    while True:
        pass


_TRAPS = (
    lambda: os.system("true"), lambda: exec("1"), lambda: compile("1", "x", "exec"), lambda: pickle.loads(b"cos\ngetpid\n."),
    lambda: open("/tmp/never/there", "w"), lambda: __import__("tabnanny"), lambda: os.mkdir("/never/there"),
    _forever, lambda: bytearray(MEMORY * 4),
)  # fmt: skip
