"""Rows of peak memory: every step of a run as large as quick, and of one four times as large."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from tests.benchmarks import inputs
from tests.benchmarks.measure import Row, bound, run_apart
from twostamp.data.tfrecords import Records
from twostamp.params import Parameters
from twostamp.pipeline.notebooks import _PeakMemory

LIMIT, LARGER = 1.5, inputs.sized(4, 2)
TINY = {"survey_pairs_per_class": 8, "survey_unlabelled_objects": 10, "survey_nights": 8}
TINY |= {"validation_per_class": 2, "test_per_class": 2, "cap_per_class": 20, "width": 0.1}
QUICK = Parameters(**TINY if inputs.TINY else {})


def memory() -> Iterator[Row]:
    """Run the steps one after another, each in a process of its own, at either size."""
    with tempfile.TemporaryDirectory() as folder:
        peaks = {size: [peak_of(step, Path(folder) / f"{size}x", size) for step in STEPS] for size in (1, LARGER)}
    for step, small, large in zip(STEPS, peaks[1], peaks[LARGER], strict=True):
        row = f"peak memory of {step.__name__}, {LARGER}x quick ({large} MB) / quick ({small} MB)"
        yield bound(row, "ratio", [large / small], LIMIT)


def peak_of(step: Callable[[Path, int], Any], folder: Path, size: int) -> int:
    """Peak of a step's processes together, MB."""
    folder.mkdir(exist_ok=True)
    with _PeakMemory() as peak:
        run_apart(step, folder, size)
    return peak.peak_mb


def survey(folder: Path, size: int) -> None:
    """Simulate the alerts."""
    from twostamp.simulation.survey import write_survey

    write_survey(
        folder / "survey",
        pairs_per_class=size * QUICK.survey_pairs_per_class,
        unlabelled_objects=size * QUICK.survey_unlabelled_objects,
        nights=QUICK.survey_nights,
        seed=QUICK.seed,
        workers=2,
    )


def extraction(folder: Path, size: int) -> None:
    """Find the first two alerts of labelled objects."""
    from twostamp.alerts.extraction import extract_first_two
    from twostamp.utils.spark import open_spark

    with open_spark("local[2,4]") as spark:
        extract_first_two(spark, str(folder / "survey"), pd.read_csv(folder / "survey" / "labels.csv"), folder)


def records(folder: Path, size: int) -> None:
    """Write the TFRecords."""
    shutil.rmtree(folder / "records", ignore_errors=True)
    held_out = size * QUICK.validation_per_class
    inputs.find_records(folder / "pairs.parquet", folder / "records", size * QUICK.cap_per_class, held_out)


def training(folder: Path, size: int) -> None:
    """Train one trial of one epoch."""
    from twostamp.models.search import make_trials
    from twostamp.models.trial import Job, TrainingConfig, run_job

    params = QUICK.model_copy(update={"epochs": 1, "grid_batch_size": [64]})
    trial = next(trial for trial in make_trials(params) if trial.variant == "stacked")
    (folder / "search").mkdir(exist_ok=True)
    made = Records(folder / "records")
    run_job(Job(trial, made, folder / "search", TrainingConfig.of(params)))


def prediction(folder: Path, size: int) -> None:
    """Classify every pair, a batch at a time, whatever the archive holds."""
    from twostamp.data.arrays import arrays_from_table, read_batches
    from twostamp.models.architectures import build_model
    from twostamp.models.inference import predict

    model = build_model("stacked", n_classes=5, crop_size=21, kernel_size=3, dropout_rate=0.3)
    scaler = Records(folder / "records").scaler
    for batch in read_batches(folder / "pairs.parquet"):
        predict(model, "stacked", arrays_from_table(batch, scaler))


STEPS = (survey, extraction, records, training, prediction)
