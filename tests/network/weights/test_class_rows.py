"""A snapshot of other classes: what it has for each goes to the class of that name, be it renamed or merged."""

from pathlib import Path
from typing import Any

import pytest
import torch

import config
import network
from network.weights import class_rows
from utils.errors import UserError

THEIRS = ("road", "sidewalk", "car", "truck", "sky")
NET = ["--arch", "mobilenetv2dilated+ocr+hierarchical", "--width_mult", "0.1", "--dataset", "camvid"]


def cfg(classes: int, *words: str) -> Any:
    return config.load([*NET, "--num_class", str(classes), *words])


@pytest.fixture
def snapshot(tmp_path: Path) -> Path:
    torch.manual_seed(1)
    net = network.build(cfg(len(THEIRS)))
    path = tmp_path / "theirs.pth"
    torch.save({"format": "streetscale", "net": net.state_dict(), "ema": None, "class_names": list(THEIRS)}, path)
    return path


def started(snapshot: Path, ours: tuple[str, ...], *words: str) -> tuple[network.Net, network.Net, str]:
    """The network before and after, and the lines."""
    options = cfg(len(ours), *words)
    torch.manual_seed(2)
    before = network.build(options)
    torch.manual_seed(2)
    net = network.build(options)
    return before, net, network.start_snapshot(options, net, snapshot, ours)


def rows(net: network.Net, name: str) -> list[torch.Tensor]:
    return list(net.state_dict()[name])


HEADS = ("ocr.cls_head.weight", "ocr.cls_head.bias", "ocr.aux_head.2.weight", "ocr.aux_head.2.bias")


def test_rows_go_by_name(snapshot: Path) -> None:
    theirs = torch.load(snapshot)["net"]
    before, net, lines = started(snapshot, ("sky", "pole", "road"))
    heads = [name for name, x in theirs.items() if len(THEIRS) in x.shape[:1] and "ocr" in name]
    assert len(heads) == 4
    for name in heads:
        sky, pole, road = rows(net, name)
        assert torch.equal(sky, theirs[name][4]) and torch.equal(road, theirs[name][0])
        assert torch.equal(pole, rows(before, name)[1])
    assert "2 of 3 classes start with what the file has for their names; new, at random: pole" in lines
    assert "left in the file: sidewalk, car, truck" in lines and "other shape" not in lines
    trunk = [name for name in theirs if name.startswith("backbone.")]
    state = net.state_dict()
    assert trunk and all(torch.equal(theirs[name], state[name]) for name in trunk)


def test_all_new_classes_are_named(snapshot: Path) -> None:
    """However many there are, and which of them the file may have in another spelling."""
    ours = ("Road", "side-walk", *(f"new {k}" for k in range(9)))
    _, _, lines = started(snapshot, ours)
    assert f"new, at random: {', '.join(ours)};" in lines
    assert "written otherwise there, for --map_classes: Road: road, side-walk: sidewalk" in lines


def test_as_many_classes_in_another_order(snapshot: Path) -> None:
    """Shapes agree, and yet nothing stays where it was."""
    theirs = torch.load(snapshot)["net"]
    _, net, lines = started(snapshot, THEIRS[::-1])
    name = next(name for name in theirs if "cls_head" in name)
    assert torch.equal(torch.stack(rows(net, name)), theirs[name].flip(0)) and "5 of 5 classes" in lines


def test_the_same_classes_are_left_alone(snapshot: Path) -> None:
    _, net, lines = started(snapshot, THEIRS)
    state = net.state_dict()
    assert all(torch.equal(x, state[name]) for name, x in torch.load(snapshot)["net"].items())
    assert "classes start" not in lines


def test_renamed_and_merged(snapshot: Path, tmp_path: Path) -> None:
    (tmp_path / "map.yaml").write_text("vehicle: [car, truck]\npavement: sidewalk\n")
    theirs = torch.load(snapshot)["net"]
    _, net, lines = started(
        snapshot,
        ("vehicle", "pavement", "sky"),
        "--map_classes",
        str(tmp_path / "map.yaml"),
        "--snapshot",
        str(snapshot),
    )
    name = next(name for name in theirs if "cls_head" in name)
    vehicle, pavement, sky = rows(net, name)
    assert torch.allclose(vehicle, theirs[name][2:4].mean(0)) and torch.equal(pavement, theirs[name][1])
    assert torch.equal(sky, theirs[name][4]) and "3 of 3 classes" in lines


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("vehicle: [car, truk]\n", "the file has no class 'truk'; did you mean 'truck'"),
        ("vehicle: no\n", "the file has no class 'no'"),
        ("vehicel: car\n", "this dataset has no class 'vehicel'; did you mean 'vehicle'"),
        ("vehicle:\n", "vehicle has no class of the file behind it"),
        ("vehicle: []\n", "vehicle has no class of the file behind it"),
        ("", "give a line for each class"),
        ("- car\n", "give a line for each class"),
    ],
)
def test_a_map_that_does_not_fit_is_refused(content: str, what: str, snapshot: Path, tmp_path: Path) -> None:
    (tmp_path / "map.yaml").write_text(content)
    with pytest.raises(UserError, match=what):
        started(snapshot, ("vehicle", "sky"), "--map_classes", str(tmp_path / "map.yaml"), "--snapshot", str(snapshot))


def test_a_map_for_a_file_without_names_is_refused(tmp_path: Path) -> None:
    torch.manual_seed(1)
    torch.save(network.build(cfg(5)).state_dict(), tmp_path / "bare.pth")
    (tmp_path / "map.yaml").write_text("vehicle: car\n")
    with pytest.raises(UserError, match="--map_classes: .*bare.pth does not name its classes"):
        started(tmp_path / "bare.pth", ("vehicle", "sky"), "--map_classes", str(tmp_path / "map.yaml"),
                "--snapshot", str(tmp_path / "bare.pth"))  # fmt: skip


def test_axes_are_found(snapshot: Path) -> None:
    options = cfg(7)
    axes = network._class_axes(options, network.build(options))  # noqa: SLF001
    assert set(axes.values()) == {0} and len(axes) == 4
    assert class_rows
