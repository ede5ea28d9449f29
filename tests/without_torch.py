"""The demos in a process that can import nothing but NumPy, OpenCV and a runtime: python without_torch.py COMMANDS.

COMMANDS: a JSON list of [script, word, ...]. It prints the exit code of each, and which packages it has imported.
"""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
# Modules of requirements.txt and of what is beside it, but for those of requirements-runtime.txt.
BLOCKED = (
    "torch", "torchvision", "timm", "safetensors", "scipy", "PIL", "tensorboardX", "yacs", "yaml", "tqdm", "jinja2",
    "runx", "onnx",
)  # fmt: skip


class Blocked:
    """Finds no module of those that an exported file has to run without."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name.partition(".")[0] in BLOCKED:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def run(*commands: Sequence[object]) -> subprocess.CompletedProcess[str]:
    """Run commands one after another in such a process."""
    words = json.dumps([[str(word) for word in command] for command in commands])
    return subprocess.run([sys.executable, __file__, words], cwd=ROOT, capture_output=True, text=True, timeout=300)


def main() -> None:
    sys.meta_path.insert(0, Blocked())  # type: ignore[arg-type]
    sys.path[0] = str(ROOT)
    for script, *words in json.loads(sys.argv[1]):
        print("exit code", importlib.import_module(script).main(words), flush=True)
    print("imported:", *sorted({name.partition(".")[0] for name in sys.modules} & {*BLOCKED}))


if __name__ == "__main__":
    main()
