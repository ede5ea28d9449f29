"""The table of kinds of labels: a row each, of a file each."""

from __future__ import annotations

from datasets.own import binary, cityscapes_polygons, coco, cvat, labelme, labelstudio, supervisely, yolo
from datasets.own.contract import LabelKind
from datasets.own.objects import Export, label_kind

_PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff")

KINDS: dict[str, LabelKind] = {
    "gray": LabelKind("id", _PICTURES),
    "palette": LabelKind("id", _PICTURES),
    "rgb": LabelKind("color", _PICTURES),
    "binary": binary.KIND,
    "coco": label_kind(coco.EXPORT, "id or name", (".json",)),
    "labelme": label_kind(labelme.EXPORT, "name", (".json",), upright=True),
    "cvat": label_kind(cvat.EXPORT, "name", (".xml",), upright=True),
    "yolo": label_kind(yolo.EXPORT, "id or name", (".txt",), upright=True),
    "supervisely": label_kind(supervisely.EXPORT, "name", (".json",), upright=True),
    "labelstudio": label_kind(labelstudio.EXPORT, "name", (".json",), upright=True),
    "cityscapes": label_kind(cityscapes_polygons.EXPORT, "name", (".json",)),
}

# How a folder is told to be of a kind, and its classes are read.
EXPORTS: dict[str, Export] = {
    "coco": coco.EXPORT,
    "cvat": cvat.EXPORT,
    "supervisely": supervisely.EXPORT,
    "labelstudio": labelstudio.EXPORT,
    "cityscapes": cityscapes_polygons.EXPORT,
    "labelme": labelme.EXPORT,
    "yolo": yolo.EXPORT,
}
