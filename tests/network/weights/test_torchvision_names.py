"""Files of torchvision under timm's names: networks of both packages then compute the same."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from network.weights import torchvision_names

timm = pytest.importorskip("timm", reason="an extra: pip install timm")
WINDOWS = {"embed_dim": 8, "depths": (2, 2), "num_heads": (1, 2), "window_size": 4}


def swin(models: Any) -> tuple[nn.Module, nn.Module]:
    from timm.models.swin_transformer import SwinTransformer

    theirs = models.SwinTransformer([4, 4], 8, [2, 2], [1, 2], [4, 4], num_classes=5)
    return theirs, SwinTransformer(img_size=32, num_classes=5, **WINDOWS)


def second_swin(models: Any) -> tuple[nn.Module, nn.Module]:
    from timm.models.swin_transformer_v2 import SwinTransformerV2

    parts = models.swin_transformer
    kinds = {"block": parts.SwinTransformerBlockV2, "downsample_layer": parts.PatchMergingV2}
    theirs = models.SwinTransformer([4, 4], 8, [2, 2], [1, 2], [4, 4], num_classes=5, **kinds)
    return theirs, SwinTransformerV2(img_size=32, num_classes=5, **WINDOWS)


def vit(models: Any) -> tuple[nn.Module, nn.Module]:
    from timm.models.vision_transformer import VisionTransformer

    ours = VisionTransformer(img_size=32, patch_size=8, embed_dim=16, depth=2, num_heads=2, mlp_ratio=2, num_classes=5)
    return models.VisionTransformer(32, 8, 2, 2, 16, 32, num_classes=5), ours


def regnet(models: Any) -> tuple[nn.Module, nn.Module]:
    return models.regnet_y_400mf(), timm.create_model("regnety_004")


@pytest.mark.parametrize("made", [swin, second_swin, vit, regnet])
def test_both_compute_the_same(made: Callable[[Any], tuple[nn.Module, nn.Module]]) -> None:
    """Every weight is drawn, so that none may stand in the place of another."""
    models = pytest.importorskip("torchvision.models", reason="an extra of tests")
    torch.manual_seed(0)
    theirs, ours = made(models)
    for parameter in theirs.parameters():
        nn.init.normal_(parameter, std=0.3 if parameter.ndim < 2 else parameter[0].numel() ** -0.5)
    found = torchvision_names.renamed(theirs.state_dict())
    assert ours.load_state_dict(found, strict=False).missing_keys == [] and found.keys() <= ours.state_dict().keys()
    image = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        want = theirs.eval()(image)
        torch.testing.assert_close(ours.eval()(image), want, rtol=1e-4, atol=1e-4)
    assert want.std() > 0


def test_other_names_are_left() -> None:
    assert torchvision_names.renamed({"features.0.0.weight": torch.zeros(1), "conv1.weight": torch.zeros(1)}) == {}
