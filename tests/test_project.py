"""The project's own files agree with each other: locked versions, workflows, hooks, make's targets."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
LISTS = ("requirements.txt", "requirements-dev.txt")
LOCKED = re.findall(r"^([\w.-]+)==(\S+)(?: ; ([^\\\n]+))?", (ROOT / "requirements.lock").read_text(), re.M)
WORKFLOWS = {path.stem: yaml.safe_load(path.read_text()) for path in (ROOT / ".github/workflows").glob("*.yml")}
OLDEST = re.search(r'requires-python = ">=([\d.]+)"', (ROOT / "pyproject.toml").read_text())


def wanted() -> list[Requirement]:
    """What the two lists of packages ask for."""
    lines = [line.partition("#")[0].strip() for name in LISTS for line in (ROOT / name).read_text().splitlines()]
    return [Requirement(line) for line in lines if line and not line.startswith("-r")]


def steps(workflow: dict[str, Any]) -> list[str]:
    """The commands of a workflow."""
    return [step["run"] for job in workflow["jobs"].values() for step in job["steps"] if "run" in step]


def test_every_package_is_locked_at_a_version_that_is_allowed() -> None:
    locked: dict[str, list[str]] = {}
    for name, version, _ in LOCKED:
        locked.setdefault(canonicalize_name(name), []).append(version)
    assert len(locked) > 40
    for package in wanted():
        versions = locked[canonicalize_name(package.name)]
        assert versions and all(package.specifier.contains(Version(version)) for version in versions), package


def test_every_locked_version_has_checksums() -> None:
    blocks = re.split(r"\n(?=\S)", (ROOT / "requirements.lock").read_text())
    pinned = [block for block in blocks if "==" in block and not block.startswith("#")]
    assert len(pinned) == len(LOCKED) and all("--hash=sha256:" in block for block in pinned)


def test_hooks_lint_as_make_does() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    (ruff,) = [repo for repo in hooks if repo["repo"].endswith("/ruff-pre-commit")]
    assert ("ruff", ruff["rev"].removeprefix("v")) in {(name, version) for name, version, _ in LOCKED}
    assert {hook["id"] for hook in ruff["hooks"]} == {"ruff", "ruff-format"}


@pytest.mark.parametrize("name", sorted(WORKFLOWS))
def test_workflows_call_what_there_is(name: str) -> None:
    makefile, commands = (ROOT / "Makefile").read_text(), steps(WORKFLOWS[name])
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.M))
    called = [word for line in commands for word in re.findall(r"\bmake (?:[A-Z]+=\S+ )*([a-z-]+)", line)]
    assert set(called) <= targets
    scripts = [line for line in commands if line.startswith(".ci/")]
    assert all((ROOT / script).is_file() for script in scripts) and called + scripts
    uses = [step["uses"] for job in WORKFLOWS[name]["jobs"].values() for step in job["steps"] if "uses" in step]
    assert uses and all(re.fullmatch(r"actions/[\w-]+@v\d+\.\d+\.\d+", action) for action in uses)


def newest_python() -> Version:
    """The last Python that torch has all its parts for: from the next one on it does without triton."""
    markers = [marker for name, _, marker in LOCKED if name == "triton"]
    end = max(Version(end) for marker in markers for end in re.findall(r"python_full_version < '([\d.]+)'", marker))
    return Version(f"{end.major}.{end.minor - 1}")


def test_both_ends_of_what_is_supported_are_tested() -> None:
    rows = WORKFLOWS["tests"]["jobs"]["quick"]["strategy"]["matrix"]["include"]
    pythons = sorted(Version(row["python"]) for row in rows)
    assert OLDEST and pythons[0] == Version(OLDEST[1]) and pythons[-1] == newest_python()
    (torch,) = [package for package in wanted() if package.name == "torch"]
    (oldest,) = [row["constraint"] for row in rows if row["constraint"]]
    assert Version(oldest.removeprefix("torch==")) == Version(str(torch.specifier).removeprefix(">="))
    assert ".ci/run" in steps(WORKFLOWS["nightly"])


@pytest.mark.parametrize(
    ("stamps", "flag", "installs"),
    [
        ([], "LOCK=", "requirements.txt"),
        ([".train"], "LOCK=", None),
        ([".train"], "LOCK=1", "requirements.lock"),
        ([".train-locked"], "LOCK=1", None),
        ([".train-locked"], "LOCK=", "requirements.txt"),
    ],
)
def test_setup_installs_what_is_asked_for(tmp_path: Path, stamps: list[str], flag: str, installs: str | None) -> None:
    for name in ("Makefile", "requirements.lock", *LISTS):
        shutil.copyfile(ROOT / name, tmp_path / name)
        os.utime(tmp_path / name, (1, 1))
    (tmp_path / ".venv").mkdir()
    for name in stamps:
        (tmp_path / ".venv" / name).touch()
    command = ["make", "--dry-run", "--no-print-directory", flag, "setup"]
    said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert re.findall(r"^echo \"installing (\S+)", said, re.M) == ([installs] if installs else [])
    assert ("--require-hashes -r requirements.lock" in said) == (installs == "requirements.lock")


def test_tests_mirror_the_tree() -> None:
    """Each folder of tests is one of the code, but for faults, which meet all of it; what is about another system lies
    in its folder, or is a whole run.
    """
    tests = [path.relative_to(ROOT / "tests") for path in (ROOT / "tests").rglob("test_*.py")]
    tests = [path for path in tests if path.parts[0] != "faults"]
    assert len(tests) > 150
    assert not [str(path) for path in tests if not (ROOT / path.parent).is_dir()]
    of_systems = [path for path in tests if re.search("csail|paddle|nvidia", path.name) and path.parts[0] != "compat"]
    assert not [str(path) for path in of_systems if len(path.parts) > 1]


def test_a_command_that_hands_words_on_takes_none_of_them_for_its_own_shortened() -> None:
    """`--seed 1` for train.py was `--seeds` of the comparison with the peers, which trained seed 0 three times."""
    texts = {
        path: path.read_text()
        for room in ("benchmarks", "engine", "runtime", "scripts")
        for path in (ROOT / room).rglob("*.py")
    }
    handing = [path for path, text in texts.items() if "parse_known_args(" in text]
    assert len(handing) > 8
    assert not [str(path) for path in handing if "allow_abbrev=False" not in texts[path]]
