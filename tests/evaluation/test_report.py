"""The report: what stands on the page, that it needs nothing else, and that a browser shows it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch

from evaluation.charts import Series, confusion_chart, line_chart, nice_ticks
from evaluation.metrics import Scores
from evaluation.report import MAX_ROWS, ReportData, charts, environment, render, tiles, write_page
from evaluation.sinks.gallery import Row
from utils.errors import UserError
from utils.visualize import encode_jpeg, encode_png

NAMES = ("road", "traffic light", "train <&>", "car")
PALETTE = ((128, 64, 128), (250, 170, 30), (0, 80, 100), (0, 0, 142))
COUNTS = np.array([[90, 5, 0, 5], [1, 8, 0, 1], [0, 0, 0, 0], [20, 0, 0, 60]])


def picture(kind: str = "jpeg") -> bytes:
    image = np.random.default_rng(0).integers(0, 256, (32, 64, 3), dtype=np.uint8)
    return encode_jpeg(image) if kind == "jpeg" else encode_png(image)


def row(name: str, wrong: float | None = 0.25) -> Row:
    panels = {"image": picture(), "truth": picture("png"), "prediction": picture("png"), "attention 0.5x": picture()}
    return Row(name, None if wrong is None else 0.4, wrong, panels)


DATA = ReportData(
    title="cityscapes, ocrnet.HRNet_Mscale",
    command="python train.py --dataset cityscapes --result_dir '/a path/with <b>'",
    date="2026-01-02 03:04",
    class_names=NAMES,
    palette=PALETTE,
    scores=Scores.of(COUNTS, ("flat", "object", "vehicle", "vehicle")),
    rows=[row("worst_image_with_a_rather_long_name_000001_000019_leftImg8bit"), row("second", 0.1)],
    train=[{"epoch": e, "loss": 2 - e / 5, "lr": 0.01 * (1 - e / 5)} for e in range(5)],
    val=[{"epoch": e, "mean_iu": 0.1 * e if e < 4 else 0.2, "loss": 1.5} for e in range(5)],
    facts=[("images", "500")],
    versions=environment(torch.device("cpu")),
    note="tiles of 512x512 after out of memory",
)


class Page(HTMLParser):
    """Tags with their attributes, and the text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def test_the_page_says_everything() -> None:
    text = " ".join(Page(render(DATA)).text)
    iou = DATA.scores.iou  # type: ignore[union-attr]
    for want in (DATA.title, DATA.command, DATA.date, DATA.note, "500", torch.__version__, "train <&>", "second"):
        assert want in text, want
    for k in (0, 1, 3):
        assert f"{100 * iou[k]:.2f}" in text
    assert "25.00 % of the pixels wrong" in text and "the worst first" in text
    assert text.index("worst_image") < text.index("second")


def test_tiles_show_the_best_epoch_and_not_the_last() -> None:
    shown = dict(tiles(DATA))
    assert shown["best epoch"] == "3 (30.00 %)"
    assert shown["mean IoU"] == f"{100 * DATA.scores.mean_iu:.2f} %"  # type: ignore[union-attr]
    assert list(shown)[-1] == "images"


def test_the_page_needs_nothing_but_itself() -> None:
    page = Page(render(DATA))
    links = [a[key] for _, a in page.tags for key in ("src", "href", "srcset") if key in a]
    assert links and all(link is not None and link.startswith("data:") for link in links)
    assert not page.all("script")
    assert not re.search(r"url\(|@import", render(DATA))


def test_every_picture_is_described() -> None:
    pictures = Page(render(DATA)).all("img")
    assert len(pictures) == 8
    assert all(a["alt"] and a["alt"].split(" of ")[1] in ("second", DATA.rows[0].name) for a in pictures)
    assert {a["src"].split(";")[0] for a in pictures} == {"data:image/jpeg", "data:image/png"}  # type: ignore[union-attr]
    drawings = [a for a in Page(render(DATA)).all("svg")]
    assert len(drawings) == 4 and all(a["aria-label"] for a in drawings)


def test_seed_pixels_have_a_row_of_their_own() -> None:
    seeds = {"arrows to the seeds": picture(), "initial": picture("png")}
    page = Page(render(replace(DATA, rows=[replace(row("first"), seeds=seeds), row("second")])))
    assert [a["alt"] for a in page.all("img")][4:6] == ["arrows to the seeds of first", "initial of first"]
    assert len([a for a in page.all("div") if a.get("class") == "panels"]) == 3
    assert "An arrow leads" in " ".join(page.text) and "An arrow leads" not in render(DATA)


def test_tags_are_balanced_and_text_is_escaped() -> None:
    text = render(DATA)
    for tag in ("div", "section", "table", "svg", "figure", "ul", "li", "p", "span"):
        assert len(re.findall(rf"<{tag}[ >]", text)) == text.count(f"</{tag}>"), tag
    assert "<b>'" not in text and "train <&>" not in text


def test_an_empty_run_has_a_page_too() -> None:
    bare = ReportData("nothing yet", "python train.py", "today", NAMES, PALETTE)
    text = render(bare)
    assert "nothing yet" in text and "<svg" not in text and "<img" not in text and "nan" not in text.lower()
    folder = replace(bare, rows=[row("photo", None)], scores=Scores.of(np.zeros((4, 4), np.int64)))
    text = render(folder)
    assert "photo" in text and "worst first" not in text and "IoU by class" not in text


def test_the_number_of_rows_is_bounded() -> None:
    many = replace(DATA, rows=[row(f"r{i:03d}") for i in range(40)])
    assert len(Page(render(many)).all("section")) == MAX_ROWS + 2


def test_the_file_is_replaced_whole(tmp_path: Path) -> None:
    path = write_page(tmp_path, DATA)
    assert path == tmp_path / "report.html" and path.read_text() == render(DATA)
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]
    with pytest.raises(UserError, match="cannot write"):
        write_page(path, DATA)


def test_charts_leave_out_what_is_not_there() -> None:
    assert [title for title, _, _ in charts(DATA)] == ["Loss", "Mean IoU", "Learning rate"]
    only = replace(DATA, train=[{"epoch": 0, "loss": 1.0}], val=[{"epoch": e, "mean_iu": 0.5} for e in (0, 1)])
    assert [(title, names) for title, names, _ in charts(only)] == [("Mean IoU", ["validation"])]
    assert line_chart("empty", [Series("a", [(0, float("nan"))])]) == ""


@pytest.mark.parametrize("points", [[(0, 1.0), (1, 1.0)], [(0, 0.0), (9, 0.0)], [(5, 3.0)], [(0, 1e-6), (1, 2e-6)]])
def test_a_line_stays_inside_its_chart(points: list[tuple[float, float]]) -> None:
    svg = line_chart("t", [Series("a", points)])
    (path,) = re.findall(r'points="([^"]+)"', svg)
    for pair in path.split():
        x, y = map(float, pair.split(","))
        assert 40 <= x <= 360 and 0 <= y <= 180


@pytest.mark.parametrize(
    ("low", "high", "want"),
    [
        (0, 1, [0, 0.25, 0.5, 0.75, 1]),
        (0.13, 0.62, [0, 0.2, 0.4, 0.6, 0.8]),
        (0, 0.008, [0, 0.002, 0.004, 0.006, 0.008]),
    ],
)
def test_ticks_are_round_and_enclose(low: float, high: float, want: Sequence[float]) -> None:
    assert nice_ticks(low, high) == pytest.approx(want)


def test_the_confusion_matrix_has_truth_in_rows() -> None:
    svg = confusion_chart(Scores.of(COUNTS).normalized(), NAMES)
    assert "25.0 % of car called road" in svg and "5.0 % of road called car" in svg
    assert svg.count('class="right"') == 3 and svg.count('class="wrong"') == 5
    assert "of train" not in svg and "nan" not in svg


PROBE = """<script>addEventListener("load", () => {
  const broken = [...document.images].filter(i => !i.naturalWidth).length;
  const wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
  document.title = `PROBE width ${innerWidth} overflow ${wide} broken ${broken} images ${document.images.length}`;
});</script></body>"""


@pytest.mark.parametrize("width", [390, 1280])
def test_a_browser_shows_it_from_disk(tmp_path: Path, width: int) -> None:
    """At phone width nothing sticks out, every picture is drawn, and the console is silent."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        assert "REQUIRE_CHROMIUM" not in os.environ, "chromium was said to be here"
        pytest.skip("no chromium here (Debian: apt-get install chromium)")
    # A window cannot be as narrow as a phone: the page is put into a frame of that width, in the same document.
    page = render(DATA).replace("</body>", PROBE)
    inner, outer = tmp_path / "inner.html", tmp_path / "outer.html"
    inner.write_text(page)
    frame = f'<iframe id="f" src="inner.html" style="border:0;width:{width}px;height:2000px"></iframe>'
    copy = "setTimeout(() => document.body.dataset.probe = f.contentDocument.title, 1500)"
    outer.write_text(f'<body style="margin:0">{frame}<script>{copy}</script></body>')
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files"]
    command += ["--enable-logging=stderr", f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1300,2000"]
    done = subprocess.run(
        [*command, "--virtual-time-budget=5000", "--dump-dom", outer.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
    )
    (probe,) = re.findall(r'data-probe="([^"]*)"', done.stdout)
    assert probe == f"PROBE width {width} overflow 0 broken 0 images 8"
    assert "CONSOLE" not in done.stderr, done.stderr
