"""Specification curve: does the second alert help whatever one decides where the thesis leaves a choice?

Simonsohn, Simmons and Nelson (2020, Nature Human Behaviour 4, 1208): all defensible analyses instead of one, their
effects side by side, and a test of them together. The effect is the accuracy of a two-alert model minus that of a
one-alert model which is built, prepared and trained in the same way.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from twostamp.data.arrays import Preparation, read_metadata
from twostamp.data.splits import make_splits
from twostamp.data.tfrecord_writer import write_records
from twostamp.data.tfrecords import Records
from twostamp.models.architectures import name_variant
from twostamp.models.results import SearchResults
from twostamp.models.search import make_jobs, make_repeats, run_groups
from twostamp.models.training import Hyperparameters
from twostamp.models.trial import Job
from twostamp.params import Parameters

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
}
"""What decisions S2, M5, S4, S3, M1 and M9, M6, A5, the grid, T2, A6 and A7 leave open; by name of the field below."""

OF_HYPERPARAMETERS = ("crop_size", "dropout_rate")
OF_RECORDS = ("normalisation", "crop_before_normalising")
OF_NEITHER = ("features", "two_alerts", *OF_HYPERPARAMETERS)


@dataclass(frozen=True)
class Specification:
    """One way of answering the question: a level of every switch of `SWITCHES`.

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

    @property
    def records_name(self) -> str:
        """Name of the folder of the records that it is trained on.

        Examples
        --------
        >>> Specification(normalisation="minmax", crop_before_normalising=True).records_name
        'minmax-crop_first'
        """
        return self.normalisation + "-crop_first" * self.crop_before_normalising

    def one_alert(self) -> "Specification":
        """The specification whose one-alert model it shares: that model knows nothing of the two-alert architecture."""
        return replace(self, two_alerts="one")

    @property
    def id(self) -> str:
        """Readable name, one word a switch."""
        words = [self.records_name, self.metadata_recipe, f"c{self.crop_size}", self.features]
        words += ["bn" if self.batch_normalisation else "nobn", f"d{self.dropout_layers}x{self.dropout_rate:g}"]
        return "-".join([*words, f"w{self.warmup_fraction:g}", f"e{self.entropy_beta:g}", self.two_alerts])

    def parameters(self, params: Parameters) -> Parameters:
        """The run's parameters with those of the specification in their place."""
        levels = {name: value for name, value in asdict(self).items() if name not in OF_NEITHER}
        return params.model_copy(update=levels | {"siamese": self.two_alerts == "siamese"})

    def hyperparameters(self, best: Hyperparameters) -> Hyperparameters:
        """The winner's hyper-parameters with those of the specification in their place."""
        return replace(best, **{name: getattr(self, name) for name in OF_HYPERPARAMETERS})


def default_specification(params: Parameters, best: Hyperparameters) -> Specification:
    """What the run does by itself: the winner's hyper-parameters, everything else as the run's parameters say."""
    levels = {name: getattr(params, name) for name in SWITCHES if name not in OF_NEITHER}
    of_best = {name: getattr(best, name) for name in OF_HYPERPARAMETERS}
    return Specification(**levels, **of_best)


def list_alternatives(default: Specification) -> dict[str, tuple[Any, ...]]:
    """Levels of every switch that the default does not have."""
    return {name: tuple(x for x in levels if x != getattr(default, name)) for name, levels in SWITCHES.items()}


def tabulate_switches(default: Specification) -> pd.DataFrame:
    """List every switch, what the default does, and the alternatives."""
    others = list_alternatives(default)
    rows = [(name, str(getattr(default, name)), ", ".join(map(str, levels))) for name, levels in others.items()]
    return pd.DataFrame(rows, columns=["switch", "this run", "alternatives"])


def draw_specifications(default: Specification, count: int, seed: int) -> list[Specification]:
    """Choose which specifications are tried.

    The default first; then one switch at a time, every switch once before any a second time; then a seeded sample of
    all combinations. A larger count keeps what a smaller one chose.

    Parameters
    ----------
    default : Specification
    count : int
        Fewer are returned only if there are no more.
    seed : int

    Returns
    -------
    list of Specification
        None twice.

    Examples
    --------
    >>> [specification.id for specification in draw_specifications(Specification(), 2, seed=1)]
    ['range-thesis-c21-thesis26-bn-d1x0.3-w0.05-e0-stacked', 'literal-thesis-c21-thesis26-bn-d1x0.3-w0.05-e0-stacked']
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


def write_preparations(
    specifications: Sequence[Specification], pairs_path: Path, own: Path, folder: Path, params: Parameters
) -> dict[str, Path]:
    """Write the records of every preparation that the specifications need, once each, all with the run's own split.

    Parameters
    ----------
    specifications : sequence of Specification
    pairs_path : Path
        ``pairs.parquet``.
    own : Path
        The run's own records, used as they are for the preparation that they have.
    folder : Path
        Gets one folder for every other preparation.
    params : Parameters
        As for notebook 03.

    Returns
    -------
    dict of Path
        By `Specification.records_name`.
    """
    objects, classes = make_splits(read_metadata(pairs_path), params)
    folder.mkdir(parents=True, exist_ok=True)
    paths = {}
    for specification in specifications:
        wanted = {name: getattr(specification, name) for name in OF_RECORDS}
        name = specification.records_name
        if all(getattr(params, switch) == level for switch, level in wanted.items()):
            paths[name] = own
        elif name not in paths:
            paths[name] = folder / name
            preparation = Preparation(nan_value=params.nan_value, **wanted)
            write_records(pairs_path, objects, paths[name], classes, preparation, seed=params.seed)
    return paths


def _list_trainings(
    specification: Specification, best: Hyperparameters, records: Path, folder: Path, params: Parameters
) -> dict[str, list[Job]]:
    """List the trainings of a specification: ``one`` and ``two`` alerts, each with its repetitions."""
    architectures = {"one": "stamp", "two": "stacked" if specification.two_alerts == "stacked" else "separated"}
    jobs, source = {}, Records(records, specification.metadata_recipe)
    for side, architecture in architectures.items():
        made_by = specification.one_alert() if side == "one" else specification
        variant, combination = name_variant(architecture, specification.features), specification.hyperparameters(best)
        trials = make_repeats(variant, combination, params.specification_repetitions, params.seed)
        output = folder / made_by.id / "trials"
        jobs[side] = make_jobs(trials, source, output, made_by.parameters(params))
    return jobs


def train_specifications(
    specifications: Sequence[Specification],
    best: Hyperparameters,
    records: Mapping[str, Path],
    folder: Path,
    params: Parameters,
) -> dict[int, dict[str, SearchResults]]:
    """Train the two models of every specification, on Spark, one task a training; what is finished is left alone.

    Parameters
    ----------
    specifications : sequence of Specification
    best : Hyperparameters
        Of the run's winner, whose kernel, batch and learning rate all specifications share.
    records : mapping of str to Path
        Of `write_preparations`.
    folder : Path
        Every specification gets a folder below it, and every one-alert model that several of them share one.
    params : Parameters
        The run's; specification_repetitions, width.

    Returns
    -------
    dict
        Repetitions of the model by the specification's place and its side (``one``, ``two``).
    """
    listed = [_list_trainings(each, best, records[each.records_name], folder, params) for each in specifications]
    results = iter(run_groups([jobs for sides in listed for jobs in sides.values()], params))
    return {place: {side: next(results) for side in sides} for place, sides in enumerate(listed)}


def stack_right(
    trained: Mapping[int, Mapping[str, SearchResults]], labels: NDArray[np.int64]
) -> dict[int, dict[str, NDArray[np.bool_]]]:
    """Say which test objects every training gets right.

    Parameters
    ----------
    trained : mapping
        Of `train_specifications`.
    labels : ndarray, shape (n,)
        True labels in the order of `twostamp.data.tfrecords.Records.arrays`.

    Returns
    -------
    dict
        By specification and side, shape (repetitions, n); a specification of which a model has no finished training is
        left out.
    """
    return {
        place: {
            side: np.array([trial.predicted("test") for trial in trials.done]) == labels
            for side, trials in sides.items()
        }
        for place, sides in trained.items()
        if all(trials.done for trials in sides.values())
    }


def list_failures(trained: Mapping[int, Mapping[str, SearchResults]]) -> set[tuple[str, str]]:
    """Trainings that failed, each with its reason."""
    return {
        (trial.trial_id, trial.reason)
        for sides in trained.values()
        for trials in sides.values()
        for trial in trials
        if not trial.is_done
    }


def read_labels(counts: Mapping[str, int]) -> NDArray[np.int64]:
    """Labels of a split in the order of `twostamp.data.tfrecords.Records.arrays`, from its objects by class.

    Examples
    --------
    >>> read_labels({"AGN": 2, "SN": 1}).tolist()
    [0, 0, 1]
    """
    return np.repeat(np.arange(len(counts)), list(counts.values()))
