"""The class tables in scripts/cfg/datasets say what the publishers' say: counts, and ids that were looked up there."""

from __future__ import annotations

from pathlib import Path

import pytest

from datasets import cityscapes, splits
from datasets.own import schema

FOLDER = Path(__file__).parents[2] / "scripts" / "cfg" / "datasets"
# File: how many classes, {name: the label values of it}, values that are left out besides 255.
FACTS = {
    "voc": (21, {"background": (0,), "aeroplane": (1,), "diningtable": (11,), "person": (15,), "tvmonitor": (20,)}, ()),
    "bdd100k": (19, {"road": (0,), "pole": (5,), "sky": (10,), "train": (16,), "bicycle": (18,)}, ()),
    "idd": (26, {"road": (0,), "parking": (1,), "autorickshaw": (8,), "curb": (13,), "pole": (20,), "sky": (25,)}, ()),
    "wilddash2": (26, {"egovehicle": (1, 67), "terrain": (22, 78), "van": (35,), "roadmarking": (38,)}, (0, 9, 44, 73)),
    "cocostuff": (171, {"person": (0,), "toothbrush": (89,), "banner": (91,), "wood": (181,), "street sign": ()}, ()),
}


def table(name: str) -> schema.OwnSet:
    found = schema.read(str(FOLDER / f"{name}.yaml"))
    assert isinstance(found, schema.OwnSet)
    return found


@pytest.mark.parametrize("name", FACTS)
def test_a_table_says_what_the_publisher_says(name: str) -> None:
    count, ids, ignored = FACTS[name]
    found = table(name)
    assert found.name == name and len(found.rules.classes) == count
    of = {one.name: one.ids for one in found.rules.classes}
    assert {known: of.get(known, ()) for known in ids} == ids
    values = [value for one in found.rules.classes for value in one.ids]
    assert len({*values}) == len(values) and not {*values} & {*found.rules.ignored}
    assert {*ignored, 255} <= {*found.rules.ignored}
    assert splits.find(str(FOLDER / f"{name}.yaml")).spec.num_classes == count


@pytest.mark.parametrize("name", FACTS)
def test_a_table_says_where_it_can_be_looked_up(name: str) -> None:
    text = (FOLDER / f"{name}.yaml").read_text()
    assert "http" in text and f"--dataset scripts/cfg/datasets/{name}.yaml --data_root" in text
    assert {path.stem for path in FOLDER.glob("*.yaml")} == {*FACTS}


def test_all_values_of_a_publisher_are_a_class_or_left_out() -> None:
    covered = {name: {v for one in table(name).rules.classes for v in one.ids} for name in FACTS}
    left = {name: {*table(name).rules.ignored} - {255} for name in FACTS}
    assert covered["wilddash2"] | left["wilddash2"] == {*range(81)}
    assert covered["idd"] == {*range(26)} and covered["bdd100k"] == {*range(19)} and covered["voc"] == {*range(21)}
    # Things of COCO that nobody drew: labels.txt has them, one higher.
    assert {*range(182)} - covered["cocostuff"] == {11, 25, 28, 29, 44, 65, 67, 68, 70, 82, 90}


def test_bdd100k_has_the_names_and_colors_of_cityscapes() -> None:
    found = table("bdd100k")
    assert tuple(one.name for one in found.rules.classes) == cityscapes.SPEC.classes
    assert tuple(one.color for one in found.rules.classes) == cityscapes.SPEC.palette


def test_vocs_colors_are_made_of_the_bits_of_its_ids() -> None:
    """VOClabelcolormap.m: bits 0, 1, 2 of an id are the highest of red, green, blue, the next three the next."""
    for one in table("voc").rules.classes:
        (number,) = one.ids
        shifts = [sum((number >> (3 * k + channel) & 1) << (7 - k) for k in range(8)) for channel in range(3)]
        assert one.color == tuple(shifts)


def test_idds_names_are_those_of_its_table() -> None:
    found = table("idd")
    names = [name for one in found.rules.classes for name in (one.name, *one.aliases)]
    assert len(names) == 35 == len({*names}) and {"vehicle fallback", "tunnel", "animal"} <= {*names}
