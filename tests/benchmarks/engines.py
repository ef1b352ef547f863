"""Trainings on prepared arrays, by either engine, where neither Spark nor TensorFlow need be (a machine with a card).

``python -m tests.benchmarks.engines export RECORDS DATA.npz`` writes the objects of a run's records, cropped and
standardised. ``train DATA.npz RESULTS.csv --engine jax`` trains classifiers on them from several seeds and adds a line
for each; what is there already is not trained again. ``start FOLDER`` writes the weights that JAX begins with for a
seed, and TensorFlow begins with them too by ``train --start FOLDER``. ``equal RESULTS.csv`` compares test accuracies of
the engines by two one-sided tests, and ``gain RESULTS.csv`` those of two alerts with one.
"""

import argparse
import csv
import itertools
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.reference import Objects

SPLITS = ("train", "validation", "test")
FEATURES = "thesis26"
COLUMNS = [
    "engine", "precision", "variant", "width", "batch_size", "learning_rate", "epochs", "per_class", "seed",
    "n_train", "n_test", "validation_accuracy", "test_accuracy", "seconds",
]  # fmt: skip


def export(records: Path, path: Path, crop: int) -> None:
    """Write every split of a run's records, with stamps in half precision."""
    from twostamp.data.tfrecords import Records

    content = {}
    for split in SPLITS:
        arrays = Records(records).arrays(split, FEATURES, crop)
        for name in vars(Objects(*[None] * 6)):
            half = np.float16 if "stamps" in name else np.float32
            content[f"{split}/{name}"] = np.asarray(getattr(arrays, name), np.int64 if name == "labels" else half)
    np.savez_compressed(path, **content)


def load(path: Path, split: str, per_class: int = 0) -> Objects:
    """Read a split; of a training set the first so many objects of each class, or all."""
    with np.load(path) as content:
        columns = {name: content[f"{split}/{name}"] for name in vars(Objects(*[None] * 6))}
    labels = columns["labels"]
    if per_class:
        kept = np.sort(np.concatenate([np.flatnonzero(labels == one)[:per_class] for one in np.unique(labels)]))
        columns = {name: values[kept] for name, values in columns.items()}
    return Objects(**{k: v if k == "labels" else np.asarray(v, np.float32) for k, v in columns.items()})


def train_one(options: argparse.Namespace, variant: str, train: Objects, validation: Objects, seed: int) -> Any:
    """Train one classifier as a run does."""
    from twostamp.models.engines import Hyperparameters

    classes = int(train.labels.max()) + 1
    steps = -(-len(train) // options.batch_size)
    sizes = Hyperparameters(3, train.stamps_1.shape[1], options.batch_size, options.learning_rate, 0.3)
    given: dict[str, Any] = {"n_classes": classes, "steps_per_epoch": steps, "epochs": options.epochs}
    given |= {"warmup_fraction": 0.05, "seed": seed, "width": options.width}
    if options.engine == "jax":
        from twostamp.models import jax_training

        given |= {"mixed_precision": options.precision == "bf16"}
        return jax_training.train_model(variant, sizes, train, validation, **given)
    import tensorflow as tf

    from twostamp.data.tfrecords import take_batches
    from twostamp.models.cross_fitting import balance_rows
    from twostamp.models.training import make_repeatable, train_model

    make_repeatable(seed)
    rows = balance_rows(train.labels, np.arange(len(train)), options.batch_size * steps * options.epochs, seed)
    order = tf.data.Dataset.from_tensor_slices(rows.reshape(-1, options.batch_size))
    batches: Any = take_batches(train, order, options.batch_size, classes)  # type: ignore[arg-type]
    return train_model(variant, sizes, batches, validation, **given)  # type: ignore[arg-type]


def begin(folder: Path, variants: list[str], width: float, seeds: int, crop: int, classes: int) -> None:
    """Write the weights that JAX begins with, as `twostamp.models.jax_training.train_model` draws them."""
    os.environ["KERAS_BACKEND"] = "jax"
    import keras

    from twostamp.models.jax_training import Shape

    folder.mkdir(parents=True, exist_ok=True)
    for variant, seed in itertools.product(variants, range(seeds)):
        keras.utils.set_random_seed(seed)
        model = Shape(variant, 3, crop, 1, (1,) * classes, 1, 1, width=width).build(0.3)
        np.savez(folder / f"{variant}-{width:g}-{seed}.npz", *model.get_weights())


def start_from(path: Path) -> None:
    """Let TensorFlow's loop begin with the weights of a file."""
    from twostamp.models import architectures, training

    with np.load(path) as content:
        weights = [content[name] for name in content.files]

    def build(*given: Any, **named: Any) -> Any:
        model = architectures.build_model(*given, **named)
        model.set_weights(weights)
        return model

    training.build_model = build


def score(model: Any, objects: Objects) -> float:
    """Accuracy of the weights that a model holds."""
    hits = 0
    for i in range(0, len(objects), 500):
        batch = {tensor.name: getattr(objects, tensor.name)[i : i + 500] for tensor in model.inputs}
        hits += int((np.asarray(model(batch, training=False)).argmax(1) == objects.labels[i : i + 500]).sum())
    return hits / len(objects)


def train(options: argparse.Namespace) -> None:
    """Train what is not in the table yet, size by size."""
    os.environ["KERAS_BACKEND"] = options.engine
    done = {tuple(row[:9]) for row in _read(options.results)}
    end = time.monotonic() + options.seconds
    held = {split: load(options.data, split) for split in SPLITS[1:]}
    for per_class, variant in itertools.product(options.per_class, options.variants):
        objects = None
        for seed in range(options.seeds):
            row: list[Any] = [options.engine, options.precision, variant, options.width, options.batch_size]
            row += [options.learning_rate, options.epochs, per_class, seed]
            if tuple(map(str, row)) in done or time.monotonic() > end:
                continue
            objects = objects or load(options.data, "train", per_class)
            if options.start:
                start_from(options.start / f"{variant}-{options.width:g}-{seed}.npz")
            start = time.perf_counter()
            trained = train_one(options, variant, objects, held["validation"], seed)
            trained.model.set_weights(trained.weights["best"])
            row += [len(objects), len(held["test"]), f"{max(trained.history['val_accuracy']):.4f}"]
            row += [f"{score(trained.model, held['test']):.4f}", f"{time.perf_counter() - start:.1f}"]
            _append(options.results, row)
            print(*row, flush=True)


def equal(options: argparse.Namespace) -> None:
    """Say for every kind of training whether the engines' accuracies, paired by seed, are equivalent."""
    from scipy import stats

    for kind, by_engine in _group(options.results, [2, 3, 4, 5, 6, 7], [0, 1]).items():
        for precision in ("fp32", "bf16"):
            ours, theirs = by_engine.get(("jax", precision), {}), by_engine.get(("tensorflow", "fp32"), {})
            both = sorted(ours.keys() & theirs.keys())
            if len(both) < 2:
                continue
            jax, tensorflow = (np.array([scores[seed] for seed in both]) for scores in (ours, theirs))
            above = stats.ttest_rel(jax + options.margin, tensorflow, alternative="greater").pvalue
            below = stats.ttest_rel(jax - options.margin, tensorflow, alternative="less").pvalue
            low, high = stats.ttest_rel(jax, tensorflow).confidence_interval(0.9)
            print(f"{' '.join(kind)}: tensorflow {_describe(tensorflow)}, jax in {precision} {_describe(jax)}")
            print(f"  {np.mean(jax - tensorflow):+.4f} (90 %: {low:+.4f} to {high:+.4f})", end="; ")
            print(f"TOST, margin {options.margin}: p {max(above, below):.2g}")


def gain(options: argparse.Namespace) -> None:
    """Print the accuracy of every classifier, and of two alerts the gain over ``stamp_26``, with 95 % of Welch."""
    from scipy import stats

    for kind, by_variant in _group(options.results, [0, 1, 3, 4, 5, 6, 7], [2]).items():
        print(" ".join(kind))
        scored = {variant: np.array(list(scores.values())) for (variant,), scores in by_variant.items()}
        base = scored.get("stamp_26")
        for variant, scores in scored.items():
            line = f"  {variant:<12} {_describe(scores)}"
            if base is not None and variant != "stamp_26":
                low, high = stats.ttest_ind(scores, base, equal_var=False).confidence_interval(0.95)
                line += f", gain {scores.mean() - base.mean():+.4f} ({low:+.4f} to {high:+.4f})"
            print(line)


def _describe(scores: Any) -> str:
    return f"{scores.mean():.4f} +- {scores.std(ddof=1):.4f} (n {len(scores)})"


def _group(
    path: Path, kind: list[int], by: list[int]
) -> dict[tuple[str, ...], dict[tuple[str, ...], dict[str, float]]]:
    """Test accuracies by kind, by what is compared, and by seed; kind and by are places of columns."""
    found: dict[tuple[str, ...], dict[tuple[str, ...], dict[str, float]]] = {}
    for row in _read(path):
        scores = found.setdefault(tuple(row[i] for i in kind), {}).setdefault(tuple(row[i] for i in by), {})
        scores[row[COLUMNS.index("seed")]] = float(row[COLUMNS.index("test_accuracy")])
    return found


def _read(path: Path) -> list[list[str]]:
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.reader(file))[1:]


def _append(path: Path, row: list[Any]) -> None:
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.writer(file)
        writer.writerows(([COLUMNS] if new else []) + [row])


def main(arguments: list[str] | None = None) -> None:
    """Do what the first word says."""
    sys.path[:0] = [str(Path(__file__).resolve().parents[2] / "lib")]  # where the package is not installed
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.engines", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verb = verbs.add_parser("export", help="records of a run to one file")
    verb.add_argument("records", type=Path)
    verb.add_argument("data", type=Path)
    verb.add_argument("--crop", type=int, default=21)
    verb = verbs.add_parser("train", help="train, and add a line for each training")
    verb.add_argument("data", type=Path)
    verb.add_argument("results", type=Path)
    verb.add_argument("--engine", choices=["tensorflow", "jax"], required=True)
    verb.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    verb.add_argument("--variants", nargs="+", default=["stacked"])
    verb.add_argument("--width", type=float, default=0.25)
    verb.add_argument("--batch-size", type=int, default=32)
    verb.add_argument("--learning-rate", type=float, default=0.001)
    verb.add_argument("--epochs", type=int, default=20)
    verb.add_argument("--per-class", type=int, nargs="+", default=[0], help="training objects of a class; 0: all")
    verb.add_argument("--seeds", type=int, default=10)
    verb.add_argument("--start", type=Path, help="TensorFlow begins with the weights in this folder")
    verb.add_argument("--seconds", type=float, default=float("inf"), help="after which no training begins")
    verb = verbs.add_parser("start", help="write the weights that JAX begins with")
    verb.add_argument("folder", type=Path)
    verb.add_argument("--variants", nargs="+", default=["stacked"])
    verb.add_argument("--width", type=float, default=0.25)
    verb.add_argument("--seeds", type=int, default=10)
    verb.add_argument("--crop", type=int, default=21)
    verb.add_argument("--classes", type=int, default=5)
    verb = verbs.add_parser("equal", help="are the engines' accuracies equivalent?")
    verb.add_argument("results", type=Path)
    verb.add_argument("--margin", type=float, default=0.03, help="difference of accuracy that counts as none")
    verb = verbs.add_parser("gain", help="what the second alert adds")
    verb.add_argument("results", type=Path)
    options = parser.parse_args(arguments)
    if options.verb == "export":
        export(options.records, options.data, options.crop)
    elif options.verb == "start":
        begin(options.folder, options.variants, options.width, options.seeds, options.crop, options.classes)
    else:
        {"train": train, "equal": equal, "gain": gain}[options.verb](options)


if __name__ == "__main__":
    main()
