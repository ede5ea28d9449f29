"""The work of scripts/publish.py: read a run, write its folder beside the place, try it, and only then name it."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

import inference
from datasets import toy
from engine.publish import card, exported, record
from engine.publish.record import Record
from inference import temperature
from media.bits import bits_of_folder
from media.reading import read_image
from network.weights import shared
from utils import digest, hub, textfile
from utils.errors import UserError
from utils.files import folder_beside, write_file
from utils.visualize import encode_png, overlay, shrink

WIDTH = 1024  # pixels of the longer edge of what the card shows
SCENE = "A drawn street scene, which Streetscale has built in, and the network's classes over it."
PICTURE = "A picture, and the network's classes over it."


def run(args: argparse.Namespace) -> None:
    """Write the folder, tell of it, and upload it where that is asked for."""
    check_empty(args.out)
    if args.push:
        hub.package()
    found = record.read(args.run)
    if found.note:
        print(found.note)
    with folder_beside(args.out) as folder:
        lines = write(found, folder, args)
        check_places(folder)
        if args.out.is_dir():
            args.out.rmdir()  # it is empty
        folder.rename(args.out)
    size = sum(path.stat().st_size for path in args.out.iterdir()) / 1e6
    weights = "averaged weights (EMA)" if found.averaged else "weights as trained (no EMA)"
    lines.append(f"{args.out}: {found.weights.arch} of {found.checkpoint.name}, {weights}, {size:.1f} MB")
    print("\n".join(lines))
    if args.push:
        print(hub.push(args.out, args.push))


def write(found: Record, folder: Path, args: argparse.Namespace) -> list[str]:
    """Write all files into `folder`; gives lines on what was left out or guessed."""
    path = folder / hub.WEIGHTS
    shared.write(path, found.weights.state, found.facts)
    _write_json(folder / "config.json", {**found.facts, "weights": "averaged" if found.averaged else "as trained"})
    files, lines = exported.copy(found.checkpoint.parent, found.checkpoint, folder)
    fitted, line = _temperature(found.checkpoint, path)
    write_file(folder / "picture.png", picture(found.checkpoint, path, args.picture))
    lines += [text for text in (line, *_guessed(args, found)) if text]
    about = card.Card(
        name=(args.push or "").rpartition("/")[2] or args.out.resolve().name,
        source=f"hf:{args.push or 'OWNER/NAME'}",
        license=args.license or "",
        temperature=fitted,
        picture=PICTURE if args.picture else SCENE,
        exported=files,
    )
    write_file(folder / "README.md", card.write(found, about).encode())
    return lines


def _guessed(args: argparse.Namespace, found: Record) -> Iterator[str]:
    if not args.license:
        yield "the card says that the license is not known: give it as --license"
    if found.score is None:
        yield f"the card has no score: {found.checkpoint.name} was not validated"


def check_empty(out: Path) -> None:
    """Raise UserError where something stands in the place of the folder."""
    if out.is_dir() and any(out.iterdir()):
        first = min(path.name for path in out.iterdir())
        raise UserError(f"{out} has files already ({first}): give a new or an empty folder")
    if out.exists() and not out.is_dir():
        raise UserError(f"{out} is a file: give a new or an empty folder")


def check_places(folder: Path) -> None:
    """Raise UserError where a file of the folder names a place of this machine."""
    for path in sorted(folder.iterdir()):
        if place := exported.place_in(path):
            cure = "look for it in the names of classes and data, and in --license"
            raise UserError(f"{path.name} would name a place of this machine ({place}): nothing was written; {cure}")


def picture(checkpoint: Path, shared_file: Path, given: str) -> bytes:
    """Draw a picture beside the network's classes over it, as PNG. UserError where the shared file gives others."""
    if given:
        bits, _ = bits_of_folder([given], 0)
        image = np.ascontiguousarray(shrink(read_image(given, upright=True, bits=bits), WIDTH))
    else:
        image = shrink(toy.drawn(1, "val")[0][0], WIDTH)
    predictor = inference.load(shared_file)
    (ours,), (theirs,) = predictor([image]), inference.load(checkpoint)([image])
    if not torch.equal(ours.classes, theirs.classes):
        raise UserError(f"{shared_file.name} gives other masks than {checkpoint}: nothing was written")
    assert predictor.spec is not None  # of a checkpoint of ours
    return encode_png(np.hstack([image, overlay(image, ours.classes, predictor.spec.palette)]), level=9)


def _temperature(checkpoint: Path, path: Path) -> tuple[float | None, str]:
    """Write the temperature of a checkpoint for the shared file; gives it, and a line where one is not used."""
    source = checkpoint.parent / temperature.FILE
    if not source.is_file():
        return None, ""
    try:
        content = textfile.read_json(source)
        value, known = float(content["temperature"]), content["digest"]
    except (OSError, ValueError, TypeError, KeyError):
        return None, f"left out: {source} cannot be read"
    if known != digest.of_files([checkpoint]):
        return None, f"left out: {source} is of another checkpoint than {checkpoint.name}"
    told = content | {"checkpoint": path.name, "digest": digest.of_files([path])}
    _write_json(path.with_name(temperature.FILE), told)
    return value, ""


def _write_json(path: Path, content: Any) -> None:
    write_file(path, f"{json.dumps(content, indent=1)}\n".encode())
