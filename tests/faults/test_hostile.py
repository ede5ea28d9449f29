"""Files made to do harm, thousands in `make test`, a million in `make faults`: none is executed, each is read, or
refused by one line, within bounds of memory and time.

FAULTS_INPUTS: how many inputs the long run has in all. It goes on where it was stopped (logs/faults/hostile).
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import forked
import hostile
import pytest
from faults.figures import FOLDER, record
from hostile_bombs import BOMBS, LONG
from hostile_readers import READERS

INPUTS = int(os.environ.get("FAULTS_INPUTS", 1_000_000))
SHORT, CHUNK = 60, 5000  # inputs of each reader in `make test`; of a process in the long run
MEMORY_DISK = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # where a million files take less time


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=MEMORY_DISK) as place:
        yield Path(place)


def results(folder: Path, first: int, last: int, *names: str) -> dict[str, dict[str, Any]]:
    """What came of inputs of readers, which are read in one process."""
    words = [str(folder), "0", str(first), str(last), *names]
    process = forked.Process(hostile.child, words, {**os.environ, "OMP_NUM_THREADS": "1"})
    output, _ = process.communicate(timeout=3600)
    assert process.returncode == 0, f"it died; the last line names the reader, see {folder}:\n{output[-3000:]}"
    lines = [json.loads(line) for line in output.splitlines() if line.startswith('{"inputs"')]
    return dict(zip(names, lines, strict=True))


def check(name: str, found: dict[str, Any]) -> None:
    """No input does what it should not."""
    kept = {what: Path(file).read_bytes()[:300] for what, file in found["errors"].items()}
    assert not kept, f"{name}: undocumented errors, each with the beginning of an input: {kept}"
    assert not found["executions"], f"{name}: {found['executions']}"


@pytest.mark.run
def test_inputs_of_every_reader(folder: Path) -> None:
    """Nothing is executed or written elsewhere; some of every reader's inputs are read."""
    found = results(folder, 0, SHORT, *READERS)
    for name, one in found.items():
        check(name, one)
        assert one["inputs"] == SHORT == one["read"] + one["refused"]
    assert sum(one["read"] for one in found.values()) > SHORT
    assert sum(one["refused"] for one in found.values()) > SHORT


def explode(folder: Path, names: list[str]) -> None:
    """Each is refused by its line or does nothing, within a gigabyte and ten seconds of the processor."""
    process = forked.Process(hostile.bombs, [str(folder), *names], {**os.environ, "OMP_NUM_THREADS": "1"})
    output, _ = process.communicate(timeout=600)
    assert process.returncode == 0, output[-3000:]
    found = json.loads(output.splitlines()[-1])
    assert not found["executions"]
    for name in names:
        end, words = found["ends"][name], BOMBS[name].words
        wanted = end == "read" if words == "read" else end.startswith("UserError: ") and re.search(words, end)
        assert wanted and "\n" not in end, f"{name}: {end}, not {words}"


@pytest.mark.run
def test_bombs(folder: Path) -> None:
    explode(folder, [name for name in BOMBS if name not in LONG])


@pytest.mark.faults
def test_larger_bombs(folder: Path) -> None:
    explode(folder, [*BOMBS])
    record("hostile", {"bombs": {"count": len(BOMBS), "executions": 0}})


@pytest.mark.run
def test_the_watch_sees_what_it_should(folder: Path) -> None:
    """A reader that executes, writes elsewhere, or takes no end would be found."""
    process = forked.Process(hostile.traps, [str(folder)], {**os.environ})
    output, _ = process.communicate(timeout=300)
    seen = json.loads(output.splitlines()[-1])
    signs = ("os.system", "exec of", "compile of", "pickle.find_class", "open ['/", "import of tabnanny", "os.mkdir")
    for sign in signs:
        assert any(what.startswith(sign) for what in seen["executions"]), (sign, seen)
    assert "TooLongError" in seen["errors"] and "MemoryError" in seen["errors"]


@pytest.mark.faults
@pytest.mark.parametrize("name", READERS)
def test_a_million_inputs(name: str) -> None:
    """By mutation, from where the last run has stopped; half of them by atheris where it is installed, by coverage."""
    guided = importlib.util.find_spec("atheris") is not None
    wanted = INPUTS // len(READERS) // (1 + guided)
    totals = progress(name, "mutated")
    while totals["inputs"] < wanted:
        with tempfile.TemporaryDirectory(dir=MEMORY_DISK) as place:
            last = min(totals["inputs"] + CHUNK, wanted)
            found = results(Path(place), totals["inputs"], last, name)[name]
            check(name, found)
            totals = keep(name, "mutated", totals, found)
    while guided and (totals := progress(name, "guided"))["inputs"] < wanted:
        keep(name, "guided", totals, fuzzed(name, min(CHUNK, wanted - totals["inputs"]), totals["inputs"]))
    both = [progress(name, kind) for kind in ("mutated", "guided")]
    sums = {key: sum(one[key] for one in both) for key in both[0]}
    record("hostile", {name: {**sums, "executions": 0, "guided": both[1]["inputs"]}})


def fuzzed(name: str, count: int, done: int) -> dict[str, Any]:
    """Inputs that atheris makes, in a process of its own; what has led further is kept for the next ones."""
    corpus = FOLDER / "corpus" / name.replace(" ", "_")
    corpus.mkdir(parents=True, exist_ok=True)
    script = Path(hostile.__file__).with_name("hostile_fuzz.py")
    with tempfile.TemporaryDirectory(dir=MEMORY_DISK) as place:
        command = [sys.executable, str(script), name, place, str(corpus), str(count), str(done)]
        env = {**os.environ, "OMP_NUM_THREADS": "1"}
        ended = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
        lines = [line for line in ended.stdout.splitlines() if line.startswith('{"inputs"')]
        assert lines, f"it died, its last words:\n{(ended.stdout + ended.stderr)[-3000:]}"
        found = json.loads(lines[-1])
        check(name, found)
    return found


def progress(name: str, kind: str) -> dict[str, int]:
    """How many inputs of a reader are done, of which how many were read and refused."""
    file = FOLDER / "hostile" / f"{name} {kind}.json"
    return json.loads(file.read_text()) if file.is_file() else {"inputs": 0, "read": 0, "refused": 0}


def keep(name: str, kind: str, totals: dict[str, int], found: dict[str, Any]) -> dict[str, int]:
    """Add to it."""
    totals = {key: totals[key] + found[key] for key in totals}
    file = FOLDER / "hostile" / f"{name} {kind}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part")
    part.write_text(json.dumps(totals))
    shutil.move(part, file)
    return totals
