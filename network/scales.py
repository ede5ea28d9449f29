"""How several scales become one: a family and the attention that its features ask for."""

from __future__ import annotations

from torch import nn

from network.attnscale import AttentionToScale, PairwiseAttentionToScale
from network.families import Family, Settings
from network.families_deeplab import DeepLabPlus
from network.head.attention import attention_head, old_attention_head, weights_head
from network.mscale import FusedPyramids, MultiScale, PairedMultiScale
from utils.errors import UserError


def hierarchical(family: Family, s: Settings) -> MultiScale:
    """Each scale has an attention of its own."""
    return MultiScale(family, _attention(family, s), *_scaling(s))


def fused_pyramids(family: Family, s: Settings) -> FusedPyramids:
    """The same with pyramids blended between scales; with two `attentions` they have one of their own."""
    if not isinstance(family, DeepLabPlus):
        raise UserError("scales with fused pyramids are of DeepLabV3+ alone: other heads have no pyramid to blend")
    return FusedPyramids(family, _attention(family, s, s.attentions), *_scaling(s))


def paired(family: Family, s: Settings) -> PairedMultiScale:
    """Attention from the features of two scales."""
    attention = old_attention_head(2 * family.channels, 1, s.head_channels, spread=0.01)
    return PairedMultiScale(family, attention, *_scaling(s))


def attention_to_scale(family: Family, s: Settings) -> AttentionToScale:
    """Weights from the features of all scales at once."""
    scales = _given_scales(s)
    head = weights_head(len(scales) * family.channels, len(scales), s.head_channels, s.attnscale_norm)
    return AttentionToScale(family, head, *_scaling(s))


def pairwise_attention_to_scale(family: Family, s: Settings) -> PairwiseAttentionToScale:
    """Weights from the features of two neighboring scales at a time."""
    _given_scales(s)
    head = old_attention_head(2 * family.channels, 2, s.head_channels, spread=0.01)
    return PairwiseAttentionToScale(family, head, *_scaling(s))


def _attention(family: Family, s: Settings, outputs: int = 1) -> nn.Sequential:
    if s.old_attention:
        return old_attention_head(family.channels, outputs, s.head_channels)
    return attention_head(family.channels, outputs, s.head_channels, s.inner_3x3, s.attention_dropout)


def _scaling(s: Settings) -> tuple[float, tuple[float, ...], int]:
    """The last arguments of every network of several scales."""
    return s.lo_scale, s.scales, s.second_scale_from


def _given_scales(s: Settings) -> tuple[float, ...]:
    if not s.scales:
        raise UserError("an attnscale network is built for its scales: give them, for instance --n_scales 0.5,1.0,2.0")
    return s.scales
