"""Figures 3.1 to 3.9 and C.1 to C.4: drawn from any mixture of classes, and showing the numbers they were given."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from tests.conftest import STAMP, make_alert
from twostamp.analysis.exploratory_analysis import (
    EXPLORED,
    count_whole_stamps,
    explored_metadata,
    make_metadata_table,
    name_filter_pairs,
    read_gallery,
    sample_per_class,
)
from twostamp.data.features import feature_names_two
from twostamp.plots.dataset_preparation import plot_subclass_counts
from twostamp.plots.exploratory_analysis import (
    PARTS,
    plot_both_alerts,
    plot_class_counts,
    plot_deltajd,
    plot_filter_pairs,
    plot_gallery,
    plot_histograms,
    plot_joint_metadata,
    plot_realism,
)
from twostamp.plots.style import CLASS_COLOURS

mpl.use("Agg")


def make_pairs(counts, seed=1):
    """A table of pairs with the given number of objects per class; deltajd and metadata at random."""
    rng, rows = np.random.default_rng(seed), []
    for name, count in counts.items():
        for _ in range(count):
            row = {"objectId": f"ZTF18{len(rows):07d}", "classALeRCE": name, "subclassALeRCE": name}
            row |= {"deltajd": 10 ** rng.normal(0, 1.5)}
            for alert in (1, 2):
                drawn = dict.fromkeys(("sgscore1", "rb", "classtar"), rng.random())
                drawn |= {"elong": 1 + rng.random(), "fid": int(rng.integers(1, 4)), "ncovhist": 90, "ndethist": 3}
                drawn |= {"isdiffpos": rng.choice(["t", "f"]), "ra": 99.0, "dec": 5.0, "magpsf": 18 + rng.random()}
                candidate = make_alert(**drawn)["candidate"]
                row |= {f"{field}_{alert}": value for field, value in candidate.items()}
            rows.append(row)
    return pd.DataFrame(rows) if rows else make_pairs({"SN": 1}).iloc[:0]


EVERY_MIXTURE = pytest.mark.parametrize(
    "counts",
    [{"AGN": 9, "SN": 9, "VS": 9, "asteroid": 9, "bogus": 9}, {"SN": 1}, {"VS": 2, "YSO": 3}, {}],
    ids=["all", "one object", "promoted", "no pair"],
)


def draw(figure):
    figure.canvas.draw()
    return figure


# --- what the figures are made of


def test_sample_does_not_depend_on_the_order_of_rows():
    pairs = make_pairs({"AGN": 30, "SN": 4})
    sample = sample_per_class(pairs, 10, seed=3)
    assert sample["classALeRCE"].value_counts().to_dict() == {"AGN": 10, "SN": 4}
    again = sample_per_class(pairs.sample(frac=1, random_state=1), 10, seed=3)
    pd.testing.assert_frame_equal(sample, again)
    assert set(sample_per_class(pairs, 10, seed=4)["objectId"]) != set(sample["objectId"])


def test_filters_that_are_null_or_i_are_other():
    first, second = pd.Series([1, 2, 2, 3, None]), pd.Series([1, 1, 2, 2, 1])
    assert name_filter_pairs(first, second).tolist() == ["gg", "rg", "rr", "other", "other"]


def test_whole_stamps_by_position():
    pairs = make_pairs({"SN": 2, "VS": 2})
    pairs.loc[0, "xpos_1"] = 20.0
    pairs.loc[1, "ypos_2"] = 3079.0
    table = count_whole_stamps(pairs).set_index("class")
    assert table.loc["SN"].tolist() == [2, 50, 50, 0]
    assert table.loc["all"].tolist() == [4, 75, 75, 50]


def test_metadata_table_names_every_feature():
    named = {name for names in make_metadata_table()["metadatum"] for name in names.split(", ")}
    assert {f"{name}_1" for name in named} - {"deltajd_1"} == {
        name for name in feature_names_two("thesis26") if name.endswith("_1")
    }


def test_sentinels_are_not_explored():
    pairs = make_pairs({"SN": 3})
    pairs.loc[1, "sgscore1_2"] = -999.0
    explored = explored_metadata(pairs)
    assert list(explored[1].columns) == list(EXPLORED)
    assert explored[2]["sgscore1"].isna().tolist() == [False, True, False]


def test_gallery_reads_only_the_objects_drawn(tmp_path):
    pairs = make_pairs({"AGN": 4, "SN": 1})
    stamped = pairs.assign(**{f"{kind}_1": STAMP for kind in ("science", "template", "difference")})
    stamped.to_parquet(tmp_path / "part-0.parquet")
    gallery = read_gallery(tmp_path, sample_per_class(pairs, 2, seed=1), per_class=2)
    assert {name: stamps.shape for name, stamps in gallery.items()} == {"AGN": (2, 63, 63, 3), "SN": (1, 63, 63, 3)}


# --- the figures


def test_class_counts_are_drawn():
    ax = plot_class_counts(pd.Series({"AGN": 12345, "SN": 7}), Figure().subplots())
    assert [bar.get_height() for bar in ax.patches] == [12345, 7]
    assert [text.get_text() for text in ax.texts] == ["12\u2009345", "7"]


def test_subclass_counts_are_sorted_and_coloured_by_class():
    counts = pd.DataFrame(
        {"classALeRCE": ["SN", "SN", "VS"], "subclassALeRCE": ["SNIa", "SNII", "RRL"], "objects": [5, 9, 7]}
    )
    ax = plot_subclass_counts(counts, Figure().subplots())
    assert [label.get_text() for label in ax.get_xticklabels()] == ["SNII", "RRL", "SNIa"]
    assert [bar.get_height() for bar in ax.patches] == [9, 7, 5]
    assert [mpl.colors.to_hex(bar.get_facecolor()).upper() for bar in ax.patches[:2]] == [
        CLASS_COLOURS["SN"],
        CLASS_COLOURS["VS"],
    ]
    assert [label.get_text() for label in ax.get_legend().get_texts()] == ["SN", "VS"]


def test_the_cap_is_a_line_on_a_logarithmic_axis():
    counts = pd.DataFrame({"classALeRCE": ["SN", "VS"], "subclassALeRCE": ["SNIa", "RRL"], "objects": [5, 900]})
    ax = plot_subclass_counts(counts, Figure().subplots(), cap=150)
    (line,) = ax.lines
    assert list(line.get_ydata()) == [150, 150]
    assert ax.get_yscale() == "log"
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["SN", "VS", "cap of a class: 150"]


def test_a_binary_field_is_a_bar_for_each_way_of_changing():
    signs = pd.DataFrame({"isdiffpos": [0.0, 0.0, 1.0, np.nan]})
    later = pd.DataFrame({"isdiffpos": [0.0, 1.0, 1.0, 1.0]})
    figure = plot_joint_metadata({1: signs, 2: later}, pd.Series(["SN", "SN", "VS", "VS"]), ["isdiffpos"], Figure())
    (ax,) = figure.axes
    assert [label.get_text() for label in ax.get_xticklabels()] == ["0 → 0", "0 → 1", "1 → 0", "1 → 1"]
    heights = [[bar.get_height() for bar in bars] for bars in ax.containers]
    assert sorted(heights) == [[0, 0, 0, 1], [0.5, 0.5, 0, 0]]


def test_histogram_shares_sum_to_one_with_outliers_in_the_last_bin():
    values, classes = pd.Series([0.1, 0.2, 5.0, np.nan]), pd.Series(["SN"] * 4)
    ax = plot_histograms(values, classes, np.linspace(0, 1, 5), Figure().subplots(), xlabel="x")
    np.testing.assert_allclose(ax.patches[0].get_data().values, [2 / 3, 0, 0, 1 / 3])


@EVERY_MIXTURE
def test_deltajd(counts):
    ax = plot_deltajd(make_pairs(counts), Figure().subplots())
    assert ax.get_xscale() == "log"
    assert len(ax.get_legend().get_texts()) == len(counts)
    for stairs in ax.patches:
        assert stairs.get_data().values.sum() == pytest.approx(1)
    draw(ax.figure)


@EVERY_MIXTURE
def test_both_alerts_share_their_scale(counts):
    axes = Figure().subplots(1, 2)
    plot_both_alerts(make_pairs(counts), "rb", np.linspace(0, 1, 11), axes, xlabel="rb")
    assert axes[0].get_ylim() == axes[1].get_ylim()
    draw(axes[0].figure)


@EVERY_MIXTURE
def test_filter_pairs_sum_to_one_per_class(counts):
    ax = plot_filter_pairs(make_pairs(counts), Figure().subplots())
    for name, container in zip(counts, ax.containers, strict=True):
        assert sum(bar.get_height() for bar in container) == pytest.approx(1), name
    draw(ax.figure)


@pytest.mark.parametrize("classes", [1, 2, 5, 6])
def test_gallery(classes):
    names = [*CLASS_COLOURS][:classes]
    stamps = {name: np.full((k % 3 + 1, 63, 63, 3), np.nan, np.float32) for k, name in enumerate(names)}
    stamps[names[0]] = np.random.default_rng(1).normal(size=(5, 63, 63, 3)).astype(np.float32)
    figure = draw(plot_gallery(stamps, Figure()))
    assert sum(len(ax.images) for block in figure.subfigs for ax in block.axes) == 3 * sum(map(len, stamps.values()))


@EVERY_MIXTURE
def test_joint_plots(counts):
    pairs = make_pairs(counts)
    metadata = explored_metadata(pairs)
    for names in PARTS.values():
        figure = plot_joint_metadata(metadata, pairs["classALeRCE"], names, Figure())
        assert next(ax.get_title() for ax in figure.axes if ax.get_title()).startswith(names[0])
        assert len(figure.axes) == 3 * len(names) - 2 * ("isdiffpos" in names)
        assert len(figure.legends[0].get_texts()) == len(counts)
    draw(figure)


def test_parts_share_all_the_metadata():
    assert sorted(name for names in PARTS.values() for name in names) == sorted(EXPLORED)


def test_realism_shows_every_distance_and_the_classes_that_were_scored():
    comparison = pd.DataFrame(
        {"classALeRCE": ["SN", "SN", "VS", "VS"], "feature": ["rb", "fwhm"] * 2, "ks": [0.1, 0.2, 0.3, np.nan]}
    ).assign(n_real=[2, 2, 40, 40])
    auc = pd.DataFrame({"classALeRCE": ["VS"], "auc_mean": [0.81]})
    ax = draw(plot_realism(comparison, auc, Figure().subplots()).figure).axes[0]
    np.testing.assert_array_equal(ax.collections[0].get_array().filled(np.nan), [[0.1, 0.2], [0.3, np.nan]])
    assert [label.get_text() for label in ax.get_yticklabels()] == ["SN (2 real)", "VS (40 real)\nAUC 0.81"]
