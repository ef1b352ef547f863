"""Data sets with classes of their own: cap, split, refusal."""

import numpy as np
import pandas as pd
import pytest

from tests.data.test_splits import SMALL, make_table
from twostamp.analysis.additional_classes import (
    PromotionError,
    drop_small_classes,
    promote_all,
    promote_pairs,
    promote_subclasses,
    train_promoted,
)
from twostamp.analysis.metadata_importance import train_ablations
from twostamp.data.splits import cap_classes, split_objects
from twostamp.params import Parameters

PARAMS = Parameters(cap_per_class=60, validation_per_class=10, test_per_class=10)


def make_pairs(counts):
    rows = [(c, s) for (c, s), n in counts.items() for _ in range(n)]
    table = pd.DataFrame(rows, columns=["classALeRCE", "subclassALeRCE"])
    ids = [f"ZTF18{i:06d}" for i in range(len(table))]
    return table.assign(objectId=ids, deltajd=1.0, ssdistnr_1=1.0, ssdistnr_2=1.0)


COUNTS = {("SN", "SNIa"): 90, ("VS", "RRL"): 90, ("VS", "YSO"): 30, ("VS", "ZZ"): 3, ("AGN", "QSO"): 50}


def test_a_promoted_class_has_its_own_cap_and_a_fifth_in_each_set():
    data = promote_pairs(make_pairs(COUNTS), ["YSO"], PARAMS)
    assert data.classes == ("AGN", "SN", "VS", "YSO")
    assert data.per_class == {"validation": 6, "test": 6}
    sizes = pd.crosstab(data.table["classALeRCE"], data.table["split"])
    assert (sizes[["validation", "test"]] == 6).all(axis=None)
    assert sizes.sum(axis=1).to_dict() == {"AGN": 50, "SN": 60, "VS": 60, "YSO": 30}
    assert data.table["objectId"].is_unique


def test_a_large_class_keeps_the_run_s_own_split():
    data = promote_pairs(make_pairs(COUNTS | {("VS", "YSO"): 70}), ["YSO"], PARAMS)
    assert data.per_class == {"validation": 10, "test": 6 + 4}


def test_every_subclass_a_class_drops_and_counts_the_small():
    data = promote_pairs(make_pairs(COUNTS | {("SN", "SN-unspecified"): 40}), ["all"], PARAMS)
    assert data.classes == ("QSO", "SNIa", "RRL", "YSO")
    assert data.dropped == {"SN-unspecified": 40, "ZZ": 3}
    assert data.per_class == {"validation": 10, "test": 10}
    assert (data.table.groupby(["classALeRCE", "split"]).size() > 0).all()


@pytest.mark.parametrize(
    ("names", "reason"),
    [(["ZZ"], "subclass ZZ has 3 pairs"), (["Blazar"], "no object of subclass Blazar")],
)
def test_what_cannot_be_promoted_says_why(names, reason):
    with pytest.raises(PromotionError, match=reason):
        promote_pairs(make_pairs(COUNTS), names, PARAMS)


def test_too_few_classes_are_refused():
    with pytest.raises(PromotionError, match="add alerts"):
        promote_pairs(make_pairs({("SN", "SNIa"): 30, ("VS", "RRL"): 5}), ["all"], PARAMS)


def test_one_refusal_does_not_stop_the_others():
    params = PARAMS.model_copy(update={"promote": ["ZZ", "all"]})
    promoted, refused = promote_all(make_pairs(COUNTS), params)
    assert list(promoted) == ["all"]
    assert list(refused) == ["ZZ"]


def test_the_subclasses_named_share_a_data_set():
    params = PARAMS.model_copy(update={"promote": ["YSO", "RRL", "all"]})
    assert list(promote_all(make_pairs(COUNTS), params)[0]) == ["YSO-RRL", "all"]
    assert promote_all(make_pairs(COUNTS), PARAMS.model_copy(update={"promote": []})) == ({}, {})


def test_the_split_depends_on_the_objects_and_not_on_their_order():
    pairs = make_pairs(COUNTS)
    shuffled = pairs.iloc[np.random.default_rng(1).permutation(len(pairs))]
    tables = [promote_pairs(table, ["YSO"], PARAMS).table for table in (pairs, shuffled)]
    pd.testing.assert_frame_equal(*tables)


def test_a_run_without_a_stacked_classifier_trains_nothing(tmp_path):
    promoted, _ = promote_all(make_pairs(COUNTS), PARAMS)
    assert train_promoted(promoted, None, tmp_path, tmp_path, tmp_path, PARAMS) == {}
    assert train_ablations(["stacked_stamps"], None, tmp_path, tmp_path, PARAMS) == {}


def test_promoting_one_subclass_keeps_the_rest_of_its_class() -> None:
    table = make_table(SMALL)
    promoted, classes = promote_subclasses(table, ["YSO"])
    assert classes == ("SN", "VS", "bogus", "YSO")
    assert promoted["classALeRCE"].value_counts().to_dict() == {"bogus": 80, "SN": 53, "VS": 32, "YSO": 30}
    assert table["classALeRCE"].nunique() == 3


def test_promoting_all_drops_and_counts_what_is_too_small() -> None:
    table = make_table(SMALL | {"AGN": {"QSO": 20, "AGN": 20, "AGN-unspecified": 50}})
    promoted, classes = promote_subclasses(table, ["all"])
    kept, classes, dropped = drop_small_classes(promoted, classes, minimum=12)
    assert classes == ("QSO", "AGN", "SNIa", "SNII", "RRL", "YSO", "bogus")
    assert dropped == {"AGN-unspecified": 50, "SLSN": 1, "ZZ": 2}
    assert len(kept) + sum(dropped.values()) == len(table)
    split = split_objects(cap_classes(kept, 25, 1), 6, 5, seed=1)
    assert split.groupby("classALeRCE").size().loc[list(classes)].tolist() == [20, 20, 25, 12, 25, 25, 25]


def test_impossible_promotions_are_refused() -> None:
    with pytest.raises(ValueError, match="no object of subclass QSO"):
        promote_subclasses(make_table(SMALL), ["QSO"])
    with pytest.raises(ValueError, match="subclass AGN has the name of its class"):
        promote_subclasses(make_table({"AGN": {"AGN": 3, "QSO": 3}}), ["AGN"])
