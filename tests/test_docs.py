"""What the documentation says can be done: its command lines are accepted, its links lead somewhere."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
import yaml
from shared import GOLDEN, csail_file, hrnet_file

import config
import demo
import demo_folder
from benchmarks import curves, gpu_campaign
from benchmarks import run as benchmark
from compat.csail import options as csail
from compat.hrnet import keys as hrnet_keys
from options import archs, table
from scripts import (
    auto_label,
    check_data,
    compare,
    convert_cityscapes,
    convert_cityscapes_autolabelling,
    export,
    find_label_errors,
    new_dataset,
    propagate_labels,
    replay,
    serve,
    sweep,
)
from scripts.train_sdcnet import parser as sdcnet_parser
from slurm import submit

ROOT = Path(__file__).parents[1]
# Flags of scene parsing's code before it had option files.
CSAIL_OLDER = (
    "--id --suffix --arch_encoder --arch_decoder --weights_encoder --weights_decoder --fc_dim --list_train --list_val "
    "--num_val --root_dataset --num_gpus --batch_size_per_gpu --num_epoch --start_epoch --epoch_iters --optim "
    "--lr_encoder --lr_decoder --lr_pow --beta1 --weight_decay --deep_sup_scale --fix_bn --num_class --workers "
    "--imgSize --imgMaxSize --padding_constant --segm_downsampling_rate --random_flip --seed --ckpt --disp_iter "
    "--visualize --result --gpu_id"
)
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/*.md"))]
SDCNET = json.loads((GOLDEN / "sdcnet" / "options.json").read_text())["entry_points"]
PADDLE = json.loads((GOLDEN / "paddle" / "options.json").read_text())
FENCE = re.compile(r"```\n(.*?)```", re.S)
CSAIL = json.loads((GOLDEN / "csail" / "options.json").read_text())
# Paths that pages name and that are not of this repository: of a run, of other codes; or they stand below another path.
ELSEWHERE = {
    "README.md": ("assets/", "test_results/"),
    "architecture.md": ("trunk/", "head/", "weights/", "flow/", "golden/"),
    "coming_from_csail.md": ("eval_val/", "result/"),
    "coming_from_hrnet.md": ("experiments/", "test_results/"),
    "coming_from_paddleseg.md": (
        "configs/mscale_ocr_cityscapes_autolabel_mapillary.yml",
        "configs/mscale_ocr_cityscapes_autolabel_mapillary_ms_val.yml",
    ),
    "coming_from_sdcnet.md": ("pretrained_models/cityscapes_best.pth",),
    "slurm.md": ("assets/",),
}
LINK = re.compile(r"\]\(([^)\s]+)\)")


def commands(page: Path) -> list[str]:
    """Lines of code blocks that call train.py, joined where they go on."""
    lines = [line for block in FENCE.findall(page.read_text()) for line in block.replace("\\\n", " ").splitlines()]
    return [line.removesuffix(" ...") for line in lines if re.match(r"(python|torchrun .*) ?train\.py ", line)]


def anchors(page: Path) -> set[str]:
    """Names that a page's headings can be linked by."""
    titles = re.findall(r"^#+ (.*)$", page.read_text(), re.M)
    return {re.sub(r"[^\w\- ]", "", title).strip().lower().replace(" ", "-") for title in titles}


# tests/test_extending.py runs the command of its page, which needs what that page adds.
COMMANDS = [(page.name, line) for page in PAGES if page.name != "extending.md" for line in commands(page)]


def test_pages_have_commands() -> None:
    assert len([name for name, _ in COMMANDS if name == "README.md"]) >= 6


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a folder where a reader of README.md is: with a dataset's file, and a run that has been trained on it."""
    (tmp_path / "scripts").symlink_to(ROOT / "scripts")
    (tmp_path / "streets" / "images").mkdir(parents=True)
    text = "images: streets/images\nlabels: {kind: gray, path: streets/masks}\nclasses: [road, car]\n"
    (tmp_path / "streets.yaml").write_text(text)
    (tmp_path / "logs" / "streets").mkdir(parents=True)
    (tmp_path / "logs" / "streets" / "best_checkpoint_ep3.pth").touch()
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("reader")
@pytest.mark.parametrize(("page", "line"), COMMANDS)
def test_command_is_accepted(page: str, line: str) -> None:
    words = shlex.split(line)
    config.load(words[words.index("train.py") + 1 :])


@pytest.mark.usefixtures("reader")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_demo_command_is_accepted(page: Path) -> None:
    for name, words in re.findall(r"^python (demo|demo_folder)\.py (.*)$", page.read_text(), re.M):
        _, rest = {"demo": demo, "demo_folder": demo_folder}[name].parser().parse_known_args(shlex.split(words))
        config.load(rest)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links(page: Path) -> None:
    for target in LINK.findall(page.read_text()):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path) if path else page
        assert file.exists(), f"{page.name}: {target}"
        assert not anchor or anchor in anchors(file), f"{page.name}: {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_are_named_exist(page: Path) -> None:
    text = page.read_text()
    found = re.findall(r"`((?:[\w.-]+/)+(?:[\w-]+\.\w+)?)`", text)
    assert len(found) > 3 or page.name not in ("CONTRIBUTING.md", "architecture.md", "design_notes.md")
    assert not [path for path in found if not (ROOT / path).exists() and path not in ELSEWHERE.get(page.name, ())]
    tests = re.findall(r"`((?:\w+/)+\w+\.py)::(\w+)`", text)
    assert not [name for path, name in tests if f"def {name}(" not in (ROOT / path).read_text(encoding="utf-8")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_flags_and_keys_exist(page: Path) -> None:
    """Every `--flag` and `GROUP.KEY` in backticks is one of train.py's, make's, or a script's."""
    known = {*table.flags(), *table.NEGATED, *table.WITHOUT_EFFECT, *table.PARTS, *csail.FLAGS, "--cfg", "--help"}
    # torchrun, Slurm's and Apptainer's commands, benchmark, convert_checkpoint, make_scenes, propagation_gain
    known |= {"--nproc_per_node", "--nnodes", "--rdzv-backend", "--nv", "--follow", "--max-restarts"}
    known |= {"--trunk", "--head", "--scales", "--offsets"}  # in place of --arch
    known |= {
        "--what",
        "--baseline",
        "--size",
        "--steps",
        "--to",
        "--parts",
        "--labeled",
        "--val",
        "--seeds",
        "--scene_seed",
        "--flows",
    }
    converters = (convert_cityscapes.parser(), convert_cityscapes_autolabelling.parser(), sdcnet_parser())
    tools = (
        demo,
        demo_folder,
        submit,
        sweep,
        auto_label,
        check_data,
        compare,
        export,
        find_label_errors,
        new_dataset,
        propagate_labels,
        replay,
        serve,
        benchmark,
        curves,
        gpu_campaign,
    )
    for parser in (*(tool.parser() for tool in tools), *converters):
        known |= {name for action in parser._actions for name in action.option_strings}
    if page.name == "coming_from_paddleseg.md":  # it names flags of the scripts there, too
        known |= {flag for options in PADDLE.values() for flag in options if flag.startswith("--")}
    if page.name == "coming_from_sdcnet.md":
        known |= {name for options in SDCNET.values() for option in options for name in option["flags"]}
    keys = set(config.OPTIONS)
    if page.name == "extending.md":  # a row of that page
        known.add("--dump_shares")
        keys.add("EVAL.DUMP_SHARES")
    if page.name == "coming_from_csail.md":
        known |= {"--imgs", "--test_img", "--test_imgs", "--model_path", "--batch_size"}  # of test.py and eval.py there
        keys |= set(csail.KEYS)
    if page.name == "coming_from_hrnet.md":
        keys |= {*hrnet_keys.KEYS, *(f"{hrnet_keys.EXTRA}.{stage}" for stage in hrnet_keys.STAGES), "MODEL.OCR_EXTRA"}
    for code in re.findall(r"`([^`\n]+)`", page.read_text()):
        for flag in re.findall(r"(?<!\S)(--\w[\w-]*)", code):
            assert flag in known, f"{page.name}: {flag}"
        if re.fullmatch(r"(DATASET|MODEL|TRAIN|EVAL|LOSS|OPTIM|AUG)(\.\w+)+", code):
            assert code in keys, f"{page.name}: {code}"


def test_every_flag_and_command_of_paddleseg_has_its_place() -> None:
    text = (ROOT / "docs/coming_from_paddleseg.md").read_text()
    flags = {flag for name, options in PADDLE.items() if name.endswith(".py") for flag in options}
    commands = PADDLE["readme_commands"]
    flags |= {flag for command in commands.values() for flag in command.get("options", {})}
    flags |= {flag for command in commands.values() for flag in command.get("adds", [])}
    assert len(flags) > 25
    assert not [flag for flag in flags if not re.search(rf"{flag}(?![\w-])", text)]
    scripts = {Path(name).name for name in PADDLE if name.endswith(".py")}
    scripts |= {Path(command["script"]).name for command in commands.values()}
    assert len(scripts) == 6 and not [name for name in scripts if name not in text]
    for command in commands.values():
        if "claimed_miou" in command:
            assert f"{command['claimed_miou']:.2f} %" in text and f"{command['claimed_memory_GB']}" in text


def test_every_flag_and_script_of_sdcnet_has_its_place() -> None:
    text = (ROOT / "docs/coming_from_sdcnet.md").read_text()
    flags = [(script, option["flags"]) for script, options in SDCNET.items() for option in options]
    assert len(flags) > 120
    assert not [(script, own) for script, own in flags if not any(re.search(rf"{f}(?![\w-])", text) for f in own)]
    scripts = json.loads((GOLDEN / "sdcnet" / "options.json").read_text())["scripts"]
    assert len(scripts) == 9 and not [name for name in scripts if f"scripts/{name}" not in text]


def test_every_key_flag_and_command_of_csail_has_its_place() -> None:
    text = (ROOT / "docs/coming_from_csail.md").read_text()
    flags = {flag for options in CSAIL["entry_points"].values() for option in options for flag in option["flags"]}
    flags = {*(flag for flag in flags if flag.startswith("--")), *csail.FLAGS, *CSAIL_OLDER.split()}
    assert len(flags) > 35 and not [flag for flag in flags if not re.search(rf"{flag}(?![\w-])", text)]
    assert len(csail.KEYS) == 36 and not [key for key in csail.KEYS if f"`{key}`" not in text]
    scripts = {*CSAIL["entry_points"], "demo_test.sh", "download_ADE20K.sh"}
    assert not [name for name in scripts if name not in text]


def test_commands_for_csails_files_are_accepted(tmp_path: Path) -> None:
    """Those of its page, with its files as they were published."""
    text = (ROOT / "docs/coming_from_csail.md").read_text().replace("\\\n", " ")
    lines = re.findall(r"^    (?:here|or)  +(?:python|torchrun \S+) (train|demo)\.py (.*)$", text, re.M)
    assert len(lines) == 13
    for name in CSAIL["config_files_differences_from_defaults"]:
        (tmp_path / name).write_text(yaml.safe_dump(csail_file(name)))
    for driver, words in lines:
        given = shlex.split(words.replace("config/ade20k", f"{tmp_path}/ade20k"))
        cfg = config.load(demo.parser().parse_known_args(given)[1] if driver == "demo" else given)
        assert (cfg.MODEL.ARCH, cfg.DATASET.NAME) == ("encoder_decoder", "ade20k")
        assert bool(cfg.SNAPSHOT) == (driver == "train" and bool(cfg.EVAL.MODE or cfg.TRAIN.START_EPOCH))


def test_every_key_of_the_hrnet_family_has_its_place() -> None:
    text = (ROOT / "docs/coming_from_hrnet.md").read_text()
    keys = [key for key in hrnet_keys.KEYS if ".STAGE" not in key and not key.startswith("DEBUG.")]
    assert len(keys) > 75 and not [key for key in keys if f"`{key}`" not in text]
    assert all(words in text for words in ("STAGE1` to `STAGE4`", "`STAGE2_2` to `STAGE4_2`", "DEBUG.*"))
    assert "tools/train.py" in text and "tools/test.py" in text


@pytest.mark.parametrize("name", ["cityscapes", "acdc"])
def test_commands_for_the_hrnet_familys_files_are_accepted(tmp_path: Path, name: str) -> None:
    text = (ROOT / "docs/coming_from_hrnet.md").read_text().replace("\\\n", " ")
    lines = re.findall(r"^    (?:here|or)  +(?:python|torchrun \S+) train\.py (.*)$", text, re.M)
    assert len(lines) == 7
    (tmp_path / "CFG.yaml").write_text(yaml.safe_dump(hrnet_file(name)))
    for line in lines:
        cfg = config.load(shlex.split(line.replace("CFG.yaml", f"{tmp_path}/CFG.yaml")))
        assert cfg.MODEL.ARCH == "offset.HRNet" and cfg.EVAL.RULE == "hrnet"
        assert (cfg.SNAPSHOT == "FILE.pth") == bool(cfg.EVAL.MODE)
        assert cfg.EVAL.MODE == ("test" if "test.lst" in line else "val" if "MODEL_FILE" in line else "")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_nothing_is_left_to_fill_in(page: Path) -> None:
    assert not re.findall(r"@[A-Z]+@|TODO|TBD|XXX", page.read_text())


def test_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    asked = {name for page in PAGES for name in re.findall(r"(?:^|`)make ([a-z-]+)", page.read_text(), re.M)}
    assert {"train", "test"} <= asked <= targets


def test_the_architecture_is_two_pages_long() -> None:
    assert len((ROOT / "docs/architecture.md").read_text().splitlines()) <= 125


def test_the_readme_counts_the_networks() -> None:
    assert f"takes the {len(archs.ARCHS)} names" in (ROOT / "README.md").read_text(encoding="utf-8")
