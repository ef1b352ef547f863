"""Jobs in processes: each is tried twice, and the death of one costs no other."""

import os
from pathlib import Path

from twostamp.processes import run_in_processes


def flaky(folder_and_name: tuple[str, str]) -> None:
    folder, name = folder_and_name
    attempts = Path(folder) / name
    attempts.write_text(attempts.read_text() + "x" if attempts.exists() else "x")
    if name == "dies" or (name == "dies once" and attempts.read_text() == "x"):
        os._exit(9)
    if name == "raises":
        raise ValueError("no such thing")


def test_dead_processes_cost_no_other_job(tmp_path: Path) -> None:
    names = ["fine", "dies", "dies once", "raises", "fine too"]
    failures = run_in_processes(flaky, [(str(tmp_path), name) for name in names], workers=2)
    assert failures == {1: "its process died (killed, or out of memory)", 3: "ValueError: no such thing"}
    attempts = {path.name: len(path.read_text()) for path in tmp_path.iterdir()}
    assert attempts == {"fine": 1, "dies": 2, "dies once": 2, "raises": 2, "fine too": 1}


def test_environment_holds_for_the_processes_only(tmp_path: Path) -> None:
    os.environ.pop("TWOSTAMP_TEST", None)
    assert not run_in_processes(write_variable, [tmp_path / "value"], 1, environment={"TWOSTAMP_TEST": "on"})
    assert (tmp_path / "value").read_text() == "on"
    assert "TWOSTAMP_TEST" not in os.environ


def write_variable(path: Path) -> None:
    path.write_text(os.environ["TWOSTAMP_TEST"])


def test_no_jobs_start_no_process() -> None:
    assert run_in_processes(write_variable, [], 2) == {}
