"""Arrays of ViT's authors as a trunk's file: the same network as by timm's own reader, and no other arrays."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from network import weights
from network.trunk.timm_nets import TimmTrunk
from network.weights import safe_load, vit_arrays
from utils.errors import UserError

timm = pytest.importorskip("timm", reason="an extra: pip install timm")
NAME, HEADS, BLOCK = "test_vit", 2, "Transformer/encoderblock_{}/"
Arrays = dict[str, np.ndarray]


def drawn() -> dict[str, Tensor]:
    """A narrow ViT whose every entry differs from those beside it, so that none may stand in the place of another."""
    torch.manual_seed(1)
    return {name: torch.randn_like(x) for name, x in timm.create_model(NAME).state_dict().items()}


def block_of(state: dict[str, Tensor], number: int, names: tuple[int, int, int]) -> Arrays:
    """A block as the authors write it; `names`: numbers of its attention, its perceptron and its second norm."""
    ours, theirs = f"blocks.{number}.", BLOCK.format(number)
    attention, perceptron = f"{theirs}MultiHeadDotProductAttention_{names[0]}/", f"{theirs}MlpBlock_{names[1]}/"
    width = state[f"{ours}norm1.weight"].numel()
    found = {
        f"{theirs}LayerNorm_0/scale": state[f"{ours}norm1.weight"],
        f"{theirs}LayerNorm_0/bias": state[f"{ours}norm1.bias"],
        f"{theirs}LayerNorm_{names[2]}/scale": state[f"{ours}norm2.weight"],
        f"{theirs}LayerNorm_{names[2]}/bias": state[f"{ours}norm2.bias"],
        f"{attention}out/kernel": state[f"{ours}attn.proj.weight"].T.reshape(HEADS, -1, width),
        f"{attention}out/bias": state[f"{ours}attn.proj.bias"],
        f"{perceptron}Dense_0/kernel": state[f"{ours}mlp.fc1.weight"].T,
        f"{perceptron}Dense_0/bias": state[f"{ours}mlp.fc1.bias"],
        f"{perceptron}Dense_1/kernel": state[f"{ours}mlp.fc2.weight"].T,
        f"{perceptron}Dense_1/bias": state[f"{ours}mlp.fc2.bias"],
    }
    kernels, biases = (state[f"{ours}attn.qkv.{end}"].chunk(3) for end in ("weight", "bias"))
    for part, kernel, bias in zip(("query", "key", "value"), kernels, biases, strict=True):
        found[f"{attention}{part}/kernel"] = kernel.T.reshape(width, HEADS, -1)
        found[f"{attention}{part}/bias"] = bias.reshape(HEADS, -1)
    return {name: x.numpy() for name, x in found.items()}


def published(state: dict[str, Tensor]) -> Arrays:
    """As the files called augreg are."""
    found = {
        "cls": state["cls_token"],
        "embedding/kernel": state["patch_embed.proj.weight"].permute(2, 3, 1, 0),
        "embedding/bias": state["patch_embed.proj.bias"],
        "Transformer/posembed_input/pos_embedding": state["pos_embed"],
        "Transformer/encoder_norm/scale": state["norm.weight"],
        "Transformer/encoder_norm/bias": state["norm.bias"],
        "head/kernel": state["head.weight"].T,
        "head/bias": state["head.bias"],
    }
    blocks = [block_of(state, number, (1, 3, 2)) for number in range(depth(state))]
    return {name: x.numpy() for name, x in found.items()} | {name: x for block in blocks for name, x in block.items()}


def later(state: dict[str, Tensor]) -> Arrays:
    """As the authors' later code writes them: other numbers, a prefix, and all blocks in one array."""
    found = {name: x for name, x in published(state).items() if "encoderblock" not in name}
    found["pos_embedding"] = found.pop("Transformer/posembed_input/pos_embedding")
    blocks = [block_of(state, number, (0, 0, 1)) for number in range(depth(state))]
    for name in blocks[0]:
        alike = (block[name.replace("_0/", f"_{number}/", 1)] for number, block in enumerate(blocks))
        found[name.replace("encoderblock_0/", "encoderblock/")] = np.stack([*alike])
    return {f"params/{name}": x for name, x in found.items()}


def depth(state: dict[str, Tensor]) -> int:
    return 1 + max(int(name.split(".")[1]) for name in state if name.startswith("blocks."))


@pytest.mark.parametrize("write", [published, later])
def test_a_trunk_is_filled_as_by_timm(write: Callable[[dict[str, Tensor]], Arrays], tmp_path: Path) -> None:
    state, path = drawn(), tmp_path / "B_16.npz"
    np.savez(path, allow_pickle=False, **write(state))
    trunk, whole = TimmTrunk(NAME), timm.create_model(NAME)
    report = weights.load_trunk(nn.ModuleDict({"backbone": trunk}), path)
    assert "its authors' names of JAX" in report.source and not report.missing and not report.skipped
    assert {name.split(".")[0] for name in report.unexpected} == {"head"}
    ours = trunk.pretrained.state_dict()
    assert all(torch.equal(x, state[name]) for name, x in ours.items())
    whole.load_pretrained(str(path))
    assert all(torch.equal(x, ours[name]) for name, x in whole.state_dict().items() if not name.startswith("head"))


def test_positions_of_another_size_are_resized(tmp_path: Path) -> None:
    """From 6x6 to the trunk's 10x10; the class token has its own."""
    arrays, name = published(drawn()), "Transformer/posembed_input/pos_embedding"
    arrays[name] = np.random.default_rng(0).normal(size=(1, 37, arrays[name].shape[2])).astype(np.float32)
    np.savez(tmp_path / "x.npz", allow_pickle=False, **arrays)
    report = weights.load_trunk(nn.ModuleDict({"backbone": TimmTrunk(NAME)}), tmp_path / "x.npz")
    assert not report.missing and not report.skipped


@pytest.mark.parametrize(
    ("arrays", "what"),
    [
        ({"a": np.ones(3)}, "arrays of NumPy .* are read of ViT's authors alone: torch.save"),
        ({vit_arrays.FIRST: np.array([{}], dtype=object)}, "not a checkpoint but arrays of NumPy"),
        ({vit_arrays.FIRST: np.zeros(2, "V2")}, "not a checkpoint but arrays of NumPy"),
    ],
)
def test_other_arrays_are_refused(arrays: Arrays, what: str, tmp_path: Path) -> None:
    """Of other names; objects, which are pickles; numbers that NumPy does not know."""
    np.savez(tmp_path / "x.npz", allow_pickle=True, **arrays)
    with pytest.raises(UserError, match=what):
        safe_load.read(tmp_path / "x.npz")


def test_of_a_trunk_that_is_no_vit_nothing_fits(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", allow_pickle=False, **published(drawn()))
    with pytest.raises(UserError, match="entries fit the trunk"):
        weights.load_trunk(nn.ModuleDict({"backbone": TimmTrunk("test_resnet")}), tmp_path / "x.npz")
