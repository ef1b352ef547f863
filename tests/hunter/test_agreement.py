"""Agreement of people: Cohen's kappa against scikit-learn, disagreements, and the final list."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twostamp.hunter import cohen_kappa, list_disagreements, make_final_list, measure_agreement
from twostamp.hunter.verdicts import VERDICTS, VerdictStore

PAIRS = st.lists(st.tuples(*[st.sampled_from(VERDICTS)] * 2), min_size=1, max_size=30)


@given(PAIRS)
def test_kappa_is_scikit_learns(pairs):
    score = pytest.importorskip("sklearn.metrics").cohen_kappa_score
    first, second = (pd.Series(column) for column in zip(*pairs))
    ours = cohen_kappa(first, second)
    if len({*first, *second}) == 1:
        assert math.isnan(ours)  # chance alone explains it
    else:
        assert ours == pytest.approx(score(first, second))


@pytest.fixture
def events(tmp_path):
    path = tmp_path / "verdicts.sqlite"
    stores = {person: VerdictStore(path, person) for person in ("ana", "bo", "cy")}
    for person, said in {"ana": "SN SN bogus", "bo": "SN bogus bogus", "cy": "SN - -"}.items():
        for number, verdict in enumerate(said.split()):
            if verdict != "-":
                stores[person].add(
                    f"ZTF{number}", verdict, kind="spike" if verdict == "bogus" else "", candids=[number]
                )
    stores["ana"].add("ZTF0", "bogus", repeated=True)
    stores["ana"].add("ZTF2", "bogus", repeated=True)
    stores["cy"].add("ZTF0", "comment", comment="bright")
    return stores["ana"].events()


def test_pairs_of_people_and_each_with_herself(events):
    table = measure_agreement(events).set_index(["person", "other"])
    assert table["objects"].to_dict() == {("ana", "bo"): 3, ("ana", "cy"): 1, ("bo", "cy"): 1, ("ana", "ana"): 2}
    assert table.loc[("ana", "bo"), "same"] == pytest.approx(2 / 3)
    assert table.loc[("ana", "bo"), "kappa"] == pytest.approx(0.4)
    assert table.loc[("ana", "ana"), "same"] == 0.5
    assert np.isnan(table.loc[("ana", "cy"), "kappa"])


def test_the_final_list_and_the_disagreements(events):
    final = make_final_list(events).set_index("object_id")
    assert final["verdict"].to_dict() == {"ZTF0": "SN", "ZTF1": "unsure", "ZTF2": "bogus"}  # one against one: unsure
    assert final["people"].to_dict() == {"ZTF0": 3, "ZTF1": 2, "ZTF2": 2}
    assert final.loc["ZTF2", ["kind", "candids", "agreed"]].tolist() == ["spike", "[2]", 1.0]
    assert final.loc["ZTF0", "comments"] == "cy: bright"
    (row,) = list_disagreements(events).itertuples()
    assert (row.Index, row.ana, row.bo) == ("ZTF1", "SN", "bogus")


def test_nobody_judged_nothing(tmp_path):
    events = VerdictStore(tmp_path / "verdicts.sqlite", "ana").events()
    assert measure_agreement(events).empty
    assert make_final_list(events).empty
    assert list_disagreements(events).empty
