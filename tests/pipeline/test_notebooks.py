import subprocess
import sys

from twostamp.params import Parameters
from twostamp.pipeline import notebooks as reproduce
from twostamp.utils.paths import PARAMS


def test_misspelt_key_stops_before_anything_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TWOSTAMP_OUTPUTS", str(tmp_path / "outputs"))
    (tmp_path / "mine.yaml").write_text("run_name: mine\nepocs: 3\n")
    assert reproduce.main([str(tmp_path / "mine.yaml")]) == 2
    assert capsys.readouterr().err.strip() == f"{tmp_path}/mine.yaml: unknown parameter 'epocs'; did you mean 'epochs'?"
    assert not (tmp_path / "outputs").exists()


def test_missing_java_stops_before_anything_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TWOSTAMP_OUTPUTS", str(tmp_path / "outputs"))
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert reproduce.main([str(PARAMS / "quick.yaml")]) == 2
    assert capsys.readouterr().err.startswith("Spark needs Java 17 or newer: install it")
    assert not (tmp_path / "outputs").exists()


def test_fingerprints_follow_parameters_and_predecessors(tmp_path, monkeypatch):
    for name in reproduce.STANDS_ON | reproduce.EXTENDED:
        (tmp_path / f"{name}.ipynb").write_text(name)
    monkeypatch.setattr(reproduce, "NOTEBOOKS", tmp_path)
    before = reproduce.fingerprints(Parameters())
    assert before == reproduce.fingerprints(Parameters())
    assert all(mark != before[name] for name, mark in reproduce.fingerprints(Parameters(seed=1)).items())
    (tmp_path / "03_dataset_preparation.ipynb").write_text("edited")
    after = reproduce.fingerprints(Parameters())
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {name for name in before if int(name[:2]) >= 3}


def test_done_notebooks_are_not_started_again(tmp_path, monkeypatch):
    monkeypatch.setenv("TWOSTAMP_OUTPUTS", str(tmp_path / "outputs"))
    monkeypatch.setattr(reproduce, "NOTEBOOKS", tmp_path)
    started = []

    def execute(name, executed, params):
        started.append(name)
        executed.write_text("{}")
        return 1.0, 10

    for name in reproduce.STANDS_ON | reproduce.EXTENDED:
        (tmp_path / f"{name}.ipynb").write_text(name)
    monkeypatch.setattr(reproduce, "_execute", execute)
    reproduce.run_notebooks(Parameters())
    assert started == list(reproduce.STANDS_ON)
    manifest = reproduce.run_notebooks(Parameters())
    assert started == list(reproduce.STANDS_ON)
    assert all(entry["skipped"] for entry in manifest.values())
    (tmp_path / "05_model_comparison.ipynb").write_text("edited")
    reproduce.run_notebooks(Parameters())
    assert started[len(reproduce.STANDS_ON) :] == ["05_model_comparison"]


def test_extend_runs_what_is_beyond_the_thesis_and_nothing_else(tmp_path, monkeypatch):
    started = []
    monkeypatch.setattr(reproduce, "run_notebooks", lambda params, names: started.extend(names or ["all"]) or {})
    monkeypatch.setattr(reproduce, "print_summary", lambda *_: None)
    monkeypatch.setattr(reproduce, "require_java", lambda: None)
    for options in ([], ["--extend"], ["--extend", "--only", "11_calibration"]):
        assert reproduce.main([str(PARAMS / "quick.yaml"), *options]) == 0
    assert started == ["all", *reproduce.EXTENDED, "11_calibration"]
    assert not set(reproduce.EXTENDED) & set(reproduce.STANDS_ON)


def test_what_child_processes_say_goes_to_a_log(tmp_path, capfd):
    command = [sys.executable, "-c", "import sys; sys.stderr.write('from the child')"]
    with reproduce._log_of_children(tmp_path / "notebook.log"):
        subprocess.run(command, check=True)
        print("from us", file=sys.stderr)
    subprocess.run(command, check=True)
    assert (tmp_path / "notebook.log").read_text() == "from the child"
    assert capfd.readouterr().err == "from us\nfrom the child"
