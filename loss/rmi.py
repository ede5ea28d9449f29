"""Region mutual information (Zhao et al., "Region Mutual Information Loss for Semantic Segmentation",
arXiv:1910.12037).

N images of this process, K classes, H x W pixels, h x w after pooling, P = (h - 2) * (w - 2) regions.
A region is the 3x3 neighborhood of a pooled pixel, that is, a point in 9 dimensions; y is such a point of the label,
p of the prediction. The loss is a lower bound of -I(y; p), up to a constant (eq. 12 and 13 there):
1/2 log det(S_yy - S_yp S_pp^-1 S_yp^T), with S the covariances over the regions of one image and class.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from loss.pixels import PixelLoss, image_mean, one_hot
from utils.amp import upcast_to_float32

_SIDE = 3  # of a region
_REGION = _SIDE * _SIDE
_POOL = 4  # pooling kernel and stride, padded by half
_JITTER = 5e-4  # on the diagonals of the covariances
_FLOOR = 1e-6  # added to the probabilities
_AT_ONCE = 1 << 20  # coordinates of regions in double, or logits, that are looked at together


def regions(pooled: Tensor) -> Tensor:
    """3x3 neighborhoods as centered points in double: (N, K, h, w) -> (N, K, 9, P)."""
    h, w = pooled.shape[-2] - _SIDE + 1, pooled.shape[-1] - _SIDE + 1
    shifts = [pooled[..., y : y + h, x : x + w] for y in range(_SIDE) for x in range(_SIDE)]
    points = torch.stack(shifts, dim=2).flatten(3).double()  # (N, K, 9, P)
    return points - points.mean(-1, keepdim=True)


def log_det_given(target: Tensor, given: Tensor) -> tuple[Tensor, Tensor]:
    """1/2 log det of the covariance of `target` that `given` leaves unexplained, and where it could be had.

    (..., 9, P) twice -> (...) double, (...) bool. S_yy - S_yp S_pp^-1 S_yp^T, with the jitter on both diagonals, is the
    Schur complement of S_pp in the joint covariance [[S_pp, S_py], [S_yp, S_yy]]; the lower right block of the joint
    Cholesky factor is its factor. So nothing is inverted or subtracted, and the joint matrix, a product Z Z^T plus
    jitter, stays positive definite in double for every image that fits into memory.
    """
    joint = torch.cat([given, target], dim=-2)  # (..., 18, P)
    eye = torch.eye(joint.shape[-2], dtype=joint.dtype, device=joint.device)
    # cholesky_ex does not look at the result, so it does not wait for the device.
    factor, info = torch.linalg.cholesky_ex(joint @ joint.mT + _JITTER * eye)
    return factor.diagonal(dim1=-2, dim2=-1)[..., given.shape[-2] :].log().sum(-1), info == 0


@dataclass(eq=False, repr=False)
class RMI(PixelLoss):
    """Half binary cross entropy, half region mutual information; with `region` off the full binary cross entropy.

    Binary cross entropy: sum over classes and valid pixels / (valid pixels of all ranks + 1). Region term: per class
    the mean over the images of all ranks of 1/2 log det / 9, summed over the classes, in double.
    `skipped` counts the (image, class) terms that were left out and taken as 0 since this loss was made: those of
    images without a valid pixel, of crops too small for a region, of a failed factorization (NaN logits).
    """

    region: bool = True

    def forward(self, logits: Tensor, label: Tensor) -> Tensor:
        """(N, K, H, W), (N, H, W) -> scalar."""
        logits = upcast_to_float32(logits)
        valid = self.valid(label).unsqueeze(1)  # (N, 1, H, W)
        onehot = one_hot(label, self.num_classes) & valid  # (N, K, H, W)
        bce = self._cross_entropy(logits, onehot, valid)
        if not self.region:
            return bce
        return 0.5 * bce + 0.5 * self._region(logits, onehot, valid).to(bce.dtype)

    def _cross_entropy(self, logits: Tensor, onehot: Tensor, valid: Tensor) -> Tensor:
        count = self.ranks.sum(valid.sum()) + 1
        return _BinaryCrossEntropy.apply(logits, onehot, valid) * self.ranks.world / count

    def _region(self, logits: Tensor, onehot: Tensor, valid: Tensor) -> Tensor:
        step = _classes_at_once(logits.shape)
        parts = zip(logits.split(step, dim=1), onehot.split(step, dim=1), strict=True)
        if step < self.num_classes and torch.is_grad_enabled():
            # The regions in double are some twenty times the logits: each part's are made once more for its gradient.
            terms = [checkpoint(_terms, *part, valid, use_reentrant=False, preserve_rng_state=False) for part in parts]
        else:
            terms = [_terms(*part, valid) for part in parts]
        per_term, solved = (torch.cat(found, dim=1) for found in zip(*terms, strict=True))  # (N, K)
        keep = solved & valid.flatten(1).any(1, keepdim=True)
        self.skip((~keep).sum())
        per_term = torch.where(keep, per_term, 0.0) / _REGION
        return image_mean(per_term.sum(1), self.ranks)


def _terms(logits: Tensor, onehot: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    """Each image's and class's bound, and where it could be had: (N, k, H, W) twice, (N, 1, H, W) -> (N, k) twice."""
    # Dense as the whole map was, so that the same kernels compute it.
    logits = logits.contiguous(memory_format=torch.channels_last if logits.stride(1) == 1 else torch.contiguous_format)
    prediction = F.avg_pool2d(logits.sigmoid() * valid + _FLOOR, _POOL, _POOL, _POOL // 2)  # (N, k, h, w)
    truth = F.avg_pool2d(onehot.to(logits.dtype), _POOL, _POOL, _POOL // 2)
    if min(truth.shape[-2:]) < _SIDE:
        return prediction.flatten(2)[..., :0].double().sum(-1), valid.new_zeros(truth.shape[:2])
    return log_det_given(regions(truth), regions(prediction))


def _classes_at_once(shape: Sequence[int]) -> int:
    """Classes whose regions are looked at together, of logits (N, K, H, W)."""
    n, _, height, width = shape
    points = n * (height // _POOL) * (width // _POOL)
    return max(1, _AT_ONCE // (2 * _REGION * max(points, 1)))


class _BinaryCrossEntropy(torch.autograd.Function):
    """Binary cross entropy summed over the classes and the valid pixels.

    The sums and gradients of `F.binary_cross_entropy_with_logits` to the last bit; labels are made numbers, and what it
    keeps between is computed, some rows at a time.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, onehot: Tensor, valid: Tensor) -> Tensor:
        """(N, K, H, W), (N, K, H, W) bool, (N, 1, H, W) bool -> scalar."""
        ctx.save_for_backward(logits, onehot, valid)
        losses = torch.empty_like(onehot, dtype=logits.dtype)
        for x, truth, weight, place in _rows(logits, onehot, valid, losses):
            place.copy_(F.binary_cross_entropy_with_logits(x, truth, weight, reduction="none"))
        return losses.sum()

    @staticmethod
    def backward(ctx: Any, scale: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        """The gradient for the logits."""
        logits, onehot, valid = ctx.saved_tensors
        gradient = torch.empty_like(logits)
        for x, truth, weight, place in _rows(logits, onehot, valid, gradient):
            place.copy_(x.sigmoid().sub_(truth).mul_(scale).mul_(weight))
        return gradient, None, None


def _rows(logits: Tensor, onehot: Tensor, valid: Tensor, place: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Some rows of each, labels as numbers of the logits' type."""
    step = max(1, _AT_ONCE // (logits.shape[0] * logits.shape[1] * logits.shape[3]))
    for top in range(0, logits.shape[2], step):
        x, truth, weight, rows = (part[:, :, top : top + step] for part in (logits, onehot, valid, place))
        yield x, truth.to(x.dtype), weight.to(x.dtype), rows
