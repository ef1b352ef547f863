"""Class probabilities from a trained network."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from twostamp.data.arrays import Arrays
from twostamp.models.architectures import SECOND_SEEN, input_shapes
from twostamp.utils.typing import Floats32, Inputs


def make_server(model: Any, mixed_precision: bool = False) -> Callable[[Inputs], Floats32]:
    """Wrap a model as a broker would serve it: one graph, traced once for batches of any size.

    Parameters
    ----------
    model : keras.Model
    mixed_precision : bool
        See `twostamp.models.inference.bfloat16`.

    Returns
    -------
    callable
        Function from inputs, a dict of arrays of n objects, to probabilities, shape (n, n_classes). `Model.predict`
        gives the same, but its set-up takes tens of milliseconds more per call.
    """
    shapes = {tensor.name: tf.TensorSpec((None, *tensor.shape[1:]), tf.float32) for tensor in model.inputs}
    graph = tf.function(lambda inputs: model(inputs, training=False), input_signature=[shapes])

    def serve(inputs: Inputs) -> Floats32:
        with bfloat16(mixed_precision):
            return graph({name: tf.convert_to_tensor(inputs[name], tf.float32) for name in shapes}).numpy()

    return serve


ONEDNN_BFLOAT16 = "auto_mixed_precision_onednn_bfloat16"


def model_inputs(variant: str, arrays: Arrays) -> dict[str, np.ndarray]:
    """Return the arrays that a variant takes, by input name.

    The variant ``one_or_two`` accepts arrays without a second alert too: it then gets zeros, and an input that marks
    this.
    """
    shapes = input_shapes(variant, crop_size=arrays.stamps_1.shape[1])
    n, seen = len(arrays.stamps_1), arrays.stamps_2 is not None
    known = {SECOND_SEEN: np.full((n, 1), seen, np.float32)}
    if SECOND_SEEN in shapes and not seen:
        known |= {name: np.zeros((n, *shapes[name]), np.float32) for name in ("stamps_2", "metadata_2", "deltajd")}
    return {name: known[name] if name in known else getattr(arrays, name) for name in shapes}


@contextlib.contextmanager
def bfloat16(enabled: bool) -> Iterator[None]:
    """Let oneDNN compute in bfloat16 within a ``with`` block, in this thread: twice as fast on processors with
    bfloat16.

    TensorFlow reads the option when a graph is called, and keeps it by thread. Probabilities change by a few 1e-3.
    """
    options = tf.config.optimizer
    before = options.get_experimental_options().get(ONEDNN_BFLOAT16, False)
    options.set_experimental_options({ONEDNN_BFLOAT16: enabled})
    try:
        yield
    finally:
        options.set_experimental_options({ONEDNN_BFLOAT16: before})


def predict(model: keras.Model, variant: str, arrays: Arrays, batch_size: int = 256) -> np.ndarray:
    """Return class probabilities through the compiled graph of a model, without the set-up cost of ``Model.predict``.

    Parameters
    ----------
    model : keras.Model
    variant : str
        A key of ``VARIANTS``.
    arrays : Arrays
        Objects, prepared with the variant's list of features and the model's crop.
    batch_size : int
        Objects in one call.

    Returns
    -------
    ndarray, shape (n, n_classes), float32
    """
    inputs = model_inputs(variant, arrays)
    starts = range(0, len(arrays), batch_size)
    parts = [
        model.predict_on_batch({name: values[i : i + batch_size] for name, values in inputs.items()}) for i in starts
    ]
    return np.concatenate(parts) if parts else np.empty((0, model.output_shape[-1]), np.float32)
