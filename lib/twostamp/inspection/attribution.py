"""Pixels that a trained classifier uses: integrated gradients, and occlusion as an independent check (notebook 14).

The explained quantity is the log odds of one class, ln p / (1 - p). It is computed before the softmax, so it does not
saturate where p is 1 to seven digits. The baseline is the class-balanced mean of the training set, for stamps and
metadata: "nothing particular".

Sources: Sundararajan, Taly and Yan (2017, ICML) for integrated gradients, Zeiler and Fergus (2014, ECCV) for occlusion.
Adebayo et al. (2018, NeurIPS) check that an attribution depends on the training.
"""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray
from tqdm.auto import tqdm

from twostamp.data.arrays import Arrays
from twostamp.data.tfrecords import Records
from twostamp.models.classifier import Classifier
from twostamp.models.inference import model_inputs
from twostamp.models.layers import N_ROTATIONS
from twostamp.utils.typing import Floats, Ints

Inputs = dict[str, NDArray[Any]]
_CHUNK = 64  # objects per call
_BASELINE_OBJECTS = 1000
_WINDOWS = 7  # patches along the side of a stamp: 3 pixels of 21


def stamp_names(inputs: Iterable[str]) -> list[str]:
    """List the inputs that are stamps, alert by alert."""
    return sorted(name for name in inputs if name.startswith("stamps"))


def _chunks(inputs: Inputs, targets: ArrayLike) -> Iterator[tuple[dict[str, Any], Any]]:
    """Yield inputs and targets as tensors, for a part of the objects at a time."""
    labels = np.asarray(targets, np.int32)
    for start in range(0, len(labels), _CHUNK):
        part = slice(start, start + _CHUNK)
        yield {name: tf.constant(values[part]) for name, values in inputs.items()}, tf.constant(labels[part])


class LogOdds:
    """Log odds of a class as a function of a classifier's inputs, and its gradient.

    Parameters
    ----------
    model : keras.Model
        Network from `twostamp.models.architectures.build_model`.
    """

    def __init__(self, model: keras.Model) -> None:
        self.model, output = model, model.layers[-1]
        hidden = keras.Model(model.input, output.input)

        def compute(inputs: dict[str, Any], targets: Any) -> Any:
            logits = hidden(inputs, training=False) @ output.kernel + output.bias
            chosen = tf.one_hot(targets, output.units)
            others = tf.reduce_logsumexp(logits - 1e9 * chosen, axis=1)
            return tf.reduce_sum(logits * chosen, axis=1) - others

        def differentiate(inputs: dict[str, Any], targets: Any) -> Any:
            with tf.GradientTape() as tape:
                tape.watch(inputs)
                values = compute(inputs, targets)
            return tape.gradient(values, inputs)

        self._compute = tf.function(compute, reduce_retracing=True)
        self._differentiate = tf.function(differentiate, reduce_retracing=True)

    def __call__(self, inputs: Inputs, targets: ArrayLike) -> Floats:
        """Compute the log odds of the target class of each object, shape (n,), nats.

        Parameters
        ----------
        inputs : dict of ndarray, first axis n
            Inputs by name, as from `twostamp.models.inference.model_inputs`.
        targets : array_like of int, shape (n,)
        """
        parts = [self._compute(*part).numpy() for part in _chunks(inputs, targets)]
        return np.concatenate(parts).astype(np.float64)

    def gradients(self, inputs: Inputs, targets: ArrayLike) -> Inputs:
        """Compute the gradient of each object's log odds by its own inputs, in their shapes."""
        parts = [self._differentiate(*part) for part in _chunks(inputs, targets)]
        return {name: np.concatenate([part[name].numpy() for part in parts]) for name in inputs}


def randomise(model: keras.Model, seed: int) -> keras.Model:
    """Copy the network with freshly initialised weights (Adebayo et al. 2018)."""
    keras.utils.set_random_seed(seed)
    return keras.models.clone_model(model)


def mean_inputs(records: Records, names: Iterable[str], *, seed: int, **options: Any) -> Inputs:
    """Compute the baseline: the class-balanced mean of training objects.

    Parameters
    ----------
    records : Records
    names : iterable of str
        Names of the inputs.
    seed : int
    **options
        Features and crop, for `twostamp.data.tfrecords.Records.batches`.

    Returns
    -------
    dict of ndarray, without the axis of the objects
    """
    size = 100
    batches = records.batches(size, seed=seed, **options).take(_BASELINE_OBJECTS // size)
    means = [{name: inputs[name].mean(axis=0) for name in names} for inputs, _ in batches.as_numpy_iterator()]
    return {name: np.stack([each[name] for each in means]).mean(axis=0) for name in names}


class ExplainedObjects(NamedTuple):
    """Objects, and the class of each for which log odds are explained.

    Attributes
    ----------
    log_odds : LogOdds
    inputs : dict of ndarray, first axis n
    baseline : dict of ndarray
        Inputs that the objects are compared with, from `mean_inputs`.
    targets : ndarray of int, shape (n,)
    """

    log_odds: LogOdds
    inputs: Inputs
    baseline: Inputs
    targets: Ints

    def with_random_weights(self, seed: int) -> "ExplainedObjects":
        """Return the same objects and classes with an untrained network."""
        return self._replace(log_odds=LogOdds(randomise(self.log_odds.model, seed)))


def load_explained_objects(
    classifier: Classifier, arrays: Arrays, chosen: ArrayLike, records: Records, seed: int
) -> ExplainedObjects:
    """Load the objects whose predicted class is to be explained.

    Parameters
    ----------
    classifier : Classifier
    arrays : Arrays
        Objects prepared for the classifier.
    chosen : array_like of int
        Indices of the objects.
    records : Records
        Records that the classifier was trained on.
    seed : int
        Seed of the batches whose mean is the baseline.
    """
    model = classifier.network
    inputs = {name: values[np.asarray(chosen)] for name, values in model_inputs(classifier.variant, arrays).items()}
    options: dict[str, Any] = {"features": classifier.features, "crop": classifier.crop_size}
    baseline = mean_inputs(records, inputs, seed=seed, **options)
    targets = np.concatenate([model.predict_on_batch(part).argmax(axis=1) for part, _ in _chunks(inputs, chosen)])
    return ExplainedObjects(LogOdds(model), inputs, baseline, targets)


def measure_distance(objects: ExplainedObjects) -> Inputs:
    """Measure the distance of the inputs from the baseline: the analogue of an attribution without a network."""
    return {name: np.abs(values - objects.baseline[name]) for name, values in objects.inputs.items()}


def rotate_stamps(inputs: Inputs, turns: int) -> Inputs:
    """Rotate the stamps of both alerts by multiples of 90 degrees; other inputs stay."""
    return {
        name: np.ascontiguousarray(np.rot90(values, turns, axes=(1, 2))) if name.startswith("stamps") else values
        for name, values in inputs.items()
    }


def integrate_gradients(objects: ExplainedObjects, steps: int) -> Inputs:
    """Compute integrated gradients, averaged over the four rotations of the stamps.

    An object is rotated and explained, and its attributions rotated back; the baseline is not rotated. The attributions
    of a rotated object are therefore the rotated attributions, for any baseline. For each object they sum to its log
    odds minus those of the baseline, up to the error of the integral.

    Parameters
    ----------
    objects : ExplainedObjects
    steps : int
        Nodes of the Gauss-Legendre rule on the straight path from baseline to object.

    Returns
    -------
    dict of ndarray
        Attributions in the shapes of the inputs, nats.
    """
    total = {name: np.zeros(values.shape, np.float64) for name, values in objects.inputs.items()}
    with tqdm(total=N_ROTATIONS * steps, desc="integrated gradients") as progress:
        for turns in range(N_ROTATIONS):
            turned = _integrate_straight(objects._replace(inputs=rotate_stamps(objects.inputs, turns)), steps, progress)
            back = rotate_stamps(turned, -turns)
            total = {name: total[name] + back[name] / N_ROTATIONS for name in total}
    return total


def _integrate_straight(objects: ExplainedObjects, steps: int, progress: Any) -> Inputs:
    """Compute integrated gradients of objects without rotation."""
    log_odds, inputs, baseline, targets = objects
    nodes, weights = np.polynomial.legendre.leggauss(steps)
    way = {name: values - baseline[name] for name, values in inputs.items()}
    mean = {name: np.zeros(values.shape, np.float64) for name, values in inputs.items()}
    for node, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
        at = {name: (baseline[name] + node * step).astype(np.float32) for name, step in way.items()}
        for name, values in log_odds.gradients(at, targets).items():
            mean[name] += weight * values
        progress.update()
    return {name: mean[name] * way[name] for name in way}


def completeness_gap(objects: ExplainedObjects, attributions: Inputs) -> tuple[Floats, Floats]:
    """Measure how far attributions are from completeness: their sum against the difference in log odds.

    Returns
    -------
    expected : ndarray, shape (n,)
        Log odds of each object minus those of the baseline.
    gap : ndarray, shape (n,)
        Sum of its attributions minus `expected`.
    """
    log_odds, inputs, baseline, targets = objects
    n = len(targets)
    at = {name: np.repeat(values[None], n, axis=0) for name, values in baseline.items()}
    expected = log_odds(inputs, targets) - log_odds(at, targets)
    sums = sum(values.reshape(n, -1).sum(axis=1) for values in attributions.values())
    return expected, sums - expected


def summarise_completeness(objects: ExplainedObjects, attributions: Inputs) -> str:
    """Summarise how far attributions are from completeness; see `completeness_gap`."""
    expected, gap = completeness_gap(objects, attributions)
    return (
        f"log odds above the baseline's: median {np.median(expected):.2f} nats; the attributions miss it by "
        f"{np.median(np.abs(gap)):.4f} in the median and {np.abs(gap).max():.4f} at most"
    )


def patch_starts(crop: int) -> tuple[int, list[int]]:
    """Compute the side of an occluding patch, and the starts of patches along a stamp.

    Examples
    --------
    >>> patch_starts(21), patch_starts(63)[0]
    ((3, [0, 3, 6, 9, 12, 15, 18]), 9)
    """
    side = max(1, crop // _WINDOWS)
    return side, list(range(0, crop - side + 1, side))


def occlude(objects: ExplainedObjects) -> Floats:
    """Measure the log odds lost when a patch of one image is replaced by the baseline's.

    Returns
    -------
    ndarray, shape (n, alerts, 3, g, g)
        Losses for g patches along a side; nats, positive if the patch supports the class.
    """
    log_odds, inputs, baseline, targets = objects
    names = stamp_names(inputs)
    side, starts = patch_starts(inputs[names[0]].shape[1])
    whole = log_odds(inputs, targets)
    lost = np.empty((len(whole), len(names), 3, len(starts), len(starts)))
    with tqdm(total=lost[0].size, desc="occlusion") as progress:
        for place in np.ndindex(lost.shape[1:]):
            alert, channel, row, column = place
            cut = np.s_[starts[row] : starts[row] + side, starts[column] : starts[column] + side, channel]
            stamps = inputs[names[alert]].copy()
            stamps[:, *cut] = baseline[names[alert]][cut]
            lost[:, *place] = whole - log_odds(inputs | {names[alert]: stamps}, targets)
            progress.update()
    return lost


def pool_patches(attributions: Inputs) -> Floats:
    """Sum attributions over the patches of `occlude`, shape (n, alerts, 3, g, g)."""
    names = stamp_names(attributions)
    side, starts = patch_starts(attributions[names[0]].shape[1])
    covered = side * len(starts)
    stamps = np.stack([attributions[name] for name in names], axis=1)[:, :, :covered, :covered]
    n, alerts = stamps.shape[:2]
    blocks = stamps.reshape(n, alerts, len(starts), side, len(starts), side, 3).sum(axis=(3, 5))
    return np.asarray(np.moveaxis(blocks, -1, 2))


def pool_strength(attributions: Inputs) -> Floats:
    """Sum absolute attributions over the patches of `occlude`."""
    return pool_patches({name: np.abs(values) for name, values in attributions.items()})
