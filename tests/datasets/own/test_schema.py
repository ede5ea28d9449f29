"""Every mistake in a dataset's file is one line with file, key, value and the nearest name."""

from __future__ import annotations

from pathlib import Path

import pytest

from datasets.own import schema
from datasets.own.percent import Percent
from datasets.own.schema import OwnSet, OwnSets
from utils.errors import UserError

LABELS = "labels: {kind: gray, path: masks}\n"
GOOD = f"images: images\n{LABELS}classes: [road, car]\n"
BINARY = "images: images\nlabels: {kind: binary, path: masks}\nclasses: [road, car]\n"
RGB = BINARY.replace("binary", "rgb").replace(
    "[road, car]", "[{name: road, color: [1, 2, 3]}, {name: car, color: '#040506'}]"
)


def read(tmp_path: Path, text: str) -> OwnSet | OwnSets:
    path = tmp_path / "my set.yaml"
    path.write_text(text)
    return schema.read(str(path))


def test_what_a_short_file_says(tmp_path: Path) -> None:
    own = read(tmp_path, GOOD)
    assert isinstance(own, OwnSet) and own.name == "my_set" and own.merged.names == ("road", "car")
    assert own.splits == Percent({"train": 80, "val": 20}, 0, "") and not own.given and own.cut == 0
    assert [one.ids for one in own.rules.classes] == [(), ()] and own.missing == own.rules.unknown == "error"


def test_names_stay_as_they_are_written(tmp_path: Path) -> None:
    own = read(tmp_path, BINARY.replace("road, car", "no, 010, 1.0") + "background: no\nmerge: {yes: [010, 1.0]}\n")
    assert isinstance(own, OwnSet) and own.merged.names == ("no", "yes") and own.rules.background == 0


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", " is empty: a dataset's file has images, labels, classes"),
        ("- a\n", " is a list, not keys and values"),
        (GOOD + "imges: x\n", ": imges: there is no such key; did you mean 'images'"),
        (GOOD + "splits:\n", ": splits: it is empty: give its value, or leave it out"),
        (GOOD + "images: b\n", ": images stands twice, in lines 1 and 4"),
        ("images: images\n" + LABELS, ": classes is missing"),
        (LABELS + "classes: [a, b]\n", ": images is missing: give a folder, a glob or a list"),
        (GOOD + "name: a b\n", ": name: 'a b' has other characters than letters"),
        (GOOD + "cut: 63\n", ": cut: 63 is out of range, 64 to"),
        (GOOD + "cut: true\n", ": cut: True is a truth value, not a whole number"),
        (GOOD.replace("gray", "grey"), ": labels.kind: 'grey' is unknown; did you mean 'gray'?; known: gray, palette"),
        (GOOD.replace("kind: gray, ", ""), ": labels: kind is missing; known: gray"),
        (GOOD.replace("path", "paht"), ": labels.paht: there is no such key; did you mean 'path'?"),
        (GOOD.replace("{kind: gray, path: masks}", "masks"), ": labels: 'masks' is no {kind: gray, path: masks}"),
        (GOOD.replace("[road, car]", "[road, road]"), ": classes[1]: the name 'road' stands also in classes[0]"),
        (GOOD.replace("road,", "{name: road, id: 3},"), ": classes[1]: id is missing, which other classes have"),
        (GOOD.replace("road,", "{nam: road},"), ": classes[0].nam: there is no such key; did you mean 'name'?"),
        (GOOD.replace("road,", "{name: road, color: [1, 2]},"), ": classes[0].color: [1, 2] is no color [R, G, B]"),
        (GOOD.replace("road,", "{name: road, id: 70000},"), ": classes[0].id: 70000 is out of range, 0 to 65535"),
        (GOOD.replace("[road, car]", "cityscape"), ": classes: 'cityscape' is unknown; did you mean 'cityscapes'?"),
        (GOOD.replace("[road, car]", "[]"), ": classes: the list is empty"),
        (
            GOOD.replace("[road, car]", f"[{', '.join(f'c{i}' for i in range(256))}]"),
            ": classes: 256 classes are more than 255",
        ),
        (GOOD + "ignore: [1]\n", ": ignore[0]: 1 is the class 'car': leave it out here, or there"),
        (GOOD + "ignore: [road]\n", ": ignore[0]: 'road' is a text, not a whole number"),
        (BINARY + "ignore: [road]\n", ": ignore[0]: 'road' is the class 'road'"),
        (RGB + "ignore: [[1, 2, 3]]\n", ": ignore[0]: (1, 2, 3) is the class 'road'"),
        (RGB.replace(", color: [1, 2, 3]", ""), ": classes[0]: color is missing: labels of kind rgb"),
        (RGB.replace("[1, 2, 3]", "[4, 5, 6]"), ": classes[1]: the color [4, 5, 6] is also that of 'road'"),
        (GOOD + "background: road\n", ": background: labels of kind gray say it pixel by pixel: leave it out"),
        (GOOD + "overlap: last\n", ": overlap: labels of kind gray say it pixel by pixel"),
        (GOOD + "missing: background\n", ": missing: labels of kind gray say it pixel by pixel"),
        (BINARY + "missing: background\n", ": missing: background is ignored here: give background: NAME"),
        (BINARY + "background: raod\n", ": background: 'raod' is no class; did you mean 'road'?"),
        (
            BINARY + "overlap: lst\n",
            ": overlap: 'lst' is unknown; did you mean 'last'?; known: last, smallest, classes",
        ),
        (BINARY.replace("road, car", "road"), ": classes: one class, and all around it ignored"),
        (GOOD + "unknown: fine\n", ": unknown: 'fine' is unknown; did you mean 'ignore'?; known: error, ignore"),
        (GOOD + "merge: {all: [road, cra]}\n", ": merge.all: 'cra' is no class; did you mean 'car'?"),
        (GOOD + "merge: {a: [road], b: [road]}\n", ": merge.b: 'road' is merged into 'a' already"),
        (GOOD + "merge: {car: [road]}\n", ": merge.car: 'car' is a class itself: add it to the list"),
        (GOOD + "merge: [road]\n", ": merge: it takes keys and values, {vehicle: [car, bus]}"),
        (GOOD + "splits: {train: a.txt, vall: b.txt}\n", ": splits.vall: there is no such key; did you mean 'val'?"),
        (GOOD + "splits: {train: a.txt, seed: 1}\n", ": splits.seed: it belongs to splits by percent"),
        (GOOD + "splits: {percent: {train: 80, val: 30}}\n", ": splits.percent: 80 + 30 is 110, not 100"),
        (
            GOOD + "splits: {percent: {train: 80, val: 20}, group: '('}\n",
            ": splits.group: '(' is no regular expression",
        ),
        (GOOD + "splits: {train: {images: a}, val: b.txt}\n", ": splits.val: a list here, folders in another split"),
        (GOOD + "splits: {train: {images: a}}\n", ": images: splits names the images of each split"),
        (GOOD + "splits: {train: {labels: a}}\n", ": splits.train: images is missing"),
        (GOOD + "sets: [a.yaml]\n", ": images: each of the sets says its own: beside sets stand name, sets"),
        ("sets: [cityscapes]\n", ": sets[0]: 'cityscapes' is a published dataset: write {dataset: cityscapes"),
        ("sets: [{dataset: cityscape}]\n", ": sets[0].dataset: 'cityscape' is unknown; did you mean 'cityscapes'?"),
        ("sets: [{file: a.yaml, dataset: toy}]\n", ": sets[0]: give either file or dataset"),
        ("sets: [{file: a.yaml, use: [trian]}]\n", ": sets[0].use[0]: 'trian' is unknown; did you mean 'train'?"),
    ],
)
def test_a_mistake_is_one_line(tmp_path: Path, text: str, line: str) -> None:
    with pytest.raises(UserError) as said:
        read(tmp_path, text)
    message = str(said.value)
    assert message.startswith(f"{tmp_path / 'my set.yaml'}{line}") and "\n" not in message
