"""How fast the real networks train through the real loop on this machine's accelerator, or without one on a processor.

``python -m tests.benchmarks.accelerator --seconds 240`` needs Python, NumPy, JAX and Keras, and nothing else that the
library uses. It first trains the small reference (`tests.benchmarks.reference`), and refuses to measure an engine that
gives other numbers. Then it adds rows as long as there is time, the most telling ones first: each is trained with
everything on (balanced draws, warm-up, dropout, validation every epoch, best weights) by
`twostamp.models.jax_training.train_model`, most beside a bare loop of the same network (random draws, nothing else).
``outputs/bench/accelerator.json`` is a table of rates that ``twostamp plan`` reads.
"""

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks import reference

CLASSES, LEARNING_RATE, DROPOUT, WARMUP, EPOCHS = 5, 1e-3, 0.3, 0.05, 4
OBJECTS = {21: 40_000, 41: 20_000, 42: 20_000, 63: 8_000}
"""Training objects by crop: an epoch of them lasts long enough to be timed."""
VALIDATION = 60  # training objects for each of validation, about as in the thesis
CARD_TOLERANCE = 1e-3
"""Of the reference, on a card in single precision without TF32: its sums have another order."""


@dataclass(frozen=True)
class Kind:
    """One row: a network and how it is trained."""

    variant: str
    crop_size: int
    kernel_size: int
    batch_size: int
    precision: str = "bf16"
    width: float = 1.0
    bare: bool = True
    without: str = ""


ROWS = [
    Kind("stacked", 21, 3, 256),
    Kind("stacked", 21, 3, 64),
    Kind("separated", 21, 3, 256),
    Kind("stacked", 63, 3, 256),
    Kind("stacked", 63, 5, 128, bare=False),
    Kind("stacked", 21, 3, 256, "fp32", bare=False),
    Kind("separated", 63, 5, 256, bare=False),
    Kind("stamp_26", 21, 3, 256, bare=False),
    Kind("stacked", 42, 3, 256, bare=False),
    Kind("stacked", 21, 5, 256, bare=False),
    Kind("separated", 21, 3, 64, bare=False),
    Kind("stacked", 21, 3, 2048, bare=False),
    Kind("stacked", 21, 3, 256, without="validation", bare=False),
    Kind("stacked", 21, 3, 256, without="balanced draws", bare=False),
    Kind("stacked", 21, 3, 64, width=0.25, bare=False),
]
SMALL_ROWS = [Kind("stacked", 21, 3, 8, width=0.1), Kind("separated", 21, 3, 8, "fp32", width=0.1)]
PROCESSOR_ROWS = [
    Kind(variant, crop, kernel, batch, "fp32", width)
    for variant, crop, kernel, batch, width in (
        ("stacked", 21, 3, 64, 1.0),
        ("stacked", 21, 3, 256, 1.0),
        ("separated", 21, 3, 256, 1.0),
        ("stamp_26", 21, 3, 256, 1.0),
        ("stacked", 21, 3, 32, 0.25),
        ("stacked", 63, 3, 64, 1.0),
        ("stacked", 63, 5, 64, 1.0),
        ("separated", 63, 5, 64, 1.0),
    )
]


def read_objects(path: Path) -> tuple[Any, Any]:
    """Objects of a file with the arrays of `reference.Objects`: every 60th is validation."""
    with np.load(path) as content:
        columns = {name: content[name] for name in vars(reference.make_objects(5, 4, 0))}
    held = np.arange(len(columns["labels"])) % VALIDATION == 0
    return tuple(reference.Objects(**{k: v[chosen] for k, v in columns.items()}) for chosen in (~held, held))


def make_noise(crop: int, n: int) -> tuple[Any, Any]:
    """Random objects of one crop."""
    return reference.make_objects(n, crop, seed=1), reference.make_objects(max(n // VALIDATION, 10), crop, seed=2)


def check() -> dict[str, float]:
    """Train the reference in full single precision; the largest relative differences."""
    import jax

    with jax.default_matmul_precision("highest"):
        return reference.compare(reference.summarise(reference.train()), json.loads(reference.REFERENCE.read_text()))


def measure(kind: Kind, train: Any, validation: Any) -> dict[str, Any]:
    """Train with everything on, twice: the first time compiles, and the second one's best epoch counts."""
    from twostamp.models import jax_training
    from twostamp.models.engines import Hyperparameters

    steps = -(-len(train) // kind.batch_size)
    sizes = Hyperparameters(kind.kernel_size, kind.crop_size, kind.batch_size, LEARNING_RATE, DROPOUT)
    options = {"n_classes": CLASSES, "steps_per_epoch": steps, "warmup_fraction": WARMUP, "width": kind.width}
    options |= {"mixed_precision": kind.precision == "bf16"}
    before = jax_training.Programme._judge, jax_training.draw_rows
    if kind.without:
        jax_training.prepare.cache_clear()
    if kind.without == "validation":
        jax_training.Programme._judge = lambda *_: (0.0 * steps, 0.0)
    if kind.without == "balanced draws":
        jax_training.draw_rows = _draw_anyhow
    try:
        start = time.perf_counter()
        jax_training.train_model(kind.variant, sizes, train, validation, seed=0, epochs=1, **options)
        first, start = time.perf_counter() - start, time.perf_counter()
        done = jax_training.train_model(kind.variant, sizes, train, validation, seed=1, epochs=EPOCHS, **options)
        second = time.perf_counter() - start
    finally:
        jax_training.Programme._judge, jax_training.draw_rows = before
        if kind.without:
            jax_training.prepare.cache_clear()
    rates = done.history["objects_per_second"]
    epochs = sum(steps * kind.batch_size / rate for rate in rates)
    overhead = second - epochs
    return {
        "rate": max(rates),
        "compile_seconds": round(first - overhead - epochs / EPOCHS, 1),
        "trial_overhead_seconds": round(overhead, 2),
        "val_accuracy": done.history["val_accuracy"][-1],
        "memory_mb": round(done.history["memory"][-1]),
    }


def _draw_anyhow(key: Any, epoch: Any, counts: Any, steps: int, batch_size: int) -> Any:
    import jax

    return jax.random.randint(jax.random.fold_in(key, epoch), (steps, batch_size), 0, sum(counts))


def measure_bare(kind: Kind, train: Any) -> float:
    """Objects per second of the same network in the barest loop: random draws, a constant rate, no validation."""
    import jax
    import jax.numpy as jnp
    import keras

    from twostamp.models import jax_training

    shape = jax_training.Shape(kind.variant, kind.kernel_size, kind.crop_size, kind.batch_size, (1,) * CLASSES, 1, 1)
    model = replace(shape, width=kind.width).build(DROPOUT, "mixed_bfloat16" if kind.precision == "bf16" else "float32")
    adam = keras.optimizers.Adam(LEARNING_RATE)
    adam.build(model.trainable_variables)
    half = jnp.bfloat16 if kind.precision == "bf16" else jnp.float32
    inputs = {
        tensor.name: jnp.asarray(getattr(train, tensor.name), half if "stamps" in tensor.name else jnp.float32)
        for tensor in model.inputs
    }
    labels = jnp.asarray(train.labels)
    steps = -(-len(train) // kind.batch_size)

    def lose(weights: Any, others: Any, batch: Any, truth: Any) -> tuple[Any, Any]:
        probabilities, others = model.stateless_call(weights, others, batch, training=True)
        of_truth = jnp.take_along_axis(probabilities, truth[:, None], 1)
        return -jnp.mean(jnp.log(jnp.clip(of_truth, 1e-7))), others

    def step(state: Any, key: Any) -> tuple[Any, Any]:
        weights, others, moments = state
        rows = jax.random.randint(key, (kind.batch_size,), 0, len(labels))
        batch = {name: values[rows] for name, values in inputs.items()}
        (loss, others), slopes = jax.value_and_grad(lose, has_aux=True)(weights, others, batch, labels[rows])
        weights, moments = adam.stateless_apply(moments, slopes, weights)
        return (weights, others, moments), loss

    epoch = jax.jit(lambda state, keys: jax.lax.scan(step, state, keys), donate_argnums=0)
    groups = (model.trainable_variables, model.non_trainable_variables, adam.variables)
    state: Any = tuple([jnp.copy(variable.value) for variable in group] for group in groups)
    keys, best = jax.random.split(jax.random.key(0), steps), 0.0
    for turn in range(EPOCHS + 1):  # the first one compiles
        start = time.perf_counter()
        state, losses = epoch(state, keys)
        losses.block_until_ready()
        if turn:
            best = max(best, steps * kind.batch_size / (time.perf_counter() - start))
    return best


def measure_processor(kind: Kind) -> dict[str, Any]:
    """Train a few batches of noise by TensorFlow on one thread; the fewest processor seconds of a batch count."""
    import keras
    import tensorflow as tf

    from twostamp.models.architectures import build_model
    from twostamp.models.training import limit_threads

    limit_threads(1)
    objects = reference.make_objects(kind.batch_size, kind.crop_size, seed=1)
    model = build_model(
        kind.variant, n_classes=CLASSES, crop_size=kind.crop_size, kernel_size=kind.kernel_size, dropout_rate=DROPOUT,
        width=kind.width,
    )  # fmt: skip
    model.compile("adam", loss="sparse_categorical_crossentropy", jit_compile=False)
    inputs = {tensor.name: tf.constant(getattr(objects, tensor.name)) for tensor in model.inputs}
    seconds = []
    for _ in range(3):  # the first one traces
        start = time.process_time()
        model.train_on_batch(inputs, objects.labels)
        seconds.append(time.process_time() - start)
    keras.backend.clear_session()
    return {"rate": kind.batch_size / min(seconds[1:])}


def measure_rows(options: argparse.Namespace, card: str, done: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Measure row by row what is not there yet, leaving out what would not end in time."""
    end, longest = time.monotonic() + options.seconds, 0.0
    given = read_objects(options.data) if options.data else None
    noise: dict[int, tuple[Any, Any]] = {}
    rows = PROCESSOR_ROWS if options.engine == "tensorflow" else SMALL_ROWS if options.cpu else ROWS
    for kind in rows:
        if given and kind.crop_size != given[0].stamps_1.shape[1]:
            continue
        wanted = {name: value for name, value in asdict(kind).items() if name != "bare"}
        if any(wanted.items() <= row.items() for row in done):
            continue
        start = time.monotonic()
        if start + longest > end:
            print(f"no time is left for {kind}", flush=True)
            continue
        row = {"engine": options.engine, "card": card, **asdict(kind), "bare": None}
        try:
            if options.engine == "tensorflow":
                row |= measure_processor(kind)
            else:
                if kind.crop_size not in noise and not given:
                    noise = {kind.crop_size: make_noise(kind.crop_size, 48 if options.cpu else OBJECTS[kind.crop_size])}
                objects = given or noise[kind.crop_size]
                row |= measure(kind, *objects)
                if kind.bare:
                    row["bare"] = measure_bare(kind, objects[0])
        except Exception as error:  # the other rows are worth having
            row["failed"] = f"{type(error).__name__}: {str(error)[:300]}"
        longest = max(longest, time.monotonic() - start)
        print(format_row(row), flush=True)
        yield row


def read_rows(path: Path, machine: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows that an earlier call measured on the same card with the same versions, failed ones apart."""
    content = json.loads(path.read_text()) if path.exists() else {"machine": {}, "rows": []}
    before = {name: value for name, value in content["machine"].items() if name != "reference"}
    same = before == {name: value for name, value in machine.items() if name != "reference"}
    return [row for row in content["rows"] if same and "failed" not in row]


HEADER = "network      crop  k batch width        objects/s      bare  ratio  compile"


def format_row(row: dict[str, Any]) -> str:
    """One line of the printed table."""
    kind = f"{row['variant']:<12}{row['crop_size']:>5}{row['kernel_size']:>3}{row['batch_size']:>6}{row['width']:>6} "
    if "failed" in row:
        return f"{kind}{row['precision']:<6} failed: {row['failed']}"
    bare = row.get("bare")
    shown = f"{bare:>10.0f}{row['rate'] / bare:>7.2f}" if bare else f"{'-':>10}{'-':>7}"
    note = f"  without {row['without']}" if row["without"] else ""
    return f"{kind}{row['precision']:<6}{row['rate']:>10.0f}{shown}{row.get('compile_seconds', 0):>8.1f}s{note}"


def main(arguments: list[str] | None = None) -> int:
    """Check, measure, print and write; 1 if the reference is off."""
    sys.path[:0] = [str(Path(__file__).resolve().parents[2] / "lib")]  # where the package is not installed
    from twostamp.utils.cards import list_cards

    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.accelerator", description=__doc__)
    parser.add_argument("--seconds", type=float, default=240, help="after which no row is begun (default 240)")
    parser.add_argument("--data", type=Path, help=".npz with stamps_1, metadata_1, stamps_2, ..., labels; else noise")
    parser.add_argument("--cpu", action="store_true", help="tiny rows on the processor: does it run at all?")
    parser.add_argument("--engine", choices=["tensorflow", "jax"], help="jax where there is a card, else tensorflow")
    parser.add_argument("--out", type=Path, default=Path(os.environ.get("TWOSTAMP_OUTPUTS", "outputs"), "bench"))
    options = parser.parse_args(arguments)
    options.engine = options.engine or ("jax" if options.cpu or list_cards() else "tensorflow")
    os.environ["KERAS_BACKEND"] = options.engine
    if options.cpu:
        os.environ["JAX_PLATFORMS"] = "cpu"
    if options.engine == "tensorflow":
        os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    import keras

    machine = {"python": platform.python_version(), "keras": keras.__version__, "card": "processor"}
    if options.engine == "jax":
        import jax

        machine |= {"jax": jax.__version__, "card": jax.devices()[0].device_kind}
        differences = check()
        print(f"{machine['card']}: reference off by " + ", ".join(f"{k} {v:.1e}" for k, v in differences.items()))
        if not max(differences.values()) < CARD_TOLERANCE:
            print(f"which is more than {CARD_TOLERANCE}: nothing is measured")
            return 1
        machine["reference"] = differences
    print(HEADER, flush=True)
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / "accelerator.json"
    rows = read_rows(path, machine)
    for row in measure_rows(options, machine["card"], rows):
        rows.append(row)
        path.write_text(json.dumps({"machine": machine, "rows": rows}, indent=1) + "\n")
    print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
