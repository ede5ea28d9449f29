"""CVAT's XML for images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from annotations import HEIGHT, WIDTH, box, classes_of, found, image, label, labels, rules

from datasets.own import cvat
from utils.errors import UserError

META = """<meta><task><labels>
<label><name>road</name><color>#010203</color><type>any</type><attributes></attributes></label>
<label><name>car</name><color>#ff0000</color></label></labels></task></meta>"""
SQUARE = '<polygon label="car" points="2.0,1.0;5.0,1.0;5.0,4.0;2.0,4.0" occluded="0" z_order="{z}"></polygon>'
ALL = '<box label="road" xtl="0" ytl="0" xbr="8" ybr="6" z_order="{z}"></box>'


def write(tmp_path: Path, *objects: str, name: str = "a.png", size: tuple[int, int] = (HEIGHT, WIDTH)) -> Path:
    path = tmp_path / "annotations.xml"
    head = f'<image id="0" name="{name}" width="{size[1]}" height="{size[0]}">'
    body = "\n".join(objects)
    inner = f"<version>1.1</version>{META}{head}\n{body}</image>"
    path.write_text(f'<?xml version="1.0" encoding="utf-8"?>\n<annotations>{inner}</annotations>')
    return path


def drawn(tmp_path: Path, *objects: str, **more: object) -> np.ndarray:
    return label(rules("cvat", write(tmp_path, *objects), **more), image(tmp_path, "a.png"))


def test_objects(tmp_path: Path) -> None:
    square = box(1, 2, 4, 5)
    assert (drawn(tmp_path, SQUARE.format(z=0)) == square).all()
    assert (drawn(tmp_path, '<box label="car" xtl="2" ytl="1" xbr="5" ybr="4"/>') == square).all()
    mask = '<mask label="car" rle="0, 1, 1, 3" left="3" top="2" width="3" height="1"/>'.replace(
        "0, 1, 1, 3", "0, 1, 1, 1"
    )
    expected = box(2, 3, 3, 4)
    expected[2, 5] = 1
    assert (drawn(tmp_path, mask) == expected).all()
    rows = '<mask label="car" rle="1, 1, 2, 2" left="0" top="0" width="2" height="3"/>'
    expected = box(2, 0, 3, 2)
    expected[0, 1] = 1
    assert (drawn(tmp_path, rows) == expected).all()
    ellipse = drawn(tmp_path, '<ellipse label="car" cx="4" cy="3" rx="2" ry="2"/>')
    assert (ellipse == 1).sum() == 12


def test_turned_boxes(tmp_path: Path) -> None:
    upright = drawn(tmp_path, '<box label="car" xtl="3" ytl="0" xbr="5" ybr="6"/>')
    turned = drawn(tmp_path, '<box label="car" xtl="1" ytl="2" xbr="7" ybr="4" rotation="90"/>')
    assert (upright == turned).all()


def test_z_order_comes_before_the_order_of_the_file(tmp_path: Path) -> None:
    over = box(1, 2, 4, 5, around=0)
    assert (drawn(tmp_path, ALL.format(z=0), SQUARE.format(z=0)) == over).all()
    assert (drawn(tmp_path, SQUARE.format(z=0), ALL.format(z=0)) == 0).all()
    assert (drawn(tmp_path, SQUARE.format(z=1), ALL.format(z=0)) == over).all()
    assert (drawn(tmp_path, SQUARE.format(z=-1), ALL.format(z=0)) == 0).all()
    assert (drawn(tmp_path, SQUARE.format(z=-1), ALL.format(z=0), overlap="smallest") == over).all()


def test_what_is_said(tmp_path: Path) -> None:
    odd = (
        '<polyline label="x" points="0,0;1,1"/>',
        '<points label="x" points="0,0"/>',
        '<tag label="x"/>',
        "<cuboid/>",
    )
    skeleton = '<skeleton label="x"><points label="y" points="1,1"/></skeleton>'
    two = '<polygon label="car" points="1,1;2,2"/>'
    out = '<polygon label="car" points="-20,0;-10,0;-10,5"/>'
    path = write(tmp_path, *odd, skeleton, two, out)
    notes = "\n".join(found(rules("cvat", path), image(tmp_path, "a.png")).notes)
    for kind in ("polyline", "points", "tag", "cuboid", "skeleton"):
        assert f"objects of the kind {kind} give no exact area: left out (1;" in notes
    assert "under 3 different points: left out (1; the first: " in notes and "annotations.xml, line " in notes
    assert "objects lie outside of their image: left out (1;" in notes


def test_the_unpacked_export(tmp_path: Path) -> None:
    write(tmp_path, SQUARE.format(z=0), name="drive/a.png")
    picture = image(tmp_path / "images", "drive/a.png")
    assert (label(rules("cvat", tmp_path), picture) == box(1, 2, 4, 5)).all()
    assert cvat.looks_like(str(tmp_path)) == (
        "annotations.xml",
        "images",
        "annotations.xml has annotations with images: CVAT for images",
    )
    listed = classes_of(cvat.EXPORT, str(tmp_path))
    assert [tuple(one) for one in listed] == [("road", None, (1, 2, 3), 0), ("car", None, (255, 0, 0), 1)]


def test_other_files_are_not_recognized(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text("<annotation><object/></annotation>")
    assert cvat.looks_like(str(tmp_path)) is None


def test_several_images_in_a_file(tmp_path: Path) -> None:
    path = write(tmp_path, SQUARE.format(z=0), '</image><image name="b.png" width="8" height="6">', ALL.format(z=0))
    one, other = labels(rules("cvat", path), image(tmp_path, "a.png"), image(tmp_path, "b.png"))
    assert (one == box(1, 2, 4, 5)).all() and (other == 0).all()


BOMB = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;">]><annotations>&b;</annotations>'
OUTSIDE = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><annotations>&a;</annotations>'


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (BOMB, "line 1: a document type .* is refused"),
        (OUTSIDE, "line 1: a document type .* is refused"),
        ("<annotations>&x;</annotations>", "line 1: no valid XML: undefined entity"),
        ("<annotations>\n<image>", "line 2: .*the image has no name|line 2: no valid XML"),
        ("<a>" * 1000, "more than 64 elements within each other"),
        ("", "line 1: no valid XML: no element found"),
        ("\x00\x01", "no valid XML"),
        ("<annotation></annotation>", "is no file of CVAT"),
        ('<annotations><track id="0"></track></annotations>', "tracks of a video; export as 'CVAT for images 1.1'"),
        ('<?xml version="1.0" encoding="klingon"?><annotations/>', "no valid XML: unknown encoding"),
    ],
)
def test_a_malformed_file_is_one_line(tmp_path: Path, text: str, line: str) -> None:
    path = tmp_path / "annotations.xml"
    path.write_text(text)
    with pytest.raises(UserError, match=line) as error:
        cvat.read([str(path)], "my.yaml, labels")
    assert str(path) in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("object_", "line"),
    [
        ('<polygon label="car" points="1,2;3"/>', "line .*no list of points|x,y;x,y"),
        ('<polygon label="car" points="1,2;a,b;3,4"/>', "points are not 'x,y;x,y;...'"),
        ('<polygon label="car" points="1,2;nan,3;3,4"/>', "nan is no coordinate"),
        ('<polygon label="car" points="1,2;1,3;3,4" z_order="high"/>', "z_order is no number, but 'high'"),
        ('<box label="car" xtl="0" ytl="0" xbr="8"/>', "ybr is no number, but None"),
        ('<mask label="car" rle="1,2" left="0" top="0" width="2" height="3"/>', "its mask has 3 pixels instead of 6"),
        ('<mask label="car" rle="a" left="0" top="0" width="2" height="3"/>', "rle is no list of whole numbers"),
        ('<mask label="car" rle="6" left="0" top="0" width="99999999" height="99999999"/>', "pixels are more than"),
        ('<mask label="car" rle="6" left="0.5" top="0" width="2" height="3"/>', "left is no whole number, but 0.5"),
        ('<polygon label="cars" points="1,2;1,3;3,4"/>', "'cars' .1 object in 1 image.; did you mean 'car'"),
    ],
)
def test_a_malformed_object_is_one_line(tmp_path: Path, object_: str, line: str) -> None:
    with pytest.raises(UserError, match=line) as error:
        drawn(tmp_path, object_)
    assert "\n" not in str(error.value)


def test_a_packed_export(tmp_path: Path) -> None:
    (tmp_path / "task.zip").write_bytes(b"PK")
    with pytest.raises(UserError, match="my.yaml, labels: .*task.zip has no file .*.xml, and is packed: unpack it"):
        found(rules("cvat", tmp_path / "task.zip"), image(tmp_path, "a.png"))


def test_sizes(tmp_path: Path) -> None:
    picture = image(tmp_path, "a.png")
    with pytest.raises(UserError, match="a.png: the annotation is for 8x7 pixels, the image has 8x6"):
        label(rules("cvat", write(tmp_path, size=(7, 8))), picture)
    with pytest.raises(UserError, match="pixels are more than"):
        label(rules("cvat", write(tmp_path, size=(10**7, 10**7))), picture)
