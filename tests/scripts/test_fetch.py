"""Scripts that download, from a server on this machine: what they leave, where they go on, what they say without."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import parsing_pairs
import pytest
from pictures import write_image
from PIL import Image
from shared import dataset_options

from datasets import ade20k

SCRIPTS = Path(__file__).parents[2] / "scripts"
MODEL = "model/pytorch/ade20k-resnet50dilated-ppm_deepsup"
PICTURE = "data/ADEChallengeData2016/images/validation/ADE_val_00001519.jpg"

pytestmark = pytest.mark.skipif(not shutil.which("curl"), reason="needs curl (apt install curl)")


class Server(ThreadingHTTPServer):
    """The files of a folder; `asked`: (path, first byte) of every request; `resumes`: whether it knows ranges; `stops`:
    bytes after which it breaks off, 0: never.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder, self.resumes, self.stops = folder, True, 0
        self.asked: list[tuple[str, int]] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        found = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        first = int(found[1]) if found and self.server.resumes else 0
        self.server.asked.append((self.path[1:], first))
        file = self.server.folder / self.path[1:]
        data = file.read_bytes() if file.is_file() else b""
        self.send_response(404 if not data else 416 if first >= len(data) else 206 if first else 200)
        if first:
            self.send_header("Content-Range", f"bytes {first}-{len(data) - 1}/{len(data)}")
        self.send_header("Content-Length", str(max(0, len(data) - first)))
        self.end_headers()
        self.wfile.write(data[first : self.server.stops or None])

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    there = Server(tmp_path / "there")
    thread = threading.Thread(target=there.serve_forever)
    thread.start()
    yield there
    there.shutdown()
    thread.join()
    there.server_close()


def run(script: str, *words: object, **env: object) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    variables = os.environ | {"PATH": path, "NO_PROXY": "*", "no_proxy": "*", "OMP_NUM_THREADS": "1"}
    variables |= {name: str(value) for name, value in env.items()}
    return subprocess.run(
        [SCRIPTS / script, *map(str, words)], env=variables, capture_output=True, text=True, timeout=300
    )


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("resumes", [True, False])
def test_a_file_goes_on_where_it_stopped(server: Server, tmp_path: Path, resumes: bool) -> None:
    """On a server that cannot do that, from the start; what is there is not fetched again."""
    content = np.random.default_rng(0).bytes(10_000)
    server.folder.mkdir()
    (server.folder / "x.bin").write_bytes(content)
    server.resumes = resumes
    here = tmp_path / "here"
    here.mkdir()
    (here / "x.bin.part").write_bytes(content[:4000])
    for _ in range(2):
        done = run("fetch.sh", f"{server.address}/x.bin", here / "x.bin")
        assert done.returncode == 0, done.stderr
        assert files(here) == ["x.bin"] and (here / "x.bin").read_bytes() == content
    assert server.asked == ([("x.bin", 4000)] if resumes else [("x.bin", 0), ("x.bin", 0)])


def test_what_is_whole_already_is_only_renamed(server: Server, tmp_path: Path) -> None:
    server.folder.mkdir()
    (server.folder / "x.bin").write_bytes(b"whole")
    (tmp_path / "x.bin.part").write_bytes(b"whole")
    assert run("fetch.sh", f"{server.address}/x.bin", tmp_path / "x.bin").returncode == 0
    assert (tmp_path / "x.bin").read_bytes() == b"whole" and not (tmp_path / "x.bin.part").exists()


@pytest.mark.in_make_test("demo*", "download_ade20k.sh-ADE20K_URL-True")
@pytest.mark.parametrize("gone", [True, False])
@pytest.mark.parametrize(
    ("script", "name"), [("demo_test.sh", "SCENE_PARSING_URL"), ("download_ade20k.sh", "ADE20K_URL")]
)
def test_without_a_network(server: Server, tmp_path: Path, script: str, name: str, gone: bool) -> None:
    """Nobody answers, or the file is gone: one line on stderr, and nothing that looks like a file."""
    address = f"{server.address}/none" if gone else "http://127.0.0.1:9"
    assets = tmp_path / "assets"
    done = run(script, **{name: address, "ASSETS_PATH": assets})
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: {address}") and "could not be fetched" in line and "no network here" in line
    assert not assets.exists()  # no empty folders either


PAGE, POINTER = (
    b"<!DOCTYPE html>\n<html>Virus scan warning</html>",
    b"version https://git-lfs.github.com/spec/v1\noid x\n",
)


@pytest.mark.in_make_test("page", "checksum")
@pytest.mark.parametrize(
    ("content", "words", "said"),
    [
        (PAGE, (), "gave a web page, not the file"),
        (b"\n  <HTML>login" + bytes(600), (), "gave a web page, not the file"),
        (POINTER, (), "gave a Git LFS pointer, not the file"),
        (b"content", ("0" * 64,), "gave a file with another checksum"),
    ],
    ids=["page", "other page", "pointer", "checksum"],
)
def test_something_else_leaves_nothing(server: Server, tmp_path: Path, content: bytes, words: tuple, said: str) -> None:
    server.folder.mkdir()
    (server.folder / "x.pth").write_bytes(content)
    done = run("fetch.sh", f"{server.address}/x.pth", tmp_path / "a" / "b" / "x.pth", *words)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: {server.address}/x.pth {said}") and "nothing is kept" in line
    assert not (tmp_path / "a").exists()


def test_a_page_that_was_asked_for_and_a_right_checksum(server: Server, tmp_path: Path) -> None:
    server.folder.mkdir()
    (server.folder / "x.html").write_bytes(PAGE)
    assert run("fetch.sh", f"{server.address}/x.html", tmp_path / "x.html").returncode == 0
    (server.folder / "x.pth").write_bytes(b"content")
    digest = hashlib.sha256(b"content").hexdigest()
    assert run("fetch.sh", f"{server.address}/x.pth", tmp_path / "x.pth", digest).returncode == 0
    assert (tmp_path / "x.pth").read_bytes() == b"content"


def test_what_broke_off_goes_on(server: Server, tmp_path: Path) -> None:
    """A part is kept under its own name, and the line says so; it is never taken for the file."""
    server.folder.mkdir()
    (server.folder / "x.bin").write_bytes(b"0123456789")
    server.stops = 4
    done = run("fetch.sh", f"{server.address}/x.bin", tmp_path / "a" / "x.bin")
    assert done.returncode == 1 and "the same command goes on from" in done.stderr
    assert files(tmp_path / "a") == ["x.bin.part"]
    server.stops = 0
    assert run("fetch.sh", f"{server.address}/x.bin", tmp_path / "a" / "x.bin").returncode == 0
    assert files(tmp_path / "a") == ["x.bin"] and (tmp_path / "a" / "x.bin").read_bytes() == b"0123456789"


def archive(path: Path, names: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as packed:
        for name in names:
            packed.writestr(name, b"x" * 100)


def test_ade20k_lies_as_it_is_read(server: Server, tmp_path: Path) -> None:
    kinds = [("images", "jpg"), ("annotations", "png")]
    names = [
        f"ADEChallengeData2016/{kind}/{split}/ADE_{short}_00000001.{suffix}"
        for kind, suffix in kinds
        for split, short in (("training", "train"), ("validation", "val"))
    ]
    archive(server.folder / "ade.zip", names)
    target, words = tmp_path / "here" / "ADE20K", {"ADE20K_URL": f"{server.address}/ade.zip"}
    (target / "unpacking").mkdir(parents=True)  # of one that was stopped
    done = run("download_ade20k.sh", target, **words)
    assert done.returncode == 0, done.stderr
    assert "needs 2 GB" in done.stdout and "2 images" in done.stdout
    assert files(target) == sorted(names)
    for mode in ("train", "val"):
        (item,) = ade20k.items(str(target), mode, dataset_options())
        assert item.label and Path(item.label).is_file()
    again = run("download_ade20k.sh", target, **words)
    assert again.returncode == 0 and "is there already" in again.stdout and len(server.asked) == 1


@pytest.mark.in_make_test("torn")
@pytest.mark.parametrize("content", ["torn", "damaged", "other"])
def test_an_archive_that_cannot_be_unpacked(server: Server, tmp_path: Path, content: str) -> None:
    archive(server.folder / "ade.zip", ["readme.txt"])
    if content == "damaged":
        archive(server.folder / "ade.zip", ["ADEChallengeData2016/images/training/a.jpg", "b.jpg"])
        data = (server.folder / "ade.zip").read_bytes()
        (server.folder / "ade.zip").write_bytes(data.replace(b"b.jpgx", b"b.jpgy", 1))
    if content == "torn":
        (server.folder / "ade.zip").write_bytes(b"PK\x03\x04 torn")
    done = run("download_ade20k.sh", tmp_path / "here", ADE20K_URL=f"{server.address}/ade.zip")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: {server.address}/ade.zip gave a damaged or another archive")
    assert not (tmp_path / "here").exists()


@pytest.mark.slow
def test_the_demo(server: Server, tmp_path: Path) -> None:
    """The published names, with weights and a picture of ours behind them: masks, and the classes that they show."""
    parsing_pairs.write(server.folder / MODEL, "encoder_resnet50dilated", "decoder_ppm_deepsup_fc2048")
    write_image(server.folder / PICTURE, np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8))
    out, words = tmp_path / "out", {"SCENE_PARSING_URL": server.address, "ASSETS_PATH": tmp_path / "assets"}
    done = run("demo_test.sh", out, **words)
    assert done.returncode == 0, done.stderr
    assert "encoder_decoder, ade20k" in done.stdout and "classes above 0.1 %" in done.stdout
    with Image.open(out / "color_mask.png") as mask:
        assert mask.size == (64, 48)
    assert len(server.asked) == 3 and len(files(tmp_path / "assets")) == 3
