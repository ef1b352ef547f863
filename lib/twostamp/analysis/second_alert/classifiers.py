"""Classifiers compared in notebook 12, trained at one width on one split: one alert, two, one or two."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from twostamp.analysis.second_alert.cadence_stress import UNDISTURBED, Stress, perturb
from twostamp.data.arrays import Arrays
from twostamp.data.features import Scaler
from twostamp.data.tfrecords import Records
from twostamp.evaluation.predictions import Predictions
from twostamp.models.architectures import VARIANTS
from twostamp.models.results import SearchResults
from twostamp.models.search import make_jobs, make_repeats, run_groups
from twostamp.models.training import Hyperparameters
from twostamp.params import Parameters

FIRST_ALONE = "first alert alone"
"""Name of the predictions in which the second alert is hidden."""


@dataclass(frozen=True, slots=True)
class TrainedVariant:
    """A classifier and its training.

    Attributes
    ----------
    variant : str
        Key of ``models.VARIANTS``.
    gaps : bool
        Whether weather gaps are drawn in training (`twostamp.models.augmentation`).
    """

    variant: str
    gaps: bool = False


CLASSIFIERS = {
    "one alert": TrainedVariant("stamp_26"),
    "two alerts": TrainedVariant("separated"),
    "two alerts, gaps learned": TrainedVariant("separated", gaps=True),
    "one or two": TrainedVariant("one_or_two"),
    "one or two, gaps learned": TrainedVariant("one_or_two", gaps=True),
}

LEARNED = {"two alerts, gaps learned": "two alerts", "one or two, gaps learned": "one or two"}
"""Models trained with gaps, and their twins trained without."""

REVISING = "one or two, gaps learned"
"""Model that a broker would use: it predicts from the first alert, and again from both."""

STANDS_FOR = {
    "stamp_26": ("stamp_26", "stamp_23", "separated", "stacked"),
    "separated": ("separated", "stacked", "stamp_26", "stamp_23"),
    "one_or_two": ("one_or_two", "separated", "stacked", "stamp_26", "stamp_23"),
}
"""Source of a variant's hyper-parameters: the first of these variants in the search of notebook 04."""


def training_parameters(model: str, params: Parameters) -> Parameters:
    """Return the training parameters of a classifier: the run's, with or without gaps."""
    return params.model_copy(update={"cadence_augmentation": CLASSIFIERS[model].gaps})


def choose_combinations(results: SearchResults) -> dict[str, Hyperparameters]:
    """Choose hyper-parameters for the classifiers among the winners of a search.

    Parameters
    ----------
    results : SearchResults
        Results of the search.

    Returns
    -------
    dict of Hyperparameters
        Hyper-parameters by variant.
    """
    winners = results.winners()
    chosen = {variant: next(name for name in order if name in winners) for variant, order in STANDS_FOR.items()}
    return {variant: winners[name][0].hyperparameters for variant, name in chosen.items()}


def train_classifiers(
    combinations: Mapping[str, Hyperparameters], records: Records, folder: Path, params: Parameters
) -> dict[str, SearchResults]:
    """Train every classifier several times, like trials of the search, with networks of the run's ``width``.

    Parameters
    ----------
    combinations : mapping of str to Hyperparameters
        Hyper-parameters by variant, from `choose_combinations`.
    records : Records
        Records of pairs.
    folder : Path
        Receives one folder per classifier; finished trainings are not repeated.
    params : Parameters
        revision_repetitions, hide_second, cadence_share, cadence_gap, and all that notebook 04 uses.

    Returns
    -------
    dict of SearchResults
        By classifier, the repetitions that all classifiers finished, in order. The n-th repetition of a model with gaps
        shares initial weights and order of batches with the n-th of its twin.

    Raises
    ------
    RuntimeError
        No repetition was finished by all classifiers; the message gives a reason.
    """
    groups = {}
    for name, classifier in CLASSIFIERS.items():
        output, own = folder / name.replace(", ", "_").replace(" ", "_") / "trials", training_parameters(name, params)
        combination = combinations[classifier.variant]
        trials = make_repeats(classifier.variant, combination, params.revision_repetitions, params.seed)
        groups[name] = make_jobs(trials, records, output, own)
    return _keep_finished(dict(zip(groups, run_groups(list(groups.values()), params), strict=True)))


def _keep_finished(results: Mapping[str, SearchResults]) -> dict[str, SearchResults]:
    """Keep the repetitions that every model finished."""
    done = {name: {trial.repetition: trial for trial in trials.done} for name, trials in results.items()}
    common = sorted(set.intersection(*map(set, done.values())))
    if not common:
        failed = next(trial for trials in results.values() for trial in trials if not trial.is_done)
        raise RuntimeError(f"no repetition was finished by all models; one failed: {failed.reason}")
    return {name: SearchResults(trials[i] for i in common) for name, trials in done.items()}


def predict_views(
    trained: Mapping[str, SearchResults], records: Records, stresses: Sequence[Stress]
) -> dict[str, Predictions]:
    """Predict the test set with every repetition: unchanged, without second alerts, and under stress.

    Parameters
    ----------
    trained : mapping of str to SearchResults
        Finished repetitions by model.
    records : Records
    stresses : sequence of Stress

    Returns
    -------
    dict of Predictions
        Predictions by `UNDISTURBED`, `FIRST_ALONE` and names of stresses; each has the models that it applies to.
    """
    seen: dict[str, dict[str, np.ndarray]] = {}
    labels = np.empty(0, np.int64)
    for name, trials in tqdm(trained.items(), desc="models", disable=len(trained) < 2):
        classifiers = [trial.load(records) for trial in trials]
        arrays = classifiers[0].load_split(records, "test")
        labels = np.asarray(arrays.labels)
        views = _list_views(VARIANTS[classifiers[0].variant].architecture, arrays, classifiers[0].scaler, stresses)
        each: dict[str, list[np.ndarray]] = {view: [] for view in views}
        for classifier in classifiers:
            for view, objects in views.items():
                each[view].append(classifier.predict_arrays(objects))
        for view, parts in each.items():
            seen.setdefault(view, {})[name] = np.stack(parts).astype(np.float64)
    classes = records.info.classes
    return {view: Predictions(labels, classes, probabilities) for view, probabilities in seen.items()}


def _list_views(architecture: str, arrays: Arrays, scaler: Scaler, stresses: Sequence[Stress]) -> dict[str, Arrays]:
    """List the test objects unchanged, under stress and without second alerts, as far as an architecture accepts
    them."""
    if architecture == "stamp":
        return {UNDISTURBED: arrays, FIRST_ALONE: arrays}
    views = {UNDISTURBED: arrays} | {stress.name: perturb(arrays, scaler, stress) for stress in stresses}
    return views | ({FIRST_ALONE: arrays.first_alone()} if architecture == "one_or_two" else {})
