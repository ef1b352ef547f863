import json
import subprocess
import sys

import nbformat
import pytest

from twostamp.params import Parameters, read_parameters
from twostamp.pipeline import manifest, notebooks


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
    notebooks.run_notebooks(Parameters(), ["05_model_comparison", "06_inference_time"], force=True)
    assert started[-2:] == ["05_model_comparison", "06_inference_time"]


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
