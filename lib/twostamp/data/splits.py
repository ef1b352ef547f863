"""Selection of training objects: deltajd filter, levelling of subclasses, split (thesis section 3.4, annex B).

Tables only: one row an object, columns objectId, classALeRCE and subclassALeRCE among others. No class is hard-wired:
what notebook 09 promotes goes through the same cap and split. Every draw depends on the seed and on the set
of objects, never on the order of the rows.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from twostamp.params import Parameters
from twostamp.taxonomy import LABEL_COLUMNS, PARTNERSHIP, SSDISTNR_MAX, order_classes, order_subclasses

SPLITS = ("train", "validation", "test")

_LABELS = LABEL_COLUMNS[1:]
_Quota = dict[tuple[str, str], int]


def make_splits(
    pairs: pd.DataFrame, params: Parameters, seed: int | None = None
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Choose and split objects as in notebook 03: filter, cap, split (section 3.4).

    Parameters
    ----------
    pairs : DataFrame
        Of `twostamp.data.arrays.read_metadata`, or first alerts alone.
    params : Parameters
        deltajd_max, ssdistnr_on, partnership, cap_per_class, validation_per_class, test_per_class, seed.
    seed : int, optional
        Of another split of the same objects; by default the run's.

    Returns
    -------
    objects : DataFrame
        As of `split_objects`.
    classes : tuple of str
        Those present, in their usual order.

    Raises
    ------
    ValueError
        As `split_objects`.
    """
    admitted, _ = filter_pairs(pairs, params.deltajd_max, params.ssdistnr_on, params.partnership)
    capped = cap_classes(admitted, params.cap_per_class, params.seed)
    seed = params.seed if seed is None else seed
    objects = split_objects(capped, params.validation_per_class, params.test_per_class, seed)
    return objects, tuple(order_classes(objects["classALeRCE"]))


def filter_pairs(
    pairs: pd.DataFrame, deltajd_max: float = 100.0, ssdistnr_on: str = "both", partnership: bool = False
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Keep the pairs that section 3.4 admits: alerts close in time, and asteroids matched to known bodies (D1, D2).

    Parameters
    ----------
    pairs : DataFrame
        Columns classALeRCE, deltajd (days), ssdistnr_1 and ssdistnr_2 (arcsec) among others; first alerts alone have
        neither deltajd nor ssdistnr_2, and need only be known bodies.
    deltajd_max : float
        Days between the two alerts, at most; they must not be of one exposure (deltajd > 0).
    ssdistnr_on : {"both", "first"}
        Alerts of an asteroid that need 0 <= ssdistnr < 10 arcsec.
    partnership : bool
        Whether to keep objects with an alert that is not public; see `is_public`.

    Returns
    -------
    kept : DataFrame
        Rows in their order, with a new index.
    counts : dict
        Objects, kept, and dropped by the first reason that applies; kept + dropped = objects.

    Raises
    ------
    ValueError
        If `ssdistnr_on` is neither.

    Examples
    --------
    >>> pairs = pd.DataFrame({"classALeRCE": ["SN", "SN", "asteroid"], "deltajd": [3.0, 120.0, 0.1]})
    >>> filter_pairs(pairs.assign(ssdistnr_1=[-999.0, -999.0, 0.4], ssdistnr_2=-999.0))[1]
    {'objects': 3, 'kept': 1, 'deltajd not above 0': 0, 'deltajd above 100 d': 1, 'asteroid without a known body': 1}
    """
    if ssdistnr_on not in ("both", "first"):
        raise ValueError(f"ssdistnr_on is {ssdistnr_on!r}: it is 'both' or 'first'")
    paired = "deltajd" in pairs
    near = pairs[["ssdistnr_1", "ssdistnr_2"] if paired and ssdistnr_on == "both" else ["ssdistnr_1"]].astype(float)
    known_body = ((near >= 0) & (near < SSDISTNR_MAX)).all(axis=1)
    reasons = {}
    if not partnership and not (public := is_public(pairs)).all():
        reasons["alerts that are not public"] = ~public
    if paired:
        reasons["deltajd not above 0"] = ~(pairs["deltajd"] > 0)
        reasons[f"deltajd above {deltajd_max:g} d"] = pairs["deltajd"] > deltajd_max
    reasons["asteroid without a known body"] = (pairs["classALeRCE"] == "asteroid") & ~known_body
    kept = pd.Series(True, index=pairs.index)
    dropped = {}
    for reason, applies in reasons.items():
        dropped[reason] = int((kept & applies).sum())
        kept &= ~applies
    return pairs[kept].reset_index(drop=True), {"objects": len(pairs), "kept": int(kept.sum()), **dropped}


def is_public(pairs: pd.DataFrame) -> pd.Series:
    """Whether all alerts of each object are public: none is of ZTF's partnership (programid 2 or 3)."""
    programs = [name for name in ("programid_1", "programid_2") if name in pairs]
    return ~pairs[programs].isin(PARTNERSHIP).any(axis=1)


def cap_classes(table: pd.DataFrame, cap: int, seed: int) -> pd.DataFrame:
    """Limit every class to `cap` objects at the expense of its largest subclasses (section 3.4, D2, D3).

    Parameters
    ----------
    table : DataFrame
        Columns objectId (unique), classALeRCE, subclassALeRCE among others.
    cap : int
        Objects per class, at most.
    seed : int
        Of the choice of objects within a subclass.

    Returns
    -------
    DataFrame
        The chosen rows, sorted by objectId.

    Examples
    --------
    >>> table = pd.DataFrame({"objectId": list("abcdef"), "classALeRCE": "SN"})
    >>> table["subclassALeRCE"] = ["SNIa"] * 5 + ["SLSN"]
    >>> cap_classes(table, cap=3, seed=1)["subclassALeRCE"].tolist()
    ['SNIa', 'SNIa', 'SLSN']
    """
    table, place = _draw(table, [seed, 0])
    quota: _Quota = {}
    for class_name, counts in _counts_by_class(table).items():
        quota |= {(class_name, name): count for name, count in level_subclasses(counts, cap).items()}
    return table[place < _per_row(table, quota)].reset_index(drop=True)


def split_objects(table: pd.DataFrame, validation_per_class: int, test_per_class: int, seed: int) -> pd.DataFrame:
    """Assign every object to training, validation or test, stratified by subclass (section 3.4, D4).

    Each class gives the same number of objects to validation and to test, shared among its subclasses in proportion
    by largest remainders. A subclass too small for a share stays in training.

    Parameters
    ----------
    table : DataFrame
        Columns objectId (unique), classALeRCE, subclassALeRCE among others.
    validation_per_class, test_per_class : int
        Objects.
    seed : int
        Of the choice of objects within a subclass.

    Returns
    -------
    DataFrame
        Sorted by objectId, with the new column split: ``train``, ``validation`` or ``test``.

    Raises
    ------
    ValueError
        If a class has no object left to train with.

    Examples
    --------
    >>> table = pd.DataFrame({"objectId": list("abcdef"), "classALeRCE": "SN"})
    >>> table["subclassALeRCE"] = ["SNIa"] * 5 + ["SLSN"]
    >>> split_objects(table, validation_per_class=2, test_per_class=1, seed=1)["split"].value_counts().to_dict()
    {'train': 3, 'validation': 2, 'test': 1}
    """
    table, place = _draw(table, [seed, 1])
    first: _Quota = {}
    second: _Quota = {}
    for class_name, counts in _counts_by_class(table).items():
        _check_size(class_name, sum(counts.values()), validation_per_class, test_per_class)
        validation = _share_out(counts, validation_per_class, room=counts)
        test = _share_out(counts, test_per_class, room={name: counts[name] - validation[name] for name in counts})
        first |= {(class_name, name): count for name, count in validation.items()}
        second |= {(class_name, name): validation[name] + count for name, count in test.items()}
    split = np.where(place < _per_row(table, first), "validation", "train")
    split[(split == "train") & (place < _per_row(table, second))] = "test"
    return table.assign(split=split)


def _check_size(class_name: str, size: int, validation: int, test: int) -> None:
    if size <= validation + test:
        raise ValueError(
            f"class {class_name} has {size} objects, and validation ({validation}) plus test ({test}) leave none to "
            "train with: lower validation_per_class or test_per_class, or add alerts"
        )


def _counts_by_class(table: pd.DataFrame) -> dict[str, dict[str, int]]:
    return {str(name): dict(Counter(part)) for name, part in table.groupby("classALeRCE")["subclassALeRCE"]}


def _draw(table: pd.DataFrame, seed: Sequence[int]) -> tuple[pd.DataFrame, NDArray[np.int64]]:
    """Sort by objectId, and give each object a random place, from 0, within its subclass."""
    if table["objectId"].duplicated().any():
        raise ValueError(f"object {table.loc[table['objectId'].duplicated(), 'objectId'].iloc[0]} occurs twice")
    table = table.sort_values("objectId", ignore_index=True)
    lot = pd.Series(np.random.default_rng(seed).permutation(len(table)), index=table.index)
    place = lot.groupby([table[name] for name in _LABELS]).rank(method="first") - 1
    return table, place.to_numpy(dtype=np.int64)


def _per_row(table: pd.DataFrame, quota: _Quota) -> NDArray[np.int64]:
    return np.array([quota[key] for key in zip(table["classALeRCE"], table["subclassALeRCE"], strict=True)], dtype=int)


def count_subclasses(table: pd.DataFrame) -> pd.DataFrame:
    """Objects by class and subclass, in the order of Table 3.5.

    Returns
    -------
    DataFrame
        Columns classALeRCE, subclassALeRCE, objects.
    """
    counts = table.groupby(_LABELS).size().rename("objects").reset_index()
    order = {name: place for place, name in enumerate(order_subclasses(counts["subclassALeRCE"]))}
    return counts.sort_values("subclassALeRCE", key=lambda names: names.map(order), ignore_index=True)


def level_subclasses(counts: Mapping[str, int], cap: int) -> dict[str, int]:
    """Objects that each subclass of a class keeps so that they sum to the cap: algorithm B.1 in closed form (D3).

    Taking one object after another from the largest subclass ends with the large ones level and the small ones whole.
    Of equal subclasses the alphabetically first lose first.

    Examples
    --------
    >>> level_subclasses({"QSO": 900, "AGN": 900, "Blazar": 40}, cap=301)
    {'QSO': 131, 'AGN': 130, 'Blazar': 40}
    """
    if sum(counts.values()) <= cap:
        return dict(counts)
    level, room = 0, cap
    for left, count in zip(range(len(counts), 0, -1), sorted(counts.values()), strict=True):
        level = room // left
        if level < count:
            break
        room -= count
    levelled = {name: min(count, level) for name, count in counts.items()}
    spare = cap - sum(levelled.values())
    for name in sorted((name for name, count in counts.items() if count > level), reverse=True)[:spare]:
        levelled[name] += 1
    return levelled


def _share_out(counts: Mapping[str, int], total: int, room: Mapping[str, int]) -> dict[str, int]:
    """Share `total` among subclasses in proportion to their size, by largest remainders (section 3.4, D4).

    No subclass gives more than its `room`, nor its last object while another can give one. Of equal remainders the
    alphabetically first is served first.
    """
    if total > sum(room.values()):
        raise ValueError(f"cannot take {total} objects of {sum(room.values())}")
    size = sum(counts.values())
    shares = {name: min(count * total // size, room[name]) for name, count in counts.items()}
    order = sorted(counts, key=lambda name: (-(counts[name] * total % size), name))
    while missing := total - sum(shares.values()):
        able = [name for name in order if room[name] - shares[name] > 1]
        for name in (able or [name for name in order if room[name] > shares[name]])[:missing]:
            shares[name] += 1
    return shares
