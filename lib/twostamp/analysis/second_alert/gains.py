"""Gain of a second alert: its sources, its dependence on the training, and its size over time for a broker.

A design changes one aspect of the training or the inputs. The one-alert and two-alert models and the metadata baselines
are trained again under it, and evaluated on the same test objects.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from twostamp.data.arrays import Preparation, UnscaledArrays, read_metadata
from twostamp.data.splits import filter_pairs, make_splits
from twostamp.evaluation.bootstrap import Bootstrap, balance
from twostamp.evaluation.predictions import Predictions
from twostamp.evaluation.verdicts import COLUMNS, judge, make_claim, tabulate_claims
from twostamp.inspection.baselines import predict_baseline
from twostamp.models.cross_fitting import (
    DELTAJD,
    METADATA,
    SECOND_METADATA,
    SECOND_STAMPS,
    STAMPS,
    CrossFit,
    StoredObjects,
    cross_fit,
    hide,
)
from twostamp.models.search import draw_seeds
from twostamp.models.training import Hyperparameters
from twostamp.models.trial import TrainingConfig, Trial
from twostamp.params import Parameters
from twostamp.utils.typing import Bools, Floats, Ints

NETWORK, FOREST, BOOSTING = "network", "random forest", "gradient boosting"
VARIANTS = {"one": "stamp_26", "two": "stacked"}
WHOLE = "as this run"
DAYS = (1 / 24, 0.5, 1.0, 3.0, 10.0, 30.0, 100.0)
"""Days since the first alert at which the accuracy is measured."""


@dataclass(frozen=True)
class Design:
    """One way of training, in addition to the run's own.

    Attributes
    ----------
    name : str
    hidden : tuple of str
        Inputs hidden from the two-alert model, for `twostamp.models.cross_fitting.hide`. Those that do not belong to
        the second alert are hidden from both models.
    per_class, epochs, width
        Settings of the training that differ from the run's.
    noise : float
        Share of the training labels that are changed to another class.
    """

    name: str
    hidden: tuple[str, ...] = ()
    per_class: int | None = None
    epochs: int | None = None
    width: float | None = None
    noise: float = 0.0

    def hidden_from(self, side: str) -> tuple[str, ...]:
        """Return the inputs hidden from a model, ``one`` or ``two``."""
        return self.hidden if side == "two" else tuple(name for name in self.hidden if name in (STAMPS, METADATA))


PLACEBOS = (
    Design("second alert a copy of the first", (SECOND_STAMPS, SECOND_METADATA, DELTAJD)),
    Design("second stamps alone", (SECOND_METADATA, DELTAJD)),
    Design("second metadata alone", (SECOND_STAMPS, DELTAJD)),
    Design("deltajd alone", (SECOND_STAMPS, SECOND_METADATA)),
    Design("second alert without deltajd", (DELTAJD,)),
)
PARTS = (Design("stamps alone", (METADATA, DELTAJD)), Design("metadata alone", (STAMPS,)))


def list_designs(params: Parameters) -> list[Design]:
    """List the designs of notebook 12: the run's own, placebos, parts, and other sizes, epochs, widths and labels.

    Empty if ``gain_repetitions`` is 0.
    """
    if not params.gain_repetitions:
        return []
    return [
        Design(WHOLE),
        *PLACEBOS,
        *PARTS,
        *(Design(f"{size} objects a class", per_class=size) for size in params.gain_sizes),
        *(Design(f"{epochs} epochs", epochs=epochs) for epochs in params.gain_epochs),
        *(Design(f"width {width:g}", width=width) for width in params.gain_widths),
        *(Design(f"{share:.0%} wrong labels", noise=share) for share in params.gain_noise),
    ]


def train_designs(
    source: Path, designs: Sequence[Design], best: Hyperparameters, folder: Path, params: Parameters
) -> dict[tuple[str, str], Predictions]:
    """Train both models under every design, ``gain_repetitions`` times each, and predict the run's test objects.

    Parameters
    ----------
    source : Path
        ``pairs.parquet``.
    designs : sequence of Design
    best : Hyperparameters
    folder : Path
        Stores the stamps and each training's probabilities, so that nothing is repeated.
    params : Parameters

    Returns
    -------
    dict of Predictions
        Predictions of the models ``one`` and ``two`` by (learner, name of design). `NETWORK` has every design; `FOREST`
        and `BOOSTING`, on metadata, have those that change their inputs.
    """
    if not designs:
        return {}
    table, classes = make_splits(read_metadata(source), params)
    stored = StoredObjects.write(
        source, folder / "objects.npz", table, best.crop_size, Preparation.of(params), classes, params.metadata_recipe
    )
    split = {name: np.flatnonzero(table["split"] == name) for name in ("train", "validation", "test")}
    seeds = draw_seeds(params.seed, 12, params.gain_repetitions)
    jobs: dict[tuple[str, str], list[CrossFit]] = {}
    for design in designs:
        rows, labels = _choose_rows(design, stored.labels, split["train"], params.seed)
        own = params if design.width is None else params.model_copy(update={"width": design.width})
        config = TrainingConfig.of(own, design.epochs)
        for side, variant in VARIANTS.items():
            data = stored.rows(rows, split["validation"], design.hidden_from(side), labels)
            jobs[design.name, side] = [
                CrossFit(Trial(variant, best, 0, seed), data, config, folder / "fits") for seed in seeds
            ]
    answers = iter(cross_fit([job for group in jobs.values() for job in group], params))
    found = {key: np.stack([next(answers)[split["test"]] for _ in group]).astype(float) for key, group in jobs.items()}
    truth = stored.labels[split["test"]]
    results = {
        (NETWORK, each.name): Predictions(truth, classes, {side: found[each.name, side] for side in VARIANTS})
        for each in designs
    }
    return results | _fit_baselines(stored, designs, split, classes, seeds, params)


def _choose_rows(design: Design, labels: Ints, train: Ints, seed: int) -> tuple[Ints, Ints]:
    """Choose the training rows of a design, the first of each class in a random order, and their labels."""
    rng, told = np.random.default_rng([seed, 12]), labels.copy()
    order = rng.permutation(train)
    if design.per_class is not None:
        order = np.concatenate([order[labels[order] == label][: design.per_class] for label in np.unique(labels)])
    wrong = order[rng.random(order.size) < design.noise]
    told[wrong] = (labels[wrong] + rng.integers(1, labels.max() + 1, wrong.size)) % (labels.max() + 1)
    return np.sort(order), told


def _fit_baselines(
    stored: StoredObjects,
    designs: Sequence[Design],
    split: Mapping[str, Ints],
    classes: tuple[str, ...],
    seeds: list[int],
    params: Parameters,
) -> dict[tuple[str, str], Predictions]:
    """Predict with the baselines under the designs that change their inputs or training set."""
    raw, found = UnscaledArrays.load(stored.path), {}
    for design in designs:
        of_networks = design.epochs or design.width or {STAMPS, METADATA} & set(design.hidden)
        if not of_networks and design != PLACEBOS[1]:  # second stamps alone: metadata are copies of the first
            rows, labels = _choose_rows(design, stored.labels, split["train"], params.seed)
            arrays = raw.scale(raw.fit_scaler(rows, stored.recipe), "thesis26", labels)
            seen = hide(arrays, design.hidden)
            for learner in (FOREST, BOOSTING):
                sides = {
                    side: predict_baseline(learner, each.take(rows), [each.take(split["test"])], seeds)[0]
                    for side, each in (("one", seen.first_alone()), ("two", seen))
                }
                found[learner, design.name] = Predictions(stored.labels[split["test"]], classes, sides)
    return found


def tabulate_gains(results: Mapping[tuple[str, str], Predictions], bootstrap: Bootstrap) -> pd.DataFrame:
    """Tabulate the accuracy of one and two alerts under every design, and the gain, as claims.

    Returns
    -------
    DataFrame
        learner, design, one, two, gain, low, high (95 %, over objects and trainings), n,
        trainings, verdict ("gains", "loses", "undecided").
    """
    rows = []
    for (learner, design), view in results.items():
        means = bootstrap.means(view.correct, view.labels)
        gain, r = (means["two"] - means["one"]).estimate(), len(view.correct["two"])
        row = {"learner": learner, "design": design, "one": means["one"].value, "two": means["two"].value}
        row |= gain.to_row("gain") | {"n": len(view.labels), "trainings": r}
        rows.append(row | {"verdict": judge(gain, r, ("gains", "loses"))})
    return pd.DataFrame(rows)


def compare_designs(results: Mapping[tuple[str, str], Predictions], bootstrap: Bootstrap) -> pd.DataFrame:
    """Compare the gains of the designs, paired on the test objects.

    Returns
    -------
    DataFrame
        Claims from `twostamp.evaluation.tabulate_claims`: the gain itself; each design's gain minus that of the run's
        own; and whether two alerts' stamps add to their metadata.
    """
    rows = []
    for (learner, design), view in results.items():
        own = results[learner, WHOLE]
        n, r = len(view.labels), len(view.correct["two"])
        tables = {
            f"{name} {side}": each.correct[side] for name, each in (("here", view), ("own", own)) for side in VARIANTS
        }
        means = bootstrap.means(tables, view.labels)
        gain = means["here two"] - means["here one"]
        if design == WHOLE:
            rows.append(make_claim(f"{learner}: gain of the second alert", gain.estimate(), n, r, ("gains", "loses")))
            continue
        change = gain - (means["own two"] - means["own one"])
        claim = f"{learner}: gain with {design}, minus the whole gain"
        rows.append(make_claim(claim, change.estimate(), n, r, ("larger", "smaller")))
        if design == PARTS[1].name:
            for side in VARIANTS:
                worth = (means[f"own {side}"] - means[f"here {side}"]).estimate()
                claim = f"{learner}: what stamps add to the metadata of {side}"
                rows.append(make_claim(claim, worth, n, r, ("gains", "loses")))
    return tabulate_claims(rows)


def count_seconds(first_alerts: Path, pairs: Path, classes: Sequence[str], params: Parameters) -> Floats:
    """Compute the share of each class's first alerts with a usable second one, shape (classes,)."""
    admitted, _ = filter_pairs(read_metadata(pairs), params.deltajd_max, params.ssdistnr_on, params.partnership)
    both = admitted["classALeRCE"].value_counts()
    all_first = read_metadata(first_alerts)["classALeRCE"].value_counts()
    return np.array([both.get(name, 0) / max(1, all_first.get(name, 0)) for name in classes])


def tabulate_waiting(
    one: Bools, two: Bools, days: ArrayLike, labels: Ints, seconds: Floats, bootstrap: Bootstrap
) -> pd.DataFrame:
    """Tabulate the accuracy by time since the first alert, if predictions are revised at the second.

    Parameters
    ----------
    one, two : ndarray of bool, shape (r, n)
        Whether each repetition is right with the first alert alone, and with both.
    days : array_like, shape (n,)
        Days between the two alerts.
    labels : ndarray of int, shape (n,)
    seconds : ndarray, shape (classes,)
        Shares from `count_seconds`: objects without a second alert keep their first prediction, and count. They are
        assumed to be predicted like the others of their class.

    Returns
    -------
    DataFrame
        days, answered (share of first alerts with a second, classes weighted equally), accuracy, gain, low, high (95
        %), n, trainings, verdict.
    """
    days, weights, follow = np.asarray(days, float), balance(labels), seconds[labels]
    revised = {limit: (two.astype(float) - one) * (days <= limit) * follow for limit in DAYS}
    means = bootstrap.means({0.0: one.astype(float), **revised}, labels, weights)
    rows = []
    for limit in DAYS:
        gain, start = means[limit].estimate(), means[0.0].value
        row = {"days": limit, "answered": float(((days <= limit) * follow) @ weights), "accuracy": start + gain.value}
        row |= gain.to_row("gain") | {"n": len(labels), "trainings": len(one)}
        rows.append(row | {"verdict": judge(gain, len(one), ("gains", "loses"))})
    return pd.DataFrame(rows)


def collect_claims(revised: pd.DataFrame, waiting: pd.DataFrame, *others: pd.DataFrame) -> pd.DataFrame:
    """Collect the claims of notebook 12 in one table.

    Parameters
    ----------
    revised : DataFrame
        Table from `twostamp.analysis.second_alert.revisions.tabulate_revisions`: rows of all objects and of each class
        are used.
    waiting : DataFrame
        Table from `tabulate_waiting`.
    others : DataFrame
        Other claims.
    """
    groups = revised[revised["grouping"].isin(["all", "class"])]
    first = groups.assign(claim="second alert shown to one network, gain for " + groups["group"].astype(str))
    first = first.drop(columns=["low", "high"], errors="ignore").rename(columns={"gain": "value"})
    first = first.rename(columns={"gain low": "low", "gain high": "high"})
    then = waiting.assign(claim=waiting["days"].map("gain {:.3g} days after the first of all first alerts".format))
    tables = [first, then.rename(columns={"gain": "value"}), *others]
    return pd.concat([table.reindex(columns=list(COLUMNS)) for table in tables if len(table)], ignore_index=True)
