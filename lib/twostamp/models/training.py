"""Training of one classifier by TensorFlow (chapter 5): Adam, categorical cross-entropy, linear warm-up."""

import functools
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import psutil
import tensorflow as tf

from twostamp.data.arrays import Arrays
from twostamp.models.architectures import SECOND_SEEN, build_model, input_shapes
from twostamp.models.checkpoint import Checkpoint
from twostamp.models.engines import Hyperparameters, LinearWarmup, Training, entropy_loss
from twostamp.models.inference import predict

_KEPT_NETWORKS = 2
"""Number of compiled networks that a process keeps: trainings of one shape are consecutive."""


class _Validation(keras.callbacks.Callback):
    """Evaluate each epoch on the validation set, and keep the weights of the most accurate one.

    It predicts through the graph of the final evaluation, which saves tracing another one.
    """

    def __init__(self, variant: str, arrays: Arrays) -> None:
        super().__init__()
        self.variant, self.arrays, self.labels = variant, arrays, np.asarray(arrays.labels)
        self.accuracy, self.epoch = -np.inf, 0
        self.weights: list[np.ndarray] = []

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Add val_loss and val_accuracy to the log; keep the weights if they are better than any before."""
        probabilities = predict(self.model, self.variant, self.arrays)
        of_truth = np.take_along_axis(probabilities, self.labels[:, None], axis=1)
        accuracy = float(np.mean(probabilities.argmax(axis=1) == self.labels))
        if accuracy > self.accuracy:
            self.accuracy, self.epoch, self.weights = accuracy, epoch, self.model.get_weights()
        if logs is not None:
            logs["val_loss"] = float(-np.log(np.maximum(of_truth, keras.config.epsilon())).mean())
            logs["val_accuracy"] = accuracy


class _Monitor(keras.callbacks.Callback):
    """Add learning rate, objects per second and memory to the log of each epoch, for the history and TensorBoard."""

    def __init__(self, objects_per_epoch: int) -> None:
        super().__init__()
        self.objects_per_epoch = objects_per_epoch

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Start the clock."""
        self.start = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Read the clock; the last batch counts, not the validation that follows it."""
        self.seconds = time.perf_counter() - self.start

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Add to the log."""
        if logs is not None:
            logs["learning_rate"] = float(self.model.optimizer.learning_rate)
            logs["objects_per_second"] = self.objects_per_epoch / self.seconds
            logs["memory"] = psutil.Process().memory_info().rss / 2**20


class _Storing(keras.callbacks.Callback):
    """Store the state of a training after an epoch if one is due, or resume a stored one."""

    def __init__(self, checkpoint: Checkpoint, best: _Validation) -> None:
        super().__init__()
        self.checkpoint, self.best = checkpoint, best
        self.history: dict[str, list[float]] = {}

    def restore(self, model: keras.Model) -> int:
        """Restore a model's stored state, if there is one; return the next epoch."""
        if (found := self.checkpoint.load()) is None:
            return 0
        about, arrays = found
        variables = [*model.variables, *model.optimizer.variables]
        for variable, value in zip(variables, arrays, strict=False):
            variable.assign(value)
        self.best.accuracy, self.best.epoch = about["best"]
        self.best.weights, self.history = arrays[len(variables) :], about["history"]
        return len(self.history["loss"])

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Keep the history, and store the state if it is time."""
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(float(value))
        if self.checkpoint.is_due():
            variables = [*self.model.variables, *self.model.optimizer.variables]
            about = {"best": [self.best.accuracy, self.best.epoch], "history": self.history}
            self.checkpoint.save(about, [*(variable.numpy() for variable in variables), *self.best.weights])


def limit_threads(threads: int) -> None:
    """Let TensorFlow compute on ``threads`` threads; only before its first operation.

    A fixed number makes sums, and so results, exactly reproducible for any number of processes.
    """
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)


def hide_cards() -> None:
    """Keep TensorFlow off the accelerators, where it only reads records for another engine."""
    tf.config.set_visible_devices([], "GPU")


def make_repeatable(seed: int) -> None:
    """Seed Python, NumPy and TensorFlow, and allow only deterministic operations in this process.

    TensorFlow mixes this seed into that of every shuffled data set too, so it comes before they are made.
    """
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()


def make_batches(batches: tf.data.Dataset, variant: str) -> tf.data.Dataset:
    """Keep of each batch the inputs that a variant takes, and prepare one batch ahead.

    Where no input marks which second alerts are seen (`twostamp.models.augmentation`), all are.
    """
    names = list(input_shapes(variant, crop_size=0))

    def choose(inputs: dict[str, Any], labels: Any) -> tuple[dict[str, Any], Any]:
        if SECOND_SEEN in names:
            inputs = {SECOND_SEEN: tf.ones((tf.shape(labels)[0], 1)), **inputs}
        return {name: inputs[name] for name in names}, labels

    options = tf.data.Options()
    options.autotune.enabled = False  # nothing to tune, and its shutdown may take as long as the training
    return batches.map(choose).prefetch(1).with_options(options)


@dataclass(frozen=True, slots=True)
class _Network:
    """All inputs of the graphs of a training other than their variables; see `train_model`."""

    variant: str
    hyperparameters: Hyperparameters
    n_classes: int
    warmup_steps: int
    dropout_layers: int
    siamese: bool
    width: float
    batch_normalisation: bool
    entropy_beta: float
    mixed_precision: bool

    def build(self) -> keras.Model:
        """Build it with fresh weights."""
        return build_model(
            self.variant,
            n_classes=self.n_classes,
            crop_size=self.hyperparameters.crop_size,
            kernel_size=self.hyperparameters.kernel_size,
            dropout_rate=self.hyperparameters.dropout_rate,
            dropout_layers=self.dropout_layers,
            siamese=self.siamese,
            width=self.width,
            batch_normalisation=self.batch_normalisation,
        )


@functools.lru_cache(_KEPT_NETWORKS)
def _compile(network: _Network) -> keras.Model:
    """Compile a network once for all its trainings in this process: tracing its graphs takes seconds."""
    keras.backend.clear_session()  # frees networks that are no longer kept
    model = network.build()
    optimizer = keras.optimizers.Adam(LinearWarmup(network.hyperparameters.learning_rate, network.warmup_steps))
    # Otherwise the first step makes Adam's variables inside the graph and has to be traced twice.
    optimizer.build(model.trainable_variables)
    loss = entropy_loss(network.entropy_beta) if network.entropy_beta else "categorical_crossentropy"
    model.compile(optimizer, loss=loss, metrics=["accuracy"], jit_compile=False)
    return model


def _start(network: _Network) -> keras.Model:
    """Return a compiled model as in a new process: weights, dropout state and optimiser are reset."""
    fresh = network.build()
    model = _compile(network)
    for variable, initial in zip(model.variables, fresh.variables, strict=True):
        variable.assign(initial)
    for variable in model.optimizer.variables:
        variable.assign(keras.ops.zeros_like(variable))
    return model


def train_model(
    variant: str,
    hyperparameters: Hyperparameters,
    batches: tf.data.Dataset,
    validation: Arrays,
    *,
    n_classes: int,
    steps_per_epoch: int,
    epochs: int,
    warmup_fraction: float,
    seed: int,
    dropout_layers: int = 1,
    siamese: bool = False,
    width: float = 1.0,
    batch_normalisation: bool = True,
    entropy_beta: float = 0.0,
    mixed_precision: bool = False,
    log_folder: Path | None = None,
    checkpoint: Checkpoint | None = None,
    start: Sequence[np.ndarray] | None = None,
) -> Training:
    """Train one classifier from fresh weights (chapter 5; decisions T1-T4), or from given ones.

    Parameters
    ----------
    variant : str
        A key of ``models.VARIANTS``.
    hyperparameters : Hyperparameters
    batches : tf.data.Dataset
        Endless, of (dict of inputs, one-hot labels); see `twostamp.data.tfrecords.Records.batches`.
    validation : Arrays
        Evaluated after every epoch.
    n_classes : int
    steps_per_epoch, epochs : int
    warmup_fraction : float
        Share of all steps in which the learning rate grows.
    seed : int
        Of weights and dropout. Turns on TensorFlow's deterministic operations for the whole process.
    dropout_layers, siamese, width, batch_normalisation
        Of ``models.build_model`` (decisions A5, A6, M6).
    entropy_beta : float
        Weight of the entropy term of `entropy_loss` (decision A7).
    mixed_precision : bool
        Let oneDNN compute in bfloat16 if the processor has it: faster, but not the thesis's precision.
    log_folder : Path, optional
        Folder of TensorBoard's files.
    checkpoint : Checkpoint, optional
        File of the state, stored at intervals; an existing state is resumed, and the result is the same bit for bit.
    start : sequence of ndarray, optional
        Initial weights of a network of the same kind, to fine-tune.

    Returns
    -------
    Training
    """
    make_repeatable(seed)
    tf.config.optimizer.set_experimental_options({"auto_mixed_precision_onednn_bfloat16": mixed_precision})
    network = _Network(
        variant,
        hyperparameters,
        n_classes,
        round(warmup_fraction * epochs * steps_per_epoch),
        dropout_layers,
        siamese,
        width,
        batch_normalisation,
        entropy_beta,
        mixed_precision,
    )
    model = _start(network)
    if start is not None:
        model.set_weights(start)
    best = _Validation(variant, validation)
    callbacks: list[keras.callbacks.Callback] = [_Monitor(steps_per_epoch * hyperparameters.batch_size), best]
    if log_folder is not None:
        callbacks.append(keras.callbacks.TensorBoard(str(log_folder), write_graph=False))
    epoch = 0
    if checkpoint is not None:
        storing = _Storing(checkpoint, best)
        epoch = storing.restore(model)
        callbacks.append(storing)
    batches = make_batches(batches.skip(epoch * steps_per_epoch), variant)
    fitted = model.fit(
        batches,
        epochs=epochs,
        initial_epoch=epoch,
        steps_per_epoch=steps_per_epoch,
        callbacks=callbacks,
        shuffle=False,
        verbose=0,
    )
    log = fitted.history if checkpoint is None else storing.history
    history = {name: [float(value) for value in values] for name, values in log.items()}
    return Training(model, {"last": model.get_weights(), "best": best.weights}, best.epoch, history)
