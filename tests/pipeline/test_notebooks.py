import json
import os
import shutil
import subprocess
import sys

import nbformat
import pytest
import yaml

from twostamp import cli
from twostamp.params import Parameters, read_parameters
from twostamp.pipeline import manifest, notebooks
from twostamp.utils.paths import outputs_root


def find_chatter(notebook):
    """What the cells of an executed notebook show of standard error."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return [output["text"] for output in outputs if output.get("name") == "stderr"]


def write_notebooks(folder, *cells):
    """Notebooks of all names with one parameters cell and others."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in cells])
    notebook.cells[0].metadata["tags"] = ["parameters"]
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    for name in notebooks.STANDS_ON | notebooks.EXTENDED:
        nbformat.write(notebook, folder / f"{name}.ipynb")


def test_done_notebooks_are_not_started_again(tmp_path, monkeypatch):
    monkeypatch.setenv("TWOSTAMP_OUTPUTS", str(tmp_path / "outputs"))
    monkeypatch.setattr(notebooks, "notebooks_folder", lambda: tmp_path)
    started = []

    def execute(name, executed, params):
        started.append(name)
        executed.write_text("{}")
        return 1.0, 10

    for name in notebooks.STANDS_ON | notebooks.EXTENDED:
        (tmp_path / f"{name}.ipynb").write_text(name)
    monkeypatch.setattr(manifest, "notebooks_folder", lambda: tmp_path)
    monkeypatch.setattr(notebooks, "_execute", execute)
    notebooks.run_notebooks(Parameters())
    assert started == list(notebooks.STANDS_ON)
    entries = notebooks.run_notebooks(Parameters())
    assert started == list(notebooks.STANDS_ON)
    assert all(entry["skipped"] for entry in entries.values())
    (tmp_path / "05_model_comparison.ipynb").write_text("edited")
    notebooks.run_notebooks(Parameters())
    assert started[len(notebooks.STANDS_ON) :] == ["05_model_comparison"]
    notebooks.run_notebooks(Parameters(), ["05", "06_inference_time"], force=True)
    assert started[-2:] == ["05_model_comparison", "06_inference_time"]


MADE = {
    "01_data_extraction": ["data/pairs.parquet/part-0.parquet", "figures/figure_6.12.png", "data/labels.csv"],
    "02_exploratory_analysis": ["figures/figure_3.1.png", "tables/extra_simulated_vs_real.csv"],
    "04_model_search": ["models/stacked/card.json", "models/search/a.json", "tables/table_6.1.csv"],
}


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A run on files, and the notebooks that were executed, each of which writes `MADE`."""
    monkeypatch.setenv("TWOSTAMP_OUTPUTS", str(tmp_path / "outputs"))
    for module in (notebooks, manifest):
        monkeypatch.setattr(module, "notebooks_folder", lambda: tmp_path)
    write_notebooks(tmp_path, 'run_name = "quick"')
    (tmp_path / "alerts").mkdir()
    for night in ("ztf_public_20180601.tar.gz", "ztf_public_20180602.tar.gz"):
        (tmp_path / "alerts" / night).write_bytes(night.encode())
    (tmp_path / "labels.csv").write_text("oid,class\nZTF18a,SN\n")
    (tmp_path / "tns.csv").write_text("Name\n")
    paths = {"archive": "alerts", "labels": "labels.csv", "tns_csv": "tns.csv"}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump({name: str(tmp_path / path) for name, path in paths.items()}))
    executed = []

    def execute(name, path, params):
        executed.append(name)
        for made in (path, *(outputs_root() / "quick" / file for file in MADE.get(name, ()))):
            made.parent.mkdir(parents=True, exist_ok=True)
            made.write_text(f"{name} made this")
        return 1.0, 10

    monkeypatch.setattr(notebooks, "_execute", execute)
    monkeypatch.setattr(cli.utils, "require_java", lambda: None)
    return tmp_path, executed


def swap_bytes(path):
    path.write_bytes(path.read_bytes()[::-1])


@pytest.mark.parametrize(
    ("change", "redone"),
    [
        (lambda at: None, []),
        (lambda at: (at / "labels.csv").write_text("oid,class\nZTF18a,VS\n"), list(notebooks.STANDS_ON)),
        (lambda at: swap_bytes(at / "tns.csv"), list(notebooks.STANDS_ON)),
        (lambda at: swap_bytes(at / "alerts" / "ztf_public_20180601.tar.gz"), list(notebooks.STANDS_ON)),
        (lambda at: (at / "alerts" / "ztf_public_20180602.tar.gz").unlink(), list(notebooks.STANDS_ON)),
        (lambda at: (at / "alerts" / "2018.tar").symlink_to(at / "tns.csv"), list(notebooks.STANDS_ON)),
        (lambda at: (at / "outputs/quick/figures/figure_3.1.png").unlink(), ["02_exploratory_analysis"]),
        (lambda at: shutil.rmtree(at / "outputs/quick/figures"), ["01_data_extraction", "02_exploratory_analysis"]),
        (lambda at: shutil.rmtree(at / "outputs/quick/tables"), ["02_exploratory_analysis", "04_model_search"]),
        (lambda at: shutil.rmtree(at / "outputs/quick/data"), ["01_data_extraction"]),
        (lambda at: shutil.rmtree(at / "outputs/quick/models"), ["04_model_search"]),
        (lambda at: (at / "outputs/quick/models/search/a.json").write_text(""), ["04_model_search"]),
        (lambda at: (at / "outputs/quick/notebooks/07_unlabelled_sky.ipynb").unlink(), ["07_unlabelled_sky"]),
        (lambda at: (at / "outputs/quick/manifest.json").unlink(), list(notebooks.STANDS_ON)),
        (lambda at: write_notebooks(at, 'run_name = "other"'), list(notebooks.STANDS_ON)),
    ],
)
def test_done_is_what_was_made_from_these_inputs_and_is_still_there(study, change, redone):
    folder, executed = study
    assert cli.main(["run", str(folder / "mine.yaml")]) == 0
    assert executed == list(notebooks.STANDS_ON)
    executed.clear()
    change(folder)
    assert cli.main(["run", str(folder / "mine.yaml")]) == 0
    assert executed == redone
    executed.clear()
    assert cli.main(["run", str(folder / "mine.yaml")]) == 0
    assert executed == []
    assert cli.main(["run", str(folder / "mine.yaml"), "--force", "--only", "04_model_search"]) == 0
    assert executed == ["04_model_search"]


def test_what_did_not_come_to_run_is_stale_too(study, monkeypatch):
    folder, _ = study
    assert cli.main(["run", str(folder / "mine.yaml")]) == 0
    assert manifest.list_stale(folder / "outputs" / "quick") == (set(), set())
    swap_bytes(folder / "tns.csv")

    def stop(*_):
        raise notebooks.NotebookError("00 stopped")

    monkeypatch.setattr(notebooks, "_execute", stop)
    assert cli.main(["run", str(folder / "mine.yaml")]) == 1
    stale, files = manifest.list_stale(folder / "outputs" / "quick")
    assert stale == set(notebooks.STANDS_ON)
    assert "tables/extra_simulated_vs_real.csv" in files


def test_kernels_have_the_backends_that_the_notebooks_need(tmp_path, monkeypatch):
    for name in notebooks._KERNEL:
        monkeypatch.setenv(name, "TkAgg")
    monkeypatch.setattr(notebooks.papermill, "inspect_notebook", lambda path: {})
    seen = []
    monkeypatch.setattr(notebooks.papermill, "execute_notebook", lambda *_, **given: seen.append(given | os.environ))
    (tmp_path / "a.partial.ipynb").write_text("{}")
    before = dict(os.environ)
    notebooks._execute("a", tmp_path / "a.ipynb", Parameters())
    assert notebooks._KERNEL.items() <= seen[0].items()
    assert min(seen[0]["start_timeout"], seen[0]["iopub_timeout"]) >= 300  # a busy machine stops no notebook
    assert seen[0]["IPYTHONDIR"] != before.get("IPYTHONDIR")
    assert dict(os.environ) == before


def test_what_child_processes_say_goes_to_a_log(tmp_path, capfd):
    command = [sys.executable, "-c", "import sys; sys.stderr.write('from the child')"]
    with notebooks._log_of_children(tmp_path / "notebook.log"):
        subprocess.run(command, check=True)
        print("from us", file=sys.stderr)
    subprocess.run(command, check=True)
    assert (tmp_path / "notebook.log").read_text() == "from the child"
    assert capfd.readouterr().err == "from us\nfrom the child"


CHATTY = """
import os, subprocess, sys
from twostamp.pipeline import open_run
run = open_run("00_background", globals())
print(run.params.epochs, run.params.seed)
os.write(2, b"from a library in C\\n")
subprocess.run([sys.executable, "-c", "import sys; sys.stderr.write('from a worker')"])
"""


@pytest.mark.slow
def test_an_executed_notebook_lists_its_own_parameters_and_shows_no_chatter(tmp_path, monkeypatch):
    monkeypatch.setenv("TWOSTAMP_OUTPUTS", str(tmp_path / "outputs"))
    for module in (notebooks, manifest):
        monkeypatch.setattr(module, "notebooks_folder", lambda: tmp_path)
    startup = tmp_path / "ipython" / "profile_default" / "startup" / "mine.py"
    startup.parent.mkdir(parents=True)
    startup.write_text("stray = 1")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    write_notebooks(tmp_path, 'run_name = "quick"\nepochs = 2', CHATTY)
    params = Parameters(run_name="tiny", epochs=3, seed=7)
    notebooks.run_notebooks(params, ["00_background"])
    folder = tmp_path / "outputs" / "tiny"
    executed = nbformat.read(folder / "notebooks" / "00_background.ipynb", as_version=4)
    (injected,) = [cell for cell in executed.cells if "injected-parameters" in cell.metadata.get("tags", [])]
    assert injected.source.splitlines()[1:] == ['run_name = "tiny"', "epochs = 3"]
    assert find_chatter(executed) == []
    assert "3 7" in json.dumps(executed)
    log = (folder / "notebooks" / "00_background.log").read_text()
    assert "from a library in C" in log
    assert "from a worker" in log
    assert read_parameters(folder / "parameters.yaml") == params


@pytest.mark.slow
def test_a_notebook_that_stops_says_which_why_and_where(tmp_path, monkeypatch):
    monkeypatch.setenv("TWOSTAMP_OUTPUTS", str(tmp_path / "outputs"))
    for module in (notebooks, manifest):
        monkeypatch.setattr(module, "notebooks_folder", lambda: tmp_path)
    write_notebooks(tmp_path, 'run_name = "quick"', "1 / 0")
    with pytest.raises(notebooks.NotebookError, match="00_background stopped with ZeroDivisionError: division by zero"):
        notebooks.run_notebooks(Parameters(), ["00_background"])
    assert not (tmp_path / "outputs" / "quick" / "notebooks" / "00_background.ipynb").exists()


def test_an_unknown_notebook_is_refused_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setenv("TWOSTAMP_OUTPUTS", str(tmp_path / "outputs"))
    with pytest.raises(ValueError, match="no notebook is called 16_more; there are 00_background"):
        notebooks.run_notebooks(Parameters(), ["16_more"])
    assert not (tmp_path / "outputs").exists()
