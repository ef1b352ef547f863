"""The dry run for TNS: its form, and every reason to leave a candidate out."""

import json
import re

import numpy as np
import pandas as pd
import pytest

from tests.hunter.night import make_object
from twostamp.hunter import tns
from twostamp.hunter.light_curve import read_light_curve
from twostamp.hunter.tns import TNSCatalogue, make_dry_run

WHO = {"reporting_group": "74", "reporter": "A. Author, B. Author"}
TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}")


def candidate(**changed):
    return pd.DataFrame([{"object_id": "ZTF26aaaaaaa", "ra": 10.5, "dec": -2.25, "simulated": False} | changed])


def curve(**changed):
    return read_light_curve(make_object(1)).assign(**changed)


def run(row=None, light=None, **options):
    row = candidate() if row is None else row
    return make_dry_run(row, {row["object_id"].iloc[0]: curve() if light is None else light}, **(WHO | options))


def test_the_form():
    dry_run = run(remarks="found early")
    assert dry_run.refused.empty
    report = json.loads(json.dumps(dry_run.report))["at_report"]["0"]
    assert report["ra"] == {"value": "10.5000000", "error": "", "units": "arcsec"}
    assert (report["reporting_group_id"], report["discovery_data_source_id"], report["at_type"]) == ("74", "48", "1")
    assert report["internal_name"] == "ZTF26aaaaaaa"
    photometry = report["photometry"]["photometry_group"]
    assert list(photometry) == ["0", "1"]
    assert report["discovery_datetime"] == photometry["0"]["obsdate"] > report["non_detection"]["obsdate"]
    for exposure in (*photometry.values(), report["non_detection"]):
        assert TIME.fullmatch(exposure["obsdate"])
        assert exposure["filter_value"] in tns.FILTERS.values()
        assert (exposure["instrument_value"], exposure["flux_units"]) == ("196", "1")
        assert float(exposure["limiting_flux"]) > 15
    assert float(photometry["1"]["flux"]) < float(photometry["0"]["flux"])
    assert "flux" not in report["non_detection"]


def test_without_an_earlier_limit_it_takes_the_archival_form():
    light = curve()
    (report,) = run(light=light[light["mag"].notna()]).report["at_report"].values()
    assert report["non_detection"]["archiveid"] == "0"
    assert report["non_detection"]["archival_remarks"]
    assert "obsdate" not in report["non_detection"]


def test_a_limit_of_the_partnership_is_not_reported():
    light = curve()
    latest = light.index[light["mag"].isna()][-1]
    light.loc[latest, "programid"] = 2
    assert run(light=light).report == run(light=light.drop(latest)).report


@pytest.mark.parametrize(
    ("row", "light", "reason"),
    [
        (candidate(simulated=True), curve(), "simulated"),
        (candidate(ra=361.0), curve(), "not on the sky"),
        (candidate(dec=np.nan), curve(), "not on the sky"),
        (candidate(), curve(mag=np.nan), "no detection"),
        (candidate(), curve(positive=False), "negative"),
        (candidate(), curve(programid=2), "not public"),
        (candidate(), curve(mag=30.0, positive=True), "impossible"),
        (candidate(), curve(error=np.nan), "impossible"),
        (candidate(), curve(band=""), "no ZTF filter"),
        (candidate(), curve(jd=2_600_000.5), "future"),
    ],
)
def test_reasons_to_leave_out(row, light, reason):
    dry_run = run(row, light)
    assert dry_run.report == {"at_report": {}}
    assert reason in dry_run.refused["reason"].iloc[0]


@pytest.mark.parametrize("group", ["", "0", "ALeRCE", "-3"])
def test_the_reporting_group_has_no_default(group):
    with pytest.raises(ValueError, match="reporting_group"):
        run(reporting_group=group)
    with pytest.raises(TypeError):
        make_dry_run(candidate(), {}, reporter="A. Author")


def test_somebody_reports():
    with pytest.raises(ValueError, match="reporter"):
        run(reporter=" ")


TABLES = {
    "daily list": '"2026-01-01 00:00:00"\n"objid","name","ra","declination","internal_names"\n'
    '"1","2026abc","{ra}","{dec}","ATLAS26a, {name}"\n',
    "search": "ID,Name,RA,DEC,Disc. Internal Name\n1,AT 2026abc,{hms},{dms},{name}\n",
}


@pytest.mark.parametrize("form", TABLES)
def test_what_tns_knows_is_left_out(tmp_path, form):
    near = {"ra": 10.5003, "dec": -2.2503, "hms": "00:42:00.072", "dms": "-02:15:01.08"}
    far = {"ra": 10.5103, "dec": -2.2503, "hms": "00:42:02.472", "dms": "-02:15:01.08"}
    path = tmp_path / "tns.csv"
    for place, name, found in (
        (far, "ZTF26aaaaaaa", "its name"),
        (near, "Gaia26a", "1.5 arcsec away"),
        (far, "Gaia26a", ""),
    ):
        path.write_text(TABLES[form].format(name=name, **place))
        refused = run(catalogue=TNSCatalogue(path)).refused["reason"].tolist()
        assert [found in reason for reason in refused] == ([True] if found else [])
    path.write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match="neither internal names nor coordinates"):
        TNSCatalogue(path)
