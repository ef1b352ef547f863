"""Training by JAX: equal to TensorFlow's, balanced by the same rule, and one compilation for all trials of a shape."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests import REPOSITORY
from tests.benchmarks.reference import N_VALIDATION, REFERENCE, TOLERANCE, VARIANTS, build, compare, make_objects
from twostamp.data.balance import class_turns
from twostamp.models.augmentation import Augmentation
from twostamp.models.engines import EngineError
from twostamp.models.inference import predict
from twostamp.models.trial import TrainingConfig
from twostamp.params import Parameters

jax = pytest.importorskip("jax")

from twostamp.models import jax_data  # noqa: E402

CROP = 21


def run_on(engine: str, *command: str) -> str:
    """Run a module or a script in a process whose Keras has an engine."""
    environment = os.environ | {"KERAS_BACKEND": engine, "JAX_PLATFORMS": "cpu", "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run([sys.executable, *command], env=environment, cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One small training of every architecture by either engine."""
    folders = {engine: tmp_path_factory.mktemp(engine) for engine in ("tensorflow", "jax")}
    for engine, folder in folders.items():
        run_on(engine, "-m", "tests.benchmarks.reference", str(folder))
    return folders


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS)
def test_both_engines_give_the_same_losses_and_updates_over_twenty_steps(
    trained: dict[str, Path], variant: str
) -> None:
    ours, reference = (json.loads((trained[name] / f"{variant}.json").read_text()) for name in ("jax", "tensorflow"))
    assert len(ours["loss"]) == 20
    assert max(compare(ours, reference).values()) < TOLERANCE
    start, *ends = (
        np.concatenate([content[f"arr_{i}"].ravel() for i in range(len(content.files)) if f"arr_{i}" in content])
        for content in (
            np.load(trained["jax"] / f"{variant}.start.npz"),
            *(np.load(trained[name] / f"{variant}.npz") for name in ("jax", "tensorflow")),
        )
    )
    update = np.linalg.norm(ends[1] - start)
    assert update > 0.1
    assert np.linalg.norm(ends[0] - ends[1]) < TOLERANCE * update


@pytest.mark.slow
def test_the_committed_reference_is_what_tensorflow_gives(trained: dict[str, Path]) -> None:
    found = json.loads((trained["tensorflow"] / "stacked.json").read_text())
    assert max(compare(found, json.loads(REFERENCE.read_text())).values()) < TOLERANCE


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS)
def test_tensorflow_reads_the_weights_of_jax_and_predicts_the_same(trained: dict[str, Path], variant: str) -> None:
    network = build(variant)
    network.load_weights(trained["jax"] / f"{variant}.weights.h5")
    expected = np.load(trained["jax"] / f"{variant}.npz")["probabilities"]
    given = predict(network, variant, make_objects(N_VALIDATION, CROP, seed=4))
    np.testing.assert_allclose(given, expected, atol=1e-5)


def draw_slowly(key: Any, counts: list[int], batches: int, batch_size: int) -> list[list[int]]:
    """Rule T3 read aloud: a stream for each class, shuffled anew at every pass, and the classes take turns."""

    def stream(label: int) -> Any:
        passes = 0
        while True:
            own = jax.random.fold_in(jax.random.fold_in(key, label), passes)
            yield from (sum(counts[:label]) + int(row) for row in jax.random.permutation(own, counts[label]))
            passes += 1

    streams, turns = [stream(label) for label in range(len(counts))], list(class_turns(len(counts), batch_size))
    turns *= batches
    return [[next(streams[turns.pop(0)]) for _ in range(batch_size)] for _ in range(batches)]


@pytest.mark.parametrize(("counts", "steps", "batch_size"), [([7, 2, 11], 4, 8), ([3, 40], 5, 3), ([5, 5, 5], 2, 6)])
def test_batches_are_drawn_by_the_rule_of_the_records(counts: list[int], steps: int, batch_size: int) -> None:
    key, epochs = jax.random.key(5), 6
    draw = jax.jit(lambda epoch: jax_data.draw_rows(key, epoch, counts, steps, batch_size))
    drawn = np.concatenate([np.asarray(draw(epoch)) for epoch in range(epochs)])
    assert drawn.tolist() == draw_slowly(key, counts, epochs * steps, batch_size)


def test_what_does_not_fit_on_the_card_is_refused_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    objects = make_objects(40, CROP, seed=1)
    monkeypatch.setattr(jax_data, "free_memory", lambda: 1e6)
    with pytest.raises(EngineError, match=r"takes 0\.\d GB and the card has room for 0\.0: take a smaller crop"):
        jax_data.put_on_device(objects, objects, "stacked", False)


def test_stamps_lie_on_the_device_in_half_precision_and_once(monkeypatch: pytest.MonkeyPatch) -> None:
    objects = make_objects(10, CROP, seed=1)
    kept = jax_data.keep_on_device(objects, objects, "separated", True)
    assert kept["train"]["stamps_1"].dtype == "bfloat16"
    assert kept["train"]["metadata_1"].dtype == "float32"
    assert jax_data.keep_on_device(objects, objects, "stacked", True) is kept
    assert jax_data.keep_on_device(objects, objects, "stacked", False)["train"]["stamps_1"].dtype == "float32"


def test_an_engine_that_keras_does_not_run_on_is_refused_in_a_sentence() -> None:
    from twostamp.models.jax_training import train_model

    objects = SimpleNamespace(labels=np.arange(5))
    options = {"n_classes": 5, "steps_per_epoch": 1, "epochs": 1, "warmup_fraction": 0.0, "seed": 0}
    with pytest.raises(EngineError, match="Keras runs on tensorflow in this process and engine is jax: set KERAS_BACK"):
        train_model("stacked", None, objects, objects, **options)


def test_results_name_the_engine_that_made_them() -> None:
    for engine in ("tensorflow", "jax"):
        config = TrainingConfig.of(Parameters(engine=engine))
        assert config.describe("stacked", "data", "thesis")["engine"] == engine


SEVERAL = """
import tempfile
from pathlib import Path

from tests.benchmarks.reference import make_objects
from twostamp.models.augmentation import Augmentation
from twostamp.models.checkpoint import Checkpoint
from twostamp.models.engines import Hyperparameters
from twostamp.models.jax_training import prepare, train_model
import numpy as np

objects, options = make_objects(40, 21, seed=1), dict(
    n_classes=5, steps_per_epoch=3, epochs=3, warmup_fraction=0.1, width=0.1, mixed_precision=True,
    augmentation=Augmentation(0.5, 0.5), deltajd=(0.5, 2.0))
done = [
    train_model("one_or_two", Hyperparameters(3, 21, 8, rate, dropped), objects, objects, seed=seed, **options)
    for rate, dropped, seed in ((1e-3, 0.3, 1), (1e-3, 0.3, 1), (5e-3, 0.3, 1), (1e-3, 0.7, 1), (1e-3, 0.3, 2))
]
first = done[0]
assert prepare.cache_info().misses == 1, prepare.cache_info()
assert first.history["loss"] == done[1].history["loss"]
assert all((a == b).all() for a, b in zip(first.weights["best"], done[1].weights["best"]))
assert all(first.history["loss"] != other.history["loss"] for other in done[2:])
assert set(first.history) >= {"loss", "accuracy", "val_loss", "val_accuracy", "learning_rate", "objects_per_second"}
assert first.history["val_accuracy"][first.best_epoch] == max(first.history["val_accuracy"])
assert {value.dtype for value in first.weights["last"]} == {np.dtype("float32")}
assert first.model.dtype_policy.name == "float32"
changed = [not np.array_equal(a, b) for a, b in zip(first.weights["best"], first.weights["last"])]
assert first.best_epoch == 2 or any(changed)

class Dying(Checkpoint):
    def save(self, about, arrays):
        super().save(about, arrays)
        if len(about["history"]["loss"]) == 2:
            raise KeyboardInterrupt

with tempfile.TemporaryDirectory() as folder:
    given = "one_or_two", Hyperparameters(3, 21, 8, 1e-3, 0.3), objects, objects
    try:
        train_model(*given, seed=1, **options, checkpoint=Dying(Path(folder) / "state.npz", {}, 0))
        raise SystemExit("it lived")
    except KeyboardInterrupt:
        resumed = train_model(*given, seed=1, **options, checkpoint=Checkpoint(Path(folder) / "state.npz", {}, 0))
assert resumed.history["loss"] == first.history["loss"]
for which in ("last", "best"):
    assert all((a == b).all() for a, b in zip(resumed.weights[which], first.weights[which], strict=True))
print("fine")
"""


@pytest.mark.slow
def test_one_compilation_serves_trials_that_differ_in_rates_and_seeds() -> None:
    assert run_on("jax", "-c", SEVERAL).strip().endswith("fine")


def test_augmentation_is_part_of_a_shape() -> None:
    assert hash(Augmentation(0.5, 0.5)) != hash(Augmentation(0.5, 0.25))
