"""Models as something to hand on: the folder, what it predicts from packets, its errors, its ONNX twin."""

import io
import json
import shutil
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from isal import igzip

from tests.conftest import make_alert, make_stamp
from twostamp.alerts.packet import BadStamp, CorruptPacket, MissingField, PacketError, read_schema, write_packets
from twostamp.data.decode import decode_objects
from twostamp.data.tfrecord_writer import write_records
from twostamp.data.tfrecords import Records
from twostamp.models import load_classifier
from twostamp.models.architectures import VARIANTS, build_model
from twostamp.models.classifier import CARD, NETWORK, ModelError, export_onnx
from twostamp.models.inference import predict
from twostamp.models.results import SearchResults, TrialResult, package_winners
from twostamp.params import Parameters

pytestmark = pytest.mark.slow

CLASSES = ("AGN", "SN", "bogus")
PARAMS = Parameters(run_name="test")
N = 12


def make_objects() -> list[tuple[dict[str, Any], dict[str, Any]]]:
    rng = np.random.default_rng(1)
    objects = []
    for i in range(N):
        pair = []
        for order in (0, 1):
            values = {"ra": rng.uniform(0, 360), "dec": rng.uniform(-30, 80), "magpsf": rng.uniform(16, 21)}
            values |= {"isdiffpos": rng.choice(["t", "f"]), "fid": int(rng.integers(1, 3)), "sgscore1": None}
            stamps = tuple(make_stamp(seed=int(seed)) for seed in rng.integers(0, 1000, 3))
            pair.append(make_alert(f"ZTF18aaaa{i:03d}", 2 * i + order, 2458000.5 + order, stamps=stamps, **values))
        objects.append(tuple(pair))
    return objects


@pytest.fixture(scope="module")
def objects() -> list[Any]:
    return make_objects()


@pytest.fixture(scope="module")
def records(objects: Sequence[Any], tmp_path_factory: pytest.TempPathFactory) -> Records:
    """The same packets by the way of the extraction: Parquet, then TFRecords, a third of them test objects."""
    folder = tmp_path_factory.mktemp("data")
    labels = np.tile(CLASSES, N // len(CLASSES))
    splits = np.repeat(["train", "validation", "test"], N // len(CLASSES))
    table = decode_objects(objects, 2).assign(classALeRCE=labels, subclassALeRCE=labels)
    (folder / "pairs.parquet").mkdir()
    table.to_parquet(folder / "pairs.parquet" / "part-0.parquet")
    assignment = table[["objectId", "classALeRCE", "subclassALeRCE"]].assign(split=splits)
    write_records(folder / "pairs.parquet", assignment, folder / "records", CLASSES)
    return Records(folder / "records")


def build(variant: str) -> keras.Model:
    keras.utils.set_random_seed(3)
    return build_model(variant, n_classes=3, crop_size=21, kernel_size=3, dropout_rate=0.3)


def make_trial(variant: str, folder: Path, repetition: int = 0, accuracy: float = 0.5) -> TrialResult:
    """A finished trial, its weights drawn at random instead of trained."""
    weights = folder / f"{variant}-{repetition}.weights.h5"
    model = build(variant)
    model.get_layer("output_softmax").bias.assign(np.full(3, 0.1 * repetition))
    model.save_weights(weights)
    sizes = {"kernel_size": 3, "crop_size": 21, "batch_size": 16, "learning_rate": 1e-3, "dropout_rate": 0.3}
    scores = {f"{split}_accuracy": accuracy for split in ("validation", "test")}
    scores |= {f"{split}_confusion": [[1, 0, 0], [0, 2, 0], [0, 0, 3]] for split in ("validation", "test")}
    names = {"trial_id": f"{variant}-r{repetition}", "variant": variant, "repetition": repetition, "seed": 7}
    state = {"status": "done", "reason": "", "classes": list(CLASSES), "settings": {}}
    return TrialResult(names | sizes | state | {"last": scores | {"weights": weights.name}}, folder)


@pytest.fixture(scope="module")
def folder(records: Records, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One model of each kind, packaged as notebook 04 does."""
    root = tmp_path_factory.mktemp("run")
    manifest = {
        "01_data_extraction": {"fingerprint": "abc", "seconds": 3.0},
        "05_model_comparison": {"fingerprint": "x"},
    }
    (root / "manifest.json").write_text(json.dumps(manifest))
    (root / "models").mkdir()
    trials = [make_trial(variant, root) for variant in VARIANTS]
    package_winners(SearchResults(trials), records, root / "models", PARAMS, "simulated survey")
    return root / "models"


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_loaded_model_gives_from_packets_what_the_records_give(
    variant: str, folder: Path, records: Records, objects: Sequence[Any]
) -> None:
    classifier = load_classifier(folder / variant)
    n_alerts = 1 if VARIANTS[variant].architecture == "stamp" else 2
    assert classifier.n_alerts == classifier.card["n_alerts"] == n_alerts
    arrays = records.arrays("test", features=VARIANTS[variant].features or "thesis26")
    expected = dict(zip(arrays.object_ids, predict(build(variant), variant, arrays), strict=True))
    test = [pair[:n_alerts] for pair in objects if pair[0]["objectId"] in expected]
    probabilities = classifier.predict(test, batch_size=3)
    assert probabilities.shape == (4, 3)
    np.testing.assert_allclose(probabilities, [expected[pair[0]["objectId"]] for pair in test], atol=1e-6)


def test_a_model_of_one_or_two_alerts_answers_from_the_first_packet_alone(
    folder: Path, records: Records, objects: Sequence[Any]
) -> None:
    classifier = load_classifier(folder / "one_or_two").at_first_alert()
    arrays = records.arrays("test").first_alone()
    expected = dict(zip(arrays.object_ids, predict(build("one_or_two"), "one_or_two", arrays), strict=True))
    test = [pair[:1] for pair in objects if pair[0]["objectId"] in expected]
    np.testing.assert_allclose(classifier.predict(test), [expected[alert["objectId"]] for (alert,) in test], atol=1e-6)
    assert classifier.load_split(records, "test").stamps_2 is None
    np.testing.assert_array_equal(classifier.predict_arrays(records.arrays("test")), list(expected.values()))
    with pytest.raises(ModelError, match="'separated' has no prediction before the second alert"):
        load_classifier(folder / "separated").at_first_alert()


def test_bytes_and_decoded_packets_are_the_same(folder: Path, objects: Sequence[Any]) -> None:
    classifier = load_classifier(folder / "stacked")
    written = [tuple(write_packets([alert], read_schema()) for alert in pair) for pair in objects[:2]]
    np.testing.assert_allclose(classifier.predict(written), classifier.predict(objects[:2]), atol=1e-4)
    assert classifier.predict([]).shape == (0, 3)


def test_a_folder_of_packets_is_classified_object_by_object(
    folder: Path, objects: Sequence[Any], tmp_path: Path
) -> None:
    for i, alert in enumerate([alert for pair in objects[:3] for alert in pair][::-1]):
        (tmp_path / f"{i}.avro").write_bytes(write_packets([alert], read_schema()))
    alone = write_packets([objects[3][0]], read_schema())
    (tmp_path / "alone.avro").write_bytes(alone)
    classifier = load_classifier(folder / "stacked")
    table = classifier.predict_folder(tmp_path).table
    assert list(table)[-len(CLASSES) - 1 :] == ["class", *CLASSES]
    assert table["class"].tolist() == table[list(CLASSES)].idxmax(axis=1).tolist()
    assert table["deltajd"].tolist() == [1.0] * 3
    assert table["objectId"].tolist() == [pair[0]["objectId"] for pair in objects[:3]]
    assert table[["candid_1", "candid_2"]].to_numpy().tolist() == [[0, 1], [2, 3], [4, 5]]
    np.testing.assert_allclose(table[list(CLASSES)], classifier.predict(objects[:3]), atol=1e-4)
    first = load_classifier(folder / "stamp_23").predict_folder(tmp_path).table
    assert first["n_alerts"].tolist() == [1] * 4
    assert first["candid_2"].isna().all()
    assert classifier.predict_folder(tmp_path / "alone.avro").table.empty


def test_the_best_repetition_is_packaged(records: Records, tmp_path: Path) -> None:
    trials = [make_trial("stamp_23", tmp_path, i, accuracy) for i, accuracy in enumerate((0.5, 0.7, 0.7))]
    folders = package_winners(SearchResults(trials), records, tmp_path / "models", PARAMS)
    card = load_classifier(folders["stamp_23"]).card
    assert card["training"]["trial"] == "stamp_23-r1"
    assert card["trained on"] == "real alerts"


def test_without_a_finished_trial_nothing_is_packaged(records: Records, tmp_path: Path) -> None:
    failed = SearchResults([TrialResult({"trial_id": "a", "variant": "stacked", "status": "failed"}, tmp_path)])
    assert package_winners(failed, records, tmp_path / "models", PARAMS) == {}
    assert not (tmp_path / "models").exists()


def test_the_card_says_what_a_user_needs(folder: Path) -> None:
    card = json.loads((folder / "separated" / CARD).read_text())
    assert card["trained on"] == "simulated survey"
    assert card["classes"] == list(CLASSES)
    assert len(card["features"]) == 26
    assert card["stamps"] == {"normalisation": "range", "nan_value": 2.0, "crop_before_normalising": False}
    assert card["metrics"]["test"] == {"accuracy": 0.5, "confusion": [[1, 0, 0], [0, 2, 0], [0, 0, 3]]}
    assert card["training"]["objects"]["train"] == {"AGN": 2, "SN": 1, "bogus": 1}
    assert card["run"]["parameters"] == PARAMS.model_dump()
    assert card["run"]["fingerprints"] == {"01_data_extraction": "abc"}
    assert card["run"]["versions"]["keras"] == keras.__version__


def test_saving_again_gives_the_same_bytes(folder: Path, records: Records, tmp_path: Path) -> None:
    shutil.copy(folder.parent / "manifest.json", tmp_path)
    trials = SearchResults([make_trial("stacked", tmp_path)])
    package_winners(trials, records, tmp_path / "models", PARAMS, "simulated survey")
    for path in (folder / "stacked").iterdir():
        assert path.read_bytes() == (tmp_path / "models" / "stacked" / path.name).read_bytes(), path.name
    with zipfile.ZipFile(folder / "stacked" / NETWORK) as archive:
        assert {entry.date_time[0] for entry in archive.infolist()} == {1980}
        assert b"20" not in archive.read("metadata.json")


def change(objects: Sequence[Any], at: int, alert: int, edit: Callable[[dict[str, Any]], Any]) -> list[Any]:
    changed = [tuple(dict(packet) | {"candidate": dict(packet["candidate"])} for packet in pair) for pair in objects]
    edit(changed[at][alert])
    return changed


def cut_stamp() -> bytes:
    stream = io.BytesIO()
    fits.PrimaryHDU(np.zeros((40, 63), ">f4")).writeto(stream)
    return igzip.compress(stream.getvalue())


@pytest.mark.parametrize(
    ("edit", "kind", "message"),
    [
        (lambda p: p.pop("candidate"), MissingField, "no candidate"),
        (lambda p: p["candidate"].pop("magpsf"), MissingField, r"no candidate\.magpsf"),
        (lambda p: p["candidate"].update(isdiffpos=None), MissingField, r"no candidate\.isdiffpos"),
        (lambda p: p["candidate"].update(isdiffpos="yes"), CorruptPacket, "isdiffpos is 'yes'"),
        (lambda p: p.update(cutoutTemplate=None), BadStamp, "template stamp is missing"),
        (lambda p: p.update(cutoutScience={"stampData": b"no gzip"}), BadStamp, "not readable gzip"),
        (lambda p: p.update(cutoutDifference={"stampData": cut_stamp()}), BadStamp, r"shape \(40, 63\)"),
        (lambda p: p.update(objectId="ZTF18zzzzzzz"), PacketError, "of another object, ZTF18zzzzzzz"),
        (lambda p: p["candidate"].update(jd=2458000.5), PacketError, "not later than its first"),
    ],
)
def test_what_is_wrong_with_a_packet_is_said_with_its_object(
    edit: Any, kind: type[PacketError], message: str, folder: Path, objects: Sequence[Any]
) -> None:
    bad = change(objects, 5, 1, edit)
    with pytest.raises(kind, match=rf"^object 5 \(ZTF18aaaa005\): .*{message}"):
        load_classifier(folder / "stacked").predict(bad, batch_size=4)


def test_one_bad_object_costs_one_answer(folder: Path, objects: Sequence[Any]) -> None:
    classifier = load_classifier(folder / "stacked")
    expected = classifier.predict(objects)
    bad = change(objects, 5, 1, lambda p: p.update(cutoutDifference={"stampData": cut_stamp()}))
    bad = [*change(bad, 7, 0, lambda p: p["candidate"].update(magpsf=np.inf)), None, (b"Obj",) * 2]
    answers = classifier.predict(iter(bad), batch_size=4, on_error="nan")
    assert list(answers.failures) == [5, 7, 12, 13]
    assert "object 5 (ZTF18aaaa005): " in answers.failures[5]
    assert "magpsf is inf, which is no magnitude" in answers.failures[7]
    sound = [n for n in range(len(objects)) if n not in (5, 7)]
    np.testing.assert_allclose(answers[sound], expected[sound], atol=1e-5)
    assert np.isnan(answers[[5, 7, 12, 13]]).all()
    assert not expected.failures
    with pytest.raises(PacketError, match=r"object 5 "):
        classifier.predict((pair for pair in bad), batch_size=4)
    with pytest.raises(ValueError, match="'raise' or 'nan'"):
        classifier.predict(objects, on_error="ignore")
    alone = classifier.predict([None], on_error="nan")
    assert alone.shape == (1, 3)
    assert list(alone.failures) == [0]


def test_what_is_not_finite_is_missing_and_counted(folder: Path, objects: Sequence[Any]) -> None:
    classifier = load_classifier(folder / "stacked")
    lacking = change(objects[:3], 1, 0, lambda p: p["candidate"].update(chinr=None, fwhm=1.0))
    infinite = change(objects[:3], 1, 0, lambda p: p["candidate"].update(chinr=np.inf, fwhm="1"))
    answers = classifier.predict(infinite)
    np.testing.assert_array_equal(answers, classifier.predict(lacking))
    whole = change(objects[:3], 1, 0, lambda p: p["candidate"].update(chinr=1.0, fwhm=1.0))
    assert (answers.missing - classifier.predict(whole).missing).tolist() == [0, 1, 0]


def test_only_what_the_model_uses_is_asked_for(folder: Path, objects: Sequence[Any]) -> None:
    classifier = load_classifier(folder / "stacked")
    unused = ("rb", "distnr", "magnr", "programid", "ssdistnr", "xpos")
    without = change(objects, 0, 1, lambda p: [p["candidate"].pop(name) for name in unused])
    np.testing.assert_array_equal(classifier.predict(without[:2]), classifier.predict(objects[:2]))
    with pytest.raises(MissingField, match="elong"):
        classifier.predict(change(objects, 0, 1, lambda p: p["candidate"].pop("elong")))
    first = load_classifier(folder / "stamp_23")
    alone = [pair[:1] for pair in change(objects, 0, 0, lambda p: p["candidate"].pop("elong"))]
    assert np.isfinite(first.predict(alone)).all()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((b"Obj",) * 2, "object 0: not an Avro container"),
        ((b"Obj",), "object 0: an object is a tuple of 2 packets"),
        (b"Obj", "object 0: an object is a tuple of 2 packets"),
        ((1, 2), "object 0: a packet is bytes or a decoded dict, not int"),
    ],
)
def test_what_is_no_packet_is_refused(given: Any, message: str, folder: Path) -> None:
    with pytest.raises(PacketError, match=message):
        load_classifier(folder / "stacked").predict([given])


@pytest.mark.parametrize("given", [b"Obj", "a path", {"a": 1}, 5])
def test_what_is_no_list_of_objects_is_refused(given: Any, folder: Path) -> None:
    with pytest.raises(ValueError, match="objects are an iterable of tuples of packets, not of type"):
        load_classifier(folder / "stacked").predict(given, on_error="nan")


def test_pairs_of_any_form_and_values_of_tables_are_taken(folder: Path, objects: Sequence[Any]) -> None:
    classifier = load_classifier(folder / "stacked")
    expected = classifier.predict(objects[:2])
    array = np.empty((2, 2), object)
    for row, pair in enumerate(objects[:2]):
        array[row] = pair
    np.testing.assert_array_equal(classifier.predict(array), expected)
    lacking = change(objects[:2], 1, 0, lambda p: p["candidate"].update(chinr=None, isdiffpos="t"))
    of_a_table = change(objects[:2], 1, 0, lambda p: p["candidate"].update(chinr=pd.NA, isdiffpos=b"t"))
    np.testing.assert_array_equal(classifier.predict(of_a_table), classifier.predict(lacking))
    with pytest.raises(ValueError, match="batch_size is 0"):
        classifier.predict(objects, batch_size=0)


def test_a_container_with_two_alerts_is_refused(folder: Path, objects: Sequence[Any]) -> None:
    both = write_packets(objects[0], read_schema())
    with pytest.raises(CorruptPacket, match=r"object 0.*holds 2 alerts, and a packet is one"):
        load_classifier(folder / "stamp_23").predict([(both,)])


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda card: card.update(format=9), "a model of format 9"),
        (lambda card: card.update(variant="triple"), "'triple' unknown to this version"),
        (lambda card: card["features"].reverse(), "thesis26 had other features"),
    ],
)
def test_a_card_of_another_version_is_refused(edit: Any, message: str, folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "stacked", tmp_path / "stacked")
    card = json.loads((tmp_path / "stacked" / CARD).read_text())
    edit(card)
    (tmp_path / "stacked" / CARD).write_text(json.dumps(card))
    with pytest.raises(ModelError, match=message):
        load_classifier(tmp_path / "stacked")


def test_a_folder_that_is_not_whole_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"holds no model: there is no card\.json"):
        load_classifier(tmp_path)
    shutil.copytree(folder / "stacked", tmp_path / "stacked")
    (tmp_path / "stacked" / NETWORK).write_bytes(b"PK")
    with pytest.raises(ModelError, match="holds no usable model"):
        load_classifier(tmp_path / "stacked")


@pytest.mark.parametrize("variant", ["stamp_23", "stacked", "separated"])
def test_onnx_agrees_with_keras(variant: str, folder: Path, records: Records, objects: Sequence[Any]) -> None:
    onnx = pytest.importorskip("onnx", reason="the optional packages of twostamp[onnx] are not installed")
    from onnx.reference import ReferenceEvaluator

    exported = onnx.load(export_onnx(folder / variant))
    onnx.checker.check_model(exported)
    classifier = load_classifier(folder / variant)
    assert {entry.name for entry in exported.graph.input} == set(classifier.card["inputs"])
    pairs = [pair[: classifier.n_alerts] for pair in objects]
    inputs = classifier.make_inputs(decode_objects(pairs, classifier.n_alerts))
    (probabilities,) = ReferenceEvaluator(exported).run(None, inputs)
    np.testing.assert_allclose(probabilities, classifier.predict(pairs), atol=1e-4)


def test_export_without_its_packages_says_which(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("twostamp.models.classifier.find_spec", lambda name: None)
    with pytest.raises(ModelError, match=r"pip install 'twostamp\[onnx\]'"):
        export_onnx(folder / "stacked")
