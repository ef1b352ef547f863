"""Training of one classifier by JAX on one accelerator (chapter 5): the same networks, recipe and results.

The data set is on the device, and an epoch is one compiled call. Learning rate, dropout, warm-up and entropy term are
its arguments, so one compilation serves all trials of a shape. Keras runs on JAX here (``KERAS_BACKEND=jax``).
"""

import contextlib
import functools
import os
import resource
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import keras
import numpy as np
from jax import lax

from twostamp.models.architectures import build_model
from twostamp.models.augmentation import Augmentation, augment, first_late_step
from twostamp.models.engines import (
    EngineError,
    Hyperparameters,
    Training,
    entropy_loss,
    require_engine,
    warmup_share,
)
from twostamp.models.jax_data import complete, draw_rows, keep_on_device, take
from twostamp.models.layers import Dropout

if TYPE_CHECKING:
    from twostamp.models.checkpoint import Checkpoint

_KEPT_PROGRAMMES = 4
_JUDGED_AT_ONCE = 512
_ANY_RATE = 0.5


@dataclass(frozen=True, slots=True)
class Shape:
    """All inputs of a compilation.

    Attributes
    ----------
    variant : str
    kernel_size, crop_size, batch_size : int
    counts : tuple of int
        Training objects of each class.
    n_validation, steps_per_epoch : int
    dropout_layers, siamese, width, batch_normalisation
        Of `twostamp.models.architectures.build_model`.
    mixed_precision : bool
        Compute in bfloat16, with weights in single precision.
    augmentation : Augmentation or None
    deltajd : (float, float)
        Mean and standard deviation of ln deltajd.
    moving : int
        Of `twostamp.models.augmentation.augment_batches`.
    """

    variant: str
    kernel_size: int
    crop_size: int
    batch_size: int
    counts: tuple[int, ...]
    n_validation: int
    steps_per_epoch: int
    dropout_layers: int = 1
    siamese: bool = False
    width: float = 1.0
    batch_normalisation: bool = True
    mixed_precision: bool = False
    augmentation: Augmentation | None = None
    deltajd: tuple[float, float] = (0.0, 1.0)
    moving: int = -1

    def build(self, dropout_rate: float, policy: str = "float32") -> keras.Model:
        """Build the network with fresh weights; dropout layers exist even at a rate of 0."""
        before = keras.config.dtype_policy()
        keras.config.set_dtype_policy(policy)
        try:
            return build_model(
                self.variant,
                n_classes=len(self.counts),
                crop_size=self.crop_size,
                kernel_size=self.kernel_size,
                dropout_rate=dropout_rate or _ANY_RATE,
                dropout_layers=self.dropout_layers,
                siamese=self.siamese,
                width=self.width,
                batch_normalisation=self.batch_normalisation,
            )
        finally:
            keras.config.set_dtype_policy(before)


class Programme:
    """Compiled epoch of a shape: training steps, validation, and the best weights so far."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.model = shape.build(_ANY_RATE, "mixed_bfloat16" if shape.mixed_precision else "float32")
        self.optimizer = keras.optimizers.Adam(_ANY_RATE)  # the rate of a step is written into its variables
        self.optimizer.build(self.model.trainable_variables)
        names = [variable.path.rpartition("/")[2] for variable in self.optimizer.variables]
        self._step, self._rate = names.index("iteration"), names.index("learning_rate")
        self._compiled: Any = None

    def start(self, model: keras.Model) -> tuple[Any, Any]:
        """Return the state before the first epoch (weights of a model, Adam) and the best weights so far (none)."""
        trainable = [jnp.copy(variable.value) for variable in model.trainable_variables]
        others = [jnp.copy(variable.value) for variable in model.non_trainable_variables]
        adam = [jnp.zeros_like(variable.value) for variable in self.optimizer.variables]
        best = (jnp.float32(-1.0), jnp.int32(0), *jax.tree.map(jnp.zeros_like, (trainable, others)))
        return (trainable, others, adam), best

    def compile(self, *arguments: Any) -> None:
        """Compile the epoch once for arguments of these shapes."""
        if self._compiled is None:
            self._compiled = jax.jit(self.epoch, donate_argnums=(0, 1)).lower(*arguments).compile()

    def run(self, *arguments: Any) -> tuple[Any, Any, Any]:
        """Run one epoch; arguments and results of `epoch`."""
        return self._compiled(*arguments)

    def epoch(self, state: Any, best: Any, data: Any, settings: Any, key: Any, number: Any) -> tuple[Any, Any, Any]:
        """Train one epoch and evaluate it.

        Parameters
        ----------
        state, best
            From `start`, or from the previous epoch; both are consumed.
        data : dict
            Of `put_on_device`.
        settings : dict of scalar
            learning_rate, dropout_rate, warmup_steps, entropy_beta, late (first step with weather gaps).
        key : jax random key
            Of the training.
        number : int scalar
            Of the epoch, from 0.

        Returns
        -------
        state, best, measured
            measured: dict of loss, accuracy, val_loss, val_accuracy, learning_rate.
        """
        shape = self.shape
        rows = draw_rows(jax.random.fold_in(key, 0), number, shape.counts, shape.steps_per_epoch, shape.batch_size)
        rows = data["members"][rows]
        noise = jax.random.fold_in(key, 1)

        def step(state: Any, rows: Any) -> tuple[Any, Any]:
            return self.step(state, take(data["train"], rows), data["labels"][rows], settings, noise)

        state, (losses, hits) = lax.scan(step, state, rows)
        val_loss, val_accuracy = self._judge(state, data["validation"], data["validation_labels"])
        better = val_accuracy > best[0]
        found = (val_accuracy, number, state[0], state[1])
        best = jax.tree.map(lambda new, old: jnp.where(better, new, old), found, best)
        rate = settings["learning_rate"] * warmup_share(state[2][self._step], settings["warmup_steps"])
        measured = {"loss": losses.mean(), "accuracy": hits.mean(), "val_loss": val_loss, "val_accuracy": val_accuracy}
        return state, best, measured | {"learning_rate": rate}

    def step(self, state: Any, inputs: Any, labels: Any, settings: Any, noise: Any) -> tuple[Any, tuple[Any, Any]]:
        """Take one step on a batch; the state, and the batch's loss and accuracy."""
        shape, (trainable, others, adam) = self.shape, state
        number = adam[self._step]
        if shape.augmentation:
            drawn = jax.random.uniform(jax.random.fold_in(noise, number), (len(labels), 3))
            moves = labels == shape.moving
            inputs = augment(inputs, moves, drawn, number >= settings["late"], shape.augmentation, shape.deltajd)
        known = complete(inputs, shape.variant)
        one_hot = jax.nn.one_hot(labels, len(shape.counts))

        def lose(trainable: Any) -> tuple[Any, Any]:
            with _dropping(self.model, settings["dropout_rate"]):
                probabilities, new = self.model.stateless_call(trainable, others, known, training=True)
            losses = entropy_loss(settings["entropy_beta"])(one_hot, probabilities)
            return losses.mean(), (new, (probabilities.argmax(-1) == labels).mean())

        (loss, (others, hits)), gradients = jax.value_and_grad(lose, has_aux=True)(trainable)
        adam = list(adam)
        adam[self._rate] = settings["learning_rate"] * warmup_share(number, settings["warmup_steps"])
        trainable, adam = self.optimizer.stateless_apply(adam, gradients, trainable)
        return (trainable, others, adam), (loss, hits)

    def _judge(self, state: Any, inputs: Any, labels: Any) -> tuple[Any, Any]:
        n = len(labels)
        size = min(n, _JUDGED_AT_ONCE)
        rows = np.arange(-(-n // size) * size).reshape(-1, size) % n

        def predict(_: None, rows: Any) -> tuple[None, Any]:
            known = complete(take(inputs, rows), self.shape.variant)
            return None, self.model.stateless_call(state[0], state[1], known, training=False)[0]

        probabilities = lax.scan(predict, None, jnp.asarray(rows))[1].reshape(-1, len(self.shape.counts))[:n]
        of_truth = jnp.take_along_axis(probabilities, labels[:, None], axis=1)
        loss = -jnp.log(jnp.maximum(of_truth, keras.config.epsilon())).mean()
        return loss, (probabilities.argmax(-1) == labels).mean()


@contextlib.contextmanager
def _dropping(model: keras.Model, rate: Any) -> Iterator[None]:
    """Set a model's dropout to a traced rate while it is traced."""
    dropouts = [layer for layer in model._flatten_layers() if isinstance(layer, Dropout)]
    for layer in dropouts:
        layer.rate = rate
    try:
        yield
    finally:
        for layer in dropouts:
            layer.rate = _ANY_RATE


@functools.lru_cache(_KEPT_PROGRAMMES)
def prepare(shape: Shape) -> Programme:
    """Return the programme of a shape, kept for all its trainings in this process."""
    return Programme(shape)


def train_model(
    variant: str,
    hyperparameters: Hyperparameters,
    train: Any,
    validation: Any,
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
    augmentation: Augmentation | None = None,
    deltajd: tuple[float, float] = (0.0, 1.0),
    moving: int = -1,
    checkpoint: "Checkpoint | None" = None,
) -> Training:
    """Train one classifier from fresh weights, as `twostamp.models.training.train_model` does.

    Parameters
    ----------
    variant, hyperparameters
    train, validation : twostamp.data.arrays.Arrays
        Labelled objects: the training set, in batches balanced by class, and the set that evaluates every epoch.
    n_classes, steps_per_epoch, epochs, warmup_fraction, seed, dropout_layers, siamese, width, batch_normalisation, \
entropy_beta
        As in that function. On a GPU two trainings with one seed agree except for rounding.
    mixed_precision : bool
        Compute in bfloat16. Weights and Adam stay in single precision, and so does the returned model.
    augmentation : Augmentation, optional
        Augmentation, redrawn at each step.
    deltajd : (float, float)
        Mean and standard deviation of ln deltajd, for the augmentation.
    moving : int
        Of `twostamp.models.augmentation.augment_batches`.
    checkpoint : Checkpoint, optional
        File of the state, stored at intervals; an existing state is resumed.

    Returns
    -------
    Training

    Raises
    ------
    EngineError
        Keras runs on another engine in this process, a class has no training object, or the card has no room.
    """
    require_engine("jax")
    _keep_compilations()
    counts = tuple(np.bincount(train.labels, minlength=n_classes).tolist())
    if 0 in counts:
        raise EngineError(f"class {counts.index(0)} has no training object")
    shape = Shape(
        variant,
        hyperparameters.kernel_size,
        hyperparameters.crop_size,
        hyperparameters.batch_size,
        counts,
        len(validation.labels),
        steps_per_epoch,
        dropout_layers,
        siamese,
        width,
        batch_normalisation,
        mixed_precision,
        augmentation,
        deltajd if augmentation else (0.0, 1.0),
        moving,
    )
    programme, data = prepare(shape), keep_on_device(train, validation, variant, mixed_precision)
    steps = steps_per_epoch * epochs
    settings = {
        "learning_rate": jnp.float32(hyperparameters.learning_rate),
        "dropout_rate": jnp.float32(hyperparameters.dropout_rate),
        "warmup_steps": jnp.int32(round(warmup_fraction * steps)),
        "entropy_beta": jnp.float32(entropy_beta),
        "late": jnp.int32(first_late_step(augmentation, steps) if augmentation else 0),
    }
    keras.utils.set_random_seed(seed)  # of the weights, whether or not the programme was built before
    model, key = shape.build(hyperparameters.dropout_rate), jax.random.key(seed)
    state, best = programme.start(model)
    programme.compile(state, best, data, settings, key, jnp.int32(0))
    history: dict[str, list[float]] = {}
    if checkpoint is not None and (found := checkpoint.load()):
        history = found[0]["history"]
        state, best = jax.tree.unflatten(jax.tree.structure((state, best)), [jnp.asarray(v) for v in found[1]])
    for epoch in range(len(history.get("loss", [])), epochs):
        start = time.perf_counter()
        state, best, measured = programme.run(state, best, data, settings, key, jnp.int32(epoch))
        row = {name: float(value) for name, value in measured.items()}
        rate = steps_per_epoch * hyperparameters.batch_size / (time.perf_counter() - start)
        for name, value in (row | {"objects_per_second": rate, "memory": _memory_mb()}).items():
            history.setdefault(name, []).append(value)
        if checkpoint is not None and checkpoint.is_due():
            checkpoint.save({"history": history}, jax.tree.leaves((state, best)))
    best_weights = _read_weights(model, *best[2:])  # the model is left with the last ones
    weights = {"last": _read_weights(model, *state[:2]), "best": best_weights}
    return Training(model, weights, int(best[1]), history)


def _read_weights(model: keras.Model, trainable: Any, others: Any) -> list[np.ndarray]:
    """Give a model the weights of a state, and return them as it orders them."""
    for variables, values in ((model.trainable_variables, trainable), (model.non_trainable_variables, others)):
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
    return model.get_weights()


def _memory_mb() -> float:
    """Return the peak memory of the device or, if it reports none, of this process, MB."""
    stats = jax.devices()[0].memory_stats() or {}
    peak = stats.get("peak_bytes_in_use") or 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20


def _keep_compilations() -> None:
    """Cache compilations for a card in the user's cache folder, unless JAX has another setting."""
    if jax.default_backend() != "cpu" and not jax.config.jax_compilation_cache_dir:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        jax.config.update("jax_compilation_cache_dir", str(cache / "twostamp" / "jax"))
