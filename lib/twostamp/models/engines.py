"""Parts shared by both training engines: hyper-parameters, warm-up, loss, and the result of a training (chapter 5).

`twostamp.models.training` is TensorFlow's loop, `twostamp.models.jax_training` is JAX's. Both train the networks of
`twostamp.models.architectures`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import keras
import numpy as np

_WARMUP_START = 0.1
"""Share of the learning rate at the first step (decision T2)."""


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """Hyper-parameters varied in the search of chapter 5.

    Attributes
    ----------
    kernel_size : int
        Side of the last four convolutions, pixels (*ks* in Tables 6.1-6.3).
    crop_size : int
        Side of the stamps, pixels (*cs*).
    batch_size : int
        Objects in a batch (*bs*).
    learning_rate : float
        Adam's, after the warm-up (*lr*).
    dropout_rate : float
        Share of neurons switched off (*dr*).
    """

    kernel_size: int
    crop_size: int
    batch_size: int
    learning_rate: float
    dropout_rate: float

    @property
    def id(self) -> str:
        """Return a readable name, for example ``k3-c21-b256-lr0.001-d0.3``."""
        return (
            f"k{self.kernel_size}-c{self.crop_size}-b{self.batch_size}-lr{self.learning_rate:g}-d{self.dropout_rate:g}"
        )


@dataclass(frozen=True, slots=True)
class Training:
    """A trained model and the history of its training.

    Attributes
    ----------
    model : keras.Model
        Model with the weights of the last epoch. The next training of the same shape in this process reuses it.
    weights : dict of list of ndarray
        ``"last"`` and ``"best"`` (highest validation accuracy; the earliest of equals), as of ``model.get_weights()``.
    best_epoch : int
        Epoch of the best weights, from 0.
    history : dict of list of float
        One value per epoch: loss, accuracy, val_loss, val_accuracy, learning_rate, objects_per_second, memory (MB).
    """

    model: keras.Model
    weights: dict[str, list[np.ndarray]]
    best_epoch: int
    history: dict[str, list[float]]


@keras.saving.register_keras_serializable("twostamp")
class LinearWarmup(keras.optimizers.schedules.LearningRateSchedule):
    """Learning rate that grows linearly from a tenth of its value, then stays (chapter 5, decision T2).

    Parameters
    ----------
    learning_rate : float
        Value after the warm-up.
    warmup_steps : int
        Length of the warm-up; 0 for none.

    Examples
    --------
    >>> schedule = LinearWarmup(0.01, warmup_steps=10)
    >>> [round(float(schedule(step)), 4) for step in (0, 5, 10, 500)]
    [0.001, 0.0055, 0.01, 0.01]
    """

    def __init__(self, learning_rate: float, warmup_steps: int) -> None:
        self.learning_rate, self.warmup_steps = learning_rate, warmup_steps

    def __call__(self, step: Any) -> Any:
        """Return the learning rate of a step, the first being 0."""
        progress = keras.ops.minimum(keras.ops.cast(step, "float32") / max(self.warmup_steps, 1), 1.0)
        share = _WARMUP_START + (1 - _WARMUP_START) * progress if self.warmup_steps else 1.0
        return self.learning_rate * share

    def get_config(self) -> dict[str, Any]:
        """Return the two parameters."""
        return {"learning_rate": self.learning_rate, "warmup_steps": self.warmup_steps}


def warmup_share(step: Any, warmup_steps: Any) -> Any:
    """Share of the learning rate at a step, the first being 0; both may be traced (decision T2).

    Examples
    --------
    >>> [round(float(warmup_share(step, 10)), 2) for step in (0, 5, 10, 500)], float(warmup_share(0, 0))
    ([0.1, 0.55, 1.0, 1.0], 1.0)
    """
    grown = keras.ops.cast(step, "float32") / keras.ops.cast(keras.ops.maximum(warmup_steps, 1), "float32")
    share = _WARMUP_START + (1 - _WARMUP_START) * keras.ops.minimum(grown, 1.0)
    return keras.ops.where(keras.ops.equal(warmup_steps, 0), 1.0, share)


def entropy_loss(beta: float) -> Callable[[Any, Any], Any]:
    """Make ALeRCE's loss, cross-entropy - beta H(p), which rewards undecided predictions (decision A7).

    Parameters
    ----------
    beta : float
        Weight of the entropy H of the predicted probabilities, in nats; 0 is plain cross-entropy.

    Returns
    -------
    callable
        Function of one-hot labels and probabilities, both (n, n_classes), that returns losses (n,).

    Examples
    --------
    >>> probabilities = np.array([[0.5, 0.5]], "float32")
    >>> loss = entropy_loss(0.5)(np.array([[1.0, 0.0]], "float32"), probabilities)
    >>> round(float(loss[0]), 4) == round(float(0.5 * np.log(2)), 4)
    True
    """

    def loss(labels: Any, probabilities: Any) -> Any:
        clipped = keras.ops.clip(probabilities, keras.config.epsilon(), 1.0)
        entropy = -keras.ops.sum(clipped * keras.ops.log(clipped), axis=-1)
        return keras.losses.categorical_crossentropy(labels, probabilities) - beta * entropy

    return loss


class EngineError(RuntimeError):
    """An engine that Keras does not run on here, or that lacks what is needed; the message is one sentence."""


def require_engine(engine: str) -> None:
    """Check that Keras in this process uses an engine, which is fixed at its first import.

    Raises
    ------
    EngineError
        Keras uses another engine, or the engine is not installed.
    """
    if find_spec(engine) is None:
        raise EngineError(f"engine is {engine}, which is not installed here")
    if (backend := keras.backend.backend()) != engine:
        raise EngineError(
            f"Keras runs on {backend} in this process and engine is {engine}: set KERAS_BACKEND={engine} before Keras "
            "is first imported (the workers of Spark get it by themselves)"
        )
