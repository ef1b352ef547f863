"""The simulated survey: its files are ZTF's, its physics holds, and the same seed gives the same bytes."""

import io
import json
import tarfile
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import fastavro
import numpy as np
import pandas as pd
import pytest

from twostamp.alerts.cutouts import expected_shape, read_stamp
from twostamp.alerts.packet import read_schema
from twostamp.data.labels import read_labels
from twostamp.simulation import constants as c
from twostamp.simulation.ageing import FIRST_REFERENCE, Ageing, Reference
from twostamp.simulation.conditions import FIRST_NIGHT, draw_field, draw_nights
from twostamp.simulation.images import Psf, cut_at_chip_edges, draw_points, encode_stamp, expose, render
from twostamp.simulation.light_curves import Change, draw_change
from twostamp.simulation.packets import make_alerts
from twostamp.simulation.population import share_out
from twostamp.simulation.schedule import Nights, Target, make_plan
from twostamp.simulation.survey import SurveyReport, write_survey
from twostamp.taxonomy import CLASSES, SUBCLASSES
from twostamp.utils.coordinates import sky_coordinates
from twostamp.utils.dates import julian_midnight

SMALL = {"pairs_per_class": 4, "unlabelled_objects": 8, "nights": 16, "seed": 3}
CUTOUTS = ("cutoutScience", "cutoutTemplate", "cutoutDifference")


@dataclass
class Survey:
    folder: Path
    report: SurveyReport
    packets: list[dict]
    broken: list[str]
    members: list[tuple[str, str]]
    labels: pd.DataFrame

    def whole(self):
        """Packets with three stamps of the explained shape, each candid once."""
        seen = {}
        for packet in self.packets:
            try:
                stamps = [read_stamp(packet[cutout]["stampData"]) for cutout in CUTOUTS]
            except (TypeError, ValueError):
                continue
            candidate = packet["candidate"]
            if stamps[0].shape == expected_shape(candidate["xpos"], candidate["ypos"]):
                seen[packet["candid"]] = (packet, *stamps)
        return list(seen.values())


def read_survey(folder, report):
    packets, broken, members = [], [], []
    for path in sorted(folder.glob("*.tar.gz")):
        with tarfile.open(path) as tar:
            for member in tar:
                members.append((path.name, member.name))
                try:
                    packets += fastavro.reader(io.BytesIO(tar.extractfile(member).read()))
                except EOFError:
                    broken.append(member.name)
    return Survey(folder, report, packets, broken, members, read_labels(folder / "labels.csv")[0])


def read_first_packet(alerts):
    return next(iter(fastavro.reader(io.BytesIO(alerts[0].data))))


@pytest.fixture(scope="module")
def survey(tmp_path_factory):
    folder = tmp_path_factory.mktemp("survey")
    return read_survey(folder, write_survey(folder, **SMALL, workers=2))


@pytest.fixture(scope="module")
def plan() -> tuple[Nights, list[Target]]:
    return make_plan(60, 200, 60, seed=5)


def test_any_number_of_workers_gives_the_same_bytes(survey, tmp_path):
    write_survey(tmp_path, **SMALL, workers=1)
    names = {path.name for path in survey.folder.iterdir()}
    assert names == {path.name for path in tmp_path.iterdir()}
    assert all((survey.folder / name).read_bytes() == (tmp_path / name).read_bytes() for name in names)


def test_a_finished_survey_is_not_made_again(survey):
    times = {path: path.stat().st_mtime_ns for path in survey.folder.iterdir()}
    assert write_survey(survey.folder, **SMALL).reused
    assert times == {path: path.stat().st_mtime_ns for path in survey.folder.iterdir()}


def test_a_killed_survey_is_taken_up_wherever_its_folder_is_now(tmp_path, monkeypatch):
    arguments = {"pairs_per_class": 1, "unlabelled_objects": 2, "nights": 4, "seed": 1, "workers": 1}
    with monkeypatch.context() as patch:
        patch.setattr("twostamp.simulation.survey._assemble", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            write_survey(tmp_path / "before", **arguments)
    now = (tmp_path / "before").rename(tmp_path / "now")
    with monkeypatch.context() as patch:
        patch.setattr("twostamp.simulation.survey.make_alerts", lambda *_: 1 / 0)  # the parts are there already
        write_survey(now, **arguments)
    assert not list(now.glob(".*"))


def test_a_survey_with_a_damaged_tarball_or_without_known_sizes_is_made_again(tmp_path):
    arguments = {"pairs_per_class": 1, "unlabelled_objects": 0, "nights": 2, "seed": 1, "workers": 1}
    write_survey(tmp_path, **arguments)
    contents = {path: path.read_bytes() for path in tmp_path.iterdir()}
    min(tmp_path.glob("*.tar.gz")).write_bytes(b"x")
    assert not write_survey(tmp_path, **arguments).reused
    record = json.loads((tmp_path / "survey.json").read_text())
    (tmp_path / "survey.json").write_text(json.dumps(record | {"files": list(record["files"])}))
    assert not write_survey(tmp_path, **arguments).reused
    assert contents == {path: path.read_bytes() for path in tmp_path.iterdir()}


def test_another_survey_replaces_this_one_but_nothing_else(tmp_path):
    arguments = {"pairs_per_class": 1, "unlabelled_objects": 0, "nights": 2, "workers": 1}
    first = write_survey(tmp_path, **arguments, seed=1)
    second = write_survey(tmp_path, **arguments, seed=2)
    assert not second.reused
    assert len(list(tmp_path.glob("*.tar.gz"))) <= second.nights
    assert first != second
    (tmp_path / "survey.json").unlink()
    with pytest.raises(FileExistsError, match="not a simulated survey"):
        write_survey(tmp_path, **arguments, seed=2)


def test_wrong_numbers_are_refused(tmp_path):
    with pytest.raises(ValueError, match="pairs_per_class"):
        write_survey(tmp_path, pairs_per_class=0, unlabelled_objects=0, nights=1, seed=1)


def test_packets_have_the_real_schema_and_every_field(survey):
    schema = fastavro.parse_schema(read_schema())
    assert survey.packets
    for packet in survey.packets:
        assert fastavro.validate(packet, schema)
        assert packet["candidate"]["candid"] == packet["candid"]
        assert all(np.isfinite(value) for value in packet["candidate"].values() if isinstance(value, float))


def test_members_are_named_and_sorted_by_candid(survey):
    for night in {source for source, _ in survey.members}:
        candids = [int(name.removesuffix(".avro")) for source, name in survey.members if source == night]
        assert candids == sorted(candids)


def test_alerts_are_accounted_for(survey):
    report = survey.report
    assert len(survey.members) == report.alerts + report.duplicates
    assert len({name for _, name in survey.members}) == report.alerts
    assert len(survey.broken) == 1
    assert len(survey.packets) - len(survey.whole()) >= report.faulty - len(survey.broken) == 3


def test_faults_are_the_four_that_an_archive_has(survey):
    shapes = Counter()
    for packet in survey.packets:
        candidate = packet["candidate"]
        if packet["cutoutTemplate"] is None:
            shapes["missing"] += 1
            continue
        try:
            shape = read_stamp(packet["cutoutScience"]["stampData"]).shape
        except ValueError:
            shapes["broken"] += 1
            continue
        shapes["odd" if shape != expected_shape(candidate["xpos"], candidate["ypos"]) else "whole"] += 1
    assert min(shapes[name] for name in ("missing", "broken", "odd")) >= 1


def test_stamps_are_cut_at_every_edge_and_corner(survey):
    sides = set()
    for packet, science, *_ in survey.whole():
        xpos, ypos = packet["candidate"]["xpos"], packet["candidate"]["ypos"]
        left, right = xpos < 31, xpos > c.CHIP_WIDTH - 31
        low, high = ypos < 31, ypos > c.CHIP_HEIGHT - 31
        if science.shape != (63, 63):
            sides.add((int(right) - int(left), int(high) - int(low)))
    assert sides >= {(-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1)}


@pytest.mark.parametrize(("xpos", "ypos"), [(1.0, 1540.2), (1540.5, 3079.0), (3071.6, 12.4), (20.5, 20.5)])
def test_cutting_follows_s1_and_keeps_the_source_in_place(xpos, ypos):
    image = np.zeros((63, 63))
    image[31, 31] = 1
    cut = cut_at_chip_edges(image, xpos, ypos)
    assert cut.shape == expected_shape(xpos, ypos)
    row, column = np.argwhere(cut)[0]
    assert column == 31 - max(0, 32 - round(xpos))
    assert row == 31 - max(0, 32 - round(ypos))


def test_stamps_survive_encoding():
    image = np.random.default_rng(1).normal(size=(63, 41)).astype(np.float32)
    image[3, 4] = np.nan
    np.testing.assert_array_equal(read_stamp(encode_stamp(image)), image)


def test_history_agrees_with_the_object_s_other_packets(survey):
    alerts = {packet["candid"]: packet for packet in survey.packets}
    limits = {}
    for packet in survey.packets:
        now = packet["candidate"]["jd"]
        for entry in packet["prv_candidates"] or []:
            assert now - 30 <= entry["jd"] < now
            if entry["candid"] is None:
                key = (packet["objectId"], entry["jd"])
                assert limits.setdefault(key, entry["diffmaglim"]) == entry["diffmaglim"]
            elif entry["candid"] in alerts:
                earlier = alerts[entry["candid"]]
                assert earlier["objectId"] == packet["objectId"]
                assert all(entry[name] == earlier["candidate"][name] for name in ("jd", "magpsf", "isdiffpos", "fid"))
    assert limits


def test_coverage_and_detections_grow_with_time(survey):
    table = pd.DataFrame([p["candidate"] | {"objectId": p["objectId"]} for p in survey.packets]).sort_values("jd")
    assert (table["ndethist"] <= table["ncovhist"] + 3).all()
    for _, alerts in table.drop_duplicates("candid").groupby("objectId"):
        assert alerts["ncovhist"].is_monotonic_increasing
        assert alerts["ndethist"].is_monotonic_increasing
        spread = 3600 * (alerts["dec"].max() - alerts["dec"].min())
        assert spread < 4


def test_one_exposure_gives_two_candidates_to_an_object(survey):
    keys = Counter((packet["objectId"], packet["candidate"]["jd"]) for packet, *_ in survey.whole())
    assert max(keys.values()) == 2


def test_difference_is_science_minus_template(survey):
    """Around the candidate, the sum of the difference is that of science minus template, to noise and mismatch."""
    ratios = []
    labels = survey.labels.set_index("objectId")["classALeRCE"]
    for packet, science, template, difference in survey.whole():
        candidate = packet["candidate"]
        if labels.get(packet["objectId"]) not in ("asteroid", "SN") or science.shape != (63, 63):
            continue
        box = slice(26, 37)
        sign = 1 if candidate["isdiffpos"] == "t" else -1
        change = sign * np.nansum((science - template)[box, box] - np.nanmedian(science - template))
        error = 11 * np.sqrt(np.nanvar(difference[:12]) + 1)
        ratios.append((np.nansum(difference[box, box]) - change) / error)
    assert abs(np.median(ratios)) < 1
    assert np.mean(np.abs(ratios) < 4) > 0.75


def test_asteroids_are_not_in_the_template_and_lie_near_the_ecliptic(survey):
    labels = survey.labels.set_index("objectId")["classALeRCE"]
    for packet, *_ in survey.whole():
        if labels.get(packet["objectId"]) == "asteroid":
            candidate = packet["candidate"]
            assert candidate["isdiffpos"] == "t"
            assert candidate["ssnamenr"] != "null" or candidate["ssdistnr"] < 0
        elif packet["objectId"] in labels:
            assert not 0 <= packet["candidate"]["ssdistnr"] < 10


def test_populations_follow_their_geometry(plan):
    _, targets = plan
    table = pd.DataFrame(
        [(t.class_name, t.ra, t.dec, t.latitude) for t in targets], columns=["name", "ra", "dec", "latitude"]
    )
    table["ecliptic"] = np.abs(sky_coordinates(table["ra"], table["dec"])["ecl_lat"])
    np.testing.assert_allclose(table["latitude"], sky_coordinates(table["ra"], table["dec"])["gal_lat"], atol=1e-3)
    table["galactic"] = table["latitude"].abs()
    median = table.groupby("name")[["ecliptic", "galactic"]].median()
    assert median.loc["asteroid", "ecliptic"] < 10 < median.drop("asteroid")["ecliptic"].min()
    assert median.loc["VS", "galactic"] < 20 < median.loc[["AGN", "SN"], "galactic"].min()
    assert table["dec"].min() > -31


def test_second_alerts_come_when_the_thesis_says(plan):
    _, targets = plan
    gaps = {name: [] for name in CLASSES}
    for target in targets:
        later = [visit.jd for visit in target.visits if visit.jd > target.visits[0].jd]
        if target.labelled and later:
            gaps[target.class_name].append(later[0] - target.visits[0].jd)
    within_a_day = {name: np.mean(np.array(days) < 1) for name, days in gaps.items()}
    assert min(within_a_day["asteroid"], within_a_day["SN"]) > 0.5 > max(within_a_day["AGN"], within_a_day["VS"])
    assert max(map(max, gaps.values())) > 100
    assert np.median(gaps["asteroid"]) < 0.1


def test_known_objects_have_been_detected_before():
    nights, targets = make_plan(30, 0, 16, seed=3, known_share=0.5)
    known = [target for target in targets if target.known]
    assert len(known) == pytest.approx(0.5 * len(targets), rel=0.2)
    counts = {name: [] for name in CLASSES}
    for target in known[::4]:
        if not any(visit.fault for visit in target.visits):
            packet = read_first_packet(make_alerts(target, nights, seed=3))
            counts[target.class_name].append(packet["candidate"]["ndethist"])
    medians = {name: np.median(found) for name, found in counts.items()}
    assert min(medians["AGN"], medians["VS"]) > 10 > medians["SN"] > 1 == medians["asteroid"]
    assert not any(target.known for target in make_plan(30, 0, 16, seed=3)[1])


def test_every_class_and_subclass_appears(plan):
    _, targets = plan
    pairs = Counter(target.class_name for target in targets if target.labelled and len(target.visits) > 1)
    assert pairs == {name: round(60 * c.PAIR_FACTOR.get(name, 1)) for name in CLASSES}
    assert {t.subclass for t in targets if t.labelled} == {s.name for s in SUBCLASSES if s.class_name}
    assert any(len(target.visits) == 1 for target in targets)
    assert any(len(target.visits) > 2 for target in targets)
    assert any(visit.fid == 3 for target in targets for visit in target.visits)


def test_supernovae_are_positive_off_the_nucleus_and_rise(plan):
    nights, _ = plan
    rng = np.random.default_rng(4)
    for subclass in c.SUPERNOVAE:
        first = nights.visit(0, 5.0, 2, rng)
        visits = [first, replace(first, jd=first.jd + 0.1)]
        change = draw_change("SN", subclass, visits, rng)
        assert np.hypot(change.counterpart.x, change.counterpart.y)[0] * c.PIXEL_SCALE >= c.SN_OFFSET_MINIMUM - 1e-9
        assert change.counterpart.radius[0] > 0
        assert first.detectable_flux(0) <= change.flux[0] <= change.flux[1] * 1.05


def test_an_agn_sits_on_the_nucleus_of_its_host(plan):
    nights, _ = plan
    rng = np.random.default_rng(5)
    host = draw_change("AGN", "AGN", [nights.visit(0, 5.0, 2, rng)], rng).counterpart
    np.testing.assert_array_equal(np.hypot(host.x, host.y), 0)
    assert host.radius[0] == 0 < host.radius[1]


def test_labels_say_nothing_about_the_unlabelled(survey):
    truth = pd.read_csv(survey.folder / "truth.csv")
    assert len(truth) == SMALL["unlabelled_objects"]
    assert not set(truth["objectId"]) & set(survey.labels["objectId"])


def test_nights_are_distinct_and_in_blocks():
    days = [day.toordinal() for day in draw_nights(60, np.random.default_rng(1))]
    gaps = np.diff(days)
    assert len(set(days)) == 60
    assert np.median(gaps) == 1
    assert gaps.max() > 30


@pytest.mark.parametrize(("most", "ageing"), [(1188, None), (364, Ageing(years=4))])
def test_more_nights_than_days_are_refused(most, ageing):
    """The most are those that the parameters survey_nights and ageing_nights allow."""
    assert len(make_plan(0, 0, most, seed=1, ageing=ageing)[0].days) == most * (ageing.years if ageing else 1)
    with pytest.raises(ValueError, match=f"{most + 1} nights do not fit into the {most} days from"):
        make_plan(0, 0, most + 1, seed=1, ageing=ageing)


def test_shares_are_exact():
    assert Counter(share_out(100, {"a": 0.5, "b": 0.499, "c": 0.001})) == {"a": 50, "b": 49, "c": 1}


def test_points_agree_with_the_sum_written_out():
    psf, rng = Psf(2.1, 0.04), np.random.default_rng(2)
    x, y, flux = rng.uniform(0, 62, 5), rng.uniform(0, 62, 5), rng.uniform(1, 9, 5)
    slow = np.zeros((63, 63))
    rows, columns = np.mgrid[:63, :63]
    for share, (sx, sy) in zip(c.PSF_SHARES, psf.widths()):
        for i in range(5):
            shape = np.exp(-0.5 * (((columns - x[i]) / sx) ** 2 + ((rows - y[i]) / sy) ** 2))
            slow += share * flux[i] * shape / (2 * np.pi * sx * sy)
    np.testing.assert_allclose(draw_points(x, y, flux, psf), slow, atol=1e-5)


def draw_ageing(**options):
    return make_plan(20, 10, 48, seed=5, ageing=Ageing(years=3, first_year=2, **options))[1]


def counts_of(targets, year):
    """Visits since the survey began at the first alert, of the objects of a year (from 0)."""
    start = julian_midnight(FIRST_NIGHT)
    chosen = [t for t in targets if int((t.visits[0].jd - start) / 365.25) == year]
    return [t.rate * (t.visits[0].jd - c.JD_START - t.rejuvenation) for t in chosen], chosen


def test_an_ageing_survey_has_objects_of_its_own_every_year():
    targets = draw_ageing()
    labelled = [t for t in targets if t.labelled]
    sizes = [sum(t.labelled for t in counts_of(targets, year)[1]) for year in range(3)]
    assert sum(sizes) == len(labelled)
    assert sizes[0] == pytest.approx(2 * sizes[1], rel=0.05)
    assert sizes[1] == sizes[2]
    for target in labelled:
        assert int((target.visits[0].jd - julian_midnight(FIRST_NIGHT)) / 365.25) == int(
            (target.visits[-1].jd - julian_midnight(FIRST_NIGHT)) / 365.25
        )
    assert len({t.object_id for t in targets}) == len(targets)


def test_coverage_grows_and_references_are_renewed():
    targets = draw_ageing(renewal=0.5)
    medians = [np.median(counts_of(targets, year)[0]) for year in range(3)]
    assert medians[0] * 2 < medians[1] < medians[2]
    renewed = [np.mean([t.reference != FIRST_REFERENCE for t in counts_of(targets, year)[1]]) for year in range(3)]
    assert renewed[0] == 0
    assert renewed[1] == pytest.approx(0.5, abs=0.15)
    assert renewed[2] == pytest.approx(0.75, abs=0.15)


def test_a_stationary_survey_does_not_age():
    targets = draw_ageing(grows=False)
    medians = [np.median(counts_of(targets, year)[0]) for year in range(3)]
    assert max(medians) < 1.5 * min(medians)
    assert {t.reference for t in targets} == {FIRST_REFERENCE}


def test_without_ageing_nothing_is_young_or_renewed(plan):
    assert {(t.reference, t.rejuvenation) for t in plan[1]} == {(FIRST_REFERENCE, 0.0)}
    assert (FIRST_REFERENCE.noise, FIRST_REFERENCE.depth) == (1.0, c.REFERENCE_DEPTH)


def test_a_renewed_reference_is_deeper():
    rng = np.random.default_rng(1)
    deep = Reference(c.RENEWED_FRAMES)
    shallow_field, deep_field = (draw_field(60.0, np.random.default_rng(2), r.depth) for r in (FIRST_REFERENCE, deep))
    assert len(deep_field.x) > len(shallow_field.x)
    assert deep_field.magnitude[:, 1].max() <= deep.depth
    visit = make_plan(1, 0, 2, seed=1)[1][0].visits[0]
    sky = [
        expose(
            render(shallow_field.select(shallow_field.magnitude[:, 1] > 22), visit, (31.0, 31.0), reference),
            Change(None, np.zeros(1)),
            0.0,
            rng,
        ).template
        for reference in (FIRST_REFERENCE, deep)
    ]
    assert np.nanstd(sky[1]) < 0.85 * np.nanstd(sky[0])


def test_ageing_is_part_of_what_a_survey_is(tmp_path):
    arguments = {"pairs_per_class": 1, "unlabelled_objects": 0, "nights": 2, "seed": 1, "workers": 1}
    aged = write_survey(tmp_path, **arguments, ageing=Ageing(years=2))
    assert aged.nights == 4
    assert write_survey(tmp_path, **arguments, ageing=Ageing(years=2)).reused
    assert not write_survey(tmp_path, **arguments, ageing=Ageing(years=2, grows=False)).reused
