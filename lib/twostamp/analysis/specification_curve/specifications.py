"""Specification curve: gain of the second alert under every choice that the thesis leaves open.

Simonsohn, Simmons and Nelson (2020, Nature Human Behaviour 4, 1208) run all defensible analyses, compare their effects,
and test them jointly. The effect is the accuracy of a two-alert model minus that of a one-alert model built, prepared
and trained in the same way.
"""

import itertools
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from twostamp.data.arrays import Preparation, read_metadata
from twostamp.data.splits import make_splits
from twostamp.models.architectures import name_variant
from twostamp.models.cross_fitting import CrossFit, StoredObjects, cross_fit
from twostamp.models.search import make_repeats
from twostamp.models.training import Hyperparameters
from twostamp.models.trial import TrainingConfig
from twostamp.params import Parameters
from twostamp.utils.typing import Bools, Ints

SWITCHES: dict[str, tuple[Any, ...]] = {
    "normalisation": ("range", "literal", "minmax"),
    "metadata_recipe": ("thesis", "alerce"),
    "crop_size": (21, 41, 63),
    "crop_before_normalising": (False, True),
    "features": ("thesis26", "alerce23", "thesis24", "drift_safe", "thesis26_no_coordinates"),
    "batch_normalisation": (True, False),
    "dropout_layers": (1, 3),
    "dropout_rate": (0.3, 0.5),
    "warmup_fraction": (0.05, 0.0),
    "two_alerts": ("stacked", "separated", "siamese"),
    "entropy_beta": (0.0, 0.5),
    "epochs": (1.0, 2.0),
    "width": (1.0, 2.0),
    "objects": (1.0, 0.5),
}
"""Choices left open by decisions S2, M5, S4, S3, M1, M9, M6, A5, T2, A6, A7 and the grid, by name of the field below.
Epochs, width and training objects are shares of the run's."""

OF_HYPERPARAMETERS = ("crop_size", "dropout_rate")
OF_PREPARATION = ("normalisation", "crop_before_normalising")
SHARES = ("epochs", "width", "objects")
OF_NEITHER = ("features", "two_alerts", *OF_HYPERPARAMETERS, *SHARES)


@dataclass(frozen=True)
class Specification:
    """One specification: a level of every switch of `SWITCHES`.

    Attributes
    ----------
    crop_size : int
        Pixels.
    features : str
        List of features of each alert, for both models.
    warmup_fraction : float
        Share of all steps; 0 for no warm-up.
    two_alerts : {"stacked", "separated", "siamese"}
        Architecture of the two-alert model.
    epochs, width, objects : float
        Shares of the run's values; networks are no wider than the thesis's.
    """

    normalisation: str = "range"
    metadata_recipe: str = "thesis"
    crop_size: int = 21
    crop_before_normalising: bool = False
    features: str = "thesis26"
    batch_normalisation: bool = True
    dropout_layers: int = 1
    dropout_rate: float = 0.3
    warmup_fraction: float = 0.05
    two_alerts: str = "stacked"
    entropy_beta: float = 0.0
    epochs: float = 1.0
    width: float = 1.0
    objects: float = 1.0

    @property
    def preparation_name(self) -> str:
        """Return the name of the stored objects that it is trained on.

        Examples
        --------
        >>> Specification(normalisation="minmax", crop_before_normalising=True).preparation_name
        'minmax-crop_first-c21'
        """
        return f"{self.normalisation}{'-crop_first' * self.crop_before_normalising}-c{self.crop_size}"

    @property
    def id(self) -> str:
        """Return a readable name, one word per switch."""
        words = [self.preparation_name, self.metadata_recipe, self.features]
        words += ["bn" if self.batch_normalisation else "nobn", f"d{self.dropout_layers}x{self.dropout_rate:g}"]
        words += [f"w{self.warmup_fraction:g}", f"e{self.entropy_beta:g}", self.two_alerts]
        shares = [f"{name}{getattr(self, name):g}" for name in SHARES if getattr(self, name) != 1]
        return "-".join(words + shares)

    def parameters(self, params: Parameters) -> Parameters:
        """Return the run's parameters, replaced by the specification's where it has them."""
        levels = {name: value for name, value in asdict(self).items() if name not in OF_NEITHER}
        width, epochs = min(1.0, params.width * self.width), max(1, round(params.epochs * self.epochs))
        return params.model_copy(
            update=levels | {"siamese": self.two_alerts == "siamese", "width": width, "epochs": epochs}
        )

    @property
    def architectures(self) -> dict[str, str]:
        """Return the architectures of the one-alert and the two-alert model."""
        return {"one": "stamp", "two": "stacked" if self.two_alerts == "stacked" else "separated"}

    def hyperparameters(self, best: Hyperparameters) -> Hyperparameters:
        """Return the winner's hyper-parameters, replaced by the specification's where it has them."""
        return replace(best, **{name: getattr(self, name) for name in OF_HYPERPARAMETERS})


def default_specification(params: Parameters, best: Hyperparameters) -> Specification:
    """Return the run's own specification: the winner's hyper-parameters, and otherwise the run's parameters."""
    levels = {name: getattr(params, name) for name in SWITCHES if name not in OF_NEITHER}
    of_best = {name: getattr(best, name) for name in OF_HYPERPARAMETERS}
    return Specification(**levels, **of_best)


def list_alternatives(default: Specification) -> dict[str, tuple[Any, ...]]:
    """List the levels of every switch other than the default's."""
    return {name: tuple(x for x in levels if x != getattr(default, name)) for name, levels in SWITCHES.items()}


def tabulate_switches(default: Specification) -> pd.DataFrame:
    """Tabulate every switch, its default and its alternatives."""
    others = list_alternatives(default)
    rows = [(name, str(getattr(default, name)), ", ".join(map(str, levels))) for name, levels in others.items()]
    return pd.DataFrame(rows, columns=["switch", "this run", "alternatives"])


def draw_specifications(default: Specification, count: int, seed: int) -> list[Specification]:
    """Choose the specifications to try.

    The default comes first, then one switch at a time, every switch once before any a second time. A seeded sample of
    all combinations follows. A larger count keeps the choices of a smaller one.

    Parameters
    ----------
    default : Specification
    count : int
        Number of specifications; fewer are returned only if there are no more.
    seed : int

    Returns
    -------
    list of Specification
        Specifications, without duplicates.

    Examples
    --------
    >>> [specification.id for specification in draw_specifications(Specification(), 2, seed=1)]
    ['range-c21-thesis-thesis26-bn-d1x0.3-w0.05-e0-stacked', 'literal-c21-thesis-thesis26-bn-d1x0.3-w0.05-e0-stacked']
    """
    alternatives = list_alternatives(default)
    rounds = itertools.zip_longest(*([{name: level} for level in levels] for name, levels in alternatives.items()))
    single = [replace(default, **change) for changes in rounds for change in changes if change]
    chosen = dict.fromkeys([default, *single])
    levels = {name: (getattr(default, name), *others) for name, others in alternatives.items()}
    size = int(np.prod([len(values) for values in levels.values()]))
    for i in np.random.default_rng([seed, 15]).permutation(size) if count > len(chosen) else ():
        if len(chosen) >= count:
            break
        places = np.unravel_index(i, [len(values) for values in levels.values()])
        chosen[Specification(**{name: levels[name][place] for name, place in zip(levels, places)})] = None
    return list(chosen)[:count]


def train_specifications(
    specifications: Sequence[Specification], source: Path, best: Hyperparameters, folder: Path, params: Parameters
) -> tuple[dict[int, dict[str, Bools]], Ints]:
    """Train the two models of every specification on the run's own split.

    Every specification has its own trainings with their own seeds. The variation between specifications therefore
    includes that between trainings.

    Parameters
    ----------
    specifications : sequence of Specification
    source : Path
        ``pairs.parquet``.
    best : Hyperparameters
        Hyper-parameters of the run's winner; all specifications share its kernel, batch and learning rate.
    folder : Path
        Stores the stamps of every preparation and each training's probabilities.
    params : Parameters
        Parameters of the run: specification_repetitions, width, epochs.

    Returns
    -------
    right : dict
        Whether each training is right on the test objects, shape (repetitions, n), by index of the specification and
        side (``one``, ``two``).
    labels : ndarray, shape (n,)
        Labels of the test objects.
    """
    table, classes = make_splits(read_metadata(source), params)
    split = {name: np.flatnonzero(table["split"] == name) for name in ("train", "validation", "test")}
    stored: dict[str, StoredObjects] = {}
    jobs: dict[tuple[int, str], list[CrossFit]] = {}
    for place, each in enumerate(specifications):
        if each.preparation_name not in stored:
            preparation = Preparation(
                nan_value=params.nan_value, **{name: getattr(each, name) for name in OF_PREPARATION}
            )
            path = folder / f"{each.preparation_name}.npz"
            stored[each.preparation_name] = StoredObjects.write(
                source, path, table, each.crop_size, preparation, classes
            )
        objects = replace(stored[each.preparation_name], recipe=each.metadata_recipe)
        data = objects.rows(_keep_share(objects.labels, split["train"], each.objects, params.seed), split["validation"])
        config, combination = TrainingConfig.of(each.parameters(params)), each.hyperparameters(best)
        seed = params.seed + zlib.crc32(each.id.encode())
        for side, architecture in each.architectures.items():
            variant = name_variant(architecture, each.features)
            trials = make_repeats(variant, combination, params.specification_repetitions, seed)
            jobs[place, side] = [CrossFit(trial, data, config, folder / "fits") for trial in trials]
    answers = iter(cross_fit([job for group in jobs.values() for job in group], params))
    labels = next(iter(stored.values())).labels[split["test"]]
    right: dict[int, dict[str, Bools]] = {}
    for (place, side), group in jobs.items():
        found = np.stack([next(answers)[split["test"]].argmax(axis=1) == labels for _ in group])
        right.setdefault(place, {})[side] = found
    return right, labels


def _keep_share(labels: Ints, rows: Ints, share: float, seed: int) -> Ints:
    """Keep a share of the rows of every class."""
    order = np.random.default_rng([seed, 15]).permutation(rows)
    groups = (order[labels[order] == label] for label in np.unique(labels))
    return np.sort(np.concatenate([group[: max(1, round(share * len(group)))] for group in groups]))
