"""Bytes: counting tensors, estimates that hold, what is free, which errors mean that memory ran out."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from pathlib import Path

import cv2
import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

import config
import loss
import network
from inference import memory
from inference.memory import PassCost, PeakTracker, available, bytes_per_pixel, is_out_of_memory


def test_the_tracker_counts_what_lives_at_once() -> None:
    with torch.inference_mode(), PeakTracker() as tracker:
        a = torch.zeros(1000)  # 4000 bytes
        b = a + 1  # 8000
        c = b * 2  # 12000
        del b  # 8000
        c.relu_()  # in place, and the view below: nothing new
        d = torch.cat([c.view(10, 100), c.view(10, 100)])  # 16000
        assert tracker.now == 16000
        del a, c, d
    assert (tracker.now, tracker.peak) == (0, 16000)


def test_bytes_per_pixel_bound_larger_inputs() -> None:
    net = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1), nn.ReLU(), nn.Conv2d(16, 8, 3, 1, 1)).eval()

    def run(height: int, width: int) -> None:
        with torch.inference_mode():
            net(torch.zeros(1, 3, height, width))

    per_pixel = bytes_per_pixel(run, 64, 64)
    with PeakTracker() as tracker:
        run(256, 128)
    assert tracker.peak <= per_pixel * 256 * 128 <= 1.5 * tracker.peak


def test_estimates_grow_with_what_they_depend_on() -> None:
    cost = PassCost(per_pixel=1000, classes=19, scales=(1.0,))
    size = (1024, 2048)
    base = cost.whole(size)
    assert base > 1000 * 1024 * 2048
    assert cost.whole(size, batch=2) == 2 * base
    assert PassCost(1000, 65, (1.0,)).whole(size) > base
    assert PassCost(1000, 19, (1.0, 2.0)).whole(size) > 3 * base
    assert PassCost(1000, 19, (1.0,), maps=19).whole(size) > base
    assert cost.tiled(size, 256) < cost.tiled(size, 512) < base


@pytest.mark.parametrize("limit", [10**7, 10**8, 10**9])
def test_the_largest_tile_is_the_largest(limit: int) -> None:
    cost, size = PassCost(per_pixel=2000, classes=19, scales=(1.0,)), (1024, 2048)
    tile = cost.largest_tile(size, limit)
    assert tile % 64 == 0
    assert cost.tiled(size, tile) <= limit or tile == 64
    assert cost.tiled(size, tile + 64) > limit


@pytest.mark.parametrize(
    ("error", "want"),
    [
        (torch.OutOfMemoryError("CUDA out of memory."), True),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: ..."), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"), True),
        (MemoryError(), True),
        (cv2.error("(-4:Insufficient memory) Failed to allocate 9 bytes in function 'OutOfMemoryError'"), True),
        (cv2.error("(-215:Assertion failed) !empty()"), False),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_which_errors_mean_that_memory_ran_out(error: Exception, want: bool) -> None:
    assert is_out_of_memory(error) is want


def test_a_real_failure_of_the_allocator_is_recognized() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 50)
    assert is_out_of_memory(caught.value)


def test_what_is_free(tmp_path: Path) -> None:
    assert 1 << 20 < available(torch.device("cpu")) < 1 << 50
    info = tmp_path / "meminfo"
    info.write_text("MemTotal:  16000 kB\nMemAvailable:    2000 kB\n")
    assert memory._host(info) == 2000 << 10
    assert memory._host(tmp_path / "missing") > 1 << 20
    (tmp_path / "memory.max").write_text("1000\n")
    (tmp_path / "memory.current").write_text("400\n")
    assert memory._control_group(tmp_path) == 600
    (tmp_path / "memory.stat").write_text("anon 90\ninactive_file 200\nactive_file 100\n")
    assert memory._control_group(tmp_path) == 900  # files that were read fill what nobody needs yet
    (tmp_path / "memory.max").write_text("max\n")
    assert memory._control_group(tmp_path) >= 1 << 62


@pytest.fixture
def limited() -> Iterator[None]:
    """This process may map a gigabyte more."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (pages + (1 << 30), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


def test_limits_of_the_process_count(limited: None, tmp_path: Path) -> None:
    """The machine may have more than `ulimit -v` leaves."""
    del limited
    assert 1 << 28 < memory._own_limits() <= 1 << 30
    assert available(torch.device("cpu")) <= 1 << 30
    assert memory._own_limits(tmp_path / "missing") >= 1 << 62


def test_tiles_of_a_wide_image_keep_what_they_share() -> None:
    cost = PassCost(per_pixel=100, classes=150, scales=(1.0,))
    bare = PassCost(per_pixel=100, classes=1, scales=(1.0,))
    kept = cost.tiled((10_000, 10_000), 256) - cost.whole((256, 256))
    assert kept < 1.4e9  # of 10^8 pixels: results 0.5e9, logits of 112 rows 0.7e9; those of a row of tiles are 1.5e9
    assert bare.tiled((10_000, 10_000), 256) < 6e8


@pytest.mark.slow
@pytest.mark.parametrize(("flags", "most"), [([], 10.5), (["--grad_ckpt"], 4.0)])
def test_the_published_recipe_fits_into_half_of_its_gpu(flags: list[str], most: float) -> None:
    """Cityscapes, 1024x2048, RMI, half precision, a crop for each GPU: published for 32 GB.

    Every tensor of a step is counted, without one being allocated; weights, gradients and momentum are part of it. What
    a GPU holds beside tensors (context, convolutions' workspaces, about 1 to 2 GiB) is not.
    """
    recipe = ["--arch", "ocrnet.HRNet_Mscale", "--rmi_loss", "--supervised_mscale_loss_wt", "0.05", *flags]
    cfg = config.load(recipe)
    with FakeTensorMode(allow_non_fake_inputs=True), PeakTracker() as tracker:
        net = network.build(cfg).train()
        weights = tracker.now
        criterion = loss.build(cfg)
        criterion.checked = True  # labels without values cannot be looked at
        image, label = torch.zeros(1, 3, 1024, 2048), torch.zeros(1, 1024, 2048, dtype=torch.long)
        tracker.peak = tracker.now
        with torch.autocast("cpu", torch.bfloat16):
            outputs = net(image, label.shape[-2:])
        criterion(outputs, label)[0].backward()
    assert weights > 270 << 20
    assert (tracker.peak + weights) / 2**30 < most  # momentum is as large as the weights
