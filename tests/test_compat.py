"""Other systems are named in their systems and where a user meets them; and any system can be left out."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import compat
import config
import inference
from datasets.cityscapes import SPEC
from evaluation import sinks
from inference import ways
from utils.errors import UserError

ROOT = Path(__file__).parents[1]
NAMED = re.compile(
    r"nvidia|paddle|csail|sdcnet('s)? (branch|code|way)|hrnet('s)? (code|layout|family)|scene[- ]parsing('s)? code",
    re.IGNORECASE,
)
NO_SYSTEM = re.compile(r"nvidia-smi|nvidia driver|nvidia apex", re.I)  # hardware, and a library
EXEMPT = {
    "options/table.py": "help and choices of published flags",
    "transforms/__init__.py": "--aug_table by its published values",
    "network/weights/filekinds.py": "messages name other frameworks' files as people call them",
}


def named(source: str) -> list[str]:
    """Lines that name another system."""
    return [line.strip() for line in source.splitlines() if NAMED.search(NO_SYSTEM.sub("", line))]


def test_other_systems_are_named_in_their_rooms_alone() -> None:
    files = [p.relative_to(ROOT) for p in ROOT.rglob("*.py") if not {".venv", "compat", "tests"} & {*p.parts}]
    assert len(files) > 200
    found = {str(file): named((ROOT / file).read_text(encoding="utf-8")) for file in files}
    assert {file: lines for file, lines in found.items() if lines and file not in EXEMPT} == {}
    assert [file for file in EXEMPT if not found[file]] == []  # an exemption that nothing needs goes


def test_what_is_launched_names_a_system_where_it_says_whose_recipe_it_is() -> None:
    """In comments, in addresses, and as a published value of an option; not as a step of its own."""
    found = (path for folder in ("scripts", "slurm", "benchmarks") for path in (ROOT / folder).rglob("*"))
    paths = [ROOT / "Makefile", *(path for path in found if path.is_file() and path.suffix not in (".py", ".pyc"))]
    files = [str(path.relative_to(ROOT)) for path in paths]
    assert len(files) > 40
    lines = [f"{name}: {line}" for name in files for line in named((ROOT / name).read_text(encoding="utf-8"))]
    allowed = re.compile(r": #|://|: aug_table: paddle,$")
    assert [line for line in lines if not allowed.search(line)] == []


@pytest.mark.parametrize("line", ["# as NVIDIA's code", "paddle = 1", '"""The sdcnet branch."""', "HRNet's code"])
def test_a_name_is_found(line: str) -> None:
    assert named(line) and not named('run(["nvidia-smi"])  # with NVIDIA apex, of hrnet, for SDCNet2D')


# Builds, saves, loads and asks a network, in a tree without some systems; gives what came of it. One process for all
# trees: each is seen by a fork of it, which has torch but nothing of ours.
PROGRAM = """
import hashlib, json, os, sys
from pathlib import Path
import cv2, numpy, torch

def look(tree):
    sys.path.insert(0, str(tree))
    import compat, config, inference, network
    from engine import checkpoint
    from evaluation import sinks
    from options.help import help_text
    from scripts import convert_checkpoint
    torch.set_num_threads(1)
    torch.manual_seed(0)
    cfg = config.load(json.loads(sys.argv[2]))
    net = network.build(cfg)
    facts = {"class_names": ["a", "b", "c"], "class_ids": [0, 1, 2], "config": config.flat(cfg), "arch": cfg.MODEL.ARCH}
    checkpoint.save({"net": net.state_dict(), "ema": None, "epoch": 0, **facts}, tree / "own.pth")
    report = network.weights.load(net, tree / "own.pth")
    predictor = inference.load(tree / "own.pth")
    image = numpy.arange(32 * 48 * 3, dtype=numpy.uint8).reshape(32, 48, 3)
    classes = predictor([image])[0].classes.numpy()
    made = sinks.build(cfg, predictor.spec, tree, 1)
    assert convert_checkpoint.main([str(tree / "own.pth"), str(tree / "plain.pth"), "--to", "plain"]) == 0
    return {
        "systems": sorted({name.split(".")[1] for name in sys.modules if name.startswith("compat.")}),
        "complete": report.complete, "classes": hashlib.sha256(classes.tobytes()).hexdigest(),
        "sinks": [type(sink).__name__ for sink in made], "help": "--arch" in help_text(True),
        "rules": list(inference.RULES),
    }

children = []
for tree in sorted(Path(sys.argv[1]).iterdir()):
    children.append(os.fork())
    if children[-1] == 0:
        (tree / "found.json").write_text(json.dumps(look(tree)))
        os._exit(0)
for child in children:
    os.waitpid(child, 0)
"""


@pytest.fixture(scope="module", params=["all", "each"])
def without(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, tiny_words) -> dict[str, dict]:
    """{system that is left out, or "all", or "none": what the program found}."""
    folder = tmp_path_factory.mktemp("trees")
    for case in (*(compat.SYSTEMS if request.param == "each" else ["all"]), "none"):
        (folder / case / "compat").mkdir(parents=True)
        systems = [system for system in compat.SYSTEMS if case not in (system, "all")]
        for name in ("__init__.py", *systems):
            (folder / case / "compat" / name).symlink_to(ROOT / "compat" / name)
        for path in ROOT.iterdir():
            if path.name not in ("compat", "tests") and (
                path.suffix == ".py" or (path.is_dir() and path.name[0] != ".")
            ):
                (folder / case / path.name).symlink_to(path)
    words = ["--dataset", "list", "--num_class", "3", *tiny_words(folder, folder)[4:]]
    command = [sys.executable, "-c", PROGRAM, str(folder), json.dumps(words)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)
    cases = sorted(folder.iterdir())
    assert all((case / "found.json").is_file() for case in cases), done.stderr
    return {case.name: json.loads((case / "found.json").read_text()) for case in cases}


@pytest.mark.slow
def test_a_room_that_is_left_out_is_missed_by_none(without: dict[str, dict]) -> None:
    whole = without["none"]
    for system in without.keys() - {"none"}:
        found = without[system]
        left = [name for name in whole["systems"] if system not in (name, "all")]
        assert found["systems"] == left != whole["systems"]
        assert found["complete"] and found["help"]
        assert all(found[kind] == whole[kind] for kind in ("classes", "sinks"))
        assert {"default"} <= {*found["rules"]} < {*whole["rules"]}


@pytest.mark.parametrize("option", ["VISUALIZE", "DUMP_PSEUDO_COLOR", "DUMP_IMAGES"])
def test_folders_of_a_room_that_is_not_here_are_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, option: str
) -> None:
    cfg = config.load(["--dataset", "toy", "--arch", "basic.HRNet", "--eval", "val", "--snapshot", "x"])
    cfg.defrost()
    cfg.EVAL[option] = True
    assert len(sinks.build(cfg, SPEC, tmp_path, 1)) == 4  # gallery, scores of images, this one, what an older run left
    monkeypatch.setattr(compat, "parts", lambda kind: ())
    with pytest.raises(UserError, match=f"--{option.lower()} is of a system that is not here: leave it out"):
        sinks.build(cfg, SPEC, tmp_path, 1)


@pytest.mark.parametrize("words", [[], ["--eval", "val", "--snapshot", "x"]])
def test_sizes_of_a_room_that_is_not_here_are_refused(monkeypatch: pytest.MonkeyPatch, words: list[str]) -> None:
    cfg = config.load(["--dataset", "toy", "--arch", "basic.HRNet", "--imgSize", "64", *words])
    assert inference.eval_rule(cfg).short_edge_sizes == (64,)
    monkeypatch.setattr(ways, "WAYS", {name: way for name, way in ways.WAYS.items() if name != "csail"})
    with pytest.raises(UserError, match="--imgSize asks for a rule of a system that is not here: give"):
        inference.eval_rule(cfg)
    cfg = config.load(["--dataset", "toy", "--arch", "basic.HRNet", "--imgSize", "64", "--eval_rule", "nvidia", *words])
    assert not inference.eval_rule(cfg).short_edge_sizes
