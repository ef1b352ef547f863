"""A trained classifier to share: one folder with the network, a model card and the statistics."""

import itertools
import json
import logging
import os
import re
import warnings
import zipfile
from collections.abc import Iterable, Mapping, Sized
from dataclasses import asdict, dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from twostamp.data.arrays import Arrays, Preparation, UnscaledArrays
from twostamp.data.decode import Objects, prepare_objects
from twostamp.data.features import FEATURE_LISTS, Scaler, packet_fields
from twostamp.data.survey_age import AGES, SurveyAges
from twostamp.data.tfrecords import Records
from twostamp.models.adapter import AdaptedScaler, Adapter, AdapterError
from twostamp.models.answers import Batch, Predictions, collect, count_missing, map_ahead
from twostamp.models.architectures import SECOND_SEEN, VARIANTS, input_shapes
from twostamp.models.classify import Answers, classify_archive
from twostamp.models.inference import bfloat16, model_inputs, predict
from twostamp.utils.files import replacing
from twostamp.utils.typing import Floats32, Inputs, Ints

_log = logging.getLogger(__name__)
_FORMAT = 1
NETWORK, CARD, SCALER, ONNX = "model.keras", "card.json", "scaler.json", "model.onnx"
_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)
PRETRAINED = Path(__file__).with_name("pretrained_model")
"""Folder of the shipped classifier; ``make pretrained`` trains it again."""


class ModelError(ValueError):
    """A folder without a model that this version can use; the message is one sentence."""


@dataclass(frozen=True)
class Classifier:
    """A trained network, and all that prepares its inputs.

    Attributes
    ----------
    network : keras.Model
        Network from a dict of inputs to probabilities, shape (n, n_classes).
    variant : str
        A key of ``models.VARIANTS``.
    classes : tuple of str
        In the order of the probabilities.
    crop_size : int
        Side of the stamps, pixels.
    scaler : Scaler
        Of the training set's metadata.
    preparation : Preparation
        Of the stamps.
    card : mapping
        Further facts about the model: its training and its scores.
    first_alone : bool
        Whether it predicts from the first alert alone; see `at_first_alert`.
    ages : SurveyAges or None
        Survey-age features of its training set, which `adapt` maps those of a night onto.
    """

    network: keras.Model
    variant: str
    classes: tuple[str, ...]
    crop_size: int
    scaler: Scaler
    preparation: Preparation
    card: Mapping[str, Any] = field(default_factory=dict)
    first_alone: bool = False
    ages: SurveyAges | None = None

    @property
    def n_alerts(self) -> int:
        """Return the number of packets per object, 1 or 2."""
        return 1 if self.first_alone or VARIANTS[self.variant].architecture == "stamp" else 2

    @property
    def features(self) -> str:
        """Return the name of its list of metadata in `FEATURE_LISTS`."""
        return VARIANTS[self.variant].features_read

    def at_first_alert(self) -> "Classifier":
        """Return this classifier for first alerts alone, with tuples of one packet.

        Raises
        ------
        ModelError
            The network needs a second alert, as all but the variant ``one_or_two`` do.
        """
        if SECOND_SEEN not in input_shapes(self.variant, self.crop_size):
            raise ModelError(f"a model {self.variant!r} has no prediction before the second alert")
        return replace(self, first_alone=True)

    def adapt(self, alerts: UnscaledArrays, training: SurveyAges | None = None, night: str = "") -> "Classifier":
        """The same classifier for a night on which the survey is older, see `twostamp.models.adapter`.

        Parameters
        ----------
        alerts : UnscaledArrays
            Of `prepare`: objects of that night, without labels.
        training : SurveyAges, optional
            Of alerts with labels from the time that it was trained on; by default those kept beside it.
        night : str
            UTC dates of the alerts.

        Raises
        ------
        AdapterError
            The objects are too few, or it is not known what the classifier was trained on.
        """
        if (known := training or self.ages) is None:
            raise AdapterError(f"the model {self.variant!r} does not know the ages of its training set: give them")
        return Adapter.fit(self, alerts, known, night).wrap(self)

    def predict(
        self,
        objects: Objects,
        batch_size: int = 128,
        mixed_precision: bool = False,
        on_error: str = "raise",
        progress: bool = True,
    ) -> Predictions:
        """Classify objects from their alert packets; batches are prepared while another is predicted.

        Parameters
        ----------
        objects : iterable of n tuples
            `n_alerts` Avro packets of one object, the earlier first: bytes, or decoded dicts. Only the metadata that
            the model uses are required.
        batch_size : int
            Objects in one call of the network.
        mixed_precision : bool
            See `twostamp.models.inference.bfloat16`.
        on_error : {"raise", "nan"}
            Whether unusable packets raise an error, or give NaN for their object alone.
        progress : bool
            Show a bar over more than one batch.

        Returns
        -------
        Predictions, shape (n, n_classes), float32
            Array; with ``on_error="nan"`` it is NaN for the objects in its ``failures``, index -> reason.

        Raises
        ------
        twostamp.alerts.packet.PacketError
            A packet is damaged or lacks a field, or a stamp cannot be read; the message names the object.
        ValueError
            An argument is invalid.
        """
        if isinstance(objects, bytes | str | Mapping) or not isinstance(objects, Iterable):
            raise ValueError(f"objects are an iterable of tuples of packets, not of type {type(objects).__name__}")
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}: it is 1 or more")
        total = -(-len(objects) // batch_size) if isinstance(objects, Sized) else None
        hidden = not progress or (total is not None and total < 2) or bool(os.environ.get("TQDM_DISABLE"))
        prepared = map_ahead(self._prepare, objects, batch_size)
        batches = tqdm(prepared, total=total, unit="batch", desc="predict", disable=hidden)
        with bfloat16(mixed_precision):
            return collect(batches, self.network.predict_on_batch, len(self.classes), on_error)

    def predict_folder(self, archive: Path | str) -> Answers:
        """Classify the objects of a folder or tarball; see `twostamp.models.classify.classify_archive`."""
        return classify_archive(self, archive)

    def predict_table(self, table: pd.DataFrame) -> Floats32:
        """Classify the rows of a table of alerts with stamps, as from `twostamp.data.arrays.read_batches`."""
        return self.predict_arrays(self.make_arrays(table))

    def predict_arrays(self, arrays: Arrays) -> Floats32:
        """Classify prepared objects from `make_arrays` or `load_split`."""
        return predict(self.network, self.variant, self._select(arrays))

    def predict_unscaled(self, objects: UnscaledArrays) -> Floats32:
        """Classify objects of `prepare`."""
        return self.predict_arrays(self._scale(objects))

    def prepare(self, table: pd.DataFrame) -> UnscaledArrays:
        """Prepare the stamps of a table of alerts, and leave the metadata as they are."""
        return UnscaledArrays.from_table(table, self.crop_size, self.preparation)

    def make_arrays(self, table: pd.DataFrame) -> Arrays:
        """Prepare the rows of a table of alerts."""
        return self._scale(self.prepare(table))

    def _scale(self, objects: UnscaledArrays) -> Arrays:
        return self._select(objects.scale(self.scaler, self.features))

    def _select(self, arrays: Arrays) -> Arrays:
        return arrays.first_alone() if self.first_alone else arrays

    def make_inputs(self, table: pd.DataFrame) -> Inputs:
        """Prepare the rows of a table of alerts as inputs of the network."""
        return model_inputs(self.variant, self.make_arrays(table))

    def load_split(self, records: Records, split: str) -> Arrays:
        """Read a split of the records that it was trained on, prepared as its inputs."""
        return self._select(records.arrays(split, self.features, self.crop_size))

    def _prepare(self, objects: list[Any], first: int) -> Batch:
        fields = packet_fields(self.features)

        def prepare(table: pd.DataFrame) -> tuple[Inputs, Ints]:
            return self.make_inputs(table), count_missing(table, fields, self.n_alerts)

        prepared, numbers, failures = prepare_objects(objects, self.n_alerts, prepare, first, fields)
        inputs, missing = prepared or (None, np.zeros(0, np.int64))
        return Batch(len(objects), inputs, [number - first for number in numbers], missing, failures)

    def make_card(self) -> dict[str, Any]:
        """Make the model card as plain JSON: inputs, outputs, and the content of ``card``."""
        spec = VARIANTS[self.variant]
        own = {
            "format": _FORMAT,
            "variant": self.variant,
            "architecture": spec.architecture,
            "trained on": "",
            "n_alerts": 1 if spec.architecture == "stamp" else 2,
            "inputs": {name: list(shape) for name, shape in input_shapes(self.variant, self.crop_size).items()},
            "classes": list(self.classes),
            "feature_list": spec.features,
            "features": list(FEATURE_LISTS[spec.features]) if spec.features else [],
            "crop_size": self.crop_size,
            "width": 1.0,
            "stamps": asdict(self.preparation),
            "scaler": {"file": SCALER, "recipe": self.scaler.recipe},
        }
        return own | dict(self.card)

    def save(self, folder: Path | str) -> None:
        """Write network, card and statistics as one folder, whole or not at all; replace an existing one.

        The same model and card always give the same bytes: Keras's dates are left out.

        Raises
        ------
        ModelError
            It is adapted, or at the first alert alone, which a folder does not hold.
        """
        if self.first_alone or isinstance(self.scaler, AdaptedScaler):
            raise ModelError(
                "a folder holds a model that is neither adapted nor at_first_alert(): save that one, "
                "give the adapter to load, and call at_first_alert() on what it returns"
            )
        with replacing(Path(folder)) as part:
            part.mkdir()
            _save_network(self.network, part / NETWORK)
            self.scaler.save(part / SCALER)
            if self.ages:
                self.ages.save(part / AGES)
            (part / CARD).write_text(json.dumps(self.make_card(), indent=1, ensure_ascii=False) + "\n")

    @classmethod
    def load(cls, folder: Path | str = PRETRAINED, adapter: Path | str = "") -> "Classifier":
        """Load a folder of `save`, ready to classify alert packets.

        Parameters
        ----------
        folder : Path or str
            Folder with ``model.keras``, ``card.json`` and ``scaler.json``; by default the shipped classifier.
        adapter : Path or str
            File of `Adapter.save`, such as ``adapter.json`` in the folder; none by default.

        Raises
        ------
        ModelError
            The folder holds no model, or one of another format or with features that this version does not compute.
        AdapterError
            The file holds no adapter, or that of another training set.
        """
        folder = Path(folder)
        card = _read_card(folder)
        try:
            network = keras.saving.load_model(folder / NETWORK, compile=False)
            scaler = Scaler.load(folder / SCALER)
        except (OSError, ValueError, KeyError) as error:
            raise ModelError(f"{folder} holds no usable model: {error}") from error
        preparation = Preparation(**card["stamps"])
        ages, classes = SurveyAges.load(folder / AGES), tuple(card["classes"])
        loaded = cls(network, card["variant"], classes, card["crop_size"], scaler, preparation, card, ages=ages)
        return Adapter.load(adapter).wrap(loaded) if adapter else loaded


load_classifier = Classifier.load


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
            target.writestr(zipfile.ZipInfo(name, _ZIP_EPOCH), content)
    dated.unlink()


def _number_shared_objects(config: str) -> str:
    numbers: dict[str, str] = {}
    counter = itertools.count(1)

    def renumber(match: re.Match[str]) -> str:
        return match[1] + numbers.setdefault(match[2], str(next(counter)))

    return re.sub(r'("shared_object_id": )(\d+)', renumber, config)


def _read_card(folder: Path) -> dict[str, Any]:
    try:
        card = json.loads((folder / CARD).read_text())
    except FileNotFoundError:
        raise ModelError(f"{folder} holds no model: there is no {CARD}") from None
    except ValueError:
        raise ModelError(f"{folder / CARD} is not JSON: get the model again") from None
    if (found := card.get("format")) != _FORMAT:
        raise ModelError(f"{folder} has a model of format {found}, and this version of twostamp reads {_FORMAT}")
    if card["variant"] not in VARIANTS:
        raise ModelError(f"{folder} has a model {card['variant']!r} unknown to this version of twostamp")
    if card["feature_list"] and tuple(card["features"]) != FEATURE_LISTS[card["feature_list"]]:
        raise ModelError(f"{folder}: {card['feature_list']} had other features when this model was trained")
    return card


def export_onnx(folder: Path | str) -> Path:
    """Write a saved model as ``model.onnx`` next to its card, for a broker without TensorFlow.

    Its inputs are those on the card, prepared. The export needs the optional packages ``twostamp[onnx]``.

    Parameters
    ----------
    folder : Path or str
        Of `Classifier.save`.

    Returns
    -------
    Path
        The file.
    """
    if find_spec("tf2onnx") is None:
        raise ModelError("ONNX export needs two more packages: pip install 'twostamp[onnx]'")
    path = Path(folder) / ONNX
    classifier = Classifier.load(folder)
    shapes = input_shapes(classifier.variant, classifier.crop_size)
    # Keras exports only models that have been called once
    classifier.network({name: np.zeros((1, *shape), np.float32) for name, shape in shapes.items()})
    with replacing(path) as part, warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # Keras uses a NumPy name whose meaning will change
        classifier.network.export(part, format="onnx", verbose=False)
    return path
