"""ALeRCE's checkpoint: written here as TensorFlow 1 writes it, and judged by the network worked out in plain NumPy."""

import io
import itertools
import json
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from astropy.coordinates import SkyCoord
from astropy.io import fits
from isal import igzip

from tests.conftest import make_alert
from twostamp.alerts.archive import iter_members
from twostamp.alerts.packet import read_schema, write_packets
from twostamp.data.features import ALL_FEATURES, FEATURE_LISTS
from twostamp.models import load_alerce_checkpoint
from twostamp.models.alerce_checkpoint import CheckpointError, read_feature_stats

pytestmark = pytest.mark.slow

FEATURES = FEATURE_LISTS["alerce26"]
SHAPES = {
    "conv_1_1/conv2d/kernel": (4, 4, 3, 32),
    "conv_1_1/conv2d/bias": (32,),
    "conv_2_2/conv2d/kernel": (3, 3, 32, 32),
    "conv_2_2/conv2d/bias": (32,),
    "conv_3_4/conv2d/kernel": (3, 3, 32, 64),
    "conv_3_4/conv2d/bias": (64,),
    "conv_4_5/conv2d/kernel": (3, 3, 64, 64),
    "conv_4_5/conv2d/bias": (64,),
    "conv_5_6/conv2d/kernel": (3, 3, 64, 64),
    "conv_5_6/conv2d/bias": (64,),
    "dense_1_10/dense_1_10/kernel": (2304, 64),
    "dense_1_10/dense_1_10/bias": (64,),
    "batchnorm_features/gamma": (26,),
    "batchnorm_features/beta": (26,),
    "batchnorm_features/moving_mean": (26,),
    "batchnorm_features/moving_variance": (26,),
    "dense_2_12/dense_2_12/kernel": (90, 64),
    "dense_2_12/dense_2_12/bias": (64,),
    "dense_3_13/dense_3_13/kernel": (64, 64),
    "dense_3_13/dense_3_13/bias": (64,),
    "output_logits/kernel": (64, 5),
    "output_logits/bias": (5,),
}


def make_weights(seed: int = 1) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    weights = {}
    for name, shape in SHAPES.items():
        scale = np.sqrt(2 / np.prod(shape[:-1])) if len(shape) > 1 else 0.3
        weights[name] = rng.normal(0, scale, shape).astype("float32")
    weights["batchnorm_features/moving_variance"] = rng.uniform(0.5, 2, 26).astype("float32")
    return weights


def write_checkpoint(folder: Path, weights: dict[str, np.ndarray]) -> str:
    """Save variables below network/ and Adam's slots beside them, as a TensorFlow 1 Saver does."""
    graph = tf.Graph()
    with graph.as_default(), tf.compat.v1.Session(graph=graph) as session:
        for name, values in weights.items():
            tf.compat.v1.get_variable(f"network/{name}", initializer=values, use_resource=False)
            if "moving" not in name:
                for slot in ("Adam", "Adam_1"):
                    zeros = np.zeros_like(values)
                    tf.compat.v1.get_variable(f"network/{name}/{slot}", initializer=zeros, use_resource=False)
        tf.compat.v1.get_variable("beta1_power", initializer=0.9, use_resource=False)
        session.run(tf.compat.v1.global_variables_initializer())
        return tf.compat.v1.train.Saver().save(session, str(folder / "model"))


def make_stats() -> dict[str, dict[str, float]]:
    rng = np.random.default_rng(2)
    return {name: {"mean": float(rng.normal(0, 2)), "std": float(rng.uniform(0.5, 3))} for name in FEATURES}


@pytest.fixture(scope="module")
def weights() -> dict[str, np.ndarray]:
    return make_weights()


@pytest.fixture(scope="module")
def stats_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("stats") / "stats.json"
    path.write_text(json.dumps(make_stats()))
    return path


@pytest.fixture(scope="module")
def prefix(weights: dict[str, np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_checkpoint(tmp_path_factory.mktemp("checkpoint"), weights)


def relu(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0)


def convolve(images: np.ndarray, weights: dict[str, np.ndarray], name: str, padding: int) -> np.ndarray:
    kernel, bias = weights[f"{name}/conv2d/kernel"], weights[f"{name}/conv2d/bias"]
    images = np.pad(images, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(images, kernel.shape[:2], axis=(1, 2))
    return relu(np.einsum("nyxcij,ijco->nyxo", windows, kernel, optimize=True) + bias)


def pool(images: np.ndarray) -> np.ndarray:
    n, height, width, channels = images.shape
    return images.reshape(n, height // 2, 2, width // 2, 2, channels).max(axis=(2, 4))


def dense(x: np.ndarray, weights: dict[str, np.ndarray], name: str) -> np.ndarray:
    return x @ weights[f"{name}/kernel"] + weights[f"{name}/bias"]


def reference(stamps: np.ndarray, metadata: np.ndarray, weights: dict[str, np.ndarray]) -> np.ndarray:
    """ALeRCE's network in double precision, rotation by rotation."""
    weights = {name: values.astype(np.float64) for name, values in weights.items()}
    vectors = []
    for k in range(4):
        x = np.rot90(stamps.astype(np.float64), k, axes=(1, 2))
        x = convolve(x, weights, "conv_1_1", padding=3)
        x = pool(convolve(x, weights, "conv_2_2", padding=1))
        for name in ("conv_3_4", "conv_4_5", "conv_5_6"):
            x = convolve(x, weights, name, padding=1)
        x = pool(x).reshape(len(x), -1)
        vectors.append(relu(dense(x, weights, "dense_1_10/dense_1_10")))
    norm = {part: weights[f"batchnorm_features/{part}"] for part in ("gamma", "beta", "moving_mean", "moving_variance")}
    features = (metadata - norm["moving_mean"]) / np.sqrt(norm["moving_variance"] + 1e-3) * norm["gamma"] + norm["beta"]
    x = np.concatenate([np.mean(vectors, axis=0), features], axis=1)
    x = relu(dense(x, weights, "dense_2_12/dense_2_12"))
    logits = dense(relu(dense(x, weights, "dense_3_13/dense_3_13")), weights, "output_logits")
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def test_network_gives_what_plain_numpy_gives(prefix: str, stats_path: Path, weights: dict[str, np.ndarray]) -> None:
    network = load_alerce_checkpoint(prefix, stats_path).network
    rng = np.random.default_rng(3)
    stamps = rng.uniform(0, 1, (6, 21, 21, 3)).astype("float32")
    metadata = rng.normal(size=(6, 26)).astype("float32")
    expected, inputs = reference(stamps, metadata, weights), {"stamps_1": stamps, "metadata_1": metadata}
    assert np.ptp(expected, axis=0).max() > 0.01
    np.testing.assert_allclose(network.predict(inputs, verbose=0), expected, atol=1e-5)
    np.testing.assert_allclose(network(inputs).numpy(), expected, atol=1e-5)


def make_alerts() -> list[dict[str, Any]]:
    rng = np.random.default_rng(4)
    alerts = []
    for i, sign in enumerate(("t", "f", "1", "0")):
        stamps = []
        for _ in range(3):
            image = rng.normal(100, 20, (63, 63)).astype(">f4")
            image[rng.integers(0, 63, 40), rng.integers(0, 63, 40)] = np.nan
            stream = io.BytesIO()
            fits.PrimaryHDU(image).writeto(stream)
            stamps.append(igzip.compress(stream.getvalue()))
        values = {"ra": 10.0 + i, "dec": -5.0, "fwhm": 30.0 * i, "sgscore1": [-999.0, 0.5][i % 2], "rb": 0.3}
        values |= {"sgscore2": None, "ncovhist": 4000, "ndethist": 30, "chinr": -999.0, "distnr": 3.0}
        values["magnr"] = [-999.0, 18.0][i % 2]  # no source in the reference image
        alerts.append(make_alert(f"ZTF18aaaaaa{i}", stamps=tuple(stamps), isdiffpos=sign, **values))
    return alerts


def prepare(alert: dict[str, Any], stats: dict[str, dict[str, float]]) -> tuple[np.ndarray, np.ndarray]:
    """One alert as ALeRCE prepares it, written from its description."""
    channels = []
    for name in ("Science", "Template", "Difference"):
        image = fits.getdata(io.BytesIO(igzip.decompress(alert[f"cutout{name}"]["stampData"]))).astype(np.float32)
        image = image - np.nanmin(image)
        channels.append(np.nan_to_num(image / np.nanmax(image))[21:42, 21:42])
    candidate = alert["candidate"]
    sky = SkyCoord(candidate["ra"], candidate["dec"], unit="deg")
    values = candidate | {
        "isdiffpos": {"t": 0, "1": 0, "f": 1, "0": 1}[candidate["isdiffpos"]],
        "ecl_lat": sky.barycentricmeanecliptic.lat.deg,
        "ecl_long": sky.barycentricmeanecliptic.lon.deg,
        "gal_lat": sky.galactic.b.deg,
        "gal_long": sky.galactic.l.deg,
        "non_detections": min(candidate["ncovhist"] - candidate["ndethist"], 2000),
        "fwhm": min(candidate["fwhm"], 10),
        "ndethist": min(candidate["ndethist"], 20),
        "ncovhist": min(candidate["ncovhist"], 3000),
        "chinr": np.clip(candidate["chinr"], -1, 15),
        "sharpnr": np.clip(candidate["sharpnr"] or 0, -1, 1.5),
    }
    for name in [*(f"{kind}{k}" for kind in ("sgscore", "distpsnr") for k in (1, 2, 3)), "distnr", "magnr"]:
        values[name] = max(values[name] or 0, -1)
    metadata = [((values[name] or 0) - stats[name]["mean"]) / stats[name]["std"] for name in FEATURES]
    return np.stack(channels, axis=-1), np.array(metadata)


def test_packets_are_prepared_as_alerce_prepared_them(
    prefix: str, stats_path: Path, weights: dict[str, np.ndarray]
) -> None:
    alerts = make_alerts()
    packets = [(alert,) for alert in alerts[:2]] + [(write_packets([alert], read_schema()),) for alert in alerts[2:]]
    stamps, metadata = zip(*(prepare(alert, make_stats()) for alert in alerts), strict=True)
    expected = reference(np.stack(stamps), np.stack(metadata), weights)
    probabilities = load_alerce_checkpoint(prefix, stats_path).predict(packets)
    assert probabilities.shape == (4, 5)
    np.testing.assert_allclose(probabilities, expected, atol=1e-5)


def test_real_packets_get_probabilities(prefix: str, stats_path: Path, real_alerts: Path) -> None:
    members = itertools.islice(iter_members(str(real_alerts), progress=False), 20)
    probabilities = load_alerce_checkpoint(prefix, stats_path).predict([(member.data,) for member in members])
    assert probabilities.shape == (20, 5)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("name", ["conv_3_4/conv2d/kernel", "batchnorm_features/moving_variance", "output_logits/bias"])
def test_a_missing_variable_is_named(
    name: str, stats_path: Path, weights: dict[str, np.ndarray], tmp_path: Path
) -> None:
    prefix = write_checkpoint(tmp_path, {key: values for key, values in weights.items() if key != name})
    with pytest.raises(CheckpointError, match=f"has no variable network/{name}"):
        load_alerce_checkpoint(prefix, stats_path)


def test_a_misshapen_variable_is_named(stats_path: Path, weights: dict[str, np.ndarray], tmp_path: Path) -> None:
    wrong = weights | {"dense_2_12/dense_2_12/kernel": np.zeros((87, 64), np.float32)}
    prefix = write_checkpoint(tmp_path, wrong)
    with pytest.raises(CheckpointError, match=r"network/dense_2_12/dense_2_12/kernel has the shape \[87, 64\], not \["):
        load_alerce_checkpoint(prefix, stats_path)


def test_no_checkpoint_and_a_damaged_one_are_said_to_be_so(prefix: str, stats_path: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="nothing is no readable TensorFlow checkpoint"):
        load_alerce_checkpoint(tmp_path / "nothing", stats_path)
    for path in Path(prefix).parent.glob("model.*"):
        (tmp_path / path.name).write_bytes(path.read_bytes()[: 10_000 if "data" in path.name else None])
    with pytest.raises(CheckpointError, match="model is no readable TensorFlow checkpoint"):
        load_alerce_checkpoint(tmp_path / "model", stats_path)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("number", [float, np.float64, np.float32, np.asarray])
def test_statistics_are_read_from_pickles_of_plain_numbers(protocol: int, number: Any, tmp_path: Path) -> None:
    stats = make_stats()
    path = tmp_path / "stats.pkl"
    content = OrderedDict((name, {key: number(value) for key, value in entry.items()}) for name, entry in stats.items())
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    scaler = read_feature_stats(path)
    for name in FEATURES:
        assert scaler.mean[0, ALL_FEATURES.index(name)] == pytest.approx(stats[name]["mean"], rel=1e-6)
        assert scaler.std[0, ALL_FEATURES.index(name)] == pytest.approx(stats[name]["std"], rel=1e-6)


class Malicious:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.target,)


def test_a_pickle_that_would_run_code_is_refused_and_runs_none(tmp_path: Path) -> None:
    path, target = tmp_path / "stats.pkl", tmp_path / "touched"
    path.write_bytes(pickle.dumps(make_stats() | {"rb": Malicious(target)}))
    with pytest.raises(CheckpointError, match="which is not allowed"):
        read_feature_stats(path)
    assert not target.exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda stats: stats.pop("rb"), "not of the features alerce26: rb"),
        (lambda stats: stats.update(elong={"mean": 0, "std": 1}), "not of the features alerce26: elong"),
        (lambda stats: stats.update(sgscore1=stats.pop("sgscore1")), "in another order"),
        (lambda stats: stats["ra"].pop("std"), "feature ra has no numbers"),
        (lambda stats: stats["dec"].update(std=0.0), "std 0.0 of feature dec"),
        (lambda stats: stats["dec"].update(mean=float("nan")), "mean nan"),
    ],
)
def test_statistics_of_other_features_are_refused(change: Any, message: str, tmp_path: Path) -> None:
    stats, path = make_stats(), tmp_path / "stats.json"
    change(stats)
    path.write_text(json.dumps(stats))
    with pytest.raises(CheckpointError, match=message):
        read_feature_stats(path)


def test_damaged_statistics_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "stats"
    for content in (b"{", b"[]", pickle.dumps(make_stats())[:-20]):
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match="stats is n"):
            read_feature_stats(path)
