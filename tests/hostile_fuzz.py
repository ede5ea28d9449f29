"""Inputs for one reader that atheris makes: those that lead to new places in the code are changed further.

    python tests/hostile_fuzz.py READER FOLDER CORPUS INPUTS SEED

prints what came of them as JSON, as `hostile.child`. CORPUS keeps the inputs that have led further.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import atheris

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]
WATCHED = (
    "utils",
    "options",
    "datasets",
    "network",
    "engine",
    "evaluation",
    "serving",
    "inference",
    "compat",
    "config",
)
WATCHED += ("yaml", "zipfile", "pickletools", "csv", "xml", "PIL.PngImagePlugin", "PIL.TiffImagePlugin")
WATCHED += ("torch._weights_only_unpickler", "numpy.lib._format_impl")

with atheris.instrument_imports(include=list(WATCHED)):
    import cv2
    import hostile


def main(name: str, folder: str, corpus: str, inputs: str, seed: str) -> None:
    """Run so many inputs."""
    cv2.setNumThreads(0)
    trial = hostile.Trial(name, Path(folder))
    for place, data in enumerate(trial.seeds):
        Path(corpus, f"seed{place}").write_bytes(data)
    words = Path(folder, "words")
    every = {word for word in (*hostile.WORDS, *hostile.NUMBERS, *trial.reader.words) if 0 < len(word) < 60}
    words.write_text("".join('"' + "".join(f"\\x{byte:02x}" for byte in word) + '"\n' for word in sorted(every)))
    hostile.bound()

    def one(data: bytes) -> None:
        if trial.inputs < int(inputs):
            trial.read(data)
        if trial.inputs == int(inputs):
            print(json.dumps(trial.result()._asdict()), flush=True)
            os._exit(0)  # libFuzzer has its own way to end, which says nothing to us

    flags = [
        "-rss_limit_mb=0",
        "-timeout=60",
        f"-max_len={hostile.LONGEST}",
        f"-seed={int(seed) + 1}",
        f"-dict={words}",
    ]
    atheris.Setup([sys.argv[0], *flags, "-verbosity=0", corpus], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
