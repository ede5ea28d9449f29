"""The page in a real browser: a picture goes in, the mask comes out, and the console is silent."""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from browser import Page, opened
from pictures import write_image

from serving import listen
from serving.app import Served, create

pytestmark = pytest.mark.slow


@pytest.fixture
def address(served: Callable[..., Served], tmp_path: Path) -> Iterator[str]:
    """Where a page with two runs, of which one has a checkpoint and a report, is served."""
    for name, score in (("one", 0.4), ("two", 0.5)):
        run = tmp_path / "logs" / name
        run.mkdir(parents=True)
        (run / "metrics.csv").write_text(f"val,mean_iu,{score},epoch,0,timestamp,{score}\n")
    (run / "last_checkpoint_ep0.pth").touch()
    (run / "report.html").write_text("<h1 style='color:red'>It went well</h1><script>document.title = 'ran'</script>")
    server = listen.server(create(served(root=tmp_path / "logs", most_bytes=100_000)), "127.0.0.1", 0)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield listen.address("127.0.0.1", server.port)
    server.shutdown()
    thread.join(10)
    server.server_close()


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    """A browser's page."""
    with opened(tmp_path / "profile") as found:
        yield found


COLOR = """(async () => {
  const image = document.getElementById(%r);
  await image.decode();
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
  const context = canvas.getContext("2d");
  context.drawImage(image, 0, 0);
  return [...context.getImageData(5, 5, 1, 1).data].slice(0, 3);
})()"""
DROP = """(() => {
  const bytes = Uint8Array.from(atob(%r), (letter) => letter.charCodeAt(0));
  const data = new DataTransfer();
  data.items.add(new File([bytes], %r, { type: "image/png" }));
  const field = %r === "paste" ? { clipboardData: data } : { dataTransfer: data };
  dispatchEvent(new (%r === "paste" ? ClipboardEvent : DragEvent)(%r, { ...field, bubbles: true, cancelable: true }));
})()"""


def drop(page: Page, file: Path, event: str = "drop") -> None:
    """A file that is dropped on the page, or pasted."""
    data = base64.b64encode(file.read_bytes()).decode()
    page.value(DROP % (data, file.name, event, event, event))


def test_a_picture_goes_in_and_its_mask_comes_out(
    page: Page, address: str, tmp_path: Path, picture: np.ndarray
) -> None:
    write_image(tmp_path / "street.png", picture)
    page.open(address)
    page.choose("#file", tmp_path / "street.png")
    page.until("!document.getElementById('result').hidden")
    assert page.value("document.getElementById('name').textContent") == "street.png"
    assert "30 × 20 pixels" in page.value("document.getElementById('facts').textContent")
    palette = page.value("[...document.querySelectorAll('#legend rect')].map((box) => box.getAttribute('fill'))")
    red = [int(palette[0][i : i + 2], 16) for i in (1, 3, 5)]
    assert page.value(COLOR % "over") == red != page.value(COLOR % "under")
    tabs = page.value("[...document.querySelectorAll('#views button')].map((tab) => tab.textContent)")
    assert tabs == ["mask", "certainty", "attention 0.5x"]
    page.value("document.querySelectorAll('#views button')[1].click()")
    assert page.value(COLOR % "over") != red and not page.value("document.getElementById('scale').hidden")
    page.value("document.querySelector('#legend button').click()")
    assert not page.value("document.getElementById('spot').hidden")
    page.value("document.getElementById('stage').dispatchEvent(new PointerEvent('pointermove', { clientX: 99999 }))")
    assert page.value("document.getElementById('under_pointer').textContent") == "blue, certainty 100 %"
    assert page.value("document.getElementById('mask').download") == "street_mask.png"
    kind = "fetch(document.getElementById('mask').href).then((got) => got.blob()).then((got) => got.type)"
    assert page.complaints == [], page.complaints
    assert page.value(f"{kind}.catch(() => 'refused')") in ("image/png", "refused")  # its address is of this page


@pytest.mark.parametrize("event", ["drop", "paste"])
def test_a_picture_may_be_dropped_or_pasted(
    page: Page, address: str, tmp_path: Path, picture: np.ndarray, event: str
) -> None:
    write_image(tmp_path / "a.png", picture)
    page.open(address)
    drop(page, tmp_path / "a.png", event)
    page.until("!document.getElementById('result').hidden")
    assert page.complaints == []


def test_mistakes_are_a_line_on_the_page(page: Page, address: str, tmp_path: Path) -> None:
    page.open(address)
    for content, words in ((b"text", "x.png is no picture"), (b"x" * 200_000, "at most")):
        (tmp_path / "x.png").write_bytes(content)
        drop(page, tmp_path / "x.png")
        assert page.until(f"!error.hidden && error.textContent.includes({words!r})")
    assert page.value("document.getElementById('result').hidden")


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("dark", [False, True])
def test_nothing_sticks_out(
    page: Page, address: str, tmp_path: Path, picture: np.ndarray, width: int, dark: bool
) -> None:
    page.open(address, width=width, dark=dark)
    ground = page.value("getComputedStyle(document.body).backgroundColor")
    assert ground == ("rgb(21, 23, 26)" if dark else "rgb(251, 251, 250)")
    write_image(tmp_path / "a.png", picture)
    page.choose("#file", tmp_path / "a.png")
    page.until("!document.getElementById('result').hidden")
    assert page.value("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
    assert page.complaints == []


def test_runs_sort_and_a_report_runs_nothing(page: Page, address: str) -> None:
    page.open(address)
    names = "[...document.querySelectorAll('td.name')].map((cell) => cell.textContent)"
    assert page.value(names) == ["two", "one"]
    page.value("document.querySelectorAll('th button')[3].click()")
    page.value("document.querySelectorAll('th button')[3].click()")
    assert page.value(names) == ["one", "two"]
    page.open(page.value("document.querySelector('td a').href"))
    assert page.value("getComputedStyle(document.querySelector('h1')).color") == "rgb(255, 0, 0)"
    assert page.value("document.title") != "ran"
