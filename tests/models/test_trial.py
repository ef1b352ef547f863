"""What a trial stores of its training: the scores and weights of the last epoch, and of the best."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from twostamp.models import training, trial
from twostamp.models.training import Hyperparameters
from twostamp.params import Parameters


class StubNetwork:
    """Its weights are one word, which is also its score."""

    def __init__(self, weights: str) -> None:
        self.weights = weights

    def set_weights(self, weights: str) -> None:
        self.weights = weights

    def save_weights(self, path: Path) -> None:
        path.write_text(self.weights)


@pytest.mark.parametrize(("best_epoch", "best"), [(0, "from epoch 0"), (2, "from epoch 2")])
def test_best_and_last_have_their_own_scores_and_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, best_epoch: int, best: str
) -> None:
    history = {"objects_per_second": [1.0, 2.0, 3.0]}
    weights = {"last": "from epoch 2", "best": best}
    done = SimpleNamespace(model=StubNetwork("from epoch 2"), weights=weights, best_epoch=best_epoch, history=history)
    monkeypatch.setattr(trial, "train", lambda *_: done)
    monkeypatch.setattr(trial, "_score", lambda network, *_: {"scored": network.weights})
    monkeypatch.setattr(trial, "read_once", lambda *_: None)
    info = SimpleNamespace(classes=["AGN", "SN"], fingerprint="f")
    records: Any = SimpleNamespace(info=info, recipe="thesis")
    wanted = trial.Trial("stacked", Hyperparameters(3, 21, 6, 1e-3, 0.3), 0, 1)
    job = trial.Job(wanted, records, tmp_path, trial.TrainingConfig.of(Parameters(epochs=3)))
    job.run()
    result = json.loads(job.path.read_text())
    for which, text in weights.items():
        assert result[which]["scored"] == text
        assert (tmp_path / result[which]["weights"]).read_text() == text
    assert job.is_finished()


@pytest.mark.parametrize(("accuracies", "kept"), [((0.5, 0.5, 0.5), 0), ((0.25, 0.75, 0.75), 1), ((0.5, 0.25, 1.0), 2)])
def test_of_equal_epochs_the_first_is_the_best(
    monkeypatch: pytest.MonkeyPatch, accuracies: tuple[float, ...], kept: int
) -> None:
    labels, epoch = np.zeros(4, int), 0
    monkeypatch.setattr(training, "predict", lambda *_: np.eye(2)[(np.arange(4) >= 4 * accuracies[epoch]).astype(int)])
    judge = training._Validation("stacked", SimpleNamespace(labels=labels))
    judge.set_model(SimpleNamespace(get_weights=lambda: [epoch]))
    for epoch in range(len(accuracies)):
        judge.on_epoch_end(epoch)
    assert (judge.epoch, judge.weights, judge.accuracy) == (kept, [kept], accuracies[kept])
