"""Simulated against real: the tables are right where the answer is known, and real packets can be read."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from scipy.stats import ks_2samp

from tests.conftest import make_alert
from twostamp.alerts.packet import read_schema, write_packets
from twostamp.analysis.exploratory_analysis import (
    compare_metadata,
    find_real_alerts,
    read_found,
    read_real_alerts,
    realism_auc,
)
from twostamp.data.features import PACKET_FIELDS
from twostamp.params import Parameters
from twostamp.plots.exploratory_analysis import plot_realism
from twostamp.simulation.survey import write_survey

REAL = os.environ.get("TWOSTAMP_REAL_ALERTS", "")
needs_real_alerts = pytest.mark.skipif(not REAL, reason="TWOSTAMP_REAL_ALERTS is not set")


def make_table(n, seed, shift=0.0, name="VS"):
    values = np.random.default_rng(seed).normal(size=(n, len(PACKET_FIELDS)))
    table = pd.DataFrame(values, columns=list(PACKET_FIELDS))
    table = table.assign(isdiffpos="t", magpsf=table["magpsf"] + shift, fid=1)
    return table.add_suffix("_1").assign(classALeRCE=name)


def test_comparison_agrees_with_scipy_and_leaves_sentinels_out():
    first, second = make_table(50, 1), make_table(80, 2, shift=1.0)
    first.loc[:9, "magpsf_1"] = -999.0
    row = compare_metadata(first, second).set_index("feature").loc["magpsf"]
    assert row["missing_simulated"] == pytest.approx(0.2)
    assert row["median_real"] == pytest.approx(second["magpsf_1"].median(), abs=1e-5)
    expected = ks_2samp(first["magpsf_1"][10:].astype("f4"), second["magpsf_1"].astype("f4")).statistic
    assert row["ks"] == pytest.approx(expected)


def test_a_class_that_one_side_lacks_is_left_out():
    tables = make_table(5, 1), make_table(5, 2, name="SN")
    assert compare_metadata(*tables).empty
    assert realism_auc(*tables, seed=1).empty


def test_a_forest_finds_a_shift_and_nothing_else():
    same = realism_auc(make_table(150, 1), make_table(150, 2), seed=1)
    shifted = realism_auc(make_table(150, 1), make_table(150, 2, shift=4.0), seed=1)
    assert abs(same["auc_mean"].item() - 0.5) < 0.15
    assert shifted["auc_mean"].item() > 0.95
    assert shifted["tells"].item().startswith("magpsf")


def test_position_and_age_are_never_shown():
    moved = make_table(60, 2)
    for name in ("ndethist", "ncovhist"):
        moved[f"{name}_1"] += 50
    auc = realism_auc(make_table(60, 1), moved, seed=1)["auc_mean"].item()
    assert auc < 0.75


def test_same_seed_same_table():
    tables = make_table(40, 1), make_table(40, 2)
    pd.testing.assert_frame_equal(realism_auc(*tables, seed=7), realism_auc(*tables, seed=7))


def test_a_simulated_survey_is_read_like_a_real_one(tmp_path):
    write_survey(tmp_path, pairs_per_class=1, unlabelled_objects=1, nights=3, seed=1, workers=1)
    table = read_real_alerts(tmp_path, tmp_path / "labels.csv", year=None)
    assert table["objectId"].is_unique
    assert table.set_index("objectId")["jd_1"].notna().all()
    assert len(compare_metadata(table, table)) > 0
    with pytest.raises(ValueError, match="no alert of 1999"):
        read_real_alerts(tmp_path, tmp_path / "labels.csv", year=1999)


def test_whatever_is_wrong_with_real_packets_is_a_reason_to_compare_nothing(tmp_path, make_packet):
    params = Parameters(real_archive=str(tmp_path))
    assert find_real_alerts(Parameters(real_archive=""))[0] is None
    assert find_real_alerts(Parameters(archive="alerts", labels="labels.csv", real_archive=str(tmp_path)))[0] is None
    for name, content, message in (
        ("nothing.txt", b"", "no alert"),
        ("ztf_public_20180601.tar.gz", b"damaged", "no alert of 2018"),
        ("a.avro", make_packet("ZTF18a", 1, 2459000.5), "no alert of 2018"),
        ("b.avro", make_packet("ZTF18b", 2, 2458300.5), "labels.csv"),
        ("labels.csv", b"objectId,classALeRCE,subclassALeRCE\nZTF18c,SN,SNIa\n", "no label of the 1 objects of 2018"),
    ):
        (tmp_path / name).write_bytes(content)
        table, reason = find_real_alerts(params)
        assert table is None
        assert message in reason
    (tmp_path / "labels.csv").write_text("objectId,classALeRCE,subclassALeRCE\nZTF18b,SN,SNIa\n")
    table, reason = find_real_alerts(params)
    assert (table["objectId"].tolist(), reason) == (["ZTF18b"], "")
    comparison, auc = compare_metadata(table, table), realism_auc(table, table, seed=1)
    assert len(comparison) > 0
    assert auc.empty
    plot_realism(comparison, auc, Figure().subplots())


def test_odd_real_packets_cost_themselves_alone(tmp_path):
    schema = read_schema()
    fields = next(field for field in schema["fields"] if field["name"] == "candidate")["type"]["fields"]
    fields[:] = [field for field in fields if field["name"] not in ("rb", "elong")]
    for field in fields:
        field["type"] = ["null", *(field["type"] if isinstance(field["type"], list) else [field["type"]])]
        field["type"] = list(dict.fromkeys(field["type"]))
    odd = ({"isdiffpos": "x"}, {"ra": None}, {"jd": 1.0}, {"magpsf": float("inf")}, {"programid": None}, {})
    alerts = [make_alert(f"ZTF{i}", i + 1, **{"jd": 2458300.5} | changes) for i, changes in enumerate(odd)]
    (tmp_path / "all.avro").write_bytes(write_packets([*alerts, alerts[-1] | {"candid": 99}], schema))
    (tmp_path / "labels.csv").write_text("oid,class\n" + "".join(f"ZTF{i},VS\n" for i in range(len(odd))))
    real, reason = find_real_alerts(Parameters(real_archive=str(tmp_path)))
    assert reason == ""
    assert real["objectId"].tolist() == ["ZTF5"]
    assert compare_metadata(make_table(5, 1), real)["n_real"].eq(1).all()


@needs_real_alerts
def test_real_packets_of_2018():
    table = read_real_alerts(REAL, Path(REAL) / "labels.csv")
    counts = table["classALeRCE"].value_counts()
    assert counts["asteroid"] >= 140
    assert counts["VS"] >= 120
    assert table["jd_1"].between(2458119.5, 2458484.5).all()


def test_a_run_that_has_found_no_object_is_told_so(tmp_path):
    (tmp_path / "first_alerts.parquet").mkdir()
    pd.DataFrame({"objectId": []}).to_parquet(tmp_path / "first_alerts.parquet" / "part-00000.parquet")
    with pytest.raises(ValueError, match="holds no object: the archive has no usable alert of a labelled one"):
        read_found(tmp_path / "first_alerts.parquet")
