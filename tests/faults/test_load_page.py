"""The served page under load: parallel, slow, broken and hostile visitors; each gets its answer, and memory is bounded.

FAULTS_UPLOADS: visitors of the long storm.
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import served
import torch
from faults import visitors
from faults.figures import record
from faults.usage import Watch, usage
from faults.visitors import KINDS, good

from serving import arrival, listen, networks
from serving.app import Served, create
from serving.guard import Guard
from serving.networks import Networks

MANY = int(os.environ.get("FAULTS_UPLOADS", "200"))


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[int]:
    """Of a page that gives a request a second to arrive, and takes a megabyte of picture."""
    torch.set_num_threads(1)
    monkeypatch.setattr(arrival, "GRACE", 1.0)
    monkeypatch.setattr(networks, "load", lambda *_: served.network())
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    lines: list[str] = []
    page = Served(Networks((), lines.append), Guard("127.0.0.1"), "tiny.pth", most_bytes=1 << 20, say=lines.append)
    server = listen.server(create(page), "127.0.0.1", 0)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.port
    server.shutdown()
    thread.join(60)
    server.server_close()
    page.turns.close()
    assert not [line for line in lines if "fault of this program" in line], lines


def storm(port: int, kinds: Sequence[visitors.Kind]) -> tuple[Counter[tuple[str, object]], Watch]:
    """All of them at once; what each was answered, checked, and what the process used meanwhile."""
    watch = Watch(word="process_request_thread")
    watch.start()
    with ThreadPoolExecutor(len(kinds)) as pool:
        found = list(pool.map(visitors.visit, [port] * len(kinds), kinds, range(len(kinds))))
    for number, (kind, (code, said)) in enumerate(zip(kinds, found, strict=True)):
        assert code in (*KINDS[kind], 503), (kind.__name__, code, said)
        assert code in (200, visitors.HANG_UP, visitors.NOTHING) or said["error"]
        if code == 200:
            assert np.array_equal(visitors.mask(said), visitors.scene(number) + 7)
    return Counter((kind.__name__, code) for kind, (code, _) in zip(kinds, found, strict=True)), watch


def check(port: int, kinds: Sequence[visitors.Kind], tmp_path: Path) -> dict[str, object]:
    """A storm, and afterwards a page that answers as before; gives figures."""
    before = visitors.visit(port, good, 1)
    answers, watch = storm(port, kinds)
    assert visitors.visit(port, good, 1)[1]["mask"] == before[1]["mask"]
    until = time.monotonic() + 30
    while usage().files > watch.before.files + 4 and time.monotonic() < until:  # connections that linger
        time.sleep(0.1)
    after = watch.end()
    assert 0 < watch.named <= listen.CONNECTIONS, watch.named
    assert after.files <= watch.before.files + 4 and list(tmp_path.iterdir()) == []
    grown = watch.most.memory - watch.before.memory
    assert grown < 40 + len(kinds), grown  # the visitors' own threads among it
    codes = Counter(str(code) for (_, code), count in answers.items() for _ in range(count))
    return {
        "answers": dict(sorted(codes.items())),
        "memory gained, MB": round(grown),
        "threads of the page": watch.named,
    }


def test_a_small_storm(port: int, tmp_path: Path) -> None:
    """Two visitors of each kind."""
    check(port, [*KINDS, *KINDS], tmp_path)


@pytest.mark.faults
def test_a_storm_of_all_kinds(port: int, tmp_path: Path) -> None:
    kinds = ([*KINDS] * MANY)[:MANY]
    record("load", {"storm of all kinds": {"visitors": MANY, **check(port, kinds, tmp_path)}})


@pytest.mark.faults
def test_parallel_uploads(port: int, tmp_path: Path) -> None:
    """Good ones alone."""
    record("load", {"parallel uploads": {"visitors": MANY, **check(port, [good] * MANY, tmp_path)}})
