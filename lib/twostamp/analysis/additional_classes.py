"""Notebook 09: data sets with additional classes, and the stacked classifier trained on them (section 6.10)."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from twostamp.data.arrays import Preparation
from twostamp.data.splits import filter_pairs, make_splits
from twostamp.data.tfrecord_writer import write_records
from twostamp.data.tfrecords import Records, safe_name
from twostamp.models.results import SearchResults, TrialResult, package_winners
from twostamp.models.search import train_repeats
from twostamp.params import Parameters
from twostamp.taxonomy import CLASSES, order_subclasses

_ALL = "all"
_SHARE = 5
"""Largest share of a class's objects for validation, and for test."""


class PromotionError(ValueError):
    """Subclasses cannot become classes; the message is one sentence with the reason."""


@dataclass(frozen=True)
class PromotedData:
    """Data set with additional classes.

    Attributes
    ----------
    name : str
        Name of the data set, for files.
    classes : tuple of str
        Classes in the order of the labels.
    table : DataFrame
        objectId, classALeRCE, subclassALeRCE, split among others.
    dropped : dict
        Objects of classes that are too small or unspecified.
    per_class : dict of str to int
        Validation and test objects of each class.
    """

    name: str
    classes: tuple[str, ...]
    table: pd.DataFrame
    dropped: dict[str, int]
    per_class: dict[str, int]

    def write(self, pairs_path: Path, folder: Path, params: Parameters) -> Records:
        """Write the TFRecords below `folder`, prepared like the run's own."""
        target, preparation = folder / f"records_{self.name}", Preparation.of(params)
        write_records(pairs_path, self.table, target, self.classes, preparation, seed=params.seed)
        return Records(target, params.metadata_recipe)


def promote_subclasses(table: pd.DataFrame, names: Sequence[str]) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Turn subclasses into classes, all of them for ``["all"]`` (section 6.10).

    Returns
    -------
    table : DataFrame
        Copy in which classALeRCE of the promoted objects is their subclass.
    classes : tuple of str
        Classes present: the remaining ones in their usual order, then the promoted ones.

    Raises
    ------
    ValueError
        If no object has the subclass, or if its name is that of a class with other subclasses.

    Examples
    --------
    >>> table = pd.DataFrame({"classALeRCE": ["VS", "VS", "SN"], "subclassALeRCE": ["YSO", "RRL", "SNIa"]})
    >>> promote_subclasses(table, ["YSO"])[1], promote_subclasses(table, ["all"])[1]
    (('SN', 'VS', 'YSO'), ('SNIa', 'RRL', 'YSO'))
    """
    present = order_subclasses(table["subclassALeRCE"])
    promoted = present if list(names) == ["all"] else list(names)
    if absent := sorted(set(promoted) - set(present)):
        raise ValueError(f"no object of subclass {absent[0]}, to be promoted; there are {', '.join(present)}")
    chosen = table["subclassALeRCE"].isin(promoted)
    remaining = set(table.loc[~chosen, "classALeRCE"])
    if clash := sorted(remaining & set(promoted)):
        raise ValueError(f"subclass {clash[0]} has the name of its class: promote the class's other subclasses as well")
    classes = tuple(name for name in CLASSES if name in remaining) + tuple(promoted)
    return table.assign(classALeRCE=table["subclassALeRCE"].where(chosen, table["classALeRCE"])), classes


def drop_small_classes(
    table: pd.DataFrame, classes: Sequence[str], minimum: int
) -> tuple[pd.DataFrame, tuple[str, ...], dict[str, int]]:
    """Drop classes that cannot be trained on: with fewer than `minimum` objects, or of unspecified subclass.

    Returns
    -------
    table : DataFrame
        Rows of the classes kept.
    classes : tuple of str
        Classes kept.
    dropped : dict
        Number of objects by dropped class.

    Examples
    --------
    >>> table = pd.DataFrame({"classALeRCE": ["SNIa", "SNIa", "ZZ", "SN-unspecified", "SN-unspecified"]})
    >>> drop_small_classes(table, ["SNIa", "SN-unspecified", "ZZ"], minimum=2)[1:]
    (('SNIa',), {'SN-unspecified': 2, 'ZZ': 1})
    """
    sizes = table["classALeRCE"].value_counts()
    kept = tuple(name for name in classes if sizes.get(name, 0) >= minimum and not name.endswith("-unspecified"))
    dropped = {name: int(sizes.get(name, 0)) for name in classes if name not in kept}
    return table[table["classALeRCE"].isin(kept)].reset_index(drop=True), kept, dropped


def promote_pairs(pairs: pd.DataFrame, names: Sequence[str], params: Parameters) -> PromotedData:
    """Filter, promote, cap and split pairs with the promoted classes (section 6.10).

    Each class gives as many validation and test objects as in the run's own split. If a fifth of the smallest class is
    less, each class gives that: a subclass is smaller than a class. For ``["all"]``, subclasses too small for the run's
    own numbers are dropped and counted instead. Otherwise the rarest one would set the size of the test set.

    Parameters
    ----------
    pairs : DataFrame
        Metadata of ``pairs.parquet``.
    names : sequence of str
        Subclasses, or ``["all"]``.
    params : Parameters
        deltajd_max, ssdistnr_on, cap_per_class, validation_per_class, test_per_class, seed.

    Returns
    -------
    PromotedData

    Raises
    ------
    PromotionError
        If a named subclass has no object, or fewer than five, or fewer than two classes are left.
    """
    kept, _ = filter_pairs(pairs, params.deltajd_max, params.ssdistnr_on, params.partnership)
    try:
        table, classes = promote_subclasses(kept, names)
    except ValueError as error:
        raise PromotionError(str(error)) from None
    per_class = {"validation": params.validation_per_class, "test": params.test_per_class}
    everything = list(names) == [_ALL]
    needed = sum(per_class.values()) + 1 if everything else _SHARE
    table, classes, dropped = drop_small_classes(table, classes, needed)
    _refuse_small(names, classes, dropped, needed)
    share = max(1, min(int(table["classALeRCE"].value_counts().min()), params.cap_per_class) // _SHARE)
    if not everything:
        per_class = {split: min(size, share) for split, size in per_class.items()}
    own = params.model_copy(update={f"{split}_per_class": size for split, size in per_class.items()})
    table, _ = make_splits(table, own)
    return PromotedData("-".join(map(safe_name, names)), classes, table, dropped, per_class)


def _refuse_small(names: Sequence[str], classes: Sequence[str], dropped: dict[str, int], needed: int) -> None:
    """Raise an error if a requested subclass is too small to be split, or if fewer than two classes are left."""
    if lost := sorted(set(names) & set(dropped)):
        raise PromotionError(
            f"subclass {lost[0]} has {dropped[lost[0]]} pairs, and a class needs {needed} to be split into training, "
            "validation and test: take it out of promote, or add alerts"
        )
    if len(classes) < 2:
        raise PromotionError(f"only {len(classes)} class(es) have the {needed} pairs that a split needs: add alerts")


def promote_all(pairs: pd.DataFrame, params: Parameters) -> tuple[dict[str, PromotedData], dict[str, str]]:
    """Make the data sets of the parameter ``promote``: one for the named subclasses, one for all subclasses.

    Returns
    -------
    promoted : dict of PromotedData
        Data sets by name.
    refused : dict of str
        Reasons by name, for data sets that cannot be made.
    """
    promoted, refused = {}, {}
    named = [name for name in params.promote if name != _ALL]
    for names in filter(None, (named, [_ALL] if _ALL in params.promote else [])):
        try:
            promoted["-".join(names)] = promote_pairs(pairs, names, params)
        except PromotionError as error:
            refused["-".join(names)] = str(error)
    return promoted, refused


def train_promoted(
    promoted: dict[str, PromotedData],
    best: TrialResult | None,
    pairs_path: Path,
    data: Path,
    models: Path,
    params: Parameters,
    data_note: str = "",
) -> dict[str, SearchResults]:
    """Train the stacked classifier on each data set, and save the best of each to share.

    Parameters
    ----------
    promoted : dict of PromotedData
        Data sets from `promote_all`.
    best : TrialResult or None
        Trial of the search whose hyper-parameters are used; with None (no stacked classifier) nothing is trained.
    pairs_path, data, models : Path
        ``pairs.parquet``, and the run's folders of data and models.
    params : Parameters
    data_note : str
        Sentence about the data on figures and tables of the run.

    Returns
    -------
    dict of SearchResults
        Finished trials by name of the data set; empty without any.
    """
    if best is None:
        return {}
    trained = {}
    for name, dataset in promoted.items():
        records, count = dataset.write(pairs_path, data, params), params.promote_repetitions
        folder = models / f"promoted_{dataset.name}"
        trials = train_repeats("stacked", best.hyperparameters, count, records, folder, params)
        package_winners(trials, records, folder, params, data_note)
        if trials.done:
            trained[name] = trials.done
    return trained
