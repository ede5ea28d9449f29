"""Every line that docs/faq.md quotes is one that the program prints: each question has a case that makes it do so."""

from __future__ import annotations

import errno
import os
import re
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml
from pictures import write_image
from torch import nn

import config
import datasets
import loss
import network
import train
from datasets import bit_depth
from datasets.base import Item, SegmentationDataset
from datasets.folder import SPEC
from datasets.loaders import EvalLoader
from engine import checkpoint, preflight, restore, session
from engine.endings import explain
from engine.log import RunLog
from engine.runlock import FolderLock
from engine.state import BatchLoss, TrainState
from network import weights
from network.weights import safe_load
from scripts import sweep
from transforms import Pipeline
from utils import amp, files, rendezvous
from utils.cli import exit_code
from utils.distributed import DistributedContext
from utils.processes import fate

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/faq.md").read_text(encoding="utf-8")
SECTIONS = {part.splitlines()[0]: part for part in PAGE.split("\n## ")[1:]}
QUOTED = {title: re.findall(r"```\n(.*?)```", part, re.S) for title, part in SECTIONS.items()}
Case = Callable[[Path, pytest.MonkeyPatch], None]
CASES: dict[str, Case] = {}
SMALL = ["--arch", "basic.HRNet", "--width_mult", "0.05", "--crop_size", "32", "--num_workers", "0", "--bs_trn", "2"]


def case(title: str) -> Callable[[Case], Case]:
    """The case of a question."""

    def add(made: Case) -> Case:
        CASES[title] = made
        return made

    return add


def told(work: Callable[[], object], explained: Callable[[Exception], str] = explain) -> None:
    """Print what a command does of the mistake that `work` ends in."""
    assert exit_code(work, explain=explained) == 2


def listed(root: Path, split: str, values: Sequence[Sequence[int]]) -> str:
    """A list of images whose labels have these values, in equal columns."""
    lines = []
    for i, row in enumerate(values):
        label = np.repeat(np.array([row], np.uint8), 32 // len(row), axis=1).repeat(32, axis=0)
        write_image(root / f"{split}{i}.png", np.zeros((*label.shape, 3), np.uint8))
        write_image(root / f"{split}{i}_label.png", label)
        lines.append(f"{split}{i}.png {split}{i}_label.png")
    (root / f"{split}.lst").write_text("\n".join(lines))
    return str(root / f"{split}.lst")


def words(root: Path, train_values: Sequence[Sequence[int]], val: Sequence[Sequence[int]], *more: str) -> list[str]:
    """A training on such labels."""
    lists = ["--list_train", listed(root, "train", train_values), "--list_val", listed(root, "val", val)]
    places = ["--data_root", str(root), "--result_dir", str(root / "run"), "--class_uniform_tile", "16"]
    return [*SMALL, *places, *lists, *more, "DATASET.CENTROID_ROOT", str(root / "centroids")]


def audited(argv: list[str]) -> None:
    """Print what is said of the labels before the first step."""
    cfg = config.load(argv)
    print("\n".join(datasets.audit_labels(cfg, DistributedContext(), datasets.build_train(cfg, DistributedContext()))))


@pytest.fixture(autouse=True)
def gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No launcher's variables."""
    for name in [name for name in os.environ if name.startswith(("SLURM_", "TORCHELASTIC_", "MASTER_", "RANK"))]:
        monkeypatch.delenv(name)


@contextmanager
def opened(folder: Path, *more: str) -> Iterator[session.Run]:
    """A run with its log."""
    cfg, ranks = config.load([*SMALL, "--dataset", "cityscapes", *more]), DistributedContext()
    run = session.Run(cfg, datasets.spec(cfg), ranks, RunLog(folder), amp.build(False, "O1", ranks.device), "")
    with ExitStack() as stack:
        stack.callback(run.close)
        yield run


def state_of(net: nn.Module, name: str = "sgd", epoch: int = -1) -> TrainState:
    """A training of a network that stands at an epoch."""
    made = loss.optimizer.make(name, net, loss.optimizer.Settings(0.1), loss.groups.Grouping())
    return TrainState(net, made, torch.amp.GradScaler("cpu", enabled=False), epoch=epoch)


@case("My labels are 1 to K, or every class is shifted by one")
def _shifted(root: Path, patch: pytest.MonkeyPatch) -> None:
    (root / "classes.yaml").write_text("names: [sky, road, car]\nids: [1, 2, 3]\nignore: [0]\n")
    more = ("--dataset", "list", "--classes", str(root / "classes.yaml"))
    assert train.main(words(root, [[1, 9], [2, 3]], [[1, 2]], *more)) == 2


@case("My masks are 0 and 255, and the object is never learned")
def _masks(root: Path, patch: pytest.MonkeyPatch) -> None:
    audited(words(root, [[0, 255]] * 2, [[0, 255]], "--dataset", "list", "--num_class", "2"))


@case("Can I train a single class?")
def _single(root: Path, patch: pytest.MonkeyPatch) -> None:
    assert train.main(words(root, [[0]], [[0]], "--dataset", "list", "--num_class", "1")) == 2


@case("How do I ignore label 0 (ignore_index)?")
def _ignored(root: Path, patch: pytest.MonkeyPatch) -> None:
    argv = words(root, [[0, 1]], [[0, 1]], "--dataset", "list", "--num_class", "2")
    assert train.main([*argv, "DATASET.IGNORE_LABEL", "0"]) == 2


@case("Does it read labelIds or labelTrainIds?")
def _convention(root: Path, patch: pytest.MonkeyPatch) -> None:
    audited(words(root, [[7, 23], [7, 8]], [[7, 8]], "--dataset", "cityscapes"))


@case("A label value cannot be an id")
def _fraction(root: Path, patch: pytest.MonkeyPatch) -> None:
    values = np.zeros((32, 32), np.float32)
    values[0, 0] = 0.5
    assert cv2.imwrite(str(root / "x.tif"), values)
    argv = words(root, [[0, 1]] * 2, [[0, 1]], "--dataset", "list", "--num_class", "2")
    (root / "train.lst").write_text("train0.png x.tif\ntrain1.png train1_label.png\n")
    assert train.main(argv) == 2


@case("A class is never predicted, its IoU is 0")
def _absent(root: Path, patch: pytest.MonkeyPatch) -> None:
    audited(words(root, [[0, 1]] * 2, [[0, 1]], "--dataset", "list", "--num_class", "3"))


@case("There is no score and no best checkpoint")
def _no_score(root: Path, patch: pytest.MonkeyPatch) -> None:
    audited(words(root, [[0, 1]] * 2, [[255], [255]], "--dataset", "list", "--num_class", "2"))


@case("There are fewer training images than lines in my list")
def _repeated(root: Path, patch: pytest.MonkeyPatch) -> None:
    argv = words(root, [[0, 1]] * 2, [[0, 1]], "--dataset", "list", "--num_class", "2")
    (root / "train.lst").write_text((root / "train.lst").read_text() + "\ntrain0.png train0_label.png\n")
    audited(argv)


@case("My 16-bit pictures are black, or far too dark")
def _dark(root: Path, patch: pytest.MonkeyPatch) -> None:
    assert cv2.imwrite(str(root / "a.png"), np.full((4, 4, 3), 4000, np.uint16))
    print(bit_depth.bits_of_folder([str(root / "a.png")], 0)[1])


def seen(paths: Sequence[Path], upright: bool) -> None:
    """Print what an evaluation of these pictures has met."""
    shown = [Item(str(path), None, path.stem, exif_turned=upright) for path in paths]
    loader = EvalLoader(SegmentationDataset(shown, SPEC, Pipeline([])), lenient=True)
    assert sum(len(batch["image"]) for batch in loader) > 0
    print("\n".join(loader.seen(DistributedContext()).lines))


@case("My photos or masks are turned by 90 degrees")
def _turned(root: Path, patch: pytest.MonkeyPatch) -> None:
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (8, 4)).save(root / "a.jpg", exif=exif)
    for upright in (True, False):
        seen([root / "a.jpg"], upright)


@case("One damaged picture in a folder")
def _damaged_picture(root: Path, patch: pytest.MonkeyPatch) -> None:
    for name in ("a.png", "c.png"):
        write_image(root / name, np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8))
    (root / "c.png").write_bytes((root / "c.png").read_bytes()[:60])
    seen([root / "a.png", root / "c.png"], upright=True)


@case("0 entries fit")
def _no_fit(root: Path, patch: pytest.MonkeyPatch) -> None:
    torch.save({"fc.weight": torch.zeros(3, 3), "fc.bias": torch.zeros(3)}, root / "other.pth")
    told(lambda: weights.load(nn.ModuleDict({"conv": nn.Conv2d(3, 2, 1)}), root / "other.pth"))


@case("It says that my .pth is no checkpoint")
def _no_checkpoint(root: Path, patch: pytest.MonkeyPatch) -> None:
    (root / "a.pth").write_text("<!DOCTYPE html><html><title>Virus scan warning</title></html>\n")
    (root / "b.pth").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n")
    for name in ("a.pth", "b.pth"):
        told(lambda name=name: safe_load.read(root / name))


@case("A checkpoint is damaged")
def _damaged(root: Path, patch: pytest.MonkeyPatch) -> None:
    checkpoint.save({"net": {"weight": torch.arange(64.0)}}, root / "a.pth")
    data = bytearray((root / "a.pth").read_bytes())
    data[data.find(torch.arange(64.0).numpy().tobytes()) + 6] ^= 0x40
    (root / "a.pth").write_bytes(data)
    told(lambda: safe_load.read(root / "a.pth"))


@case("The loss is nan")
def _nan(root: Path, patch: pytest.MonkeyPatch) -> None:
    def steps() -> None:
        with opened(root / "run", "--nan_patience", "2") as run:
            state = state_of(nn.Linear(1, 1))
            none, left_out = torch.tensor(torch.nan), torch.tensor(False)
            state.unread += [BatchLoss(iteration, none, ["a", "b"], left_out) for iteration in (6, 7)]
            state.iteration = 7
            state.settle()
            train.record_losses(run, state)

    told(steps)
    state = state_of(nn.Linear(1, 1))
    state.net.weight.data.fill_(torch.nan)  # type: ignore[union-attr]
    told(lambda: state.pack(DistributedContext(), {}))
    net = nn.ModuleDict({"fc": nn.Linear(1, 1)})
    torch.save({"fc.weight": torch.full((1, 1), torch.nan), "fc.bias": torch.zeros(1)}, root / "a.pth")
    told(lambda: weights.load(net, root / "a.pth"))


@case("What happens to options that I change at a resume?")
def _changed(root: Path, patch: pytest.MonkeyPatch) -> None:
    cfg = config.load([*SMALL, "--dataset", "cityscapes"])
    options, net, ranks = config.flat(cfg), nn.Linear(1, 1), DistributedContext()
    facts = {"arch": cfg.MODEL.ARCH, "config": options}
    checkpoint.save(state_of(net).pack(ranks, facts), root / "a.pth")
    told(lambda: restore.resume(root / "a.pth", state_of(net, "adamw"), options, ranks, 4))
    told(lambda: restore.resume(root / "a.pth", state_of(net), options | {"SEED": 1}, ranks, 4))


@case("A resume ends at once")
def _nothing_left(root: Path, patch: pytest.MonkeyPatch) -> None:
    with opened(root / "run", "--max_epoch", "3") as run:
        for note in preflight.notes(run.cfg, state_of(nn.Linear(1, 1), epoch=2), 4):
            run.log.line(f"note: {note}")


@case("It says that the folder holds a run, or is in use")
def _held(root: Path, patch: pytest.MonkeyPatch) -> None:
    (root / "run").mkdir()
    (root / "run/last_checkpoint_ep0.pth").touch()
    assert train.main(words(root, [[0, 1]], [[0, 1]], "--dataset", "list", "--num_class", "2")) == 2
    with FolderLock() as lock:
        assert lock.take(root / "other", "train.py") == ""
        told(lambda: FolderLock().take(root / "other", "train.py"))


@case("A flag has no effect")
def _unread(root: Path, patch: pytest.MonkeyPatch) -> None:
    assert train.main([*SMALL, "--dataset", "cityscapes", "--n_scales", "0.5,1.0"]) == 2


@case("Expected more than 1 value per channel when training")
def _one_value(root: Path, patch: pytest.MonkeyPatch) -> None:
    cfg = config.load([*SMALL, "--dataset", "cityscapes", "--bs_trn", "1"])
    told(lambda: preflight.check_batchnorm(cfg, network.build(cfg), DistributedContext()))


@case("Out of memory")
def _memory(root: Path, patch: pytest.MonkeyPatch) -> None:
    def full(argv: list[str]) -> int:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    patch.setattr(train, "run_command", full)
    assert train.main(SMALL) == 2


class Dying:
    """Items of which reading ends the process that reads them."""

    skips_bad = False

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> int:
        os.kill(os.getpid(), signal.SIGKILL)
        return index


@case("DataLoader worker exited unexpectedly")
def _dead(root: Path, patch: pytest.MonkeyPatch) -> None:
    loader = EvalLoader(Dying(), workers=1)  # type: ignore[arg-type]
    told(lambda: list(loader))
    assert fate(-signal.SIGKILL) != fate(-signal.SIGSEGV)


@case("The start hangs on several GPUs or nodes")
def _hanging(root: Path, patch: pytest.MonkeyPatch) -> None:
    with ExitStack() as stack:
        import socket

        port = stack.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1]
    for name, value in {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), rendezvous.PATIENCE: "1"}.items():
        patch.setenv(name, value)
    told(lambda: rendezvous.join(0, 2))
    env = {"MASTER_ADDR": "node1", "SLURM_JOB_ID": "5", "SLURM_NTASKS": "4", "SLURM_PROCID": "0"}
    told(lambda: rendezvous.place(env))


@case("No space left on device")
def _full(root: Path, patch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    patch.setattr(files.os, "replace", full)
    told(lambda: checkpoint.save({"net": {}}, root / "a.pth"))


@case("My option file has no effect")
def _twice(root: Path, patch: pytest.MonkeyPatch) -> None:
    (root / "a.yaml").write_text("OPTIM: {LR: 0.1}\nTRAIN: {VAL_FREQ: 1}\nOPTIM: {NAME: sgd}\n")
    (root / "b.yaml").write_text("OPTIM:\nLR: 0.1\n")
    for name in ("a.yaml", "b.yaml"):
        assert train.main(["--cfg", str(root / name)]) == 2


@case("Names from Windows, UTF-8 and byte order marks")
def _encoding(root: Path, patch: pytest.MonkeyPatch) -> None:
    (root / "classes.yaml").write_bytes("names:\n- gr\xfcn\n".encode("latin-1"))
    more = ("--dataset", "list", "--classes", str(root / "classes.yaml"))
    assert train.main(words(root, [[0, 1]], [[0, 1]], *more)) == 2


@case("flag: false in a sweep changes nothing")
def _sweep(root: Path, patch: pytest.MonkeyPatch) -> None:
    settings = yaml.safe_load((ROOT / ".runx").read_text()) | {"LOGROOT": str(root / "logs")}
    (root / "runx.yml").write_text(yaml.safe_dump(settings))
    runs = "HPARAMS: {cfg: scripts/cfg/quickstart.yaml, do_eval: [true, false], result_dir: LOGDIR}\n"
    (root / "sweep.yml").write_text(f"CMD: python train.py\nRESOURCES: {{}}\n{runs}")
    assert sweep.main([str(root / "sweep.yml"), "-c", str(root / "runx.yml"), "-i"]) == 2


def test_every_question_quotes_a_line_and_has_its_case() -> None:
    assert list(CASES) == list(QUOTED) and all(QUOTED.values())


SLOW = {"DataLoader worker exited unexpectedly", "Expected more than 1 value per channel when training"}


@pytest.mark.parametrize("title", [pytest.param(x, marks=[pytest.mark.slow] * (x in SLOW)) for x in QUOTED])
def test_lines_are_printed(
    title: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    CASES[title](tmp_path, monkeypatch)
    printed = "".join(capfd.readouterr()).splitlines()
    for line in "".join(QUOTED[title]).splitlines():
        pattern = ".*".join(map(re.escape, line.split("...")))
        assert any(re.fullmatch(pattern, other) for other in printed), (line, printed)
