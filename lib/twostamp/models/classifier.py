"""A trained classifier as something to hand on: one folder with the network, a model card and the statistics."""

import itertools
import json
import re
import warnings
import zipfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from twostamp.data.arrays import Preparation, arrays_from_table
from twostamp.data.decode import Objects, prepare_objects
from twostamp.data.features import FEATURE_LISTS, Floats, Scaler
from twostamp.data.tfrecords import Records
from twostamp.models.architectures import SECOND_SEEN, VARIANTS, input_shapes
from twostamp.models.inference import bfloat16, model_inputs
from twostamp.models.search import best_hyperparameters, rank_combinations, select_trials
from twostamp.models.trial import SPLITS, load_trial
from twostamp.params import Parameters
from twostamp.utils.files import replacing

FORMAT = 1
NETWORK, CARD, SCALER, ONNX = "model.keras", "card.json", "scaler.json", "model.onnx"
STANDS_ON = ("01_data_extraction", "03_dataset_preparation")
VERSIONS = ("twostamp", "tensorflow", "keras", "numpy")
ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)


class ModelError(ValueError):
    """A folder that holds no model that this version can use, in one sentence."""


@dataclass(frozen=True)
class Classifier:
    """A trained network and what its inputs are made with.

    Attributes
    ----------
    network : keras.Model
        Gives probabilities, shape (n, n_classes).
    classes : tuple of str
        In the order of the probabilities.
    n_alerts : {1, 2}
        Packets of an object.
    prepare : callable
        From the table of `twostamp.data.decode.decode_objects` to the inputs of the network.
    card : mapping
        What is known about the model.
    """

    network: keras.Model
    classes: tuple[str, ...]
    n_alerts: int
    prepare: Callable[[pd.DataFrame], Any]
    card: Mapping[str, Any]

    def at_first_alert(self) -> "Classifier":
        """The same classifier as it answers before the second alert, from tuples of one packet.

        Raises
        ------
        ModelError
            The network does not do without a second alert; only the variant ``one_or_two`` does.
        """
        if SECOND_SEEN not in self.card.get("inputs", {}):
            raise ModelError(f"a model {self.card.get('variant')!r} has no answer before the second alert")
        return replace(self, n_alerts=1)

    def predict(self, objects: Objects, batch_size: int = 128, mixed_precision: bool = False) -> Floats:
        """Classify objects from their alert packets, some batches being prepared while another is predicted.

        Parameters
        ----------
        objects : sequence of n tuples
            `n_alerts` Avro packets of one object, the earlier first: bytes, or the dicts that they decode to.
        batch_size : int
            Objects in one call of the network.
        mixed_precision : bool
            See `twostamp.models.inference.bfloat16`.

        Returns
        -------
        ndarray, shape (n, n_classes), float32

        Raises
        ------
        twostamp.alerts.packet.PacketError
            A packet is damaged or lacks a field, a stamp cannot be read; the message names the object.
        """
        parts = [np.empty((0, len(self.classes)), np.float32)]
        starts = range(0, len(objects), batch_size)

        def prepare(start: int) -> Any:
            return prepare_objects(objects[start : start + batch_size], self.n_alerts, self.prepare, start)

        # Decompressing and sorting leave the interpreter free, so that two threads keep two processors busy.
        with ThreadPoolExecutor(2) as threads, bfloat16(mixed_precision):
            prepared = threads.map(prepare, starts)
            for inputs in tqdm(prepared, total=len(starts), unit="batch", desc="predict", disable=len(starts) < 2):
                parts.append(self.network.predict_on_batch(inputs))
        return np.concatenate(parts)


def package_winners(
    results: pd.DataFrame, records: Records, models: Path, params: Parameters, mark: str = ""
) -> dict[str, Path]:
    """Save the best repetition of the best combination of each variant, both by validation, as `save_model` does.

    Parameters
    ----------
    results : DataFrame
        Of `twostamp.models.search.read_results`.
    records, params, mark
        As for `save_model`.
    models : Path
        Gets one folder a variant.

    Returns
    -------
    dict of Path
        Folder by variant; none without a finished trial.
    """
    folders: dict[str, Path] = {}
    if not (results["status"] == "done").any():
        return folders
    for variant, combinations in rank_combinations(results).groupby("variant", sort=False):
        trials = select_trials(results, combinations.iloc[0])
        best = trials.iloc[int(trials["validation_accuracy"].to_numpy().argmax())]
        folders[str(variant)] = models / str(variant)
        save_model(load_trial(best), best, records, models / str(variant), params, mark)
    return folders


def save_model(
    model: keras.Model, trial: pd.Series, records: Records, folder: Path, params: Parameters, mark: str = ""
) -> None:
    """Write a trained model, its card and its statistics as one folder, whole or not at all.

    The same model and card always give the same bytes: what Keras stores of the clock is left out.

    Parameters
    ----------
    model : keras.Model
        Of `twostamp.models.trial.load_trial`.
    trial : Series
        The row of `twostamp.models.search.read_results` that it comes from.
    records : Records
        That it was trained on.
    folder : Path
        Replaced. Its card says of which run it is, from the ``manifest.json`` above it where there is one.
    params : Parameters
        That it was trained with.
    mark : str
        What figures and tables of the run say about its data.
    """
    card = make_card(trial, records, params, mark) | {"run": _describe_run(folder, params)}
    with replacing(folder) as part:
        part.mkdir()
        _save_network(model, part / NETWORK)
        records.scaler.save(part / SCALER)
        (part / CARD).write_text(json.dumps(card, indent=1, ensure_ascii=False) + "\n")


def make_card(trial: pd.Series, records: Records, params: Parameters, mark: str = "") -> dict[str, Any]:
    """Say of a trained model what a user has to know; arguments as for `save_model`.

    Returns
    -------
    dict
        Plain JSON: what it takes, what it gives, how it was trained and how well it did (matrices: rows true, columns
        predicted, counts).
    """
    info, variant = records.info, str(trial["variant"])
    spec, crop = VARIANTS[variant], int(trial["crop_size"])
    return {
        "format": FORMAT,
        "variant": variant,
        "architecture": spec.architecture,
        "trained on": mark or "real alerts",
        "n_alerts": 1 if spec.architecture == "stamp" else 2,
        "inputs": {name: list(shape) for name, shape in input_shapes(variant, crop).items()},
        "classes": list(info.classes),
        "feature_list": spec.features,
        "features": list(FEATURE_LISTS[spec.features]) if spec.features else [],
        "crop_size": crop,
        "width": float(trial.get("width", 1.0)),
        "stamps": asdict(info.preparation),
        "scaler": {"file": SCALER, "recipe": records.recipe},
        "hyperparameters": asdict(best_hyperparameters(trial)),
        "training": {
            "trial": trial["trial_id"],
            "seed": int(trial["seed"]),
            "weights": params.report_weights,
            "objects": info.counts,
            "data": info.fingerprint,
        },
        "metrics": {
            split: {"accuracy": float(trial[f"{split}_accuracy"]), "confusion": trial[f"{split}_confusion"]}
            for split in SPLITS
        },
    }


def _describe_run(folder: Path, params: Parameters) -> dict[str, Any]:
    above = (parent / "manifest.json" for parent in folder.parents[1:3])
    manifest: dict[str, Any] = next((json.loads(path.read_text()) for path in above if path.exists()), {})
    return {
        "parameters": params.model_dump(),
        "fingerprints": {name: manifest[name]["fingerprint"] for name in STANDS_ON if name in manifest},
        "versions": {name: version(name) for name in VERSIONS},
    }


def _save_network(model: keras.Model, path: Path) -> None:
    """Save in Keras's format, without dates and with shared objects numbered by order instead of by address."""
    dated = path.with_name(f".{path.name}")
    model.save(dated)
    with zipfile.ZipFile(dated) as source, zipfile.ZipFile(path, "w") as target:
        for name in sorted(source.namelist()):
            content = source.read(name)
            if name == "metadata.json":
                content = json.dumps({"keras_version": json.loads(content)["keras_version"]}).encode()
            elif name == "config.json":
                content = _number_shared_objects(content.decode()).encode()
            target.writestr(zipfile.ZipInfo(name, ZIP_EPOCH), content)
    dated.unlink()


def _number_shared_objects(config: str) -> str:
    numbers: dict[str, str] = {}
    counter = itertools.count(1)

    def renumber(match: re.Match[str]) -> str:
        return match[1] + numbers.setdefault(match[2], str(next(counter)))

    return re.sub(r'("shared_object_id": )(\d+)', renumber, config)


def load_model(folder: Path | str) -> Classifier:
    """Load a model that `save_model` wrote, ready to classify alert packets.

    Parameters
    ----------
    folder : Path or str
        With ``model.keras``, ``card.json`` and ``scaler.json``.

    Returns
    -------
    Classifier

    Raises
    ------
    ModelError
        There is no model in the folder, or it is of another format or of other features than this version computes.
    """
    folder = Path(folder)
    card = _read_card(folder)
    try:
        network = keras.saving.load_model(folder / NETWORK, compile=False)
        scaler = Scaler.load(folder / SCALER)
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"{folder} holds no usable model: {error}") from error
    preparation, variant = Preparation(**card["stamps"]), card["variant"]
    features = card["feature_list"] or "thesis26"

    def prepare(table: pd.DataFrame) -> dict[str, Floats]:
        arrays = arrays_from_table(table, scaler, features=features, crop=card["crop_size"], preparation=preparation)
        return model_inputs(variant, arrays)

    return Classifier(network, tuple(card["classes"]), card["n_alerts"], prepare, card)


def _read_card(folder: Path) -> dict[str, Any]:
    try:
        card = json.loads((folder / CARD).read_text())
    except FileNotFoundError:
        raise ModelError(f"{folder} holds no model: there is no {CARD}") from None
    except ValueError:
        raise ModelError(f"{folder / CARD} is not JSON: get the model anew") from None
    if (found := card.get("format")) != FORMAT:
        raise ModelError(f"{folder} has a model of format {found}, and this version of twostamp reads {FORMAT}")
    if card["variant"] not in VARIANTS:
        raise ModelError(f"{folder} has a model {card['variant']!r} that this version of twostamp does not know")
    if card["feature_list"] and tuple(card["features"]) != FEATURE_LISTS[card["feature_list"]]:
        raise ModelError(f"{folder}: {card['feature_list']} had other features when this model was trained")
    return card


def export_onnx(folder: Path | str) -> Path:
    """Write a saved model as ``model.onnx`` beside its card, for a broker without TensorFlow.

    It takes the inputs that the card lists, prepared; the optional packages ``twostamp[onnx]`` write it.

    Parameters
    ----------
    folder : Path or str
        Of `save_model`.

    Returns
    -------
    Path
        The file.
    """
    if find_spec("tf2onnx") is None:
        raise ModelError("ONNX export needs two more packages: pip install 'twostamp[onnx]'")
    path = Path(folder) / ONNX
    classifier = load_model(folder)
    # Keras exports what has been called once
    classifier.network({name: np.zeros((1, *shape), np.float32) for name, shape in classifier.card["inputs"].items()})
    with replacing(path) as part, warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # Keras asks NumPy for a name that will mean something else
        classifier.network.export(part, format="onnx", verbose=False)
    return path
