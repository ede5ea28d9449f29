"""Files of HRNet's code and of the one with offset vectors: names, what is left out, one file or two for both ways."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from narrow_nets import GOLDEN
from torch import Tensor

import config
import datasets
import network
from compat.hrnet import weights as hrnet
from network import weights
from network.families import Settings
from network.net import Net
from network.trunk.hrnet import SECOND_STAGES, Stage
from network.weights import metadata
from options import archs
from scripts import convert_checkpoint
from utils.errors import UserError
from utils.positions import grid

pytestmark = pytest.mark.run

Save = Callable[..., Path]
CLASSES = {"loss.criterion.weight": torch.ones(5)}


@pytest.fixture
def save(tmp_path: Path) -> Save:
    def write(content: object, name: str = "best.pth") -> Path:
        torch.save(content, tmp_path / name)
        return tmp_path / name

    return write


def changed(net: Net, by: float = 1.0) -> dict[str, Tensor]:
    return {name: x + by if x.is_floating_point() else x for name, x in net.state_dict().items()}


def wrapped(state: dict[str, Tensor], side: int = 8) -> dict[str, Tensor]:
    """As the published code saves it: its wrapper's names, the grid of some crop, weights of the classes."""
    published = {"model.coords": torch.zeros(2, side, 2 * side, 2)}
    return published | {f"model.{name}": x for name, x in state.items()} | CLASSES


ARCHS = ["offset.HRNet", "offset.HRNet_OCR", "seg_hrnet.HRNet"]


@pytest.mark.in_make_test("best-8-offset*", "checkpoint-512-offset.HRNet_OCR", "parallel-8-offset.HRNet", "best-8-seg*")
@pytest.mark.parametrize("arch", ARCHS)
@pytest.mark.parametrize("side", [8, 512])
@pytest.mark.parametrize("kind", ["best", "checkpoint", "parallel", "bare"])
def test_published_files(narrow, save: Save, arch: str, side: int, kind: str) -> None:
    net = narrow(arch)
    state = changed(net)
    content = wrapped(state, side)
    if kind == "checkpoint":
        content = {"epoch": 7, "best_mIoU": 0.5, "state_dict": content, "optimizer": {"state": {}, "param_groups": []}}
    if kind == "parallel":
        content = {f"module.{name}": x for name, x in content.items()}
    if kind == "bare":
        content = {"coords": content["model.coords"]} | state
    file = weights.read_file(save(content))
    assert (file.arch, file.num_classes, file.layout) == (arch, 5, "HRNet's layout")
    assert (file.epoch, file.mean_iu) == ((6, 0.5) if kind == "checkpoint" else (0, 0.0))
    report = weights.load(net, save(content))
    assert report.complete and not report.unexpected and len(report.matched) == len(state)
    assert all(torch.equal(x, state[name]) for name, x in net.state_dict().items())


@pytest.mark.in_make_test("3")
@pytest.mark.parametrize("branch", [4, 3, 2])
def test_a_published_file_of_full_width(full, branch: int) -> None:
    name = {4: "cityscapes", 3: "offset_branch3", 2: "offset_branch2"}[branch]
    shapes = json.loads((GOLDEN / "offset" / f"branched_seg_hrnet_w48_{name}.json").read_text())
    with torch.device("meta"):
        content = {f"model.{key}": torch.empty(shape) for key, shape in shapes.items()} | CLASSES
    found = hrnet.parse(content)
    assert found is not None and (found.arch, found.num_classes) == ("offset.HRNet", 19)
    state = full("offset.HRNet", second_branch=SECOND_STAGES[branch - 2 :]).state_dict()
    assert {key: x.shape for key, x in found.state.items()} == {key: x.shape for key, x in state.items()}


@pytest.mark.in_make_test("2")
@pytest.mark.parametrize("branch", [4, 3, 2])
def test_the_file_names_its_network(narrow, save: Save, branch: int) -> None:
    path = save(wrapped(narrow("offset.HRNet", second_branch=second_branch(branch)).state_dict()))
    assert metadata.of_file(path) == {"MODEL.ARCH": "offset.HRNet", "MODEL.OFFSET_BRANCH": branch}
    other = narrow("offset.HRNet", second_branch=second_branch(3 if branch == 4 else 4))
    with pytest.raises(UserError, match=f"give MODEL.OFFSET_BRANCH {branch}"):
        weights.load(other, path)
    plain = save(wrapped(narrow("seg_hrnet.HRNet").state_dict()))
    assert metadata.of_file(plain) == {"MODEL.ARCH": "seg_hrnet.HRNet"}


# --- HRNet with OCR, without offsets: ocrnet.HRNet under other names --------------------------------------------------


def published_ocr(shapes: dict[str, list[int]]) -> dict[str, list[int]]:
    """What HRNet with OCR has of the network with offsets: all but the grid, the second way and the offset head."""
    return {
        key: shape
        for key, shape in shapes.items()
        if not key.startswith(("coords", "aux_head_offset")) and not key.partition(".")[0].endswith("_2")
    }


def test_a_published_file_of_ocr(full) -> None:
    """Every name and shape, in the order that an optimizer's state goes by; and the way back."""
    manifest = json.loads((GOLDEN / "offset" / "ovenet_seg_hrnet_ocr_w48_cityscapes.json").read_text())
    shapes = published_ocr(manifest)
    with torch.device("meta"):
        content = {f"model.{key}": torch.empty(shape) for key, shape in shapes.items()} | CLASSES
    found = hrnet.parse(content)
    assert found is not None and (found.arch, found.num_classes) == ("ocrnet.HRNet", 19)
    assert found.options == {"MODEL.ALIGN_CORNERS": True}
    state = full("ocrnet.HRNet").state_dict()
    assert [(key, x.shape) for key, x in found.state.items()] == [(key, x.shape) for key, x in state.items()]
    assert list(hrnet.write(found)[""]) == [f"model.{key}" for key in shapes]


@pytest.mark.in_make_test("bare")
@pytest.mark.parametrize("kind", ["best", "checkpoint", "bare"])
def test_ocr_gives_what_its_published_names_gave(narrow, save: Save, kind: str) -> None:
    """The scores of the network with offsets, whose names are the published ones, before they are fused."""
    theirs, ours = (narrow(arch, align_corners=True).eval() for arch in ("offset.HRNet_OCR", "ocrnet.HRNet"))
    published = published_ocr(dict.fromkeys(theirs.state_dict(), []))
    state = {key: x for key, x in theirs.state_dict().items() if key in published}
    for x in ours.parameters():
        x.data.fill_(0.5)
    content = state if kind == "bare" else {f"model.{name}": x for name, x in state.items()} | CLASSES
    path = save({"epoch": 3, "state_dict": content, "optimizer": {}} if kind == "checkpoint" else content)
    assert metadata.of_file(path) == {"MODEL.ARCH": "ocrnet.HRNet", "MODEL.ALIGN_CORNERS": True}
    report = weights.load(ours, path)
    assert report.complete and not report.unexpected
    with torch.inference_mode():
        x = torch.rand(1, 3, 64, 64)
        want, got = theirs(x), ours(x, size=(16, 16))
    for name, wanted in (("pred", "initial"), ("aux", "initial_aux")):
        torch.testing.assert_close(got[name], want[wanted])


@pytest.mark.in_make_test("4")
@pytest.mark.parametrize("branch", [4, 2])
def test_a_file_of_ocr_starts_the_network_with_offsets(narrow, save: Save, branch: int) -> None:
    """Published, or of ocrnet.HRNet itself: trunk, head, and the second way."""
    ours = narrow("ocrnet.HRNet")
    state = changed(ours)
    published = hrnet.write(weights.Weights(state, "plain"))[""]
    for content in (published, {f"module.{name}": x for name, x in state.items()}):
        net = narrow("offset.HRNet_OCR", second_branch=second_branch(branch))
        start(net, path=save(content))
        plain = {name.removeprefix("model."): x for name, x in published.items()}
        assert holds(net, plain) and holds(net, expected(plain, net))
    trunk = {name: x for name, x in plain.items() if name.startswith(("stage", "conv1."))}
    net = narrow("offset.HRNet_OCR", second_branch=second_branch(branch))
    start(net, "--trunk_weights", str(save(published)))
    assert holds(net, trunk)
    net = narrow("offset.HRNet", second_branch=second_branch(branch))  # another head
    start(net, path=save(published))
    assert holds(net, trunk) and holds(net, expected(plain, net))


def test_other_files_stay_what_they_are(narrow) -> None:
    state = narrow("ocrnet.HRNet").state_dict()
    assert hrnet.parse(state) is None
    assert hrnet.parse({"state_dict": {f"module.{k}": x for k, x in state.items()}}) is None
    assert hrnet.parse({"model": state}) is None
    assert hrnet.parse(CLASSES) is None
    told = hrnet.parse({f"model.{k}": x for k, x in state.items()})
    assert told is not None and told.arch == "" and told.num_classes is None


# --- both ways ----------------------------------------------------------------------------------------------------


def second_branch(branch: int) -> tuple[Stage, ...]:
    return tuple(Stage(1, (1,) * n) for n in range(branch, 5))


def expected(state: dict[str, Tensor], net: Net) -> dict[str, Tensor]:
    """What the second way gets from a plain network's weights."""
    names = [name for name in net.state_dict() if name.partition(".")[0].endswith("_2")]
    return {name: state[name.replace("_2.", ".", 1)] for name in names}


def holds(net: Net, entries: dict[str, Tensor]) -> bool:
    own = net.state_dict()
    return bool(entries) and all(torch.equal(own[name], x) for name, x in entries.items())


def start(net: Net, *words: str, path: Path | None = None) -> str:
    cfg = config.load(["--arch", "offset.HRNet", "--dataset", "cityscapes", "--width_mult", "0.25", *words])
    classes = datasets.spec("cityscapes").classes
    return network.start_snapshot(cfg, net, path, classes) if path else network.start_trunk(cfg, net)


@pytest.mark.in_make_test("model.-3")
@pytest.mark.parametrize("branch", [4, 3, 2])
@pytest.mark.parametrize("prefix", ["", "model."])
def test_one_file_for_both_ways(narrow, save: Save, branch: int, prefix: str) -> None:
    """ImageNet weights of the trunk, or a whole plain network, whose head is taken, too."""
    state = changed(narrow("seg_hrnet.HRNet"))
    path = save({prefix + name: x for name, x in state.items()})
    net = narrow("offset.HRNet", second_branch=second_branch(branch))
    lines = start(net, "--trunk_weights", str(path)).splitlines()
    assert "entries of the stages that exist twice" in lines[-1]
    assert holds(net, expected(state, net))
    assert holds(net, {name: x for name, x in state.items() if not name.startswith("last_layer")})
    assert not torch.equal(net.state_dict()["last_layer.3.bias"], state["last_layer.3.bias"])
    whole = narrow("offset.HRNet", second_branch=second_branch(branch))
    start(whole, path=path)
    assert holds(whole, expected(state, whole)) and holds(whole, state)


@pytest.mark.in_make_test("True-4", "False-2")
@pytest.mark.parametrize("branch", [4, 2])
@pytest.mark.parametrize("snapshot", [True, False])
def test_a_second_file_for_the_second_way(narrow, save: Save, branch: int, snapshot: bool) -> None:
    first, second = changed(narrow("seg_hrnet.HRNet")), changed(narrow("seg_hrnet.HRNet"), 2.0)
    files = save(wrapped(first), "acdc.pth"), save(wrapped(second), "initial.pth")
    net = narrow("offset.HRNet", second_branch=second_branch(branch))
    words = ["MODEL.OFFSET_PRETRAINED", str(files[1])]
    start(net, *words, path=files[0]) if snapshot else start(net, "--trunk_weights", str(files[0]), *words)
    assert holds(net, expected(second, net))
    assert holds(net, {name: x for name, x in first.items() if snapshot or not name.startswith("last_layer")})


def test_the_second_file_alone(narrow, save: Save) -> None:
    state = changed(narrow("seg_hrnet.HRNet"))
    net = narrow("offset.HRNet")
    before = net.state_dict()["stage4.0.branches.0.0.conv1.weight"].clone()
    assert "random weights" in start(net, "MODEL.OFFSET_PRETRAINED", str(save(state)))
    assert holds(net, expected(state, net))
    assert torch.equal(net.state_dict()["stage4.0.branches.0.0.conv1.weight"], before)


def test_modules_beyond_those_of_the_second_way_are_left_out(narrow, save: Save) -> None:
    """Stage 4 has three modules, the second one two."""
    stages = (*(Stage(1, (1,) * n) for n in (1, 2, 3)), Stage(3, (1,) * 4))
    state = changed(narrow("seg_hrnet.HRNet", stages=stages))
    net = narrow("offset.HRNet", stages=stages, second_branch=(Stage(2, (1,) * 4),))
    report = weights.load_second_branch(net, save(state))
    assert report.complete and not report.unexpected
    assert {name.split(".")[1] for name in report.matched if name.startswith("stage4_2")} == {"0", "1"}


def test_a_file_with_a_second_way_is_taken_as_it_is(narrow, save: Save) -> None:
    net = narrow("offset.HRNet")
    state = changed(narrow("offset.HRNet"))
    state |= {name: x + 1 for name, x in state.items() if "_2." in name}
    start(net, path=save(wrapped(state)))
    assert holds(net, state)


@pytest.mark.parametrize("arch", ["offset.DeepV3PlusR50", "offset.HRNet"])
def test_mistakes(narrow, save: Save, arch: str) -> None:
    """A network without such stages, or a file."""
    source = "seg_hrnet.HRNet" if "R50" in arch else "deepv3.DeepV3PlusR50"
    message = "the network has none" if "R50" in arch else "the file has none"
    with pytest.raises(UserError, match=message) as caught:
        weights.load_second_branch(narrow(arch), save(narrow(source).state_dict()))
    assert "\n" not in str(caught.value) and "MODEL.OFFSET_PRETRAINED" in str(caught.value)


def test_the_way_back(narrow, save: Save, tmp_path: Path) -> None:
    """Written as the published code loads it; the grid is of its training crop."""
    state = changed(narrow("offset.HRNet"))
    source = save({"format": "streetscale", "net": state, "arch": "offset.HRNet"})
    convert_checkpoint.convert(source, tmp_path / "out.pth", "hrnet")
    content = torch.load(tmp_path / "out.pth", weights_only=True)
    assert list(content) == ["model.coords", *(f"model.{name}" for name in state)]
    coords = content["model.coords"]
    assert tuple(coords.shape) == (2, 512, 1024, 2)
    columns = 2 * (torch.arange(1024) / 1023 - 0.5)
    torch.testing.assert_close(coords[1, 7, :, 0], columns)
    torch.testing.assert_close(coords[0], grid(torch.empty(1, 1, 512, 1024))[0].permute(1, 2, 0))
    net = narrow("offset.HRNet")
    assert weights.load(net, tmp_path / "out.pth").complete and holds(net, state)
    plain = hrnet.write(weights.Weights({"conv1.weight": torch.ones(1)}, "plain"))[""]
    assert list(plain) == ["model.conv1.weight"]


def test_optimizer_goes_by_the_published_order(narrow) -> None:
    """The grid is no trained parameter, so that positions are those of our own parameters."""
    shapes = json.loads((GOLDEN / "offset" / "branched_seg_hrnet_w48_cityscapes.json").read_text())
    with torch.device("meta"):
        net = network.compose(archs.find("offset.HRNet"), Settings(19))
    trained = [
        name for name in shapes if name != "coords" and not name.endswith(("running_mean", "running_var", "tracked"))
    ]
    state = net.state_dict(keep_vars=True)
    assert [name for name, x in state.items() if isinstance(x, torch.nn.Parameter)] == trained
