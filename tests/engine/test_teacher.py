"""--teacher: its scores are an output of training, it stays as it is, and what does not fit is refused."""

from collections.abc import Callable
from pathlib import Path

import pytest
import runs
import torch
from torch import nn

import network
import train
from engine.teacher import Taught


class Net(nn.Module):
    """Scores of a convolution, and dropout, which evaluation does without."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.drop = nn.Conv2d(3, 4, 1), nn.Dropout(0.5)

    def forward(self, image: torch.Tensor, size: object = None, keep: object = None) -> dict[str, torch.Tensor]:
        return {"pred": self.drop(self.conv(image))}


def test_the_teacher_is_beside_and_stays() -> None:
    pupil, teacher = Net(), Net()
    both = Taught(pupil, teacher).train()
    assert pupil.drop.training and not teacher.drop.training
    outputs = both(torch.randn(1, 3, 2, 2))
    assert set(outputs) == {"pred", "teacher"} and not outputs["teacher"].requires_grad
    outputs["pred"].sum().backward()
    assert [name for name, p in both.named_parameters() if p.requires_grad] == ["net.conv.weight", "net.conv.bias"]
    both.eval()
    assert not pupil.drop.training


@pytest.mark.slow
def test_a_run_learns_from_a_run(
    trained: list[str], tiny_run: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Its term moves the weights; what is saved is the pupil alone, whose evaluation knows of no teacher."""
    (best,) = runs.folder(trained).glob("best_checkpoint_ep*.pth")
    alone = runs.placed(tiny_run, tmp_path / "alone")
    taught = runs.placed(tiny_run, tmp_path / "taught")
    assert train.main(alone) == 0
    assert train.main([*taught, "--teacher", str(best), "--distill_wt", "2"]) == 0
    assert "teacher: ocrnet.HRNet_Mscale from " in capsys.readouterr().out
    states = [runs.last(words)["net"] for words in (alone, taught)]
    assert states[0].keys() == states[1].keys()
    assert any(not torch.equal(x, states[1][name]) for name, x in states[0].items())


@pytest.mark.run
@pytest.mark.in_make_test("*trained on other classes*")
@pytest.mark.parametrize(
    ("change", "words", "what"),
    [
        (lambda state: state | {"class_names": ["x", *state["class_names"][1:]]}, [], "trained on other classes: 'x'"),
        (lambda state: state, ["DATASET.STD", "1,1,1"], "takes images of DATASET.MEAN, STD"),
    ],
)
def test_a_teacher_that_does_not_fit_is_refused(
    change: Callable[[dict], dict],
    words: list[str],
    what: str,
    trained: list[str],
    tiny_run: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from engine import checkpoint

    checkpoint.save(change(runs.last(trained)), tmp_path / "teacher.pth")
    line = [*tiny_run, "--teacher", str(tmp_path / "teacher.pth"), *words]
    assert train.main([*line, "--data_root", str(tmp_path / "none")]) == 2
    assert what in capsys.readouterr().err and not (tmp_path / "none").exists()  # scenes would be drawn there


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (None, "there is nothing here"),
        ({"net": {}, "optimizer": 3}, "no weights in it"),
    ],
)
def test_a_file_that_is_no_teacher_is_told_before_the_data_are_made(
    content: object,
    what: str,
    tiny_words: Callable[[Path, Path], list[str]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / "teacher.pth"
    if content:
        torch.save(content, file)
    assert train.main([*tiny_words(tmp_path / "none", tmp_path), "--teacher", str(file)]) == 2
    error = capsys.readouterr().err
    assert f"--teacher: checkpoint {file}" in error and what in error and not (tmp_path / "none").exists()


def test_a_teacher_without_its_term_is_refused(tiny_words: Callable[[Path, Path], list[str]], tmp_path: Path) -> None:
    import config
    from utils.errors import UserError

    words = tiny_words(tmp_path, tmp_path)
    with pytest.raises(UserError, match="--teacher"):
        config.load([*words, "--teacher", "x.pth", "--loss_terms", "ce:pred:1"])
    with pytest.raises(UserError, match="give --teacher CKPT"):
        config.load([*words, "--loss_terms", "ce:pred:1,distill:pred+teacher:1"])
    with pytest.raises(UserError, match="--distill_wt"):
        config.load([*words, "--distill_wt", "2"])
    assert network
