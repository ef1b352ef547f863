import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests import PARAMS
from twostamp.params import ParameterError, Parameters, make_parameters, read_parameters


def test_defaults_are_quicks():
    assert read_parameters(PARAMS / "quick.yaml") == Parameters()


@pytest.mark.parametrize("name", sorted(path.stem for path in PARAMS.glob("*.yaml")))
def test_shipped_files_are_valid(name, monkeypatch):
    for variable in ("TWOSTAMP_REAL_ALERTS", "TWOSTAMP_ALERTS", "TWOSTAMP_LABELS"):
        monkeypatch.setenv(variable, "/data")
    assert read_parameters(PARAMS / f"{name}.yaml").run_name == name


def test_unset_variable_is_refused_with_the_fix(monkeypatch):
    monkeypatch.delenv("TWOSTAMP_REAL_ALERTS", raising=False)
    with pytest.raises(ParameterError, match=r"sample.yaml: parameter 'archive'.*not set; point it to a folder"):
        read_parameters(PARAMS / "sample.yaml")
    assert Parameters().real_archive == ""


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"epoch": 3}, "unknown parameter 'epoch'; did you mean 'epochs'?"),
        ({"zzz": 3}, "unknown parameter 'zzz'; remove it"),
        ({"epochs": "many"}, "parameter 'epochs' is 'many'"),
        ({"epochs": 0}, "parameter 'epochs' is 0"),
        ({"grid_crop_size": [20]}, "grid_crop_size"),
        ({"healpix_nside": 12}, "must be a power of two"),
        ({"archive": "/data"}, "both 'simulated' or both given"),
        ({"n_combinations": 3}, "the grid has only 1"),
        ({"run_name": "../x"}, "run_name"),
        ({"archive": "public", "labels": "l.csv"}, "nights is empty"),
        ({"unlabelled_from": "database"}, "database is empty"),
        ({"archive": "alerce", "labels": "assembled"}, "exactly when there is something to assemble"),
        ({"archive": "alerce", "labels": "l.csv", "label_csvs": ["m.csv"]}, "exactly when"),
        ({"broker_labels": ["SN"]}, "broker_labels"),
        ({"asteroids": -1}, "asteroids"),
        ({"search_variants": ["stacked", "stacked"]}, "['stacked', 'stacked']: holds a value twice"),
        ({"grid_learning_rate": [0.001, 1e-3]}, "[0.001, 0.001]: holds a value twice"),
        ({"training_alerts": "first", "search_variants": ["one_or_two_drift_safe"]}, "can only be stamp_23"),
        ({"cap_per_class": 50}, "cap_per_class leaves no training object"),
        ({"grid_batch_size": [64, 4]}, "grid_batch_size is 5 or more"),
        ({"night_mix": {"SN": 1, "sn": 2}}, "'sn' is none of AGN, SN, VS, asteroid, bogus"),
        ({"promote": ["yso"]}, "'yso' is none of all, QSO"),
        ({"survey_nights": 1189}, "parameter 'survey_nights' is 1189"),
        ({"ageing_nights": 365}, "parameter 'ageing_nights' is 365"),
        ({"nights": "banana"}, "parameter 'nights' is 'banana'"),
    ],
)
def test_impossible_values_are_refused_by_name(values, message):
    with pytest.raises(ParameterError) as caught:
        make_parameters(values, "a.yaml")
    assert message in str(caught.value)
    assert str(caught.value).startswith("a.yaml: ")


@pytest.mark.parametrize("nights", ["", "20180601-20180630,20190101", "2018-06-01-2018-06-30, 20190101"])
def test_nights_and_ranges_are_taken(nights):
    assert make_parameters({"nights": nights}).nights == nights


@pytest.mark.parametrize(
    "value",
    ["postgresql://me:hush@host/db", "postgresql://host/db?user=me&password=hush", "https://me:hush@archive.org/"],
)
@pytest.mark.parametrize("name", ["database", "archive", "nights_url", "broker_api_url"])
def test_a_password_is_refused_and_not_repeated(name, value, monkeypatch):
    with pytest.raises(ParameterError, match=f"'{name}' is .*holds a password") as caught:
        make_parameters({name: value, "labels": "l.csv"} if name == "archive" else {name: value})
    assert "hush" not in str(caught.value)


def test_a_connection_is_named_and_not_expanded(monkeypatch):
    monkeypatch.setenv("TWOSTAMP_DATABASE", "postgresql://me:hush@host/db")
    assert make_parameters({"database": "$TWOSTAMP_DATABASE"}).database == "$TWOSTAMP_DATABASE"
    assert make_parameters({"database": "postgresql://me@host:5432/db"}).database.startswith("postgresql://me@")


def test_missing_and_broken_files(tmp_path):
    with pytest.raises(ParameterError, match="no such parameter file"):
        read_parameters(tmp_path / "absent.yaml")
    for text, message in [("a: [", "not valid YAML"), ("- 1", "name: value")]:
        (tmp_path / "x.yaml").write_text(text)
        with pytest.raises(ParameterError, match=message):
            read_parameters(tmp_path / "x.yaml")


@given(st.integers(0, 2**31), st.integers(1, 1000))
def test_yaml_round_trip(seed, epochs):
    params = make_parameters({"seed": seed, "epochs": epochs})
    assert make_parameters(yaml.safe_load(yaml.safe_dump(params.model_dump()))) == params


@pytest.mark.parametrize(
    "values",
    [
        {"label_csvs": ["https://me:hush@host/l.csv"], "labels": "assembled"},
        {"bogus_reports": "https://me:hush@host/l.csv"},
        {"real_archive": "s3://me:hush@bucket"},
        {"database": "postgresql://me:hu/hush@host/db"},
    ],
)
def test_no_parameter_holds_a_password(values):
    with pytest.raises(ParameterError, match="holds a password") as caught:
        make_parameters(values)
    assert "hush" not in str(caught.value)
