"""The page of a comparison: what stands on it, and that a browser shows it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from evaluation import pages
from evaluation.calibration import BINS
from evaluation.comparison import Entry, compare, words_of_spread
from evaluation.comparison_charts import Estimate, difference_chart
from evaluation.comparison_page import PageData, Pictures, RunRow, render, thinned, write_page
from evaluation.imagecounts import ImageCounts
from utils.visualize import encode_jpeg

CLASSES = ("road", "traffic light", "train <&>", "car")
PALETTE = ((128, 64, 128), (250, 170, 30), (0, 80, 100), (0, 0, 142))
IMAGES = [f"seq_{i:03d}" for i in range(12)]


def counts(seed: int, better: float = 0.0) -> ImageCounts:
    """Of a run that is right at about 60 % of the pixels; the third class is nowhere."""
    rng = np.random.default_rng(seed)
    share = np.clip(rng.normal(0.6 + better, 0.03, (12, 4)), 0, 1)
    pixels = 1000 * np.stack([share, (1 - share) / 2, (1 - share) / 2], axis=1)
    pixels[:, :, 2] = 0
    confidence = (np.arange(BINS) + 0.5) / BINS
    bins = 100 * np.stack([np.ones(BINS), confidence, confidence**2], axis=1)
    return ImageCounts(pixels, pixels[:, :2] + [[0.0] * 4, pixels[0, 0]], bins[None].repeat(12, 0), np.ones((12, 2, 3)))


def page(*entries: Entry, conditions: tuple[str, ...] = ()) -> PageData:
    of = compare(entries, CLASSES, conditions, draws=50)
    curve = {"Loss": [(i, 3.0 / (i + 1)) for i in range(4)], "Learning rate": [(i, 0.1) for i in range(900)]}
    rows = [
        RunRow(f"{entry.name}/{i}", place, str(i), "best_checkpoint_ep3.pth", run.total(), curve, 1.7,
               run.bins.sum(0), run.bins.sum(0))
        for place, entry in enumerate(entries) for i, run in enumerate(entry.runs)
    ]  # fmt: skip
    picture = encode_jpeg(np.full((40, 60, 3), 90, np.uint8))
    shown = Pictures("seq_003", "40.00 % wrong by a", {name: picture for name in ("image", "label", "a", "b")})
    return PageData(
        "a and b", "2026-11-30", "python scripts/compare.py a b", of, PALETTE, rows, words_of_spread(of.spread, False),
        IMAGES, {"b": [("--lr", "0.1", "0.2")]}, [shown], ["warning: something"],
    )  # fmt: skip


DATA = page(Entry("a", [counts(0)]), Entry("b <&>", [counts(1, 0.15)]), conditions=("fog",) * 6 + ("night",) * 6)


def test_what_stands_on_the_page(tmp_path: Path) -> None:
    write_page(tmp_path / "page.html", DATA, known := pages.mark("comparison", "of a--b"))
    text = (tmp_path / "page.html").read_text()
    assert pages.is_free(tmp_path / "page.html", known) and known == "<!-- comparison of%20a%2D%2Db -->"
    assert not pages.is_free(tmp_path / "page.html", pages.mark("comparison", "of b"))
    assert "b &lt;&amp;&gt; is better than a" in text and "train &lt;&amp;&gt;" in text and "<&>" not in text
    for words in ("--lr", "fog", "night", "found, in percent", "seq_003", "warning: something", "Loss by epoch", "± "):
        assert words.strip() in text, words
    assert "nan" not in text.lower().replace("nano", "") and "<script" not in text and 'src="http' not in text
    assert text.count("<polyline") == 2 * 2 + 2 * 2 + 2  # two curves and two lines of reliability a run, a sequence
    assert f"{render(DATA)}\n{known}\n" == text


def test_a_small_difference_is_none_and_a_single_run_has_no_verdict() -> None:
    text = render(page(Entry("a", [counts(0)]), Entry("b", [counts(1)])))
    assert "No difference" in text and "another seed gives others" in text
    alone = render(replace(page(Entry("a", [counts(0)])), pictures=[], images=["x", "y"]))
    assert "verdict" not in alone.split("</style>")[1] and "Along sequences" not in alone and "Calibration" in alone


def test_seeds_are_told_apart_by_their_recipe_in_color() -> None:
    text = render(page(Entry("a", [counts(0), counts(2)]), Entry("b", [counts(1), counts(3)])))
    assert "measured with 2 degrees of freedom" in text and "seeds included" in text
    loss = text.partition("Loss by epoch</h3>")[2].partition("</svg>")[0]
    assert re.findall(r'class="line (s\d)"', loss) == ["s0", "s0", "s1", "s1"]


def test_curves_are_thinned_to_means() -> None:
    points = [(float(i), float(i % 2)) for i in range(1000)]
    found = thinned(points)
    assert len(found) == 200 and found[0] == (4, 0.4) and thinned(points[:150]) == points[:150]


def test_a_chart_of_differences_has_the_line_of_none() -> None:
    svg = difference_chart("x <", [Estimate("a&b", 1.0, 0.5, 1.5, "better"), Estimate("c", -2, np.nan, np.nan, "")])
    assert "a&amp;b" in svg and "x &lt;" in svg and 'class="grid zero"' in svg and svg.count("<circle") == 2
    assert svg.count("estimate better") == 1 and "nan" not in svg
    assert difference_chart("x", [Estimate("c", np.nan, 0, 0, "")]) == ""


PROBE = """<script>addEventListener("load", () => {
  const broken = [...document.images].filter(i => !i.naturalWidth).length;
  const wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
  document.title = `PROBE width ${innerWidth} overflow ${wide} broken ${broken} images ${document.images.length}`;
});</script></body>"""


@pytest.mark.run
def test_a_browser_shows_it_at_phone_width(tmp_path: Path) -> None:
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        assert "REQUIRE_CHROMIUM" not in os.environ, "chromium was said to be here"
        pytest.skip("no chromium here (Debian: apt-get install chromium)")
    inner, outer = tmp_path / "inner.html", tmp_path / "outer.html"
    inner.write_text(render(DATA).replace('loading="lazy"', "").replace("</body>", PROBE))
    frame = '<iframe id="f" src="inner.html" style="border:0;width:390px;height:2000px"></iframe>'
    copy = "setTimeout(() => document.body.dataset.probe = f.contentDocument.title, 1500)"
    outer.write_text(f'<body style="margin:0">{frame}<script>{copy}</script></body>')
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files"]
    command += ["--enable-logging=stderr", f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1300,2000"]
    command += ["--virtual-time-budget=5000", "--dump-dom", outer.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    (probe,) = re.findall(r'data-probe="([^"]*)"', done.stdout)
    assert probe == "PROBE width 390 overflow 0 broken 0 images 4"
    assert "CONSOLE" not in done.stderr, done.stderr
