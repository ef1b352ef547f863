"""Whether two explanations of the same objects agree, and where attributions lie: on the object, or beside it."""

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
"""Share of all attribution below which stamps count as not looked at."""

NULLS = ("attributions of another object", "network with random weights", "input minus baseline, no network")


def correlate_ranks(first: ArrayLike, second: ArrayLike) -> Floats:
    """Spearman's correlation of every object of one table with every object of another.

    Parameters
    ----------
    first, second : array_like, shape (n, ...)

    Returns
    -------
    ndarray, shape (n, n)
        NaN for an object whose values are all the same.

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
    """Rank correlation of pooled attributions with occlusion, beside what it would be if they meant nothing.

    Three nulls: the attributions of another object, which share with the right ones that sources are in the middle;
    those of a network of the same form with random weights (Adebayo et al. 2018); and how far the input lies from the
    baseline, which needs no network and is the strongest of them.

    Parameters
    ----------
    attributions, occlusion : array_like, shape (n, ...)
        Of n objects over the same patches; compared as they are given, so absolute values for strength alone.
    nulls : sequence of array_like, shape (n, ...)
        Of the second and the third null.
    bootstrap : Bootstrap
        Over objects.

    Returns
    -------
    DataFrame
        what, objects, correlation (mean over objects), low, high (95 %), excess (of the right attributions over these),
        excess low, excess high.
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
    """Absolute value of the sum of the attributions of each object to each kind of input.

    A sum of absolute values would favour inputs of many numbers: 2646 pixels against 53 metadata, whose noise adds up.

    Parameters
    ----------
    attributions : mapping
        Of `twostamp.inspection.attribution.integrate_gradients`.
    features : sequence of str
        Names of the metadata of one alert.

    Returns
    -------
    dict of ndarray, shape (n,)
        By kind: the three stamps of either alert, coordinates, other metadata, deltajd.
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
    """Share of the attribution that goes to each kind of input, mean over objects with its interval.

    Parameters
    ----------
    attributions, features
        As for `group_attributions`.
    of_random_weights : mapping
        As `attributions`, of a network that has learnt nothing.
    bootstrap : Bootstrap
        Over objects.

    Returns
    -------
    DataFrame
        input, share, low, high (95 %), untrained (share with random weights); last the share of the stamps' absolute
        attribution that lies in their central third (a ninth of the area).
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
    """Share of each object's absolute attribution to stamps that lies in their central third, a ninth of the area."""
    stamps = [np.abs(np.asarray(attributions[name])) for name in stamp_names(attributions)]
    crop = stamps[0].shape[1]
    middle = slice(crop // 3, crop - crop // 3)
    inside = sum(values[:, middle, middle].sum(axis=(1, 2, 3)) for values in stamps)
    return np.asarray(inside / sum(values.sum(axis=(1, 2, 3)) for values in stamps))


def choose_objects(labels: ArrayLike, count: int, seed: int) -> Ints:
    """Draw objects to explain, as many of every class as of any other, in order of class.

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
    """First object of every class that is called what it is, or the first of its class.

    Examples
    --------
    >>> choose_examples([0, 0, 1, 2], [1, 0, 0, 2])
    [1, 2, 3]
    """
    true, called = np.asarray(labels), np.asarray(targets)
    members = [np.flatnonzero(true == label) for label in np.unique(true)]
    return [int(rows[np.argmax(called[rows] == true[rows])]) for rows in members]


def share_of_stamps(shares: pd.DataFrame, column: str = "share") -> float:
    """Share of the attribution that the stamps of both alerts have together; of `tabulate_attribution_shares`."""
    return float(shares.loc[shares["input"].str.contains(", alert "), column].sum())


def summarise_agreement(shares: pd.DataFrame, agreed: pd.DataFrame) -> list[str]:
    """Say in sentences where attributions lie and whether occlusion agrees."""
    found, stamps = shares.set_index("input")["share"], share_of_stamps(shares)
    sky = f", coordinates {found['coordinates']:.1%}" if "coordinates" in found else ""
    lines = [
        f"of the attribution the stamps have {stamps:.1%} (untrained {share_of_stamps(shares, 'untrained'):.1%}){sky}",
        f"of the stamps' {found.iloc[-1]:.0%} lies in the central ninth of the area",
    ]
    if stamps < UNSEEN:
        lines.append("the network does not look at its stamps: what follows is about next to nothing")
    own = Estimate.from_row(agreed.iloc[0], "correlation")
    lines.append(f"rank correlation of attribution and occlusion {own:.2f}")
    for row in agreed.iloc[1:].to_dict("records"):
        excess = Estimate.from_row(row, "excess", "excess ")
        lines.append(f"  {row['what']}: {row['correlation']:.2f}; the object's own are better by {excess:.2f}")
    return lines
