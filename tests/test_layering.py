"""The house rules, checked on the source: who may import whom, who may know of options, no work at import."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

import config

ROOT = Path(__file__).parents[1]
# Package or top-level module -> what of ours it may import. Each may import itself.
BASE = {"utils"}
ALLOWED = {
    "train": {"config", "engine", "datasets", "network", "inference", "evaluation", "loss", *BASE},
    "demo": {"engine", "runtime", *BASE},
    "demo_folder": {"engine", "runtime", *BASE},
    "hubconf": {"inference"},
    "serving": {"engine", "inference", "evaluation", "datasets", "media", *BASE},
    "engine": {"config", "media", "runtime", "datasets", "network", "inference", "evaluation", "loss", "slurm", *BASE},
    "runtime": {"media", *BASE},
    "inference": {"config", "runtime", "datasets", "network", "compat", *BASE},
    "evaluation": {"datasets", "media", "compat", *BASE},
    "config": {"options", "datasets", "compat", *BASE},
    "compat": {"options", "network", "inference", "evaluation", *BASE},
    "network": {"compat", "options", *BASE},
    "datasets": {"toyworld", "transforms", "options", "media", *BASE},
    "media": BASE,
    "toyworld": BASE,
    "options": BASE,
    "transforms": BASE,
    "loss": {"options", *BASE},
    "slurm": BASE,
    "utils": set(),
}
ALLOWED["scripts"] = {*ALLOWED}
ALLOWED["benchmarks"] = {*ALLOWED}
# The files that ask `compat.parts` for modules of other systems; nothing imports one by its name.
DOORS = (
    "config.py",
    "network/weights/layouts.py",
    "inference/ways.py",
    "evaluation/sinks/__init__.py",
)
# Parsers of options: for the drivers and the builders in a package's __init__ alone.
OPTION_MODULES = {"argparse", "yacs"}
READERS = (
    "train",
    "demo",
    "demo_folder",
    "engine",
    "runtime",
    "inference",
    "config",
    "options",
    "compat",
    "scripts",
    "benchmarks",
)
# Beside these rooms and a dataset's own entry, the files in which something is built of options: there their tree ends.
BUILDERS = {
    "datasets": ("__init__", "bit_depth", "mixing", "own/entry", "splits", "whole_images"),
    "evaluation": ("sinks/__init__",),
    "inference": ("__init__", "from_file", "ways"),
    "loss": ("__init__", "optimizer", "schedule", "table", "terms"),
    "network": ("__init__",),
    "serving": ("networks",),
    "transforms": ("__init__",),
}
KEEPERS = {  # the classes that keep the tree
    "engine/session.py": "Run",
    "inference/from_file.py": "Trained",
    "evaluation/sinks/__init__.py": "Request",
    "benchmarks/pairs.py": "Job",
}
OPTION_WORDS = {word for key in config.OPTIONS for word in key.split(".")}
SOURCES = sorted(
    path for top in ALLOWED for path in (*ROOT.glob(f"{top}.py"), *ROOT.glob(f"{top}/**/*.py")) if path.is_file()
)


@cache
def parsed(source: str) -> ast.Module:
    """The syntax tree of a file's text: every rule reads every file."""
    return ast.parse(source)


def room_of(path: Path) -> str:
    """Package or module at the top, a room, that a file belongs to."""
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imports(tree: ast.AST, path: Path) -> list[tuple[str, int]]:
    """(absolute module, line) of every import in a file, those inside functions, too."""
    found = []
    package = path.relative_to(ROOT).parent.parts
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            # `from .x import y` stays in its own package unless it has more dots than there are folders.
            base = package[: len(package) - node.level + 1] if node.level else ()
            assert not node.level or base, f"{path}:{node.lineno} leaves the repository"
            found.append((".".join((*base, node.module or "")).strip("."), node.lineno))
    return found


def crossings(source: str, path: Path) -> list[str]:
    """Imports of `source` that ALLOWED does not have."""
    here = room_of(path)
    ours = set(ALLOWED) | {"tests"}
    return [
        f"{path.relative_to(ROOT)}:{line} imports {module}"
        for module, line in imports(parsed(source), path)
        if module.split(".")[0] in ours - ALLOWED[here] - {here}
    ]


def systems_entered(source: str, path: Path) -> list[str]:
    """Imports of `compat` elsewhere than in its doors, or of a system."""
    file = str(path.relative_to(ROOT))
    return [
        f"{file}:{line} imports {module}"
        for module, line in imports(parsed(source), path)
        if module.split(".")[0] == "compat" != room_of(path) and (file not in DOORS or module != "compat")
    ]


def options_known(source: str, path: Path) -> list[str]:
    """Imports of option parsers, or of config, where they do not belong."""
    if room_of(path) in READERS or path == ROOT / "slurm/submit.py":
        return []
    allowed = {"yacs"} if path.name == "__init__.py" else set()
    return [
        f"{path.relative_to(ROOT)}:{line} imports {module}"
        for module, line in imports(parsed(source), path)
        if module.split(".")[0] in OPTION_MODULES - allowed
    ]


def options_read(source: str, path: Path) -> list[str]:
    """Functions with the tree of options as an argument, and reads of an option, where nothing is built of them."""
    here = room_of(path)
    if here in READERS and here not in BUILDERS or (here == "datasets" and "\nDATASET = " in source):
        return []
    if path.relative_to(ROOT).with_suffix("").as_posix() in [f"{here}/{name}" for name in BUILDERS.get(here, ())]:
        return []
    return [f"{path.relative_to(ROOT)}:{line} has {what}" for what, line in option_reads(parsed(source))]


def option_reads(tree: ast.Module) -> list[tuple[str, int]]:
    """(text, line) of each argument `cfg` and of each `x.LR`, but for constants of a module or of a class itself."""
    imported = (node for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom)))
    modules = {"self", "cls", *(alias.asname or alias.name for node in imported for alias in node.names)}
    found = [("cfg", node.lineno) for node in ast.walk(tree) if isinstance(node, ast.arg) and node.arg == "cfg"]
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in OPTION_WORDS and ast.unparse(node.value) not in modules:
            found.append((ast.unparse(node), node.lineno))
    return found


def options_kept(source: str, path: Path) -> list[str]:
    """Classes that keep the tree of options, or are made from it, and are not among the few that may."""
    found, file = [], str(path.relative_to(ROOT))
    for node in ast.walk(parsed(source)):
        if isinstance(node, ast.ClassDef) and node.name != KEEPERS.get(file):
            fields = [ast.unparse(part.target) for part in node.body if isinstance(part, ast.AnnAssign)]
            made = [part.args for part in node.body if isinstance(part, ast.FunctionDef) and part.name == "__init__"]
            if "cfg" in [*fields, *(a.arg for args in made for a in (*args.args, *args.kwonlyargs))]:
                found.append(f"{file}:{node.lineno} {node.name}")
    return found


def work_at_import(source: str, path: Path) -> list[str]:
    """Statements of a module's body that do something: loops, with, bare calls. Definitions and tables are none."""
    return [f"{path.relative_to(ROOT)}:{node.lineno}" for node in parsed(source).body if is_work(node, path)]


def is_work(node: ast.stmt, path: Path) -> bool:
    if isinstance(node, ast.Try):  # an import with a second place to look for it
        return not all(isinstance(inner, (ast.Import, ast.ImportFrom)) for inner in node.body)
    if isinstance(node, ast.Expr) and not isinstance(node.value, ast.Constant):
        # A script is run by its path: it has to put the repository on the path first.
        return not (room_of(path) in ("scripts", "benchmarks") and ast.unparse(node).startswith("sys.path.insert("))
    return isinstance(node, (ast.For, ast.While, ast.With))


@pytest.mark.parametrize(
    "rule", [crossings, systems_entered, options_known, options_read, options_kept, work_at_import]
)
def test_sources_keep(rule) -> None:
    assert len(SOURCES) > 20
    broken = [line for path in SOURCES for line in rule(path.read_text(encoding="utf-8"), path)]
    assert not broken, "\n".join(broken)


@pytest.mark.parametrize(
    ("rule", "file", "source"),
    [
        (crossings, "loss/rmi.py", "import network"),
        (crossings, "utils/cli.py", "def f():\n    from config import get"),
        (crossings, "network/trunk/hrnet.py", "from ...loss import rmi"),
        (crossings, "train.py", "import demo"),
        (systems_entered, "config.py", "from compat.csail import options"),
        (systems_entered, "engine/log.py", "import compat"),
        (options_known, "loss/rmi.py", "from yacs.config import CfgNode"),
        (options_known, "network/__init__.py", "import argparse"),
        (options_read, "loss/rmi.py", "def f(cfg): pass"),
        (options_read, "datasets/reading.py", "def f(o):\n    return o.LR"),
        (options_read, "inference/tiles.py", "x = lambda run: run.cfg.EVAL.TILE"),
        (options_kept, "engine/ema.py", "class A:\n    def __init__(self, cfg): pass"),
        (options_kept, "engine/ema.py", "class A(NamedTuple):\n    cfg: Any"),
        (work_at_import, "engine/log.py", "print(1)"),
        (work_at_import, "engine/log.py", "for x in y:\n    pass"),
    ],
)
def test_rules_can_fail(rule, file: str, source: str) -> None:
    path = ROOT / file
    try:
        assert rule(source, path)
    except AssertionError as error:
        assert "leaves the repository" in str(error)


def test_rules_let_pass() -> None:
    assert not crossings("from utils.errors import UserError\nfrom .x import y\nimport torch", ROOT / "loss/rmi.py")
    assert not systems_entered("import compat", ROOT / "config.py")
    assert not options_known("from yacs.config import CfgNode", ROOT / "network/__init__.py")
    assert not options_read("def f(cfg):\n    return cfg.OPTIM.LR", ROOT / "loss/optimizer.py")
    assert not options_read("def items(cfg): pass\n\nDATASET = 1", ROOT / "datasets/kitti.py")
    assert not options_read("import signal\nx = signal.NAME, self.NAME, y.name", ROOT / "loss/rmi.py")
    assert not options_kept("class Run(NamedTuple):\n    cfg: Any", ROOT / "engine/session.py")
    assert not work_at_import('"""Text."""\nX = {1: 2}\nif __name__ == "__main__":\n    main()', ROOT / "train.py")


def test_the_picture_of_imports_is_what_is_allowed() -> None:
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8").partition("## Who imports whom")[2]
    names = {"train": ["train"], "demo": ["demo", "demo_folder"], "hub": ["hubconf"]}
    drawn: dict[str, set[str]] = {room: set() for room in ALLOWED}
    for sources, targets in re.findall(r"^  (.+?) (?:-->|-\. compat\.parts \.->) (.+)$", text, re.M):
        for source in sources.split(" & "):
            for name in names.get(source.partition("[")[0], [source]):
                drawn[name] |= {*targets.split(" & ")}
    drawn["train"] |= drawn["engine"] - {"slurm", "media", "runtime"}
    commands = ("scripts", "benchmarks")  # which may import everything
    wanted = {room: may - BASE for room, may in ALLOWED.items() if room not in commands}
    assert {room: found - BASE for room, found in drawn.items() if room not in commands} == wanted


@pytest.mark.parametrize("file", sorted(ROOT.glob("scripts/cfg/*.yaml")), ids=lambda path: path.name)
def test_option_file_loads(file: Path) -> None:
    cfg = config.load(["--cfg", str(file)])
    assert cfg.is_frozen() and cfg.MODEL.ARCH


def test_files_stay_short() -> None:
    """300 lines a file; the table of options is data."""
    long = {str(p.relative_to(ROOT)): n for p in SOURCES if (n := len(p.read_text().splitlines())) > 300}
    long.pop("options/table.py", None)
    assert not long


def functions() -> list[tuple[str, ast.FunctionDef]]:
    """(place, function) of all functions and methods."""
    return [
        (f"{path.relative_to(ROOT)}:{node.lineno} {node.name}", node)
        for path in SOURCES
        for node in ast.walk(parsed(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef)
    ]


def test_functions_stay_short() -> None:
    """60 lines a function; the table of options is data."""
    found = [place for place, f in functions() if f.end_lineno and f.end_lineno - f.lineno >= 60]
    assert [place for place in found if not place.endswith(" _table")] == []


def test_every_argument_is_typed() -> None:
    bare = []
    for place, f in functions():
        arguments = [*f.args.posonlyargs, *f.args.args, *f.args.kwonlyargs, f.args.vararg, f.args.kwarg]
        names = [a.arg for a in arguments if a and a.annotation is None and a.arg not in ("self", "cls")]
        bare += [f"{place}({', '.join(names)})"] if names else []
        bare += [f"{place} -> ?"] if f.returns is None else []
    assert not bare, "\n".join(bare)
