"""Repeated splits: the same objects divided anew, every model on all of them, narrow networks, resumed when killed."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.models.test_search import SMALL, make_records
from twostamp.analysis.significance.repeated_splits import split_seeds, train_splits
from twostamp.params import Parameters

PARAMS = Parameters(
    repeated_splits=2, validation_per_class=1, test_per_class=1, cap_per_class=6, epochs=1, workers=2, width=0.25
)
COMBINATIONS = {"M0": SMALL, "M1": SMALL}


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = make_records(tmp_path_factory.mktemp("data")).folder.parent / "pairs.parquet" / "part-0.parquet"
    pd.read_parquet(path).assign(ssdistnr_1=-999.0, ssdistnr_2=-999.0).to_parquet(path)
    return path.parent


def test_more_splits_keep_the_first_ones() -> None:
    seeds = split_seeds(PARAMS.model_copy(update={"repeated_splits": 6}))
    assert seeds[:2] == split_seeds(PARAMS)
    assert len(set(seeds)) == 6


@pytest.mark.slow
def test_every_model_is_trained_on_every_split_once_and_no_stamp_is_copied(spark: Any, pairs: Path) -> None:
    folder = pairs.parent / "splits"
    scores, share = train_splits(pairs, COMBINATIONS, folder, PARAMS)
    assert (list(scores), scores.shape) == (["M0", "M1"], (2, 2))
    assert scores.isin([0, 1 / 3, 2 / 3, 1]).all(axis=None)
    assert share == 0.25
    assert [path.name for path in folder.glob("*.npz")] == ["objects_21.npz"]
    times = {path: path.stat().st_mtime_ns for path in (folder / "fits").iterdir()}
    assert len(times) == 4
    again, _ = train_splits(pairs, COMBINATIONS, folder, PARAMS)
    pd.testing.assert_frame_equal(again, scores)
    assert {path: path.stat().st_mtime_ns for path in times} == times
