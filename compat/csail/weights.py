"""Scene parsing's checkpoints: an encoder's and a decoder's state dict, each in a file that says nothing else.

The name of their folder and the entries tell the network; dilation leaves no trace in these.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from compat.csail import pairs
from network.weights import places
from network.weights.formats import EXTRA, Weights, below, tensors
from network.weights.layouts import Layout
from network.weights.report import shortened
from utils.errors import UserError

CLASSES = 150  # of ADE20K, on which the published networks were trained
MOMENTUM, MOMENTUM_HRNET = 0.001, 0.1  # of batch norm there
KINDS = ("encoder", "decoder")
# ade20k-resnet50dilated-ppm_deepsup, or older: baseline-resnet50_dilated8-ppm_bilinear_deepsup-ngpus8-...
_FOLDER = re.compile(r"(?:ade20k|baseline)-(?P<encoder>(?P<base>\w+?)(?:dilated|_dilated8|_dilated16|))-\w+(?:-.*)?")
_CLASSIFIER = re.compile(r"conv_last\.(\d\.)*bias")


def parse(content: Any, place: str = "") -> Weights | None:
    """Give the weights under `encoder.` and `decoder.`, or None if this is another layout.

    Raises UserError where a file is not of the kind that its place says.
    """
    if not isinstance(content, pairs.Pair):
        return None
    encoder, decoder = (_state(*part) for part in zip(content[:2], content.files, KINDS, strict=True))
    # Norms inside the classifier come before the last convolution.
    biases = [decoder[name] for name in sorted(decoder) if _CLASSIFIER.fullmatch(name)]
    classes = len(biases[-1]) if biases else None
    return Weights(
        state={f"encoder.{name}": x for name, x in encoder.items()}
        | {f"decoder.{name}": x for name, x in decoder.items()},
        layout=" and ".join(file.name for file in content.files),
        arch="encoder_decoder",
        num_classes=classes,
        epoch=max(0, pairs.epoch_of(content.files[0]) - 1),
        options=_options(content.folder.name, encoder_of(encoder), decoder_of(decoder), classes),
        question=_question(encoder_of(encoder), decoder_of(decoder)),
    )


def _state(content: Any, file: Path, kind: str) -> dict[str, Tensor]:
    """Give the entries of one of the two; UserError where they are those of the other, or none."""
    place, _ = places.choose(content)
    state = tensors(place.state) if place else {}
    if not state:
        raise UserError(f"{file} holds no weights: give the {kind}'s file that a training has saved")
    if KINDS[any(name.startswith("conv_last") for name in state)] != kind:
        raise UserError(f"{file} holds the other part, not the {kind}: give the encoder's file, then the decoder's")
    return state


def _options(folder: str, base: str, decoder: str, classes: int | None) -> dict[str, Any]:
    """Tell what goes with such a network: its parts, and how the published ones see ADE20K."""
    named = _FOLDER.fullmatch(folder)
    encoder = named["encoder"] if named and named["base"] == base else ""
    options: dict[str, Any] = {"MODEL.ENCODER": "hrnetv2" if base == "hrnetv2" else encoder, "MODEL.DECODER": decoder}
    if classes == CLASSES:
        options |= {"DATASET.NAME": "ade20k", "DATASET.IMG_SIZES": "300,375,450,525,600", "DATASET.IMG_MAX_SIZE": 1000}
    return options | {"DATASET.PADDING": 32 if base == "hrnetv2" or decoder.startswith("upernet") else 8}


def encoder_of(names: Mapping[str, Tensor]) -> str:
    """Give the encoder that has such entries, of any dilation; empty if it is none that is known here."""
    if any(name.startswith("features.") for name in names):
        return "mobilenetv2"
    if any(name.startswith("stage2.") for name in names):
        return "hrnetv2"
    if "layer1.0.conv1.weight" not in names:
        return ""
    if "layer1.0.conv3.weight" not in names:
        return "resnet18"
    second = names["layer1.0.conv2.weight"]
    if second.shape[1] < second.shape[0]:
        return "resnext101"
    return "resnet101" if "layer3.22.conv1.weight" in names else "resnet50"


def decoder_of(names: Mapping[str, Tensor]) -> str:
    """Give the decoder that has such entries; empty if it is none that is known here."""
    if "ppm_last_conv.0.weight" in names:
        return "upernet_lite" if len(names["ppm_last_conv.0.weight"]) == 256 else "upernet"
    kind = "ppm" if "ppm.0.1.weight" in names else "c1" if "cbr.0.weight" in names else ""
    return f"{kind}_deepsup" if kind and "conv_last_deepsup.weight" in names else kind


def _question(base: str, decoder: str) -> str:
    """Tell what to ask a user for where the folder does not name the network, with what its entries tell."""
    encoders = f" {base}, {base}dilated or {base}_dilated16 (its dilation is not in the files)" if base else ""
    return f"give both --arch_encoder{encoders} and --arch_decoder{f' {decoder}' if decoder else ''}"


def write(weights: Weights) -> dict[str, dict[str, Tensor]]:
    """Give {name of a file: its state}, as the published code saves them after epoch K, counted from 1.

    Raises UserError for weights of a network without encoder and decoder, or with more than these.
    """
    states = [below(weights.state, f"{kind}.") for kind in KINDS]
    if not all(states):
        has = weights.arch or "the network"
        raise UserError(f"{has} has no encoder and decoder: the layout is that of encoder_decoder networks")
    if odd := [name for name in weights.state if not name.startswith(("encoder.", "decoder."))]:
        has = f"{len(odd)} entries outside its encoder and decoder ({shortened(odd)})"
        raise UserError(f"{weights.arch or 'the network'} has {has}: there is no place for them; take another layout")
    hrnet = encoder_of(states[0]) == "hrnetv2"
    momenta = (MOMENTUM_HRNET if hrnet else MOMENTUM, MOMENTUM)
    names = [name.format(weights.epoch + 1) for name in pairs.NAMES]
    return {name: _with_extra(state, m) for name, state, m in zip(names, states, momenta, strict=True)}


def _with_extra(state: Mapping[str, Tensor], momentum: float) -> dict[str, Tensor]:
    """Give the state with the buffers of a synchronized batch norm behind each norm's own.

    They hold the running statistics as sums over a decaying count of steps. 1 / momentum is the count that a long
    training ends at, so that one that goes on from here moves as slowly.
    """
    found: dict[str, Tensor] = {}
    for name, x in state.items():
        found[name] = x
        norm, _, entry = name.rpartition(".")
        if entry == "num_batches_tracked":
            mean, variance = state[f"{norm}.running_mean"], state[f"{norm}.running_var"]
            values = (mean / momentum, variance / momentum, torch.full((1,), 1 / momentum))
            found |= {f"{norm}.{key}": value for key, value in zip(EXTRA, values, strict=True)}
    return found


LAYOUT = Layout(
    "csail",
    parse,
    write,
    "a folder of encoder_epoch_K.pth and decoder_epoch_K.pth, whose name tells the network: ade20k-ENCODER-DECODER",
    is_own=pairs.is_pair,
    read=pairs.read,
    files=pairs.files,
    always=True,  # a command line can name the parts one by one
)
