"""Augmentation redrawn at each training step: hidden second alerts, and weather gaps.

Neither is in the thesis. Its section 6.11 warns of the second: nights without alerts lengthen ``deltajd``.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from keras import ops

from twostamp.data.feature_lists import DELTAJD_FLOOR
from twostamp.models.architectures import SECOND_SEEN
from twostamp.taxonomy import MOVING

_SHORTEST_GAP = 1.0  # nights


@dataclass(frozen=True, slots=True)
class Augmentation:
    """Settings of the augmentation of each object of a batch.

    Attributes
    ----------
    hide_second : float
        Probability that the second alert is hidden (`twostamp.models.architectures.SECOND_SEEN`).
    cadence_share : float
        Probability that a weather gap is added to deltajd.
    cadence_gap : float
        Longest gap, nights. Its logarithm is uniform between one night and this.
    cadence_start : float
        Share of the steps of a training before the first gap is drawn.
    moving : str
        Class without gaps: a detection at an asteroid's position weeks later is another asteroid.
    """

    hide_second: float = 0.0
    cadence_share: float = 0.0
    cadence_gap: float = 60.0
    cadence_start: float = 0.5
    moving: str = MOVING

    def find_moving(self, classes: Sequence[str]) -> int:
        """Find the label of the class without gaps; -1 if there is none."""
        return list(classes).index(self.moving) if self.moving in classes else -1


def lengthen(deltajd: Any, nights: Any, scale: tuple[float, float]) -> Any:
    """Add nights to the days between two alerts, in standardised ln deltajd.

    Parameters
    ----------
    deltajd : tensor, shape (n, 1), float32
        Standardised ln of days, the input of models (decision M7).
    nights : tensor, shape (n, 1), float32
        Zero leaves a value unchanged, to the last bit.
    scale : (float, float)
        Mean and standard deviation of ln deltajd, ``Scaler.deltajd``.

    Returns
    -------
    tensor, shape (n, 1), float32

    Examples
    --------
    One day (ln 0) and nine nights are ten days:

    >>> float(lengthen(ops.array([[0.0]]), ops.array([[9.0]]), (0.0, math.log(10)))[0, 0])
    1.0
    """
    mean, std = scale
    days = ops.maximum(ops.exp(deltajd * std + mean), DELTAJD_FLOOR) + nights
    return ops.where(nights > 0, (ops.log(days) - mean) / std, deltajd)


def augment(
    inputs: dict[str, Any], moves: Any, drawn: Any, late: Any, augmentation: Augmentation, scale: tuple[float, float]
) -> dict[str, Any]:
    """Hide second alerts and lengthen deltajd by given random numbers.

    Parameters
    ----------
    inputs : dict of tensor
        Inputs of a batch of n objects; unchanged ones are kept.
    moves : bool tensor, shape (n,)
        Whether an object is of the class without gaps.
    drawn : tensor, shape (n, 3), float32
        Uniform between 0 and 1.
    late : bool tensor
        Whether gaps are drawn yet (``cadence_start``).
    augmentation : Augmentation
    scale : (float, float)
        As for `lengthen`.

    Returns
    -------
    dict of tensor
        Inputs with `SECOND_SEEN`, shape (n, 1), added and deltajd lengthened.
    """
    hidden, chosen, length = (drawn[:, i : i + 1] for i in range(3))
    seen = ops.cast(hidden >= augmentation.hide_second, "float32")
    share = ops.where(late, augmentation.cadence_share, 0.0)
    reach = math.log(augmentation.cadence_gap / _SHORTEST_GAP)
    gap = ops.where((chosen < share) & ~moves[:, None], _SHORTEST_GAP * ops.exp(length * reach), 0.0)
    return {**inputs, SECOND_SEEN: seen, "deltajd": lengthen(inputs["deltajd"], gap, scale)}


def first_late_step(augmentation: Augmentation, steps: int) -> int:
    """Compute the step of a training from which gaps are drawn."""
    return round(augmentation.cadence_start * steps)


def augment_batches(
    batches: Any, augmentation: Augmentation, scale: tuple[float, float], seed: int, steps: int, moving: int = -1
) -> Any:
    """Draw an augmentation for each object of each batch.

    The draws depend only on the seed, the number of the batch and the place in it, so a training is reproducible.
    Stamps, metadata and labels stay unchanged.

    Parameters
    ----------
    batches : tf.data.Dataset
        Batches of (dict of inputs, labels), as from `twostamp.data.tfrecords.Records.batches`.
    augmentation : Augmentation
    scale : (float, float)
        As for `lengthen`.
    seed : int
    steps : int
        Batches in the whole training.
    moving : int
        Label of the class without gaps; -1 for none.

    Returns
    -------
    tf.data.Dataset
        Inputs with `SECOND_SEEN`, shape (n, 1), added and deltajd lengthened.
    """
    import tensorflow as tf

    first = first_late_step(augmentation, steps)

    def draw(step: Any, batch: tuple[dict[str, Any], Any]) -> tuple[dict[str, Any], Any]:
        inputs, labels = batch
        drawn = tf.random.stateless_uniform((tf.shape(labels)[0], 3), seed=tf.stack([tf.cast(seed, tf.int64), step]))
        moves = tf.argmax(labels, axis=1) == moving
        return augment(inputs, moves, drawn, step >= first, augmentation, scale), labels

    return batches.enumerate().map(draw)
