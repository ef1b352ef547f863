"""ALeRCE's published stamp classifier (Carrasco-Davis et al. 2021), from its TensorFlow 1 checkpoint, in Keras.

Its network is our one-stamp classifier with 26 features (decision A1-A4, `FEATURE_LISTS["alerce26"]`); what its
preparation does otherwise than ours (isdiffpos, recipe, normalisation) is written down here.
"""

import json
import pickle
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

from twostamp.data.arrays import Preparation, read_triplets
from twostamp.data.features import ALL_FEATURES, FEATURE_LISTS, Floats, Scaler, compute_features
from twostamp.data.stamps import crop_stamps
from twostamp.data.tfrecord_writer import write_records
from twostamp.data.tfrecords import DatasetInfo, Records
from twostamp.models.architectures import build_model
from twostamp.models.classifier import Classifier
from twostamp.params import Parameters
from twostamp.taxonomy import CLASSES

VARIANT, FEATURES, CROP = "stamp_alerce26", "alerce26", 21
PREPARATION = Preparation(normalisation="minmax", nan_value=0.0)
SCOPE = "network/"
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
"""Where the checkpoint keeps the weights of each of our layers; ``kernel``, ``gamma`` and the others bear one name."""


class CheckpointError(ValueError):
    """A checkpoint or its statistics that cannot be used, in one sentence."""


def load_alerce_checkpoint(prefix: Path | str, feature_stats: Path | str) -> Classifier:
    """Load ALeRCE's published checkpoint into our one-stamp classifier.

    Parameters
    ----------
    prefix : Path or str
        What its files have in common: ``model`` for ``model.index`` and ``model.data-00000-of-00001``.
    feature_stats : Path or str
        JSON, or a pickle of plain containers and numbers: ``{"sgscore1": {"mean": ..., "std": ...}, ...}`` with the 26
        features of ``alerce26`` in that order.

    Returns
    -------
    Classifier
        Its ``network`` takes ``[stamps (n, 21, 21, 3), standardised metadata (n, 26)]`` and gives probabilities (n, 5)
        of AGN, SN, VS, asteroid, bogus. Its ``predict`` takes tuples of one packet: stamps are minmax-normalised at
        63 x 63, with 0 for NaN, and cropped; isdiffpos is 1 for *negative*; metadata are clipped (recipe ``alerce``).

    Raises
    ------
    CheckpointError
        A variable is missing or of another shape, or the statistics are of other features; the message names it.
    """
    scaler = read_feature_stats(Path(feature_stats))
    model = build_model(VARIANT, n_classes=len(CLASSES), crop_size=CROP, kernel_size=3, dropout_rate=0.5)
    _fill_weights(model, str(prefix))
    # the named inputs of our models become a list, in the order of the original
    inputs = [model.input[name] for name in ("stamps_1", "metadata_1")]
    network = keras.Model(inputs, model.output, name="alerce")
    card = {"variant": VARIANT, "features": list(FEATURE_LISTS[FEATURES]), "classes": list(CLASSES), "n_alerts": 1}
    return Classifier(network, CLASSES, 1, lambda table: prepare_alerce(table, scaler), card)


def prepare_alerce(table: pd.DataFrame, scaler: Scaler) -> list[Floats]:
    """Prepare first alerts as ALeRCE's checkpoint saw them.

    Parameters
    ----------
    table : DataFrame, n rows
        Of `twostamp.data.decode.decode_objects`.
    scaler : Scaler
        Of `read_feature_stats`.

    Returns
    -------
    list of ndarray, float32
        Stamps (n, 21, 21, 3) and standardised metadata (n, 26).
    """
    stamps = crop_stamps(PREPARATION.before_crop(read_triplets(table, 1)), CROP)
    raw, sign = compute_features(table, 1), ALL_FEATURES.index("isdiffpos")
    raw[:, sign] = 1 - raw[:, sign]
    return [np.ascontiguousarray(stamps), scaler.transform(raw, 1, FEATURES)]


def _fill_weights(model: keras.Model, prefix: str) -> None:
    weights = dict(_variables(model))
    try:
        reader = tf.train.load_checkpoint(prefix)
        stored = {name: reader.get_tensor(name) for name in weights if reader.has_tensor(name)}
    except Exception as error:  # TensorFlow translates its reader's errors into half a dozen kinds
        raise CheckpointError(f"{prefix} is no readable TensorFlow checkpoint: {error}") from error
    for name, weight in weights.items():
        if name not in stored:
            raise CheckpointError(f"{prefix} has no variable {name}")
        shape, wanted = list(stored[name].shape), list(weight.shape)
        if shape != wanted:
            raise CheckpointError(f"{prefix}: variable {name} has the shape {shape}, not {wanted}")
        weight.assign(stored[name])


def _variables(model: keras.Model) -> Iterator[tuple[str, Any]]:
    """Name in the checkpoint and Keras weight, of each weight that the checkpoint has."""
    layers = {layer.name: layer for layer in (*model.get_layer("deephits").stages, *model.layers)}
    for ours, theirs in VARIABLES.items():
        for weight in layers[ours].weights:
            yield f"{SCOPE}{theirs}/{weight.name}", weight


def read_feature_stats(path: Path) -> Scaler:
    """Read the means and standard deviations of ALeRCE's training set as a `Scaler` of recipe ``alerce``.

    Raises
    ------
    CheckpointError
        The file is neither JSON nor an admitted pickle, or has other features than ``alerce26`` in that order.
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
    except Exception as error:  # damaged pickles fail in a dozen ways
        raise CheckpointError(f"{path} is neither JSON nor a pickle of plain numbers: {error}") from None


def _encode(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"text in {encoding} is not admitted")
    return text.encode(encoding)


class _PlainUnpickler(pickle.Unpickler):
    """Reads containers, numbers and NumPy's arrays and scalars; whatever else a pickle asks for could run code."""

    ADMITTED: Mapping[tuple[str, str], Any] = {
        ("collections", "OrderedDict"): OrderedDict,
        ("_codecs", "encode"): _encode,  # how old protocols write bytes
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
        # the functions have private names that differ between NumPy 1 and 2, so they are asked of an array
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
        """Return what a pickle asks for by name, if it is admitted."""
        try:
            return self.ADMITTED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is not admitted") from None


RECIPE_VARIANT = "stamp_alerce"

SETTING = {"kernel_size": 5, "crop_size": 21, "batch_size": 64, "learning_rate": 1e-3, "dropout_rate": 0.5}
RECIPE = {
    "metadata_recipe": "alerce",
    "normalisation": "minmax",
    "nan_value": 0.0,
    "crop_before_normalising": False,
    "dropout_layers": 3,
    "entropy_beta": 0.5,
    "report_weights": "best",
}
"""What differs from the thesis's training; as many repetitions and epochs as the run's others."""
RECORDS, MODELS = "records_alerce", "alerce"


def alerce_parameters(params: Parameters) -> Parameters:
    """Return the run's parameters with ALeRCE's recipe in place of the run's own.

    Examples
    --------
    >>> alerce_parameters(Parameters(epochs=7)).model_dump(include={"epochs", "dropout_layers", "entropy_beta"})
    {'epochs': 7, 'dropout_layers': 3, 'entropy_beta': 0.5}
    """
    return params.model_copy(update=RECIPE)


def write_alerce_records(
    first_alerts: Path, objects: pd.DataFrame, data: Path, classes: Sequence[str], params: Parameters
) -> DatasetInfo | None:
    """Write first alerts anew with ALeRCE's normalisation, which the run's own records have left behind.

    Parameters
    ----------
    first_alerts : Path
        ``first_alerts.parquet``: the second alert is not needed.
    objects : DataFrame
        Assignment to splits, the same as of the run's records.
    data : Path
        Folder of the run's data.
    classes : sequence of str
        In the order of the labels.
    params : Parameters

    Returns
    -------
    DatasetInfo or None
        As of `twostamp.data.tfrecords.write_records`; None for a run without this baseline.
    """
    if not params.alerce_baseline:
        return None
    preparation = Preparation.of(alerce_parameters(params))
    return write_records(first_alerts, objects, data / RECORDS, classes, preparation, seed=params.seed)


def open_alerce_records(data: Path) -> Records:
    """Open what `write_alerce_records` wrote."""
    return Records(data / RECORDS, str(RECIPE["metadata_recipe"]))


def train_alerce(data: Path, models: Path, params: Parameters) -> pd.DataFrame:
    """Train the baseline by the machinery of the search, as often as the run trains a combination.

    Parameters
    ----------
    data, models : Path
        The run's folders; `write_alerce_records` has written to the first.
    params : Parameters

    Returns
    -------
    DataFrame
        As of `twostamp.models.read_results`, with the weights that are best on validation; empty for a run without this
        baseline.
    """
    if not params.alerce_baseline:
        return pd.DataFrame()
    from twostamp.models.search import train_repeats
    from twostamp.models.training import Hyperparameters

    setting, recipe = Hyperparameters(**SETTING), alerce_parameters(params)  # type: ignore[arg-type]
    return train_repeats(
        RECIPE_VARIANT, setting, params.n_repetitions, open_alerce_records(data), models / MODELS, recipe
    )


def read_alerce(models: Path, params: Parameters) -> pd.DataFrame:
    """Read what `train_alerce` returned."""
    from twostamp.models.search import read_results

    return read_results(models / MODELS, "best") if params.alerce_baseline else pd.DataFrame()


def package_alerce(
    results: pd.DataFrame, data: Path, models: Path, params: Parameters, mark: str = ""
) -> dict[str, Path]:
    """Save the best repetition, as `twostamp.models.package_winners` does; nothing without a finished one."""
    from twostamp.models.classifier import package_winners

    if results.empty:
        return {}
    return package_winners(results, open_alerce_records(data), models, alerce_parameters(params), mark)
