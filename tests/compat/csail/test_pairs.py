"""Which two files a path means: a folder's newest epoch, or both paths with a comma; and what is wrong with others."""

from pathlib import Path

import pytest

from compat.csail import pairs
from utils.errors import UserError


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).touch()
    return folder


def test_the_newest_epoch_that_has_both(tmp_path: Path) -> None:
    names = ["encoder_epoch_3.pth", "decoder_epoch_3.pth", "encoder_epoch_20.pth", "decoder_epoch_20.pth"]
    touch(tmp_path, *names, "encoder_epoch_21.pth", "history_epoch_20.pth", "encoder_epoch_99.pth.part")
    (tmp_path / "decoder_epoch_21.pth").mkdir()
    assert pairs.is_pair(tmp_path)
    assert pairs.files(tmp_path) == (tmp_path / names[2], tmp_path / names[3])
    assert pairs.epoch_of(pairs.files(tmp_path)[0]) == 20


def test_two_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert pairs.is_pair("x/enc.pth,y/dec.pth")
    assert pairs.files(Path("x/enc.pth, ~/dec.pth")) == (Path("x/enc.pth"), tmp_path / "home" / "dec.pth")
    assert pairs.epoch_of(Path("enc.pth")) == 0


def test_one_file_may_have_a_comma(tmp_path: Path) -> None:
    assert not pairs.is_pair(touch(tmp_path, "lr0,1.pth") / "lr0,1.pth")
    assert not pairs.is_pair(tmp_path / "missing.pth")


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ([], "a folder here, without a pair encoder_epoch_K.pth and decoder_epoch_K.pth; give"),
        (["last_checkpoint_ep3.pth"], "without a pair"),
        (["encoder_epoch_2.pth", "decoder_epoch_1.pth"], "encoder_epoch_2.pth is there, decoder_epoch_2.pth is not"),
        (["decoder_epoch_20.pth"], "decoder_epoch_20.pth is there, encoder_epoch_20.pth is not"),
    ],
)
def test_a_folder_without_a_pair(tmp_path: Path, names: list[str], words: str) -> None:
    with pytest.raises(UserError, match=words) as caught:
        pairs.files(touch(tmp_path, *names))
    assert str(tmp_path) in str(caught.value) and "\n" not in str(caught.value)


def test_three_paths() -> None:
    with pytest.raises(UserError, match=r"a\.pth,b\.pth,c\.pth: these are 3 files; give two"):
        pairs.files("a.pth,b.pth,c.pth")
