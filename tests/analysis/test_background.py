"""Convolution and pooling equal the slow loops; examples come from alerts, whatever the archive holds."""

import gzip
import io
import tarfile

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from tests.conftest import make_alert, make_stamp
from twostamp.alerts.packet import prepare_schema, read_schema, write_packets
from twostamp.analysis import background
from twostamp.data.labels import read_labels
from twostamp.params import Parameters
from twostamp.plots import background as plots
from twostamp.plots import schematics
from twostamp.taxonomy import SUBCLASSES
from twostamp.thesis import read_catalogue

TNS_COLUMNS = ["Name", "Obj. Type", "Reporting Group/s", "Discovery Date (UT)"]

values = st.integers(-9, 9).map(float)
images = st.tuples(st.integers(4, 9), st.integers(4, 9)).flatmap(lambda shape: arrays(float, shape, elements=values))
kernels = st.integers(1, 4).flatmap(lambda side: arrays(float, (side, side), elements=values))


@given(images, kernels)
def test_slide_kernel_equals_the_loop(image, kernel):
    size = len(kernel)
    slow = [
        [(image[i : i + size, j : j + size] * kernel).sum() for j in range(image.shape[1] - size + 1)]
        for i in range(image.shape[0] - size + 1)
    ]
    np.testing.assert_allclose(background.slide_kernel(image, kernel), slow, atol=1e-9)


@given(images, st.integers(1, 4))
def test_max_pool_equals_the_loop(image, size):
    h, w = image.shape
    slow = [
        [image[i : i + size, j : j + size].max() for j in range(0, w - size + 1, size)]
        for i in range(0, h - size + 1, size)
    ]
    np.testing.assert_array_equal(background.max_pool(image, size), slow)


def test_simulated_tns_has_the_totals_of_the_thesis_and_repeats():
    supernovae = background.find_supernovae(Parameters(seed=7))
    assert background.count_by_year(supernovae).sum() == 8675
    assert list(background.count_by_year(supernovae).index) == list(range(2011, 2022))
    assert background.count_types(supernovae).sum() == 1431
    pd.testing.assert_frame_equal(supernovae, background.find_supernovae(Parameters(seed=7)))


def test_tns_export_is_read_and_only_supernovae_kept(tmp_path):
    path = tmp_path / "tns.csv"
    rows = [["SN 2020abc", "SN Ia", "ALeRCE", "2020-01-02 03:04:05"], ["AT 2020x", "CV", "ALeRCE", "2020-01-02"]]
    pd.DataFrame(rows, columns=TNS_COLUMNS).assign(RA="1:2:3").to_csv(path, index=False)
    supernovae = background.find_supernovae(Parameters(tns_csv=str(path)))
    assert list(supernovae["Name"]) == ["SN 2020abc"]
    assert background.count_by_year(supernovae).to_dict() == {2020: 1}
    path.write_text("Name\nx\n")
    with pytest.raises(ValueError, match=r"tns\.csv: column 'Obj\. Type'"):
        background.find_supernovae(Parameters(tns_csv=str(path)))


TNS_ROWS = [["SN 2020abc", "SN Ia", "ALeRCE", "2020-01-02 03:04:05.678"], ["SN 2021d", "SLSN-I", "ATLAS", "2021-02-03"]]


@pytest.mark.parametrize("form", ["bom", "semicolons", "crlf", "padded", "gz", "other case"])
def test_a_tns_export_means_the_same_however_it_is_written(tmp_path, form):
    table = pd.DataFrame([*TNS_ROWS, ["SN x", "SN Ia", "ALeRCE", ""], ["AT y", "", "ALeRCE", "?"]], columns=TNS_COLUMNS)
    path = tmp_path / "tns.csv"
    if form == "other case":
        table.columns = [name.upper().replace(" ", "_") for name in table]
    table = table.map(lambda cell: f" {cell} ") if form == "padded" else table
    text = table.to_csv(index=False, sep=";" if form == "semicolons" else ",", quoting=1)
    text = text.replace("\n", "\r\n") if form == "crlf" else text
    data = text.encode("utf-8-sig" if form == "bom" else "utf-8")
    path.write_bytes(gzip.compress(data) if form == "gz" else data)
    supernovae = background.find_supernovae(Parameters(tns_csv=str(path)))
    assert supernovae.to_numpy().tolist() == TNS_ROWS
    assert background.count_by_year(supernovae).to_dict() == {2020: 1, 2021: 1}


def test_an_export_without_a_supernova_is_refused_and_one_without_alerce_is_drawn(tmp_path):
    path = tmp_path / "tns.csv"
    pd.DataFrame([["AT y", "CV", "ALeRCE", "2020-01-01"]], columns=TNS_COLUMNS).to_csv(path, index=False)
    with pytest.raises(ValueError, match=r"tns\.csv has no supernova with a date of discovery among its 1 rows"):
        background.find_supernovae(Parameters(tns_csv=str(path)))
    none = background.count_types(pd.DataFrame(TNS_ROWS[1:], columns=TNS_COLUMNS))
    assert plots.plot_type_counts(none, Figure().subplots()).get_xlim() == (0.5, 2.0)


def alert(jd, magpsf, previous=(), objectId="a", candid=1, **more):
    fields = {"fid": 1, "sigmapsf": 0.1, "diffmaglim": 20.0, "isdiffpos": "t"}
    candidate = {"jd": jd, "magpsf": magpsf, **fields}
    prv = [{**fields, "jd": day, "magpsf": mag} for day, mag in previous]
    return {"objectId": objectId, "candid": candid, "candidate": candidate, "prv_candidates": prv, **more}


def test_light_curve_joins_alerts_and_previous_candidates_once():
    packets = [
        alert(2458010.5, 18.0, [(2458000.5, None), (2458005.5, 19.0)]),
        alert(2458020.5, 17.0, [(2458010.5, 18.0)]),
        alert(2458020.5, 15.0, objectId="b"),
    ]
    curve = background.make_light_curve(packets, "a")
    assert list(curve["mjd"]) == [58000.0, 58005.0, 58010.0, 58020.0]
    assert curve["magpsf"].isna().tolist() == [True, False, False, False]
    labels = pd.DataFrame({"objectId": ["a"], "classALeRCE": ["bogus"]})
    assert background.choose_light_curve(packets, labels.iloc[:0]) == "a"
    assert background.choose_light_curve(packets, labels) == "b"
    ax = plots.plot_light_curve(curve, Figure().subplots())
    assert ax.yaxis_inverted()


def test_triplet_prefers_a_positive_whole_supernova():
    labels = pd.DataFrame({"objectId": ["sn", "cut", "vs"], "classALeRCE": ["SN", "SN", "VS"]})
    packets = [
        make_alert("vs", 1, magpsf=14.0),
        make_alert("cut", 2, magpsf=15.0, stamps=(make_stamp(63, 50),) * 3),
        make_alert("sn", 3, magpsf=16.0, isdiffpos="f"),
        make_alert("sn", 4, magpsf=19.0),
    ]
    name, stamps = background.choose_triplet(packets, labels)
    assert name == "sn (SN)"
    assert stamps.shape == (3, 63, 63)
    assert background.choose_triplet(packets[:2], labels)[0] == "vs (VS)"
    with pytest.raises(LookupError, match="three whole stamps"):
        background.choose_triplet(packets[1:2], labels)


ODD = (
    *({"ra": 400.0}, {"isdiffpos": "maybe"}, {"jd": float("nan")}, {"magpsf": float("inf")}, {"dec": None}),
    {"programid": None},
)


def make_odd_archive(folder):
    """A newest night that is cut, and before it one sound alert of a supernova among others that cannot be meant."""
    schema = read_schema()
    candidate = next(field for field in schema["fields"] if field["name"] == "candidate")["type"]
    for field in candidate["fields"]:
        field["type"] = ["null", field["type"]] if isinstance(field["type"], str) else field["type"]
    alerts = [make_alert("odd", 10 + i, **{"magpsf": 18.0} | odd) for i, odd in enumerate(ODD)]
    alerts += [make_alert("sn", 1, magpsf=None), make_alert("sn", 2, magpsf=18.5)]
    packets = [write_packets([alert], prepare_schema(schema)) for alert in alerts]
    for night, data in {"20180101": [*packets, b"Obj", packets[-1][:500], b""], "20180102": packets[:1] * 9}.items():
        with tarfile.open(folder / f"ztf_public_{night}.tar.gz", "w:gz") as archive:
            for number, content in enumerate(data):
                entry = tarfile.TarInfo(f"{number}.avro")
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
    newest = folder / "ztf_public_20180102.tar.gz"
    newest.write_bytes(newest.read_bytes()[:-40])
    return str(folder)


def test_odd_packets_and_a_cut_night_stop_no_example(tmp_path):
    packets = background.read_newest_packets(make_odd_archive(tmp_path))
    assert [packet["candid"] for packet in packets] == [1, 2]
    labels = pd.DataFrame({"objectId": ["sn", "odd"], "classALeRCE": "SN"})
    assert background.choose_triplet(packets, labels)[0] == "sn (SN)"
    packets[0]["prv_candidates"] = [{"jd": None}, {"jd": 2458000.0, "fid": None}, {"jd": 2458000.0, "fid": 1}]
    assert background.choose_light_curve(packets, labels) == "sn"
    assert len(background.make_light_curve(packets, "sn")) == 2
    (tmp_path / "ztf_public_20180101.tar.gz").unlink()
    with pytest.raises(ValueError, match="holds no alert that can be read: notebook 01 says of each why"):
        background.read_newest_packets(str(tmp_path))


@pytest.mark.parametrize(("positive", "negative"), [("t", "f"), ("T", "F"), ("true", "false"), ("1", "0")])
def test_every_spelling_of_positive_counts_for_the_triplet(positive, negative):
    packets = [
        make_alert("sn", 1, magpsf=15.0, isdiffpos=negative),
        make_alert("sn", 2, magpsf=19.0, isdiffpos=positive),
    ]
    packets[0]["cutoutDifference"] = packets[0]["cutoutScience"] = {"stampData": make_stamp(seed=5)}
    labels = pd.DataFrame({"objectId": ["sn"], "classALeRCE": ["SN"]})
    _, chosen = background.choose_triplet(packets, labels)
    np.testing.assert_array_equal(chosen, background.choose_triplet(packets[1:], labels)[1])


def test_newest_real_packets_give_the_thesiss_own_supernova(real_alerts):
    packets = background.read_newest_packets(str(real_alerts))
    name, _ = background.choose_triplet(packets, read_labels(real_alerts / "labels.csv")[0])
    assert name == "ZTF20aaelulu (SN)"
    assert len(background.read_newest_packets(str(real_alerts), limit=5)) == 5


def test_real_archive_is_taken_as_it_is_and_a_simulated_run_makes_a_tiny_one(tmp_path):
    params = Parameters(archive="here", labels="labels.csv")
    assert background.find_alerts(params, tmp_path) == ("here", "labels.csv")
    archive, labels = background.find_alerts(Parameters(), tmp_path)
    packets, labels = background.read_newest_packets(archive), read_labels(labels)[0]
    assert background.choose_triplet(packets, labels)[0].endswith("(SN)")
    assert len(background.make_light_curve(packets, background.choose_light_curve(packets, labels))) >= 3


def test_taxonomy_draws_every_subclass():
    ax = plots.plot_taxonomy(Figure().subplots())
    texts = [text.get_text() for text in ax.texts]
    assert {sub.name for sub in SUBCLASSES} - {"bogus"} <= set(texts)
    assert {"Alert", "Real", "Bogus", "Transient", "Stochastic", "Periodic", "Solar System"} <= set(texts)


def test_every_schematic_is_drawn():
    rng = np.random.default_rng(0)
    image, small = rng.normal(size=(63, 63)), rng.integers(0, 5, (6, 6)).astype(float)
    figures = [plt.figure(figsize=(7, 3)) for _ in range(5)]
    schematics.plot_survey(figures[0])
    plots.plot_convolution(image, np.eye(10), figures[1])
    plots.plot_matrix_convolution(small, np.eye(3), figures[2], (0, 1))
    plots.plot_max_pool(small, figures[3])
    for ax, draw in zip(
        figures[4].subplots(1, 2), (schematics.plot_magnitudes, schematics.plot_perceptron), strict=True
    ):
        draw(ax)
    for figure in figures:
        figure.savefig(io.BytesIO())
        plt.close(figure)


def test_the_catalogue_has_each_item_once_and_each_number_a_title_of_its_own():
    catalogue = read_catalogue()
    items = catalogue[catalogue["kind"] != "number"]
    expected = {
        "figure": ["1.1", "1.2", *(f"2.{i}" for i in range(1, 22)), *(f"3.{i}" for i in range(1, 10))],
        "table": ["2.1", *(f"3.{i}" for i in range(1, 6)), *(f"{c}.{i}" for c in (4, 6) for i in range(1, 5))],
        "algorithm": ["B.1"],
    }
    expected["figure"] += ["4.1", "4.2", "4.3", *(f"6.{i}" for i in range(1, 13)), "A.1", "C.1", "C.2", "C.3", "C.4"]
    assert len(items) == 67
    for kind, ids in expected.items():
        assert sorted(items.loc[items["kind"] == kind, "id"]) == sorted(ids)
    assert not catalogue.duplicated(["kind", "id", "title"]).any()
    assert catalogue["source"].isin(["data", "networks", "code", "third-party"]).all()
    assert (catalogue.loc[catalogue["source"] == "third-party", "note"] != "").all()
    assert (catalogue.loc[catalogue["kind"] == "number", "thesis"] != "").all()
    assert (catalogue["title_es"] != "").all()
