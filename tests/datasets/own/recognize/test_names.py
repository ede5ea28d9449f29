"""Tables of classes in the shapes that people write, and what is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from datasets.own.recognize.names import read, tables
from datasets.own.recognize.tree import Tree

COLORS = ((128, 64, 128), (0, 0, 142))
OBJECTS = '{"classes": [{"title": "road", "id": 3, "color": "#804080"}, {"title": "car", "id": 7, "color": "#00008E"}]}'


@pytest.mark.parametrize(
    ("file", "text", "ids", "colors"),
    [
        ("classes.txt", "road\ncar\n", (), ()),
        ("labels.txt", "# made by hand\n\n3: road\n7: car\n", (3, 7), ()),
        ("label_colors.txt", "128 64 128\troad\n0 0 142\tcar\n", (), COLORS),
        ("label_colors.txt", "road 128 64 128\ncar 0 0 142\n", (), COLORS),
        ("labelmap.txt", "# label:color_rgb:parts:actions\nroad:128,64,128::\ncar:0,0,142::\n", (), COLORS),
        ("class_dict.csv", "name,r,g,b\nroad,128,64,128\ncar,0,0,142\n", (), COLORS),
        ("_classes.csv", "Pixel Value, Class\n3, road\n7, car\n", (3, 7), ()),
        ("classes.csv", "id;name;color\n3;road;#804080\n7;car;#00008e\n", (3, 7), COLORS),
        ("classes.json", '["road", "car"]', (), ()),
        ("label_map.json", '{"3": "road", "7": "car"}', (3, 7), ()),
        ("classes.json", '{"road": 3, "car": 7}', (3, 7), ()),
        ("palette.json", '{"road": [128, 64, 128], "car": [0, 0, 142]}', (), COLORS),
        ("meta.json", OBJECTS, (3, 7), COLORS),
        ("data.yaml", "nc: 2\nnames: [road, car]\n", (), ()),
        ("data.yaml", "names:\n  3: road\n  7: car\n", (3, 7), ()),
        ("classes.yaml", "names: [road, car]\nids: [3, 7]\n", (), ()),
    ],
)  # fmt: skip
def test_shapes_of_tables(tmp_path: Path, file: str, text: str, ids: tuple, colors: tuple) -> None:
    (tmp_path / file).write_text(text)
    (found,) = tables(Tree.of(tmp_path))
    assert (found.names, found.ids, found.colors) == (("road", "car"), ids, colors)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("classes.txt", "road\nroad\n"),
        ("classes.json", '{"images": [{"id": 1}], "annotations": []}'),
        ("labels.json", "no json"),
        ("data.yaml", "train: ../train\n"),
        ("metadata.csv", "image,weather\na.jpg,fog\n"),
        ("colors.txt", "128 64 300 road\n1 2 3 car\n"),
        ("notes.txt", "road\ncar\n"),
    ],
)
def test_what_is_no_table_is_passed_over(tmp_path: Path, file: str, text: str) -> None:
    (tmp_path / file).write_text(text)
    assert not [table for table in tables(Tree.of(tmp_path)) if len(table.names) > 1]


def test_a_table_nearer_to_the_top_comes_first(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    (tmp_path / "train/_classes.csv").write_text("Pixel Value,Class\n0,a\n1,b\n")
    (tmp_path / "classes.txt").write_text("c\nd\n")
    assert [table.file for table in tables(Tree.of(tmp_path))] == ["classes.txt", "train/_classes.csv"]
    assert read(Tree.of(tmp_path), "train/_classes.csv") is not None
