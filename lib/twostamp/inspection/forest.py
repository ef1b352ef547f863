"""Random forests on metadata alone, and which metadata they rely on (thesis section 6.7; decision T8)."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import confusion_matrix
from tqdm.auto import tqdm

from twostamp.data.features import feature_names_two


@dataclass(frozen=True)
class Forests:
    """Several forests fitted on the same objects with different seeds.

    Attributes
    ----------
    confusions : ndarray, shape (forests, classes, classes), int
        Counts on the test set; rows true, columns predicted.
    importance : DataFrame, one row per feature, most important first
        feature, then mean and std (ddof 0, over the forests) of the impurity importance (shares that add to 1) and of
        the permutation importance (test accuracy lost when the feature is shuffled), and the rank by either.
    grouped : DataFrame or None
        The same with both alerts of a feature taken together: impurities added, values shuffled with one another.
    """

    confusions: NDArray[np.int64]
    importance: pd.DataFrame
    grouped: pd.DataFrame | None = None

    @property
    def accuracies(self) -> NDArray[np.float64]:
        """Accuracy of each forest on the test set."""
        correct = self.confusions.trace(axis1=1, axis2=2)
        return np.asarray(correct / self.confusions.sum(axis=(1, 2)))


def stack_metadata(arrays: Any) -> NDArray[np.float32]:
    """Put the metadata of both alerts and ln deltajd side by side: the 53 features of section 3.5.2.

    Parameters
    ----------
    arrays : Arrays
        What `Records.arrays` gives: metadata_1 and metadata_2 (n, k), deltajd (n, 1). Without second
        alerts only metadata_1 is taken.

    Returns
    -------
    ndarray, shape (n, 2 k + 1) or (n, k), float32
        In the order of `twostamp.data.features.feature_names_two`.
    """
    parts = [arrays.metadata_1, arrays.metadata_2, arrays.deltajd]
    return np.concatenate([part for part in parts if part is not None], axis=1)


def fit_forests(
    train: Any,
    test: Any,
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
        Of `Records.arrays`, with the list `features`.
    features : str
        Name of a metadata list.
    n_classes : int
    count, trees : int
        Number of forests, and of trees in each (20 and 100 in the thesis).
    seed : int
        Forest i has the i-th child of it, whatever `n_jobs`.
    n_jobs : int
        Threads.
    grouped : bool
        Whether to shuffle both alerts of a feature together too.

    Returns
    -------
    Forests
    """
    confusions, scores, of_groups = [], [], []
    x, y, x_test, y_test = stack_metadata(train), train.labels, stack_metadata(test), test.labels
    names = feature_names_two(features)[: x.shape[1]]
    groups = group_alerts(names)
    for child in tqdm(np.random.SeedSequence(seed).generate_state(count), desc="forests"):
        forest = RandomForestClassifier(n_estimators=trees, random_state=int(child), n_jobs=n_jobs).fit(x, y)
        forest.set_params(n_jobs=1)  # threads would add the trees' votes in any order
        confusions.append(confusion_matrix(y_test, forest.predict(x_test), labels=range(n_classes)))
        scores.append((forest.feature_importances_, permute_features(forest, x_test, y_test, int(child))))
        if grouped:
            impurity = [forest.feature_importances_[columns].sum() for columns in groups.values()]
            of_groups.append((impurity, permute_features(forest, x_test, y_test, int(child), list(groups.values()))))
    by_group = _rank_features(list(groups), *_stack(of_groups)) if grouped else None
    return Forests(np.stack(confusions), _rank_features(names, *_stack(scores)), by_group)


def _stack(scores: Sequence[Any]) -> Iterator[NDArray[np.float64]]:
    return (np.stack(measure) for measure in zip(*scores, strict=True))


def group_alerts(names: Sequence[str]) -> dict[str, list[int]]:
    """Put the columns of both alerts of a feature together.

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
    x: NDArray[np.float32],
    y: NDArray[Any],
    seed: int,
    groups: Sequence[Sequence[int]] | None = None,
) -> NDArray[np.float64]:
    """Accuracy lost when one feature is shuffled between the objects: permutation importance (decision T8).

    One call of `predict` for all features together: some twenty times faster than
    `sklearn.inspection.permutation_importance`, which makes one each. One shuffle a feature is enough here, since
    the forests repeat it.

    Parameters
    ----------
    forest : RandomForestClassifier
    x : ndarray, shape (n, k), float32
    y : ndarray, shape (n,)
        True classes.
    seed : int
    groups : sequence of sequences of int, optional
        Columns shuffled together; by default each alone.

    Returns
    -------
    ndarray, shape (k,), or one value a group
        Negative where the forest does better on the shuffled feature.
    """
    n, k = x.shape
    groups = [[feature] for feature in range(k)] if groups is None else groups
    rng = np.random.default_rng(seed)
    shuffled = np.repeat(x[None], len(groups), axis=0)
    for values, columns in zip(shuffled, groups, strict=True):
        values[:, columns] = x[rng.permutation(n)][:, columns]
    predicted = forest.predict(shuffled.reshape(-1, k)).reshape(len(groups), n)
    return np.asarray((forest.predict(x) == y).mean() - (predicted == y).mean(axis=1))


def _rank_features(
    names: Sequence[str], impurity: NDArray[np.float64], permutation: NDArray[np.float64]
) -> pd.DataFrame:
    table = pd.DataFrame({"feature": names})
    for name, values in (("impurity", impurity), ("permutation", permutation)):
        table[f"{name}_mean"], table[f"{name}_std"] = values.mean(axis=0), values.std(axis=0)
        table[f"{name}_rank"] = table[f"{name}_mean"].rank(ascending=False, method="min").astype(int)
    return table.sort_values("impurity_rank", ignore_index=True, kind="stable")
