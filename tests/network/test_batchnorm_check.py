"""Batch norms that one image leaves a single value are found from shapes, at every scale, as torch finds them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from network.batchnorm_check import single_value
from network.net import Net

pytestmark = pytest.mark.run

Make = Callable[..., Net]
PLUS, LARGE = "deepv3.DeepV3PlusR50", 64


def refused(net: Net, size: tuple[int, int], images: int = 1) -> bool:
    """Whether torch refuses a step of this size."""
    try:
        net.train()(torch.zeros(images, 3, *size))
    except ValueError as error:
        return "more than 1 value per channel" in str(error)
    return False


@pytest.mark.in_make_test("basic.HRNet-size0*", "deepv3*")
@pytest.mark.parametrize(
    ("arch", "size", "settings", "where"),
    [
        ("basic.HRNet", (32, 32), {}, "backbone."),  # the lowest branch, at 1/32
        ("basic.HRNet", (32, 64), {}, ""),
        ("ocrnet.HRNet_Mscale", (64, 64), {}, "backbone."),  # at scale 0.5
        ("ocrnet.HRNet_Mscale", (64, 64), {"second_scale_from": 9}, ""),  # never seen
        ("ocrnet.HRNet_Mscale", (64, 64), {"second_scale_from": 1}, "backbone."),  # only from the second epoch on
        (PLUS, (LARGE, LARGE), {}, "aspp."),  # its image branch pools to one place, whatever the crop
        ("encoder_decoder", (LARGE, LARGE), {"encoder": "resnet18dilated"}, "decoder.ppm.0"),
        ("encoder_decoder", (LARGE, LARGE), {"encoder": "resnet18dilated", "decoder": "c1"}, ""),
    ],
)
def test_single_value(narrow: Make, arch: str, size: tuple[int, int], settings: dict, where: str) -> None:
    net = narrow(arch, **settings)
    before = {name: x.clone() for name, x in net.state_dict().items()}
    random = torch.get_rng_state()
    found = single_value(net, size, last_epoch=4)
    assert found.startswith(where) and bool(found) == bool(where)
    assert torch.equal(random, torch.get_rng_state())
    assert all(torch.equal(x, before[name]) for name, x in net.state_dict().items())
    net.start_epoch(4)
    assert refused(net, size) == bool(where)
    assert single_value(net, size, last_epoch=4, images=2) == ""


def test_fixed_and_frozen_norms_do_not_matter(narrow: Make) -> None:
    net = narrow("basic.HRNet")
    net.fix_bn = True
    assert single_value(net.train(), (32, 32), 4) == ""
    assert single_value(narrow("basic.HRNet", freeze_trunk=True), (32, 32), 4) == ""
