"""Layers of a classifier, read from the Keras model itself (Tables 4.1-4.4)."""

from collections.abc import Iterable

import pandas as pd
from keras import layers

from twostamp.models.layers import DeepHiTS
from twostamp.utils.typing import Shape

COLUMNS = ["layer", "parameters", "output_size", "n_parameters"]


def describe_layers(stages: Iterable[layers.Layer], input_shape: Shape | None = None) -> pd.DataFrame:
    """Describe layers as the rows of Tables 4.1-4.4, from the layers themselves.

    Parameters
    ----------
    stages : iterable of keras.layers.Layer
        ``model.layers``, or the stages of a :class:`DeepHiTS`.
    input_shape : tuple, optional
        Shape that enters the first of consecutive stages, (None, rows, columns, channels); not needed for the layers
        of a model, which have their own.

    Returns
    -------
    DataFrame
        layer, parameters (kernel, filters, sizes), output_size, n_parameters.

    Examples
    --------
    >>> layer = DeepHiTS(kernel_size=3)
    >>> layer.build((None, 21, 21, 6))
    >>> describe_layers(layer.stages, (None, 21, 21, 6)).head(3)
                       layer parameters   output_size  n_parameters
    0           zero padding          -   27 × 27 × 6             0
    1  rotation augmentation          -   27 × 27 × 6             0
    2          convolution 1  4 × 4, 32  24 × 24 × 32          3104
    """
    rows = []
    for stage in stages:
        if input_shape is None:
            shape = stage.output.shape
        else:
            shape = input_shape = stage.compute_output_shape(input_shape)
        size = " × ".join(str(n) for n in shape[1:])
        rows.append((stage.name.replace("_", " "), layer_parameters(stage), size, stage.count_params()))
    return pd.DataFrame(rows, columns=COLUMNS)


def describe_deephits(layer: DeepHiTS, stamp_shape: tuple[int, int, int]) -> pd.DataFrame:
    """Describe the stages of a built DeepHiTS layer for stamps of a shape (Table 4.1), the input first."""
    first = pd.DataFrame([("input", "-", " × ".join(map(str, stamp_shape)), 0)], columns=COLUMNS)
    return pd.concat([first, describe_layers(layer.stages, (None, *stamp_shape))], ignore_index=True)


def layer_parameters(layer: layers.Layer) -> str:
    """Return the sizes that define a layer, in the words of Table 4.1: ``3 × 3, 64``, ``2304 × 64``, ``-``."""
    if isinstance(layer, layers.Conv2D):
        return f"{layer.kernel_size[0]} × {layer.kernel_size[1]}, {layer.filters}"
    if isinstance(layer, layers.MaxPooling2D):
        return f"{layer.pool_size[0]} × {layer.pool_size[1]}, stride {layer.strides[0]}"
    if isinstance(layer, layers.Dense):
        return " × ".join(str(n) for n in layer.kernel.shape)
    if isinstance(layer, layers.Dropout):
        return f"rate {layer.rate:g}"
    if isinstance(layer, DeepHiTS):
        return f"kernel: {layer.kernel_size} × {layer.kernel_size}"
    return "-"


def describe_tensorflow() -> tuple[str, int]:
    """Return the version of TensorFlow, and the GPUs that it finds in this process."""
    import tensorflow as tf

    return tf.__version__, len(tf.config.list_physical_devices("GPU"))
