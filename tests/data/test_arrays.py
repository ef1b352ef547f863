"""Arrays of objects: read in the order asked for, stored and read back, standardised by any training set."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.data.test_tfrecords import make_pairs, write_parquet
from twostamp.data.arrays import Preparation, UnscaledArrays, arrays_from_table
from twostamp.params import Parameters

N = 9


@pytest.fixture(scope="module", params=[1, 2], ids=["first alerts", "pairs"])
def pairs(request: pytest.FixtureRequest) -> pd.DataFrame:
    table = make_pairs(N)
    return table if request.param == 2 else table.drop(columns=["deltajd", *table.filter(regex="_2$")])


@pytest.fixture(scope="module")
def folder(pairs: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_parquet(pairs, tmp_path_factory.mktemp("data") / "pairs.parquet")


def test_objects_come_in_the_order_asked_for_and_as_from_one_table(folder: Path, pairs: pd.DataFrame) -> None:
    wanted = pairs["objectId"].sample(frac=0.7, random_state=1)
    read = UnscaledArrays.read(folder, wanted.tolist(), crop=21)
    assert read.object_ids.tolist() == wanted.tolist()
    scaler = read.fit_scaler(np.arange(len(wanted)))
    direct = arrays_from_table(pairs.loc[wanted.index], scaler)
    for name, values in vars(read.scale(scaler)).items():
        np.testing.assert_array_equal(values, getattr(direct, name))


def test_what_is_stored_is_read_back(folder: Path, pairs: pd.DataFrame, tmp_path: Path) -> None:
    arrays = UnscaledArrays.read(folder, pairs["objectId"].tolist(), crop=21, preparation=Preparation("minmax"))
    digest = arrays.save(tmp_path / "a.npz")
    stored = UnscaledArrays.load(tmp_path / "a.npz")
    for name, values in vars(arrays).items():
        np.testing.assert_array_equal(getattr(stored, name), values)
    assert stored.save(tmp_path / "b.npz") == digest
    other = UnscaledArrays.read(folder, pairs["objectId"].tolist()[::-1], crop=21, preparation=Preparation("minmax"))
    assert other.save(tmp_path / "c.npz") != digest


def test_a_scaler_is_of_the_rows_that_it_is_asked_for(pairs: pd.DataFrame) -> None:
    arrays, rows = UnscaledArrays.from_table(pairs), np.array([1, 2, 5])
    scaler = arrays.fit_scaler(rows, "alerce")
    assert scaler.recipe == "alerce"
    known = arrays.scale(scaler, "alerce23").metadata_1[rows]
    np.testing.assert_allclose(known.mean(axis=0), 0, atol=1e-5)


def test_absent_objects_and_no_objects_are_refused(folder: Path, pairs: pd.DataFrame) -> None:
    with pytest.raises(ValueError, match="lacks 1 of the objects, ZTF17nowhere the first"):
        UnscaledArrays.read(folder, [*pairs["objectId"], "ZTF17nowhere"])
    with pytest.raises(ValueError, match="lacks 1 of the objects"):
        UnscaledArrays.read(folder, ["ZTF17nowhere"])
    with pytest.raises(ValueError, match="no object of"):
        UnscaledArrays.read(folder, [])


def test_a_run_says_how_stamps_are_prepared() -> None:
    params = Parameters(normalisation="minmax", nan_value=0.0, crop_before_normalising=True)
    assert Preparation.of(params) == Preparation("minmax", 0.0, True)
