"""Which values are classes, which mean "not labeled", and how classes are called."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import own_layouts as drawn
import pytest
from pictures import write_image

from datasets.own.recognize.looks import Looks, look
from datasets.own.recognize.names import Table
from datasets.own.recognize.values import classes, of_cityscapes, unlabeled_value


@pytest.mark.parametrize(
    ("values", "marked"),
    [
        ([0, 1, 2, 255], [255]),
        ([0, 255], []),  # two classes, black and white
        ([0, 1, 255], [255]),
        ([0, 127, 254], []),  # steps of one size: three classes that can be seen
        ([0, 85, 170, 255], []),
        ([1, 2, 3, 4], []),
        ([0, 100, 255], []),
        ([7, 8, 11, 26, 65535], [65535]),
        ([252, 253, 254, 255], []),
    ],
)
def test_values_that_stand_apart(values: list[int], marked: list[int]) -> None:
    assert unlabeled_value(values)[0] == marked


def looks(values: list, kind: str = "gray", palette: dict | None = None) -> Looks:
    found = Looks(kind, 10, palette=palette or {})
    for n, value in enumerate(values):
        found.files[value], found.pixels[value] = 10 - n, 1000 - n
    return found


def test_tables_fit_by_ids_by_place_or_from_one_on() -> None:
    with_ids = Table("labels.txt", ("road", "car", "void"), (3, 7, 0))
    found = classes(looks([0, 3, 7]), [with_ids])
    assert [(row.name, row.id) for row in found.rows] == [("road", 3), ("car", 7)] and found.ignore == (0,)
    plain = Table("classes.txt", ("road", "car"))
    assert [(row.name, row.id) for row in classes(looks([0, 1, 255]), [plain]).rows] == [("road", 0), ("car", 1)]
    one_on = classes(looks([0, 1, 2]), [plain])
    assert [(row.name, row.id) for row in one_on.rows] == [("background", 0), ("road", 1), ("car", 2)]
    assert "from 1 on" in one_on.source
    assert [row.name for row in classes(looks([0, 1, 9]), [plain]).rows] == ["class_0", "class_1", "class_9"]


def seen(**of: tuple[int, int]) -> Looks:
    """Ten labels with values, each in (files, pixels): v77=(1, 12)."""
    found = Looks("gray", 10)
    for name, (files, pixels) in of.items():
        found.files[int(name[1:])], found.pixels[int(name[1:])] = files, pixels
    return found


def test_a_slip_is_no_class_and_no_reason_to_pass_over_a_table() -> None:
    """It is not ignored either: check_data finds it."""
    table = Table("classes.txt", ("ground", "road", "car"))
    most = {"v0": (10, 5000), "v1": (10, 4000), "v2": (8, 900)}
    for more, ignored in (({}, ()), ({"v255": (9, 500)}, (255,)), ({"v255": (1, 3)}, (255,))):
        found = classes(seen(**most, v77=(1, 12), **more), [table])
        assert [(row.name, row.id) for row in found.rows] == [("ground", 0), ("road", 1), ("car", 2)]
        assert found.ignore == ignored
        (note,) = found.notes
        assert note.startswith("77 (in 1 of 10 labels, 0.1") and "has no name in classes.txt" in note
        assert note in found.source
    assert not classes(seen(**most), [table]).notes


@pytest.mark.parametrize("slip", [(1, 60), (2, 12), (9, 900)])
def test_a_table_that_leaves_out_more_is_named_with_the_reason(slip: tuple[int, int]) -> None:
    """More pixels than slips have, or more files."""
    found = classes(seen(v0=(10, 5000), v1=(10, 4000), v77=slip), [Table("classes.txt", ("road", "car"))])
    assert [row.name for row in found.rows] == ["class_0", "class_1", "class_77"]
    (note,) = found.notes
    assert note.startswith(f"classes.txt is not used: its 2 names leave out 77 (in {slip[0]} of 10 labels")


def test_a_table_that_names_all_comes_before_one_that_names_most() -> None:
    tables = [Table("a.txt", ("x", "y")), Table("b.csv", ("road", "car", "tram"), (0, 1, 77))]
    found = classes(seen(v0=(10, 5000), v1=(10, 4000), v77=(1, 12)), tables)
    assert [row.name for row in found.rows] == ["road", "car", "tram"] and not found.notes
    one_on = classes(seen(v0=(10, 5000), v1=(10, 4000), v2=(1, 12)), [tables[0]])
    assert [row.name for row in one_on.rows] == ["background", "x", "y"]


def test_tables_that_do_not_fit_colors_are_said() -> None:
    colors = [(1, 1, 1), (2, 2, 2), (3, 3, 4)]
    table = Table("a.csv", ("x", "y"), (), (colors[0], (9, 9, 9)))
    assert classes(looks(colors, "rgb"), [table]).notes == ("a.csv not used: under half of 3 colors stand in a.csv",)
    assert classes(looks(colors, "rgb"), [Table("c.txt", ("x",))]).notes == ("c.txt not used: without colors",)
    assert not classes(looks(colors, "rgb"), []).notes


def test_a_value_without_a_name_is_left_out_and_said() -> None:
    found = classes(looks([0, 1, 255]), [Table("classes.txt", ("road", "car"))])
    assert found.ignore == (255,) and "classes.txt has no name for it" in found.ignored_why[0]
    bare = classes(looks([0, 1, 255]), [])
    assert bare.ignore == (255,) and "it stands apart from the others, 0 to 1" in bare.ignored_why[0]


def test_colors_by_a_table_by_a_published_palette_or_numbered() -> None:
    road, car, black = (128, 64, 128), (0, 0, 142), (0, 0, 0)
    table = Table("class_dict.csv", ("lane", "auto", "Void"), (), (road, car, black))
    found = classes(looks([road, car, black, (1, 2, 3)], "rgb"), [table])
    assert [row.name for row in found.rows] == ["lane", "auto"] and found.ignore == ([0, 0, 0], [1, 2, 3])
    sky = (70, 130, 180)
    known = classes(looks([black, car, sky, road], "rgb"), [])
    assert [row.name for row in known.rows] == ["car", "sky", "road"] and known.ignore == ([0, 0, 0],)
    assert "as in cityscapes" in known.source
    none = classes(looks([car, (9, 9, 9)], "rgb"), [])
    assert [(row.name, row.color) for row in none.rows] == [("class_0", car), ("class_1", (9, 9, 9))]


def test_palettes_are_named_by_the_colors_of_a_table() -> None:
    table = Table("labelmap.txt", ("road", "car"), (), ((1, 1, 1), (2, 2, 2)))
    found = classes(looks([4, 9], "palette", {4: (2, 2, 2), 9: (1, 1, 1)}), [table])
    assert [(row.name, row.id) for row in found.rows] == [("car", 4), ("road", 9)]


def test_files_called_as_cityscapes_have_its_classes() -> None:
    found = of_cityscapes(looks([0, 7, 26]), "gtFine/*_gtFine_labelIds")
    assert found and found.rows[0].id == 7 and 0 in found.ignore and len(found.rows) == 19
    assert of_cityscapes(looks([0, 7, 99]), "gtFine/*_gtFine_labelIds") is None
    assert of_cityscapes(looks([0, 7, 26]), "masks") is None


def test_pictures_are_told_by_their_pixels(tmp_path: Path) -> None:
    write_image(tmp_path / "photo.png", drawn.image(0))
    write_image(tmp_path / "gray.png", drawn.label(0))
    write_image(tmp_path / "three.png", np.repeat(drawn.label(0)[..., None], 3, 2))
    write_image(tmp_path / "rgb.png", drawn.colors(0))
    drawn.write_palette(tmp_path / "palette.png", drawn.label(0))
    kinds = {path.stem: look(path).kind for path in tmp_path.iterdir()}
    assert kinds == {"photo": "photo", "gray": "gray", "three": "gray", "rgb": "rgb", "palette": "palette"}
    ramp = np.zeros((200, 200), np.uint8)
    ramp[50:, 50:] = 255
    ramp[50, 50:110] = np.arange(60) + 1  # an edge of which each value is one pixel
    write_image(tmp_path / "blurred.png", ramp)
    found = look(tmp_path / "blurred.png")
    assert found.kind == "spoilt" and "resized with interpolation" in found.why
