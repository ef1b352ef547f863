"""A training set on one accelerator, and the class-balanced batches that are drawn from it there."""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from twostamp.data.balance import class_turns
from twostamp.models.architectures import SECOND_SEEN, input_shapes
from twostamp.models.engines import EngineError

_SHARE_FOR_DATA = 0.7
"""Share of a card's free memory for data; activations take the rest."""


def take(inputs: dict[str, Any], rows: Any) -> dict[str, Any]:
    """Take rows of every input."""
    return {name: values[rows] for name, values in inputs.items()}


def complete(inputs: dict[str, Any], variant: str) -> dict[str, Any]:
    """Return the inputs of a variant; without an input that marks second alerts, all are marked."""
    names = input_shapes(variant, crop_size=0)
    if SECOND_SEEN in names and SECOND_SEEN not in inputs:
        inputs = {**inputs, SECOND_SEEN: jnp.ones_like(inputs["deltajd"])}
    return {name: inputs[name] for name in names}


def draw_rows(key: Any, epoch: Any, counts: Sequence[int], steps: int, batch_size: int) -> Any:
    """Draw the batches of an epoch on the device, balanced by class (decision T3).

    Each class is a stream that is reshuffled at every pass and continues from epoch to epoch;
    `twostamp.data.balance.class_turns` gives the turns.

    Parameters
    ----------
    key : jax random key
        Of the whole training.
    epoch : int scalar
        From 0; may be traced.
    counts : sequence of int
        Objects of each class.
    steps, batch_size : int
        Batches of an epoch, and objects of a batch.

    Returns
    -------
    array, shape (steps, batch_size), int32
        Places of objects in a list that holds one class after the other.
    """
    n, sizes = len(counts), np.asarray(counts)
    turns = class_turns(n, batch_size)  # a period, in which each class has batch_size turns
    visits = np.cumsum(turns[:, None] == np.arange(n), axis=0)
    before = jnp.asarray(np.vstack([np.zeros(n, int), visits[:-1]]), jnp.int32)
    places = epoch * (steps * batch_size) + jnp.arange(steps * batch_size)
    cycle, place = places // len(turns), places % len(turns)
    label = jnp.asarray(turns, jnp.int32)[place]
    visit = cycle * batch_size + before[place, label]
    first_pass = (cycle[0] * batch_size + before[place[0]]) // sizes
    longest = steps * -(-batch_size // n)  # visits of a class in an epoch, at most
    streams = []
    for i, size in enumerate(counts):
        passes = first_pass[i] + jnp.arange((longest - 1) // size + 2)
        keys = jax.vmap(functools.partial(jax.random.fold_in, jax.random.fold_in(key, i)))(passes)
        shuffled = jax.vmap(lambda k, size=size: jax.random.permutation(k, size))(keys)
        streams.append(int(sizes[:i].sum()) + shuffled.ravel())
    starts = jnp.asarray(np.cumsum([0, *(len(stream) for stream in streams[:-1])]))
    found = (starts - first_pass * sizes)[label] + visit
    return jnp.concatenate(streams)[found].reshape(steps, batch_size)


def put_on_device(train: Any, validation: Any, variant: str, mixed_precision: bool) -> dict[str, Any]:
    """Put a data set on the device, with stamps in bfloat16 if the network computes in it.

    Parameters
    ----------
    train, validation : twostamp.data.arrays.Arrays
        With labels.
    variant : str
        Its inputs are taken.
    mixed_precision : bool

    Raises
    ------
    EngineError
        The card has no room for it.
    """
    names = [name for name in input_shapes(variant, crop_size=0) if name != SECOND_SEEN]

    def convert(arrays: Any) -> dict[str, Any]:
        half = jnp.bfloat16 if mixed_precision else jnp.float32
        kinds = {name: half if "stamps" in name else jnp.float32 for name in names}
        return {name: np.asarray(getattr(arrays, name), kinds[name]) for name in names}

    size = sum(
        getattr(part, name).size * (2 if mixed_precision and "stamps" in name else 4)
        for part in (train, validation)
        for name in names
    )
    room = _SHARE_FOR_DATA * free_memory()
    if size > room:
        raise EngineError(
            f"the data set takes {size / 1e9:.1f} GB and the card has room for {room / 1e9:.1f}: take a smaller crop "
            "or cap_per_class, or mixed_precision, which halves it"
        )
    labels = np.asarray(train.labels, np.int32)
    content = {
        "train": convert(train),
        "labels": labels,
        "members": np.argsort(labels, kind="stable").astype(np.int32),
        "validation": convert(validation),
        "validation_labels": np.asarray(validation.labels, np.int32),
    }
    return jax.device_put(content)


def free_memory() -> float:
    """Return the free bytes of the device; infinite if it reports none (a processor)."""
    stats = jax.devices()[0].memory_stats() or {}
    return stats.get("bytes_limit", float("inf")) - stats.get("bytes_in_use", 0)


_kept: list[Any] = []


def keep_on_device(train: Any, validation: Any, variant: str, mixed_precision: bool) -> dict[str, Any]:
    """Run `put_on_device` once for consecutive trainings of a process on the same arrays."""
    wanted = (sorted(input_shapes(variant, crop_size=0)), mixed_precision)
    if not (_kept and _kept[0] is train and _kept[1] is validation and _kept[2] == wanted):
        _kept.clear()  # frees the device before the next one comes
        _kept[:] = [train, validation, wanted, put_on_device(train, validation, variant, mixed_precision)]
    return _kept[3]
