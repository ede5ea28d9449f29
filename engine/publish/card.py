"""The model card: README.md with the head that Hugging Face reads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from engine.publish.exported import Exported
from engine.publish.record import Record

TEMPLATE = "card.md.j2"
_MARKUP = str.maketrans({"|": "\\|", "\n": " ", "\r": " ", "<": "&lt;"})


class Card(NamedTuple):
    """What the card shows beside the record. `source`: what --snapshot takes; `temperature`: None where none was
    fitted; `picture`: what the picture is.
    """

    name: str
    source: str
    license: str
    temperature: float | None
    picture: str
    exported: Sequence[Exported]


def write(record: Record, card: Card) -> str:
    """Write the card as Markdown. Pure: the same data give the same card."""
    found, options = record.weights, record.options
    colors = found.class_colors or [("-",)] * len(found.class_names)
    ids = found.class_ids or range(len(found.class_names))
    rows = zip(map(_plain, found.class_names), ids, (", ".join(map(str, color)) for color in colors), strict=True)
    data = str(options["DATASET.NAME"])
    view = {
        "head": yaml.safe_dump(head(record, card), sort_keys=False, allow_unicode=True),
        "name": _plain(card.name),
        "arch": _plain(found.arch),
        "parameters": f"{sum(x.numel() for x in found.state.values()):,}",
        "classes": [*rows],
        "picture": card.picture,
        "source": card.source,
        "weights": "the moving average of the weights (EMA), which the validation scored"
        if record.averaged
        else "the weights as they were trained; the run kept no moving average (EMA)",
        "data": _plain(data),
        "drawn": " They are drawn street scenes: of photographs the network knows nothing." if data == "toy" else "",
        "length": _length(record),
        "recipe": [(_plain(name), _plain(value) or '""') for name, value in record.recipe()],
        "score": _score(record),
        "includes": [*includes(record, card.temperature)],
        "certainty": certainty(card.temperature),
        "exported": [_exported(one) for one in card.exported],
        "license": _license(card.license),
    }
    folder = FileSystemLoader(Path(__file__).parent)
    made = Environment(loader=folder, undefined=StrictUndefined, trim_blocks=True, keep_trailing_newline=True)
    return made.get_template(TEMPLATE).render(view)


def head(record: Record, card: Card) -> dict[str, Any]:
    """Tell what Hugging Face lists and finds a network by."""
    arch, data = record.weights.arch, str(record.options["DATASET.NAME"])
    found: dict[str, Any] = {
        "license": card.license or "unknown",
        "library_name": "streetscale",
        "pipeline_tag": "image-segmentation",
        "tags": ["semantic-segmentation", "image-segmentation", arch, data],
    }
    if record.score is not None:
        metric = {"type": "mean_iou", "name": "mean IoU, %", "value": round(100 * record.score, 2)}
        result = {
            "task": {"type": "image-segmentation", "name": "semantic segmentation"},
            "dataset": {"type": data, "name": data, "split": "val"},
            "metrics": [metric],
        }
        found["model-index"] = [{"name": card.name, "results": [result]}]
    return found


def includes(record: Record, temperature: float | None) -> Iterator[tuple[str, str]]:
    """Tell what the score is of: split, scales, mirror images, weights, seeds, temperature."""
    o = record.options
    few = o.get("EVAL.NUM_IMAGES") or (7 if o.get("OPTIONS.TEST_MODE") else 0)
    yield "split", f"validation, {few} of its images" if few else "validation, all of its images"
    extra = f", {o['EVAL.EXTRA_SCALES']}, averaged" if o.get("EVAL.MULTI_SCALE") else ""
    yield "scales of the input", f"{o.get('EVAL.DEFAULT_SCALE', 1.0)}{extra}"
    if o.get("MODEL.N_SCALES"):
        yield "scales that the network combines by attention", str(o["MODEL.N_SCALES"])
    mirrored = o.get("EVAL.DO_FLIP") or (o.get("EVAL.AUG_EVAL") and o.get("EVAL.FLIP_HORIZONTAL"))
    upside = o.get("EVAL.AUG_EVAL") and o.get("EVAL.FLIP_VERTICAL")
    flips = [word for word, used in (("left to right", mirrored), ("upside down", upside)) if used]
    yield "mirror images", f"averaged, {' and '.join(flips)}" if flips else "none"
    yield "rule", f"--eval_rule {o.get('EVAL.RULE', 'auto')}"
    yield "weights", "their moving average (EMA)" if record.averaged else "as trained"
    yield "seeds", f"one, {o.get('SEED', 0)}"
    yield "temperature", "none" if temperature is None else f"{temperature:.3f}, which changes no class"


def certainty(temperature: float | None) -> str:
    """Say what certainties are worth."""
    if temperature is None:
        return "Certainties are the network's own, not calibrated."
    return f"Certainties are calibrated on validation images: the temperature {temperature:.3f} of `temperature.json`."


def _length(record: Record) -> str:
    """Say how long was trained."""
    done, options = record.weights.epoch + 1, record.options
    total, unit = options.get("TRAIN.MAX_EPOCH", done), "rounds" if options.get("TRAIN.MAX_ITERS") else "epochs"
    size = f"crops of {options.get('DATASET.CROP_SIZE')}, {options.get('TRAIN.BATCH_SIZE')} a process and step"
    return f"The weights are those after {done} of {total} {unit}, {size}"


def _score(record: Record) -> str:
    if record.score is None:
        return "These weights were not scored. A validation would have been:"
    return f"Mean IoU {100 * record.score:.2f} %. It is of the run's own validation:"


def _exported(one: Exported) -> tuple[str, str, str, str]:
    """Give a row: of all pictures the least share of the same class; mean IoU on labeled ones, and the network's."""
    same, scored = min(found["same"] for found in one.proof["pictures"].values()), "not compared"
    if labeled := one.proof.get("labeled"):
        where = f"{labeled['pictures']} pictures of {_plain(labeled.get('data', 'unnamed data'))}"
        scored = f"{labeled['mean_iou']:.2f}, {labeled['network']:.2f} on {where}"
    return one.name, _plain(one.precision), f"{100 * same:.3f} %", scored


def _license(given: str) -> str:
    if given:
        return f"`{given}`, as who published this folder has said. Of the data nothing further is known here."
    return "Not given. The license of the data is not known here: ask who holds them before you use the weights."


def _plain(text: Any) -> str:
    """Write a text so that it stays in its line and its cell."""
    return str(text).translate(_MARKUP)
