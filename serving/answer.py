"""What the page shows of a picture: pictures, shares of classes, and what stands at each point."""

from __future__ import annotations

import base64
from typing import Any

import cv2
import numpy as np

from evaluation.pages import css_color, data_uri
from evaluation.sinks.gallery import caption_of
from media.legend import Legend
from serving.networks import Network
from utils.contracts import Prediction, id_table
from utils.plural import percent
from utils.visualize import colorize, encode_indexed, encode_jpeg, encode_png, heat, shrink, to_array

VIEW, PROBE = 1600, 480  # long edges: of what is shown, and of the classes that the page looks up point by point


def answer(network: Network, image: np.ndarray) -> dict[str, Any]:
    """Predict (H, W, 3) uint8 RGB; gives what the page reads: plain values, pictures as data URIs."""
    (found,) = network.predictor([image], extras=network.maps)
    classes, certainty = to_array(found.classes), to_array(found.max_prob)  # (H, W) each
    legend = Legend(network.spec)
    legend.add(classes)
    return {
        "height": image.shape[0],
        "width": image.shape[1],
        "note": found.note,
        "certainty": f"{percent(float(certainty.mean()))} %",
        "picture": data_uri(encode_jpeg(shrink(image, VIEW), 88)),
        "views": views(network, found, classes, certainty),
        "legend": entries(network, legend),
        "mask": data_uri(encode_png(id_table(network.spec)[classes])),
        "colors": data_uri(encode_indexed(classes, color_table(network))),
        "probe": probe(classes, certainty),
    }


def views(network: Network, found: Prediction, classes: np.ndarray, certainty: np.ndarray) -> list[dict[str, str]]:
    """Give the pictures that lie over the image: classes, certainty, and the attention of each scale."""
    flat = colorize(shrink(classes, VIEW, smooth=False), network.spec.palette)
    shown = [view("mask", data_uri(encode_png(flat)), "")]
    shown.append(view("certainty", _heat(certainty), "the largest probability of a pixel: dark 0, yellow 1"))
    about = "how far a scale is trusted rather than the next larger one: dark 0, yellow 1"
    about += f"; of {network.single}" if network.single else ""
    for name in network.maps:
        if name in found.extras and found.extras[name].shape[0] == 1:
            values = to_array(found.extras[name].float())[0]  # (h, w)
            full = cv2.resize(values, _inside(classes.shape, VIEW), interpolation=cv2.INTER_LINEAR)
            shown.append(view(caption_of(name), _heat(full), about))
    return shown


def view(name: str, uri: str, about: str) -> dict[str, str]:
    """Name a picture and say how it is read; `about` is empty for class colors, which the legend explains."""
    return {"name": name, "uri": uri, "about": about}


def entries(network: Network, legend: Legend) -> list[dict[str, Any]]:
    """Give the classes that the picture has, the largest first, with their colors and shares."""
    shares = legend.pixels / max(1, legend.pixels.sum())
    order = [int(k) for k in np.argsort(-shares, kind="stable") if shares[k] > 0]
    spec = network.spec
    return [
        {
            "class": k,
            "name": spec.classes[k],
            "color": css_color(spec.palette[k]),
            "share": float(shares[k]),
            "text": f"{percent(float(shares[k]))} %",
        }
        for k in order
    ]


def color_table(network: Network) -> np.ndarray:
    """(256, 3) uint8: the color of each class, black behind them."""
    table = np.zeros((256, 3), np.uint8)
    table[: network.spec.num_classes] = network.spec.palette
    return table


def probe(classes: np.ndarray, certainty: np.ndarray) -> dict[str, Any]:
    """Give classes and certainty (0 to 255) in few pixels, row by row, base64: what stands under the pointer."""
    small, sure = shrink(classes, PROBE, smooth=False), shrink(certainty, PROBE)
    levels = np.clip(sure * 255, 0, 255).round().astype(np.uint8)
    return {
        "height": small.shape[0],
        "width": small.shape[1],
        "classes": _text(small.astype(np.uint8)),
        "certainty": _text(levels),
    }


def _heat(values: np.ndarray) -> str:
    return data_uri(encode_jpeg(heat(shrink(values, VIEW)), 88))


def _text(values: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(values).tobytes()).decode()


def _inside(size: tuple[int, ...], long_edge: int) -> tuple[int, int]:
    """Give (width, height) of (H, W) at no more than `long_edge`."""
    factor = min(1.0, long_edge / max(size[:2]))
    return max(1, round(size[1] * factor)), max(1, round(size[0] * factor))
