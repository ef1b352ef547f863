"""TFRecords: what is written is what is read, batches are balanced, and damage is named."""

import dataclasses
import gzip
import io
import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from astropy.io import fits

from tests.conftest import make_stamp
from twostamp.alerts.cutouts import STAMPS
from twostamp.analysis.dataset_preparation import summarise_sentinels
from twostamp.data import tfrecord_writer, tfrecords
from twostamp.data.arrays import (
    Preparation,
    arrays_from_table,
    read_batches,
    read_metadata,
    read_triplets,
    scale_deltajd,
)
from twostamp.data.balance import class_turns
from twostamp.data.features import ALL_FEATURES, FEATURE_LISTS, PACKET_FIELDS, Scaler, compute_features
from twostamp.data.splits import SPLITS
from twostamp.data.stamps import normalise_stamps
from twostamp.data.tfrecord_writer import _fingerprint, write_records
from twostamp.data.tfrecords import Records, RecordsError

pytestmark = pytest.mark.slow
CLASSES = ("SN", "EB/EW", "bogus")
SIZES = {"SN": 9, "EB/EW": 14, "bogus": 20}


def make_flat(value: float) -> bytes:
    stream = io.BytesIO()
    fits.PrimaryHDU(np.full((63, 63), value, dtype=">f4")).writeto(stream)
    return gzip.compress(stream.getvalue(), mtime=0)


def make_pairs(n: int, seed: int = 1) -> pd.DataFrame:
    """Pairs in the extraction's columns: noise, one stamp cut at an edge, one without contrast, one i-band alert."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame({"objectId": [f"ZTF18aaaa{i:03d}" for i in rng.permutation(n)]})
    table["deltajd"] = rng.uniform(0.01, 90, n)
    for alert in (1, 2):
        fields = {f"{name}_{alert}": rng.uniform(1, 50, n) for name in (*PACKET_FIELDS, "xpos", "ypos")}
        fields |= {f"isdiffpos_{alert}": rng.choice(["t", "f"], n), f"fid_{alert}": rng.choice([1, 2], n)}
        fields |= {f"xpos_{alert}": np.full(n, 1500.0), f"ypos_{alert}": np.full(n, 1500.0)}
        fields |= {f"{name}_{alert}": [make_stamp(seed=10 * i + alert) for i in range(n)] for name in STAMPS}
        table = pd.concat([table, pd.DataFrame(fields)], axis=1)
    table.loc[0, "xpos_1"] = 20.0
    table.loc[0, [f"{name}_1" for name in STAMPS]] = make_stamp(63, 51)
    table.loc[1, "sgscore1_1"] = np.nan
    table.loc[3, "science_2"], table.loc[3, "template_2"] = make_flat(7.0), make_flat(np.nan)
    table.loc[2, "fid_2"] = 3
    return table


def make_assignment(pairs: pd.DataFrame) -> pd.DataFrame:
    names = [name for name, size in SIZES.items() for _ in range(size)]
    table = pd.DataFrame({"objectId": sorted(pairs["objectId"]), "classALeRCE": names, "subclassALeRCE": names})
    return table.assign(split=(["validation"] * 2 + ["test"] + ["train"] * 4) * 6 + ["train"])


def write_parquet(pairs: pd.DataFrame, folder: Path, parts: int = 3) -> Path:
    folder.mkdir(parents=True)
    for i in range(parts):
        pairs.iloc[i::parts].to_parquet(folder / f"part-{i}.parquet")
    return folder


@pytest.fixture(scope="module")
def pairs() -> pd.DataFrame:
    return make_pairs(sum(SIZES.values()))


@pytest.fixture(scope="module")
def pairs_path(pairs: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_parquet(pairs, tmp_path_factory.mktemp("data") / "pairs.parquet")


@pytest.fixture(scope="module")
def folder(pairs: pd.DataFrame, pairs_path: Path) -> Path:
    path = pairs_path.parent / "records"
    write_records(pairs_path, make_assignment(pairs), path, CLASSES, seed=1)
    return path


def by_object(arrays: Any) -> dict[str, tuple[Any, ...]]:
    columns = (arrays.stamps_1, arrays.stamps_2, arrays.metadata_1, arrays.metadata_2, arrays.deltajd, arrays.labels)
    return {name: values for name, *values in zip(arrays.object_ids, *columns, strict=True)}


def assert_equal_arrays(first: Any, second: Any) -> None:
    first, second = by_object(first), by_object(second)
    assert first.keys() == second.keys()
    for name in first:
        for a, b in zip(first[name], second[name], strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("recipe", ["thesis", "alerce"])
@pytest.mark.parametrize(("features", "crop"), [("thesis26", 21), ("drift_safe", 42), ("alerce23", 63)])
def test_reading_back_gives_the_very_arrays_of_the_table(
    folder: Path, pairs: pd.DataFrame, features: str, crop: int, recipe: str
) -> None:
    table, records = pairs.merge(make_assignment(pairs), on="objectId"), Records(folder, recipe)
    for split in SPLITS:
        direct = arrays_from_table(
            table[table["split"] == split],
            records.scaler,
            features=features,
            crop=crop,
            preparation=records.info.preparation,
            classes=CLASSES,
        )
        assert_equal_arrays(records.arrays(split, features, crop), direct)


def test_records_hold_raw_metadata_days_and_labels(folder: Path, pairs: pd.DataFrame) -> None:
    import tensorflow as tf

    table = pairs.merge(make_assignment(pairs), on="objectId").set_index("objectId")
    features = dict(zip(table.index, compute_features(table, 1), strict=True))
    paths = [str(path) for path in folder.glob("*/*/*.tfrecord")]
    for serialised in tf.data.TFRecordDataset(paths).as_numpy_iterator():
        example = tf.train.Example.FromString(serialised).features.feature
        name = example["oid"].bytes_list.value[0].decode()
        assert example["deltajd"].float_list.value[0] == np.float32(table.loc[name, "deltajd"])
        assert example["subclassALeRCE"].bytes_list.value[0].decode() == table.loc[name, "subclassALeRCE"]
        assert example["schema_version"].int64_list.value[0] == tfrecord_writer.SCHEMA_VERSION
        np.testing.assert_array_equal(example["first_metadata"].float_list.value, features[name])


def test_the_folder_says_what_is_in_it(folder: Path) -> None:
    info = Records(folder).info
    assert info.classes == CLASSES
    assert info.counts["validation"] == {"SN": 4, "EB/EW": 4, "bogus": 4}
    assert {path.name for path in (folder / "train").iterdir()} == {"SN", "EB-EW", "bogus"}
    assert info.report == {
        "stamps": 6 * 43,
        "with missing pixels": 4,
        "without contrast": 1,
        "without pixels": 1,
        "alerts in other filters than g and r": 1,
    }
    assert json.loads((folder / "scaler.json").read_text())["names"] == list(ALL_FEATURES)


def test_statistics_are_those_of_the_training_set_alone(folder: Path, pairs: pd.DataFrame, tmp_path: Path) -> None:
    split = make_assignment(pairs).set_index("objectId")["split"].loc[pairs["objectId"]].to_numpy()
    files = ("scaler.json", "scaler_alerce.json")
    for changed, same in (("validation", True), ("test", True), ("train", False)):
        other = pairs.copy()
        for name in ("magpsf_1", "magpsf_2", "fwhm_1", "deltajd"):
            other.loc[split == changed, name] *= 1.7
        write_records(
            write_parquet(other, tmp_path / changed),
            make_assignment(pairs),
            tmp_path / f"{changed}_records",
            CLASSES,
            seed=1,
        )
        for name in files:
            assert ((tmp_path / f"{changed}_records" / name).read_bytes() == (folder / name).read_bytes()) == same


def test_bytes_do_not_depend_on_the_order_of_the_rows(
    folder: Path, pairs: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shuffled = write_parquet(pairs.sample(frac=1, random_state=2), tmp_path / "pairs.parquet", parts=1)
    assignment = make_assignment(pairs).sample(frac=1, random_state=3)
    write_records(shuffled, assignment, tmp_path / "records", CLASSES, seed=1)
    files = sorted(path.relative_to(folder) for path in folder.rglob("*.*") if path.name != "dataset.json")
    assert len(files) == 9 + 3
    assert all((folder / name).read_bytes() == (tmp_path / "records" / name).read_bytes() for name in files)


def test_shards_are_bounded_and_order_follows_the_seed(
    pairs: pd.DataFrame, pairs_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tfrecord_writer, "_SHARD_OBJECTS", 3)
    orders = []
    for seed in (1, 2):
        info = write_records(pairs_path, make_assignment(pairs), tmp_path / str(seed), CLASSES, seed=seed)
        assert max(shard["objects"] for shard in info.shards.values()) == 3
        assert sum(shard["objects"] for shard in info.shards.values()) == 43
        orders.append(Records(tmp_path / str(seed)).arrays("train").object_ids.tolist())
    assert orders[0] != orders[1]
    assert sorted(orders[0]) == sorted(orders[1])


def test_pairs_of_the_same_size_are_other_pairs(pairs: pd.DataFrame, tmp_path: Path) -> None:
    plan, marks = make_assignment(pairs), set()
    for content in (b"PAR1a", b"PAR1b"):
        (tmp_path / "part-0.parquet").write_bytes(content)
        marks.add(_fingerprint(tmp_path, plan, CLASSES, Preparation()))
    assert len(marks) == 2


def test_a_finished_data_set_is_not_written_again(
    folder: Path, pairs: pd.DataFrame, pairs_path: Path, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "records"))
    untouched = copy / "train" / "SN" / "00000.tfrecord"
    before = untouched.stat().st_mtime_ns
    write_records(pairs_path, make_assignment(pairs), copy, CLASSES, seed=1)
    assert untouched.stat().st_mtime_ns == before
    untouched.write_bytes(b"damaged")
    write_records(pairs_path, make_assignment(pairs), copy, CLASSES, seed=1)
    assert untouched.read_bytes() == (folder / "train" / "SN" / "00000.tfrecord").read_bytes()
    written_anew = write_records(pairs_path, make_assignment(pairs), copy, CLASSES, Preparation(nan_value=0.0), seed=1)
    assert written_anew.report["stamps"] == 258
    assert [path.name for path in tmp_path.iterdir()] == ["records"]


def test_records_of_other_code_are_written_again(pairs: pd.DataFrame, tmp_path: Path, monkeypatch) -> None:
    plan = make_assignment(pairs)
    before = _fingerprint(tmp_path, plan, CLASSES, Preparation())
    assert _fingerprint(tmp_path, plan, CLASSES, Preparation()) == before
    monkeypatch.setattr("twostamp.data.tfrecord_writer._CODE", ("features.py",))
    assert _fingerprint(tmp_path, plan, CLASSES, Preparation()) != before


def test_what_cannot_be_written_is_refused(pairs: pd.DataFrame, pairs_path: Path, tmp_path: Path) -> None:
    assignment = make_assignment(pairs)
    absent = assignment.replace(assignment["objectId"][0], "ZTF17nowhere")
    with pytest.raises(RecordsError, match=r"lacks 1 assigned objects, ZTF17nowhere"):
        write_records(pairs_path, absent, tmp_path / "records", CLASSES)
    with pytest.raises(RecordsError, match="class SN of the assignment is not among"):
        write_records(pairs_path, assignment, tmp_path / "records", CLASSES[1:])
    with pytest.raises(RecordsError, match="no object to train"):
        write_records(pairs_path, assignment.assign(split="test"), tmp_path / "records", CLASSES)
    assert not (tmp_path / "records").exists()


@pytest.mark.parametrize("method", ["range", "literal", "minmax"])
def test_cropping_first_normalises_the_crop(pairs: pd.DataFrame, pairs_path: Path, tmp_path: Path, method: str) -> None:
    kept = make_assignment(pairs).iloc[::6]
    preparation = Preparation(method, crop_before_normalising=True)
    write_records(pairs_path, kept, tmp_path / "records", CLASSES, preparation)
    arrays = Records(tmp_path / "records").arrays("train", crop=21)
    table = pairs.set_index("objectId").loc[arrays.object_ids].reset_index()
    raw = np.moveaxis(read_triplets(table, 2)[:, 21:42, 21:42], -1, 1)
    np.testing.assert_array_equal(arrays.stamps_2, np.moveaxis(normalise_stamps(raw, method), 1, -1))


def take(dataset: Any, n: int) -> list[tuple[dict[str, Any], Any]]:
    return list(dataset.take(n).as_numpy_iterator())


@pytest.fixture(params=[1 << 30, 0], ids=["cached", "streamed"])
def cache_bytes(request: pytest.FixtureRequest) -> int:
    return request.param


def test_batches_are_balanced_and_the_remainder_goes_round(folder: Path, cache_bytes: int) -> None:
    batches = take(Records(folder, cache_bytes=cache_bytes).batches(8, seed=1), 6)
    counts = np.array([labels.sum(axis=0) for _, labels in batches])
    assert set(counts.ravel()) == {2.0, 3.0}
    np.testing.assert_array_equal(counts[:3].sum(axis=0), [8, 8, 8])
    np.testing.assert_array_equal(counts[:3], counts[3:])


def test_batches_hold_the_training_objects_with_their_labels(folder: Path, cache_bytes: int) -> None:
    arrays = Records(folder).arrays("train", features="alerce23", crop=41)
    labels_of = zip(arrays.deltajd[:, 0].tolist(), arrays.labels, strict=True)
    known = {days: (i, label) for i, (days, label) in enumerate(labels_of)}
    for inputs, labels in take(
        Records(folder, cache_bytes=cache_bytes).batches(9, crop=41, features="alerce23", seed=1), 4
    ):
        assert inputs["stamps_1"].shape == (9, 41, 41, 3)
        assert labels.dtype == np.float32
        for j in range(9):
            i, label = known[float(inputs["deltajd"][j, 0])]
            assert label == labels[j].argmax()
            for name in ("stamps_1", "stamps_2", "metadata_1", "metadata_2"):
                np.testing.assert_array_equal(inputs[name][j], getattr(arrays, name)[i])


def test_a_class_is_read_whole_before_it_repeats_in_another_order(folder: Path, cache_bytes: int) -> None:
    counts = Records(folder).info.counts["train"]
    passes = 2 * max(counts.values())
    drawn: dict[int, list[float]] = {label: [] for label in range(3)}
    for inputs, labels in take(Records(folder, cache_bytes=cache_bytes).batches(3, seed=1), passes):
        for days, label in zip(inputs["deltajd"][:, 0], labels.argmax(axis=1), strict=True):
            drawn[label].append(float(days))
    for label, name in enumerate(CLASSES):
        first, second = drawn[label][: counts[name]], drawn[label][counts[name] : 2 * counts[name]]
        assert max(Counter(first).values()) == 1
        assert sorted(first) == sorted(second)
        assert first != second


def test_batches_repeat_under_a_seed(folder: Path, cache_bytes: int) -> None:
    runs = [
        np.concatenate(
            [inputs["deltajd"] for inputs, _ in take(Records(folder, cache_bytes=cache_bytes).batches(5, seed=seed), 9)]
        )
        for seed in (1, 1, 2)
    ]
    np.testing.assert_array_equal(runs[0], runs[1])
    assert (runs[0] != runs[2]).any()


@pytest.mark.parametrize("recipe", ["thesis", "alerce"])
def test_streamed_objects_are_standardised_as_those_in_memory(folder: Path, recipe: str) -> None:
    """By TensorFlow's operations in place of NumPy's: metadata to the last bit, but for a logarithm deltajd too."""
    scaler = Records(folder, recipe).scaler
    rng = np.random.default_rng(1)
    raw = rng.normal(0, 2000, (5000, len(ALL_FEATURES))).astype(np.float32)
    for value in (np.nan, np.inf, -np.inf):
        raw[rng.random(raw.shape) < 0.1] = value
    days = rng.lognormal(0, 4, 5000).astype(np.float32)
    columns = {"oid": days, "metadata_1": raw, "metadata_2": raw[::-1], "deltajd": days}
    scaled = tfrecords._scale(dict(columns), scaler, "alerce26")
    assert set(scaled) == {"metadata_1", "metadata_2", "deltajd"}
    for alert in (1, 2):
        expected = scaler.transform(columns[f"metadata_{alert}"], alert, "alerce26")
        np.testing.assert_array_equal(scaled[f"metadata_{alert}"], expected)
    np.testing.assert_array_max_ulp(scaled["deltajd"].numpy(), scale_deltajd(days, scaler), 2)


def test_batches_from_memory_shuffle_each_class_as_a_stream_of_its_own(folder: Path) -> None:
    tf.random.set_seed(7)
    arrays = Records(folder).arrays("train")
    batches = take(Records(folder).batches(6, seed=1), 20)
    for label in range(3):
        stream = tf.data.Dataset.from_tensor_slices(arrays.deltajd[arrays.labels == label])
        expected = stream.shuffle(len(stream), seed=1 + label).repeat().take(40)
        drawn = np.concatenate([inputs["deltajd"][labels.argmax(axis=1) == label] for inputs, labels in batches])
        np.testing.assert_array_equal(drawn, np.stack(list(expected.as_numpy_iterator())))


def test_a_process_reads_a_training_set_once_and_another_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tfrecords.read_once.cache_clear()
    for seed in (1, 2):
        Records(folder).batches(6, seed=seed)
    assert tfrecords.read_once.cache_info().misses == 1
    info = dataclasses.replace(Records(folder).info, fingerprint="others")
    monkeypatch.setattr(tfrecords, "_read_info", lambda folder: info)
    Records(folder).batches(6)
    assert tfrecords.read_once.cache_info().misses == 2


def test_turns_are_balanced_for_any_batch() -> None:
    for n_classes, batch_size in ((5, 64), (5, 128), (6, 256), (19, 64)):
        turns = class_turns(n_classes, batch_size)
        assert np.bincount(turns).tolist() == [batch_size] * n_classes
        per_batch = np.array([np.bincount(batch, minlength=n_classes) for batch in turns.reshape(-1, batch_size)])
        assert np.ptp(per_batch) <= 1


def test_epoch_length_is_rounded_up(folder: Path) -> None:
    assert [Records(folder).steps_per_epoch(size) for size in (5, 8, 25)] == [5, 4, 1]


def damage_missing(folder: Path) -> str:
    (folder / "train" / "SN" / "00000.tfrecord").unlink()
    return "00000.tfrecord is missing or not whole"


def damage_truncated(folder: Path) -> str:
    path = folder / "test" / "bogus" / "00000.tfrecord"
    path.write_bytes(path.read_bytes()[:-9])
    return "bogus/00000.tfrecord is missing or not whole"


def damage_flipped_bit(folder: Path) -> str:
    path = folder / "train" / "SN" / "00000.tfrecord"
    content = bytearray(path.read_bytes())
    content[5000] ^= 1
    path.write_bytes(bytes(content))
    return "is corrupt"


def damage_version(folder: Path) -> str:
    path = folder / "dataset.json"
    path.write_text(path.read_text().replace('"schema_version": 1', '"schema_version": 99'))
    return "schema version 99, not 1"


def damage_features(folder: Path) -> str:
    path = folder / "dataset.json"
    path.write_text(path.read_text().replace('"sgscore1"', '"sgscore9"'))
    return "other features"


def damage_json(folder: Path) -> str:
    (folder / "dataset.json").write_text("{")
    return "is not JSON"


def damage_all(folder: Path) -> str:
    shutil.rmtree(folder)
    return "holds no records"


@pytest.mark.parametrize(
    "damage",
    [
        damage_missing,
        damage_truncated,
        damage_flipped_bit,
        damage_version,
        damage_features,
        damage_json,
        damage_all,
    ],
)
def test_damage_is_named_in_one_sentence(folder: Path, tmp_path: Path, damage: Any) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "records"))
    expected = damage(copy)
    with pytest.raises(RecordsError, match=expected) as error:
        Records(copy).arrays("train")
    assert "run notebook 03" in str(error.value)
    assert "\n" not in str(error.value)


def test_unknown_requests_are_refused(folder: Path) -> None:
    for recipe, options, message in (
        ("thesis", {"features": "thesis27"}, "feature list 'thesis27'"),
        ("mine", {}, "recipe 'mine'"),
        ("thesis", {"crop": 64}, "crop size 64"),
    ):
        with pytest.raises(ValueError, match=message):
            Records(folder, recipe).arrays("train", **options)
        with pytest.raises(ValueError, match=message):
            Records(folder, recipe).batches(8, **options)
    with pytest.raises(ValueError, match="split 'dev'"):
        Records(folder).arrays("dev")
    with pytest.raises(ValueError, match="batch size 2 is smaller"):
        Records(folder).batches(2)


def test_first_alerts_alone_and_unlabelled_pairs_become_arrays(folder: Path, pairs: pd.DataFrame) -> None:
    scaler = Records(folder).scaler
    first = arrays_from_table(pairs[[name for name in pairs if not str(name).endswith("_2")]], scaler)
    assert (first.stamps_2, first.metadata_2, first.deltajd, first.labels) == (None,) * 4
    both = arrays_from_table(pairs, scaler)
    np.testing.assert_array_equal(first.stamps_1, both.stamps_1)
    assert both.labels is None
    assert both.metadata_2 is not None
    assert both.metadata_2.shape == (len(both), len(FEATURE_LISTS["thesis26"]))


def test_records_of_first_alerts_alone(pairs: pd.DataFrame, tmp_path: Path) -> None:
    first = pairs[[name for name in pairs if name != "deltajd" and not str(name).endswith("_2")]]
    path = write_parquet(first, tmp_path / "first_alerts.parquet")
    assert write_records(path, make_assignment(pairs), tmp_path / "records", CLASSES).n_alerts == 1
    arrays = Records(tmp_path / "records").arrays("test")
    assert (arrays.stamps_2, arrays.metadata_2, arrays.deltajd) == (None,) * 3
    table = first.merge(make_assignment(pairs), on="objectId").query("split == 'test'")
    direct = arrays_from_table(table, Records(tmp_path / "records").scaler).stamps_1
    np.testing.assert_array_equal(arrays.stamps_1[np.argsort(arrays.object_ids)], direct[np.argsort(table["objectId"])])
    inputs, _ = take(Records(tmp_path / "records").batches(5), 1)[0]
    assert set(inputs) == {"stamps_1", "metadata_1"}


def test_sentinels_squeeze_the_real_values_unless_clipped() -> None:
    rng = np.random.default_rng(1)
    features = rng.normal(0.5, 0.2, (1000, len(ALL_FEATURES))).astype(np.float32)
    features[:100, ALL_FEATURES.index("sgscore1")] = -999
    scalers = [Scaler.fit(features, features, np.arange(1000), recipe) for recipe in ("thesis", "alerce")]
    table = summarise_sentinels(features, scalers)
    assert table["feature"].tolist() == ["sgscore1"]
    row = table.iloc[0]
    assert row["sentinels %"] == 10
    assert row["mean thesis"] == pytest.approx(-99.45, abs=0.1)
    assert row["spread thesis"] < 0.01
    assert row["spread alerce"] > 0.3


def test_reading_by_batches_and_without_stamps(pairs: pd.DataFrame, pairs_path: Path) -> None:
    wanted = sorted(pairs["objectId"])[::2]
    tables = list(read_batches(pairs_path, batch_size=5, object_ids=wanted))
    assert max(len(table) for table in tables) <= 5
    assert sorted(pd.concat(tables)["objectId"]) == wanted
    metadata = read_metadata(pairs_path)
    assert metadata["objectId"].is_monotonic_increasing
    assert not {"science_1", "difference_2"} & set(metadata)


def test_importing_does_not_load_tensorflow() -> None:
    import subprocess
    import sys

    code = "import sys, twostamp.data.tfrecords; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
