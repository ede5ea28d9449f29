"""Which checkpoint the folder of a run stands for, and what is said where it has none."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from utils import hub
from utils.errors import UserError
from utils.runfolders import checkpoint_in, epoch_of, runs_below


def filled(folder: Path, *names: str) -> Path:
    """A folder with empty files of these names."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch()
    return folder


@pytest.mark.parametrize(
    ("names", "taken", "words"),
    [
        (["best_checkpoint_ep9.pth", "last_checkpoint_ep11.pth"], "best_checkpoint_ep9.pth", "its best checkpoint"),
        (["best_checkpoint_ep9.pth", "best_checkpoint_ep10.pth"], "best_checkpoint_ep10.pth", "its best checkpoint"),
        (["last_checkpoint_ep3.pth", "checkpoint_ep9.pth"], "last_checkpoint_ep3.pth", "it has no best one"),
        (["checkpoint_ep2.pth", "checkpoint_ep10.pth"], "checkpoint_ep10.pth", "it has no best one"),
        (["best_checkpoint_ep9.pth.part", "last_checkpoint_ep1.pth"], "last_checkpoint_ep1.pth", "its last checkpoint"),
    ],
)
def test_the_best_stands_for_its_run(tmp_path: Path, names: list[str], taken: str, words: str) -> None:
    path, note = checkpoint_in(str(filled(tmp_path / "run", *names)))
    assert path == str(tmp_path / "run" / taken)
    assert words in note and taken in note and str(tmp_path / "run") in note and "\n" not in note


@pytest.mark.parametrize("path", ["", "best_checkpoint_ep9.pth", "enc.pth,dec.pth", "folder"])
def test_other_paths_stay(tmp_path: Path, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(filled(tmp_path, "best_checkpoint_ep9.pth"))
    filled(tmp_path / "folder", "encoder_epoch_2.pth")
    assert checkpoint_in(path) == (path, "")


def test_runs_below_are_named(tmp_path: Path) -> None:
    assert runs_below(tmp_path) == ""
    for name in ("a", "b/seed0", "c/d/too_deep"):
        filled(tmp_path / name, "last_checkpoint_ep0.pth")
    assert runs_below(tmp_path) == f"; runs below it: {tmp_path / 'a'}, {tmp_path / 'b/seed0'}"
    filled(tmp_path / "d", "best_checkpoint_ep0.pth")
    filled(tmp_path / "e", "best_checkpoint_ep0.pth")
    assert runs_below(tmp_path).endswith(f"{tmp_path / 'e'}, ...")


def test_epochs() -> None:
    assert (epoch_of(Path("best_checkpoint_ep29.pth")), epoch_of(Path("teacher.pth"))) == (29, -1)


def test_a_shared_folder_stands_for_its_weights(tmp_path: Path) -> None:
    path, note = checkpoint_in(str(filled(tmp_path, "model.safetensors", "README.md")))
    assert path == str(tmp_path / "model.safetensors") and "is a shared network" in note
    filled(tmp_path, "best_checkpoint_ep1.pth")
    assert checkpoint_in(str(tmp_path))[0].endswith("best_checkpoint_ep1.pth")  # a run with a file beside


def test_the_hub_s_folder_is_got(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(tmp_path, "model.safetensors")
    asked: list[str] = []

    class Hub:
        @staticmethod
        def hf_hub_download(repository: str, name: str) -> str:
            asked.append(f"{repository}/{name}")
            if not (tmp_path / name).exists():
                raise OSError("404")
            return str(tmp_path / name)

    monkeypatch.setattr(hub, "package", lambda: Hub)
    path, note = checkpoint_in("hf:ada/net")
    assert path == str(tmp_path / "model.safetensors") and "hf:ada/net" in note
    assert asked == ["ada/net/model.safetensors", "ada/net/temperature.json"]
    with pytest.raises(UserError, match="has the sha256"):
        checkpoint_in(f"hf:ada/net#sha256={'0' * 64}")
    with pytest.raises(UserError, match=r"hf:ada/net:other.pth cannot be had \(OSError: 404\)"):
        checkpoint_in("hf:ada/net:other.pth")


def test_the_hub_s_package_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(UserError, match="pip install huggingface_hub") as raised:
        checkpoint_in("hf:ada/net")
    assert "\n" not in str(raised.value)
