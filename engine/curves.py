"""Curves of a run that goes back to a checkpoint: what came after it is taken out, since it comes again."""

from __future__ import annotations

import csv
import os
import struct
from collections.abc import Iterator
from pathlib import Path

from google.protobuf.message import DecodeError
from tensorboardX.proto.event_pb2 import Event  # pyright: ignore[reportAttributeAccessIssue]

# Scalars that count optimizer steps; everything else counts epochs.
BY_STEP = ("train/step_loss", "train/lr")
_HEAD, _TAIL = struct.Struct("<QI"), 4  # length and its checksum; checksum of the content


def cut_rows(file: Path, epoch: int) -> list[str]:
    """Take the rows of epochs after `epoch` out of a metrics.csv; gives their phases. Torn rows go, too."""
    if not file.is_file():
        return []
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
    kept = [line for line in lines if line.endswith("\n") and _epoch_of(line) <= epoch]
    later = [next(csv.reader([line]), [""])[0] for line in lines if _epoch_of(line) > epoch]
    if len(kept) < len(lines):
        _replace(file, "".join(kept).encode())
    return later


def _epoch_of(line: str) -> float:
    """The epoch of a row, -1 where it has none."""
    row = next(csv.reader([line]), [])
    try:
        return float(dict(zip(row[1::2], row[2::2], strict=False))["epoch"])
    except (KeyError, ValueError):
        return -1.0


def cut_events(folder: Path, epoch: int, step: int) -> int:
    """Take what came after `epoch` and `step` out of tensorboard's files; gives how many points that were."""
    points = 0
    for file in folder.glob("events.out.tfevents.*"):
        whole = list(_records(file.read_bytes()))
        kept = [record for record, event in whole if not _is_later(event, epoch, step)]
        if len(kept) < len(whole):
            points += len(whole) - len(kept)
            _replace(file, b"".join(kept))
    return points


def _records(data: bytes) -> Iterator[tuple[bytes, Event]]:
    """(bytes, event) of each record, up to one that a kill has cut."""
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


def _replace(file: Path, data: bytes) -> None:
    part = file.with_name(f".{file.name}.part")
    part.write_bytes(data)
    os.replace(part, file)
