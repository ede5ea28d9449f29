"""The reader takes tensors and numbers, and never calls what a file asks for."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from network.weights.safe_load import read
from utils.errors import UserError

SAMPLE = Path(__file__).parents[2] / "golden" / "nvidia" / "sample_zip.pth"


class Trap:
    """Unpickling it would create a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return open, (str(self.path), "w")


def write_raw(content: object, path: Path) -> None:
    path.write_bytes(pickle.dumps(content))


def write_raw_old(content: object, path: Path) -> None:
    path.write_bytes(pickle.dumps(content, protocol=2))


def write_legacy(content: object, path: Path) -> None:
    torch.save(content, path, _use_new_zipfile_serialization=False)


@pytest.mark.parametrize("write", [write_raw, write_raw_old, write_legacy, torch.save])
@pytest.mark.parametrize("nested", [False, True])
def test_malicious_pickle_is_never_executed(tmp_path: Path, write, nested: bool) -> None:
    trap = Trap(tmp_path / "sprung")
    path = tmp_path / "evil.pth"
    write({"state_dict": {"a": torch.ones(2), "b": trap}} if nested else trap, path)
    (tmp_path / "sprung").unlink(missing_ok=True)
    with pytest.raises(UserError) as caught:
        read(path)
    assert not (tmp_path / "sprung").exists()
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    with open(path, "rb"):  # the trap itself works: an unrestricted reader springs it
        if write in (write_raw, write_raw_old) and not nested:
            pickle.loads(path.read_bytes()).close()
            assert (tmp_path / "sprung").exists()


def test_says_what_was_asked_for(tmp_path: Path) -> None:
    torch.save(Trap(tmp_path / "sprung"), tmp_path / "evil.pth")
    with pytest.raises(UserError, match="refused, since it asks for .*open"):
        read(tmp_path / "evil.pth")


@pytest.mark.parametrize("legacy", [False, True])
def test_numpy_scalars(tmp_path: Path, legacy: bool) -> None:
    scalars = {"a": np.float64(0.5), "b": np.float32(2), "c": np.int64(-3), "d": np.bool_(True), "e": torch.ones(2)}
    torch.save(scalars, tmp_path / "x.pth", _use_new_zipfile_serialization=not legacy)
    back = read(tmp_path / "x.pth")
    assert {k: back[k] for k in "abcd"} == {k: scalars[k] for k in "abcd"}
    assert torch.equal(back["e"], scalars["e"])


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.99])
def test_truncated(tmp_path: Path, share: float) -> None:
    content = SAMPLE.read_bytes()
    (tmp_path / "x.pth").write_bytes(content[: int(len(content) * share)])
    with pytest.raises(UserError, match="empty" if share == 0 else "truncated"):
        read(tmp_path / "x.pth")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: None, "there is nothing here"),
        (lambda path: path.mkdir(), "there is a folder here"),
        (lambda path: (path / "run").mkdir(parents=True), "best_checkpoint_ep"),
        (lambda path: path.write_bytes(bytes(range(1, 200))), "not a readable checkpoint"),
    ],
    ids=["missing", "folder", "folder in it", "bytes"],
)
def test_wrong_file(tmp_path: Path, make, words: str) -> None:
    path = tmp_path / "x.pth"
    make(path)
    with pytest.raises(UserError, match=words) as caught:
        read(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
