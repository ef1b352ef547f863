"""Cones that tile the sky, a selection equal to the slow obvious one, maps that keep every object."""

import healpy
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from sklearn.neighbors import BallTree

from twostamp.alerts.extraction import extract_first_two, read_objects
from twostamp.analysis import unlabelled_sky as sky
from twostamp.params import Parameters, make_parameters
from twostamp.plots.sky_maps import plot_sky_maps
from twostamp.simulation.survey import write_survey
from twostamp.utils.coordinates import add_coordinates, ecliptic_line
from twostamp.utils.healpix import healpix_counts, sample_density, write_healpix_counts


def covered_fraction(centres, radius, points):
    """Share of points (right ascension, declination; degrees) inside at least one cone."""
    tree = BallTree(np.radians(centres[:, ::-1]), metric="haversine")
    distance, _ = tree.query(np.radians(points[:, ::-1]))
    return np.mean(distance <= np.radians(radius))


directions = st.lists(
    st.tuples(st.floats(0, 360, exclude_max=True), st.floats(-90, 90)), min_size=1, max_size=40, unique=True
)


def make_objects(points, n_alerts=2):
    ra, dec = np.array(points, dtype=float).T
    return pd.DataFrame({"objectId": [f"o{i:03d}" for i in range(len(points))], "ra": ra, "dec": dec}).assign(
        n_alerts=n_alerts
    )


def test_grid_of_the_thesis_has_614_distinct_centres():
    centres = sky.cone_centres(10)
    assert len(centres) == 614
    separation = SkyCoord(*centres.T * u.deg)
    _, nearest, _ = separation.match_to_catalog_sky(separation, nthneighbor=2)
    assert nearest.deg.min() > 1.7  # the ring at declination 80, not the poles 36 times over
    assert sky.cone_centres(10, min_dec=-31)[:, 1].min() == -30


@given(directions)
@settings(deadline=None)
def test_default_cones_tile_the_sphere(points):
    centres = sky.cone_centres(Parameters().cone_step)
    assert covered_fraction(centres, Parameters().cone_radius, np.array(points)) == 1


def test_half_of_two_points_lies_in_polar_cones():
    poles = np.array([[0.0, 90.0], [0.0, -90.0]])
    assert covered_fraction(poles, 45, np.array([[10.0, 80.0], [10.0, 0.0]])) == 0.5


def test_a_smaller_radius_leaves_gaps():
    assert covered_fraction(sky.cone_centres(10), 7.0, np.array([[5.0, 5.0]])) == 0


@given(directions, st.floats(1, 30))
@settings(deadline=None, max_examples=30)
def test_cones_of_an_object_are_those_of_the_slow_obvious_way(points, radius):
    centres = sky.cone_centres(60)
    (found,) = sky.find_cones([make_objects(points)], centres, radius)
    at, around = (SkyCoord(*np.array(p, dtype=float).T * u.deg) for p in (points, centres))
    distance = at[:, None].separation(around[None]).deg
    for cones, distances in zip(found["cones"], distance, strict=True):
        near_edge = set(np.flatnonzero(np.abs(distances - radius) < 1e-6))
        assert set(cones) - near_edge == set(np.flatnonzero(distances <= radius)) - near_edge
        assert cones == sorted(cones)


def select(spark, objects, *args, labelled=(), parts=2):
    """The selection as a table of pandas, from objects spread over some partitions."""
    frame = spark.createDataFrame(objects.assign(labelled=objects["objectId"].isin(labelled))).repartition(parts)
    selected, counts = sky.select_in_cones(frame, *args)
    assert counts["objects in the archive"] == len(objects)
    assert 2 * len(objects) == sum(counts.values())
    return selected.toPandas().sort_values("objectId", ignore_index=True), counts


@pytest.mark.slow
def test_cap_holds_and_neither_order_nor_parts_matter(spark, tmp_path):
    rng = np.random.default_rng(0)
    objects = make_objects(rng.uniform(5, 45, (300, 2)), n_alerts=rng.integers(1, 4, 300))
    args = (sky.cone_centres(20), 12, 15, 7, tmp_path)
    labelled = ["o001", "o002"]
    selected, counts = select(spark, objects, *args, labelled=labelled)
    again, _ = select(spark, objects.sample(frac=1, random_state=1), *args, labelled=labelled, parts=5)
    pd.testing.assert_frame_equal(selected, again)
    assert selected["objectId"].is_unique
    assert not set(labelled) & set(selected["objectId"])
    assert selected["cone"].value_counts().max() <= 15
    assert counts["selected"] == len(selected) > 30
    assert counts["beyond the cap of their cones"] > 0
    assert counts["too few alerts"] == ((objects["n_alerts"] < 2) & ~objects["objectId"].isin(labelled)).sum()
    whole, _ = select(spark, objects, sky.cone_centres(20), 12, 1000, 7, tmp_path)
    (cones,) = sky.find_cones([whole], sky.cone_centres(20), 12)
    assert whole["cone"].tolist() == [inside[0] for inside in cones["cones"]]
    other, _ = select(spark, objects, *args[:3], 8, tmp_path)
    assert set(other["objectId"]) != set(selected["objectId"])
    assert [path.name for path in tmp_path.iterdir()] == [sky.SELECTED]


@pytest.mark.slow
def test_no_objects_select_nothing(spark, tmp_path):
    objects = make_objects([(0, 0)], n_alerts=1)
    selected, counts = select(spark, objects, sky.cone_centres(10), 7.1, 5, 0, tmp_path)
    assert selected.empty
    assert counts["too few alerts"] == 1


@pytest.mark.slow
def test_the_keys_of_the_labelled_objects_serve_the_unlabelled_ones(spark, tmp_path):
    survey = tmp_path / "survey"
    write_survey(survey, pairs_per_class=2, unlabelled_objects=30, nights=10, seed=3, workers=1)
    labels = pd.read_csv(survey / "labels.csv")
    extract_first_two(spark, str(survey), labels, tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("keys-*/*")}
    archive, selected, counts = sky.find_unlabelled(spark, make_parameters({"min_dec": -90.0}), tmp_path)
    report = extract_first_two(spark, archive, selected[["objectId"]], tmp_path, prefix="unlabelled_")
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("keys-*/*")} == before
    assert len(before) == 10
    truth = pd.read_csv(survey / "truth.csv")
    names = {row.objectId for row in selected.collect()}
    assert names <= set(truth["objectId"])
    found = {row.objectId for row in read_objects(spark, archive, tmp_path).collect()}
    assert counts["labelled"] == len(found & set(labels["objectId"]))
    assert counts["outside every cone"] == 0
    assert report.objects["wanted"] == report.objects["found in the archive"] == counts["selected"] == len(names) > 5
    assert len(pd.read_parquet(tmp_path / "unlabelled_pairs.parquet")) == report.objects["with two alerts"] > 0


def make_predictions(n=500):
    rng = np.random.default_rng(3)
    predicted = rng.choice(["AGN", "SN", "VS", "asteroid"], n)
    return pd.DataFrame({"ra": rng.uniform(0, 360, n), "dec": rng.uniform(-31, 90, n), "predicted": predicted})


def test_maps_hold_every_object_at_its_galactic_place():
    predictions = make_predictions()
    counts = healpix_counts(predictions, 8)
    assert {name: c.sum() for name, c in counts.items()} == {
        **predictions["predicted"].value_counts().to_dict(),
        "bogus": 0,
    }
    longitude, latitude = healpy.Rotator(coord=["C", "G"])(
        predictions["ra"].to_numpy(), predictions["dec"].to_numpy(), lonlat=True
    )
    pixels = healpy.ang2pix(8, longitude, latitude, lonlat=True)
    np.testing.assert_array_equal(sum(counts.values()), np.bincount(pixels, minlength=768))


def test_density_integrates_to_the_number_of_objects():
    counts = np.random.default_rng(1).integers(0, 9, healpy.nside2npix(4))
    density = sample_density(counts, (360, 720))
    latitude = np.radians(np.arange(360) * 0.5 - 89.75)
    assert (density.sum(axis=1) * np.cos(latitude)).sum() * 0.25 == pytest.approx(counts.sum(), rel=0.01)


def test_ecliptic_line_lies_on_the_ecliptic():
    longitude, latitude = ecliptic_line(50)
    position = SkyCoord(longitude * u.deg, latitude * u.deg, frame="galactic").icrs
    located = add_coordinates(pd.DataFrame({"ra": position.ra.deg, "dec": position.dec.deg}))
    assert located["ecl_lat"].abs().max() < 1e-6


def test_expectations_can_fail_or_be_untold():
    predictions = make_predictions()
    medians = sky.median_latitudes(predictions)
    assert medians.loc["bogus", "objects"] == 0
    swapped = predictions.assign(predicted="SN")
    swapped.loc[0, ["ra", "dec", "predicted"]] = [266.4, 61.0, "VS"]
    table = sky.check_expectations(sky.median_latitudes(swapped)).set_index("expectation")
    verdicts = table["verdict"]
    assert table["found"].iloc[1].endswith("deg (n = 1)")
    assert f"deg (n = {len(swapped) - 1}) against" in table["found"].iloc[1]
    assert table["found"].iloc[0] == "-"
    assert list(verdicts) == [
        "no objects to tell",
        "holds" if sky.median_latitudes(swapped)["median |b| (deg)"].idxmax() == "SN" else "does not hold",
        "no objects to tell",
    ]


def test_maps_are_drawn_for_any_classes_even_empty_ones():
    for n in (500, 2500):
        predictions = make_predictions(n)
        figure = plot_sky_maps(
            predictions, healpix_counts(predictions, 4, ["AGN", "SN", "YSO"]), Figure(figsize=(7, 5))
        )
        titles = [ax.get_title() for ax in figure.axes if ax.get_title()]
        assert titles[2] == "Predicted YSO (0 objects)"
        assert titles[3].startswith("All (")


def test_few_objects_are_points_in_the_colour_of_their_class_at_their_place():
    predictions = pd.DataFrame({"ra": [266.405, 192.859], "dec": [-28.936, 27.128], "predicted": ["SN", "AGN"]})
    sn, agn, everything = plot_sky_maps(predictions, healpix_counts(predictions, 4, ["SN", "AGN"]), Figure()).axes[:3]
    places = [ax.collections[0].get_offsets().data for ax in (sn, agn, everything)]
    np.testing.assert_allclose(places[0], [[0, 0]], atol=1e-3)  # the centre of the Galaxy
    assert np.degrees(places[1][0, 1]) == pytest.approx(90, abs=0.01)  # its pole
    np.testing.assert_array_equal(places[2], np.vstack(places[:2]))
    assert len(np.unique(everything.collections[0].get_facecolors(), axis=0)) == 2


def test_many_objects_are_densities_on_one_scale():
    predictions = make_predictions(2500)
    predictions.loc[:600, "predicted"] = "SN"
    figure = plot_sky_maps(predictions, healpix_counts(predictions, 4, ["AGN", "SN"]), Figure())
    meshes = [ax.collections[0] for ax in figure.axes[:3]]
    assert len({(mesh.norm.vmin, mesh.norm.vmax) for mesh in meshes}) == 1
    assert meshes[2].norm.vmax == max(mesh.get_array().max() for mesh in meshes)
    assert sum(ax.get_label() == "<colorbar>" for ax in figure.axes) == 1


def test_counts_of_many_parts_are_the_counts_of_all(tmp_path):
    predictions = make_predictions()
    for number, part in enumerate(np.array_split(np.arange(len(predictions)), 3)):
        predictions.iloc[part].to_parquet(tmp_path / f"part-{number}.parquet")
    predictions.iloc[:0].to_parquet(tmp_path / "part-9.parquet")
    maps = write_healpix_counts(tmp_path, tmp_path.parent / "maps.parquet", 4)
    expected = healpix_counts(predictions, 4)
    assert maps["pixel"].tolist() == list(range(192))
    for name, counts in expected.items():
        np.testing.assert_array_equal(maps[name], counts)
    stored = pq.read_table(tmp_path.parent / "maps.parquet")
    pd.testing.assert_frame_equal(stored.to_pandas(), maps)
    metadata = {name: stored.schema.metadata[name] for name in (b"nside", b"ordering", b"frame")}
    assert metadata == {b"nside": b"4", b"ordering": b"RING", b"frame": b"galactic"}
