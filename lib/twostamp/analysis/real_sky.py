"""Classifiers that learned from simulated alerts, applied to labelled real packets (notebook 18; not in the thesis).

Objects of one night share weather, field and label source, so that intervals draw whole nights.
"""

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import binomtest
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.model_selection import StratifiedGroupKFold
from threadpoolctl import threadpool_limits

from twostamp.data.arrays import UnscaledArrays, read_batches, read_metadata
from twostamp.data.features import ALL_FEATURES, FEATURE_LISTS, compute_features
from twostamp.data.real_packets import add_nights, is_judging_night
from twostamp.data.splits import is_public
from twostamp.data.survey_age import SurveyAges
from twostamp.evaluation.bootstrap import FEW_NIGHTS, Bootstrap, Estimate
from twostamp.evaluation.metrics import confusion_counts
from twostamp.models.adapter import AdapterError
from twostamp.models.alerce_checkpoint import load_alerce_checkpoint
from twostamp.models.classifier import PRETRAINED, Classifier, load_classifier
from twostamp.models.cross_fitting import CrossFit, StoredObjects, cross_fit
from twostamp.models.training import Hyperparameters
from twostamp.models.trial import TrainingConfig, Trial
from twostamp.params import Parameters
from twostamp.utils.typing import Bools, Floats, Ints

EPOCHS = {"all": (0, 9999), "2018-2022": (2018, 2022), "2023 on": (2023, 9999)}
"""First and last year. ALeRCE's published classifier of 2020 loses the asteroids of the last one."""

JUDGING = "judging nights"
OLD, NEW = "2018-2022", "2023 on"
SHIPPED, OWN, PUBLISHED = "shipped", "this run's M0", "ALeRCE's checkpoint"

FINE_TUNED, REAL_ALONE = "fine-tuned on", "network, other real nights"
METADATA_MODELS: dict[str, Any] = {
    "forest": lambda seed: RandomForestClassifier(300, class_weight="balanced", random_state=seed),
    "boosting": lambda seed: HistGradientBoostingClassifier(max_iter=100, class_weight="balanced", random_state=seed),
}

_SLOWER = 0.25  # learning rate of fine-tuning over that of the run
_MISSING = -999.0


def read_objects(path: Path) -> pd.DataFrame:
    """Read the metadata of real objects, with night and year, in the order of `predict_objects`."""
    return add_nights(read_metadata(path)).sort_values("objectId", ignore_index=True)


def predict_objects(classifier: Classifier, path: Path) -> Floats:
    """Classify the objects of ``first_alerts.parquet`` or ``pairs.parquet``, sorted by objectId.

    Returns
    -------
    ndarray, shape (n, classes)
    """
    ids = read_metadata(path)["objectId"].tolist()
    parts = [(batch["objectId"], classifier.predict_table(batch)) for batch in read_batches(path, 256, ids)]
    order = np.argsort(np.concatenate([names for names, _ in parts]))
    return np.concatenate([probabilities for _, probabilities in parts]).astype(float)[order]


def load_classifiers(models: Path, checkpoint: str) -> dict[str, Classifier]:
    """Load what answers at the first alert and never learned from these packets, as far as it is there.

    Parameters
    ----------
    models : Path
        Of the run.
    checkpoint : str
        The parameter ``alerce_checkpoint``. ALeRCE's classifier may have learned from some of the packets of 2018-2020.
    """
    found = {SHIPPED: load_classifier(PRETRAINED).at_first_alert()}
    if (models / "stamp_26").is_dir():
        found[OWN] = load_classifier(models / "stamp_26")
    stats = (Path(checkpoint).with_name(f"feature_stats.{ending}") for ending in ("json", "pkl"))
    if checkpoint and (beside := next((path for path in stats if path.exists()), None)):
        found[PUBLISHED] = load_alerce_checkpoint(checkpoint, beside)
    return found


def predict_adapted(classifier: Classifier, path: Path, table: pd.DataFrame, training: SurveyAges | None) -> Floats:
    """Classify objects with a classifier that is adapted to those of each epoch, without their labels.

    Parameters
    ----------
    classifier : Classifier
    path : Path
        ``first_alerts.parquet``.
    table : DataFrame
        Of `read_objects`.
    training : SurveyAges or None
        Of the classifier's training set where it does not know them. With none the packets of `OLD` stand for it, with
        their labels: ALeRCE's published classifier learned from those years.

    Returns
    -------
    ndarray, shape (n, classes)
        Of an epoch with too few packets as without an adapter.
    """
    objects = UnscaledArrays.read(path, table["objectId"].tolist(), classifier.crop_size, classifier.preparation)
    rows = {epoch: np.flatnonzero(table["year"].between(*EPOCHS[epoch])) for epoch in (OLD, NEW)}
    known = classifier.ages or training
    if known is None:
        old = rows.pop(OLD)
        labels = table["classALeRCE"].map(classifier.classes.index).to_numpy()
        known = SurveyAges.measure(objects.take(old).metadata, labels[old])
    answers = classifier.predict_unscaled(objects).astype(float)
    for epoch, chosen in rows.items():
        part = objects.take(chosen)
        with contextlib.suppress(AdapterError):
            answers[chosen] = classifier.adapt(part, known, epoch).predict_unscaled(part)
    return answers


def fit_metadata(name: str, table: pd.DataFrame, classes: tuple[str, ...], features: str, seed: int) -> Any:
    """Fit one of `METADATA_MODELS` on the metadata of first alerts: what needs no stamps."""
    labels = table["classALeRCE"].map(classes.index)
    with threadpool_limits(1):  # of so few objects threads only wait for each other
        return METADATA_MODELS[name](seed).fit(_read_features(table, features), labels)


def predict_metadata(model: Any, table: pd.DataFrame, features: str) -> Floats:
    """Classify first alerts by their metadata; shape (n, classes)."""
    return np.asarray(model.predict_proba(_read_features(table, features)))


def split_nights(table: pd.DataFrame, folds: int, seed: int) -> list[tuple[Ints, Ints]]:
    """Rows to learn from and rows held out, of each fold; the packets of one night are held out together.

    Nothing is learned from alerts of ZTF's partnership.
    """
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    parts, public = splitter.split(table, table["classALeRCE"], groups=table["night"]), is_public(table).to_numpy()
    return [(known[public[known]], held) for known, held in parts]


def cross_fit_metadata(
    name: str, table: pd.DataFrame, classes: tuple[str, ...], features: str, folds: int, seed: int
) -> Floats:
    """Classify every real object by one of `METADATA_MODELS` that learned from other nights; shape (n, classes)."""
    found = np.zeros((len(table), len(classes)))
    for known, held in split_nights(table, folds, seed):
        model = fit_metadata(name, table.iloc[known], classes, features, seed)
        found[np.ix_(held, model.classes_)] = predict_metadata(model, table.iloc[held], features)
    return found


def cross_fit_networks(
    path: Path, table: pd.DataFrame, start: Path, folder: Path, params: Parameters
) -> dict[str, Floats]:
    """Classify every real object by networks that learned from the real objects of other nights.

    Parameters
    ----------
    path : Path
        ``first_alerts.parquet``.
    table : DataFrame
        Of `read_objects`.
    start : Path
        Folder of the run's stamp classifier, which is fine-tuned.
    folder : Path
        Where the trainings leave their predictions.
    params : Parameters
        real_sizes, real_epochs, real_folds, width, seed.

    Returns
    -------
    dict of ndarray, shape (n, classes)
        By what the network learned: `FINE_TUNED` on each size and on all, and `REAL_ALONE` from fresh weights. None
        where a class has no real object.
    """
    own = Classifier.load(start)
    if set(own.classes) != set(table["classALeRCE"]):
        return {}
    fresh = Hyperparameters(**own.card["hyperparameters"])
    slow = replace(fresh, learning_rate=fresh.learning_rate * _SLOWER)
    objects = StoredObjects.write(
        path, folder / "objects.npz", table, own.crop_size, own.preparation, own.classes, own.scaler.recipe
    )
    params = params.model_copy(update={"engine": "tensorflow"})  # which can begin with given weights
    config, folds = TrainingConfig.of(params, params.real_epochs), split_nights(table, params.real_folds, params.seed)
    jobs: dict[tuple[str, int], CrossFit] = {}
    for fold, (known, _) in enumerate(folds):
        order, trial = _deal(objects.labels, known, params.seed), Trial(own.variant, slow, fold, params.seed)
        for size in (*params.real_sizes, "all"):
            chosen = order if size == "all" else order[:size]
            rows = objects.rows(chosen, chosen[:1])
            jobs[f"{FINE_TUNED} {size}", fold] = CrossFit(trial, rows, config, folder / "fits", start=start)
        trial = replace(trial, hyperparameters=fresh)
        jobs[REAL_ALONE, fold] = CrossFit(trial, objects.rows(order, order[:1]), config, folder / "fits")
    found: dict[str, Floats] = {}
    for (name, fold), answers in zip(jobs, cross_fit(list(jobs.values()), params), strict=True):
        held = folds[fold][1]
        found.setdefault(name, np.zeros(answers.shape))[held] = answers[held]
    return found


def list_steps(learned: Iterable[str]) -> dict[str, str]:
    """List what `cross_fit_networks` gave, and the network that it began with, by the number of real packets.

    Examples
    --------
    >>> list_steps(["fine-tuned on 50", "fine-tuned on all", "network, other real nights"])
    {"this run's M0": '0', 'fine-tuned on 50': '50', 'fine-tuned on all': 'all'}
    """
    tuned = [name for name in learned if name.startswith(FINE_TUNED)]
    return {OWN: "0"} | {name: name.removeprefix(FINE_TUNED).strip() for name in tuned}


def _deal(labels: Ints, rows: Ints, seed: int) -> Ints:
    """Shuffle rows so that the classes take turns as long as they last: the first few hold all of them."""
    lot = np.random.default_rng(seed).permutation(rows)
    turn = pd.Series(lot).groupby(labels[lot]).cumcount()
    return lot[np.argsort(turn, kind="stable")]


def _read_features(table: pd.DataFrame, features: str) -> Floats:
    values = compute_features(table, 1)[:, [ALL_FEATURES.index(name) for name in FEATURE_LISTS[features]]]
    return np.where(np.isfinite(values), values, _MISSING)


def tabulate_recalls(
    probabilities: Mapping[str, Floats], table: pd.DataFrame, classes: tuple[str, ...], bootstrap: Bootstrap
) -> pd.DataFrame:
    """Measure recall by class, balanced accuracy (their mean) and accuracy, by classifier and epoch.

    The last part is the nights on which no constant of the simulated survey was set.

    Parameters
    ----------
    probabilities : mapping of str to ndarray, shape (n, classes)
        By classifier.
    table : DataFrame, n rows
        classALeRCE, year, night.
    classes : tuple of str
    bootstrap : Bootstrap
        Whole nights are drawn.

    Returns
    -------
    DataFrame
        classifier, epoch, what (a class, ``balanced`` or ``accuracy``), n, nights, value, low, high (95 %; NaN with
        fewer than `FEW_NIGHTS` nights; of nights that are all right or all wrong, Clopper and Pearson's). A resample of
        nights that lacks a class of the epoch has no balanced accuracy, and is left out of its interval. Where fewer
        than half of the resamples hold every class, low and high are NaN.
    """
    rows = []
    labels = table["classALeRCE"].map(classes.index).to_numpy()
    parts = {epoch: table["year"].between(*years).to_numpy() for epoch, years in EPOCHS.items()}
    parts[JUDGING] = table["night"].map(is_judging_night).to_numpy(bool)
    for name, values in probabilities.items():
        right = values.argmax(axis=1) == labels
        for epoch, chosen in parts.items():
            if chosen.any():
                found = _score(right[chosen], labels[chosen], table["night"].to_numpy()[chosen], classes, bootstrap)
                rows += [(name, epoch, *row) for row in found]
    columns = ["classifier", "epoch", "what", "n", "nights", "value", "low", "high"]
    return pd.DataFrame(rows, columns=columns)


def _score(
    right: Bools, labels: Ints, nights: Ints, classes: tuple[str, ...], bootstrap: Bootstrap
) -> Iterator[tuple[str, int, int, float, float, float]]:
    names, place = np.unique(nights, return_inverse=True)
    weights = np.vstack([np.ones(len(names)), bootstrap.weights(np.zeros(len(names)))])[:, place]
    masks = {name: labels == i for i, name in enumerate(classes) if (labels == i).any()}
    recalls = {name: _divide(weights @ (right & mask), weights @ mask) for name, mask in masks.items()}
    balanced = np.mean(list(recalls.values()), axis=0)  # NaN in a resample that lacks a class
    everyone = np.ones(len(labels), bool)
    all_scores = recalls | {"balanced": balanced, "accuracy": _divide(weights @ right, weights @ everyone)}
    for what, drawn in all_scores.items():
        mask = masks.get(what, everyone)
        n_nights = len(np.unique(nights[mask]))
        enough = n_nights >= FEW_NIGHTS and np.isfinite(drawn[1:]).mean() >= 0.5
        low, high = np.nanquantile(drawn[1:], [0.025, 0.975]) if enough else (np.nan, np.nan)
        if low == high:
            low, high = binomtest(round(low * n_nights), n_nights).proportion_ci()
        yield what, int(mask.sum()), n_nights, float(drawn[0]), float(low), float(high)


def _divide(above: Floats, below: Floats) -> Floats:
    return np.divide(above, below, out=np.full(np.shape(above), np.nan), where=below > 0)


def count_confusions(
    probabilities: Floats, table: pd.DataFrame, classes: tuple[str, ...]
) -> dict[str, list[np.ndarray]]:
    """Count objects by true and predicted class in each epoch, as `twostamp.plots.confusion.plot_confusions` takes."""
    labels, years = table["classALeRCE"].map(classes.index).to_numpy(), table["year"].to_numpy()
    counts = {}
    for epoch, (first, last) in EPOCHS.items():
        chosen = (years >= first) & (years <= last)
        if chosen.any():
            title = f"{epoch}\n{chosen.sum()} packets, {table['night'][chosen].nunique()} nights"
            counts[title] = [confusion_counts(labels[chosen], probabilities[chosen].argmax(axis=1), len(classes))]
    return counts


def compare_answers(first: Floats, second: Floats, table: pd.DataFrame, classes: tuple[str, ...]) -> pd.DataFrame:
    """Count what the second alert changes: objects right at the first alert and at the second, by class.

    Returns
    -------
    DataFrame
        class, n, right at the first, right at the second, mended, spoiled; the last row is all of them.
    """
    labels = table["classALeRCE"].map(classes.index).to_numpy()
    before, after = first.argmax(axis=1) == labels, second.argmax(axis=1) == labels
    columns = {"right at the first": before, "right at the second": after}
    columns |= {"mended": ~before & after, "spoiled": before & ~after}
    counts = pd.DataFrame({"class": table["classALeRCE"].to_numpy(), "n": 1, **columns}).groupby("class").sum()
    return pd.concat([counts, counts.sum().to_frame("all").T.rename_axis("class")]).reset_index()


def tabulate_changes(models: Path, path: Path) -> pd.DataFrame:
    """Count what the second real packet changes: the shipped classifier, and the run's M1 and M2 beside its M0.

    Parameters
    ----------
    models : Path
        Of the run; a model that is not there has no rows.
    path : Path
        ``pairs.parquet``.

    Returns
    -------
    DataFrame
        classifier, and the columns of `compare_answers`.
    """
    shipped = load_classifier(PRETRAINED)
    table, early = read_objects(path), predict_objects(shipped.at_first_alert(), path)
    found = {SHIPPED: compare_answers(early, predict_objects(shipped, path), table, shipped.classes)}
    if (models / "stamp_26").is_dir():
        single = load_classifier(models / "stamp_26")
        early = predict_objects(single, path)
        for name in ("stacked", "separated"):
            if (models / name).is_dir():
                late = predict_objects(load_classifier(models / name), path)
                found[f"stamp_26, then {name}"] = compare_answers(early, late, table, single.classes)
    return pd.concat(found, names=["classifier"]).reset_index("classifier").reset_index(drop=True)


def summarise_recalls(recalls: pd.DataFrame) -> list[str]:
    """Say how each classifier does in each epoch, one sentence a row of balanced accuracy; "-" is no interval."""
    lines = []
    for row in recalls[recalls["what"] == "balanced"].to_dict("records"):
        score = f"{Estimate.from_row(row, 'value'):.2f}".replace("nan to nan", "-")
        size = f"n = {row['n']} real packets of {row['nights']} nights"
        lines.append(f"{row['classifier']}, {row['epoch']}: balanced accuracy {score}, {size}")
    return lines
