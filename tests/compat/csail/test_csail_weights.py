"""Pairs of an encoder's and a decoder's file: what they tell of their network, into ours and back, bit for bit."""

from __future__ import annotations

import shutil
from pathlib import Path

import parsing_pairs
import pytest
import torch
from parsing_pairs import SMALL, manifest
from torch import Tensor

import network
from compat.csail import pairs
from compat.csail import weights as csail
from network import weights
from network.families import Settings
from network.weights import metadata, safe_load
from options.archs import ARCHS
from options.parts import DECODERS, ENCODERS
from scripts import convert_checkpoint
from utils.errors import UserError

pytestmark = pytest.mark.run

PUBLISHED = {
    "resnet18dilated": "ppm_deepsup_fc512",
    "resnet50dilated": "ppm_deepsup_fc2048",
    "resnet101dilated": "ppm_deepsup_fc2048",
    "resnet101": "upernet_fc2048",
    "resnet50": "upernet_lite_fc2048",
    "resnext101": "upernet_fc2048",
    "mobilenetv2dilated": "c1_deepsup_fc320",
    "hrnetv2": "c1_fc720",
}


def net_of(encoder: str, decoder: str, mult: float = 1.0, classes: int = 150) -> network.Net:
    return network.compose(
        ARCHS["encoder_decoder"], Settings(classes, encoder=encoder, decoder=decoder, width_mult=mult)
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return parsing_pairs.write(tmp_path_factory.mktemp("pairs") / f"ade20k-{SMALL[0]}-{SMALL[1]}")


def shapes(state: dict[str, Tensor]) -> list[tuple[str, list[int]]]:
    return [(key, list(x.shape)) for key, x in state.items()]


@pytest.mark.parametrize("encoder", PUBLISHED)
def test_a_writer_gives_the_manifests(encoder: str) -> None:
    decoder, _, channels = PUBLISHED[encoder].rpartition("_fc")
    with torch.device("meta"):
        state = net_of(encoder, decoder).state_dict()
    found = csail.write(weights.Weights(dict(state), "own", "encoder_decoder", epoch=19))
    assert list(found) == ["encoder_epoch_20.pth", "decoder_epoch_20.pth"]
    names = (f"encoder_{encoder}", f"decoder_{decoder}_fc{channels}")
    for content, name in zip(found.values(), names, strict=True):
        assert shapes(content) == list(manifest(name).items())


@pytest.mark.in_make_test("resnet18*", "resnet50-0.125", "mobilenetv2-1.0")
@pytest.mark.parametrize("mult", [0.125, 1.0])
@pytest.mark.parametrize("encoder", [name for name in ENCODERS if "dilated" not in name])
def test_parts_are_told_by_their_entries(encoder: str, mult: float) -> None:
    for decoder in DECODERS:
        if encoder == "hrnetv2" and decoder.endswith("deepsup"):
            continue
        with torch.device("meta"):
            net = net_of(encoder, decoder, mult)
        states = (net.encoder.state_dict(), net.decoder.state_dict())  # type: ignore[union-attr]
        assert (csail.encoder_of(states[0]), csail.decoder_of(states[1])) == (encoder, decoder)
        paths = (Path("x/e.pth"), Path("x/d.pth"))
        found = csail.parse(pairs.Pair(*states, paths))  # type: ignore[arg-type]
        assert found and found.num_classes == 150


@pytest.mark.in_make_test("ade20k-resnet18dilated-*", "ckpt-", "resnet18dilated-*")
@pytest.mark.parametrize(
    ("name", "encoder"),
    [
        ("ade20k-resnet18dilated-ppm_deepsup", "resnet18dilated"),
        ("ade20k-resnet18-ppm_deepsup", "resnet18"),
        ("baseline-resnet18_dilated8-ppm_bilinear_deepsup", "resnet18_dilated8"),
        (
            "baseline-resnet18_dilated16-ppm_bilinear_deepsup-ngpus8-batchSize16-imgMaxSize1000-LR_decoder0.02-epoch20",
            "resnet18_dilated16",
        ),
        ("ade20k-resnet50dilated-ppm_deepsup", ""),  # of another network than the files in it
        ("resnet18dilated-ppm_deepsup", ""),
        ("ckpt", ""),
    ],
)
def test_dilation_is_told_by_the_folder(name: str, encoder: str) -> None:
    states = [parsing_pairs.state(part) for part in ("encoder_resnet18dilated", "decoder_ppm_deepsup_fc512")]
    found = weights.parse(pairs.Pair(*states, (Path(f"/x/{name}/e.pth"), Path(f"/x/{name}/d.pth"))), "x")  # type: ignore[arg-type]
    assert found.arch == "encoder_decoder" and found.num_classes == 150
    assert found.options == {
        "MODEL.ENCODER": encoder, "MODEL.DECODER": "ppm_deepsup", "DATASET.NAME": "ade20k", "DATASET.PADDING": 8,
        "DATASET.IMG_SIZES": "300,375,450,525,600", "DATASET.IMG_MAX_SIZE": 1000,
    }  # fmt: skip


@pytest.mark.parametrize(("encoder", "decoder", "classes"), [("hrnetv2", "c1", 7), ("resnet50", "upernet_lite", 150)])
def test_what_goes_with_a_network(encoder: str, decoder: str, classes: int) -> None:
    """HRNet is never dilated; other classes are no ADE20K; these two were trained in multiples of 32."""
    with torch.device("meta"):
        net = net_of(encoder, decoder, 0.125, classes)
    states = (net.encoder.state_dict(), net.decoder.state_dict())  # type: ignore[union-attr]
    found = weights.parse(pairs.Pair(*states, (Path("x/e.pth"), Path("x/d.pth"))), "x")  # type: ignore[arg-type]
    assert found.options["MODEL.ENCODER"] == ("hrnetv2" if encoder == "hrnetv2" else "")
    assert found.options["DATASET.PADDING"] == 32
    assert ("DATASET.NAME" in found.options) == ("DATASET.IMG_SIZES" in found.options) == (classes == 150)


@pytest.mark.parametrize("as_paths", [False, True])
def test_all_of_a_pair_is_loaded_and_nothing_else_told(folder: Path, as_paths: bool) -> None:
    net = net_of(*SMALL[:2])
    files = [folder / "encoder_epoch_20.pth", folder / "decoder_epoch_20.pth"]
    report = weights.load(net, ",".join(map(str, files)) if as_paths else folder)
    assert report.complete and not report.unexpected
    assert len(str(report).splitlines()) == 1 and "encoder_epoch_20.pth and decoder_epoch_20.pth" in str(report)
    for name, part in (("encoder", net.encoder), ("decoder", net.decoder)):
        published = parsing_pairs.state(SMALL[2] if name == "encoder" else SMALL[3])
        for key, x in part.state_dict().items():  # type: ignore[union-attr]
            assert torch.equal(x, published[key])


def test_from_a_pair_into_ours_and_back(folder: Path, tmp_path: Path) -> None:
    """Through a checkpoint of ours, every entry keeps its bits; the buffers go on from the running statistics."""
    net = net_of(*SMALL[:2])
    weights.load(net, folder)
    ours = {"format": "streetscale", "net": net.state_dict(), "arch": "encoder_decoder", "epoch": 19}
    torch.save(ours, tmp_path / "ours.pth")
    words = [str(tmp_path / "ours.pth"), str(tmp_path / "back"), "--to", "csail"]
    assert convert_checkpoint.main(words) == 0
    assert sorted(path.name for path in (tmp_path / "back").iterdir()) == [
        "decoder_epoch_20.pth", "encoder_epoch_20.pth",
    ]  # fmt: skip
    for kind, name in (("encoder", SMALL[2]), ("decoder", SMALL[3])):
        there = safe_load.read(folder / f"{kind}_epoch_20.pth")
        back = safe_load.read(tmp_path / "back" / f"{kind}_epoch_20.pth")
        assert shapes(back) == list(manifest(name).items())
        for key, x in back.items():
            norm, _, entry = key.rpartition(".")
            if entry.startswith("_tmp_"):
                statistic = back[f"{norm}.{entry.removeprefix('_tmp_')}"]
                torch.testing.assert_close(x / back[f"{norm}._running_iter"], statistic)
            elif entry != "_running_iter":
                assert torch.equal(x, there[key]), key
            else:  # the count of a long training at the published momentum
                torch.testing.assert_close(x, torch.tensor([1000.0]))
    again = net_of(*SMALL[:2])
    assert weights.load(again, tmp_path / "back").complete
    saved = net.state_dict()
    assert all(torch.equal(x, saved[key]) for key, x in again.state_dict().items())


def test_the_other_layouts_take_a_pair(folder: Path, tmp_path: Path) -> None:
    assert convert_checkpoint.main([str(folder), str(tmp_path / "plain.pth"), "--to", "plain"]) == 0
    net = net_of(*SMALL[:2])
    assert weights.load(net, tmp_path / "plain.pth").complete


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("conv.weight",), "has no encoder and decoder"),
        (("encoder.a", "decoder.a", "scale_attn.a", "scale_attn.b"), "2 entries outside its encoder and decoder"),
        (("encoder.a", "decoder.a", "offset_layer.a"), "(offset_layer.a): there is no place for them"),
    ],
)
def test_only_such_networks_have_the_layout(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], names: tuple[str, ...], message: str
) -> None:
    torch.save(dict.fromkeys(names, torch.zeros(2)), tmp_path / "x.pth")
    assert convert_checkpoint.main([str(tmp_path / "x.pth"), str(tmp_path / "out"), "--to", "csail"]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


class Poison:
    def __reduce__(self):
        return (print, ("ran",))


class TestMistakes:
    def test_swapped(self, folder: Path) -> None:
        files = [str(folder / f"{kind}_epoch_20.pth") for kind in ("decoder", "encoder")]
        with pytest.raises(UserError, match="decoder_epoch_20.pth holds the other part, not the encoder"):
            weights.read_file(",".join(files))

    def test_twice_the_encoder(self, folder: Path) -> None:
        file = folder / "encoder_epoch_20.pth"
        with pytest.raises(UserError, match="holds the other part, not the decoder"):
            weights.read_file(f"{file},{file}")

    def test_missing(self, folder: Path, tmp_path: Path) -> None:
        with pytest.raises(UserError, match=r"^checkpoint \S*/dec.pth: there is nothing here"):
            weights.read_file(f"{folder / 'encoder_epoch_20.pth'},{tmp_path / 'dec.pth'}")

    @pytest.mark.parametrize("kind", ["encoder", "decoder"])
    def test_poisoned(self, folder: Path, tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
        """What a pickle asks for is named and not done."""
        copy = Path(shutil.copytree(folder, tmp_path / "copy"))
        torch.save({"x": Poison()}, copy / f"{kind}_epoch_20.pth")
        with pytest.raises(UserError, match=rf"{kind}_epoch_20\.pth: refused, since it asks for \S*print"):
            weights.read_file(copy)
        assert capsys.readouterr().out == ""

    @pytest.mark.parametrize("content", [[1, 2], {"epoch": 3}])
    def test_without_weights(self, folder: Path, tmp_path: Path, content: object) -> None:
        copy = Path(shutil.copytree(folder, tmp_path / "copy"))
        torch.save(content, copy / "decoder_epoch_20.pth")
        with pytest.raises(UserError, match="decoder_epoch_20.pth holds no weights"):
            weights.read_file(copy)

    def test_dilation_untold(self, folder: Path, tmp_path: Path) -> None:
        copy = Path(shutil.copytree(folder, tmp_path / "ckpt"))
        asked = "mobilenetv2, mobilenetv2dilated or mobilenetv2_dilated16 .* --arch_decoder c1_deepsup"
        with pytest.raises(UserError, match=f"ckpt does not name its network: give both --arch_encoder {asked}"):
            metadata.of_file(copy)
        assert metadata.of_start(copy, "encoder_decoder")["MODEL.ENCODER"] == ""
        with pytest.raises(UserError, match="does not tell its encoder's dilation: give --arch_encoder"):
            net_of("", "c1")

    def test_entries_of_no_network_here(self, tmp_path: Path) -> None:
        torch.save({"a.weight": torch.zeros(2)}, tmp_path / "encoder_epoch_1.pth")
        torch.save({"conv_last.weight": torch.zeros(2)}, tmp_path / "decoder_epoch_1.pth")
        with pytest.raises(UserError, match="does not name its network: give both --arch_encoder and --arch_decoder$"):
            metadata.of_file(tmp_path)
