"""Curves of a run that goes back to a checkpoint: what came after it is taken out, since it comes again."""

from __future__ import annotations

import csv
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from google.protobuf.message import DecodeError
from tensorboardX.proto.event_pb2 import Event  # pyright: ignore[reportAttributeAccessIssue]

# Scalars that count optimizer steps; everything else counts epochs.
BY_STEP = ("train/step_loss", "train/lr")
_LAST = 1e9  # epoch: what says that it is beyond is no row
_OF_TRAINING = ("train/", "cost/")  # all others are a validation's
_HEAD, _TAIL = struct.Struct("<QI"), 4  # length and its checksum; checksum of the content


class Row(NamedTuple):
    """A line of metrics.csv: what it is of (train, val), and {name: value}; none where it is torn by a kill."""

    text: str
    phase: str
    values: dict[str, float]

    @property
    def epoch(self) -> float:
        """Its epoch, -1 where it has none."""
        return self.values.get("epoch", -1.0)


def rows(folder: Path) -> list[Row]:
    """Read the metrics.csv of a run; none where there is no such file."""
    file = folder / "metrics.csv"
    text = file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""
    return [_row(line) for line in text.splitlines(keepends=True)]


def _row(line: str) -> Row:
    phase = ""
    try:
        phase, *cells = next(csv.reader([line]), None) or [""]
        row = Row(line, phase, dict(zip(cells[::2], map(float, cells[1::2]), strict=True)))
    except (ValueError, csv.Error):
        return Row(line, phase, {})
    return row if abs(row.epoch) < _LAST else row._replace(values={})


def scalars(folder: Path, tag: str) -> list[tuple[int, float]]:
    """Read (step, value) of a scalar from tensorboard's files, in the order of steps; of a repeated one the last."""
    found: dict[int, float] = {}
    for file in sorted(folder.glob("events.out.tfevents.*"), key=lambda path: path.stat().st_mtime_ns):
        for _, event in _records(file.read_bytes()):
            found.update((event.step, value.simple_value) for value in event.summary.value if value.tag == tag)
    return sorted(found.items())


def cut_rows(folder: Path, epoch: int, validation: bool = False) -> None:
    """Take the rows of epochs after `epoch` out of a metrics.csv, and the score of `epoch` with `validation`. Torn rows
    also go.
    """
    found = rows(folder)
    kept = [row.text for row in found if row.text.endswith("\n") and row.values and row.epoch <= epoch]
    if validation:
        again = {row.text for row in found if (row.phase, row.epoch) == ("val", epoch)}
        kept = [text for text in kept if text not in again]
    if len(kept) < len(found):
        _replace(folder / "metrics.csv", "".join(kept).encode())


def cut_events(folder: Path, epoch: int, step: int, validation: bool = False) -> int:
    """Take what came after `epoch` and `step` out of tensorboard's files, and the validation of `epoch` if asked; gives
    how many points that were.
    """
    points = 0
    for file in folder.glob("events.out.tfevents.*"):
        whole = list(_records(file.read_bytes()))
        later = [_is_later(event, epoch, step) or (validation and _is_validation(event, epoch)) for _, event in whole]
        kept = [record for (record, _), gone in zip(whole, later, strict=True) if not gone]
        if len(kept) < len(whole):
            points += len(whole) - len(kept)
            _replace(file, b"".join(kept))
    return points


def _records(data: bytes) -> Iterator[tuple[bytes, Event]]:
    """Give (bytes, event) of each record, up to one that a kill has cut."""
    place = 0
    while place + _HEAD.size <= len(data):
        length, _ = _HEAD.unpack_from(data, place)
        first, end = place + _HEAD.size, place + _HEAD.size + length + _TAIL
        if end > len(data):
            return
        try:
            yield data[place:end], Event.FromString(data[first : end - _TAIL])
        except DecodeError:
            return
        place = end


def _is_later(event: Event, epoch: int, step: int) -> bool:
    return any(event.step > (step if value.tag in BY_STEP else epoch) for value in event.summary.value)


def _is_validation(event: Event, epoch: int) -> bool:
    return any(event.step == epoch and not value.tag.startswith(_OF_TRAINING) for value in event.summary.value)


def _replace(file: Path, data: bytes) -> None:
    part = file.with_name(f".{file.name}.part")
    part.write_bytes(data)
    os.replace(part, file)
