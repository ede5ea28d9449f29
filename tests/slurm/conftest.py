"""A Slurm for the tests marked `slurm`, started once."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from slurm_cluster import Cluster


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """Two nodes of one CPU each. Skips with the reason where no Slurm can be started; under REQUIRE_SLURM fails."""
    if missing := Cluster.missing():
        assert not os.environ.get("REQUIRE_SLURM"), missing
        pytest.skip(missing)
    root = Path(tempfile.mkdtemp(prefix="slurm", dir="/tmp"))  # short: sockets have names of 100 letters at most
    running = Cluster(root)
    try:
        running.start()
        yield running
    finally:
        running.close()
        shutil.rmtree(root, ignore_errors=True)
