"""Encoders and decoders of scene parsing: names and shapes, outputs and a training step as published; all pairs."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from golden import fill
from narrow_nets import GOLDEN, weight
from torch import Tensor, nn

import config
import loss
import network
from inference import RULES, Predictor, export
from inference.rule import EvalRule
from network.families import Settings
from options.archs import ARCHS
from options.parts import DECODERS, ENCODERS
from utils.contracts import Outputs
from utils.errors import UserError

pytestmark = pytest.mark.run  # networks of full width

CSAIL = GOLDEN / "csail"
MANIFESTS = sorted(path.stem for path in CSAIL.glob("*coder_*.json"))
NETS = sorted(path.stem for path in CSAIL.glob("*.npz") if path.stem.startswith(("hrnet", "mobilenet", "resne")))
EXTRA = ("_tmp_running_mean", "_tmp_running_var", "_running_iter")  # buffers that are no part of our state
LEAST, LEAST_DOUBLE = 1e-4, 1e-5  # shares of the largest value that an error may have
ENCODER_OF = {"320": "mobilenetv2dilated", "512": "resnet18dilated", "720": "hrnetv2", "2048": "resnet50"}


def manifest(name: str) -> dict[str, list[int]]:
    content = json.loads((CSAIL / f"{name}.json").read_text())
    return {key: shape for key, shape in content.items() if not key.endswith(EXTRA)}


def parts(encoder: str, decoder: str) -> network.Net:
    with torch.device("meta"):
        return network.compose(ARCHS["encoder_decoder"], Settings(150, encoder=encoder, decoder=decoder))


@pytest.mark.parametrize("name", MANIFESTS)
def test_states_equal_the_manifests(name: str) -> None:
    kind, _, rest = name.partition("_")
    if kind == "encoder":
        net = parts(rest, "c1").encoder
    else:
        decoder, _, channels = rest.rpartition("_fc")
        net = parts(ENCODER_OF[channels], decoder).decoder
    assert [(key, list(x.shape)) for key, x in net.state_dict().items()] == list(manifest(name).items())  # type: ignore[union-attr]
    told = json.loads((CSAIL / "manifest_index.json").read_text())[f"{kind}s"]
    (entry,) = (e for e in told.values() if e["manifest"] == f"{name}.json")
    assert sum(p.numel() for p in net.parameters()) == entry["params"]  # type: ignore[union-attr]


class Golden:
    """A file of outputs, the network that gave them, and how to compare with it."""

    def __init__(self, name: str, dtype: torch.dtype = torch.float32) -> None:
        self.file = np.load(CSAIL / f"{name}.npz")
        self.meta = json.loads(str(self.file["meta"]))
        self.net, self.dtype = parts(self.meta["encoder"], self.meta["decoder"]), dtype
        for part in (self.net.encoder, self.net.decoder):  # each was filled under its own names
            state = {key: weight(key, x.shape, dtype) for key, x in part.state_dict().items()}  # type: ignore[union-attr]
            part.load_state_dict(state, assign=True)  # type: ignore[union-attr]

    def image(self, call: str) -> Tensor:
        """ "image('x',(1,3,64,96))" -> what it says."""
        return torch.from_numpy(eval(call, {"image": fill.image})).to(self.dtype)  # noqa: S307 of our own file

    def close(self, name: str, value: Tensor) -> None:
        step = int(self.file[f"{name}__stride"])
        error = np.abs(value.detach().numpy()[..., ::step, ::step] - self.file[name]).max()
        assert error <= LEAST * self.file[f"{name}__absmax"], name
        mean = value.detach().mean((2, 3)).numpy()
        assert np.abs(mean - self.file[f"{name}__mean"]).max() <= LEAST * self.file[f"{name}__absmax"], name


def features(net: network.Net, image: Tensor) -> list[Tensor]:
    """The maps that the published encoder gives: HRNet's joined, but for UPerNet."""
    trunk = net.trunk_module
    maps = trunk(image)
    alone = trunk.joined != trunk.levels[-1] and not net.reads_all
    return [trunk.join(maps)] if alone else maps


@pytest.mark.in_make_test("resnet18dilated_ppm_deepsup")
@pytest.mark.parametrize("name", NETS)
def test_outputs(name: str) -> None:
    golden = Golden(name)
    net, meta = golden.net.eval(), golden.meta
    with torch.inference_mode():
        x = golden.image(meta["eval_input"])
        assert [list(m.shape) for m in features(net, x)] == golden.file["feature_shapes"].tolist()
        golden.close("feature_last", net.maps(x).features)
        outputs = net(x, size=list(net.maps(x).outputs["pred"].shape[-2:]))
        golden.close("logprob", outputs["pred"].log_softmax(1))
        assert ("deepsup" in outputs) == ("logprob_deepsup" in golden.file)
        if "deepsup" in outputs:
            golden.close("logprob_deepsup", outputs["deepsup"].log_softmax(1))
        golden.close("prob", net(x, size=meta["segSize"])["pred"].softmax(1))
        several = [net(golden.image(call), size=meta["segSize"])["pred"].softmax(1) for call in meta["ms_inputs"]]
        golden.close("prob_multiscale", torch.stack(several).mean(0))


@pytest.mark.slow
@pytest.mark.parametrize("name", NETS)
def test_probabilities_through_the_predictor(name: str) -> None:
    """The rule's sizes, one resize to the image's, softmax, mean; the inputs are the file's, not the image."""
    golden = Golden(name)
    net, meta = golden.net.eval(), golden.meta
    size = (meta["segSize"][0], meta["segSize"][1])
    rule = replace(RULES["csail"], multiple=32 if "upernet" in name or "hrnet" in name else 8)
    for file, calls in (("prob", [meta["eval_input"]]), ("prob_multiscale", meta["ms_inputs"])):
        inputs = {tuple(x.shape[2:]): x for x in map(golden.image, calls)}
        sides = {rule.scaled(size, short / min(size)): short for short in range(32, 121)}

        def given(x: Tensor, size: list[int], inputs: dict[tuple[int, ...], Tensor] = inputs) -> Outputs:
            return net(inputs[tuple(x.shape[2:])], size=size)

        predictor = Predictor(given, replace(rule, short_edge_sizes=tuple(sides[shape] for shape in inputs)))  # type: ignore[index]
        (got,) = predictor([np.zeros((*size, 3), np.uint8)], scores=True)
        assert got.scores is not None
        golden.close(file, got.scores[None])
        differ = got.classes.numpy() != golden.file[f"{file}__argmax"][0]
        top = got.scores.topk(2, 0).values.numpy()
        assert (top[0] - top[1])[differ].max(initial=0) <= LEAST * golden.file[f"{file}__absmax"]


def training_step(golden: Golden) -> tuple[Tensor, Outputs, dict[str, Tensor]]:
    """Loss, outputs and terms of the recorded step without dropout; the gradients are in the network."""
    net, meta = golden.net.train(), golden.meta
    for part in net.modules():
        if isinstance(part, nn.Dropout2d):
            part.p = 0.0
    call = meta["train_labels"]
    label = torch.from_numpy(np.ascontiguousarray(eval(call, {"labels": fill.labels}))).long()  # noqa: S307
    label = label.masked_fill(label < 0, 255)
    flags = ["--arch_encoder", meta["encoder"], "--arch_decoder", meta["decoder"], "--dataset", "toy"]
    criterion = loss.build(config.load([*flags, "DATASET.NUM_CLASSES", "150"]))
    outputs = net(golden.image(meta["train_input"]), size=list(label.shape[-2:]))
    total, terms = criterion(outputs, label)
    total.backward()
    return total, outputs, terms


@pytest.mark.in_make_test("mobilenetv2dilated_c1_deepsup")
@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow if n in ("hrnetv2_c1", "resnet50_upernet") else ()) for n in NETS]
)
def test_a_training_step_in_double(name: str) -> None:
    """Loss, log-probabilities and gradients; the second head weighs 0.4; running statistics move by 0.001."""
    golden = Golden(name, torch.float64)
    total, outputs, terms = training_step(golden)
    net, file = golden.net, golden.file
    assert list(terms) == ["main", "deepsup"][: len(file["train_loss_parts"])]
    parts_found = [term.item() for term in terms.values()]
    np.testing.assert_allclose(parts_found, file["train_loss_parts"], rtol=LEAST)
    np.testing.assert_allclose(total.item(), file["f64_train_loss"], rtol=LEAST_DOUBLE)
    found = outputs["pred"].log_softmax(1).detach().numpy()
    step = int(file["train_logprob__stride"])
    reference = file["f64_train_logprob"]
    assert np.abs(found[..., ::step, ::step] - reference).max() <= LEAST_DOUBLE * np.abs(reference).max()
    for kind, part in (("enc", net.encoder), ("dec", net.decoder)):
        check_gradients(file, kind, part)  # type: ignore[arg-type]


@pytest.mark.in_make_test("mobilenetv2dilated_c1_deepsup")
@pytest.mark.parametrize("name", [n for n in NETS if n.startswith(("resnet18", "mobilenet"))])
def test_a_training_step_in_single(name: str) -> None:
    """Within five times the noise that was recorded between single and double precision."""
    golden = Golden(name)
    file, noise = golden.file, json.loads((CSAIL / "float32_noise.json").read_text())[name]
    total, outputs, _ = training_step(golden)
    step = int(file["train_logprob__stride"])
    found = {
        "train_loss": total.detach().numpy(),
        "train_logprob": outputs["pred"].log_softmax(1).detach().numpy()[..., ::step, ::step],
    }
    for kind, part in (("enc", golden.net.encoder), ("dec", golden.net.decoder)):
        for key, p in part.named_parameters():  # type: ignore[union-attr]
            if f"{kind}_grad:{key}" in noise:
                assert p.grad is not None
                found[f"{kind}_grad:{key}"] = p.grad.flatten()[:: int(file[f"{kind}_grad_stride:{key}"])].numpy()
    assert len(found) == len(noise) - 4  # the rest: both norms of gradients, the accuracy, evaluation
    for key, value in found.items():
        reference = file[f"f64_{key}"]
        error = np.abs(value - reference).max() / np.abs(reference).max()
        assert error <= max(LEAST, 5 * noise[key]), key


def check_gradients(file: np.lib.npyio.NpzFile, kind: str, part: nn.Module) -> None:
    own = dict(part.named_parameters())
    norm = sum(float(p.grad.square().sum()) for p in own.values() if p.grad is not None) ** 0.5
    np.testing.assert_allclose(norm, file[f"f64_{kind}_grad_norm"], rtol=LEAST_DOUBLE)
    for key in [key for key in file.files if key.startswith(f"f64_{kind}_grad:")]:
        name = key.split(":", 1)[1]
        grad, reference = own[name].grad, file[key]
        assert grad is not None
        values = grad.flatten()[:: int(file[f"{kind}_grad_stride:{name}"])].numpy()
        assert np.abs(values - reference).max() <= LEAST_DOUBLE * np.abs(reference).max(), name
    state = part.state_dict()
    for key in [key for key in file.files if key.startswith(f"{kind}_after:")]:
        values = state[key.split(":", 1)[1]].numpy()  # the recorded ones are single precision's
        assert np.abs(values - file[key]).max() <= LEAST * np.abs(file[key]).max(), key


PAIRS = [(encoder, decoder) for encoder in ENCODERS if not encoder.endswith("_dilated8") for decoder in DECODERS]
# Quick: every encoder in each of its dilations, every decoder, and the pairs that are refused.
COUNT = len(DECODERS)
QUICK = {pair for i, pair in enumerate(PAIRS) if pair[0] == "hrnetv2" or i % COUNT == i // COUNT % COUNT}
MARKED = [pytest.param(*pair, marks=[pytest.mark.slow] * (pair not in QUICK)) for pair in PAIRS]
SLOW_WIDTHS = [pytest.param(mult, marks=pytest.mark.slow) for mult in (0.4, 0.75, 1.5)]


@pytest.mark.in_make_test(
    "resnet18-c1",
    "resnet18dilated-c1_deepsup",
    "resnet50-ppm_deepsup",
    "mobilenetv2_dilated16-ppm",
    "resnext101_dilated16-upernet_lite",
    "hrnetv2-c1",
)
@pytest.mark.parametrize("encoder, decoder", MARKED, ids=lambda name: name)
def test_every_pair_that_fits_trains(encoder: str, decoder: str) -> None:
    settings = Settings(5, encoder=encoder, decoder=decoder, width_mult=0.0625)
    if encoder == "hrnetv2" and decoder.endswith("deepsup"):
        with pytest.raises(UserError, match=f"supervises the map before .* take {decoder.removesuffix('_deepsup')}$"):
            network.compose(ARCHS["encoder_decoder"], settings)
        return
    torch.manual_seed(0)
    net = network.compose(ARCHS["encoder_decoder"], settings)
    outputs = net(torch.randn(2, 3, 64, 96))
    assert outputs["pred"].shape == (2, 5, 64, 96)
    assert set(outputs) == {"pred", "deepsup"} if decoder.endswith("deepsup") else {"pred"}
    sum(x.square().mean() for x in outputs.values()).backward()  # type: ignore[union-attr]
    assert not [name for name, p in net.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
    end = next((end for end in ("_dilated16", "dilated") if encoder.endswith(end)), "")
    whole = 4 if encoder == "hrnetv2" else {"": 32, "dilated": 8, "_dilated16": 16}[end]
    assert net.trunk_module.joined.stride == whole


@pytest.mark.slow
@pytest.mark.parametrize(
    "encoder, decoder",
    [(e, d) for e, d in PAIRS if not e.endswith("_dilated16") and not (e == "hrnetv2" and d.endswith("deepsup"))],
)
def test_every_pair_exports(encoder: str, decoder: str, tmp_path: Path) -> None:
    """As a program with its shapes; it gives what the network gives."""
    torch.manual_seed(0)
    net = network.compose(ARCHS["encoder_decoder"], Settings(5, encoder=encoder, decoder=decoder, width_mult=0.0625))
    module, path = export.Deployed(net, EvalRule(), "logits"), tmp_path / "net.pt2"
    export.save(module, EvalRule(), (64, 96), path, True, {})
    image = module.example((64, 96), 1, seed=1).numpy()
    assert export.runner(path)(image)[0].shape == (1, 5, 64, 96)
    error, same = export.distance(module, EvalRule(), export.runner(path), image)
    assert error <= 1e-5 and same == 1


@pytest.mark.parametrize("old, new", [("c1_bilinear", "c1"), ("ppm_bilinear_deepsup", "ppm_deepsup")])
def test_older_spellings(old: str, new: str) -> None:
    states = [parts("resnet18dilated", name).state_dict() for name in (old, new)]
    assert list(states[0]) == list(states[1])
    assert list(parts("resnet50_dilated8", new).state_dict()) == list(parts("resnet50dilated", new).state_dict())


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--arch_encoder", "resnet52"], "unknown --arch_encoder 'resnet52'; did you mean 'resnet50'"),
        (["--arch_encoder", "hrnetv2dilated"], "unknown --arch_encoder 'hrnetv2dilated'"),
        (["--arch_decoder", "ppn"], "unknown --arch_decoder 'ppn'; did you mean 'ppm'"),
        (
            ["--arch_encoder", "resnet18", "--fc_dim", "2048"],
            "--fc_dim 2048: the encoder ends in 512 channels; give that",
        ),
    ],
)
def test_mistakes(flags: list[str], message: str) -> None:
    with torch.device("meta"), pytest.raises(UserError, match=message):
        network.build(config.load(["--dataset", "toy", *flags]))


def test_batch_norm_moves_as_published() -> None:
    momentum = {m.momentum for m in parts("resnet50", "ppm").modules() if isinstance(m, nn.BatchNorm2d)}
    assert momentum == {0.001}
    net = parts("hrnetv2", "c1")
    assert {m.momentum for m in net.encoder.modules() if isinstance(m, nn.BatchNorm2d)} == {0.1}  # type: ignore[union-attr]
    assert {m.momentum for m in net.decoder.modules() if isinstance(m, nn.BatchNorm2d)} == {0.001}  # type: ignore[union-attr]
    with torch.device("meta"):
        net = network.build(config.load(["--arch_encoder", "hrnetv2", "--arch_decoder", "c1", "--bn_momentum", "0.2"]))
    assert {m.momentum for m in net.modules() if isinstance(m, nn.BatchNorm2d)} == {0.2}


@pytest.mark.in_make_test("resnet*-0.3", "mobile*")
@pytest.mark.parametrize("mult", [0.03, 0.3, *SLOW_WIDTHS])
@pytest.mark.parametrize("encoder", [name for name in ENCODERS if "dilated" not in name])
def test_any_width(encoder: str, mult: float) -> None:
    """Groups divide the channels, and the maps have the channels that the decoder was built for."""
    with torch.device("meta"):
        net = network.compose(ARCHS["encoder_decoder"], Settings(5, encoder=encoder, decoder="ppm", width_mult=mult))
        maps = net.trunk_module(torch.empty(2, 3, 64, 64))
    assert [x.shape[1] for x in maps] == [level.channels for level in net.trunk_module.levels]
