"""The one-stamp and two-stamp classifiers of chapter 4, in Keras.

Every architecture is built by one small function from the same parts: :class:`DeepHiTS` and dense layers. DeepHiTS maps
a stamp to 64 numbers, equal for its four 90-degree rotations. Decisions A1-A8 and M7 are constants here.
"""

from dataclasses import dataclass
from typing import Any

import keras
from keras import layers

from twostamp.data.feature_lists import FEATURE_LISTS
from twostamp.models.layers import DeepHiTS, Dropout, scale


@dataclass(frozen=True, slots=True)
class Variant:
    """Inputs and architecture of a classifier.

    Attributes
    ----------
    architecture : str
        ``"stamp"`` (first alert), ``"stacked"`` or ``"separated"`` (both alerts), ``"one_or_two"`` (one or both).
    features : str or None
        Name of the metadata list in ``FEATURE_LISTS``; None for no metadata.
    deltajd : bool
        Whether the standardised ln(deltajd) is an input (decision M7).
    """

    architecture: str
    features: str | None
    deltajd: bool

    @property
    def features_read(self) -> str:
        """Return the list for reading records: without metadata the thesis's, which the network then ignores."""
        return self.features or "thesis26"


VARIANTS: dict[str, Variant] = {
    "stamp_23": Variant("stamp", "alerce23", False),
    "stamp_26": Variant("stamp", "thesis26", False),
    "stamp_alerce": Variant("stamp", "alerce23", False),
    "stamp_alerce26": Variant("stamp", "alerce26", False),
    "stacked": Variant("stacked", "thesis26", True),
    "separated": Variant("separated", "thesis26", True),
    "stacked_stamps": Variant("stacked", None, False),
    "stacked_stamps_deltajd": Variant("stacked", None, True),
    "one_or_two": Variant("one_or_two", "thesis26", True),
}
"""Classifiers by name. M0 has the printed metadata, those of M1 and M2 (M10), ALeRCE's recipe (T10) or that of ALeRCE's
checkpoint. Others are M1, M2, the ablations of section 6.8, and M2 with an optional second branch (notebook 12)."""

SECOND_SEEN = "second_seen"
"""Input of the variant ``one_or_two``, shape (n, 1): 1 with a second alert, 0 without."""


def name_variant(architecture: str, features: str) -> str:
    """Name the classifier of an architecture with a list of features for each alert.

    Examples
    --------
    >>> name_variant("stamp", "thesis26"), name_variant("stacked", "thesis26"), name_variant("stacked", "drift_safe")
    ('stamp_26', 'stacked', 'stacked_drift_safe')
    """
    wanted = Variant(architecture, features, deltajd=architecture != "stamp")
    return next(name for name, spec in VARIANTS.items() if spec == wanted)


@dataclass(frozen=True, slots=True)
class _Design:
    """Settings shared by the builders of the architectures.

    Attributes
    ----------
    kernel_size : int
        Side of the last four convolutions, in pixels (decision A3).
    dropout_rate : float
        Share of neurons switched off.
    dropout_layers : int
        1: after the first dense layer of a branch, as in the thesis. 3: around both dense layers, as in ALeRCE (A5).
    siamese : bool
        Whether the two branches of the separated classifier share their weights (A6).
    width : float
        Filters and neurons as a share of the thesis's; less than 1 for quick trainings.
    batch_normalisation : bool
        Whether the metadata, standardised already, are batch-normalised too (M6).
    """

    kernel_size: int
    dropout_rate: float
    dropout_layers: int = 1
    siamese: bool = False
    width: float = 1.0
    batch_normalisation: bool = True

    def normalise(self, metadata: Any, suffix: str = "") -> Any:
        """Batch-normalise the metadata, or return them unchanged."""
        layer = layers.BatchNormalization(name=f"batch_normalisation{suffix}") if self.batch_normalisation else None
        return layer(metadata) if layer else metadata

    def dense(self, neurons: int, name: str) -> layers.Layer:
        """Make a dense layer with ReLU of the thesis's neurons times the width."""
        return layers.Dense(scale(neurons, self.width), activation="relu", name=name)

    def dropout(self, place: int, hidden: Any, suffix: str) -> Any:
        """Apply dropout at a place of a branch: 0 before its dense layers, 1 between them, 2 after them."""
        if self.dropout_layers == 1 and place != 1:
            return hidden
        name = f"dropout{suffix}" if place == 1 else f"dropout_{('before', '', 'after')[place]}{suffix}"
        return Dropout(self.dropout_rate, name=name)(hidden)


def _branch(stamps: Any, metadata: list[Any], design: _Design, suffix: str = "") -> Any:
    vector = DeepHiTS(design.kernel_size, design.width, name=f"deephits{suffix}")(stamps)
    joined = layers.Concatenate(name=f"concatenation{suffix}")([vector, *metadata]) if metadata else vector
    joined = design.dropout(0, joined, suffix)
    hidden = design.dense(64, f"fully_connected_1{suffix}")(joined)
    hidden = design.dropout(1, hidden, suffix)
    hidden = design.dense(64, f"fully_connected_2{suffix}")(hidden)
    return design.dropout(2, hidden, suffix)


def _make_stamp(inputs: dict[str, Any], design: _Design) -> Any:
    """Return the last hidden vector of the one-stamp classifier, M0 (Table 4.2)."""
    metadata = [design.normalise(inputs["metadata_1"])] if "metadata_1" in inputs else []
    return _branch(inputs["stamps_1"], metadata, design)


def _make_stacked(inputs: dict[str, Any], design: _Design) -> Any:
    """Return the last hidden vector of the stacked two-stamp classifier, M1 (section 4.1.1, Table 4.3).

    Both triplets become one image of six channels; ln(deltajd) joins the metadata after their batch normalisation.
    """
    stamps = layers.Concatenate(name="stamps")([inputs["stamps_1"], inputs["stamps_2"]])
    metadata = []
    if "metadata_1" in inputs:
        both = layers.Concatenate(name="metadata")([inputs["metadata_1"], inputs["metadata_2"]])
        metadata.append(design.normalise(both))
    if "deltajd" in inputs:
        metadata.append(inputs["deltajd"])
    return _branch(stamps, metadata, design)


def _make_separated(inputs: dict[str, Any], design: _Design) -> Any:
    """Return the last hidden vector of the separated two-stamp classifier, M2 (section 4.1.2, Table 4.4).

    The two one-stamp branches share no weights unless the design is siamese. Their outputs and ln(deltajd) pass through
    two more dense layers (A6).
    """
    return _join([*_two_branches(inputs, design), inputs["deltajd"]], design)


def _make_one_or_two(inputs: dict[str, Any], design: _Design) -> Any:
    """Return the last hidden vector of a separated classifier whose second alert may be missing (not in the thesis).

    The output of the second branch, and ln(deltajd), are zero where `SECOND_SEEN` is 0. It is also an input of the
    layers that join the branches. The second alert's inputs then have no effect, and may be any finite values.
    """
    first, second = _two_branches(inputs, design)
    seen = inputs[SECOND_SEEN]
    second = layers.Multiply(name="second_branch_if_seen")([second, seen])
    deltajd = layers.Multiply(name="deltajd_if_seen")([inputs["deltajd"], seen])
    return _join([first, second, deltajd, seen], design)


def _two_branches(inputs: dict[str, Any], design: _Design) -> list[Any]:
    alerts = [(inputs[f"stamps_{i}"], inputs[f"metadata_{i}"]) for i in (1, 2)]
    if design.siamese:
        copies = [keras.Input(tensor.shape[1:]) for tensor in alerts[0]]
        branch = keras.Model(copies, _branch(copies[0], [design.normalise(copies[1])], design), name="branch")
        return [branch(list(alert)) for alert in alerts]
    return [
        _branch(stamps, [design.normalise(metadata, f"_{i}")], design, f"_{i}")
        for i, (stamps, metadata) in enumerate(alerts, start=1)
    ]


def _join(vectors: list[Any], design: _Design) -> Any:
    joined = layers.Concatenate(name="concatenation")(vectors)
    hidden = design.dense(128, "fully_connected_1")(joined)
    return design.dense(64, "fully_connected_2")(hidden)


_ARCHITECTURES = {
    "stamp": _make_stamp,
    "stacked": _make_stacked,
    "separated": _make_separated,
    "one_or_two": _make_one_or_two,
}


def input_shapes(variant: str, crop_size: int) -> dict[str, tuple[int, ...]]:
    """Return the inputs that a variant takes and the shape of one object in each.

    Examples
    --------
    >>> input_shapes("stacked_stamps_deltajd", 21)
    {'stamps_1': (21, 21, 3), 'stamps_2': (21, 21, 3), 'deltajd': (1,)}
    """
    if variant not in VARIANTS:
        raise ValueError(f"no classifier is called {variant!r}; there are {', '.join(VARIANTS)}")
    spec = VARIANTS[variant]
    shapes: dict[str, tuple[int, ...]] = {}
    for alert in (1,) if spec.architecture == "stamp" else (1, 2):
        shapes[f"stamps_{alert}"] = (crop_size, crop_size, 3)
        if spec.features:
            shapes[f"metadata_{alert}"] = (len(FEATURE_LISTS[spec.features]),)
    shapes |= {"deltajd": (1,)} if spec.deltajd else {}
    return {**shapes, SECOND_SEEN: (1,)} if spec.architecture == "one_or_two" else shapes


def build_model(
    variant: str,
    *,
    n_classes: int,
    crop_size: int,
    kernel_size: int,
    dropout_rate: float,
    dropout_layers: int = 1,
    siamese: bool = False,
    width: float = 1.0,
    batch_normalisation: bool = True,
) -> keras.Model:
    """Build a classifier with fresh weights (sections 4.1 and 4.1.1-4.1.2).

    Parameters
    ----------
    variant : str
        A key of ``VARIANTS``.
    n_classes : int
    crop_size : int
        Side of the stamps, in pixels.
    kernel_size, dropout_rate, dropout_layers, siamese, width, batch_normalisation
        As in `_Design`.

    Returns
    -------
    keras.Model
        Network from a dict with the inputs of :func:`input_shapes` to probabilities, shape (n, n_classes), float32.

    Raises
    ------
    ValueError
        If no variant has that name.

    Examples
    --------
    >>> model = build_model("stacked", n_classes=5, crop_size=21, kernel_size=3, dropout_rate=0.3)
    >>> model.count_params()
    264469
    """
    inputs = {name: keras.Input(shape, name=name) for name, shape in input_shapes(variant, crop_size).items()}
    design = _Design(kernel_size, dropout_rate, dropout_layers, siamese, width, batch_normalisation)
    hidden = _ARCHITECTURES[VARIANTS[variant].architecture](inputs, design)
    outputs = layers.Dense(n_classes, activation="softmax", dtype="float32", name="output_softmax")(hidden)
    return keras.Model(inputs, outputs, name=variant)


OTHER_LISTS: dict[str, Variant] = {
    f"{architecture}_{features}": Variant(architecture, features, deltajd=architecture != "stamp")
    for architecture in ("stamp", "stacked", "separated", "one_or_two")
    for features in FEATURE_LISTS
    if Variant(architecture, features, architecture != "stamp") not in VARIANTS.values()
}
"""The four architectures with every other list of features, for example ``stacked_drift_safe``."""

VARIANTS |= OTHER_LISTS
