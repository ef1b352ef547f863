"""Predictions on Spark: the same as in one process, a part at a time, with the model loaded once."""

import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tests.conftest import make_stamp
from twostamp.data.arrays import Preparation
from twostamp.data.features import PACKET_FIELDS
from twostamp.data.tfrecord_writer import write_records
from twostamp.data.tfrecords import Records
from twostamp.models import prediction
from twostamp.models.architectures import build_model
from twostamp.models.classifier import Classifier
from twostamp.models.prediction import MADE_FROM, predict_on_spark, predict_pairs, predict_parts, predict_shipped

CLASSES = ("AGN", "SN", "bogus")
N, PARTS = 40, 5


def make_pairs(folder, n=N, seed=1):
    rng = np.random.default_rng(seed)
    columns = {"objectId": [f"ZTF18aaaa{i:03d}" for i in range(n)], "deltajd": rng.uniform(0.01, 150, n)}
    for alert in (1, 2):
        columns |= {f"{name}_{alert}": rng.uniform(1, 50, n) for name in PACKET_FIELDS}
        columns |= {f"isdiffpos_{alert}": "t", f"fid_{alert}": 1, f"xpos_{alert}": 1500.0, f"ypos_{alert}": 1500.0}
        for kind in ("science", "template", "difference"):
            columns[f"{kind}_{alert}"] = [make_stamp(seed=int(s)) for s in rng.integers(0, 1000, n)]
    table = pd.DataFrame(columns)
    table.loc[table.index % PARTS == 3, "deltajd"] = 120.0  # a part with nothing to predict
    folder.mkdir(parents=True)
    for part in range(PARTS):
        table[table.index % PARTS == part].to_parquet(folder / f"part-{part:05d}.parquet", index=False)
    return table


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Pairs, records and an untrained model of them: what it says must only be the same everywhere."""
    root = tmp_path_factory.mktemp("world")
    table = make_pairs(root / "pairs.parquet")
    labels = table[["objectId"]].assign(classALeRCE=np.resize(CLASSES, N), split=np.resize(["train"] * 5 + ["test"], N))
    assignment = labels.assign(subclassALeRCE=labels["classALeRCE"])
    write_records(root / "pairs.parquet", assignment, root / "records", CLASSES, seed=1)
    network = build_model("stacked", n_classes=3, crop_size=21, kernel_size=3, dropout_rate=0.3)
    Classifier(network, "stacked", CLASSES, 21, Records(root / "records").scaler, Preparation()).save(root / "model")
    return root, table, root / "model"


def run(spark, world, folder, **options):
    root, _, model = world
    options = {"deltajd_max": 100.0, "batch_size": 3} | options
    return predict_on_spark(spark, root / "pairs.parquet", model, folder, **options)


@pytest.mark.slow
def test_spark_predicts_what_one_process_does_and_resumes_by_part(world, spark, tmp_path):
    root, table, model = world
    folder = tmp_path / "predictions.parquet"
    recent = table.loc[table["deltajd"] <= 100, "objectId"]
    counts = run(spark, world, folder)
    assert counts.sum() == len(recent)
    assert counts["part-00003.parquet"] == 0
    ours = pd.read_parquet(folder).sort_values("objectId", ignore_index=True)
    expected = predict_pairs(root / "pairs.parquet", recent, Classifier.load(model))
    pd.testing.assert_frame_equal(ours, expected, rtol=1e-4)
    assert sorted(path.name for path in folder.iterdir()) == [
        MADE_FROM,
        *(f"part-{i:05d}.parquet" for i in range(PARTS)),
    ]

    assert run(spark, world, folder).empty
    before = {path.name: path.stat().st_mtime_ns for path in folder.glob("*.parquet")}
    (folder / "part-00001.parquet").rename(folder / ".part-00001.parquet-99")  # as a kill leaves it
    assert list(run(spark, world, folder).index) == ["part-00001.parquet"]
    after = {path.name: path.stat().st_mtime_ns for path in folder.glob("part-*.parquet")}
    assert {name for name in before if before[name] != after[name]} <= {"part-00001.parquet"}
    pd.testing.assert_frame_equal(pd.read_parquet(folder).sort_values("objectId", ignore_index=True), ours)

    assert run(spark, world, folder, deltajd_max=10.0).sum() == (table["deltajd"] <= 10).sum()
    assert pd.read_parquet(folder)["objectId"].isin(table.loc[table["deltajd"] <= 10, "objectId"]).all()


def test_a_worker_loads_the_model_once(world, tmp_path, monkeypatch):
    root, table, model = world
    loaded = []
    load = Classifier.load
    monkeypatch.setattr(prediction.Classifier, "load", lambda folder: loaded.append(1) or load(folder))
    prediction._load_once.cache_clear()
    names = [f"part-{i:05d}.parquet" for i in range(PARTS)]
    for batches in ([names[:2], names[2:3]], [names[3:]]):  # two tasks of one worker
        frames = iter([pd.DataFrame({"part": batch}) for batch in batches])
        options = {"pairs": root / "pairs.parquet", "folder": tmp_path, "deltajd_max": 100.0, "batch_size": 4}
        done = pd.concat(predict_parts(frames, model=model, **options))
        assert done["part"].tolist() == [name for batch in batches for name in batch]
    assert len(loaded) == 1
    assert len(pd.read_parquet(tmp_path)) == (table["deltajd"] <= 100).sum()


def test_other_weights_are_another_prediction(world, spark, tmp_path):
    root, _, model = world
    folder = tmp_path / "predictions.parquet"
    folder.mkdir()
    (folder / MADE_FROM).write_text("{}")
    (folder / "part-00000.parquet").write_bytes(b"of another model")
    shutil.copytree(model, tmp_path / "moved")
    assert len(run(spark, (root, None, tmp_path / "moved"), folder)) == PARTS
    assert run(spark, world, folder).empty  # the same weights under another name


@pytest.mark.slow
def test_the_shipped_classifier_reads_a_split_with_its_own_statistics(world, monkeypatch):
    root, table, _ = world
    records, shipped = Records(root / "records"), Classifier.load()
    found = predict_shipped(root / "pairs.parquet", records, ["test"])["test"]
    arrays = records.arrays("test")
    np.testing.assert_array_equal(found.labels, arrays.labels)
    ((name, (probabilities,)),) = found.probabilities.items()
    assert "shipped" in name
    assert "trained on another simulated survey" in name
    rows = table.set_index("objectId").loc[arrays.object_ids].reset_index()
    expected = shipped.predict_table(rows)[:, [shipped.classes.index(each) for each in CLASSES]]
    np.testing.assert_allclose(probabilities, expected, atol=1e-5)
    monkeypatch.setattr(Classifier, "load", lambda: replace(shipped, classes=("AGN", "SN", "VS", "asteroid", "other")))
    assert predict_shipped(root / "pairs.parquet", records) == {}
