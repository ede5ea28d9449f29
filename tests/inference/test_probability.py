"""The probability of a class that is given, for each way of averaging."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from inference import Predictor
from inference.probability import probability_of
from inference.rule import EvalRule
from utils.contracts import Prediction

LOGITS = torch.randn(5, 6, 7, generator=torch.Generator().manual_seed(0)) * 3
LABEL = np.random.default_rng(0).integers(0, 5, (6, 7), dtype=np.uint8)


@pytest.mark.parametrize("average", ["logits", "probabilities", "exp"])
def test_the_class_that_is_named(average: str) -> None:
    scores = {"logits": LOGITS, "probabilities": LOGITS.softmax(0), "exp": LOGITS.exp()}[average]
    prob, classes = LOGITS.softmax(0).max(0)
    label = LABEL.copy()
    label[0, :3] = 255
    found = probability_of(label, Prediction(classes.to(torch.uint8), prob, scores), average)
    want = LOGITS.softmax(0).gather(0, torch.from_numpy(LABEL).long()[None])[0].numpy()
    np.testing.assert_allclose(found[1:], want[1:], rtol=1e-5)
    assert found.dtype == np.float32 and (found[0, :3] == 0).all()


@pytest.mark.parametrize("tile", [0, 16])
def test_of_a_predictor(tile: int) -> None:
    torch.manual_seed(0)
    net = torch.nn.Conv2d(3, 4, 1)
    predictor = Predictor(net, EvalRule(tile=tile), memory_bytes=1 << 30)
    image = np.random.default_rng(0).integers(0, 256, (24, 40, 3), dtype=np.uint8)
    (prediction,) = predictor([image], scores=True)
    own = probability_of(prediction.classes.numpy(), prediction, predictor.rule.average)
    np.testing.assert_allclose(own, prediction.max_prob.numpy(), rtol=1e-4)
    every = [probability_of(np.full((24, 40), k, np.uint8), prediction, "logits") for k in range(4)]
    np.testing.assert_allclose(sum(every), 1, rtol=1e-4)
