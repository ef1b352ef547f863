"""ALeRCE's published stamp classifier (Carrasco-Davis et al. 2021), from its TensorFlow 1 checkpoint, in Keras.

Its network is our one-stamp classifier with 26 features (decision A1-A4, `FEATURE_LISTS["alerce26"]`); this module
holds the differences in its preparation (isdiffpos, recipe, normalisation).
"""

import json
import pickle
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from twostamp.data.arrays import Preparation
from twostamp.data.features import ALL_FEATURES, FEATURE_LISTS, Scaler
from twostamp.models.architectures import build_model
from twostamp.models.classifier import Classifier
from twostamp.taxonomy import CLASSES

VARIANT, FEATURES, CROP = "stamp_alerce26", "alerce26", 21
_PREPARATION = Preparation(normalisation="minmax", nan_value=0.0)
_SCOPE = "network/"
VARIABLES = {
    "convolution_1": "conv_1_1/conv2d",
    "convolution_2": "conv_2_2/conv2d",
    "convolution_3": "conv_3_4/conv2d",
    "convolution_4": "conv_4_5/conv2d",
    "convolution_5": "conv_5_6/conv2d",
    "fully_connected": "dense_1_10/dense_1_10",
    "batch_normalisation": "batchnorm_features",
    "fully_connected_1": "dense_2_12/dense_2_12",
    "fully_connected_2": "dense_3_13/dense_3_13",
    "output_softmax": "output_logits",
}
"""Names in the checkpoint of each of our layers; ``kernel``, ``gamma`` and the others have one name."""


class CheckpointError(ValueError):
    """An unusable checkpoint, or unusable statistics of it; the message is one sentence."""


def load_alerce_checkpoint(prefix: Path | str, feature_stats: Path | str) -> Classifier:
    """Load ALeRCE's published checkpoint into our one-stamp classifier.

    Parameters
    ----------
    prefix : Path or str
        Common start of its file names: ``model`` for ``model.index`` and ``model.data-00000-of-00001``.
    feature_stats : Path or str
        JSON, or a pickle of plain containers and numbers: ``{"sgscore1": {"mean": ..., "std": ...}, ...}`` with the 26
        features of ``alerce26`` in that order.

    Returns
    -------
    Classifier
        Classifier of AGN, SN, VS, asteroid and bogus from one packet. Stamps are minmax-normalised at 63 x 63, with 0
        for NaN, then cropped. isdiffpos is 1 for *negative*; metadata are clipped (recipe ``alerce``).

    Raises
    ------
    CheckpointError
        A variable is missing or of another shape, or the statistics are of other features; the message names it.
    """
    scaler = _count_negatives(read_feature_stats(Path(feature_stats)))
    network = build_model(VARIANT, n_classes=len(CLASSES), crop_size=CROP, kernel_size=3, dropout_rate=0.5)
    _fill_weights(network, str(prefix))
    return Classifier(network, VARIANT, CLASSES, CROP, scaler, _PREPARATION)


def _count_negatives(scaler: Scaler) -> Scaler:
    """Compute statistics that standardise our isdiffpos (1 for positive) like ALeRCE's (1 for negative)."""
    sign, mean, std = ALL_FEATURES.index("isdiffpos"), scaler.mean.copy(), scaler.std.copy()
    mean[:, sign], std[:, sign] = 1 - mean[:, sign], -std[:, sign]
    return replace(scaler, mean=mean, std=std)


def _fill_weights(model: keras.Model, prefix: str) -> None:
    weights = dict(_variables(model))
    try:
        reader = tf.train.load_checkpoint(prefix)
        stored = {name: reader.get_tensor(name) for name in weights if reader.has_tensor(name)}
    except Exception as error:  # TensorFlow raises several kinds of errors
        raise CheckpointError(f"{prefix} is no readable TensorFlow checkpoint: {error}") from error
    for name, weight in weights.items():
        if name not in stored:
            raise CheckpointError(f"{prefix} has no variable {name}")
        shape, wanted = list(stored[name].shape), list(weight.shape)
        if shape != wanted:
            raise CheckpointError(f"{prefix}: variable {name} has the shape {shape}, not {wanted}")
        weight.assign(stored[name])


def _variables(model: keras.Model) -> Iterator[tuple[str, Any]]:
    """List the name in the checkpoint and the Keras weight of each weight that the checkpoint has."""
    layers = {layer.name: layer for layer in (*model.get_layer("deephits").stages, *model.layers)}
    for ours, theirs in VARIABLES.items():
        for weight in layers[ours].weights:
            yield f"{_SCOPE}{theirs}/{weight.name}", weight


def read_feature_stats(path: Path) -> Scaler:
    """Read the means and standard deviations of ALeRCE's training set as a `Scaler` of recipe ``alerce``.

    Raises
    ------
    CheckpointError
        The file is neither JSON nor an allowed pickle, or its features are not ``alerce26`` in that order.
    """
    stats, wanted = _read_plain(path), FEATURE_LISTS[FEATURES]
    if not isinstance(stats, Mapping) or tuple(stats) != wanted:
        differing = sorted(set(map(str, stats)) ^ set(wanted)) if isinstance(stats, Mapping) else []
        raise CheckpointError(f"{path} is not of the features {FEATURES}: {', '.join(differing) or 'in another order'}")
    mean, std = np.zeros(len(ALL_FEATURES)), np.ones(len(ALL_FEATURES))
    for name, entry in stats.items():
        place = ALL_FEATURES.index(name)
        try:
            mean[place], std[place] = float(entry["mean"]), float(entry["std"])
        except (KeyError, TypeError, ValueError):
            raise CheckpointError(f"{path}: feature {name} has no numbers mean and std") from None
        if not (np.isfinite(mean[place]) and 0 < std[place] < np.inf):
            raise CheckpointError(f"{path}: mean {mean[place]} and std {std[place]} of feature {name} cannot be used")
    return Scaler("alerce", ALL_FEATURES, np.stack([mean] * 2), np.stack([std] * 2), (0.0, 1.0))


def _read_plain(path: Path) -> Any:
    content = path.read_bytes()
    try:
        return json.loads(content)
    except ValueError:
        pass
    try:
        with path.open("rb") as file:
            return _PlainUnpickler(file, encoding="latin1").load()
    except Exception as error:  # damaged pickles fail in many ways
        raise CheckpointError(f"{path} is neither JSON nor a pickle of plain numbers: {error}") from None


def _encode(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"text in {encoding} is not allowed")
    return text.encode(encoding)


class _PlainUnpickler(pickle.Unpickler):
    """Reads containers, numbers, and NumPy arrays and scalars; anything else in a pickle could run code."""

    ADMITTED: Mapping[tuple[str, str], Any] = {
        ("collections", "OrderedDict"): OrderedDict,
        ("_codecs", "encode"): _encode,  # bytes in old protocols
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
        # the functions' private names differ between NumPy 1 and 2, so take them from an array
        **{
            (f"numpy.{core}.{module}", name): function
            for core in ("core", "_core")
            for module, name, function in (
                ("multiarray", "_reconstruct", np.empty(1).__reduce__()[0]),
                ("multiarray", "scalar", np.float64(0).__reduce__()[0]),
                ("numeric", "_frombuffer", np.empty(1).__reduce_ex__(5)[0]),
            )
        },
    }

    def find_class(self, module: str, name: str) -> Any:
        """Return the object that a pickle names, if it is allowed."""
        try:
            return self.ADMITTED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is not allowed") from None
