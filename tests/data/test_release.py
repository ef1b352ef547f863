"""A data set to give away: nothing lost, hashes that hold, metadata that others can read."""

import hashlib
import json
import subprocess
import sys

import mlcroissant
import numpy as np
import pandas as pd
import pytest

from tests.conftest import make_stamp
from twostamp.data.arrays import read_triplets
from twostamp.data.data_card import count_objects, measure_biases
from twostamp.data.features import PACKET_FIELDS
from twostamp.data.release import HASHES, DatasetError, PairsDataset, open_dataset, write_dataset
from twostamp.data.splits import cap_classes, filter_pairs, split_objects
from twostamp.params import make_parameters

N = 60
CLASSES = ("AGN", "SN", "asteroid")


def make_run(root, labelled=True, parts=3):
    rng = np.random.default_rng(2)
    table = pd.DataFrame({"objectId": [f"ZTF18aaaa{i:03d}" for i in range(N)]})
    if labelled:
        table["classALeRCE"] = np.resize(CLASSES, N)
        table["subclassALeRCE"] = table["classALeRCE"].map({"AGN": "QSO", "SN": "SNIa", "asteroid": "asteroid"})
    jd = 2458270.7 + rng.integers(0, 1000, N)
    columns = {"jd_1": jd, "jd_2": jd + 0.5, "deltajd": np.where(np.arange(N) == 4, 200.0, 0.5)}
    for alert in (1, 2):
        columns |= {f"candid_{alert}": np.arange(N, dtype="int64") * 10 + 10**18 + alert}
        columns |= {f"{name}_{alert}": rng.uniform(1, 50, N) for name in PACKET_FIELDS}
        columns |= {f"isdiffpos_{alert}": "t", f"fid_{alert}": 1, f"xpos_{alert}": 1500.0, f"ypos_{alert}": 1500.0}
        columns |= {f"ra_{alert}": np.linspace(0, 350, N), f"dec_{alert}": np.linspace(-30, 80, N)}
        columns |= {f"ssdistnr_{alert}": np.full(N, 1.0), f"ncovhist_{alert}": jd - 2458200}
        for kind in ("science", "template", "difference"):
            columns[f"{kind}_{alert}"] = [make_stamp(seed=int(s)) for s in rng.integers(0, 50, N)]
    table = table.assign(**columns)
    table.loc[5, "chinr_1"] = np.nan
    folder = root / "data" / ("pairs.parquet" if labelled else "unlabelled_pairs.parquet")
    folder.mkdir(parents=True)
    for part in range(parts):
        table[table.index % parts == part].to_parquet(folder / f"part-{part:05d}.parquet", index=False)
    table[:0].to_parquet(folder / f"part-{parts:05d}.parquet", index=False)
    return table


@pytest.fixture(scope="module")
def params():
    return make_parameters({"cap_per_class": 10, "validation_per_class": 2, "test_per_class": 2})


@pytest.fixture(scope="module")
def written(tmp_path_factory, params):
    root = tmp_path_factory.mktemp("run")
    table = make_run(root)
    make_run(root, labelled=False)
    return table, write_dataset(params, root, published="2026-01-02"), root


def test_what_was_written_is_read_back(written):
    table, folder, _ = written
    data = open_dataset(folder)
    data.verify()
    metadata = data.metadata()
    stamps = [name for name in table if table[name].map(type).eq(bytes).all()]
    expected = table.drop(columns=stamps).sort_values("objectId", ignore_index=True)
    pd.testing.assert_frame_equal(metadata.drop(columns="split"), expected)
    assert len(data) == len(table) == N
    assert set(data.tables) == {"labelled", "unlabelled"}
    assert "classALeRCE" not in data.metadata("unlabelled")
    batches = list(data.batches(batch_size=7))
    assert max(map(len, batches)) <= 7
    assert sorted(oid for batch in batches for oid in batch["objectId"]) == expected["objectId"].tolist()
    by_id = table.set_index("objectId")
    for batch in batches[:3]:
        np.testing.assert_array_equal(read_triplets(batch, 2), read_triplets(by_id.loc[batch["objectId"]], 2))
    with pytest.raises(DatasetError, match="has no table 'other'; it has labelled, unlabelled"):
        data.metadata("other")


def test_splits_are_notebook_03s(written, params):
    table, folder, _ = written
    data = PairsDataset(folder)
    admitted, _ = filter_pairs(table)
    split = split_objects(cap_classes(admitted, 10, params.seed), 2, 2, params.seed)
    for name, group in split.groupby("split"):
        assert data.metadata(split=name)["objectId"].tolist() == sorted(group["objectId"])
        assert sorted(oid for b in data.batches(split=name) for oid in b["objectId"]) == sorted(group["objectId"])
    too_far = table.loc[table["deltajd"] > 100, "objectId"]
    assert len(too_far) == 1
    assert data.metadata().set_index("objectId")["split"][too_far].tolist() == [""]


def test_too_few_objects_to_split_are_still_a_data_set(tmp_path):
    make_run(tmp_path)
    folder = write_dataset(make_parameters({"cap_per_class": 600, "validation_per_class": 500}), tmp_path)
    assert set(open_dataset(folder).metadata()["split"]) == {""}
    assert set(open_dataset(folder).tables) == {"labelled"}


def test_croissant_is_valid_and_reads_the_data(written):
    table, folder, _ = written
    described = mlcroissant.Dataset(jsonld=str(folder / "croissant.json"))
    issues = described.metadata.ctx.issues
    assert not issues.errors
    assert not issues.warnings
    records = {record["labelled/objectId"].decode(): record for record in described.records("labelled")}
    assert set(records) == set(table["objectId"])
    row = table.iloc[7]
    record = records[row["objectId"]]
    assert record["labelled/science_1"] == row["science_1"]
    assert record["labelled/candid_2"] == row["candid_2"]
    assert record["labelled/deltajd"] == row["deltajd"]
    assert {name.split("/")[1] for name in record} == {*table, "split"}
    content = json.loads((folder / "croissant.json").read_text())
    shards = {entry["contentUrl"]: entry["sha256"] for entry in content["distribution"] if "sha256" in entry}
    assert len(shards) == 6
    for path, digest in shards.items():
        assert hashlib.sha256((folder / path).read_bytes()).hexdigest() == digest


def test_hashes_are_those_of_sha256sum(written):
    _, folder, _ = written
    subprocess.run(["sha256sum", "--check", "--quiet", "--strict", HASHES], cwd=folder, check=True)
    listed = {line.split("  ")[1] for line in (folder / HASHES).read_text().splitlines()}
    assert listed == {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} - {HASHES}


def test_the_card_says_what_it_must(written):
    table, folder, _ = written
    card = open_dataset(folder).card
    for text in ("60 labelled objects and 60 unlabelled", "simulated survey", "deltajd", "ncovhist", "Asteroids move"):
        assert text in card
    assert "Not a single alert of ZTF" in card
    counts = count_objects(open_dataset(folder).metadata())
    assert counts["objects"].sum() == len(table)
    assert f"| SN | SNIa | {counts.set_index('classALeRCE').loc['SN', 'not chosen']} |" in card


def test_a_run_on_the_sky_acknowledges_it(tmp_path):
    make_run(tmp_path)
    folder = write_dataset(make_parameters({"archive": "/a", "labels": "/l", "mark": "a few nights"}), tmp_path)
    card = open_dataset(folder).card
    for text in ("AST-2034437", "Förster", "a few nights", "public data of ZTF/IPAC"):
        assert text in card
    assert "ztf.caltech.edu" in open_dataset(folder).croissant["license"]


def test_distances_cross_the_meridian():
    row = {"classALeRCE": "asteroid", "deltajd": 0.1, "ncovhist_1": 5, "jd_1": 2458270.7, "dec_1": 60.0, "dec_2": 60.0}
    lines = measure_biases(pd.DataFrame([row | {"ra_1": 0.0001, "ra_2": 359.9999}]))
    assert any("within 0.36 arcsec" in line for line in lines)


def test_the_same_run_gives_the_same_bytes(written, params):
    _, folder, root = written
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert write_dataset(params, root, published="2026-01-02") == folder
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("what", ["shard", "card"])
def test_damage_is_named(tmp_path, what):
    make_run(tmp_path)
    folder = write_dataset(make_parameters({}), tmp_path)
    path = next((folder / "data").iterdir()) if what == "shard" else folder / "README.md"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=f"{path.name} is damaged"):
        open_dataset(folder).verify()
    path.unlink()
    with pytest.raises(DatasetError, match=f"{path.name} is missing"):
        open_dataset(folder)


def test_an_interrupted_writing_leaves_the_old_data_set(written, params, monkeypatch):
    _, folder, root = written
    before = (folder / HASHES).read_bytes()
    monkeypatch.setattr("twostamp.data.release.make_croissant", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_dataset(params, root)
    assert (folder / HASHES).read_bytes() == before
    open_dataset(folder).verify()


def test_nothing_to_give_away(tmp_path, params):
    with pytest.raises(DatasetError, match=r"pairs\.parquet holds no pairs: run notebook 01"):
        write_dataset(params, tmp_path)
    with pytest.raises(DatasetError, match="is no data set"):
        open_dataset(tmp_path)


def test_the_command_line(tmp_path, monkeypatch):
    monkeypatch.setenv("TWOSTAMP_OUTPUTS", str(tmp_path))
    (tmp_path / "mine.yaml").write_text("run_name: mine\n")
    command = [sys.executable, "-m", "twostamp", "release", str(tmp_path / "mine.yaml")]
    refused = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    make_run(tmp_path / "mine")
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "60 labelled pairs are in" in done.stdout


def mark_partnership(folder, places):
    """Give the objects at some places of every part alerts of the partnership; the number of parts with objects."""
    parts = [part for part in sorted(folder.glob("*.parquet")) if len(pd.read_parquet(part, columns=["objectId"]))]
    for part in parts:
        table = pd.read_parquet(part)
        programs = [3 if place in places else 1 for place in range(len(table))]
        table.assign(programid_1=1, programid_2=programs).to_parquet(part)
    return len(parts)


@pytest.mark.parametrize("partnership", [False, True])
@pytest.mark.parametrize("archive", ["simulated", "/a"])
def test_what_is_not_public_is_not_released_unless_asked_for(tmp_path, partnership, archive):
    make_run(tmp_path)
    n = mark_partnership(tmp_path / "data" / "pairs.parquet", {0})
    params = make_parameters({"partnership": partnership, "archive": archive, "labels": archive})
    folder = write_dataset(params, tmp_path)
    data = open_dataset(folder)
    assert len(data) == len(data.metadata()) == N - n * (not partnership)
    assert (data.metadata()["programid_2"] == 3).any() == partnership
    assert f"{n} objects with alerts of ZTF's partnership" in data.card
    assert ("are left out: they are not public" in data.card) != partnership
    assert ("are in here" in data.card) == partnership
    if archive == "/a":
        public = "ZTF's alerts are public data" in data.card
        told = json.dumps([data.croissant["license"], data.croissant["rai:dataCollection"]])
        assert (public, "not public" in told, "public data" in told) == (not partnership, partnership, False)


def test_where_nothing_is_public_the_parameter_that_helps_is_named(tmp_path):
    make_run(tmp_path)
    mark_partnership(tmp_path / "data" / "pairs.parquet", set(range(N)))
    with pytest.raises(DatasetError, match="holds no public pairs; `partnership: true` releases the others"):
        write_dataset(make_parameters({}), tmp_path)
    assert not (tmp_path / "dataset").exists()


def test_a_table_without_splits_has_none(tmp_path):
    make_run(tmp_path)
    make_run(tmp_path, labelled=False)
    data = open_dataset(write_dataset(make_parameters({}), tmp_path))
    with pytest.raises(DatasetError, match="has no splits"):
        data.metadata("unlabelled", split="train")
    assert list(data.batches(split="no such split")) == []
