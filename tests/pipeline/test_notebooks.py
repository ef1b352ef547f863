import subprocess
import sys

from twostamp.params import Parameters
from twostamp.pipeline import notebooks


def test_fingerprints_follow_parameters_and_predecessors(tmp_path, monkeypatch):
    for name in notebooks.STANDS_ON | notebooks.EXTENDED:
        (tmp_path / f"{name}.ipynb").write_text(name)
    monkeypatch.setattr(notebooks, "notebooks_folder", lambda: tmp_path)
    before = notebooks.fingerprints(Parameters())
    assert before == notebooks.fingerprints(Parameters())
    assert all(mark != before[name] for name, mark in notebooks.fingerprints(Parameters(seed=1)).items())
    (tmp_path / "03_dataset_preparation.ipynb").write_text("edited")
    after = notebooks.fingerprints(Parameters())
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {name for name in before if int(name[:2]) >= 3}


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
    monkeypatch.setattr(notebooks, "_execute", execute)
    notebooks.run_notebooks(Parameters())
    assert started == list(notebooks.STANDS_ON)
    manifest = notebooks.run_notebooks(Parameters())
    assert started == list(notebooks.STANDS_ON)
    assert all(entry["skipped"] for entry in manifest.values())
    (tmp_path / "05_model_comparison.ipynb").write_text("edited")
    notebooks.run_notebooks(Parameters())
    assert started[len(notebooks.STANDS_ON) :] == ["05_model_comparison"]


def test_what_child_processes_say_goes_to_a_log(tmp_path, capfd):
    command = [sys.executable, "-c", "import sys; sys.stderr.write('from the child')"]
    with notebooks._log_of_children(tmp_path / "notebook.log"):
        subprocess.run(command, check=True)
        print("from us", file=sys.stderr)
    subprocess.run(command, check=True)
    assert (tmp_path / "notebook.log").read_text() == "from the child"
    assert capfd.readouterr().err == "from us\nfrom the child"
