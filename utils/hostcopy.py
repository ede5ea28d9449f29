"""Results that a device computes, brought to the host without waiting for what the device does next."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


class HostCopy:
    """A tensor of any shape on its way to the host; `coming`: it is on a device that works by itself."""

    def __init__(self, value: Tensor) -> None:
        self.coming = value.device.type == "cuda"
        self._value = value.to("cpu", non_blocking=True)  # into page-locked memory
        self._arrived = torch.cuda.Event() if self.coming else None
        if self._arrived is not None:
            self._arrived.record(torch.cuda.current_stream(value.device))

    def numpy(self) -> np.ndarray:
        """Give the values; waits for them alone."""
        if self._arrived is not None:
            self._arrived.synchronize()
        return self._value.numpy()
