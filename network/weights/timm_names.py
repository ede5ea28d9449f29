"""Files for trunks of timm: under timm's names, those of a network's authors, or those of another package."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress

from torch import Tensor, nn

from network.weights import torchvision_names, transformers_names, vit_arrays

COUNTER = "num_batches_tracked"
IN_ORDER = "names of another package, taken in their order"


def readings(state: Mapping[str, Tensor], net: nn.Module) -> Iterator[tuple[dict[str, Tensor], str]]:
    """Ways to read a file for a network of timm: its entries under the network's names, and whose names they were.

    Beside timm's own those that timm itself knows for such a network: its authors', mostly. A file of the same entries
    in the same order, all of the same shapes, may have any names.
    """
    yield dict(state), "timm's names"
    convert = getattr(sys.modules[type(net).__module__], "checkpoint_filter_fn", None)
    for entries, whose in (
        (state, "its authors' names"),
        (transformers_names.renamed(state), "transformers' names"),
        (torchvision_names.renamed(state), "torchvision's names"),
        (vit_arrays.renamed(state), "its authors' names of JAX"),
    ):
        with suppress(Exception):  # timm reads what it expects to be there, without asking
            yield dict(convert(dict(entries), net) if convert else entries), whose
    if ordered := _by_order(state, net):
        yield ordered, IN_ORDER


def _by_order(state: Mapping[str, Tensor], net: nn.Module) -> dict[str, Tensor]:
    """The first entries under the network's names, where each of these finds one of its shape; else none.

    Sides of 1 count for nothing: a 1x1 convolution is a linear layer.
    """
    own = {name: x for name, x in net.state_dict().items() if not name.endswith(COUNTER)}
    theirs = [x for name, x in state.items() if not name.endswith(COUNTER)]
    pairs = list(zip(own.items(), theirs, strict=False))
    if len(pairs) < len(own) or any(_sides(x) != _sides(y) for (_, x), y in pairs):
        return {}
    return {name: y.reshape(x.shape) for (name, x), y in pairs}


def _sides(x: Tensor) -> list[int]:
    return [side for side in x.shape if side != 1]
