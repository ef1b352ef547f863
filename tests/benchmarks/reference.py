"""One small training whose weights, objects and batches come from NumPy alone, so that every engine can be given it.

``training_reference.json`` holds what TensorFlow makes of it in single precision on a processor. As a module, this
trains it with the engine of ``KERAS_BACKEND``, and writes what comes out: ``python -m tests.benchmarks.reference
FOLDER``.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

REFERENCE = Path(__file__).parent / "training_reference.json"
VARIANT, CLASSES, CROP, BATCH, STEPS, WIDTH, N, N_VALIDATION = "stacked", 5, 21, 8, 20, 0.1, 60, 20
VARIANTS = ("stacked", "separated", "one_or_two")
TOLERANCE = 1e-4


@dataclass(frozen=True)
class Objects:
    """Stands for `twostamp.data.arrays.Arrays`, which needs more than NumPy."""

    stamps_1: Any
    metadata_1: Any
    stamps_2: Any
    metadata_2: Any
    deltajd: Any
    labels: Any

    def __len__(self) -> int:
        return len(self.labels)


def make_objects(n: int, crop: int, seed: int, features: int = 26) -> Objects:
    """Noise, with labels that the network can learn from the mean of a stamp."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % CLASSES

    def draw(*shape: int) -> Any:
        return rng.standard_normal((n, *shape), np.float32)

    stamps = [draw(crop, crop, 3) + 0.3 * labels[:, None, None, None].astype(np.float32) for _ in range(2)]
    return Objects(stamps[0], draw(features), stamps[1], draw(features), draw(1), labels)


def draw_weights(shapes: list[tuple[int, ...]], seed: int) -> list[Any]:
    """Weights of He's size for every shape of ``get_weights``; vectors are as a fresh network has them."""
    rng = np.random.default_rng(seed)
    return [rng.normal(0, np.sqrt(2 / np.prod(shape[:-1])), shape).astype(np.float32) for shape in shapes]


def prepare(model: Any) -> Any:
    """Give a network the weights of the reference; biases, means and variances stay as they were made."""
    fresh = model.get_weights()
    drawn = draw_weights([values.shape if values.ndim > 1 else (1, 1) for values in fresh], seed=5)
    model.set_weights([new if old.ndim > 1 else old for old, new in zip(fresh, drawn, strict=True)])
    return model


def draw_order() -> Any:
    """Rows of every step, shape (STEPS, BATCH)."""
    return np.random.default_rng(2).integers(0, N, (STEPS, BATCH))


def train(variant: str = VARIANT) -> Any:
    """Train it by the real loop of the engine that Keras runs on, one step an epoch, without dropout."""
    import keras

    train, validation = make_objects(N, CROP, seed=3), make_objects(N_VALIDATION, CROP, seed=4)
    options = {"n_classes": CLASSES, "steps_per_epoch": 1, "epochs": STEPS, "warmup_fraction": 0.2, "seed": 0}
    options |= {"width": WIDTH, "entropy_beta": 0.1}
    return (_train_jax if keras.backend.backend() == "jax" else _train_tensorflow)(variant, train, validation, options)


def _train_jax(variant: str, train: Objects, validation: Objects, options: dict[str, Any]) -> Any:
    import jax.numpy as jnp

    from twostamp.models import jax_training
    from twostamp.models.engines import Hyperparameters

    build, draw = jax_training.build_model, jax_training.draw_rows
    jax_training.build_model = lambda *given, **named: prepare(build(*given, **named))
    jax_training.draw_rows = lambda key, epoch, counts, steps, size: order[epoch][None]
    jax_training.prepare.cache_clear()
    try:
        # `members` puts the rows of one class after the other; here rows are meant as they are.
        by_class = np.argsort(np.argsort(train.labels, kind="stable"), kind="stable")
        order = jnp.asarray(by_class[draw_order()])
        sizes = Hyperparameters(3, CROP, BATCH, 1e-3, 0.0)
        return jax_training.train_model(variant, sizes, train, validation, **options)
    finally:
        jax_training.build_model, jax_training.draw_rows = build, draw
        jax_training.prepare.cache_clear()


def _train_tensorflow(variant: str, train: Objects, validation: Objects, options: dict[str, Any]) -> Any:
    import tensorflow as tf

    from twostamp.models import training
    from twostamp.models.engines import Hyperparameters

    build = training.build_model
    training.build_model = lambda *given, **named: prepare(build(*given, **named))
    try:
        inputs = {name: values[draw_order().ravel()] for name, values in vars(train).items()}
        labels = np.eye(CLASSES, dtype=np.float32)[inputs.pop("labels")]
        batches = tf.data.Dataset.from_tensor_slices((inputs, labels)).batch(BATCH)
        sizes = Hyperparameters(3, CROP, BATCH, 1e-3, 0.0)
        return training.train_model(variant, sizes, batches, validation, **options)
    finally:
        training.build_model = build


def summarise(training: Any) -> dict[str, Any]:
    """Numbers that say whether two trainings are the same."""
    kept = ("loss", "val_loss", "learning_rate")
    history = {name: [float(f"{value:.9g}") for value in training.history[name]] for name in kept}
    return history | {
        "norms": [float(f"{np.linalg.norm(values):.9g}") for values in training.weights["last"] if values.ndim > 1]
    }


def compare(found: dict[str, Any], reference: dict[str, Any]) -> dict[str, float]:
    """Largest relative difference of every kind of number."""
    return {
        name: float(np.max(np.abs(np.subtract(found[name], known)) / (np.abs(known) + 1e-2)))
        for name, known in reference.items()
    }


def build(variant: str) -> Any:
    """Build the network that is trained, with weights of its own."""
    from twostamp.models.architectures import build_model

    return build_model(variant, n_classes=CLASSES, crop_size=CROP, kernel_size=3, dropout_rate=0.3, width=WIDTH)


def main(folder: Path) -> None:
    """Write losses, weights, a weights file and predictions of every architecture."""
    from twostamp.models.inference import predict

    for variant in VARIANTS:
        done = train(variant)
        np.savez(folder / f"{variant}.start.npz", *prepare(build(variant)).get_weights())
        done.model.save_weights(folder / f"{variant}.weights.h5")
        probabilities = predict(done.model, variant, make_objects(N_VALIDATION, CROP, seed=4))
        (folder / f"{variant}.json").write_text(json.dumps(summarise(done)))
        np.savez(folder / f"{variant}.npz", *done.weights["last"], probabilities=probabilities)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
