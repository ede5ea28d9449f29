"""What ended a run, in one line: for its log, and for the terminal where it was no fault of ours."""

from __future__ import annotations

import torch

from inference.memory import is_out_of_memory
from utils.distributed import peer_died
from utils.errors import UserError


def last_words(error: BaseException) -> str:
    """Tell what a log says of the error that ended its run."""
    if isinstance(error, KeyboardInterrupt):
        return f"stopped by {str(error) or 'Ctrl-C'}: --resume auto goes on with a training"
    kind = "" if isinstance(error, UserError) else f"{type(error).__name__}: "
    return f"error: {kind}{' '.join(str(error).split())}"


def explain(error: Exception) -> str:
    """Give the line for what ends a run from outside; "" for a fault of ours."""
    if is_out_of_memory(error):
        where = "on the GPU " if isinstance(error, torch.OutOfMemoryError) else ""
        what = str(error).splitlines()[0] if str(error) else type(error).__name__
        return f"out of memory {where}({what}); lower --bs_trn or --crop_size, or add --fp16 or --grad_ckpt"
    if isinstance(error, RuntimeError) and peer_died(error):
        return "another process of this run has ended; its own message says why"
    return ""
