"""Options that a run does not read: refused on a command line, said where a file has them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from options.archs import ANY
from options.readers import AskedRun, Reader, run_of
from options.table import OPTIONS

Values = Mapping[str, Any]  # {key: value} of every option


def unread(values: Values) -> dict[str, Reader]:
    """{key: what reads it} of the options that a run with these values does not read."""
    run = run_of(values)
    rows = [(key, row.reads) for key, row in OPTIONS.items() if row.reads]
    asked = [(key, row) for key, row in rows if not (row.training and run.asks("EVAL.MODE"))]
    return {k: row for k, row in asked if (run.asks("MODEL.ARCH") or not row.network) and not row.reads(run)}


def refused(values: Values, given: Collection[str]) -> Iterator[str]:
    """A line for each key of a command line that asks for something and is not read."""
    for key, row in unread(values).items():
        if key in given and not _asks_nothing(key, values[key], row) and not _carried(key, run_of(values)):
            where = f"not of --arch {values['MODEL.ARCH']}" if row.network else "which is not used here"
            yield f"{OPTIONS[key].name} is of {row.of}, {where}: leave it out"


def notes(values: Values, given: Collection[str], from_files: Collection[str]) -> list[str]:
    """What option files ask for and is not read: a recipe may carry what another network of it reads."""
    left = {key for key in from_files if values[key] != OPTIONS[key].default} - {*given}
    left |= {key for key in given if _carried(key, run_of(values))}
    return [
        f"{key} {OPTIONS[key].written(values[key])} "
        + (f"(not read by {values['MODEL.ARCH']})" if row.network else f"(not read: of {row.of})")
        for key, row in unread(values).items()
        if key in left
    ]


def _carried(key: str, run: AskedRun) -> bool:
    """Whether command lines carry this option as part of a block, although not all networks read it: then it is said.

    The shape of HRNet and OCR is such a block; --save_interval beside a --max_iters that may be 0; and the second
    head's weight, in those of all scene-parsing networks; the two flips of --aug_eval.
    """
    return key.startswith(("MODEL.OCR.", "MODEL.OCR_EXTRA.", "TRAIN.SAVE_INTERVAL", "EVAL.FLIP_")) or (
        key == "LOSS.DEEP_SUP_SCALE" and run.arch.head == ANY
    )


def _asks_nothing(key: str, value: Any, row: Reader) -> bool:
    return value == OPTIONS[key].default and (row.lenient or value in (False, "", 0, -1, ()))
