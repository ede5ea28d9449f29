"""A copy of a checkpoint in the host's memory: training changes its tensors while a thread writes the copy."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

_ALIGNED = 64  # bytes: where each tensor's content begins


def room_for(size: int, cuda: bool) -> int:
    """Give the bytes that the copy of `size` bytes takes: torch hands out page-locked memory in powers of two."""
    return 1 << (size - 1).bit_length() if cuda and size else size


class HostCopy:
    """Copies of checkpoints, one after another in the same memory, page-locked where tensors are those of a GPU."""

    def __init__(self) -> None:
        self._room = torch.empty(0, dtype=torch.uint8)

    def lacks(self, state: Mapping[str, Any]) -> int:
        """Give the bytes that are still to be allocated for a copy of `state`."""
        storages = _storages(state)
        size = sum(_length(storage) for storage in storages.values())
        return room_for(size, _of_gpu(storages)) if size > len(self._room) else 0

    def take(self, state: Mapping[str, Any]) -> tuple[dict[str, Any], Callable[[], None]]:
        """Give a copy of `state` and what waits until it is complete; its file has the same bytes.

        It is good until the next call. Copies from a GPU are done in their turn, behind its work so far and before what
        comes; the host does not wait for them. MemoryError or torch's errors where there is no room.
        """
        storages = _storages(state)
        size = sum(_length(storage) for storage in storages.values())
        if size > len(self._room):
            self._room = torch.empty(0, dtype=torch.uint8)  # the old one goes first
            self._room = torch.empty(size, dtype=torch.uint8, pin_memory=_of_gpu(storages))
        memory, start, copies = self._room.numpy(), 0, {}
        for key, storage in storages.items():
            part = torch.from_numpy(memory[start : start + storage.nbytes()])  # a storage of its own
            part.copy_(torch.empty(0, dtype=torch.uint8, device=storage.device).set_(storage), non_blocking=True)
            copies[key], start = part.untyped_storage(), start + _length(storage)
        return _rebuilt(state, copies), _waiting(storages)


def _length(storage: torch.UntypedStorage) -> int:
    return -(-storage.nbytes() // _ALIGNED) * _ALIGNED


def _storages(tree: Any) -> dict[int, torch.UntypedStorage]:
    """Give the memory that lies behind tensors; several may share a part of it."""
    return {storage._cdata: storage for storage in (tensor.untyped_storage() for tensor in _tensors(tree))}


def _tensors(tree: Any) -> Iterator[Tensor]:
    if isinstance(tree, Tensor):
        yield tree
    elif isinstance(tree, (Mapping, list, tuple)):
        for part in tree.values() if isinstance(tree, Mapping) else tree:
            yield from _tensors(part)


def _rebuilt(tree: Any, copies: Mapping[int, torch.UntypedStorage]) -> Any:
    """Give the same containers and values, with tensors over the `copies` of their memory."""
    if isinstance(tree, Tensor):
        return torch.empty(0, dtype=tree.dtype).set_(
            copies[tree.untyped_storage()._cdata], tree.storage_offset(), tree.size(), tree.stride()
        )
    if isinstance(tree, dict):
        new = copy.copy(tree)  # with the versions that a network's state has beside its entries
        new.update((key, _rebuilt(part, copies)) for key, part in tree.items())
        return new
    return type(tree)(_rebuilt(part, copies) for part in tree) if isinstance(tree, (list, tuple)) else tree


def _of_gpu(storages: Mapping[int, torch.UntypedStorage]) -> bool:
    return any(storage.device.type == "cuda" for storage in storages.values())


def _waiting(storages: Mapping[int, torch.UntypedStorage]) -> Callable[[], None]:
    """Give what waits for the copies of this moment."""
    devices = {storage.device for storage in storages.values() if storage.device.type == "cuda"}
    events = [torch.cuda.current_stream(device).record_event() for device in devices]

    def wait() -> None:
        for event in events:
            event.synchronize()

    return wait
