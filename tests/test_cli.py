"""The command line: each command does what its library functions do, and refuses bad input in one sentence."""

import subprocess
import sys

import pytest
import yaml

import twostamp
from tests import PARAMS
from tests.data.test_sources import make_values
from tests.fake_alerce import Alerce, make_objects
from tests.local_server import serve
from twostamp import cli
from twostamp.params import Parameters
from twostamp.pipeline import notebooks


@pytest.fixture(autouse=True)
def outputs(tmp_path, monkeypatch):
    monkeypatch.setenv("TWOSTAMP_OUTPUTS", str(tmp_path / "outputs"))
    return tmp_path / "outputs"


@pytest.fixture
def started(monkeypatch):
    names = []
    monkeypatch.setattr(cli.utils, "require_java", lambda: None)
    monkeypatch.setattr(
        cli.pipeline, "run_notebooks", lambda params, wanted, force: names.append((params, wanted)) or {}
    )
    return names


def test_the_module_is_the_command():
    shown = subprocess.run([sys.executable, "-m", "twostamp", "--version"], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == twostamp.__version__


@pytest.mark.parametrize("arguments", [[], ["run"], ["undo", "quick"], ["download", "20180601"]])
def test_an_unknown_command_shows_the_usage(arguments, capsys):
    with pytest.raises(SystemExit, match="2"):
        cli.main(arguments)
    assert capsys.readouterr().err.startswith("usage: twostamp")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["run", "none"], "no such parameter file (there is: alerce, decide, pretrained, quick"),
        (["run", "quick", "--only", "40"], "no notebook is called 40; there are 00_background"),
        (["plan", str(PARAMS / "none.yaml")], "no such parameter file"),
        (["report", "other"], "has no ledger.csv: run `twostamp run other` first"),
        (["reference", "other"], "has no results to copy: run `twostamp run other` first"),
        (["release", "quick"], "pairs.parquet"),
        (["fetch", "quick"], "quick: a simulated run has nothing to fetch"),
        (["fetch", "none.csv", "folder"], "none.csv"),
        (["fetch", "none.csv"], "twostamp fetch none.csv FOLDER"),
        (["classify", "none", "-o", "classes.csv"], "there is no none: name a folder or URL of alerts"),
        (["run", "alerce", "--only", "40"], "no notebook is called 40; there are 00_background"),
        (["download", "2018", "folder"], "'2018' is no night"),
        (["init", "."], "exists already"),
    ],
)
def test_bad_input_is_one_sentence(arguments, sentence, outputs, capsys):
    assert cli.main(arguments) == 2
    shown = capsys.readouterr().err
    assert sentence in shown
    assert shown.count("\n") == 1
    assert not list(outputs.glob("*/*"))


def test_a_misspelt_key_stops_before_anything_runs(tmp_path, started, outputs, capsys):
    (tmp_path / "mine.yaml").write_text("run_name: mine\nepocs: 3\n")
    assert cli.main(["run", str(tmp_path / "mine.yaml")]) == 2
    assert capsys.readouterr().err.strip() == f"{tmp_path}/mine.yaml: unknown parameter 'epocs'; did you mean 'epochs'?"
    assert started == []
    assert not outputs.exists()


def test_a_folder_without_any_packet_is_told(tmp_path, capsys):
    (tmp_path / "note.avro").write_text("not a packet")
    assert cli.main(["classify", str(tmp_path), "-o", str(tmp_path / "classes.csv")]) == 1
    shown = capsys.readouterr()
    assert shown.out.endswith(f"\n0 objects of {tmp_path} are in {tmp_path}/classes.csv\n")
    assert shown.err.startswith("1 packets were left out")


def test_missing_java_stops_before_anything_runs(tmp_path, monkeypatch, outputs, capsys):
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert cli.main(["run", "quick"]) == 2
    assert capsys.readouterr().err.startswith("Spark needs Java 17 or newer: install it")
    assert not outputs.exists()


def test_extend_runs_what_is_beyond_the_thesis_and_nothing_else(started):
    for arguments in (["run", "quick"], ["extend", "quick"], ["extend", "quick", "--only", "11_calibration"]):
        assert cli.main(arguments) == 0
    assert [params for params, _ in started] == [Parameters()] * 3
    assert [names for _, names in started] == [
        list(notebooks.STANDS_ON),
        list(notebooks.EXTENDED),
        ["11_calibration"],
    ]
    assert not set(notebooks.EXTENDED) & set(notebooks.STANDS_ON)


def test_a_notebook_that_stops_is_named(monkeypatch, started, capsys):
    def stop(params, names, force):
        raise notebooks.NotebookError("04 stopped")

    monkeypatch.setattr(cli.pipeline, "run_notebooks", stop)
    assert cli.main(["run", "quick"]) == 1
    assert capsys.readouterr().err == "04 stopped\n"


def test_a_missing_extra_is_named(monkeypatch, started, capsys):
    def need(params, names, force):
        raise ModuleNotFoundError("No module named 'galsim'", name="galsim")

    monkeypatch.setattr(cli.pipeline, "run_notebooks", need)
    assert cli.main(["run", "quick"]) == 2
    assert capsys.readouterr().err == 'galsim is not installed: pip install "twostamp[simulation]"\n'


def test_a_run_fetches_before_it_starts_and_refuses_what_it_cannot_have(tmp_path, started, outputs, capsys):
    values = {"run_name": "mine", "archive": "/somewhere", "labels": "assembled"}
    values["label_csvs"] = [str(tmp_path / "l.csv")]
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(values))
    assert cli.main(["run", str(tmp_path / "mine.yaml")]) == 2
    assert "l.csv" in capsys.readouterr().err
    assert started == []
    (tmp_path / "l.csv").write_text("objectId,classALeRCE\nZTF18a,SNIa\n")
    assert cli.main(["run", str(tmp_path / "mine.yaml")]) == 0
    assert [params.run_name for params, _ in started] == ["mine"]
    assert (outputs / "mine" / "data" / "labels.csv").exists()


def test_fetch_takes_a_run(tmp_path, outputs, capsys):
    objects = make_objects(60, seed=3)
    names = list(objects)
    with serve(Alerce(objects, {"SNIa": names[:10], "bogus": names[8:20], "AGN": names[20:30]})) as server:
        server.names = names
        (tmp_path / "sky.yaml").write_text(yaml.safe_dump(make_values(server, tmp_path)))
        assert cli.main(["fetch", str(tmp_path / "sky.yaml")]) == 0
    assert (outputs / "sky" / "data" / "labels.csv").exists()
    assert "with two alerts" in capsys.readouterr().out


def test_a_csv_without_object_ids_is_refused(tmp_path, capsys):
    (tmp_path / "l.csv").write_text("name\nZTF18a\n")
    assert cli.main(["fetch", str(tmp_path / "l.csv"), str(tmp_path / "alerts")]) == 2
    assert capsys.readouterr().err == f"{tmp_path / 'l.csv'} has no column 'objectId'; it has name\n"


@pytest.mark.parametrize(
    "command", [["fetch", "l.csv", "alerts"], ["download", "20180601", "alerts", "--objects", "l.csv"]]
)
def test_a_list_of_no_objects_is_refused(tmp_path, capsys, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "l.csv").write_text("objectId\n\n")
    assert cli.main(command) == 2
    assert capsys.readouterr().err == "l.csv names no object\n"
    assert not (tmp_path / "alerts").exists()


def test_labels_of_no_object_are_refused_before_anything_runs(tmp_path, capsys, started):
    (tmp_path / "l.csv").write_text("objectId,classALeRCE,subclassALeRCE\n")
    values = {"run_name": "mine", "archive": str(tmp_path), "labels": str(tmp_path / "l.csv")}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(values))
    assert cli.main(["run", str(tmp_path / "mine.yaml")]) == 2
    assert capsys.readouterr().err == f"{tmp_path / 'l.csv'} labels no object: 0 rows read\n"
    assert started == []
