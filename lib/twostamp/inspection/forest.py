"""Random forests on metadata alone, and the metadata that they rely on (thesis section 6.7; decision T8)."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import confusion_matrix
from tqdm.auto import tqdm

from twostamp.data.arrays import Arrays
from twostamp.data.features import feature_names_two
from twostamp.utils.typing import Floats, Floats32, Ints


@dataclass(frozen=True)
class Forests:
    """Several forests fitted on the same objects with different seeds.

    Attributes
    ----------
    confusions : ndarray, shape (forests, classes, classes), int
        Counts on the test set; rows true, columns predicted.
    importance : DataFrame, one row per feature, most important first
        feature, then mean and std (ddof 0, over the forests) and rank of two importances. Impurity importance is a
        share, and adds up to 1. Permutation importance is the test accuracy lost when the feature is permuted.
    grouped : DataFrame or None
        The same for both alerts of a feature together: impurities added, values permuted jointly.
    """

    confusions: Ints
    importance: pd.DataFrame
    grouped: pd.DataFrame | None = None

    @property
    def accuracies(self) -> Floats:
        """Return the accuracy of each forest on the test set."""
        correct = self.confusions.trace(axis1=1, axis2=2)
        return np.asarray(correct / self.confusions.sum(axis=(1, 2)))


def stack_metadata(arrays: Arrays) -> Floats32:
    """Join the metadata of both alerts and ln deltajd: the 53 features of section 3.5.2.

    Returns
    -------
    ndarray, shape (n, 2 k + 1), or (n, k) of objects without second alerts, float32
        Features in the order of `twostamp.data.features.feature_names_two`.
    """
    parts = [arrays.metadata_1, arrays.metadata_2, arrays.deltajd]
    return np.concatenate([part for part in parts if part is not None], axis=1)


def fit_forests(
    train: Arrays,
    test: Arrays,
    *,
    features: str,
    n_classes: int,
    count: int,
    trees: int,
    seed: int,
    n_jobs: int = 1,
    grouped: bool = False,
) -> Forests:
    """Fit random forests on metadata and score them on the test set.

    Parameters
    ----------
    train, test : Arrays
        Objects with the list `features`.
    features : str
        Name of a metadata list.
    n_classes : int
    count, trees : int
        Number of forests, and of trees in each (20 and 100 in the thesis).
    seed : int
        Forest i uses its i-th child, whatever `n_jobs`.
    n_jobs : int
        Threads.
    grouped : bool
        Whether to permute both alerts of a feature together too.
    """
    x, x_test, y_test = stack_metadata(train), stack_metadata(test), np.asarray(test.labels)
    names = feature_names_two(features)[: x.shape[1]]
    groupings = [{name: [column] for column, name in enumerate(names)}, *([group_alerts(names)] if grouped else [])]
    confusions: list[Any] = []
    scores: list[list[Any]] = [[] for _ in groupings]
    for child in tqdm(np.random.SeedSequence(seed).generate_state(count).tolist(), desc="forests"):
        forest = RandomForestClassifier(n_estimators=trees, random_state=child, n_jobs=n_jobs).fit(x, train.labels)
        forest.set_params(n_jobs=1)  # threads would add the trees' votes in any order
        confusions.append(confusion_matrix(y_test, forest.predict(x_test), labels=range(n_classes)))
        for groups, found in zip(groupings, scores, strict=True):
            impurity = [forest.feature_importances_[columns].sum() for columns in groups.values()]
            found.append((impurity, permute_features(forest, x_test, y_test, child, list(groups.values()))))
    tables = [_rank_features(groups, np.array(found)) for groups, found in zip(groupings, scores, strict=True)]
    return Forests(np.stack(confusions), *tables)


def group_alerts(names: Sequence[str]) -> dict[str, list[int]]:
    """Group the columns of both alerts of a feature.

    Examples
    --------
    >>> group_alerts(["ra_1", "dec_1", "ra_2", "dec_2", "ln_deltajd"])
    {'ra': [0, 2], 'dec': [1, 3], 'ln_deltajd': [4]}
    """
    groups: dict[str, list[int]] = {}
    for column, name in enumerate(names):
        groups.setdefault(re.sub("_[12]$", "", name), []).append(column)
    return groups


def permute_features(
    forest: RandomForestClassifier,
    x: Floats32,
    y: NDArray[Any],
    seed: int,
    groups: Sequence[Sequence[int]] | None = None,
) -> Floats:
    """Compute the permutation importance: accuracy lost when a feature is permuted between objects (decision T8).

    A single call of `predict` for all features is some twenty times faster than
    `sklearn.inspection.permutation_importance`, with one call each. One permutation per feature is enough, since the
    forests repeat it.

    Parameters
    ----------
    forest : RandomForestClassifier
    x : ndarray, shape (n, k), float32
    y : ndarray, shape (n,)
        True classes.
    seed : int
    groups : sequence of sequences of int, optional
        Columns permuted together; by default each alone.

    Returns
    -------
    ndarray, shape (k,), or one value a group
        Accuracy lost; negative if the forest is better on the permuted feature.
    """
    n, k = x.shape
    groups = [[feature] for feature in range(k)] if groups is None else groups
    rng = np.random.default_rng(seed)
    shuffled = np.repeat(x[None], len(groups), axis=0)
    for values, columns in zip(shuffled, groups, strict=True):
        values[:, columns] = x[rng.permutation(n)][:, columns]
    predicted = forest.predict(shuffled.reshape(-1, k)).reshape(len(groups), n)
    return np.asarray((forest.predict(x) == y).mean() - (predicted == y).mean(axis=1))


def _rank_features(groups: Mapping[str, Any], scores: Floats) -> pd.DataFrame:
    """Compute mean, standard deviation and rank of scores, shape (forests, 2, groups)."""
    table = pd.DataFrame({"feature": list(groups)})
    for name, values in zip(("impurity", "permutation"), scores.swapaxes(0, 1), strict=True):
        table[f"{name}_mean"], table[f"{name}_std"] = values.mean(axis=0), values.std(axis=0)
        table[f"{name}_rank"] = table[f"{name}_mean"].rank(ascending=False, method="min").astype(int)
    return table.sort_values("impurity_rank", ignore_index=True, kind="stable")
