"""What the page answers, by Flask's own client: predictions, lists, reports; every mistake is one line."""

from __future__ import annotations

import base64
import io
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from datasets.classes import spec_of
from serving import answer
from serving.app import BINARY, Served, create
from serving.guard import PAGE, REPORT


def png(image: np.ndarray) -> bytes:
    """A picture's file."""
    return cv2.imencode(".png", image[..., ::-1])[1].tobytes()


def opened(uri: str) -> np.ndarray:
    """The picture of a data URI, as it is stored."""
    return np.array(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))))


def send(client: Any, data: bytes, **more: Any) -> Any:
    """A picture, sent as the page does."""
    query = {"name": "a.png", "network": "given"} | more.pop("query", {})
    return client.post("/predict", data=data, query_string=query, content_type=BINARY, content_length=len(data), **more)


def complaint(response: Any, code: int) -> str:
    """The one line of an error."""
    assert response.status_code == code and set(response.json) == {"error"}, response.data
    assert "\n" not in response.json["error"] and "Traceback" not in response.json["error"]
    return response.json["error"]


def test_a_picture_becomes_what_is_shown(client: Any, picture: np.ndarray) -> None:
    found = send(client, png(picture), query={"name": "../street.png"}).json
    assert (found["name"], found["width"], found["height"], found["notes"]) == ("street.png", 30, 20, [])
    classes = np.repeat(np.arange(3), 10)[None].repeat(20, 0)
    assert np.array_equal(opened(found["mask"]), classes + 7)  # label ids
    colors = Image.open(io.BytesIO(base64.b64decode(found["colors"].partition(",")[2])))
    assert colors.mode == "P" and np.array_equal(np.array(colors), classes)
    assert [(one["name"], one["text"]) for one in found["legend"]] == [(n, "33.33 %") for n in ("red", "green", "blue")]
    assert [view["name"] for view in found["views"]] == ["mask", "certainty", "attention 0.5x"]
    for view in (*found["views"], {"uri": found["picture"]}):
        assert opened(view["uri"]).shape == picture.shape
    palette = spec_of("channels", ["red", "green", "blue"], [7, 8, 9]).palette
    assert opened(found["views"][0]["uri"])[0, ::10].tolist() == [list(color) for color in palette]
    assert "tiny.Channels, 3 classes, on cpu" in found["network"]


def test_certainty_and_attention_are_those_of_the_network(client: Any, picture: np.ndarray) -> None:
    found = send(client, png(picture)).json
    probe = found["probe"]
    sure = np.frombuffer(base64.b64decode(probe["certainty"]), np.uint8).reshape(probe["height"], probe["width"])
    assert sure.shape == picture.shape[:2] and sure.min() > 250
    red, blue = opened(found["views"][2]["uri"])[10, [3, 27]].astype(int)  # viridis: yellow is much, dark little
    assert red.sum() > blue.sum() + 100


def test_large_pictures_are_shown_smaller_and_masked_whole(
    client: Any, picture: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answer, "VIEW", 15)
    monkeypatch.setattr(answer, "PROBE", 6)
    found = send(client, png(picture)).json
    assert opened(found["picture"]).shape == (10, 15, 3) == opened(found["views"][2]["uri"]).shape
    assert opened(found["mask"]).shape == (20, 30)
    assert (found["probe"]["width"], len(base64.b64decode(found["probe"]["classes"]))) == (6, 24)


@pytest.mark.parametrize(
    ("data", "more", "code", "words"),
    [
        (b"no picture", {}, 422, "a.png is no picture"),
        (b"", {}, 422, "a.png is empty"),
        (b"x" * 100_001, {}, 413, "at most 0.0953674 MB are taken (--max_upload)"),
        (png(np.zeros((101, 100, 3), np.uint8)), {}, 422, "at most 0.0 megapixels are taken"),
        (b"", {"query": {"network": "/etc/passwd"}}, 422, "a.png is empty"),
        (png(np.zeros((4, 4, 3), np.uint8)), {"query": {"network": "/etc/passwd"}}, 422, "no such network"),
        (b"", {"headers": {"Host": "evil.example"}}, 403, "not served as 'evil.example'"),
        (b"", {"headers": {"Origin": "http://evil.example"}}, 403, "other sites"),
        (b"", {"headers": {"Sec-Fetch-Site": "cross-site"}}, 403, "other sites"),
    ],
)
def test_mistakes_are_one_line(client: Any, data: bytes, more: dict[str, Any], code: int, words: str) -> None:
    assert words in complaint(send(client, data, **more), code)


def test_a_forms_kind_of_post_is_refused(client: Any) -> None:
    """Another page's form may send this one without being asked; the page itself sends bytes."""
    assert "415" in complaint(client.post("/predict", data={"file": (io.BytesIO(b"x"), "x.png")}), 415)
    assert "405" in complaint(client.get("/predict"), 405)
    assert "404" in complaint(client.get("/nothing"), 404)
    assert "404" in complaint(client.get("/static/../app.py"), 404)


def test_faults_are_one_line_too(client: Any, picture: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer, "answer", lambda *_: 1 / 0)
    assert "ZeroDivisionError" in complaint(send(client, png(picture)), 500)
    monkeypatch.setattr(answer, "answer", lambda *_: (_ for _ in ()).throw(MemoryError))
    assert "no memory for this picture" in complaint(send(client, png(picture)), 422)


def test_nothing_is_written(client: Any, picture: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert send(client, png(picture), query={"name": str(tmp_path / "x.png")}).status_code == 200
    assert list(tmp_path.iterdir()) == []


def test_who_comes_when_all_places_are_taken_is_told(served: Callable[..., Served], picture: np.ndarray) -> None:
    page = served(checkpoint="tiny.pth")
    page.turns = type(page.turns)(waiting=0)
    app, began, go_on = create(page), threading.Event(), threading.Event()
    page.networks.of = lambda *_: (began.set(), go_on.wait(10), 1 / 0)  # type: ignore[method-assign]
    first = threading.Thread(target=lambda: send(app.test_client(), png(picture)))
    first.start()
    assert began.wait(10)
    assert "1 pictures are waiting already" in complaint(send(app.test_client(), png(picture)), 503)
    go_on.set()
    first.join(10)


def run(folder: Path, report: str = "<p>It went well</p>") -> Path:
    """A run with a checkpoint and a report."""
    folder.mkdir(parents=True)
    (folder / "metrics.csv").write_text("train,loss,1,epoch,0,timestamp,9\nval,mean_iu,0.4321,epoch,0,timestamp,9\n")
    (folder / "best_checkpoint_ep0.pth").touch()
    (folder / "report.html").write_text(report)
    return folder


def test_runs_are_listed_with_their_reports(served: Callable[..., Served], tmp_path: Path) -> None:
    run(tmp_path / "logs" / "<b>one")
    client = create(page := served(root=tmp_path / "logs")).test_client()
    text = client.get("/").text
    assert "&lt;b&gt;one" in text and "<b>one" not in text and "43.21" in text
    (one,) = page.listing().runs
    response = client.get(f"/report/{one.key}")
    assert response.text == "<p>It went well</p>" and response.headers["Content-Security-Policy"] == REPORT
    assert f'href="/report/{one.key}"' in text
    run(tmp_path / "logs" / "two")  # one that has begun since
    assert client.get("/").text.count(">report</a>") == 2
    for key in ("0" * 16, "..%2f..%2fetc%2fpasswd", str(tmp_path)):
        assert "404" in complaint(client.get(f"/report/{key}"), 404)


def test_a_report_behind_a_link_is_not_served(served: Callable[..., Served], tmp_path: Path) -> None:
    folder = run(tmp_path / "logs" / "one")
    page = served(root=tmp_path / "logs")
    (one,) = page.listing().runs
    (folder / "report.html").unlink()
    (folder / "report.html").symlink_to("/etc/hostname")
    assert "404" in complaint(create(page).test_client().get(f"/report/{one.key}"), 404)


def test_the_network_of_a_run_is_loaded_when_it_is_asked_for(
    served: Callable[..., Served], tmp_path: Path, picture: np.ndarray
) -> None:
    for name in ("one", "two"):
        run(tmp_path / "logs" / name)
    client = create(page := served(root=tmp_path / "logs")).test_client()
    keys = {found.name: found.key for found in page.listing().runs}
    for name in ("one", "one", "two"):
        found = send(client, png(picture), query={"network": keys[name]}).json
        assert found["network"].endswith(str(tmp_path / "logs" / name / "best_checkpoint_ep0.pth"))
    (tmp_path / "logs/two/best_checkpoint_ep0.pth").rename(tmp_path / "logs/two/best_checkpoint_ep7.pth")
    found = send(client, png(picture), query={"network": keys["two"]}).json
    assert found["network"].endswith("best_checkpoint_ep7.pth")  # of a training that goes on
    loads = [line for line in page.lines if line.startswith("network: ")]  # type: ignore[attr-defined]
    assert len(loads) == 3


def test_every_answer_is_guarded(client: Any, picture: np.ndarray) -> None:
    for response in (client.get("/"), client.get("/none"), client.get("/static/page.js"), send(client, png(picture))):
        assert response.headers["Content-Security-Policy"] == PAGE
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert "Access-Control-Allow-Origin" not in response.headers


def test_the_page_loads_nothing_from_elsewhere(client: Any) -> None:
    parts = [client.get(path).text for path in ("/", "/static/page.js", "/static/page.css")]
    assert all("//" not in part.replace("http://www.w3.org/2000/svg", "").replace("// ", "") for part in parts)
    assert "<style" not in parts[0] and "onclick=" not in parts[0] and " style=" not in parts[0]
