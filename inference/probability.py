"""How probable a network finds a class that is given, be it the one that it would take or not."""

from __future__ import annotations

import numpy as np
import torch

from utils.contracts import Prediction


def probability_of(classes: np.ndarray, prediction: Prediction, average: str) -> np.ndarray:
    """Give the probability of the class that each pixel of `classes` (H, W) names, (H, W) float32.

    `prediction`: with its scores, without a temperature; `average`: what the scores are, as `EvalRule.average` says.
    What is no class of the scores gets 0.
    """
    scores = prediction.scores
    assert scores is not None and scores.shape[1:] == classes.shape
    wanted = torch.from_numpy(np.ascontiguousarray(classes)).to(scores.device).long()
    known = wanted < len(scores)
    own = scores.gather(0, (wanted * known)[None])[0].float()
    if average == "probabilities":
        found = own
    else:
        best = scores.gather(0, prediction.classes.to(scores.device).long()[None])[0].float()
        share = (own - best).exp() if average == "logits" else own / best
        found = share * prediction.max_prob.to(scores.device)
    return (found * known).cpu().numpy()
