"""Weights of a network to share: safetensors, whose header has what else a checkpoint of ours tells."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
from torch import Tensor

from network.weights.checksum import FORMAT, checksum
from utils import textfile
from utils.errors import UserError
from utils.files import write_file

FACTS = ("arch", "num_classes", "class_names", "class_ids", "class_colors", "mean_iu", "epoch", "config")


def write(path: Path, state: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Write {name: tensor} and FACTS, as a checkpoint has them, with a checksum. UserError where it cannot."""
    told = {name: facts[name] for name in FACTS}
    net = {name: state[name].detach().cpu().contiguous().clone() for name in sorted(state)}
    told["checksum"] = checksum({"format": FORMAT, **told, "net": net})
    write_file(path, safetensors.torch.save(net, {"format": "pt", FORMAT: json.dumps(told)}))


def content(tensors: Mapping[str, Tensor], header: Mapping[str, str]) -> dict[str, Any]:
    """Give the content of a file as of a checkpoint of ours; the tensors alone where its header tells no more.

    UserError or ValueError for a header that nobody of ours has written.
    """
    if FORMAT not in header:
        return {**tensors}
    told = textfile.parse_json(header[FORMAT])
    if not isinstance(told, Mapping):
        raise UserError(f"its header's {FORMAT} is no object, but {told!r:.40}")
    known = {name: told[name] for name in (*FACTS, "checksum") if name in told}
    return {"format": FORMAT, **known, "net": {name: tensors[name] for name in sorted(tensors)}}
