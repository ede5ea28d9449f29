"""The converter: both ways, and one clear line for a mistake."""

from pathlib import Path

import pytest
import torch

from network.weights.safe_load import read
from scripts.convert_checkpoint import main

SAMPLE = Path(__file__).parents[1] / "golden" / "nvidia" / "sample_legacy.pth"


def test_there_and_back(tmp_path: Path, capsys) -> None:
    assert main([str(SAMPLE), str(tmp_path / "new" / "plain.pth"), "--to", "plain"]) == 0
    state = read(tmp_path / "new" / "plain.pth")
    assert all(isinstance(x, torch.Tensor) for x in state.values())
    assert "conv.weight" in state
    source, target = str(tmp_path / "new" / "plain.pth"), str(tmp_path / "nvidia.pth")
    assert main([source, target, "--to", "nvidia", "--arch", "basic.HRNet"]) == 0
    content = read(target)
    assert content["arch"] == "basic.HRNet"
    assert all(torch.equal(x, state[k.removeprefix("module.")]) for k, x in content["state_dict"].items())
    assert not list(tmp_path.rglob("*.part"))
    assert "8 entries in layout nvidia" in capsys.readouterr().out


@pytest.mark.parametrize("raw", [False, True])
def test_own_checkpoint(tmp_path: Path, raw: bool) -> None:
    ours = {
        "format": "streetscale", "net": {"a.weight": torch.zeros(2)}, "ema": {"a.weight": torch.ones(2)}, "epoch": 4,
        "optimizer": {"state": {0: {"momentum_buffer": torch.ones(2)}}, "param_groups": [{"lr": 0.1, "params": [0]}]},
        "arch": "ocrnet.HRNet", "class_names": ["road", "car"], "mean_iu": 0.5, "command": "train.py --arch x",
    }  # fmt: skip
    torch.save(ours, tmp_path / "ours.pth")
    flags = ["--raw"] if raw else []
    assert main([str(tmp_path / "ours.pth"), str(tmp_path / "out.pth"), "--to", "nvidia", *flags]) == 0
    content = read(tmp_path / "out.pth")
    assert content["state_dict"]["module.a.weight"].tolist() == ([0, 0] if raw else [1, 1])
    assert content["optimizer"]["param_groups"] == ours["optimizer"]["param_groups"]
    assert {k: content[k] for k in ("epoch", "arch", "num_classes", "mean_iu", "command")} == {
        "epoch": 4, "arch": "ocrnet.HRNet", "num_classes": 2, "mean_iu": 0.5, "command": "train.py --arch x",
    }  # fmt: skip


def test_mistakes(tmp_path: Path, capsys) -> None:
    assert main([str(tmp_path / "none.pth"), str(tmp_path / "out.pth"), "--to", "plain"]) == 2
    (tmp_path / "file").write_text("")
    assert main([str(SAMPLE), str(tmp_path / "file" / "out.pth"), "--to", "plain"]) == 2
    assert main([str(SAMPLE), str(tmp_path / "file"), "--to", "plain"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3
    assert lines[2].endswith("file is there already: give another OUT, or --overwrite to replace it")
    assert (tmp_path / "file").read_text() == ""
    assert main([str(SAMPLE), str(tmp_path / "file"), "--to", "plain", "--overwrite"]) == 0
    assert "conv.weight" in read(tmp_path / "file")
    assert all(line.startswith("error: ") for line in lines)
