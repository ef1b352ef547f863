"""What is copied: notebooks and parameters into a study, results into the folder under version control."""

import pytest

from tests import NOTEBOOKS, PARAMS
from twostamp.pipeline.study import copy_reference, copy_study


def names(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_a_study_has_all_notebooks_and_parameter_files(tmp_path):
    copy_study(tmp_path / "new" / "study")
    expected = [f"notebooks/{path.name}" for path in NOTEBOOKS.glob("*.ipynb")]
    expected += [f"params/{path.name}" for path in PARAMS.glob("*.yaml")]
    assert names(tmp_path / "new" / "study") == sorted(expected)


@pytest.mark.parametrize("name", ["notebooks", "params"])
def test_what_is_there_is_not_replaced(name, tmp_path):
    (tmp_path / name).mkdir()
    with pytest.raises(FileExistsError, match=f"{name} exists already"):
        copy_study(tmp_path)
    assert names(tmp_path) == []


def test_the_reference_is_a_runs_results_and_nothing_else(tmp_path, monkeypatch):
    monkeypatch.setenv("TWOSTAMP_OUTPUTS", str(tmp_path))
    for name in ("quick/ledger.csv", "quick/figures/a.png", "quick/tables/a.csv", "quick/data/a", "bench/bench.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("new")
    for name in ("figures/old.png", "bench.md", "bench.json"):
        (tmp_path / "reference" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "reference" / name).write_text("old")
    assert copy_reference("quick") == tmp_path / "reference"
    assert names(tmp_path / "reference") == ["bench.json", "bench.md", "figures/a.png", "ledger.csv", "tables/a.csv"]
    assert (tmp_path / "reference" / "bench.md").read_text() == "new"
    assert (tmp_path / "reference" / "bench.json").read_text() == "old"


@pytest.mark.parametrize("run", ["none", "reference"])
def test_a_run_without_results_changes_nothing(run, tmp_path, monkeypatch):
    monkeypatch.setenv("TWOSTAMP_OUTPUTS", str(tmp_path))
    (tmp_path / "reference").mkdir()
    (tmp_path / "reference" / "ledger.csv").write_text("old")
    with pytest.raises(ValueError, match=f"run `twostamp run {run}` first"):
        copy_reference(run)
    assert names(tmp_path / "reference") == ["ledger.csv"]
