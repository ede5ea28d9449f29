"""Every reader of files that others may have written, with small files that it reads: seeds of what does harm."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import hostile_seeds as made
import numpy as np
from PIL import Image

import config
from datasets import centroidstore, classfile, kept, labelrecord, lists, mapillary, odgt, rawpixels, reading
from datasets.own import cache, schema
from datasets.own.contract import LabelRules, OwnClass, Picture
from datasets.own.kinds import KINDS
from datasets.own.recognize import Writer, recognize
from engine import curves, runlock, scored_images, trackers
from engine.log import RunLog
from engine.plan import record
from evaluation import report
from evaluation.report import ReportData
from inference import temperature
from inference.rule import EvalRule
from media.reading import read_image
from network import weights
from network.weights import metadata
from scripts import sweep_status
from serving import uploads
from serving.app import Served, create
from serving.guard import Guard
from serving.networks import Networks
from utils import flowfile, madefrom, textfile, yamlfile
from utils.errors import UserError


class Reader(NamedTuple):
    """`read(path)` reads what `name` below a folder holds; `pack` makes the file of the bytes that are mutated.

    `beside`: writes what has to lie beside it. `refusals`: the errors that its callers turn into one line.
    """

    name: str
    read: Callable[[Path], Any]
    seeds: Callable[[], list[bytes]]
    words: tuple[bytes, ...] = ()
    pack: Callable[[bytes], bytes] = bytes
    beside: Callable[[Path], object] = lambda _: None
    refusals: tuple[type[Exception], ...] = (UserError,)

    def place(self, folder: Path, data: bytes) -> Path:
        """Write an input where the reader finds it."""
        path = folder / self.name
        path.write_bytes(self.pack(data))
        return path


def seeds(reader: Reader, folder: Path) -> list[bytes]:
    """Make the folder of a reader, and its seeds."""
    Image.init()  # all of its formats are imported
    (folder / reader.name).parent.mkdir(parents=True, exist_ok=True)
    reader.beside(folder)
    return reader.seeds()


def _checkpoint(path: Path) -> None:
    found = weights.read_file(path)
    metadata.of_file(path, "any")
    if found.momentum:
        found.momentum(path)


def _npz(path: Path) -> None:
    found = [*centroidstore.Store(path.parent, "s").parts()]
    centroidstore.joined(found, np.arange(4), np.arange(4))


def _scored(path: Path) -> None:
    path.with_suffix(".sqlite").unlink(missing_ok=True)
    with scored_images.sqlite3.connect(path.with_suffix(".sqlite"), isolation_level=None) as file:
        file.execute("CREATE TABLE images (name TEXT PRIMARY KEY, counts BLOB, sample BLOB, classes BLOB)")
        file.execute("INSERT INTO images VALUES (?, ?, ?, ?)", (b"a".hex(), *[path.read_bytes()] * 2, made.PNG))
    file.close()
    _database(path.with_suffix(".sqlite"))


def _database(path: Path) -> None:
    found = scored_images.ScoredImages(path)
    try:
        for name in [*found.names()][:3]:
            for part in (found.counts, found.sample):
                part([name])
            found.classes(name)
    finally:
        found.close()


def _picture(path: Path) -> None:
    reading.size_of(str(path))
    read_image(str(path), upright=True)


def _options(path: Path) -> None:
    try:
        config.load(["--cfg", str(path)])
    except UserError as error:  # of several mistakes, a line each
        raise UserError(str(error).replace("\n", "; ")) from None


def _label(path: Path) -> None:
    reading.read_label(str(path))


def _upload(path: Path) -> None:
    uploads.picture(uploads.file_name("a.png"), path.read_bytes(), 1 << 20)


def _annotations(kind: str, path: Path, of: Path = Path()) -> None:
    folder = path.parents[len(of.parts)] if of.parts else path.parent
    row, image = KINDS[kind], folder / "img" / "a.png"
    rules = LabelRules(kind, (str(folder),), (OwnClass("road", (3,), (0, 0, 0)), OwnClass("car", (7,), (9, 9, 9))),
                       unknown="ignore", overlap="smallest")  # fmt: skip
    assert row.find and row.draw
    place = {"supervisely": "ds0/img/a.png", "cityscapes": "a_leftImg8bit.png"}.get(kind, "a.png")
    sources = row.find([Picture(str(image), place)], rules, "my.yaml, labels")
    for source in [*sources.values()][:2]:
        row.draw(source, (6, 8), rules)


def _image_beside(folder: Path, *parts: str) -> None:
    path = folder.joinpath(*parts)
    path.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((6, 8, 3), np.uint8)).save(path / "a.png")


def _recognized(path: Path) -> None:
    draft = recognize(path.parent, lambda paths, what: paths)
    Writer(draft, path.parent, path.parent / "own.yaml").text()


_SERVED = Served(Networks(()), Guard("127.0.0.1"), say=lambda line: None)
_PAGE = create(_SERVED).test_client()


def _run(path: Path) -> None:
    """Read the files of a run in every way, and show them on the served page and in a report."""
    folder = path.parent
    log = RunLog(folder, main=False)
    curves.scalars(folder, "train/lr")
    sweep_status.status(folder, None)
    report.render(ReportData("a", "b", "c", (), (), train=log.history("train"), val=log.history("val")))
    _SERVED.root = folder
    answer = _PAGE.get("/")
    if answer.status_code != 200 or "<script>alert" in answer.text:
        raise AssertionError(answer.text)


def _records(path: Path) -> None:
    """The small JSON files that programs of ours leave beside their results."""
    read: list[Callable[[], Any]] = [
        lambda: labelrecord.read(path.parent), lambda: temperature.of(path.parent / "x.pth", ("a",), EvalRule()),
        lambda: runlock._holder(path), lambda: madefrom._read(path), lambda: record._content(path.parent),
        lambda: trackers._read(path), lambda: cache.load(path), lambda: mapillary.read_config(path),
        lambda: textfile.parse_json(textfile.read(path)),
    ]  # fmt: skip
    for one in read:
        try:
            one()
        except ValueError:  # or a UserError
            pass


def _list(path: Path) -> None:
    from datasets.cityscapes import SPEC

    lists.split(str(path), str(path.parent), SPEC)


READERS: dict[str, Reader] = {
    "pth": Reader("x.pth", _checkpoint, made.checkpoints),
    "pth pickle": Reader("x.pth", _checkpoint, made.pickles, made.PICKLE_WORDS, made.packed),
    "pth legacy": Reader("x.pth", _checkpoint, partial(made.checkpoints, legacy=True), made.PICKLE_WORDS),
    "pdparams": Reader("x.pdparams", _checkpoint, made.paddle, made.PICKLE_WORDS, beside=made.paddle_momentum),
    "pdopt": Reader("x.pdopt", lambda path: _checkpoint(path.with_suffix(".pdparams")), made.paddle, made.PICKLE_WORDS,
                    beside=made.paddle_weights),
    "safetensors": Reader("x.safetensors", _checkpoint, made.tensors),
    "npz": Reader("s_1.npz", _npz, made.centroid_files),
    "npz weights": Reader("x.npz", _checkpoint, made.vit_arrays),
    "npz head": Reader("s_1.npz", _npz, made.array_files, made.NPY_WORDS, made.npz_of),
    "npy": Reader("k.npy", lambda path: kept.image(str(path), "a"), made.raw_files, made.NPY_WORDS),
    "raw pixels": Reader("k.npy", lambda path: rawpixels.label(str(path), rawpixels.Piece(str(path), str(path), (0, 2),
                         (0, 2), (4, 4))), made.raw_files, made.NPY_WORDS),
    "scored": Reader("s.bin", _scored, made.scored_parts, made.NPY_WORDS),
    "database": Reader("s.sqlite", _database, made.databases),
    "flow": Reader("f.png", flowfile.read, partial(made.pictures, (".png",), np.uint16), pack=made.with_checksums),
    "picture": Reader("p.png", _picture, made.pictures, pack=made.with_checksums),
    "label": Reader("p.png", _label, made.pictures, pack=made.with_checksums),
    "upload": Reader("p.png", _upload, made.pictures, pack=made.with_checksums),
    "yaml": Reader("a.yaml", yamlfile.load, made.yamls),
    "options": Reader("a.yaml", _options, made.option_files),
    "classes": Reader("c.yaml", lambda path: classfile.read(str(path)), made.yamls),
    "own dataset": Reader("d.yaml", lambda path: schema.read(str(path)), made.yamls),
    "list": Reader("l.lst", _list, made.list_files, beside=lambda folder: _image_beside(folder)),
    "odgt": Reader("l.odgt", lambda path: odgt.split(str(path), str(path.parent)), made.odgt_files,
                   beside=lambda folder: _image_beside(folder)),
    "run": Reader("metrics.csv", _run, made.metrics),
    "run options": Reader("hparams.json", _run, made.hparams, beside=lambda folder: (folder / "metrics.csv").touch()),
    "run events": Reader("events.out.tfevents.1", _run, made.events, beside=lambda f: (f / "metrics.csv").touch()),
    "records": Reader("autolabels.json", _records, made.records),
    "class table csv": Reader("classes.csv", _recognized, made.class_tables, beside=made.gray_folder),
    "class table json": Reader("classes.json", _recognized, made.records, beside=made.gray_folder),
    "coco": Reader("x.json", partial(_annotations, "coco"), made.coco, beside=lambda f: _image_beside(f, "img")),
    "labelme": Reader("a.json", partial(_annotations, "labelme"), made.labelme, beside=lambda f: _image_beside(f, "img")),
    "labelstudio": Reader("x.json", partial(_annotations, "labelstudio"), made.labelstudio,
                          beside=lambda f: _image_beside(f, "img")),
    "cityscapes": Reader("a_gtFine_polygons.json", partial(_annotations, "cityscapes"), made.cityscapes,
                         beside=lambda f: _image_beside(f, "img")),
    "supervisely": Reader("ds0/ann/a.png.json", partial(_annotations, "supervisely", of=Path("ds0/ann")),
                          made.supervisely, beside=made.supervisely_meta),
    "cvat": Reader("a.xml", partial(_annotations, "cvat"), made.cvat, beside=lambda f: _image_beside(f, "img")),
    "yolo": Reader("a.txt", partial(_annotations, "yolo"), made.yolo, beside=made.yolo_names),
}  # fmt: skip
