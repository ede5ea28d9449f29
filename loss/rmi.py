"""Region mutual information (Zhao et al., "Region Mutual Information Loss for Semantic Segmentation",
arXiv:1910.12037).

N images of this process, K classes, H x W pixels, h x w after pooling, P = (h - 2) * (w - 2) regions.
A region is the 3x3 neighborhood of a pooled pixel, that is, a point in 9 dimensions; y is such a point of the label,
p of the prediction. The loss is a lower bound of -I(y; p), up to a constant (eq. 12 and 13 there):
1/2 log det(S_yy - S_yp S_pp^-1 S_yp^T), with S the covariances over the regions of one image and class.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from loss.pixels import PixelLoss, image_mean, one_hot
from utils.amp import upcast_to_float32

_SIDE = 3  # of a region
_REGION = _SIDE * _SIDE
_POOL = 4  # pooling kernel and stride, padded by half
_JITTER = 5e-4  # on the diagonals of the covariances
_FLOOR = 1e-6  # added to the probabilities


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
        onehot = (one_hot(label, self.num_classes) & valid).to(logits.dtype)  # (N, K, H, W)
        bce = self._cross_entropy(logits, onehot, valid)
        if not self.region:
            return bce
        return 0.5 * bce + 0.5 * self._region(logits, onehot, valid).to(bce.dtype)

    def _cross_entropy(self, logits: Tensor, onehot: Tensor, valid: Tensor) -> Tensor:
        count = self.ranks.sum(valid.sum()) + 1
        total = F.binary_cross_entropy_with_logits(logits, onehot, weight=valid.to(logits.dtype), reduction="sum")
        return total * self.ranks.world / count

    def _region(self, logits: Tensor, onehot: Tensor, valid: Tensor) -> Tensor:
        prediction = F.avg_pool2d(logits.sigmoid() * valid + _FLOOR, _POOL, _POOL, _POOL // 2)  # (N, K, h, w)
        truth = F.avg_pool2d(onehot, _POOL, _POOL, _POOL // 2)
        if min(truth.shape[-2:]) < _SIDE:
            per_term, keep = prediction.flatten(2)[..., :0].double().sum(-1), valid.new_zeros(truth.shape[:2])
        else:
            per_term, solved = log_det_given(regions(truth), regions(prediction))  # (N, K)
            keep = solved & valid.flatten(1).any(1, keepdim=True)
        self.skip((~keep).sum())
        per_term = torch.where(keep, per_term, 0.0) / _REGION
        return image_mean(per_term.sum(1), self.ranks)
