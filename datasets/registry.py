"""Datasets by the name that --dataset takes: a row each, of a file each."""

from __future__ import annotations

from datasets import acdc, ade20k, camvid, cityscapes, folder, kitti, lists, mapillary, toy
from datasets.entry import DatasetEntry

DATASETS: dict[str, DatasetEntry] = {
    "cityscapes": cityscapes.DATASET,
    "kitti": kitti.DATASET,
    "ade20k": ade20k.DATASET,
    "mapillary": mapillary.DATASET,
    "camvid": camvid.DATASET,
    "acdc": acdc.DATASET,
    "list": lists.DATASET,
    "toy": toy.DATASET,
    "folder": folder.DATASET,
}
