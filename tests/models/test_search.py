"""The search: what is drawn, that it resumes, that it repeats for any number of workers, and that nothing is lost."""

import json
import multiprocessing
import shutil
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import psutil
import pytest

from tests.conftest import make_stamp
from twostamp.data.features import PACKET_FIELDS
from twostamp.data.tfrecord_writer import write_records
from twostamp.data.tfrecords import Records
from twostamp.models.inference import predict
from twostamp.models.results import SearchResults
from twostamp.models.search import (
    draw_seeds,
    make_jobs,
    make_repeats,
    make_trials,
    run_groups,
    run_trials,
    sample_combinations,
    train_repeats,
)
from twostamp.models.training import Hyperparameters
from twostamp.models.trial import Job, TrainingConfig, Trial, run_job
from twostamp.params import Parameters
from twostamp.utils.files import write_json

CLASSES = ("AGN", "SN", "bogus")
SMALL = Hyperparameters(3, 21, 6, 1e-3, 0.3)
TINY = Parameters(
    grid_kernel_size=[3],
    grid_batch_size=[6],
    search_variants=["stamp_23", "stacked"],
    n_combinations=1,
    n_repetitions=1,
    epochs=1,
    workers=2,
)
SEEDS, DRAWN = (1614486972, 460993623), [1575802435, 672139453]
FULL_GRID: dict[str, Any] = {
    "grid_kernel_size": [3, 5],
    "grid_crop_size": [21, 42, 63],
    "grid_batch_size": [64, 128, 256],
    "grid_learning_rate": [1e-4, 1e-3, 5e-3],
    "grid_dropout_rate": [0.3, 0.5],
}


def make_records(folder: Path, seed: int = 1) -> Records:
    """Twelve noise pairs of three classes: two batches of six to train on."""
    rng = np.random.default_rng(seed)
    splits = ["train"] * 4 + ["validation", "test"]
    table = pd.DataFrame({"classALeRCE": np.repeat(CLASSES, len(splits)), "split": splits * len(CLASSES)})
    n = len(table)
    table = table.assign(subclassALeRCE=table["classALeRCE"], objectId=[f"ZTF18aaaa{i:03d}" for i in range(n)])
    columns: dict[str, Any] = {"deltajd": rng.uniform(0.01, 90, n)}
    for alert in (1, 2):
        columns |= {f"{name}_{alert}": rng.uniform(1, 50, n) for name in PACKET_FIELDS}
        columns |= {f"isdiffpos_{alert}": "t", f"fid_{alert}": 1, f"xpos_{alert}": 1500.0, f"ypos_{alert}": 1500.0}
        for kind in ("science", "template", "difference"):
            columns[f"{kind}_{alert}"] = [make_stamp(seed=int(s)) for s in rng.integers(0, 1000, n)]
    (folder / "pairs.parquet").mkdir(parents=True)
    table.assign(**columns).to_parquet(folder / "pairs.parquet" / "part-0.parquet")
    assignment = table[["objectId", "classALeRCE", "subclassALeRCE", "split"]]
    write_records(folder / "pairs.parquet", assignment, folder / "records", CLASSES, seed=seed)
    return Records(folder / "records")


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Records:
    return make_records(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def searched(spark: Any, records: Records, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, SearchResults]:
    folder = tmp_path_factory.mktemp("models") / "search"
    return folder, run_trials(make_trials(TINY), records, folder, TINY)


def train_serially(trials: list[Trial], records: Records, folder: Path) -> SearchResults:
    """Train one after the other in one process, without Spark: what a distributed search is held to."""
    folder.mkdir(parents=True)
    jobs = [Job(trial, records, folder, TrainingConfig.of(TINY)) for trial in trials]
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        pool.map(run_job, jobs, chunksize=len(jobs))
    write_json(folder / "index.json", [trial.id for trial in trials])
    return SearchResults.read(folder)


def without_times(results: Any) -> list[dict[str, Any]]:
    timed = ("seconds", "objects_per_second", "memory")
    contents = [{k: v for k, v in trial.content.items() if k not in timed} for trial in results]
    histories = [{k: v for k, v in content["history"].items() if k not in timed} for content in contents]
    return [content | {"history": history} for content, history in zip(contents, histories, strict=True)]


def test_seventy_of_108_combinations_are_drawn_once_each_and_repeatably() -> None:
    params = Parameters(**FULL_GRID, n_combinations=70, n_repetitions=5)
    combinations = sample_combinations(params)
    assert len(set(combinations)) == len(combinations) == 70
    assert combinations == sample_combinations(params)
    assert combinations != sample_combinations(params.model_copy(update={"seed": 1}))
    assert len(sample_combinations(params.model_copy(update={"n_combinations": 108}))) == 108


def test_all_architectures_share_combinations_and_no_seed() -> None:
    trials = make_trials(Parameters(**FULL_GRID, n_combinations=7, n_repetitions=5))
    assert len(trials) == 4 * 7 * 5
    assert len({trial.id for trial in trials}) == len({trial.seed for trial in trials}) == len(trials)
    by_variant: dict[str, set[Hyperparameters]] = {}
    for trial in trials:
        by_variant.setdefault(trial.variant, set()).add(trial.hyperparameters)
    assert len({frozenset(combinations) for combinations in by_variant.values()}) == 1
    assert set(Counter(trial.variant for trial in trials).values()) == {35}


def test_a_trial_keeps_its_seed_whatever_else_is_searched() -> None:
    few = make_repeats("stacked", SMALL, 1, seed=5)
    many = make_repeats("stacked", SMALL, 4, seed=5)
    assert few[0] == many[0]
    assert few[0] != make_repeats("stacked", SMALL, 1, seed=6)[0]


def test_seeds_are_those_of_every_earlier_version() -> None:
    """A changed seed would train all anew, and give other numbers."""
    trials = make_repeats("stacked", SMALL, 2, seed=5)
    assert trials == [Trial("stacked", SMALL, 0, SEEDS[0]), Trial("stacked", SMALL, 1, SEEDS[1])]
    assert draw_seeds(5, 12, 2) == DRAWN
    assert draw_seeds(5, 12, 3)[:2] == DRAWN
    assert not set(DRAWN) & {*draw_seeds(5, 13, 2), *draw_seeds(6, 12, 2)}
    assert make_trials(TINY) == [
        t for name in TINY.search_variants for t in make_repeats(name, sample_combinations(TINY)[0], 1, TINY.seed)
    ]


def test_combinations_come_in_the_order_of_the_grid() -> None:
    every = sample_combinations(Parameters(**FULL_GRID, n_combinations=108))
    assert every[0] == Hyperparameters(3, 21, 64, 1e-4, 0.3)
    assert every[1] == Hyperparameters(3, 21, 64, 1e-4, 0.5)
    assert every[-1] == Hyperparameters(5, 63, 256, 5e-3, 0.5)
    few = sample_combinations(Parameters(**FULL_GRID, n_combinations=20))
    assert few == sorted(few, key=every.index)


def train_in_name_only(jobs: list[Job], params: Parameters) -> None:
    """Write results as a training would, without one; the second trial fails."""
    for job in jobs:
        CALLS.append((job, params))
        if job.trial.repetition == 1:
            job.record_failure("no memory")
        else:
            scores = {"last": {"test_accuracy": 0.5}, "best": {"test_accuracy": 0.9}}
            write_json(job.path, {**job.describe(), **scores, "status": "done"})


CALLS: list[tuple[Job, Parameters]] = []


def test_groups_are_trained_together_and_each_has_its_index(
    records: Records, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("twostamp.models.search.train_jobs", train_in_name_only)
    CALLS.clear()
    params = TINY.model_copy(update={"report_weights": "best", "tensorboard": True, "cache_bytes": 77, "epochs": 8})
    repeats = make_repeats("stacked", SMALL, 2, seed=5)
    monkeypatch.chdir(tmp_path)
    other = Records(records.folder, "alerce")
    groups = [make_jobs(repeats, records, Path("some/a"), params), make_jobs(repeats[:1], other, Path("b"), params)]
    first, second, again = run_groups([*groups, groups[0]], params)
    assert [job.path for job, _ in CALLS] == [job.path for group in groups for job in group]  # once each
    assert {id(given) for _, given in CALLS} == {id(params)}
    for job, _ in CALLS:
        assert job.output_folder.is_absolute()
        assert job.records.folder.is_absolute()
        assert job.records.cache_bytes == 77
        assert job.config == TrainingConfig.of(params)
        assert job.tensorboard
    assert [job.records.recipe for job, _ in CALLS] == ["thesis", "thesis", "alerce"]
    assert json.loads((tmp_path / "some/a/index.json").read_text()) == [trial.id for trial in repeats]
    assert json.loads((tmp_path / "b/index.json").read_text()) == [repeats[0].id]
    assert [trial.is_done for trial in first] == [True, False]
    assert first[0].accuracy("test") == second[0].accuracy("test") == again[0].accuracy("test") == 0.9
    assert f"trial {repeats[1].id} failed twice and has no result: no memory" in capsys.readouterr().out


def test_repeats_and_searches_say_what_is_to_be_trained(
    records: Records, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("twostamp.models.search.train_jobs", train_in_name_only)
    CALLS.clear()
    results = train_repeats("separated", SMALL, 2, records, tmp_path / "repeats", TINY)
    assert [job.trial for job, _ in CALLS] == make_repeats("separated", SMALL, 2, TINY.seed)
    assert [trial.repetition for trial in results] == [0, 1]
    assert {job.output_folder for job, _ in CALLS} == {tmp_path / "repeats"}
    assert {job.records.folder for job, _ in CALLS} == {records.folder}
    assert not any(job.tensorboard for job, _ in CALLS)
    trials = make_trials(TINY)
    assert [t.trial_id for t in run_trials(trials, records, tmp_path / "search", TINY)] == [t.id for t in trials]


@pytest.mark.slow
def test_results_hold_scores_matrices_and_weights_of_each_trial(searched: tuple[Path, SearchResults]) -> None:
    _, results = searched
    assert [trial.variant for trial in results.done] == ["stamp_23", "stacked"]
    for trial in results:
        assert np.sum(trial.confusion("test")) == np.sum(trial.confusion("validation")) == len(CLASSES)
        accuracy = np.trace(trial.confusion("test")) / len(CLASSES)
        assert trial.accuracy("test") == accuracy == trial.content["last"]["test_accuracy"]
        assert trial.classes == list(CLASSES)
        assert trial.weights.exists()


@pytest.mark.parametrize("wanted", [False, True])
def test_only_a_run_that_asks_for_it_is_logged_for_tensorboard(
    records: Records, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wanted: bool
) -> None:
    asked: list[Path | None] = []

    def note(trial: Trial, data: Any, config: Any, log_folder: Path | None, *_: Any) -> None:
        asked.append(log_folder)
        raise RuntimeError("enough")

    monkeypatch.setattr("twostamp.models.trial.train", note)
    trials = make_trials(TINY)[:1]
    (job,) = make_jobs(trials, records, tmp_path / "search", TINY.model_copy(update={"tensorboard": wanted}))
    with pytest.raises(RuntimeError, match="enough"):
        job.run()
    assert asked == [tmp_path / "tensorboard" / trials[0].id if wanted else None]


@pytest.mark.slow
def test_a_loaded_trial_gives_the_scores_that_were_stored(
    searched: tuple[Path, SearchResults], records: Records
) -> None:
    for trial in searched[1]:
        classifier = trial.load(records)
        arrays = classifier.load_split(records, "test")
        assert arrays.metadata_1.shape[1] == (23 if trial.variant == "stamp_23" else 26)
        predicted = classifier.predict_arrays(arrays).argmax(axis=1)
        assert predicted.tolist() == trial.predicted("test")
        assert np.mean(predicted == arrays.labels) == pytest.approx(trial.accuracy("test"))


@pytest.mark.slow
def test_finished_trials_are_skipped_and_changed_settings_are_not(
    searched: tuple[Path, SearchResults], records: Records
) -> None:
    folder, results = searched
    files = sorted(folder.glob("*.json"))
    before = [path.stat().st_mtime_ns for path in files if path.name != "index.json"]
    assert list(run_trials(make_trials(TINY), records, folder, TINY)) == list(results)
    assert before == [path.stat().st_mtime_ns for path in files if path.name != "index.json"]


def workers_at_work() -> list[tuple[float, psutil.Process]]:
    """Processes that Spark's Python daemon has forked, each with the seconds that it has computed."""
    found = []
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):  # others come and go meanwhile
            if "pyspark.daemon" in process.cmdline() and "pyspark.daemon" in process.parent().cmdline():
                found.append((process.cpu_times().user, process))
    return found


def kill_a_worker_at_work(results: Path, killed: list[int]) -> None:
    """Wait for the first result, then kill the busiest worker."""
    while not list(results.glob("*-r*.json")):
        time.sleep(0.05)
    while not killed:
        if workers := workers_at_work():
            _, process = max(workers, key=lambda worker: worker[0])
            with suppress(psutil.NoSuchProcess):  # it ended meanwhile
                process.kill()
                killed.append(process.pid)


@pytest.mark.slow
def test_six_trials_on_two_workers_of_which_one_is_killed_are_those_of_a_serial_run(
    spark: Any, records: Records, tmp_path: Path
) -> None:
    trials = [
        trial for name in ("stamp_23", "stacked_stamps_deltajd") for trial in make_repeats(name, SMALL, 3, seed=2)
    ]
    folder, killed = tmp_path / "search", []
    killer = threading.Thread(target=kill_a_worker_at_work, args=(folder, killed), daemon=True)
    killer.start()
    results = run_trials(trials[::-1], records, folder, TINY)
    killer.join()
    assert len(killed) == 1
    assert len(results.done) == 6
    serial = train_serially(trials, records, tmp_path / "serial")
    assert without_times(results[::-1]) == without_times(serial)
    for ours, theirs in zip(results[::-1], serial, strict=True):
        assert ours.weights.read_bytes() == theirs.weights.read_bytes()


@pytest.mark.slow
def test_other_data_are_trained_again(searched: tuple[Path, SearchResults], records: Records, tmp_path: Path) -> None:
    trials = make_trials(TINY)[:1]
    other = make_records(tmp_path / "other", seed=2)
    shutil.copytree(searched[0], tmp_path / "search")
    changed = run_trials(trials, other, tmp_path / "search", TINY)
    assert [trial.trial_id for trial in changed] == [trials[0].id]
    assert changed[0].content["history"] != searched[1][0].content["history"]


@pytest.mark.slow
def test_a_trial_that_cannot_be_trained_is_recorded_with_its_reason_and_the_others_are_done(
    spark: Any, records: Records, tmp_path: Path
) -> None:
    good = make_repeats("stacked_stamps", SMALL, 1, seed=1)
    bad = make_repeats("stacked_stamps", Hyperparameters(3, 21, 2, 1e-3, 0.3), 1, seed=1)
    results = run_trials([*bad, *good], records, tmp_path / "search", TINY)
    failed, finished = results.find(bad[0].id), results.find(good[0].id)
    assert not failed.is_done
    assert "smaller than the number of classes" in failed.reason
    assert np.isnan(failed.accuracy("validation"))
    assert finished.is_done
    assert results.rank()["n"].tolist() == [1]
    with pytest.raises(ValueError, match="has no weights, it failed"):
        failed.load(records)


@pytest.mark.slow
def test_repeats_use_the_same_machinery(spark: Any, records: Records, tmp_path: Path) -> None:
    results = train_repeats("stacked_stamps_deltajd", SMALL, 2, records, tmp_path / "repeats", TINY)
    assert [trial.repetition for trial in results] == [0, 1]
    assert len({trial.content["seed"] for trial in results}) == 2


@pytest.mark.slow
def test_weights_are_stored_without_the_optimisers_state(searched: tuple[Path, SearchResults]) -> None:
    folder, results = searched
    files = list(folder.glob("*.weights.h5"))
    assert len(files) == 2 * len(results)
    for path in files:
        with h5py.File(path) as file:
            assert set(file) & {"layers", "optimizer", "_layer_checkpoint_dependencies"} == {"layers"}


@pytest.mark.slow
def test_trials_train_by_jax_and_are_judged_by_tensorflow(spark: Any, records: Records, tmp_path: Path) -> None:
    pytest.importorskip("jax")
    params = TINY.model_copy(update={"engine": "jax", "search_variants": ["stacked"], "width": 0.1})
    trials = make_trials(params)[:2]
    results = run_trials(trials, records, tmp_path / "search", params)
    assert [trial.reason for trial in results if not trial.is_done] == []
    assert not any(job.is_finished() for job in make_jobs(trials, records, tmp_path / "search", TINY))
    for trial in results:
        assert trial.content["settings"]["engine"] == "jax"
        assert np.isfinite(trial.content["history"]["loss"]).all()
        network, test = trial.load(records).network, records.arrays("test")
        assert predict(network, "stacked", test).argmax(axis=1).tolist() == trial.content["last"]["test_predicted"]
