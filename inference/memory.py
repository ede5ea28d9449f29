"""Tells what memory is free, what a pass takes at its peak, and which errors mean that memory ran out.

`inference.predictor` reacts: it plans tiles by it, and takes smaller ones where memory ran out in spite of that.
"""

from __future__ import annotations

import math
import os
import weakref
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from inference.tiles import most_shared
from utils.memory import ran_out

SHARE = 0.8  # of what is free now: other tensors of the process move, and allocators round up
MARGIN = 1.15  # convolution workspaces and rounding, which no count of tensors sees
FLOAT = 4
_FALLBACK = 4 << 30
_RESULTS = 5  # bytes of a pixel: its class and the probability of it
AT_ONCE = 1 << 22  # elements that argmax and softmax take at once


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether this is what torch, cuBLAS, cuDNN, OpenCV or Python raise when memory runs out."""
    return isinstance(error, (RuntimeError, MemoryError, cv2.error)) and (
        isinstance(error, torch.OutOfMemoryError) or ran_out(error)
    )


def available(device: torch.device) -> int:
    """Give the bytes that can be allocated on `device` now: free CUDA memory and torch's own cache, or the host's."""
    if device.type == "cuda":
        cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + cached
    return min(_host(), _control_group(), _own_limits())


def _host(meminfo: Path = Path("/proc/meminfo")) -> int:
    """Give the available bytes of the machine; where nothing tells, half of its memory, and else 4 GiB."""
    with suppress(OSError, KeyError, ValueError):
        fields = dict(line.split(":", 1) for line in meminfo.read_text().splitlines() if ":" in line)
        return int(fields["MemAvailable"].split()[0]) << 10
    with suppress(OSError, ValueError, AttributeError):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    return _FALLBACK


def _control_group(root: Path = Path("/sys/fs/cgroup")) -> int:
    """What a container's limit leaves: /proc/meminfo speaks of the whole machine. Huge where there is no limit."""
    for folder, limit, usage in (
        (root, "memory.max", "memory.current"),
        (root / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes"),
    ):
        with suppress(OSError, ValueError):
            used = int((folder / usage).read_text()) - _given_back(folder / "memory.stat")
            return max(0, int((folder / limit).read_text()) - used)
    return 1 << 62


def _given_back(stat: Path) -> int:
    """Give the bytes of files that were read, which the system drops as soon as somebody needs the memory."""
    with suppress(OSError, ValueError):
        counts = dict(line.split() for line in stat.read_text().splitlines())
        return int(counts.get("active_file", 0)) + int(counts.get("inactive_file", 0))
    return 0


def _own_limits(status: Path = Path("/proc/self/status")) -> int:
    """Give what the limits of this process leave (ulimit -v, -d). Huge where there is none, or nothing tells."""
    left = [1 << 62]
    with suppress(ImportError, OSError, KeyError, ValueError):
        import resource

        fields = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
        for limit, used in ((resource.RLIMIT_AS, "VmSize"), (resource.RLIMIT_DATA, "VmData")):
            most = resource.getrlimit(limit)[0]
            if most != resource.RLIM_INFINITY:
                left.append(max(0, most - (int(fields[used].split()[0]) << 10)))
    return min(left)


class PeakTracker(TorchDispatchMode):
    """Counts the bytes of all tensors made inside the block: `now` those alive, `peak` the most at once.

    Sees every storage that an operator returns, not an operator's own workspace. Works on any device.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = 0
        self.peak = 0
        self._live: dict[int, int] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operator and take note of new storages."""
        out = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(out):
            if isinstance(leaf, Tensor):
                self._see(leaf.untyped_storage())
        return out

    def _see(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata
        if key in self._live:
            return
        self._live[key] = storage.nbytes()
        self.now += self._live[key]
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._gone, key)

    def _gone(self, key: int) -> None:
        self.now -= self._live.pop(key, 0)


def bytes_per_pixel(run: Callable[[int, int], object], height: int = 128, width: int = 128) -> float:
    """Measure the peak bytes a pixel of one pass: `run(height, width)` has to do the pass on such an input.

    An upper bound for larger inputs of any network whose maps grow with the image: what does not grow
    (pooled vectors, class centers) is counted as if it did.
    """
    with PeakTracker() as tracker:
        run(height, width)
    return MARGIN * tracker.peak / (height * width)


@dataclass(frozen=True)
class PassCost:
    """What inference over several scales takes: `per_pixel` bytes of the network alone, `classes`, `scales`.

    `maps`: extra full-size maps of the image that are kept until the end (channels). `itemsize` of a logit.
    `window`: side of the windows over a scaled input, which grow with scales above 1; 0: the input at once. `piece`:
    (h, w) of windows that do not grow. `overlap`: share that neighboring tiles have in common.
    """

    per_pixel: float
    classes: int
    scales: tuple[float, ...]
    maps: int = 0
    itemsize: int = FLOAT
    window: int = 0
    piece: tuple[int, int] | None = None
    overlap: float = 0.25

    def whole(self, size: tuple[int, int], batch: int = 1) -> int:
        """Give the peak bytes of a whole-image pass on `batch` images of `size` (H, W), results included."""
        pixels = batch * size[0] * size[1]
        logits = self.classes * self.itemsize
        largest = max(1.0, *(s * s for s in self.scales))
        # The sum over mirror images at its scale (of probabilities, at the image's), that over windows; the sum over
        # scales, one resized map, its softmax.
        scale = largest * (2 + bool(self.window or self.piece)) * logits
        network = self.per_pixel * batch * max(self._pass(size, s) for s in self.scales)
        return int(network + pixels * (scale + 3 * logits + self.maps * self.itemsize + 16))

    def _pass(self, size: tuple[int, int], scale: float) -> float:
        """Give the pixels that the network sees at once."""
        longest = self.window * max(scale, 1.0) or math.inf
        high, wide = self.piece or (longest, longest)
        return min(size[0] * scale, high) * min(size[1] * scale, wide)

    def tiled(self, size: tuple[int, int], tile: int) -> int:
        """Give the peak bytes with square tiles: one tile's pass, what is kept of its neighbors, and the results."""
        height, width = min(tile, size[0]), min(tile, size[1])
        # The sums of a tile and of the rows that tiles share, the softmax of some with intermediates.
        logits = self.classes * self.itemsize
        kept = logits * (2 * height * width + most_shared(size[0], tile, self.overlap) * size[1])
        kept += 3 * FLOAT * min(AT_ONCE, self.classes * height * width)
        results = size[0] * size[1] * (_RESULTS + self.maps * self.itemsize)
        return self.whole((height, width)) + kept + results

    def largest_tile(self, size: tuple[int, int], limit: int, step: int = 64) -> int:
        """Give the largest multiple of `step` whose tiles stay within `limit` bytes, at least one `step`."""
        tile = -(-max(size) // step) * step
        while tile > step and self.tiled(size, tile) > limit:
            tile -= step
        return tile
