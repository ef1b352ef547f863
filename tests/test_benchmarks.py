"""What `make bench` leaves: its form, and a page for readers (the rates themselves are never tested)."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from statsmodels.stats.weightstats import ttost_paired

from tests import REPOSITORY
from tests.benchmarks import accelerator, engines, reference
from tests.benchmarks.measure import Row
from tests.benchmarks.table import KEYS, save

MET = Row(KEYS, "alerts/s", 30.0, 10.0, 3.0, 2.5, 3.5, 2, "simulated, 40 kB")
MISSED = Row("slow", "alerts/s", 3.0, 2.0, 1.5, 1, 2, 2)


def test_the_rows_as_json_and_as_a_page(tmp_path):
    save(tmp_path / "bench" / "bench.json", {"cores": 2}, [MET, MISSED])
    content = json.loads((tmp_path / "bench" / "bench.json").read_text())
    assert list(content) == ["machine", "rows"]
    assert list(content["rows"][0]) == ["row", "unit", "ours", "reference", "ratio", "low", "high", "target", "input"]
    page = (tmp_path / "bench" / "bench.md").read_text()
    assert "| 30 | 10 | 3.00 | 2.50 | 3.50 | 2 | simulated, 40 kB |" in page
    assert "| **1.50** |" in page
    assert "carries" not in page  # not every rate that it takes was measured
    assert {file.name for file in (tmp_path / "bench").iterdir()} == {"bench.json", "bench.md"}


BARE = """
import sys

class Bare:
    absent = {"tensorflow", "pandas", "pyarrow", "psutil", "pydantic", "lazy_loader", "pyspark", "astropy", "tqdm"}

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.absent:
            raise ModuleNotFoundError(f"{name} is not there", name=name)

sys.meta_path.insert(0, Bare())
from tests.benchmarks.accelerator import main

sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.slow
def test_an_accelerator_is_measured_with_jax_and_keras_alone(tmp_path):
    pytest.importorskip("jax")
    arguments = ["--cpu", "--seconds", "1", "--out", str(tmp_path)]
    environment = {name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"}
    done = subprocess.run(
        [sys.executable, "-c", BARE, *arguments], cwd=REPOSITORY, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "reference off by" in done.stdout
    assert "no time is left" in done.stdout  # for the second row
    (row,) = json.loads((tmp_path / "accelerator.json").read_text())["rows"]
    assert row["variant"] == "stacked"
    assert min(row["rate"], row["bare"]) > 0
    assert "failed" not in row


def test_a_network_that_is_off_the_reference_is_not_measured(tmp_path, monkeypatch, capsys):
    pytest.importorskip("jax")
    for name in ("KERAS_BACKEND", "JAX_PLATFORMS"):
        monkeypatch.setenv(name, "to be put back")
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(accelerator, "check", lambda: {"loss": 0.1})
    assert accelerator.main(["--cpu", "--out", str(tmp_path)]) == 1
    assert "nothing is measured" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


def test_trainings_on_arrays_are_kept_and_compared(tmp_path, capsys):
    data, results = tmp_path / "data.npz", tmp_path / "results.csv"
    made = {split: reference.make_objects(20, 21, seed) for seed, split in enumerate(engines.SPLITS)}
    np.savez(data, **{f"{split}/{k}": v for split, objects in made.items() for k, v in vars(objects).items()})
    options = ["train", str(data), str(results), "--engine", "tensorflow", "--width", "0.1", "--epochs", "1"]
    options += ["--batch-size", "10", "--per-class", "2", "--seeds", "2", "--variants", "stamp_26", "stacked"]
    engines.main(options)
    content = results.read_text()
    assert len(content.splitlines()) == 5
    assert ",10,20," in content  # two objects a class to learn from, and all of the test
    engines.main(options)
    assert results.read_text() == content


def test_engines_are_compared_by_seed(tmp_path, capsys):
    jax, tensorflow = np.array([0.9, 0.8, 0.85, 0.2]), np.array([0.88, 0.81, 0.85, 0.22])
    results = tmp_path / "results.csv"
    lines = [",".join(engines.COLUMNS)]
    for engine, scores in (("jax", jax), ("tensorflow", tensorflow)):
        lines += [f"{engine},fp32,stacked,1.0,10,0.001,1,0,{i},10,20,0.5,{x},1" for i, x in enumerate(scores)]
    lines += [f"jax,fp32,stamp_26,1.0,10,0.001,1,0,{i},10,20,0.5,{x - 0.1},1" for i, x in enumerate(jax)]
    results.write_text("\n".join(lines))
    engines.main(["equal", str(results), "--margin", "0.05"])
    engines.main(["gain", str(results)])
    shown = capsys.readouterr().out
    p, *_ = ttost_paired(jax, tensorflow, -0.05, 0.05)
    assert f"-0.0025 (90 %: -0.0226 to +0.0176); TOST, margin 0.05: p {p:.2g}" in shown
    assert "stacked      0.6875 +- 0.3276 (n 4), gain +0.1000" in shown


@pytest.mark.slow
def test_parts_run_in_a_clone_without_real_packets(tmp_path):  # all of them: python -m tests.benchmarks --tiny
    environment = {name: value for name, value in os.environ.items() if name != "TWOSTAMP_REAL_ALERTS"}
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks", "--tiny", "reading", "end_to_end"],
        cwd=REPOSITORY,
        env=environment | {"TWOSTAMP_OUTPUTS": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    rows = json.loads((tmp_path / "bench-tiny" / "partial.json").read_text())["rows"]
    assert len(rows) > 4
    assert all(row["input"] for row in rows)
