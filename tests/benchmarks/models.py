"""Rows of training and prediction: the stacked classifier, crop 21, batch 256."""

import time
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tests.benchmarks import inputs, plain
from tests.benchmarks.measure import PAIRS, Row, bound, compare, growth, growth_of, has_fast_bfloat16, pair_up, rate_of
from twostamp.analysis.inference_time.latency import take_batch
from twostamp.data.arrays import Arrays, Preparation
from twostamp.data.features import compute_features
from twostamp.models.architectures import build_model
from twostamp.models.classifier import Classifier
from twostamp.models.inference import ONEDNN_BFLOAT16, make_server, model_inputs
from twostamp.models.training import Hyperparameters, train_model

VARIANT, CROP, BATCH, CLASSES = "stacked", 21, inputs.sized(256, 16), 5
STEPS, EPOCHS, LEARNING_RATE = inputs.sized(3, 1), inputs.sized(4, 2), 5e-3
SWEEPS = inputs.sized(2, 1)  # every epoch of another length takes a model of its own
CALLS = {1: inputs.sized(30, 2), 64: inputs.sized(10, 2), 1000: inputs.sized(3, 1)}
FAST = has_fast_bfloat16()


@lru_cache(maxsize=1)
def find_objects() -> tuple[Path, Arrays, Arrays]:
    """Records of simulated alerts, their training and their test objects."""
    records = inputs.find_records(inputs.extract_pairs(), inputs.bench_folder() / "data" / "records")
    train, test = (records.arrays(split, crop=CROP) for split in ("train", "test"))
    return records, train, test


def training() -> Iterator[Row]:
    """Train with five seeds each way, and compare rates and accuracies."""
    _, train, test = find_objects()
    rates, accuracies = [], []
    for seed in range(PAIRS):
        ours, reference = train_ours(memory_batches(train, seed), test, seed), train_plain(train, seed)
        rates.append((ours[0], reference[0]))
        truth, given = test.labels, model_inputs(VARIANT, test)
        both = [model.predict(given, verbose=0).argmax(axis=1) for model in (ours[1], reference[1])]
        accuracies.append([(predicted == truth).mean() for predicted in both])
    name = "training stacked, crop 21, batch 256 / Keras fit, fp32, no XLA"
    yield pair_up(name, "objects/s", *zip(*rates, strict=True), target=3 if FAST else 1)
    (first, second), spread = np.mean(accuracies, axis=0), np.std(accuracies, axis=0).max()
    measured = abs(first - second) / max(spread, 1e-6)
    yield bound("training: difference of mean test accuracy, 5 seeds", "std", [measured], 1.0)

    def seconds(steps: int) -> float:
        rate, _ = train_ours(memory_batches(train, 0), test, 0, steps, epochs=2)
        return steps * BATCH / rate

    yield growth_of("an epoch of training, by steps", [1, 2, 4, 8], seconds, SWEEPS)


def memory_batches(train: Arrays, seed: int) -> tf.data.Dataset:
    """Endless batches from memory."""
    labels = np.eye(CLASSES, dtype=np.float32)[train.labels]
    objects = tf.data.Dataset.from_tensor_slices((model_inputs(VARIANT, train), labels))
    return objects.shuffle(len(train), seed=seed).repeat().batch(BATCH).prefetch(2)


def train_ours(
    batches: tf.data.Dataset, test: Arrays, seed: int, steps: int = STEPS, epochs: int = EPOCHS
) -> tuple[float, keras.Model]:
    """Train as the search does; objects per second (median of the epochs but the first) and the model."""
    combination = Hyperparameters(3, CROP, BATCH, LEARNING_RATE, 0.3)
    done = train_model(
        VARIANT,
        combination,
        batches,
        test,
        n_classes=CLASSES,
        steps_per_epoch=steps,
        epochs=epochs,
        warmup_fraction=0.0,
        seed=seed,
        mixed_precision=FAST,
    )
    tf.config.optimizer.set_experimental_options({ONEDNN_BFLOAT16: False})
    return float(np.median(done.history["objects_per_second"][1:])), done.model


class EpochTimes(keras.callbacks.Callback):
    """Seconds of each epoch."""

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Start the clock."""
        self.seconds = [*getattr(self, "seconds", []), -time.perf_counter()]

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Stop it."""
        self.seconds[-1] += time.perf_counter()


def train_plain(train: Arrays, seed: int) -> tuple[float, keras.Model]:
    """Train the same model by ``fit`` on arrays in memory, without XLA, which is slower here."""
    keras.utils.set_random_seed(seed)
    model = build_model(VARIANT, n_classes=CLASSES, crop_size=CROP, kernel_size=3, dropout_rate=0.3)
    model.compile(keras.optimizers.Adam(LEARNING_RATE), "categorical_crossentropy", jit_compile=False)
    places = np.arange(STEPS * BATCH) % len(train)
    given = {name: values[places] for name, values in model_inputs(VARIANT, train).items()}
    labels, times = np.eye(CLASSES, dtype=np.float32)[train.labels[places]], EpochTimes()
    model.fit(given, labels, batch_size=BATCH, epochs=EPOCHS, callbacks=[times], verbose=0)
    return STEPS * BATCH / float(np.median(times.seconds[1:])), model


def feeding() -> Iterator[Row]:
    """The same training fed from TFRecords and from memory."""
    records, train, test = find_objects()
    rates = []
    for seed in range(PAIRS):
        files = records.batches(BATCH, crop=CROP, seed=seed)
        rates.append((train_ours(files, test, seed)[0], train_ours(memory_batches(train, seed), test, seed)[0]))
    yield pair_up("TFRecord pipeline feeding it / from memory", "objects/s", *zip(*rates, strict=True), target=0.9)


def prediction() -> Iterator[Row]:
    """Predictions of one object and of batches, beside ``Model.predict``."""
    _, train, test = find_objects()
    _, model = train_plain(train, seed=0)
    given = model_inputs(VARIANT, test)
    server, exact = make_server(model, mixed_precision=FAST), make_server(model)
    reference = model.predict(given, verbose=0)
    yield bound("predict: largest difference, fp32", "probability", [difference(exact(given), reference)], 1e-4)
    if FAST:
        yield bound("predict: largest difference, bf16", "probability", [difference(server(given), reference)], 2e-2)
    for size, target in {1: 20, 64: 3, 1000: 3}.items() if FAST else {1: 12, 64: 1.2, 1000: 1.2}.items():
        batch = take_batch(given, size)
        sides = [partial(server, batch), partial(model.predict, batch, verbose=0)]
        times = [[time_of(side, CALLS[size]) for side in sides] for _ in range(PAIRS + 1)][1:]
        for name, share in (("p50", 50), ("p99", 99)):
            rates = [[size / np.percentile(side, share) for side in pair] for pair in times]
            row = f"predict {size}, {name} / Model.predict, fp32"
            yield pair_up(row, "objects/s", *zip(*rates, strict=True), target=target)
    works = [inputs.sized(1000, 40) // share for share in (8, 4, 2, 1)]
    yield growth("predict", works, lambda n: partial(server, take_batch(given, n)))


def difference(probabilities: Any, reference: Any) -> float:
    """Largest difference of probabilities."""
    return float(np.abs(probabilities - reference).max())


def time_of(call: Callable[[], Any], repeats: int) -> list[float]:
    """Seconds of each of several calls."""
    return [1 / rate_of(1, call)() for _ in range(repeats)]


def end_to_end() -> Iterator[Row]:
    """Avro bytes to probabilities; a pair is a packet and the next one, copied as its object's second alert."""
    records, train, _ = find_objects()
    scaler, (_, model) = records.scaler, train_plain(train, seed=0)
    pairs = inputs.make_pairs(inputs.sized(512, 16))
    classifier = Classifier(model, VARIANT, ("a", "b", "c", "d", "e"), CROP, scaler, Preparation())

    def plainly() -> Any:
        stamps, table = plain.decode_pairs(pairs, CROP)
        days = (table["jd_2"] - table["jd_1"]).to_numpy()
        columns = {f"stamps_{alert}": stamps[alert - 1] for alert in (1, 2)}
        for alert in (1, 2):
            columns[f"metadata_{alert}"] = scaler.transform(compute_features(table, alert), alert, "thesis26")
        columns["deltajd"] = scaler.transform_deltajd(np.log(np.maximum(days, 1e-4)).reshape(-1, 1))
        return model.predict(columns, verbose=0)

    ours = partial(classifier.predict, pairs, mixed_precision=FAST)
    off = difference(ours(), plainly())
    yield bound("end to end: largest difference", "probability", [off], 2e-2 if FAST else 1e-4)
    sides = (rate_of(2 * len(pairs), side) for side in (ours, plainly))
    yield compare("end to end, Avro to probabilities / the plain ways, chained", "alerts/s", *sides, 6 if FAST else 3)
    works = [len(pairs) // share for share in (8, 4, 2, 1)]
    yield growth("end to end", works, lambda n: partial(classifier.predict, pairs[:n], mixed_precision=FAST))
