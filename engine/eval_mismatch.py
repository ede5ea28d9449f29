"""What an evaluation does otherwise than the training of its checkpoint, where no weight shows it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import config
import inference
from network.weights import metadata, safe_load
from network.weights.checksum import is_ours

# What changes what a network says: compared where a command line names the network, and the file does not.
_UNSEEN = ("MODEL.ALIGN_CORNERS", "MODEL.OFFSET_THRESHOLD", "MODEL.ITERATIVE_REFINEMENT", "MODEL.LOGITS")
_UNSEEN += ("DATASET.MEAN", "DATASET.STD", "PUBLISHED")


def of(path: Path, options: Mapping[str, Any], rule: str) -> list[str]:
    """Write a line for each option that no weight shows and that an evaluation has otherwise than its file's training.

    `options`: {key: value} of the evaluation, by the rule `rule`.
    """
    content = safe_load.read(path)
    trained = config.as_written(metadata.of_content(content, path, options["MODEL.ARCH"]))
    now = {**options, "PUBLISHED": metadata.bugs_of_network(options["PUBLISHED"])}
    lines, same = [], "the scores of training need the same"
    for key in _UNSEEN:
        was = trained.get(key, "" if key == "PUBLISHED" and is_ours(content) else now[key])
        if was != now[key]:
            lines.append(f"trained with {key} {was!r}, evaluated with {now[key]!r}: {same}")
    sizes = trained.get("DATASET.IMG_SIZES", "")
    if sizes and not options["DATASET.IMG_SIZES"] and options["EVAL.RULE"] == "auto":
        lines.append(f"trained with --imgSize {sizes}, evaluated without: add it for the scores of training")
    before = metadata.recorded(content, path)
    validated = _rule(before)
    if validated not in ("", rule) and not (sizes or options["EVAL.INFERENCE_MODE"]) and options["EVAL.RULE"] == "auto":
        lines.append(f"its training was validated by the rule {validated}, not {rule}: --eval_rule {validated}")
    return lines


def _rule(before: Mapping[str, Any]) -> str:
    """Give the rule by which such a run validated; empty where it was the usual one, or follows from sizes."""
    if before.get("EVAL.RULE", "auto") != "auto":
        return before["EVAL.RULE"]
    by_files = inference.suiting({key: before.get(key) for key in ("SNAPSHOT", "RESUME")})
    return "" if before.get("DATASET.IMG_SIZES") or by_files == inference.suiting({}) else by_files
