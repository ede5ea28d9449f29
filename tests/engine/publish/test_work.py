"""A run as a folder to share: the same masks, nothing of the machine, and one line for what is no such run."""

from __future__ import annotations

import hashlib
import io
import json
import socket
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
import yaml

import config
import inference
import network
from datasets import cityscapes, classes
from engine import checkpoint, restore
from engine.log import RunLog
from engine.publish import exported, record, work
from inference import temperature
from network.weights import read_file, safe_load
from options.table import OPTIONS
from scripts.publish import main
from utils import digest, hub
from utils.errors import UserError

NAMES = tuple(cityscapes.SPEC.classes)
PLACE = "/home/ada-secret/data"  # what no file may have
ARGV = ["--arch", "resnet18dilated+deeplab", "--width_mult", "0.05", "--dataset", "toy"]


@pytest.fixture(scope="module", autouse=True)
def small_scene() -> Iterator[None]:
    """Draw noise in place of a scene of two megapixels."""
    image = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("datasets.toy.drawn", lambda count, split: [(image, image[..., 0])] * count)
        yield


@pytest.fixture(scope="module")
def state() -> dict[str, Any]:
    """A checkpoint's content, whose every text is a place of a machine, if it may be anything."""
    torch.manual_seed(0)
    cfg = config.load(ARGV)
    net, averaged = (network.build(cfg).state_dict() for _ in range(2))
    free = {key for key, o in OPTIONS.items() if o.free} - {*record._TOLD}
    places = {key: PLACE if key != "OPTIONS.DEVICES" else "0,1" for key in free}
    return {
        "epoch": 1, "iteration": 0, "net": net, "ema": averaged, "optimizer": {}, "arch": cfg.MODEL.ARCH,
        "num_classes": len(NAMES), "class_names": [*NAMES], "class_ids": classes.ids_of(cityscapes.SPEC),
        "class_colors": [[*color] for color in cityscapes.SPEC.palette], "mean_iu": 0.9, "bs_trn": 2,
        "command": f"python {PLACE}/train.py --data_root {PLACE}", "versions": {"host": socket.gethostname()},
        "spent": {"scores": {0: 0.2, 1: 0.25}}, "rng": [],
        "config": {**config.flat(cfg), **places, "DATASET.NAME": f"{PLACE}/streets.yaml", "EVAL.DO_FLIP": True},
    }  # fmt: skip


@pytest.fixture
def run(state: dict[str, Any], tmp_path: Path) -> Path:
    """The folder of a run with a best checkpoint."""
    folder = tmp_path / "run"
    folder.mkdir()
    checkpoint.save(state, folder / "best_checkpoint_ep1.pth")
    return folder


class Done(NamedTuple):
    """A checkpoint, the folder that was made of it, and what was said."""

    file: Path
    out: Path
    text: str


@pytest.fixture(scope="module")
def done(state: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Done:
    """A run that has been shared."""
    place = tmp_path_factory.mktemp("shared")
    checkpoint.save(state, place / "best_checkpoint_ep1.pth")
    text = io.StringIO()
    with redirect_stdout(text):
        assert main([str(place), str(place / "street-net"), "--license", "cc-by-4.0"]) == 0
    return Done(place / "best_checkpoint_ep1.pth", place / "street-net", text.getvalue())


def said(capsys: pytest.CaptureFixture[str], *words: object, code: int = 0) -> str:
    """What the command said, which leaves the masks to `done`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(work, "picture", lambda *_: b"picture")
        assert main([str(word) for word in words]) == code
    found = capsys.readouterr()
    return found.err if code else found.out


def sum_of(content: bytes) -> str:
    """The SHA-256 as exports write it."""
    return hashlib.sha256(content).hexdigest()


def head(folder: Path) -> dict[str, Any]:
    """The head of a card that Hugging Face reads."""
    return yaml.safe_load((folder / "README.md").read_text().split("---\n")[1])


def test_the_folder_gives_the_checkpoint_s_masks(done: Done) -> None:
    file, out, text = done
    assert "averaged weights (EMA)" in text and "license" not in text
    assert {path.name for path in out.iterdir()} == {"README.md", "config.json", "model.safetensors", "picture.png"}
    image = np.random.default_rng(1).integers(0, 256, (65, 97, 3), dtype=np.uint8)
    with pytest.warns(UserWarning, match="is a shared network"):
        ours = inference.load(out)
    (one,), (other,) = ours([image]), inference.load(file)([image])
    assert torch.equal(one.classes, other.classes) and torch.equal(one.max_prob, other.max_prob)
    assert ours.spec is not None and ours.spec.classes == NAMES and ours.spec.palette == cityscapes.SPEC.palette
    theirs = read_file(file).state
    mine = read_file(out / "model.safetensors").state
    assert mine.keys() == theirs.keys() and all(torch.equal(mine[name], theirs[name]) for name in theirs)


def test_nothing_of_the_machine_is_told(done: Done) -> None:
    out = done.out
    for path in out.iterdir():
        data = path.read_bytes()
        assert b"ada-secret" not in data and str(out.parent).encode() not in data, path
        assert socket.gethostname().encode() not in data or len(socket.gethostname()) < 4
        assert not exported.place_in(path)
    told = json.loads((out / "config.json").read_text())["config"]
    assert told["DATASET.NAME"] == "streets.yaml" and told["EVAL.DO_FLIP"] is True
    assert not {"RESULT_DIR", "DATASET.ROOT", "ASSETS_PATH", "SNAPSHOT", "OPTIONS.DEVICES"} & told.keys()


def test_every_option_of_free_text_is_left_out() -> None:
    """A new option of a path is left out without being named anywhere."""
    values = {key: PLACE if o.kind.read is OPTIONS["RESULT_DIR"].kind.read else o.default for key, o in OPTIONS.items()}
    for key in ("MODEL.ARCH", "MODEL.ENCODER"):
        assert key not in record.told({key: PLACE})
    assert PLACE not in str(record.told({k: v for k, v in values.items() if k != "DATASET.NAME"}))
    assert record.told({"DATASET.NAME": r"C:\Users\ada\my.yaml"}) == {"DATASET.NAME": "my.yaml"}


def test_the_card(done: Done) -> None:
    found, text = head(done.out), (done.out / "README.md").read_text()
    assert found["license"] == "cc-by-4.0" and found["pipeline_tag"] == "image-segmentation"
    (result,) = found["model-index"][0]["results"]
    assert found["model-index"][0]["name"] == "street-net" and result["metrics"][0]["value"] == 25.0
    for words in ("Mean IoU 25.00 %", "mirror images: averaged, left to right", "weights: their moving average (EMA)"):
        assert words in text, words
    for words in ("seeds: one, 0", "temperature: none", "2 of", "| road | 7 | 128, 64, 128 |", "picture.png"):
        assert words in text, words


def test_a_last_checkpoint_has_its_own_score(state: dict[str, Any], tmp_path: Path, capsys) -> None:
    """Its `mean_iu` is the best epoch's."""
    checkpoint.save({**state, "ema": None, "spent": {}}, tmp_path / "last_checkpoint_ep1.pth")
    text = said(capsys, tmp_path, tmp_path / "a")
    assert "has no score" in text and "license is not known" in text
    assert head(tmp_path / "a")["license"] == "unknown"
    assert "model-index" not in head(tmp_path / "a") and "were not scored" in (tmp_path / "a/README.md").read_text()
    assert "kept no moving average" in (tmp_path / "a/README.md").read_text()
    log = RunLog(tmp_path)
    log.metric("val", {"mean_iu": 0.5}, 1)
    log.close()
    assert record.read(tmp_path).score == 0.5


def test_exported_files_come_with_their_proofs(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sha = digest.sha256([run / "best_checkpoint_ep1.pth"])
    proof = {"pictures": {f"{PLACE}/x.png": {"same": 0.9995}}, "labeled": {"mean_iou": 50.0, "network": 50.01}}
    proof["labeled"] |= {"data": "toy", "pictures": 3}
    for name, source, content in (
        ("net.onnx", sha, b"onnx"),
        ("old.onnx", "0" * 64, b"onnx"),
        ("traced.pt2", sha, f"File {PLACE}/net.py".encode()),
    ):
        (run / name).write_bytes(content)
        about = {"source_sha256": source, "precision": "fp32", "proof": proof, "files": {name: sum_of(content)}}
        (run / f"{name}.json").write_text(json.dumps(about))
    (run / "hparams.json").write_text("{}")
    out = tmp_path / "out"
    text = said(capsys, run, out)
    assert "old.onnx was exported from another checkpoint" in text and "traced.pt2 names a place" in text
    assert (out / "net.onnx").read_bytes() == b"onnx" and not (out / "old.onnx").exists()
    assert [*json.loads((out / "net.onnx.json").read_text())["proof"]["pictures"]] == ["x.png"]
    row = "| [net.onnx](net.onnx) | fp32 | 99.950 % | 50.00, 50.01 on 3 pictures of toy |"
    assert row in (out / "README.md").read_text()


@pytest.mark.parametrize(
    ("wrong", "line"),
    [
        ({"files": {"net.onnx": "0" * 64}}, "net.onnx is not what net.onnx.json was measured on"),
        ({"files": {}}, "net.onnx is not what net.onnx.json was measured on"),
        ({"proof": {}}, "what net.onnx.json says was measured is damaged"),
        ({"proof": {"pictures": {"a": {}}}}, "what net.onnx.json says was measured is damaged"),
        ({"precision": None}, "what net.onnx.json says was measured is damaged"),
        ({"precision": "int8", "int8": "3 of 53 layers in int8"}, ""),
    ],
)
def test_a_file_without_its_own_proof_is_left_out(wrong: dict[str, Any], line: str, tmp_path: Path) -> None:
    (run := tmp_path / "run").mkdir()
    (out := tmp_path / "out").mkdir()
    for name in ("best.pth", "net.onnx"):
        (run / name).write_bytes(b"")
    about = {"source_sha256": sum_of(b""), "precision": "fp32", "files": {"net.onnx": sum_of(b"")}}
    about |= {"proof": {"pictures": {"a": {"same": 1.0}}}}
    (run / "net.onnx.json").write_text(json.dumps(about | wrong))
    files, lines = exported.copy(run, run / "best.pth", out)
    assert [line in said for said in lines] == [True] * bool(line) and bool(files) == bool(not line)
    assert line or files[0].precision == "int8: 3 of 53 layers in int8"
    assert bool([*out.iterdir()]) == bool(files)


def test_the_temperature_goes_with_the_weights(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = run / "best_checkpoint_ep1.pth"
    rule = inference.RULES["default"]
    temperature.write(file, 1.5, NAMES, rule, {"images": 4})
    said(capsys, run, tmp_path / "out")
    value, line = temperature.of(tmp_path / "out/model.safetensors", NAMES, rule)
    assert value == 1.5 and "another" not in line
    assert "temperature: 1.500" in (tmp_path / "out/README.md").read_text()


def test_mistakes_are_one_line(state: dict[str, Any], run: Path, tmp_path: Path, capsys) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full/notes.txt").write_text("mine")
    assert "has files already (notes.txt)" in said(capsys, run, tmp_path / "full", code=2)
    assert (tmp_path / "full/notes.txt").read_text() == "mine"
    assert "has no checkpoint" in said(capsys, tmp_path / "full", tmp_path / "out", code=2)
    (tmp_path / "early").mkdir()
    checkpoint.save({**state, "iteration": 3}, tmp_path / "early/last_checkpoint_ep1.pth")
    assert "no checkpoint of a finished epoch" in said(capsys, tmp_path / "early", tmp_path / "out", code=2)
    names = [f"{PLACE}/road", *NAMES[1:]]
    checkpoint.save({**state, "class_names": names}, tmp_path / "early/best_checkpoint_ep1.pth")
    line = said(capsys, tmp_path / "early", tmp_path / "out", code=2)
    assert "would name a place of this machine (/home/ada-secret/)" in line and line.count("\n") == 1
    assert {path.name for path in tmp_path.iterdir()} == {"full", "run", "early"}  # nothing half written


def test_a_shared_folder_is_no_run_to_go_on_with(done: Done, tmp_path: Path, capsys) -> None:
    assert "no checkpoint of a finished epoch" in said(capsys, done.out, tmp_path / "again", code=2)
    content = safe_load.read(done.out / "model.safetensors")
    assert content["format"] == "streetscale" and content["epoch"] == 1 and "optimizer" not in content
    with pytest.raises(UserError, match="has weights alone, as they are shared: use --snapshot"):
        restore.resume(done.out / "model.safetensors", None, config.flat(config.load(ARGV)), None, 1)  # type: ignore[arg-type]


def test_push(run: Path, tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    class Api:
        def create_repo(self, name: str, exist_ok: bool, private: bool) -> None:
            calls.append(f"{name} {private}")

        def upload_folder(self, folder_path: str, repo_id: str, commit_message: str) -> None:
            if repo_id == "ada/closed":
                raise OSError("no network\nat all")
            calls.append(f"{Path(folder_path).name} {repo_id}")

    monkeypatch.setattr(hub, "package", lambda: type("Hub", (), {"HfApi": Api}))
    assert "uploaded to hf:ada/net" in said(capsys, run, tmp_path / "out", "--push", "ada/net")
    assert calls == ["ada/net True", "out ada/net"] and "hf:ada/net" in (tmp_path / "out/README.md").read_text()
    with pytest.raises(UserError, match="the hub did not take it .*no network") as raised:
        hub.push(tmp_path / "out", "ada/closed")
    assert "\n" not in str(raised.value)


def test_without_the_hub_s_package_nothing_is_written(run: Path, tmp_path: Path, capsys, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    line = said(capsys, run, tmp_path / "out", "--push", "ada/net", code=2)
    assert "pip install huggingface_hub" in line and line.count("\n") == 1 and not (tmp_path / "out").exists()
