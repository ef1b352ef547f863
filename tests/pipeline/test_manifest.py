"""A notebook is done when it was made from these inputs and what it made is still there."""

import json
from pathlib import Path
from typing import Any

import pytest

from twostamp.params import Parameters
from twostamp.pipeline import manifest
from twostamp.pipeline.manifest import Manifest, fingerprints, list_stale
from twostamp.pipeline.notebooks import EXTENDED, STANDS_ON

SEQUENCE = STANDS_ON | EXTENDED


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TWOSTAMP_OUTPUTS", str(tmp_path / "outputs"))
    monkeypatch.setattr(manifest, "notebooks_folder", lambda: tmp_path)
    for name in SEQUENCE:
        (tmp_path / f"{name}.ipynb").write_text(name)
    return tmp_path


def test_fingerprints_follow_parameters_and_predecessors(study: Path) -> None:
    before = fingerprints(Parameters(), SEQUENCE)
    assert before == fingerprints(Parameters(), SEQUENCE)
    assert all(mark != before[name] for name, mark in fingerprints(Parameters(seed=1), SEQUENCE).items())
    (study / "03_dataset_preparation.ipynb").write_text("edited")
    after = fingerprints(Parameters(), SEQUENCE)
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {name for name in before if int(name[:2]) >= 3}


INPUTS = (
    "labels.csv",
    "tns.csv",
    "night.tar",
    "real/1.avro",
    "real/labels.csv",
    "more.csv",
    "bogus.csv",
    "model.index",
)


@pytest.mark.parametrize("changed", INPUTS)
def test_fingerprints_follow_the_content_of_every_input(study: Path, changed: str) -> None:
    (study / "real").mkdir()
    for name in INPUTS:
        (study / name).write_bytes(b"old")
    files = {"tns_csv": "tns.csv", "real_archive": "real", "archive": "night.tar", "labels": "labels.csv"}
    files |= {"alerce_checkpoint": "model"}
    values: dict[str, Any] = {name: str(study / file) for name, file in files.items()}
    params = Parameters(**values)
    if changed in ("more.csv", "bogus.csv"):
        lists = {"label_csvs": [str(study / "more.csv")], "bogus_csvs": [str(study / "bogus.csv")]}
        params = Parameters(**values | {"labels": "assembled"} | lists)
    before = fingerprints(params, SEQUENCE)
    (study / changed).write_bytes(b"NEW")
    after = fingerprints(params, SEQUENCE)
    assert all(before[name] != after[name] for name in before)


def test_fingerprints_follow_the_models_of_another_run(study: Path) -> None:
    model = study / "outputs" / "quick" / "models" / "stacked" / "model.keras"
    params = Parameters(run_name="sample", pretrained_run="quick")
    before = fingerprints(params, SEQUENCE)
    model.parent.mkdir(parents=True)
    model.write_bytes(b"weights")
    made = fingerprints(params, SEQUENCE)
    model.write_bytes(b"WEIGHTS")
    marks = (before, made, fingerprints(params, SEQUENCE))
    assert len({mark["05_model_comparison"] for mark in marks}) == 3


def write(root: Path, *files: str) -> None:
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_text(f"{file} {len(list(root.rglob('*')))}")


def make(root: Path, name: str, *files: str, mark: str = "now") -> Manifest:
    """Enter a notebook that makes files."""
    state = Manifest(root)
    before = state.list_files()
    write(root, f"notebooks/{name}.ipynb", *files)
    state.record(name, mark, before, seconds=1.0, peak_mb=2)
    state.save({name: mark})
    return Manifest(root)


MADE = ("figures/figure_6.1.png", "tables/extra_a.csv", "data/pairs.parquet/part-0.parquet", "models/stacked/card.json")


@pytest.mark.parametrize("deleted", ["notebooks/04_model_search.ipynb", "ledger.csv", *MADE])
def test_a_notebook_is_not_done_when_something_that_it_made_is_gone(tmp_path: Path, deleted: str) -> None:
    state = make(tmp_path, "04_model_search", *MADE, "ledger.csv")
    assert state.is_done("04_model_search", "now")
    assert not state.is_done("04_model_search", "then")
    assert not state.is_done("05_model_comparison", "now")
    (tmp_path / deleted).unlink()
    assert not state.is_done("04_model_search", "now")


@pytest.mark.parametrize("emptied", MADE)
def test_a_notebook_is_not_done_when_something_that_it_made_is_no_longer_whole(tmp_path: Path, emptied: str) -> None:
    state = make(tmp_path, "04_model_search", *MADE, "ledger.csv", "data/fetched.txt")
    for file in ("ledger.csv", "data/fetched.txt"):  # which grow
        (tmp_path / file).write_text("more")
    assert state.is_done("04_model_search", "now")
    (tmp_path / emptied).write_text("")
    assert not state.is_done("04_model_search", "now")


def test_what_a_later_notebook_writes_anew_leaves_the_earlier_one_done(tmp_path: Path) -> None:
    make(tmp_path, "04_model_search", *MADE)
    (tmp_path / MADE[0]).unlink()
    state = make(tmp_path, "05_model_comparison", MADE[0], "tables/other_and_longer.csv")
    (tmp_path / MADE[0]).write_text("another length")
    assert not state.is_done("04_model_search", "now")
    before = state.list_files() | {MADE[0]: (0, 0)}
    state.record("05_model_comparison", "now", before, seconds=1.0, peak_mb=2)
    assert state.is_done("04_model_search", "now")
    assert state.is_done("05_model_comparison", "now")


def test_a_manifest_of_before_is_read(tmp_path: Path) -> None:
    write(tmp_path, "notebooks/00_background.ipynb", "figures/figure_1.1.png")
    entry = {"fingerprint": "now", "outputs": ["figures/figure_1.1.png"]}
    (tmp_path / "manifest.json").write_text(
        json.dumps({"00_background": entry, "01_data_extraction": {"fingerprint": ""}})
    )
    state = Manifest(tmp_path)
    assert state.is_done("00_background", "now")
    (tmp_path / "figures/figure_1.1.png").unlink()
    assert not state.is_done("00_background", "now")


def test_what_a_killed_run_had_made_counts_as_made(tmp_path: Path) -> None:
    write(tmp_path, "models/search/a.json", "data/survey/night.tar", "data/other/b.json", "data/.half/c.json")
    made = make(tmp_path, "04_model_search", "models/search/index.json").entries["04_model_search"]["outputs"]
    assert list(made) == ["models/search/a.json", "models/search/index.json"]
    made = make(tmp_path, "01_data_extraction", "data/extraction.json").entries["01_data_extraction"]["outputs"]
    assert list(made) == ["data/extraction.json", "data/survey/night.tar"]


def test_what_a_notebook_no_longer_makes_is_removed_and_the_rest_stays(tmp_path: Path) -> None:
    kept = ("figures/extra_by_hand.png", "models/search/old.json", "data/records/x.tfrecord")
    gone = (
        "figures/extra_old.png",
        "tables/table_6.2.csv",
        "models/stamp_26/card.json",
        "models/stamp_26/network.keras",
    )
    make(tmp_path, "04_model_search", *gone, *kept[1:], *MADE)
    make(tmp_path, "05_model_comparison", "tables/extra_5.csv")
    write(tmp_path, kept[0])
    state = make(tmp_path, "04_model_search", *MADE)
    assert not any((tmp_path / file).exists() for file in gone)
    assert all((tmp_path / file).exists() for file in (*kept, *MADE, "tables/extra_5.csv"))
    assert state.is_done("04_model_search", "now")


def test_results_of_notebooks_that_would_be_others_today_are_stale(tmp_path: Path) -> None:
    make(tmp_path, "10_significance", "tables/extra_ten.csv", mark="old")
    state = make(tmp_path, "04_model_search", "tables/extra_four.csv")
    state.save({"04_model_search": "now", "10_significance": "new"})
    assert list_stale(tmp_path) == ({"10_significance"}, {"tables/extra_ten.csv"})
