"""Jobs on Spark: each is tried twice, and the death of a process costs no other job."""

import os
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pyspark import cloudpickle

from twostamp.utils.spark import DIED, assigned_gpu, run_jobs

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers cannot import a file of tests


def flaky(folder: Path, name: str) -> None:
    attempts = folder / name
    attempts.write_text(attempts.read_text() + "x" if attempts.exists() else "x")
    if name == "dies" or (name == "dies once" and attempts.read_text() == "x"):
        os._exit(9)
    if name == "raises":
        raise ValueError("no such thing")


def write_reason(folder: Path, name: str, reason: str) -> None:
    (folder / f"{name}.reason").write_text(reason)


@pytest.mark.slow
def test_dead_processes_cost_no_other_job(spark: Any, tmp_path: Path) -> None:
    names = ["fine", "dies", "dies once", "raises", "fine too"]
    run_jobs(spark, partial(flaky, tmp_path), names, failed=partial(write_reason, tmp_path))
    reasons = {path.stem: path.read_text() for path in tmp_path.glob("*.reason")}
    assert reasons == {"dies": DIED, "raises": "ValueError: no such thing"}
    attempts = {name: len((tmp_path / name).read_text()) for name in names}
    assert attempts == {"fine": 1, "dies": 2, "dies once": 2, "raises": 2, "fine too": 1}


def write_variable(path: Path) -> None:
    path.write_text(os.environ["TWOSTAMP_TEST"])


@pytest.mark.slow
def test_environment_holds_for_the_workers_only(spark: Any, tmp_path: Path) -> None:
    os.environ.pop("TWOSTAMP_TEST", None)
    for value in ("on", "off"):
        jobs = [tmp_path / value]
        run_jobs(spark, write_variable, jobs, failed=write_reason, environment={"TWOSTAMP_TEST": value})
        assert (tmp_path / value).read_text() == value
    assert "TWOSTAMP_TEST" not in os.environ


def test_no_gpu_is_assigned_outside_of_a_task() -> None:
    assert assigned_gpu() == ""


def test_no_jobs_need_no_spark() -> None:
    run_jobs(None, write_variable, [], failed=write_reason)  # type: ignore[arg-type]
