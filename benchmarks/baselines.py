"""How the published code does each step, in plain eager PyTorch, PIL and NumPy: the yardstick of run.py.

Nothing here may be made faster, nor use a faster function of the repository: every speed-up that docs/benchmarks.md
gives is a ratio against these. N batch, K classes, H x W image.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageOps
from torch import Tensor, nn

Triple = Sequence[float]


# --- data ----------------------------------------------------------------------------------------------------------


def map_ids(label: np.ndarray, id_to_train: Mapping[int, int]) -> np.ndarray:
    """Raw ids -> train ids, one pass an id: (H, W) uint8 -> (H, W) uint8."""
    mapped = label.copy()
    for raw, train in id_to_train.items():
        if raw >= 0:
            mapped[label == raw] = train
    return mapped


def training_sample(
    image_path: str,
    label_path: str,
    id_to_train: Mapping[int, int],
    crop: tuple[int, int],
    scales: tuple[float, float] = (0.5, 2.0),
    color: float = 0.25,
    mean: Triple = (0.485, 0.456, 0.406),
    std: Triple = (0.229, 0.224, 0.225),
    ignore: int = 255,
) -> tuple[Tensor, Tensor]:
    """Decode, resize the whole image (bicubic), crop (padded evenly if small), flip, color jitter, normalize.

    Returns image (3, h, w) float32 and label (h, w) int64. Draws from Python's and torch's global generators.
    """
    image = Image.open(image_path).convert("RGB")
    label = Image.fromarray(map_ids(np.array(Image.open(label_path)), id_to_train))
    scale = random.uniform(*scales)
    size = int(image.width * scale), int(image.height * scale)
    image, label = image.resize(size, Image.Resampling.BICUBIC), label.resize(size, Image.Resampling.NEAREST)
    height, width = crop
    across, down = max(0, (width - image.width + 1) // 2), max(0, (height - image.height + 1) // 2)
    if across or down:
        border = across, down, across, down
        image = ImageOps.expand(image, border, fill=tuple(round(255 * m) for m in mean))
        label = ImageOps.expand(label, border, fill=ignore)
    left, top = random.randint(0, image.width - width), random.randint(0, image.height - height)
    box = left, top, left + width, top + height
    image, label = image.crop(box), label.crop(box)
    if random.random() < 0.5:
        image, label = ImageOps.mirror(image), ImageOps.mirror(label)
    from torchvision import transforms as tv  # here, since it imports half of torch's compiler

    image = tv.ColorJitter(color, color, color, color)(image)
    tensor = tv.Normalize(mean, std)(tv.ToTensor()(image))
    return tensor, torch.from_numpy(np.array(label, dtype=np.int32)).long()


def class_centroids(label: np.ndarray, num_classes: int, tile: int) -> np.ndarray:
    """Find rows (class, x, y) of a label (H, W) in train ids: a pass over the tile for each class in it."""
    rows = []
    for top in range(0, label.shape[0] - tile + 1, tile):
        for left in range(0, label.shape[1] - tile + 1, tile):
            part = label[top : top + tile, left : left + tile]
            for c in np.unique(part):
                if c < num_classes:
                    ys, xs = np.nonzero(part == c)
                    rows.append((int(c), left + int(xs.mean()), top + int(ys.mean())))
    return np.array(rows, np.int64).reshape(-1, 3)


# --- evaluation ----------------------------------------------------------------------------------------------------


def histogram(pred: np.ndarray, label: np.ndarray, num_classes: int) -> np.ndarray:
    """Count (K, K), rows truth, of (H, W) predictions and labels."""
    keep = (label >= 0) & (label < num_classes)
    index = num_classes * label[keep].astype(int) + pred[keep]
    return np.bincount(index, minlength=num_classes**2).reshape(num_classes, num_classes)


def predict(
    net: nn.Module, image: np.ndarray, mean: Triple, std: Triple, device: torch.device, half: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Predict classes (H, W) uint8 and confidences of an image (H, W, 3) uint8; normalized on the host, all maps kept.

    `half`: fp16 autocast. A net with scale attention combines its `scales` as published, see `n_scale_logits`.
    """
    from torchvision import transforms as tv  # as above

    x = tv.Normalize(mean, std)(tv.ToTensor()(image)).unsqueeze(0).to(device)  # (1, 3, H, W)
    with torch.no_grad(), torch.autocast(device.type, torch.float16, enabled=half):
        logits = n_scale_logits(net, x)["pred"] if hasattr(net, "scale_attn") else net(x)["pred"]
    confidence, classes = F.softmax(logits.float(), dim=1)[0].max(0)
    return classes.cpu().numpy().astype(np.uint8), confidence.cpu().numpy()


def upsample(x: Tensor, size: Sequence[int]) -> Tensor:
    """Resize bilinearly, corners not aligned."""
    return F.interpolate(x, size=tuple(size), mode="bilinear", align_corners=False)


def n_scale_logits(net: nn.Module, x: Tensor) -> dict[str, Tensor]:
    """Give every scale's maps at that scale's input size, combined from large to small, all of them kept."""
    maps: dict[str, Tensor] = {}
    scales: Sequence[float] = net.scales or (1.0, net.lo_scale)  # type: ignore[assignment]
    for scale in sorted(scales, reverse=True):
        scaled = F.interpolate(x, scale_factor=scale, mode="bilinear", recompute_scale_factor=True)
        outputs, features, _ = net.maps(scaled)  # type: ignore[operator]
        attention = upsample(net.scale_attn(features), scaled.shape[-2:])  # type: ignore[operator]
        views = {name: upsample(outputs[name], scaled.shape[-2:]) for name in outputs}
        maps |= {f"pred_{scale}x": views["pred"], f"attn_{scale}x": attention}
        for name, view in views.items():
            if name not in maps:
                maps[name] = view
            elif scale >= 1.0:
                maps[name] = attention * view + (1 - attention) * upsample(maps[name], view.shape[-2:])
            else:
                size = maps[name].shape[-2:]
                maps[name] = upsample(attention * view, size) + (1 - upsample(attention, size)) * maps[name]
    maps["pred"] = upsample(maps["pred"], x.shape[-2:])
    return maps


# --- training ------------------------------------------------------------------------------------------------------


def cross_entropy(logits: Tensor, label: Tensor, ignore: int) -> Tensor:
    """Take the mean over the valid pixels, (N, K, H, W) at full size."""
    return F.nll_loss(F.log_softmax(logits, dim=1), label, ignore_index=ignore)


def rmi_loss(logits: Tensor, label: Tensor, num_classes: int, region: bool = True) -> Tensor:
    """Compute binary cross entropy and region mutual information by explicit inverses, covariances in double."""
    valid = (label >= 0) & (label < num_classes)
    onehot = F.one_hot(label * valid, num_classes).float() * valid.unsqueeze(3)  # (N, H, W, K)
    flat = logits.permute(0, 2, 3, 1).reshape(-1, num_classes)
    weight = valid.reshape(-1, 1).float()
    binary = F.binary_cross_entropy_with_logits(flat, onehot.reshape(-1, num_classes), weight=weight, reduction="sum")
    binary = binary / (valid.sum() + 1)
    if not region:
        return binary
    probability = logits.sigmoid() * valid.unsqueeze(1) + 1e-6
    return 0.5 * binary + 0.5 * _rmi_lower_bound(onehot.permute(0, 3, 1, 2), probability)


def _rmi_lower_bound(onehot: Tensor, probability: Tensor) -> Tensor:
    truth = _region_vectors(F.avg_pool2d(onehot, 4, 4, 2)).double()  # (N, K, 9, P)
    guess = _region_vectors(F.avg_pool2d(probability, 4, 4, 2)).double()
    truth = truth - truth.mean(3, keepdim=True)
    guess = guess - guess.mean(3, keepdim=True)
    jitter = 5e-4 * torch.eye(9, dtype=torch.double, device=truth.device)
    inverse = torch.inverse(guess @ guess.transpose(2, 3) + jitter)
    cross = truth @ guess.transpose(2, 3)
    left = truth @ truth.transpose(2, 3) - cross @ inverse @ cross.transpose(2, 3)
    factor = torch.linalg.cholesky(left + jitter)
    log_det = 2.0 * torch.log(torch.diagonal(factor, dim1=2, dim2=3) + 1e-8).sum(2)  # (N, K)
    return (0.5 * log_det.mean(0) / 9.0).float().sum()


def _region_vectors(x: Tensor) -> Tensor:
    height, width = x.shape[2] - 2, x.shape[3] - 2
    parts = [x[:, :, i : i + height, j : j + width].flatten(2) for i in range(3) for j in range(3)]
    return torch.stack(parts, 2)  # (N, K, 9, P)


def losses(
    outputs: Mapping[str, Tensor], label: Tensor, num_classes: int, ignore: int, rmi: bool, mscale: float
) -> Tensor:
    """Add main loss, 0.4 * auxiliary and `mscale` * single scales', every map brought to the label's size."""

    def one(name: str, region: bool) -> Tensor:
        logits = upsample(outputs[name].float(), label.shape[-2:])
        return rmi_loss(logits, label, num_classes, region) if rmi else cross_entropy(logits, label, ignore)

    total = one("pred", region=True)
    if "aux" in outputs:
        total = total + 0.4 * one("aux", region=False)
    for name in outputs:
        if mscale and name.startswith("pred_"):
            total = total + mscale * one(name, region=False)
    return total


def train_step(
    net: nn.Module,
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    image: Tensor,
    label: Tensor,
    num_classes: int,
    ignore: int = 255,
    rmi: bool = False,
    mscale: float = 0.0,
) -> float:
    """Make one step on normalized images (N, 3, H, W) and labels (N, H, W); fp16 autocast if the scaler is on."""
    optimizer.zero_grad()
    with torch.autocast(image.device.type, torch.float16, enabled=scaler.is_enabled()):
        outputs = net(image)
        total = losses(outputs, label, num_classes, ignore, rmi, mscale)
    scaler.scale(total).backward()
    scaler.step(optimizer)
    scaler.update()
    return total.item()
