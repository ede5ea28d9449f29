"""The driver end to end on a few small scenes: files, resume, signals, several processes, users' mistakes."""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import rank_gradients
import torch
from forked import Process, ranks
from runs import (
    assert_same_end,
    copied,
    finish,
    folder,
    forked,
    into,
    last,
    on_ranks,
    placed,
    python,
    rows,
)

import config
import network
import train
from engine import checkpoint
from engine.runlock import FolderLock
from engine.stop import StopRequest
from scripts.convert_checkpoint import main as convert_checkpoint
from utils.distributed import DistributedContext
from utils.errors import UserError

pytestmark = pytest.mark.usefixtures("signals_restored")


def test_training_writes_what_people_look_for(trained: list[str]) -> None:
    names = {path.name for path in folder(trained).iterdir()}
    assert {"train.log", "metrics.csv", "hparams.json", "report.html", "per_image.csv"} <= names
    assert {"last_checkpoint_ep3.pth", "checkpoint_ep1.pth", "checkpoint_ep3.pth", "best_checkpoint_ep3.pth"} <= names
    assert sum(name.endswith(".pth") for name in names) == 4
    assert not [name for name in names if ".part" in name]
    best, end = (checkpoint.load(folder(trained) / f"{kind}_checkpoint_ep3.pth") for kind in ("best", "last"))
    assert best.pop("mean_iu") > 0.0 == end.pop("mean_iu")  # that of the epochs before
    assert best.keys() == end.keys() and (best["epoch"], best["step"]) == (3, 8)
    for part in ("net", "ema"):
        torch.testing.assert_close(best[part], end[part], rtol=0, atol=0)
    assert [row["epoch"] for row in rows(trained, "train")] == [0, 1, 2, 3]
    assert [row["epoch"] for row in rows(trained, "val")] == [3]
    output = (folder(trained).parent / "stdout.txt").read_text()
    assert "mean IoU" in output and str(folder(trained) / "report.html") in output
    state = last(trained)
    assert state["arch"] == "ocrnet.HRNet_Mscale" and state["class_names"][0] == "road" and len(state["rng"]) == 1


def refuse_memory() -> None:
    """What stands in for `heap.keep`."""
    raise UserError("memory is kept")


def test_evaluation_of_a_checkpoint_alone_repeats_its_score(
    trained: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither --arch nor widths are given: the file brings them. Memory is kept in trainings alone."""
    monkeypatch.setattr("engine.training.heap.keep", refuse_memory)
    best = folder(trained) / "best_checkpoint_ep3.pth"
    data = trained[trained.index("--data_root") + 1]
    words = ["--eval", "val", "--snapshot", str(best), "--data_root", data, "--result_dir", str(tmp_path / "eval")]
    assert train.main([*words, "--num_workers", "0"]) == 0
    assert rows(words, "val")[-1]["mean_iu"] == rows(trained, "val")[-1]["mean_iu"] > 0


@pytest.mark.slow
def test_prediction_of_a_folder(trained: list[str], tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    for name, size in (("a.png", (50, 70)), ("sub/b.jpg", (64, 41))):
        (pictures / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(pictures / name), np.random.default_rng(0).integers(0, 255, (*size, 3), dtype=np.uint8))
    snapshot = folder(trained) / "best_checkpoint_ep3.pth"
    words = ["--eval", "folder", "--eval_folder", str(pictures), "--snapshot", str(snapshot)]
    words += ["--result_dir", str(tmp_path / "out"), "--dump_assets", "--n_scales", "0.5,1.0,2.0", "--num_workers", "0"]
    assert train.main(words) == 0
    written = [path.name for path in (tmp_path / "out").rglob("*.png")]
    assert any("a" in name for name in written) and any("attn_05x" in name for name in written)
    assert (tmp_path / "out" / "report.html").exists()


def stopped(words: list[str], monkeypatch: pytest.MonkeyPatch, steps: int) -> None:
    """Train until a signal has been heard after so many steps."""
    calls = iter(range(100))
    with monkeypatch.context() as patch:
        patch.setattr(StopRequest, "asked", lambda self, ranks: next(calls) + 1 == steps)
        patch.setattr(StopRequest, "exit_code", 143)
        assert train.main(words) == 143


def test_interrupted_run_resumes_to_the_bit(
    trained: list[str], tiny_run: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the middle of the first epoch and again of the second, dropout on, moving average on."""
    words = again(trained, tiny_run)
    stopped(words, monkeypatch, steps=1)
    assert last(words)["step"] == 1
    stopped([*words, "--resume", "auto"], monkeypatch, steps=2)
    assert last(words)["step"] == 3
    assert train.main([*words, "--resume", "auto"]) == 0
    assert_same_end(trained, words)


def again(trained: list[str], tiny_run: list[str]) -> list[str]:
    """The command line of `trained` for this test's own folder."""
    return [*tiny_run, *trained[len(tiny_run) :]]


@pytest.mark.slow
def test_budget_of_iterations(tiny_run: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Epochs of 2 batches, rounds of 3, 7 in all: checkpoint and validation after 3, 6, 7; resumed to the bit.

    Stopped in the first round and in the second.
    """
    words = [*tiny_run, "--max_iters", "7", "--save_interval", "3", "--save_every", "1", "MODEL.OCR.DROPOUT", "0.5"]
    assert train.main(into(words, "whole")) == 0
    assert [row["epoch"] for row in rows(into(words, "whole"), "val")] == [0, 1, 2]
    assert last(into(words, "whole"))["step"] == 7
    assert "epoch 2 [1/1]" in (folder(into(words, "whole")) / "train.log").read_text()
    parts = into(words, "parts")
    stopped(parts, monkeypatch, steps=2)
    stopped([*parts, "--resume", "auto"], monkeypatch, steps=2)
    assert last(parts)["step"] == 4
    assert train.main([*parts, "--resume", "auto"]) == 0
    assert_same_end(into(words, "whole"), parts)


@pytest.mark.slow
def test_rounds_do_not_change_on_resume(tiny_run: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    words = [*tiny_run, "--max_iters", "2", "--save_interval", "1", "--do_eval", "false"]
    assert train.main(words) == 0 and not rows(words, "val")
    for change in (["--save_interval", "2"], ["--max_iters", "0"]):
        assert train.main([*words, "--resume", "auto", *change]) == 2
        assert "counts in iterations: go on with --max_iters and --save_interval 1" in capsys.readouterr().err
    assert train.main([*words, "--max_iters", "3", "--resume", "auto"]) == 0
    assert last(words)["step"] == 3


@pytest.mark.slow
def test_a_larger_budget_goes_on_in_its_short_last_round(tiny_run: list[str]) -> None:
    """Rounds of 3 of a budget of 4: the second had one iteration, and has two more with a budget of 7."""
    words = [*tiny_run, "--save_interval", "3", "--do_eval", "false"]
    assert train.main([*words, "--max_iters", "4"]) == 0
    assert (last(words)["epoch"], last(words)["step"]) == (1, 4)
    assert train.main([*words, "--max_iters", "7", "--resume", "auto"]) == 0
    assert (last(words)["epoch"], last(words)["iteration"], last(words)["step"]) == (2, 0, 7)
    log = (folder(words) / "train.log").read_text()
    assert "epoch 0 done, 1 iterations of the next" in log and "epoch 1 [2/3]" in log


@pytest.mark.slow
def test_same_seed_same_weights_other_seed_others(
    trained: list[str], tiny_run: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compared after the second of four epochs; to the end: test_interrupted_run_resumes_to_the_bit."""
    words = again(trained, tiny_run)
    for name, seed in (("same", "0"), ("other", "1")):
        stopped([*into(words, name), "--seed", seed], monkeypatch, steps=4)
    first = checkpoint.load(folder(trained) / "checkpoint_ep1.pth")["net"]
    same, other = (last(into(words, name))["net"] for name in ("same", "other"))
    assert all(torch.equal(x, same[name]) for name, x in first.items())
    assert not torch.equal(first["ocr.cls_head.weight"], other["ocr.cls_head.weight"])


@pytest.mark.slow
def test_missing_validation_is_made_up_for(tiny_run: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed between the checkpoint and its validation."""
    with monkeypatch.context() as patch:
        patch.setattr(train, "validate", lambda run, state: (_ for _ in ()).throw(KeyboardInterrupt))
        assert train.main([*tiny_run, "--max_epoch", "1"]) == 130
    assert not rows(tiny_run, "val")
    assert "stopped by Ctrl-C: --resume auto goes on" in (folder(tiny_run) / "train.log").read_text()
    assert train.main([*tiny_run, "--max_epoch", "1", "--resume", "auto"]) == 0
    assert [row["epoch"] for row in rows(tiny_run, "val")] == [0]
    assert (folder(tiny_run) / "best_checkpoint_ep0.pth").exists()


@pytest.mark.slow
@pytest.mark.parametrize("how", ["TERM", "KILL"])
def test_killed_process_resumes_to_the_bit(trained: list[str], tiny_run: list[str], how: str) -> None:
    """At a random iteration; after SIGKILL only the checkpoint of the last whole epoch is there."""
    words = again(trained, tiny_run)
    process = forked(words)
    wanted = random.Random().randrange(1, 6)
    print(f"signal after line {wanted} of 8")
    seen = 0
    for line in process.stdout:
        seen += line.startswith("epoch ")
        if seen == wanted:
            process.send_signal(getattr(signal, f"SIG{how}"))
            break
    process.communicate(timeout=120)
    assert process.returncode == (143 if how == "TERM" else -9), f"stopped after line {wanted}"
    assert train.main([*words, "--resume", "auto"]) == 0
    assert_same_end(trained, words)


def uneven_labels(root: Path) -> None:
    """Make nearly all of every second training label void, so that ranks see very different numbers of pixels."""
    for index, path in enumerate(sorted(root.glob("gtFine/train/*/*_labelIds.png"))):
        if index % 2:
            label = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
            label[4:] = 0
            cv2.imwrite(str(path), label)


LOSSES = {
    "": [],
    "rmi": ["--rmi_loss", "--supervised_mscale_loss_wt", "0.05"],
    "img_wt": ["--img_wt_loss"],
    "jointwtborder": ["--jointwtborder"],
    "terms": ["--loss_terms", "dice:pred:1,dice:aux:0.4,bootstrapped:pred:1,bootstrapped:pred_05x:0.1"],
}
# Hard pixels are those below a fixed probability here: each rank looks for the hardest ones by itself.
OFFSET = ["--arch", "offset.HRNet_OCR_Mscale", "LOSS.OHEM_KEEP", "1", "MODEL.OCR_EXTRA.STAGE4_2.NUM_BLOCKS", "1,1,1,1"]


@pytest.fixture(scope="session")
def uneven(tiny_words: Callable[[Path, Path], list[str]], tiny_scenes: Path, once: Callable[..., Path]) -> list[str]:
    """A command line without dropout, on images with very different numbers of ignored pixels."""

    def make(folder: Path) -> None:
        shutil.copytree(tiny_scenes, folder / "scenes")
        uneven_labels(folder / "scenes")

    folder = once("uneven", make)
    return [*tiny_words(folder / "scenes", folder), "--max_epoch", "1", "MODEL.OCR.DROPOUT", "0"]


@pytest.fixture(scope="session")
def gradients(uneven: list[str], once: Callable[..., Path]) -> Path:
    """A folder with the gradients of each loss by one process and by two, <number>-<loss>.pt."""
    return once("gradients", lambda folder: write_gradients(uneven, folder, LOSSES))


def write_gradients(words: list[str], folder: Path, losses: Mapping[str, list[str]]) -> None:
    """By one process, and by two that meet once for all of the losses."""
    for processes in (1, 2):
        lines = {
            str(folder / f"{processes}-{name}.pt"): [*words, *flags, "--bs_trn", str(4 // processes)]
            for name, flags in losses.items()
        }
        finish(*ranks(rank_gradients.main, [json.dumps(lines)], processes))


def assert_same_gradients(folder: Path, name: str) -> None:
    """In double precision, where rounding cannot hide a wrong denominator."""
    one, two = (torch.load(folder / f"{processes}-{name}.pt") for processes in (1, 2))
    assert float(two["loss"]) == pytest.approx(float(one["loss"]), rel=1e-12)
    scale = max(float(grad.norm()) for grad in one["grad"].values())
    for name, grad in one["grad"].items():
        assert float((two["grad"][name] - grad).norm()) < 1e-10 * scale, name


@pytest.mark.slow
@pytest.mark.parametrize("name", LOSSES)
def test_gradients_of_two_processes_are_those_of_one(gradients: Path, name: str) -> None:
    assert_same_gradients(gradients, name)


@pytest.mark.slow
def test_gradients_of_offsets_on_two_processes_are_those_of_one(uneven: list[str], tmp_path: Path) -> None:
    """Quick: the same without offset vectors above, and tests/loss/test_offset_losses.py."""
    write_gradients(uneven, tmp_path, {"offset": OFFSET})
    assert_same_gradients(tmp_path, "offset")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["", "rmi"])
def test_two_processes_equal_one(uneven: list[str], tmp_path: Path, name: str) -> None:
    """Same global batch, --syncbn: the same losses (1e-5), and exactly the same confusion matrix.

    The learning rate is small, since these random weights amplify rounding from step to step. RMI's total crosses
    zero, where a relative bound means nothing: there the bound is absolute.
    """
    words = [*placed(uneven, tmp_path / "one"), "--optimizer", "sgd", "--lr", "1e-4", *LOSSES[name]]
    assert train.main(words) == 0
    two = [*into(words, "two"), "--bs_trn", "2"]
    finish(*on_ranks(two))
    one_loss, two_loss = rows(words, "train")[0]["loss"], rows(two, "train")[0]["loss"]
    assert two_loss == pytest.approx(one_loss, rel=1e-5, abs=1e-5)
    snapshot = ["--eval", "val", "--snapshot", str(folder(words) / "best_checkpoint_ep0.pth")]
    finish(*on_ranks([*into(words, "evaluated"), *snapshot]))
    confusions = [(folder(into(words, name)) / "confusion.csv").read_text() for name in ("one", "evaluated")]
    assert confusions[0] == confusions[1] and len(confusions[0]) > 100


@pytest.mark.in_make_test("flags0", "flags2", "flags3", "flags4", "flags6", "flags8")
@pytest.mark.parametrize(
    "flags",
    [
        ["--grad_ckpt"],
        ["--second_scale_from", "1", "--supervised_mscale_loss_wt", "0.05"],
        ["--fp16", "--amp_opt_level", "O2"],
        ["--accum", "2", "--bs_trn", "2", "--grad_clip", "1", "--warmup", "1", "--lr_schedule", "cosine"],
        ["--freeze_trunk", "--label_stride", "2", "--gblur", "--rand_augment", "2,5"],
        ["--train_fraction", "0.5", "--class_uniform_pct", "0"],
        ["--aug_table", "paddle", "--class_uniform_pct", "0", "--dump_augmentation_images"],
        ["--aug_table", "paddle", "--color_aug", "0", "--hue_aug", "0", "--dump_augmentation_images"],
        ["--full_crop_training", "--optimizer", "radam", "--lr_schedule", "poly2"],
        ["--mosaic", "0.5", "--cutmix", "0.5", "--copy_paste", "0.5", "--label_stride", "2"],
    ],
)  # fmt: skip
def test_options_of_training_run(tiny_run: list[str], flags: list[str]) -> None:
    assert train.main([*tiny_run, "--max_epoch", "1", "--do_eval", "false", *flags]) == 0
    assert np.isfinite(rows(tiny_run, "train")[0]["loss"])


@pytest.mark.in_make_test("flags0", "flags2")
@pytest.mark.parametrize(
    "flags",
    [
        ["--test_mode", "--channels_last", "off", "--deterministic"],
        ["--arch", "basic.HRNet", "--optimizer", "sgd", "--do_flip", "--multi_scale_inference"],
        ["--n_scales", "0.5,1.0,2.0", "--init_decoder", "--mscale_no3x3", "--bn_momentum", "0.01"],
        ["--log_msinf_to_tb", "--dump_topn", "1", "--dump_assets", "--dump_augmentation_images"],
    ],
)
def test_options_of_validation_run(tiny_run: list[str], flags: list[str]) -> None:
    assert train.main([*tiny_run, "--max_epoch", "1", *flags]) == 0
    assert np.isfinite(rows(tiny_run, "train")[0]["loss"]) and rows(tiny_run, "val")[0]["mean_iu"] > 0


@pytest.mark.slow
def test_signal_to_the_whole_group_saves(tiny_run: list[str]) -> None:
    """Schedulers signal the loader processes, too."""
    process = python([*tiny_run, "--max_epoch", "50", "--val_freq", "50", "--num_workers", "2"], session=True)
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("epoch 1 "):
            os.killpg(process.pid, signal.SIGTERM)
            break
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 143 and "Traceback" not in output, output
    assert last(tiny_run)["epoch"] >= 0


@pytest.mark.slow
def test_resume_of_a_file_in_another_folder(trained: list[str], tiny_run: list[str]) -> None:
    """Goes on as the run itself would have; the file stays where it is."""
    kept = folder(trained) / "checkpoint_ep1.pth"
    content = kept.read_bytes()
    words = again(trained, tiny_run)
    assert train.main([*words, "--resume", str(kept)]) == 0
    one, other = last(trained), last(words)
    assert all(torch.equal(x, other["net"][name]) for name, x in one["net"].items())
    assert kept.read_bytes() == content


@pytest.mark.slow
def test_resume_of_a_published_checkpoint(tiny_run: list[str], tmp_path: Path) -> None:
    """Weights, optimizer and epoch; what has another number of classes starts anew."""
    words = [*tiny_run, "--optimizer", "sgd", "--max_epoch", "1"]
    assert train.main([*words, "--do_eval", "false"]) == 0
    published = tmp_path / "last_checkpoint_ep0.pth"
    convert_checkpoint([str(next(folder(words).glob("last*.pth"))), str(published), "--to", "nvidia"])
    content = torch.load(published)
    assert all(name.startswith("module.") for name in content["state_dict"])
    content["state_dict"]["module.ocr.cls_head.weight"] = torch.zeros(65, 16, 1, 1)
    state = network.build(config.load(words)).state_dict(keep_vars=True)
    names = [name for name, x in state.items() if isinstance(x, torch.nn.Parameter)]
    slot = names.index("ocr.cls_head.weight")
    content["optimizer"]["state"][slot]["momentum_buffer"] = torch.zeros(65, 16, 1, 1)
    torch.save(content, published)
    more = [*into(words, "more"), "--max_epoch", "2", "--resume", str(published)]
    assert train.main(more) == 0
    assert last(more)["epoch"] == 1 and last(more)["step"] == 2
    assert [row["epoch"] for row in rows(more, "val")] == [1]


def test_start_epoch(tiny_run: list[str]) -> None:
    assert train.main([*tiny_run, "--start_epoch", "1", "--do_eval", "false"]) == 0
    assert [row["epoch"] for row in rows(tiny_run, "train")] == [1]


def test_resume_refuses_another_seed(trained: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train.main([*copied(trained, tmp_path), "--resume", "auto", "--seed", "5"]) == 2
    assert "SEED was 0, now 5" in capsys.readouterr().err


@pytest.mark.slow
def test_two_processes_resume_to_the_bit(tiny_run: list[str]) -> None:
    """Every rank has its own random state: dropout is on."""
    words = [*tiny_run, "--bs_trn", "2", "--save_every", "1", "MODEL.OCR.DROPOUT", "0.5"]
    finish(*on_ranks(into(words, "whole")))
    parts = folder(into(words, "parts"))
    parts.mkdir()
    shutil.copy(folder(into(words, "whole")) / "checkpoint_ep0.pth", parts / "last_checkpoint_ep0.pth")
    table = (folder(into(words, "whole")) / "metrics.csv").read_text().splitlines(keepends=True)
    (parts / "metrics.csv").write_text("".join(table[:3]))  # start, train 0, val 0
    finish(*on_ranks([*into(words, "parts"), "--resume", "auto"]))
    assert_same_end(into(words, "whole"), into(words, "parts"))


@pytest.mark.slow
def test_ranks_validate_the_network_that_is_saved(tiny_run: list[str]) -> None:
    """Without --syncbn each rank has its own running statistics; the main one's count."""
    words = [word for word in tiny_run if word != "--syncbn"] + ["--bs_trn", "2", "--max_epoch", "1"]
    finish(*on_ranks(words))
    confusion = (folder(words) / "confusion.csv").read_text()
    evaluation = ["--eval", "val", "--snapshot", str(folder(words) / "best_checkpoint_ep0.pth")]
    assert train.main([*into(words, "eval"), *evaluation]) == 0
    assert (folder(into(words, "eval")) / "confusion.csv").read_text() == confusion


def train_on_a_full_disk(words: list[str]) -> int:
    """With a limit on the size of files, the last word, which cuts a checkpoint off in the middle."""
    limit = int(words[-1])
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    return train.main(words[:-1])


@pytest.mark.slow
def test_full_disk_is_one_line_and_earlier_files_stay(trained: list[str], tmp_path: Path) -> None:
    words = copied(trained, tmp_path)
    before = {path.name: path.read_bytes() for path in folder(words).glob("*.pth")}
    limit = min(len(content) for content in before.values()) // 2
    more = [*words, "--max_epoch", "5", "--resume", "auto", str(limit)]
    process = Process(train_on_a_full_disk, more, os.environ)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 2 and "Traceback" not in output, output
    assert "could not write" in output.strip().splitlines()[-1]
    assert before == {path.name: path.read_bytes() for path in folder(words).glob("*.pth*")}  # no half file either


@pytest.mark.slow
def test_mistake_on_one_rank_ends_all(tiny_run: list[str], tiny_scenes: Path, tmp_path: Path) -> None:
    """A file that only one process reads: its line is there, and no launcher is needed to end the other one."""
    shutil.copytree(tiny_scenes, tmp_path / "broken")
    path = sorted((tmp_path / "broken").glob("leftImg8bit/train/*/*.png"))[0]
    path.write_bytes(path.read_bytes()[:500])
    words = [*tiny_run, "--data_root", str(tmp_path / "broken"), "--class_uniform_pct", "0", "--bs_trn", "2"]
    processes = on_ranks(words)
    outputs = [process.communicate(timeout=120)[0] for process in processes]
    assert all(process.returncode == 2 for process in processes), outputs
    assert any(f"error: {path}" in output for output in outputs), outputs


def test_accumulated_batches_make_one_step(tiny_run: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """4 batches in groups of 3: the one that is left weighs as much as there are, not a third."""
    shares, backward = [], train.backward

    def seen(*given: Any) -> torch.Tensor:
        shares.append(given[-1])
        return backward(*given)

    monkeypatch.setattr(train, "backward", seen)
    words = [*tiny_run, "--max_epoch", "1", "--bs_trn", "2", "--accum", "3", "--do_eval", "false"]
    assert train.main(words) == 0
    assert last(words)["step"] == 2
    assert shares == [3, 3, 3, 1]


def test_a_training_on_a_cpu_keeps_its_memory(
    tiny_run: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("engine.training.heap.keep", refuse_memory)
    assert train.main(tiny_run) == 2 and "memory is kept" in capsys.readouterr().err


def test_loss_that_is_not_finite_names_the_files(tiny_run: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    words = [*tiny_run, "--lr", "1e30", "--max_epoch", "5", "--nan_patience", "2"]
    assert train.main(words) == 2
    error = capsys.readouterr().err
    assert "2 losses in a row were not finite" in error and "_000019" in error and "Traceback" not in error


def test_second_run_does_not_overwrite_the_first(
    trained: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = copied(trained, tmp_path)
    before = {path.name: path.read_bytes() for path in folder(words).glob("*.pth")}
    assert train.main(words) == 2
    assert "--resume auto" in capsys.readouterr().err
    assert before == {path.name: path.read_bytes() for path in folder(words).glob("*.pth")}


def test_a_run_is_alone_in_its_folder(tiny_run: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """The scores of an evaluation that used the folder before are not the run's; a second run is refused."""
    place = folder(tiny_run)
    place.mkdir()
    (place / "metrics.csv").write_text("start,start/step,0,timestamp,1\nval,mean_iu,0.999,epoch,0,timestamp,2\n")
    with FolderLock() as lock:
        lock.take(place, "the first")
        assert train.main(tiny_run) == 2
        assert ": the first; wait for its end, or give another folder" in capsys.readouterr().err
        assert {path.name for path in place.iterdir()} == {"metrics.csv", "run.lock"}
    assert train.main([*tiny_run, "--max_epoch", "1"]) == 0
    assert "has files of an earlier run, which are no part of this one: set aside in" in capsys.readouterr().out
    assert (place / "best_checkpoint_ep0.pth").exists() and len(rows(tiny_run, "val")) == 1
    state = last(tiny_run)
    assert state["class_ids"][:2] == [7, 8]  # Cityscapes' own


def test_stop_request_agrees_over_ranks() -> None:
    stop = StopRequest()
    assert not stop.requested(DistributedContext())
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(0.01)
    assert stop.requested(DistributedContext()) and stop.exit_code == 143


@pytest.mark.slow
def test_file_in_the_run_folder_stops_the_run(tiny_run: list[str]) -> None:
    """Once: the checkpoint stands, the file is gone, the next start goes on."""
    folder(tiny_run).mkdir()
    (folder(tiny_run) / "preempt").touch()
    words = [*tiny_run, "--do_eval", "false"]
    assert train.main(words) == 128 + signal.SIGUSR1
    assert last(tiny_run)["step"] == 1 and not (folder(tiny_run) / "preempt").exists()
    assert train.main([*words, "--resume", "auto"]) == 0
    assert last(tiny_run)["step"] == 4


def test_only_the_main_rank_looks_for_the_file(tmp_path: Path) -> None:
    (tmp_path / "preempt").touch()
    stop = StopRequest(tmp_path / "preempt")
    assert stop.requested(DistributedContext()) and not stop.requested(DistributedContext(rank=1))
    os.kill(os.getpid(), signal.SIGUSR1)
    time.sleep(0.01)
    assert stop.requested(DistributedContext(rank=1))


def test_checkpoint_of_other_classes_is_not_scored(
    trained: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As many classes, in another order: every number of the table would be wrong."""
    content = torch.load(folder(trained) / "best_checkpoint_ep3.pth")
    content["class_names"] = content["class_names"][::-1]
    del content["checksum"]  # that of the file as it was
    torch.save(content, tmp_path / "other.pth")
    words = [*placed(trained, tmp_path / "evaluated"), "--eval", "val", "--snapshot", str(tmp_path / "other.pth")]
    assert train.main(words) == 2
    assert "'bicycle' there is 'road' in toy here" in capsys.readouterr().err
