"""Every published name, by a table: its state's entries, the order of its parameters, its first weights."""

import hashlib
import json

import pytest
import torch
from narrow_nets import GOLDEN
from torch import nn

from options.archs import ARCHS

STATES = json.loads((GOLDEN / "states.json").read_text())


def fingerprint(net: nn.Module) -> dict[str, object]:
    """Entries with their shapes and the parameters' order, the sum of the weights, the next random number."""
    following = torch.rand(1).item()
    state = net.state_dict(keep_vars=True)
    names = {id(x): name for name, x in state.items()}
    entries = [[name, list(x.shape), str(x.dtype)] for name, x in state.items()]
    text = json.dumps([entries, [names[id(p)] for p in net.parameters()]])
    # Each weighs by its place, and zeros count, so that weights that change places are seen.
    total = sum(i * (p.detach().double() + 0.1).abs().sum().item() for i, p in enumerate(net.parameters(), start=1))
    return {"entries": hashlib.sha256(text.encode()).hexdigest()[:16], "weights": total, "next": following}


def test_every_name_has_a_state() -> None:
    assert STATES.keys() == ARCHS.keys()


@pytest.mark.parametrize("arch", ARCHS)
def test_state(narrow, arch: str) -> None:
    found = fingerprint(narrow(arch))
    assert found["entries"] == STATES[arch]["entries"]
    assert found["weights"] == pytest.approx(STATES[arch]["weights"], rel=1e-6)
    assert found["next"] == pytest.approx(STATES[arch]["next"])
