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
import cv2
import flask  # noqa: F401
import numpy as np  # noqa: F401
import safetensors.torch  # noqa: F401
import torch.utils.data  # noqa: F401
import torchvision  # noqa: F401

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]
OURS = "compat config datasets engine evaluation inference media network options scripts serving utils".split()
with atheris.instrument_imports(include=[*OURS, "yaml"]):
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
