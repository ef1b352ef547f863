"""Agreement of two explanations of the same objects, and the location of attributions: on the object, or beside it."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats

from twostamp.alerts.cutouts import STAMPS
from twostamp.data.feature_lists import COORDINATES
from twostamp.evaluation.bootstrap import Bootstrap, Estimate
from twostamp.inspection.attribution import stamp_names
from twostamp.utils.typing import Floats, Ints

UNSEEN = 0.01
"""Share of all attribution below which stamps count as unused."""

NULLS = ("attributions of another object", "network with random weights", "input minus baseline, no network")


def correlate_ranks(first: ArrayLike, second: ArrayLike) -> Floats:
    """Compute Spearman's correlation of every object of one table with every object of another.

    Parameters
    ----------
    first, second : array_like, shape (n, ...)

    Returns
    -------
    ndarray, shape (n, n)
        NaN for an object whose values are all equal.

    Examples
    --------
    >>> correlate_ranks([[1, 2, 3]], [[1, 4, 9]]).round(6).tolist()
    [[1.0]]
    """
    tables = [np.asarray(values, float) for values in (first, second)]
    ranks = [stats.rankdata(table.reshape(len(table), -1), axis=1) for table in tables]
    centred = [each - each.mean(axis=1, keepdims=True) for each in ranks]
    spread = [np.sqrt((each**2).sum(axis=1)) for each in centred]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(centred[0] @ centred[1].T / np.outer(*spread))


def check_agreement(
    attributions: ArrayLike, occlusion: ArrayLike, nulls: Sequence[ArrayLike], bootstrap: Bootstrap
) -> pd.DataFrame:
    """Measure the rank correlation of pooled attributions with occlusion, and compare it with three nulls.

    The first null is the attributions of another object, whose source is in the middle too. The second is those of the
    same network with random weights (Adebayo et al. 2018). The third is the distance of the input from the baseline,
    which needs no network and is the strongest.

    Parameters
    ----------
    attributions, occlusion : array_like, shape (n, ...)
        Values of n objects over the same patches. Signs are compared too; pass absolute values to compare strength
        alone.
    nulls : sequence of array_like, shape (n, ...)
        Values of the second and the third null.
    bootstrap : Bootstrap
        Bootstrap over objects.

    Returns
    -------
    DataFrame
        what, objects, correlation (mean over objects), low, high (95 %), excess (of the object's own attributions over
        the null), excess low, excess high.
    """
    pairs = correlate_ranks(attributions, occlusion)
    own = np.diag(pairs).copy()
    others = np.where(np.eye(len(own), dtype=bool), np.nan, pairs)
    found = {"own attributions": own, NULLS[0]: np.nanmean(others, axis=0)}
    found |= {
        name: np.diag(correlate_ranks(null, occlusion)).copy() for name, null in zip(NULLS[1:], nulls, strict=True)
    }
    usable = np.isfinite(np.stack(list(found.values()))).all(axis=0)
    rows = []
    for what, values in found.items():
        row = {"what": what, "objects": int(usable.sum())} | bootstrap.mean(values[usable]).to_row("correlation")
        if what in NULLS:
            row |= bootstrap.mean((own - values)[usable]).to_row("excess", "excess ")
        rows.append(row)
    return pd.DataFrame(rows)


def group_attributions(attributions: Mapping[str, ArrayLike], features: Sequence[str]) -> dict[str, Floats]:
    """Sum the attributions of each object by kind of input; return absolute values.

    A sum of absolute values would favour inputs with many numbers, whose noise adds up: 2646 pixels against 53
    metadata.

    Parameters
    ----------
    attributions : mapping
        Attributions from `twostamp.inspection.attribution.integrate_gradients`.
    features : sequence of str
        Names of the metadata of one alert.

    Returns
    -------
    dict of ndarray, shape (n,)
        Sums by kind: the three stamps of either alert, coordinates, other metadata, deltajd.
    """
    signed = {name: np.asarray(values, float) for name, values in attributions.items()}
    groups: dict[str, Floats] = {
        f"{kind}, alert {name[-1]}": signed[name][..., channel].sum(axis=(1, 2))
        for name in stamp_names(signed)
        for channel, kind in enumerate(STAMPS)
    }
    where = np.isin(features, COORDINATES)
    for kind, columns in (("coordinates", where), ("other metadata", ~where)):
        metadata = [values[:, columns].sum(axis=1) for name, values in signed.items() if name.startswith("metadata")]
        if metadata:
            groups[kind] = np.sum(metadata, axis=0)
    groups |= {"deltajd": signed["deltajd"].sum(axis=1)} if "deltajd" in signed else {}
    return {name: np.abs(values) for name, values in groups.items()}


def tabulate_attribution_shares(
    attributions: Mapping[str, ArrayLike],
    of_random_weights: Mapping[str, ArrayLike],
    features: Sequence[str],
    bootstrap: Bootstrap,
) -> pd.DataFrame:
    """Tabulate the share of attribution of each kind of input: mean over objects with its interval.

    Parameters
    ----------
    attributions, features
        As for `group_attributions`.
    of_random_weights : mapping
        As `attributions`, for an untrained network.
    bootstrap : Bootstrap
        Bootstrap over objects.

    Returns
    -------
    DataFrame
        input, share, low, high (95 %), untrained (share with random weights). The last row is the share of the stamps'
        absolute attribution in their central third (a ninth of the area).
    """
    shares, untrained = (_divide_attributions(each, features) for each in (attributions, of_random_weights))
    rows = [{"input": name} | bootstrap.mean(each).to_row("share") for name, each in shares.items()]
    return pd.DataFrame([row | {"untrained": float(np.mean(untrained[str(row["input"])]))} for row in rows])


def _divide_attributions(attributions: Mapping[str, ArrayLike], features: Sequence[str]) -> dict[str, Floats]:
    groups = group_attributions(attributions, features)
    total = np.sum(list(groups.values()), axis=0)
    shares = {name: values / total for name, values in groups.items()}
    return shares | {"of the stamps' attribution, in the central ninth": central_share(attributions)}


def central_share(attributions: Mapping[str, ArrayLike]) -> Floats:
    """Compute the share of each object's absolute stamp attribution in the central third, a ninth of the area."""
    stamps = [np.abs(np.asarray(attributions[name])) for name in stamp_names(attributions)]
    crop = stamps[0].shape[1]
    middle = slice(crop // 3, crop - crop // 3)
    inside = sum(values[:, middle, middle].sum(axis=(1, 2, 3)) for values in stamps)
    return np.asarray(inside / sum(values.sum(axis=(1, 2, 3)) for values in stamps))


def choose_objects(labels: ArrayLike, count: int, seed: int) -> Ints:
    """Draw objects to explain, equally many of every class, in order of class.

    Examples
    --------
    >>> chosen = choose_objects([0] * 5 + [1] * 5 + [2], count=6, seed=1)
    >>> [int(sum(chosen < 5)), int(sum((chosen >= 5) & (chosen < 10))), int(sum(chosen == 10))]
    [2, 2, 1]
    """
    classes = np.unique(labels)
    rng = np.random.default_rng([seed, 14])
    shuffled = (rng.permutation(np.flatnonzero(np.asarray(labels) == label)) for label in classes)
    return np.concatenate([np.sort(members[: max(1, count // len(classes))]) for members in shuffled])


def choose_examples(labels: ArrayLike, targets: ArrayLike) -> list[int]:
    """Choose the first correctly classified object of every class, or else the first of the class.

    Examples
    --------
    >>> choose_examples([0, 0, 1, 2], [1, 0, 0, 2])
    [1, 2, 3]
    """
    true, called = np.asarray(labels), np.asarray(targets)
    members = [np.flatnonzero(true == label) for label in np.unique(true)]
    return [int(rows[np.argmax(called[rows] == true[rows])]) for rows in members]


def share_of_stamps(shares: pd.DataFrame, column: str = "share") -> float:
    """Sum the shares of attribution of the stamps of both alerts, from `tabulate_attribution_shares`."""
    return float(shares.loc[shares["input"].str.contains(", alert "), column].sum())


def summarise_agreement(shares: pd.DataFrame, agreed: pd.DataFrame) -> list[str]:
    """Summarise in sentences where attributions lie and whether occlusion agrees."""
    found, stamps = shares.set_index("input")["share"], share_of_stamps(shares)
    sky = f", coordinates {found['coordinates']:.1%}" if "coordinates" in found else ""
    lines = [
        f"of the attribution the stamps have {stamps:.1%} (untrained {share_of_stamps(shares, 'untrained'):.1%}){sky}",
        f"of the stamps' {found.iloc[-1]:.0%} lies in the central ninth of the area",
    ]
    if stamps < UNSEEN:
        lines.append("the network hardly uses its stamps: the correlations below concern almost no attribution")
    own = Estimate.from_row(agreed.iloc[0], "correlation")
    lines.append(f"rank correlation of attribution and occlusion {own:.2f}")
    for row in agreed.iloc[1:].to_dict("records"):
        excess = Estimate.from_row(row, "excess", "excess ")
        lines.append(f"  {row['what']}: {row['correlation']:.2f}; the object's own are better by {excess:.2f}")
    return lines
