"""Permutation importance of the inputs of a trained network besides the stamps (notebook 14).

The forest of section 6.7 shows what metadata contain; this module shows what the thesis's classifier uses of them.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import keras
import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from tqdm.auto import tqdm

from twostamp.data.feature_lists import COORDINATES, FEATURE_LISTS
from twostamp.data.tfrecords import Records
from twostamp.inspection.attribution import stamp_names
from twostamp.models.architectures import VARIANTS
from twostamp.models.inference import model_inputs
from twostamp.models.layers import DeepHiTS
from twostamp.models.results import SearchResults
from twostamp.params import Parameters

Column = tuple[str, int | None]
STAMPS, ALL, SKY = "stamps", "all metadata and deltajd", "coordinates"


def list_groups(inputs: Iterable[str], features: str | None) -> dict[str, list[Column]]:
    """List the groups permuted together: a feature of both alerts, deltajd, coordinates, all but stamps, all stamps.

    Parameters
    ----------
    inputs : iterable of str
        Names of the inputs of the network.
    features : str or None
        Name of the metadata list.

    Returns
    -------
    dict of list of (str, int or None)
        Input and column; None for the whole input.
    """
    inputs = sorted(inputs)
    alerts = [name for name in inputs if name.startswith("metadata")]
    names = FEATURE_LISTS[features] if features else ()
    groups: dict[str, list[Column]] = {
        feature: [(alert, column) for alert in alerts] for column, feature in enumerate(names)
    }
    days: list[Column] = [("deltajd", None)] if "deltajd" in inputs else []
    if days:
        groups["ln_deltajd"] = days
    if alerts:
        groups[SKY] = [column for name in COORDINATES for column in groups.get(name, [])]
        groups[ALL] = [(alert, None) for alert in alerts] + days
    groups[STAMPS] = [(name, None) for name in stamp_names(inputs)]
    return {name: columns for name, columns in groups.items() if columns}


def shuffle_inputs(
    inputs: Mapping[str, NDArray[Any]], columns: list[Column], order: ArrayLike
) -> dict[str, NDArray[Any]]:
    """Give every object the columns of another one, all columns of the same object."""
    changed = dict(inputs)
    for name, column in columns:
        values = changed[name].copy()
        at = (slice(None), ...) if column is None else (slice(None), column)
        values[at] = inputs[name][np.asarray(order)][at]
        changed[name] = values
    return changed


def split_network(model: keras.Model) -> tuple[keras.Model | None, keras.Model]:
    """Split a classifier after its convolutions, which permuted metadata do not affect.

    Returns
    -------
    trunk : keras.Model or None
        Network from the stamps to one vector per image (stacked: one for both alerts), by the name of the head's input.
        None for a siamese classifier, which is not split.
    head : keras.Model
        Network from those vectors and the other inputs to probabilities.
    """
    stamps = {name: model.input[name] for name in stamp_names(model.input)}
    vectors = {layer.output.name: layer.output for layer in model.layers if isinstance(layer, DeepHiTS)}
    if not vectors:
        return None, model
    others = {name: tensor for name, tensor in model.input.items() if name not in stamps}
    return keras.Model(stamps, vectors), keras.Model(vectors | others, model.output)


def permute_network(model: keras.Model, variant: str, arrays: Any, *, permutations: int, seed: int) -> pd.DataFrame:
    """Measure the loss of a network when parts of its input are permuted between objects.

    Parameters
    ----------
    model : keras.Model
    variant : str
    arrays : Arrays
        Objects with labels.
    permutations : int
        Permutations of each group.
    seed : int

    Returns
    -------
    DataFrame
        feature (a group of `list_groups`), shuffle, accuracy (lost), nll (increase of the mean negative log-likelihood,
        nats).
    """
    inputs, labels = model_inputs(variant, arrays), np.asarray(arrays.labels)
    groups = list_groups(inputs, VARIANTS[variant].features)
    trunk, head = split_network(model)
    if trunk is not None:
        stamps = stamp_names(inputs)
        vectors = _predict(trunk, {name: inputs[name] for name in stamps})
        inputs = vectors | {name: values for name, values in inputs.items() if name not in stamps}
        groups[STAMPS] = [(name, None) for name in vectors]
    before, rng, rows = _score(_predict(head, inputs), labels), np.random.default_rng([seed, 14]), []
    for shuffle in range(permutations):
        for feature, columns in groups.items():
            after = _score(_predict(head, shuffle_inputs(inputs, columns, rng.permutation(len(labels)))), labels)
            rows.append((feature, shuffle, before[0] - after[0], after[1] - before[1]))
    return pd.DataFrame(rows, columns=["feature", "shuffle", "accuracy", "nll"])


def _predict(model: keras.Model, inputs: Mapping[str, NDArray[Any]], size: int = 256) -> Any:
    """Predict many objects, a part of them at a time."""
    n = len(next(iter(inputs.values())))
    cuts = (slice(start, start + size) for start in range(0, n, size))
    parts = [model.predict_on_batch({name: values[cut] for name, values in inputs.items()}) for cut in cuts]
    if isinstance(parts[0], dict):
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return np.concatenate(parts)


def _score(probabilities: NDArray[Any], labels: NDArray[Any]) -> tuple[float, float]:
    """Compute accuracy, and mean negative log-likelihood in nats."""
    of_truth = np.take_along_axis(probabilities.astype(np.float64), labels[:, None], axis=1)
    right = probabilities.argmax(axis=1) == labels
    return float(right.mean()), float(-np.log(np.maximum(of_truth, 1e-7)).mean())


def rank_inputs(trials: SearchResults, records: Records, params: Parameters) -> pd.DataFrame:
    """Rank inputs by permutation importance on test, over the repetitions of a classifier and permutations.

    Parameters
    ----------
    trials : SearchResults
        Finished repetitions of one combination.
    records : Records
    params : Parameters
        Uses permutations and seed.

    Returns
    -------
    DataFrame
        feature, accuracy_mean and accuracy_std (lost), nll_mean and nll_std (increase), n (repetitions x permutations);
        standard deviations with ddof 0; most important by nll first.
    """
    classifiers = [trial.load(records) for trial in trials.best_first()]
    arrays = classifiers[0].load_split(records, "test")
    size = {"permutations": params.permutations, "seed": params.seed}
    tables = [
        permute_network(classifier.network, classifier.variant, arrays, **size)
        for classifier in tqdm(classifiers, desc="networks")
    ]
    groups = pd.concat(tables).groupby("feature", sort=False)
    columns: dict[str, Any] = {}
    for score in ("accuracy", "nll"):
        columns |= {f"{score}_mean": groups[score].mean(), f"{score}_std": groups[score].std(ddof=0)}
    table = pd.DataFrame(columns | {"n": groups.size()}).reset_index()
    return table.sort_values("nll_mean", ascending=False, kind="stable", ignore_index=True)


def compare_importance(of_forest: pd.DataFrame, of_network: pd.DataFrame) -> pd.DataFrame:
    """Compare the forest's measures with the network's, feature by feature, both alerts together.

    Parameters
    ----------
    of_forest : DataFrame
        `twostamp.inspection.forest.Forests.grouped`.
    of_network : DataFrame
        Table from `rank_inputs`.

    Returns
    -------
    DataFrame
        feature; impurity, permutation (forest), accuracy, nll (network), each with mean, std and rank, sorted by
        impurity. Groups, and features that the network does not have, are left out.
    """
    table = of_forest.merge(of_network.drop(columns="n"), on="feature", how="inner", validate="one_to_one")
    for score in ("accuracy", "nll"):
        table[f"{score}_rank"] = table[f"{score}_mean"].rank(ascending=False, method="min").astype(int)
    return table


def summarise_importance(compared: pd.DataFrame, of_network: pd.DataFrame) -> list[str]:
    """Summarise in sentences which inputs the forest and the network rely on."""
    first = {
        label: ", ".join(compared.nsmallest(5, f"{measure}_rank")["feature"])
        for measure, label in (("impurity", "forest by impurity"), ("permutation", "forest"), ("nll", "network"))
    }
    lines = [f"first five, {label}: {names}" for label, names in first.items()]
    for row in of_network[of_network["feature"].isin([SKY, ALL, STAMPS])].to_dict("records"):
        cost = f"{100 * row['accuracy_mean']:.1f} points of accuracy and {row['nll_mean']:.2f} nats"
        lines.append(f"shuffling {row['feature']} costs {cost}")
    return lines
