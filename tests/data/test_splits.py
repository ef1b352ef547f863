"""Filter, levelling and split, against the literal algorithm and the thesis's Table 3.5."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twostamp.analysis.dataset_preparation import level_subclasses_by_loop, make_split_table
from twostamp.data.splits import (
    _share_out,
    cap_classes,
    count_subclasses,
    filter_pairs,
    level_subclasses,
    make_splits,
    split_objects,
)
from twostamp.params import Parameters
from twostamp.taxonomy import CLASSES

TABLE_3_5 = {  # class: subclass: training, validation, test
    "AGN": {"QSO": (22288, 150, 75), "AGN": (5844, 39, 20), "Blazar": (1568, 11, 5)},
    "SN": {
        "SNIa": (2504, 150, 75),
        "SNII": (523, 31, 16),
        "SNIbc": (159, 10, 5),
        "SNIIn": (74, 4, 2),
        "SLSN": (52, 3, 1),
        "SNIIb": (31, 2, 1),
    },
    "VS": {
        "EB/EW": (5153, 34, 17),
        "EA": (5152, 35, 17),
        "LPV": (5152, 35, 17),
        "RRL": (5152, 35, 17),
        "YSO": (5071, 34, 17),
        "RSCVn": (1451, 10, 5),
        "DSCT": (1050, 7, 4),
        "Ceph": (773, 5, 3),
        "Periodic-Other": (740, 5, 3),
        "ZZ": (6, 0, 0),
    },
}
COUNTS = st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 60), min_size=1)


def make_table(sizes: dict[str, dict[str, int]]) -> pd.DataFrame:
    rows = [(group, name) for group, parts in sizes.items() for name, size in parts.items() for _ in range(size)]
    table = pd.DataFrame(rows, columns=["classALeRCE", "subclassALeRCE"])
    return table.assign(objectId=[f"ZTF18{i:07d}" for i in range(len(table))])


SMALL = {"SN": {"SNIa": 40, "SNII": 12, "SLSN": 1}, "VS": {"RRL": 30, "YSO": 30, "ZZ": 2}, "bogus": {"bogus": 80}}


@pytest.mark.parametrize(("on", "kept"), [("both", 1), ("first", 3)])
def test_asteroids_need_a_known_body(on: str, kept: int) -> None:
    near = [(0.0, 9.99), (0.5, 10.0), (0.5, -999.0), (-999.0, 0.5), (np.nan, 0.5), (10.0, 1.0)]
    pairs = pd.DataFrame(near, columns=["ssdistnr_1", "ssdistnr_2"]).assign(classALeRCE="asteroid", deltajd=0.02)
    table, counts = filter_pairs(pairs, 100, on)
    assert len(table) == counts["kept"] == kept
    assert counts["asteroid without a known body"] == len(near) - kept


def test_other_classes_need_no_known_body() -> None:
    pairs = pd.DataFrame({"classALeRCE": ["SN", "bogus"], "deltajd": 1.0, "ssdistnr_1": -999.0, "ssdistnr_2": None})
    assert filter_pairs(pairs)[1]["kept"] == 2


def test_alerts_must_be_close_in_time_and_of_two_exposures() -> None:
    days = [0.0, -1.0, np.nan, 1e-5, 100.0, np.nextafter(100, 101)]
    pairs = pd.DataFrame({"classALeRCE": "SN", "deltajd": days, "ssdistnr_1": 1.0, "ssdistnr_2": 1.0})
    table, counts = filter_pairs(pairs, 100)
    assert table["deltajd"].tolist() == [1e-5, 100.0]
    assert counts == {
        "objects": 6,
        "kept": 2,
        "deltajd not above 0": 3,
        "deltajd above 100 d": 1,
        "asteroid without a known body": 0,
    }


def test_first_alerts_need_only_be_known_bodies() -> None:
    first = pd.DataFrame({"classALeRCE": ["SN", "asteroid", "asteroid"], "ssdistnr_1": [-999.0, -999.0, 0.5]})
    assert filter_pairs(first)[1] == {"objects": 3, "kept": 2, "asteroid without a known body": 1}


def test_unknown_asteroid_switch_is_refused() -> None:
    with pytest.raises(ValueError, match="'second': it is 'both' or 'first'"):
        filter_pairs(pd.DataFrame(), 100, "second")


@given(counts=COUNTS, cap=st.integers(0, 200))
def test_levelling_equals_the_literal_loop(counts: dict[str, int], cap: int) -> None:
    assert level_subclasses(counts, cap) == level_subclasses_by_loop(counts, cap)


@given(counts=COUNTS, total=st.integers(0, 100), taken=st.integers(0, 100))
def test_shares_are_exact_proportional_and_possible(counts: dict[str, int], total: int, taken: int) -> None:
    size = sum(counts.values())
    if total + taken > size or not size:
        return
    first = _share_out(counts, taken, room=counts)
    room = {name: counts[name] - first[name] for name in counts}
    second = _share_out(counts, total, room=room)
    assert sum(first.values()) == taken
    assert sum(second.values()) == total
    assert all(0 <= second[name] <= room[name] for name in counts)
    if all(room[name] - counts[name] * total / size >= 2 for name in counts):
        assert all(abs(second[name] - counts[name] * total / size) < 1 for name in counts)


def test_sharing_more_than_there_is_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot take 3 objects of 2"):
        _share_out({"a": 2}, 3, room={"a": 2})


@pytest.mark.parametrize("class_name", TABLE_3_5)
def test_shares_are_those_of_table_3_5(class_name: str) -> None:
    """Validation and test counts follow from the printed totals, but for one tie of the thesis's.

    EB/EW, EA, LPV and RRL were levelled to 5204 objects each, so all four have the same remainder (34.69 of 200):
    largest remainders give each of them 35 and YSO (34.15) 34. The column then sums to 201 with the printed values of
    the rest, so one of the four must lose: the thesis took EB/EW, we take the one with the last name, RRL.
    """
    rows = TABLE_3_5[class_name]
    counts = {name: sum(row) for name, row in rows.items()}
    validation = _share_out(counts, 200, room=counts)
    test = _share_out(counts, 100, room={name: counts[name] - validation[name] for name in counts})
    differing = {name for name, row in rows.items() if (validation[name], test[name]) != row[1:]}
    assert sum(row[1] for row in rows.values()) == 200
    assert differing == ({"EB/EW", "RRL"} if class_name == "VS" else set())


def test_totals_of_table_3_5() -> None:
    """The capped classes hold 30 000 objects, and the printed percentages follow from the printed totals."""
    totals = {name: sum(sum(row) for row in rows.values()) for name, rows in TABLE_3_5.items()}
    assert totals == {"AGN": 30000, "SN": 3643, "VS": 30000}
    columns = np.sum([row for rows in TABLE_3_5.values() for row in rows.values()], axis=0)
    assert columns.tolist() == [62743, 600, 300]


@pytest.mark.slow
def test_splitting_the_thesis_s_data_set_gives_table_3_5() -> None:
    sizes = {group: {name: sum(row) for name, row in rows.items()} for group, rows in TABLE_3_5.items()}
    table = make_split_table(split_objects(make_table(sizes), 200, 100, seed=1))
    printed = pd.DataFrame(
        [(group, name, *row) for group, rows in TABLE_3_5.items() for name, row in rows.items()],
        columns=table.columns,
    )
    same = ~printed["subclass"].isin(["EB/EW", "RRL"])
    pd.testing.assert_frame_equal(table[:-2][same], printed[same], check_dtype=False)
    assert table.iloc[-2, 2:].tolist() == [62743, 600, 300]
    assert table.iloc[-1, 2:].tolist() == ["98.59", "0.94", "0.47"]  # the thesis cuts 98.586 to 98.58


def test_cap_takes_from_the_largest_subclasses_only() -> None:
    capped = cap_classes(make_table(SMALL), cap=50, seed=1)
    sizes = {row.subclassALeRCE: row.objects for row in count_subclasses(capped).itertuples()}
    assert sizes == {"SNIa": 37, "SNII": 12, "SLSN": 1, "RRL": 24, "YSO": 24, "ZZ": 2, "bogus": 50}


def test_every_object_is_in_one_split_and_classes_have_their_share() -> None:
    table = make_table(SMALL)
    split = split_objects(table, 10, 5, seed=1)
    assert sorted(split["objectId"]) == sorted(table["objectId"])
    assert split["objectId"].is_unique
    counts = pd.crosstab(split["classALeRCE"], split["split"])
    assert (counts["validation"] == 10).all()
    assert (counts["test"] == 5).all()
    assert set(split.loc[split["subclassALeRCE"].isin(["ZZ", "SLSN"]), "split"]) == {"train"}


def test_draws_depend_on_seed_and_objects_not_on_order() -> None:
    def chosen(table: pd.DataFrame, seed: int) -> pd.DataFrame:
        return split_objects(cap_classes(table, 50, seed), 10, 5, seed)

    table = make_table(SMALL)
    pd.testing.assert_frame_equal(chosen(table, 1), chosen(table.sample(frac=1, random_state=3), 1))
    assert not chosen(table, 1).equals(chosen(table, 2))


def test_too_small_a_class_is_named_with_what_to_lower() -> None:
    with pytest.raises(ValueError, match=r"class SN has 53 objects.*\(40\).*\(13\).*lower validation_per_class"):
        split_objects(make_table(SMALL), 40, 13, seed=1)
    assert (split_objects(make_table(SMALL), 40, 12, seed=1)["split"] == "train").sum() == 1 + 10 + 28


@pytest.mark.parametrize("draw", [lambda t: cap_classes(t, 5, 1), lambda t: split_objects(t, 5, 5, 1)])
def test_an_object_that_occurs_twice_is_refused(draw: object) -> None:
    table = make_table(SMALL)
    with pytest.raises(ValueError, match="object ZTF180000000 occurs twice"):
        draw(pd.concat([table, table[:1]]))  # type: ignore[operator]


def test_a_split_is_filtered_capped_and_split_one_after_the_other():
    pairs = make_table(SMALL).assign(deltajd=3.0, ssdistnr_1=0.5, ssdistnr_2=0.5)
    pairs.loc[::7, "deltajd"] = 101.0
    params = Parameters(seed=3, cap_per_class=20, validation_per_class=4, test_per_class=3)
    admitted, _ = filter_pairs(pairs)
    step_by_step = split_objects(cap_classes(admitted, 20, 3), 4, 3, 3)
    objects, classes = make_splits(pairs, params)
    pd.testing.assert_frame_equal(objects, step_by_step)
    assert classes == tuple(name for name in CLASSES if name in set(pairs["classALeRCE"]))
    other, _ = make_splits(pairs, params, seed=4)
    assert set(other["objectId"]) == set(objects["objectId"])  # the cap is of the run's seed
    assert not other["split"].equals(objects["split"])


def test_no_pairs_are_no_objects_and_no_classes():
    pairs = make_table(SMALL).assign(deltajd=101.0, ssdistnr_1=0.5, ssdistnr_2=0.5)
    objects, classes = make_splits(pairs, Parameters())
    assert (len(objects), classes) == (0, ())


def test_alerts_that_are_not_public_are_left_out_unless_asked_for():
    pairs = pd.DataFrame({"classALeRCE": "SN", "deltajd": [1.0] * 4, "ssdistnr_1": -999.0, "ssdistnr_2": -999.0})
    pairs = pairs.assign(programid_1=[1, 2, 1, 1], programid_2=[1, 1, 3, 1])
    kept, counts = filter_pairs(pairs)
    assert (len(kept), counts["alerts that are not public"]) == (2, 2)
    assert counts["objects"] == sum(counts.values()) - counts["objects"]
    assert len(filter_pairs(pairs, partnership=True)[0]) == 4
    assert "alerts that are not public" not in filter_pairs(pairs[:1])[1]


def test_alerts_that_are_not_public_are_split_only_where_the_run_says_so():
    pairs = pd.DataFrame({"objectId": [f"o{i}" for i in range(20)], "classALeRCE": "SN", "subclassALeRCE": "SNIa"})
    pairs = pairs.assign(deltajd=1.0, ssdistnr_1=-999.0, ssdistnr_2=-999.0, programid_1=[1, 2] * 10, programid_2=1)
    for partnership, count in ((False, 10), (True, 20)):
        params = Parameters(partnership=partnership, validation_per_class=1, test_per_class=1)
        objects, classes = make_splits(pairs, params)
        assert (len(objects), classes) == (count, ("SN",))


def test_subclasses_are_counted_in_the_order_of_table_3_5():
    names = [("VS", "RRL"), ("SN", "SNII"), ("AGN", "QSO"), ("SN", "SNIa"), ("AGN", "AGN"), ("SN", "SNII")]
    counts = count_subclasses(pd.DataFrame(names, columns=["classALeRCE", "subclassALeRCE"]))
    assert counts["subclassALeRCE"].tolist() == ["QSO", "AGN", "SNIa", "SNII", "RRL"]
    assert counts["objects"].tolist() == [1, 1, 1, 2, 1]
    assert counts.index.tolist() == [0, 1, 2, 3, 4]
