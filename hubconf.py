"""For `torch.hub`: a trained network for other programs, without an installation.

predictor = torch.hub.load("PATH/OF/THIS/FOLDER", "predictor", "best_checkpoint_ep29.pth", source="local")
prediction = predictor([image])[0]   # image (H, W, 3) uint8 RGB -> .classes (H, W) uint8, .max_prob (H, W) float32
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from inference import Predictor

dependencies = ["torch", "numpy", "cv2", "PIL", "yacs", "yaml", "safetensors"]
_OURS = ("compat", "config", "datasets", "evaluation", "inference", "loss", "media", "network", "options", "runtime")
_OURS += ("toyworld", "transforms", "utils")


def predictor(checkpoint: str, device: str = "cpu", *argv: str) -> Predictor:
    """Give the `Predictor` of a trained network; its file names the network, the classes and the rule of evaluation.

    `checkpoint`: any file that --snapshot takes; `argv`: further flags of train.py. ImportError where the calling
    program has loaded other modules under names of ours; UserError for what is no checkpoint of a known network.
    """
    _check_names()
    from inference import load  # torch.hub has this folder on the path while it calls

    return load(checkpoint, device, *argv)


def _check_names() -> None:
    here = Path(__file__).resolve().parent
    for name in _OURS:
        found = getattr(sys.modules.get(name), "__file__", None)
        if name in sys.modules and (not found or here not in Path(found).resolve().parents):
            raise ImportError(
                f"a module {name!r} is loaded already, from {found}: call the predictor in its own process"
            )
