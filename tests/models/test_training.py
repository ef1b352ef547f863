"""Training: warm-up, what is kept, what is logged, and that it repeats."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tests.models.test_architectures import make_arrays
from twostamp.data.arrays import Arrays
from twostamp.models import training
from twostamp.models.architectures import OTHER_LISTS, VARIANTS
from twostamp.models.checkpoint import Checkpoint
from twostamp.models.inference import model_inputs
from twostamp.models.training import Hyperparameters, LinearWarmup, Training, entropy_loss, make_batches, train_model

pytestmark = pytest.mark.slow
SMALL = Hyperparameters(kernel_size=3, crop_size=21, batch_size=5, learning_rate=1e-3, dropout_rate=0.3)
INPUTS = ("stamps_1", "metadata_1", "stamps_2", "metadata_2", "deltajd")


def make_dataset(arrays: Arrays) -> tf.data.Dataset:
    inputs = {name: getattr(arrays, name) for name in INPUTS}
    labels = np.eye(5, dtype="float32")[arrays.labels]
    return tf.data.Dataset.from_tensor_slices((inputs, labels)).batch(5).repeat()


def train(
    variant: str = "stacked",
    seed: int = 3,
    epochs: int = 2,
    log_folder: Path | None = None,
    checkpoint: Checkpoint | None = None,
) -> Training:
    arrays = make_arrays(variant, 10)
    return train_model(
        variant,
        SMALL,
        make_dataset(arrays),
        arrays,
        n_classes=5,
        steps_per_epoch=2,
        epochs=epochs,
        warmup_fraction=0.5,
        seed=seed,
        log_folder=log_folder,
        checkpoint=checkpoint,
    )


def test_warm_up_grows_linearly_then_stays() -> None:
    rates = [float(LinearWarmup(5e-3, 20)(step)) for step in range(40)]
    assert rates[0] == pytest.approx(5e-4)
    np.testing.assert_allclose(np.diff(rates[:21]), 4.5e-3 / 20, rtol=1e-3)
    np.testing.assert_allclose(rates[20:], 5e-3, rtol=1e-6)


def test_no_warm_up_is_constant() -> None:
    assert [float(LinearWarmup(1e-3, 0)(step)) for step in (0, 9)] == pytest.approx([1e-3, 1e-3])


def test_entropy_loss_is_cross_entropy_minus_the_entropy_of_the_prediction() -> None:
    probabilities = np.array([[0.7, 0.2, 0.1], [1.0, 0.0, 0.0]], "float32")
    labels = np.eye(3, dtype="float32")[[0, 1]]
    clipped = np.clip(probabilities, 1e-7, 1)
    expected = -np.log(clipped[[0, 1], [0, 1]]) + 0.5 * (clipped * np.log(clipped)).sum(axis=1)
    np.testing.assert_allclose(np.asarray(entropy_loss(0.5)(labels, probabilities)), expected, rtol=1e-4)


def test_the_same_seed_gives_the_same_weights_and_another_does_not() -> None:
    first, second, third = train(), train(), train(seed=4)
    for a, b in zip(first.weights["last"], second.weights["last"], strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(first.weights["last"][0], third.weights["last"][0])


def test_a_training_on_the_graphs_of_another_is_that_of_a_process_of_its_own() -> None:
    training._compile.cache_clear()
    train(seed=3)
    reused = train(seed=4)
    assert training._compile.cache_info()[:2] == (1, 1)  # hits, misses
    training._compile.cache_clear()
    alone = train(seed=4)
    for which in ("last", "best"):
        for a, b in zip(reused.weights[which], alone.weights[which], strict=True):
            np.testing.assert_array_equal(a, b)
    for name in ("loss", "accuracy", "val_loss", "val_accuracy", "learning_rate"):
        assert reused.history[name] == alone.history[name], name


def test_few_networks_are_kept_and_those_with_other_graphs_are_others() -> None:
    training._compile.cache_clear()
    trained = [train("stamp_23", epochs=1), train("stamp_23"), train("stamp_26"), train("stamp_23", epochs=1)]
    assert len({id(done.model) for done in trained}) == 4
    assert training._compile.cache_info().currsize == 2


def test_no_training_waits_for_a_thread_that_tunes_its_batches() -> None:
    batches = make_batches(make_dataset(make_arrays("stacked", 10)), "stacked")
    assert batches.options().autotune.enabled is False


def test_best_weights_score_the_highest_validation_accuracy() -> None:
    done = train(epochs=3)
    done.model.set_weights(done.weights["best"])
    arrays = make_arrays("stacked", 10)
    predicted = done.model.predict_on_batch(model_inputs("stacked", arrays)).argmax(axis=1)
    assert np.mean(predicted == arrays.labels) == pytest.approx(max(done.history["val_accuracy"]))


def test_history_and_tensorboard_hold_what_is_monitored(tmp_path: Path) -> None:
    history = train(log_folder=tmp_path).history
    assert set(history) >= {"loss", "accuracy", "val_loss", "val_accuracy", "learning_rate", "memory"}
    assert all(len(values) == 2 for values in history.values())
    assert all(np.isfinite(values).all() for values in history.values())
    assert min(history["objects_per_second"]) > 0
    tags = set()
    for path in tmp_path.rglob("events*"):
        for event in tf.compat.v1.train.summary_iterator(str(path)):
            tags |= {value.tag for value in event.summary.value}
    assert tags >= {"epoch_loss", "epoch_accuracy", "epoch_learning_rate", "epoch_objects_per_second", "epoch_memory"}


@pytest.mark.parametrize("variant", [name for name in VARIANTS if name not in OTHER_LISTS])
def test_every_variant_learns_from_its_own_inputs(variant: str) -> None:
    done = train(variant, epochs=1)
    assert np.isfinite(done.history["loss"]).all()
    assert set(done.weights) == {"last", "best"}


def test_hyperparameters_have_a_readable_name() -> None:
    assert Hyperparameters(5, 63, 128, 1e-4, 0.5).id == "k5-c63-b128-lr0.0001-d0.5"


def test_a_killed_training_continues_to_the_same_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def make(identity: int = 1) -> Checkpoint:
        return Checkpoint(tmp_path / "state.npz", {"seed": identity}, interval=0)

    whole, judge = train(epochs=4), training._Validation.on_epoch_end

    def die(self: training._Validation, epoch: int, logs: dict[str, float] | None = None) -> None:
        if epoch == 2:
            raise KeyboardInterrupt
        judge(self, epoch, logs)

    monkeypatch.setattr(training._Validation, "on_epoch_end", die)
    with pytest.raises(KeyboardInterrupt):
        train(epochs=4, checkpoint=make())
    epochs: list[int] = []
    monkeypatch.setattr(
        training._Validation, "on_epoch_end", lambda self, epoch, logs: (epochs.append(epoch), judge(self, epoch, logs))
    )
    resumed = train(epochs=4, checkpoint=make())
    assert epochs == [2, 3]
    assert resumed.best_epoch == whole.best_epoch
    for which in ("last", "best"):
        for ours, theirs in zip(resumed.weights[which], whole.weights[which], strict=True):
            np.testing.assert_array_equal(ours, theirs)
    for name in ("loss", "accuracy", "val_loss", "val_accuracy", "learning_rate"):
        assert resumed.history[name] == whole.history[name]
    epochs.clear()
    train(epochs=4, checkpoint=make(identity=2))  # the state of another training is not taken
    assert epochs == [0, 1, 2, 3]
