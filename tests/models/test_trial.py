"""What a trial stores of its training: the scores and weights of the last epoch, and of the best."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest

from twostamp.models import training, trial
from twostamp.models.training import Hyperparameters
from twostamp.params import Parameters


def make_network() -> keras.Model:
    inputs = keras.Input((1,))
    return keras.Model(inputs, keras.layers.Dense(1)(inputs))


@pytest.mark.parametrize(("best_epoch", "best"), [(0, 0.0), (2, 2.0)])
def test_best_and_last_have_their_own_scores_and_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, best_epoch: int, best: float
) -> None:
    network, values = make_network(), {"last": 2.0, "best": best}
    weights = {which: [np.full((1, 1), value), np.full(1, value)] for which, value in values.items()}
    network.set_weights(weights["last"])
    history = {"objects_per_second": [1.0, 2.0, 3.0]}
    done = SimpleNamespace(model=network, weights=weights, best_epoch=best_epoch, history=history)
    monkeypatch.setattr(trial, "train", lambda *_: done)
    monkeypatch.setattr(trial, "_score", lambda scored, *_: {"scored": float(scored.get_weights()[1][0])})
    monkeypatch.setattr(trial, "read_once", lambda *_: None)
    info = SimpleNamespace(classes=["AGN", "SN"], fingerprint="f")
    records: Any = SimpleNamespace(info=info, recipe="thesis", cache_bytes=trial.CACHE_BYTES)
    wanted = trial.Trial("stacked", Hyperparameters(3, 21, 6, 1e-3, 0.3), 0, 1)
    job = trial.Job(wanted, records, tmp_path, trial.TrainingConfig.of(Parameters(epochs=3)))
    job.run()
    result = json.loads(job.path.read_text())
    for which, value in values.items():
        assert result[which]["scored"] == value
        stored = make_network()
        stored.load_weights(tmp_path / result[which]["weights"])
        assert stored.get_weights()[1].tolist() == [value]
    assert job.is_finished()
    (tmp_path / result["best"]["weights"]).unlink()
    assert not job.is_finished()


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
