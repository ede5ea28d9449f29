"""Experiments through the unmodified runx: what it is told, what is refused before, what became of the runs."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from shared import GOLDEN, csail_file

import config
import inference
import network
import train
from scripts import sweep, sweep_status
from slurm import submit

ROOT = Path(__file__).parents[2]
DICE = "train_cityscapes_dice_bootstrap.yml"
SCRIPTS = json.loads((GOLDEN / "nvidia" / "scripts.json").read_text())
OPTIONS = json.loads((GOLDEN / "paddle" / "options.json").read_text())["readme_commands"]
PADDLE = {
    "eval_cityscapes_paddle.yml": "eval_3_scales",
    "eval_cityscapes_paddle_flip.yml": "eval_3_scales_flip",
    "eval_cityscapes_paddle_5scales_flip.yml": "eval_5_scales_flip",
}
CSAIL = json.loads((GOLDEN / "csail" / "options.json").read_text())
# Their file -> ours.
ADE20K = {name: name.replace("ade20k-", "ade20k_").replace(".yaml", ".yml").replace("hrnetv2.", "hrnetv2-c1.")
          for name in CSAIL["config_files_differences_from_defaults"]}  # fmt: skip
# What differs by purpose: places, loader processes, a channel count that is told by the encoder.
PLACES = {"DATASET.ROOT", "DATASET.LIST_TRAIN", "DATASET.LIST_VAL", "DATASET.NUM_WORKERS", "RESULT_DIR", "TRAIN.APEX"}
PLACES |= {"MODEL.FC_DIM", "MODEL.TRUNK_WEIGHTS"}


def flags(command: str) -> list[str]:
    """Words behind train.py."""
    words = shlex.split(command)
    return words[words.index("train.py") + 1 :]


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    """The repository's .runx with a LOGROOT of this test."""
    file = tmp_path / "runx.yml"
    file.write_text(yaml.safe_dump(yaml.safe_load((ROOT / ".runx").read_text()) | {"LOGROOT": str(tmp_path / "logs")}))
    return file


def runx(*words: str) -> str:
    """What `python -m runx.runx` prints, in this process: it is not the point, and there are many."""
    printed = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(printed):
        patch.chdir(ROOT)
        patch.setattr(sys, "argv", ["runx", *words])
        runpy.run_module("runx.runx", run_name="__main__", alter_sys=True)
    return printed.getvalue()


@pytest.mark.parametrize("name", sorted(SCRIPTS))
@pytest.mark.parametrize("how", [["-i", "-n"], ["-n"]])
def test_dry_run_gives_the_published_flags(name: str, how: list[str], settings: Path, tmp_path: Path) -> None:
    printed = runx(f"scripts/{name}", *how, "-c", str(settings)).strip()
    assert printed.count("train.py") == 1
    command = printed if "-i" in how else shlex.split(printed)[shlex.split(printed).index("--command") + 1]
    logs = f"{tmp_path}/logs/{name.removesuffix('.yml')}/"
    found = ["LOGDIR" if word.startswith(logs) else word for word in flags(command)]
    assert found == flags(SCRIPTS[name]["train_command"])
    tag = SCRIPTS[name]["logdir"].split("/")[-1].partition("<")[0]
    assert f"{logs}{tag}" in printed and not (tmp_path / "logs").exists()
    assert "torchrun --nproc_per_node=" in command


@pytest.mark.parametrize("file", sorted(ROOT.glob("scripts/*.yml")), ids=lambda path: path.name)
def test_experiment_says_what_it_needs(file: Path) -> None:
    heading = " ".join(line for line in file.read_text().splitlines() if line.startswith("#"))
    assert re.search(r"Needs: .*(GPU|core)", heading) and "Time" in heading
    assert (
        file.name == "sweep_toy.yml" or not file.name.startswith(("eval", "train", "ade20k")) or "published" in heading
    )
    assert file.name in {*SCRIPTS, *PADDLE, "sweep_toy.yml", DICE, *ADE20K.values()}


def test_the_recipe_of_dice_is_accepted(settings: Path) -> None:
    cfg = config.load(flags(runx(f"scripts/{DICE}", "-i", "-n", "-c", str(settings)).strip()))
    t, d = cfg.TRAIN, cfg.DATASET
    assert (t.MAX_ITERS, t.MAX_EPOCH, d.COARSE_MULTIPLE, cfg.AUG.TABLE) == (65000, 33, 1, "paddle")
    losses = [[*term] for term in cfg.LOSS.TERMS]
    assert [(name, float(weight)) for name, _, weight in losses] == [
        (name, weight) for name in ("dice", "bootstrapped") for weight in (1, 0.4, 0.05, 0.05)
    ]


@pytest.mark.parametrize("name", sorted(PADDLE))
def test_rows_of_paddleseg(name: str, settings: Path) -> None:
    """What its README gives for each: scales, flip, the score to expect, the memory that it took."""
    row = OPTIONS[PADDLE[name]]
    cfg = config.load(flags(runx(f"scripts/{name}", "-i", "-n", "-c", str(settings)).strip()))
    rule = inference.eval_rule(cfg)
    added = row.get("adds", [])
    assert cfg.EVAL.AUG_EVAL == ("--aug_eval" in added) and len(rule.flips) == 1 + ("--flip_horizontal" in added)
    assert rule.use_given_scale_factor and cfg.EVAL.MODE == "val" and not cfg.WITHOUT_EFFECT
    assert len(network.settings(cfg).scales) == int(PADDLE[name].split("_")[1])
    text = (ROOT / "scripts" / name).read_text()
    assert f"Expect: {row['claimed_miou']:.2f} %" in text and f"took {row['claimed_memory_GB']} GB" in text


def csail_yaml(name: str, folder: Path) -> Path:
    """One of their files, as it was published."""
    (folder / "published.yaml").write_text(yaml.safe_dump(csail_file(name)))
    return folder / "published.yaml"


@pytest.mark.parametrize("name", sorted(ADE20K))
def test_recipe_of_scene_parsing_is_the_published_file(name: str, settings: Path, tmp_path: Path) -> None:
    words = flags(runx(f"scripts/{ADE20K[name]}", "-i", "-n", "-c", str(settings)).strip())
    ours, theirs = config.load(words), config.load(["--cfg", str(csail_yaml(name, tmp_path))])
    told, expected = config.flat(ours), config.flat(theirs)
    assert {key for key in told if told[key] != expected[key]} <= PLACES
    with torch.device("meta"):
        assert network.build(ours).state_dict().keys() == network.build(theirs).state_dict().keys()
    heading = " ".join(line.lstrip("# ") for line in (ROOT / "scripts" / ADE20K[name]).read_text().splitlines())
    rows = re.findall(r"([\d.]+), (?:pixel accuracy )?([\d.]+), (?:overall )?([\d.]+) %", heading)
    assert len(rows) == 2
    for iou, accuracy, overall in rows:
        assert abs((float(iou) + float(accuracy)) / 2 - float(overall)) < 0.0051


def test_option_file_of_scene_parsing_is_the_published_recipe(tmp_path: Path) -> None:
    ours = config.flat(config.load(["--cfg", str(ROOT / "scripts/cfg/ade20k.yaml")]))
    theirs = config.flat(config.load(["--cfg", str(csail_yaml("", tmp_path))]))
    assert {key for key in ours if ours[key] != theirs[key]} <= PLACES


def test_runx_writes_the_whole_sweep(settings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four runs, each with its script in both places, and a command that submit_job has taken as it stands."""
    monkeypatch.setenv(submit.COLLECT, str(tmp_path / "collected"))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    command = [sys.executable, "-m", "runx.runx", "scripts/sweep_toy.yml", "-c", str(settings)]
    subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    runs = [Path(line) for line in (tmp_path / "collected").read_text().splitlines()]
    assert len(runs) == 4 == len(set(runs))
    for run in runs:
        text = (run / "train_cmd.sh").read_text()
        assert text.startswith("#!") and (run / "submit_cmd.sh").read_text() == text
        assert f"cd {run}/code" in text and "#SBATCH --time=0:10:00" in text and "STREETSCALE_RESUME=auto" in text
        assert (run / "code" / "slurm" / "submit_job").exists() and not (run / "code" / "tests").exists()


@pytest.mark.slow
def test_train_leaves_scripts_in_place_of_the_bare_command(
    tiny_run: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An `-i` run of runx; the script then goes on with the run."""
    run = tmp_path / "run"
    run.mkdir()
    (run / "submit_cmd.sh").write_text(" cd /x; python train.py\n")
    assert train.main([*tiny_run, "--max_epoch", "1"]) == 0
    text = (run / "train_cmd.sh").read_text()
    assert text == (run / "submit_cmd.sh").read_text() and text.startswith("#!") and "#SBATCH --requeue" in text
    (run / "train_cmd.sh").write_text(text.replace("--max_epoch 1", "--max_epoch 2"))
    env = {name: value for name, value in os.environ.items() if not name.startswith("SLURM")} | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(["bash", str(run / "train_cmd.sh")], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (run / "last_checkpoint_ep1.pth").exists() and (run / "exit_code").read_text() == "0\n"
    assert "--max_epoch 2" in (run / "train_cmd.sh").read_text(), "written anew"


def bad(settings: Path, **changes: Any) -> None:
    """Change settings of runx; None takes one away."""
    tree = yaml.safe_load(settings.read_text())
    for name, value in changes.items():
        tree.pop(name, None)
        if value is not None:
            tree[name] = value
    settings.write_text(yaml.safe_dump(tree))


EXPERIMENT: dict[str, Any] = {
    "CMD": "python train.py",
    "RESOURCES": {"gpus": 1},
    "HPARAMS": {"lr": 1, "result_dir": "LOGDIR"},
}


@pytest.mark.parametrize(
    ("words", "changes", "experiment", "needle"),
    [
        (["-c", "/nowhere.yml"], {}, {}, "/nowhere.yml"),
        (["--farm", "drako-slurm"], {}, {}, "did you mean 'draco-slurm'"),
        ([], {"FARM": None}, {}, "no FARM"),
        ([], {"FARM": "big", "big": {"SUBMIT_CMD": "submit_job"}}, {}, "has to contain draco"),
        ([], {"LOGROOT": None}, {}, "no LOGROOT"),
        ([], {"LOGROOT": "/a b"}, {}, "may hold a blank"),
        ([], {"LOGROOT": "/var/tmp/streetscale"}, {}, "all nodes"),
        ([], {"LOGROOT": 5}, {}, "LOGROOT takes text"),
        (["--limit", "-1"], {}, {}, "--limit -1"),
        (["--limit", "2", "-i"], {}, {}, "--limit 2"),
        (["--tag", "a b"], {}, {}, "--tag 'a b'"),
        (["--exp_name", "a;b"], {}, {}, "--exp_name 'a;b'"),
        ([], {}, {"HPARAMS": "lr"}, "HPARAMS names and values"),
        ([], {}, {"HPARAMS": ["lr"]}, "HPARAMS names and values"),
        ([], {}, {"RESOURCES": ["gpus"]}, "RESOURCES: names and values"),
        ([], {}, {"RESOURCES": {"constraint": "a100|h100"}}, "constraint: 'a100|h100'"),
        ([], {}, {"RESOURCES": {"time": 86400}}, "24:00:00"),
        ([], {}, {"RESOURCES": {"dry_run": True}}, "unknown resource 'dry_run'"),
        ([], {}, {"HPARAMS": {"RUNX.TAG": "a b"}}, "RUNX.TAG: 'a b'"),
        ([], {"LOGROOT": "runs"}, {}, "add runs to CODE_IGNORE_PATTERNS"),
        ([], {}, {"CMD": None}, "no CMD"),
        ([], {}, {"HPARAMS": None}, "no HPARAMS"),
        ([], {}, {"RESOURCES": None}, "RESOURCES: names and values"),
        ([], {}, {"RESOURCES": {"gpuz": 8}}, "unknown resource 'gpuz'; did you mean"),
        ([], {}, {"LOGROOT": "/y"}, "LOGROOT also stands in the settings"),
        ([], {}, {"HPARAMS": {"exp": "my run"}}, "exp: 'my run'"),
        ([], {}, {"HPARAMS": [{"exp": ["a", "it's"]}]}, 'exp: "it\'s"'),
        (["-i"], {}, {"HPARAMS": {"exp": "a;b"}}, "exp: 'a;b'"),
        ([], {}, {}, "sbatch is not on the PATH"),
    ],
)
def test_mistake_is_one_line(
    words: list[str],
    changes: dict[str, Any],
    experiment: dict[str, Any],
    needle: str,
    settings: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("PATH", str(tmp_path))
    bad(settings, **changes)
    file = tmp_path / "x.yml"
    file.write_text(yaml.safe_dump({k: v for k, v in (EXPERIMENT | experiment).items() if v is not None}))
    assert sweep.main([str(file), *(["-c", str(settings)] if "-c" not in words else []), *words]) == 2
    error = capsys.readouterr().err
    assert needle in error and error.startswith("error: ") and error.count("\n") == 1
    assert not (tmp_path / "logs").exists()


DONE = subprocess.CompletedProcess([], 0)
QUICK = "cfg: scripts/cfg/quickstart.yaml, result_dir: LOGDIR"


@pytest.mark.parametrize(
    ("flags_of_runs", "needle"),
    [
        # What runx leaves out of the command.
        (
            QUICK + ", lr_per_iter: false",
            'lr_per_iter: false is left out by runx, and the recipe has it on: write "false"',
        ),
        (QUICK + ", do_eval: [true, no]", "run 2 (do_eval False): do_eval: false is left out by runx"),
        (
            "result_dir: LOGDIR, multi_scale_inference: true, extra_scales: 'None'",
            "extra_scales: None is left out by runx",
        ),
        (QUICK + ", apexx: false", "unknown flag --apexx; did you mean '--apex'"),
        (QUICK + ", lr: false", "--lr takes float, not 'false'"),
        # Flags that train.py does not take.
        (QUICK + ", lr_per_itre: true", "unknown flag --lr_per_itre; did you mean '--lr_per_iter'"),
        (QUICK + ", lr: fast", "--lr takes float, not 'fast'"),
        (QUICK + ", optimizer: [sgd, adma]", "run 2 (optimizer adma): --optimizer takes one of"),
        (QUICK + ", arch: ocrnet.HRNet_Mscal", "unknown --arch 'ocrnet.HRNet_Mscal'; did you mean"),
        (QUICK + ", dataset: cityscape", "unknown --dataset 'cityscape'; did you mean 'cityscapes'"),
        (QUICK + ", RUNX.TAGS: a", "unknown flag --RUNX.TAGS"),
        (QUICK + ", num_val: [5, -1]", "run 2 (num_val -1): --num_val must not be negative"),
        (QUICK + ", max_epoch: 3, num_epoch: 4", "max_epoch and num_epoch are one option"),
        ("cfg: nowhere.yaml, result_dir: LOGDIR", "cannot read --cfg nowhere.yaml"),
        # What nobody has filled in.
        (QUICK + ", snapshot: ", "snapshot has no value: give one, or write null where it is to be off"),
        (QUICK + ", snapshot: ''", "snapshot has no value"),
        (QUICK + ", snapshot: <path>", "snapshot: <path> stands for a value: put it there"),
        (QUICK + ", snapshot: '${ROOT}/x.pth'", "snapshot: ${ROOT} stands for a value"),
        (QUICK + ", snapshot: '$HOME/x.pth'", "snapshot: $HOME stands for a value"),
        (QUICK + ", snapshot: '???'", "snapshot: ??? stands for a value"),
        (QUICK + ", RUNX.TAG: 'lr{lr}'", "RUNX.TAG names {lr}, which this run has not"),
        (QUICK + ", lrr: 1, RUNX.TAG: 'lr{lr}'", "did you mean 'lrr'"),
        (QUICK + ", RUNX.TAG: '{cfg}'", "RUNX.TAG becomes scripts/cfg/quickstart.yaml: a folder's name holds no /"),
        # Lists that are no sweep, or another one than was meant.
        (QUICK + ", lr: []", "lr: an empty list makes no run at all"),
        (QUICK + ", crop_size: [512, 1024]", 'crop_size: a list makes 2 runs: for one run write "512,1024"'),
        (QUICK + ", n_scales: [0.5, 1.0, 2.0]", "n_scales: a list makes 3 runs"),
        (QUICK + ", n_scales: [[0.5, 1.0]]", "[0.5, 1.0] is not one value"),
        (QUICK + ", lr: [1, 1.0]", "run 1 (lr 1) and run 2 (lr 1.0) do the same: give them another seed"),
        (QUICK + ", lr: [1, 2], trial: [1, 2]", "run 1 (lr 1, trial 1) and run 2 (lr 1, trial 2) do the same"),
        (QUICK + ", RUNX.SKIP: true", "RUNX.SKIP leaves no run"),
        # Runs outside their folder.
        ("lr: 1", "it would write to ./logs, not to its own folder: give result_dir: LOGDIR"),
        ("lr: 1, result_dir: /data/run", "it would write to /data/run"),
        ("lr: 1, result_dir: [LOGDIR, LOGDIR/b]", "run 2 (result_dir LOGDIR/b): it would write to LOGDIR/b"),
        # What YAML makes of it.
        (QUICK + ", lr: 1, seed: 3, lr: 2", "lr stands twice, in line 3"),
        (QUICK + ", channels_last: on", 'channels_last: YAML reads on as True: put it in quotes, "on"'),
        (QUICK + ", seed: 010", 'seed: YAML reads 010 as 8: put it in quotes, "010"'),
        (QUICK + ", crop_size: 8:30", "crop_size: YAML reads 8:30 as 510"),
    ],
)
def test_what_runs_would_not_do_is_refused(
    flags_of_runs: str,
    needle: str,
    settings: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(ROOT)
    file = tmp_path / "x.yml"
    file.write_text(f"CMD: python train.py\nRESOURCES: {{}}\nHPARAMS: {{{flags_of_runs}}}\n")
    assert sweep.main([str(file), "-c", str(settings), "-i"]) == 2
    error = capsys.readouterr().err
    assert needle in error and error.startswith(f"error: {file}") and error.count("\n") == 1
    assert not (tmp_path / "logs").exists()


@pytest.mark.parametrize(
    ("experiment", "needle"),
    [
        ("CMD: python train.py\nHPARAMS: {lr: 1}\nRESOURCE: {}\nRESOURCES: {}", "RESOURCE is nothing that runx reads"),
        ("CMD: python train.py\nHPARAMS:\nRESOURCES: {}", "HPARAMS is empty"),
        (
            "CMD: python train.py\nHPARAMS: {lr: 1}\nRESOURCES: {account: 0123}",
            "RESOURCES: account: YAML reads 0123 as 83",
        ),
        ("CMD: python train.py\nHPARAMS: {lr: 1}\nCMD: python train.py\n", "CMD stands twice, in lines 1 and 3"),
        (
            "CMD: python train.py --lr_per_itr\nHPARAMS: {result_dir: LOGDIR}\nRESOURCES: {}",
            "unknown flag --lr_per_itr",
        ),
        ("HPARAMS:\n\t- lr: 1", "line 2: no valid YAML: a tab in front"),
        ("# nothing\n", "is empty"),
        (
            "CMD: python train.py\nRESOURCES: {}\nHPARAMS: [{lr: 1, result_dir: LOGDIR}, {lr: 2}, {seed: 1, lr: x}]",
            "run 3 (lr x, seed 1): --lr takes float, not 'x'",
        ),
    ],
)
def test_what_is_no_sweep_is_refused(
    experiment: str, needle: str, settings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.yml").write_text(experiment)
    assert sweep.main([str(tmp_path / "x.yml"), "-c", str(settings), "-i", "-n"]) == 2
    error = capsys.readouterr().err
    assert needle in error and error.count("\n") == 1


@pytest.mark.parametrize(
    "flags_of_runs",
    [
        QUICK + ", lr_per_iter: [true, 'false'], do_eval: 'false'",
        QUICK + ", apex: false, brt_aug: false, snapshot: null, cv: 0, weight_decay: 1.0e-4, class_uniform_pct: .5",
        QUICK + ", crop_size: ['512', '512,1024'], RUNX.TAG: 'x{crop_size}', SUBMIT_JOB.NODES: 2",
        "result_dir: LOGDIR, mscale_no3x3: false, lr: 5e-3",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_what_is_no_mistake(
    flags_of_runs: str,
    encoding: str,
    settings: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """runx is given what was checked, in an encoding that it reads."""
    seen: list[str] = []
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(subprocess, "run", lambda words, **_: seen.append(Path(words[3]).read_text("utf-8")) or DONE)
    file = tmp_path / "größe.yml"
    file.write_bytes(f"CMD: python train.py\r\nRESOURCES: {{}}\r\nHPARAMS: {{{flags_of_runs}}}\r\n".encode(encoding))
    assert sweep.main([str(file), "-c", str(settings), "-i", "-n"]) == 0
    assert seen == [f"CMD: python train.py\nRESOURCES: {{}}\nHPARAMS: {{{flags_of_runs}}}\n"]


@pytest.mark.parametrize("file", sorted(ROOT.glob("scripts/*.yml")), ids=lambda path: path.name)
def test_published_sweeps_are_accepted(file: Path, settings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    sweep.read_experiment(file, sweep.read_settings(settings, None))


def test_other_programs_are_not_checked(settings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "x.yml"
    file.write_text("CMD: python scripts/train_sdcnet.py\nRESOURCES: {}\nHPARAMS: {save: LOGDIR, wd: [0, 1]}\n")
    sweep.read_experiment(file, {})
    assert "CMD calls no train.py, so its flags are not checked" in capsys.readouterr().out


def test_no_settings_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert sweep.main([str(ROOT / "scripts" / "sweep_toy.yml")]) == 2
    assert "looked for .runx and" in capsys.readouterr().err


def tools(tmp_path: Path, **bodies: str) -> str:
    """A PATH on which commands of Slurm do what `bodies` say."""
    folder = tmp_path / "tools"
    folder.mkdir()
    for name, body in bodies.items():
        (folder / name).write_text(f"#!/bin/sh\n{body}\n")
        (folder / name).chmod(0o755)
    return f"{folder}:{Path(sys.executable).parent}:{os.environ['PATH']}"


def test_sweep_is_submitted_whole_or_not_at_all(
    settings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The third job is refused: the two before it are canceled."""
    count = f"echo x >>{tmp_path}/n; n=$(wc -l <{tmp_path}/n); [ $n -lt 3 ] || {{ echo 'over limit' >&2; exit 1; }}"
    path = tools(tmp_path, sbatch=f"{count}; echo $n", scancel=f"echo $@ >{tmp_path}/canceled")
    monkeypatch.setenv("PATH", path)
    monkeypatch.chdir(ROOT)
    assert sweep.main(["scripts/sweep_toy.yml", "-c", str(settings)]) == 2
    assert (tmp_path / "canceled").read_text() == "1 2\n" and "over limit" in capfd.readouterr().err
    runs = list((tmp_path / "logs" / "sweep_toy").iterdir())
    assert len(runs) == 4 and {sweep_status.state_of(run, {})[0] for run in runs} == {"waiting"}


def test_sweep_as_a_job_array(settings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", tools(tmp_path, sbatch=f"cp $2 {tmp_path}/seen; echo 8"))
    monkeypatch.chdir(ROOT)
    assert sweep.main(["scripts/sweep_toy.yml", "-c", str(settings), "--limit", "2"]) == 0
    assert "--array=0-3%2\n" in (tmp_path / "seen").read_text()
    runs = sorted((tmp_path / "logs" / "sweep_toy").glob("*/job.json"))
    assert sorted(submit.read_job_id(run.parent) for run in runs) == [f"8_{task}" for task in range(4)]


@pytest.mark.slow
def test_failed_run_is_not_hidden(
    settings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """runx itself ends with 0 although the run has failed."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    file = tmp_path / "x.yml"
    hparams = {"arch": "ocrnet.HRNet", "dataset": "camvid", "data_root": "/nowhere", "result_dir": "LOGDIR"}
    file.write_text(yaml.safe_dump(EXPERIMENT | {"HPARAMS": hparams}))
    assert sweep.main([str(file), "-c", str(settings), "-i"]) == 1
    table = capfd.readouterr().out.splitlines()[-1]
    assert " failed " in table and "/nowhere" in table


def make_run(folder: Path, files: dict[str, str]) -> Path:
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


START = "2026-01-01 00:00:00 python train.py\n"
RECORD = json.dumps({"name": "x", "resources": {}})
METRICS = "start,start/step,0,timestamp,1\ntrain,loss,1.5,epoch,2,timestamp,2\nval,mean_iu,0.25,epoch,1,timestamp,2\n"


@pytest.mark.parametrize(
    ("files", "jobs", "state", "says"),
    [
        ({"job.json": RECORD}, {}, "waiting", ""),
        ({"job_id": "7"}, {"7": "queued"}, "queued", ""),
        ({"job_id": "7", "train.log": START, "exit_code": "1"}, {"7": "requeued"}, "requeued", ""),
        ({"job_id": "7", "train.log": START}, {"7": "running"}, "running", ""),
        ({"job_id": "7", "train.log": START, "exit_code": "0"}, {}, "done", ""),
        ({"job_id": "7", "train.log": START + "2026-01-01 00:00:00 report: x", "exit_code": "1"}, {}, "done", ""),
        ({"job_id": "7", "train.log": START, "exit_code": "143"}, {}, "stopped", ""),
        ({"job_id": "7", "train.log": START, "exit_code": "1"}, {}, "failed", "exit code 1"),
        ({"job_id": "7", "train.log": START}, {}, "failed", "not on record"),
        ({"job_id": "7", "train.log": START}, None, "unknown", "squeue"),
        (
            {"job_id": "7", "exit_code": "1", "slurm-7.out": "a\nValueError: bad\nChildFailedError: x\nend"},
            {},
            "failed",
            "ValueError: bad",
        ),
        ({"train.log": START + "2026-01-01 00:00:00 error: no images in /x\n"}, None, "failed", "no images in /x"),
        ({"train.log": START + "2026-01-01 00:00:00 stopped as asked in epoch 3\n"}, {}, "stopped", ""),
        ({"train.log": START}, {}, "running", ""),
        ({"job_id": "local", "train.log": START}, {}, "running", ""),
        ({"job_id": "7", "exit_code": "x", "train.log": START}, {}, "failed", "not on record"),
        (
            {"job_id": "7", "exit_code": "1", "slurm-7.out": "[rank0]: torch.x.DistBackendError: no"},
            {},
            "failed",
            "DistBack",
        ),
        ({"job_id": "7", "exit_code": "1", "slurm-6.out": "ValueError: of another job"}, {}, "failed", "exit code 1"),
        ({"submit_cmd.sh": "x"}, {}, "failed", "before it could open its log"),
    ],
)
def test_state_of_a_run(
    files: dict[str, str], jobs: dict[str, str] | None, state: str, says: str, tmp_path: Path
) -> None:
    found = sweep_status.state_of(make_run(tmp_path / "run", files), jobs)
    assert found[0] == state and says in found[1]


def test_silent_run_has_failed(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", {"train.log": START})
    os.utime(run / "train.log", (1, 1))
    assert sweep_status.state_of(run, {})[0] == "failed"


def test_status_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("PATH", tools(tmp_path, squeue="printf '7 PENDING 2\\n9_1 RUNNING 0\\n10 PENDING 0\\n'"))
    assert sweep_status.queue() == {"7": "requeued", "9_1": "running", "10": "queued"}
    experiment = tmp_path / "logs" / "exp"
    make_run(
        experiment / "a",
        {"job.json": RECORD, "job_id": "7", "metrics.csv": METRICS, "hparams.json": '{"max_epoch": 8}'},
    )
    make_run(experiment / "b", {"train.log": START + "2026-01-01 00:00:00 error: no images"})
    assert sweep_status.main([str(experiment)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ["a", "requeued", "7", "3/8", "25.00"] and lines[2].split()[:2] == ["b", "failed"]
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".runx").write_text(f"LOGROOT: {tmp_path}/logs\n")
    assert sweep_status.main(["exp"]) == 1
    assert sweep_status.main(["exq"]) == 2 and "did you mean 'exp'" in capsys.readouterr().err


@pytest.mark.slow
def test_check_gpu_runs() -> None:
    done = subprocess.run(
        [sys.executable, "scripts/check_gpu.py"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (
        done.returncode == 0 and "torch: " in done.stdout and done.stdout.splitlines()[-1].startswith("ok: 1 process")
    )
