"""Small files of every format that somebody may hand us: what `hostile_readers` begins with, and how parts are packed."""

from __future__ import annotations

import base64
import io
import json
import pickle
import sqlite3
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import own_layouts
import safetensors.torch
import torch
from PIL import Image
from shared import GOLDEN
from tensorboardX.proto.event_pb2 import Event  # pyright: ignore[reportAttributeAccessIssue]

PNG = cv2.imencode(".png", np.ones((2, 3), np.uint8))[1].tobytes()
PICKLE_WORDS = (
    b"ctorch._utils\n_rebuild_tensor_v2\n", b"ccollections\nOrderedDict\n", b"cbuiltins\neval\n", b"}", b"]", b")", b"t",
    b"R", b"b", b"s", b"u", b"q\x00", b"h\x00", b"Q", b"\x85", b"\x86", b"\x87", b"2", b"(", b".", b"K\x00", b"N",
    b"cnumpy.core.multiarray\n_reconstruct\n", b"cnumpy\ndtype\n", b"X\x06\x00\x00\x00format", b"carray\narray\n",
    b"\x81", b"\x93", b"\x94", b"ctorch\nFloatStorage\n", b"cargparse\nNamespace\n", b"G\x7f\xf0\x00\x00\x00\x00\x00\x00",
)  # fmt: skip
NPY_WORDS = (
    b"'descr': '|O'",
    b"'shape': (1125899906842624,)",
    b"'shape': (-1,)",
    b"'<U9'",
    b"'<f8'",
    b"(" * 500,
    b"L,",
)


def _bytes(content: Any, legacy: bool = False) -> bytes:
    stream = io.BytesIO()
    torch.save(content, stream, _use_new_zipfile_serialization=not legacy)
    return stream.getvalue()


def _contents() -> list[dict[str, Any]]:
    state = {"backbone.conv1.weight": torch.ones(2, 3, 1, 1), "a.running_var": torch.zeros(6)}
    ours = {"format": "streetscale", "arch": "ocrnet.HRNet", "net": state, "ema": None, "epoch": 3, "mean_iu": 0.5}
    ours |= {"class_names": ["a", "b"], "class_ids": [7, 8], "class_colors": [[1, 2, 3], [4, 5, 6]], "command": "x"}
    ours |= {"config": {"MODEL.ARCH": "ocrnet.HRNet", "DATASET.NAME": "toy", "DATASET.MEAN": (0.1, 0.2, 0.3)}}
    ours |= {"optimizer": {"state": {0: {"m": torch.ones(6)}}, "param_groups": [{"lr": 0.1, "params": [0]}]}}
    theirs = {
        "state_dict": {f"module.{name}": x for name, x in state.items()},
        "epoch": np.float64(3),
        "arch": "ocrnet",
    }
    return [ours, theirs, {"model": {"ema": state, "net": state}, "more": [np.arange(3), slice(1)]}, state]


def checkpoints(legacy: bool = False) -> list[bytes]:
    """Files of torch: of ours, of others, nested, bare."""
    return [_bytes(content, legacy) for content in _contents()]


def pickles() -> list[bytes]:
    """The index of such files, alone: what is mutated has its right checksum afterwards."""
    found = []
    for data in checkpoints():
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            found.append(packed.read(next(name for name in packed.namelist() if name.endswith("data.pkl"))))
    return found


def packed(index: bytes) -> bytes:
    """A torch file with an index and storages of 24 bytes."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("x/data.pkl", index)
        for name, data in {
            "version": b"3\n",
            "byteorder": b"little",
            **{f"data/{k}": bytes(24) for k in range(4)},
        }.items():
            archive.writestr(f"x/{name}", data)
    return stream.getvalue()


def paddle() -> list[bytes]:
    """Files of Paddle."""
    content = {
        "w": np.ones((2, 2), np.float32),
        "LR_Scheduler": {"last_epoch": 3},
        "StructuredToParameterName@@": {"w": "p"},
    }
    names = ("sample.pdparams", "sample_protocol2.pdparams", "sample.pdopt")
    return [(GOLDEN / "paddle" / name).read_bytes() for name in names] + [pickle.dumps(content, p) for p in (2, 4)]


def paddle_momentum(folder: Path) -> None:
    """The optimizer's file beside weights."""
    (folder / "x.pdopt").write_bytes((GOLDEN / "paddle/sample.pdopt").read_bytes())


def paddle_weights(folder: Path) -> None:
    """The weights beside an optimizer's file."""
    (folder / "x.pdparams").write_bytes((GOLDEN / "paddle/sample.pdparams").read_bytes())


def tensors() -> list[bytes]:
    """Files of safetensors."""
    state = {"a.weight": torch.ones(2, 3), "b": torch.zeros(4, dtype=torch.int64)}
    return [safetensors.torch.save(state, {"format": kind}) for kind in ("pt", "np")]


def _part() -> dict[str, np.ndarray]:
    sizes = np.array([[1, 1], [2, 1]])
    return {
        "marks": np.arange(2),
        "sizes": sizes,
        "rows": np.ones((3, 3), np.int32),
        "pixels": np.ones((2, 2), np.int64),
    }


def _npz(**arrays: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, allow_pickle=False, **arrays)
    return stream.getvalue()


def centroid_files() -> list[bytes]:
    """Files of class centroids."""
    return [_npz(**_part())]


def vit_arrays() -> list[bytes]:
    """Weights of ViT's authors."""
    return [_npz(**{"embedding/kernel": np.ones((2, 2, 3, 4), np.float32), "cls": np.zeros((1, 1, 4), np.float32)})]


def _npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=False)
    return stream.getvalue()


def array_files() -> list[bytes]:
    """Single arrays of such files."""
    return [_npy(array) for array in _part().values()]


def npz_of(data: bytes) -> bytes:
    """A file of centroids with one array as it is given, of the name that its shape has."""
    arrays = {name: _npy(array) for name, array in _part().items()}
    name = min(arrays, key=lambda name: abs(len(arrays[name]) - len(data)))
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for key, array in {**arrays, name: data}.items():
            archive.writestr(f"{key}.npy", array)
    return stream.getvalue()


def raw_files() -> list[bytes]:
    """Arrays of pixels, and a .npz under their name."""
    return [_npy(np.zeros((4, 4, 3), np.uint8)), _npy(np.zeros((4, 4), np.uint16)), _npz(a=np.zeros(3))]


def scored_parts() -> list[bytes]:
    """What a database of scored images has in its columns."""
    parts = {name: np.ones((2, 3), np.int64) for name in ("pixels", "boundary", "bins", "objects")}
    return [_npz(**parts, logits=np.ones((2, 3), np.float32), truth=np.ones(2, np.int64))]


def databases() -> list[bytes]:
    """Such a database."""
    with tempfile.TemporaryDirectory() as folder:
        file = sqlite3.connect(f"{folder}/s")
        file.execute("CREATE TABLE images (name TEXT PRIMARY KEY, counts BLOB, sample BLOB, classes BLOB)")
        file.execute("INSERT INTO images VALUES (?, ?, ?, ?)", (b"a".hex(), *scored_parts() * 2, PNG))
        file.commit()
        file.close()
        return [Path(folder, "s").read_bytes()]


def pictures(
    kinds: Sequence[str] = (".png", ".jpg", ".tif", ".webp", ".bmp", ".ppm"), dtype: Any = np.uint8
) -> list[bytes]:
    """Pictures of some pixels, of every type."""
    image = (np.random.default_rng(0).random((6, 9, 3)) * np.iinfo(dtype).max).astype(dtype)
    found = [cv2.imencode(kind, image)[1].tobytes() for kind in kinds]
    if len(kinds) > 1:
        found.append(cv2.imencode(".jp2", np.tile(image, (6, 4, 1)))[1].tobytes())
        found += [cv2.imencode(kind, image.astype(np.uint16) << 6)[1].tobytes() for kind in (".png", ".tif")]
        for kind, more in (("GIF", {}), ("PNG", {"exif": b"Exif\0\0MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0"}),
                           ("TIFF", {"compression": "tiff_lzw"})):  # fmt: skip
            stream = io.BytesIO()
            Image.fromarray(image).quantize(8).save(stream, kind, **more)
            found.append(stream.getvalue())
    return found


def with_checksums(data: bytes) -> bytes:
    """A PNG file whose parts have their right checksums, as far as they can be told; others as they are."""
    if not data.startswith(b"\x89PNG\r\n\x1a\n"):
        return data
    made, at = bytearray(data[:8]), 8
    while at + 8 <= len(data):
        length = struct.unpack_from(">I", data, at)[0]
        if at + 12 + length > len(data):
            break
        body = data[at + 4 : at + 8 + length]
        made += data[at : at + 4] + body + struct.pack(">I", zlib.crc32(body))
        at += 12 + length
    return bytes(made) + data[at:]


def _texts(*texts: str) -> list[bytes]:
    return [text.encode() for text in texts]


def yamls() -> list[bytes]:
    """YAML as people write it: of classes, of a dataset, with all that YAML has."""
    return _texts(
        "names: [road, car]\nids: [3, 7]\nignore: [0]\ncolors:\n- [1, 2, 3]\n- [4, 5, 6]\n",
        "name: mine\nimages: img\nlabels: {kind: gray, path: masks}\nclasses:\n- {name: road, id: 3}\n- {name: car, id: 7, "
        "aliases: [auto]}\nignore: [9]\nunknown: ignore\nsplits: {train: 80, val: 20, seed: 1}\nmerge: {all: [road, car]}\n",
        "a: &a {x: 1, y: [1.5, ~, yes, 0x1f, 1e3, 2024-01-02, 2024-01-02 03:04:05 +01:00, 12:30:45.5]}\nb: {<<: *a}\n"
        'c: !!binary "aGk="\nd: !!set {p, q}\ne: |\n  text\n  more\nf: >-\n  folded\n? [k]\n: v\n',
        "sets:\n- {file: a.yaml}\n- {dataset: toy, root: x, use: train}\nclasses: [a, b]\n",
        "labels: {kind: coco, path: [a.json, b.json]}\nclasses: {road: 3}\nimages: [img/*.png]\nbackground: road\ncut: 512\n",
    )


def option_files() -> list[bytes]:
    """Files of --cfg: of ours, and of other systems."""
    return yamls() + _texts(
        "MODEL:\n  ARCH: ocrnet.HRNet\n  N_SCALES: [0.5, 1.0]\nOPTIM.LR: 0.01\nDATASET: {NAME: toy, MEAN: [0.1, 0.2, 0.3]}\n",
        "CMD: python train.py\nHPARAMS:\n- {lr: 0.1, arch: x}\n",
        "batch_size: 2\niters: 100\ntrain_dataset: {type: Cityscapes, num_classes: 19}\nmodel: {type: MscaleOCRNet}\n"
        "optimizer: {type: sgd, momentum: 0.9}\nlr_scheduler: {type: PolynomialDecay, learning_rate: 0.01}\n",
        "CUDNN: {BENCHMARK: true}\nGPUS: (0,1)\nOUTPUT_DIR: o\nMODEL: {NAME: seg_hrnet, NUM_OUTPUTS: 1}\nTRAIN: {LR: 0.01, "
        "IMAGE_SIZE: [1024, 512]}\nDATASET: {DATASET: cityscapes, NUM_CLASSES: 19}\n",
        "DATASET: {root_dataset: ./data, list_train: a.odgt, num_class: 150, imgSizes: (300, 375)}\nMODEL: {arch_encoder: "
        "resnet50dilated, arch_decoder: ppm_deepsup}\nTRAIN: {batch_size_per_gpu: 2}\nDIR: ckpt\n",
    )


def list_files() -> list[bytes]:
    """Lists of images and labels."""
    return _texts("a.png a.png\n", "# comment\na.png\ta.png\n", "a.png a.png a.png\r\n", "./a.png ../x/a.png\n")


def odgt_files() -> list[bytes]:
    """Lists of ADE20K."""
    row = {"fpath_img": "a.png", "fpath_segm": "a.png", "width": 8, "height": 6}
    return _texts(json.dumps(row) + "\n", "\n".join(json.dumps({**row, "more": [k, {"x": None}]}) for k in range(3)))


def metrics() -> list[bytes]:
    """What a run writes into metrics.csv."""
    rows = [
        "train,epoch,0,loss,1.5,lr,0.1,timestamp,1700000000.5",
        "val,epoch,0,mean_iu,0.25,loss,2.5,timestamp,1700000001",
    ]
    rows += [
        "train,epoch,1,loss,0.5,lr,0.05,timestamp,1700000002",
        "val,epoch,1,mean_iu,0.5,loss,nan,timestamp,1700000003",
    ]
    return _texts("\n".join(rows) + "\n", rows[0] + "\n" + 'val,"epoch",1,"a ""b""",2\n')


def hparams() -> list[bytes]:
    """What a run says of itself."""
    return _texts(json.dumps({"arch": "ocrnet.HRNet", "dataset": "toy", "max_epoch": 3, "lr": 0.1, "more": [1, None]}))


def events() -> list[bytes]:
    """A file of tensorboard."""
    event = Event(step=3)
    value = event.summary.value.add()
    value.tag, value.simple_value = "train/lr", 0.5
    data = event.SerializeToString()
    return [(struct.pack("<QI", len(data), 0) + data + bytes(4)) * 2]


def records() -> list[bytes]:
    """The JSON files that programs leave beside their results."""
    label = {"label": "road", "readable": "Road", "color": [1, 2, 3]}
    return [
        json.dumps(content).encode()
        for content in (
            {"classes": ["a", "b"], "ids": [7, 8], "made": {"upright": True}},
            {"temperature": 1.5, "checkpoint": "x.pth", "digest": "00", "classes": ["a"], "rule": {}},
            {"host": "h", "pid": 3, "started": "now", "command": "train.py"},
            {"a.png": "00ff", "b.png": "11"}, {"tensorboard": "x"}, {"labels": [label] * 3},
            [{"name": "road", "id": 3, "color": "#112233"}, "car"], {"1": "road", "2": "car"}, {"road": [1, 2, 3]},
        )
    ]  # fmt: skip


def class_tables() -> list[bytes]:
    """Tables of classes, as people have them."""
    return _texts(
        "name,r,g,b\nroad,1,2,3\ncar,4,5,6\n",
        "id;class\n3;road\n7;car\n",
        "name,color\nroad,#010203\n",
        "label\na\nb\n",
    )


def gray_folder(folder: Path) -> None:
    """A folder of images and masks that is recognized."""
    own_layouts.write_images(folder / "images", own_layouts.STEMS[:2])
    for seed, stem in enumerate(own_layouts.STEMS[:2]):
        own_layouts.write_image(folder / "masks" / f"{stem}.png", own_layouts.label(seed))


_SQUARE = [[2, 1], [5, 1], [5, 4], [2, 4]]
_FLAT = [2, 1, 5, 1, 5, 4, 2, 4]


def coco() -> list[bytes]:
    """COCO's file, its masks in every way of writing, and segments."""
    forms = [[_FLAT], _FLAT, {"size": [6, 8], "counts": [10, 5, 33]}, {"size": [6, 8], "counts": ":5Q1"}]
    objects = [
        {"id": k, "image_id": 1, "category_id": 7, "iscrowd": k % 2, "segmentation": f} for k, f in enumerate(forms)
    ]
    tree = {
        "images": [{"id": 1, "file_name": "a.png", "height": 6, "width": 8}],
        "categories": [{"id": 7, "name": "car"}],
    }
    segments = [{"id": 1, "category_id": 7}, {"id": 0, "category_id": 7}]
    panoptic = [{"image_id": 1, "file_name": "img/a.png", "segments_info": segments}]
    return _texts(json.dumps({**tree, "annotations": objects[:2]}), json.dumps({**tree, "annotations": panoptic}),
                  *(json.dumps({"annotations": [one], **tree}) for one in objects))  # fmt: skip


def labelme() -> list[bytes]:
    """LabelMe's file."""
    kinds = {
        "polygon": _SQUARE,
        "rectangle": _SQUARE[::2],
        "circle": _SQUARE[:2],
        "line": _SQUARE,
        "mask": [[2, 1], [4, 2]],
    }
    shapes = [
        {"label": "car", "points": points, "shape_type": kind, "mask": base64.b64encode(PNG).decode()}
        for kind, points in kinds.items()
    ]
    tree = {"version": "5.5", "imagePath": "a.png", "imageData": None, "imageHeight": 6, "imageWidth": 8}
    return _texts(json.dumps({**tree, "shapes": shapes}), *(json.dumps({**tree, "shapes": [one]}) for one in shapes))


def labelstudio() -> list[bytes]:
    """Label Studio's file."""
    bits = (
        f"{192:032b}{7:05b}"
        + "0000" * 4
        + "1"
        + "00"
        + "0"
        + f"{9:08b}"
        + "".join(f"0001{9:08b}{9:08b}" for _ in range(96))
    )
    rle = [int(bits[at : at + 8].ljust(8, "0"), 2) for at in range(0, len(bits), 8)]
    size = {"original_width": 8, "original_height": 6, "image_rotation": 0, "from_name": "label", "to_name": "image"}
    values = {
        "polygonlabels": {"points": [[25, 16], [62, 16], [62, 66]], "polygonlabels": ["car"]},
        "ellipselabels": {"x": 50, "y": 50, "radiusX": 20, "radiusY": 10, "rotation": 30, "ellipselabels": ["car"]},
        "rectanglelabels": {"x": 10, "y": 10, "width": 50, "height": 30, "rotation": 0, "rectanglelabels": ["car"]},
        "brushlabels": {"format": "rle", "rle": rle, "brushlabels": ["car"]},
    }
    results = [{"id": kind, "type": kind, "value": value, **size} for kind, value in values.items()]
    tasks = [
        {"id": 1, "data": {"image": "/data/upload/1/0a1b2c3d-a.png"}, "annotations": [{"id": 1, "result": [r]}]}
        for r in results
    ]
    return _texts(json.dumps(tasks[:1]), *(json.dumps([task]) for task in tasks))


def cityscapes() -> list[bytes]:
    """Polygons as of Cityscapes."""
    objects = [{"label": "car", "polygon": _SQUARE}, {"label": "roadgroup", "polygon": _SQUARE, "deleted": 0}]
    return _texts(json.dumps({"imgHeight": 6, "imgWidth": 8, "objects": objects}))


def supervisely() -> list[bytes]:
    """Supervisely's file of an image."""
    data = base64.b64encode(zlib.compress(PNG)).decode()
    of = {"classTitle": "car", "tags": []}
    shapes = [
        {**of, "geometryType": "polygon", "points": {"exterior": _SQUARE, "interior": [_SQUARE[:3]]}},
        {**of, "geometryType": "rectangle", "points": {"exterior": _SQUARE[::2], "interior": []}},
        {**of, "geometryType": "bitmap", "bitmap": {"data": data, "origin": [2, 1]}},
    ]
    trees = [{"size": {"height": 6, "width": 8}, "objects": [shape], "tags": []} for shape in shapes]
    return _texts(*map(json.dumps, trees))


def cvat() -> list[bytes]:
    """CVAT's file."""
    inside = (
        '<polygon label="car" points="2.0,1.0;5,1;5,4" z_order="1"/><box label="road" xtl="0" ytl="0" xbr="8" ybr="6" '
        'rotation="30"/><ellipse label="car" cx="4" cy="3" rx="2" ry="1"/><mask label="car" rle="1,2,3" left="1" top="1" '
        'width="3" height="2" z_order="2"/><polyline label="car" points="1,1;2,2"/>'
    )
    image = f'<image id="0" name="a.png" width="8" height="6">{inside}</image>'
    labels = "<meta><task><labels><label><name>car</name><color>#ff00ff</color></label></labels></task></meta>"
    head = '<?xml version="1.0" encoding="utf-8"?>'
    return _texts(
        f"{head}<annotations><version>1.1</version>{labels}{image}</annotations>", f"<annotations>{image}</annotations>"
    )


def yolo() -> list[bytes]:
    """YOLO's file of an image."""
    return _texts("1 0.1 0.1 0.5 0.1 0.5 0.5\n0 0 0 1 0 1 1 0 1\n", "0 0.5 0.5 0.2 0.2\n\n1 0 0 1 0 1 1\n")


def yolo_names(folder: Path) -> None:
    """The names of its classes, and its image."""
    (folder / "data.yaml").write_text("names: [road, car]\n")


def supervisely_meta(folder: Path) -> None:
    """The classes of a project, and its image."""
    (folder / "meta.json").write_text('{"classes": [{"title": "car", "shape": "any", "color": "#ff0000", "id": 7}]}')
