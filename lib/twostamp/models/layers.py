"""DeepHiTS: convolutions that are equivariant to 90-degree rotations, and cyclic pooling."""

from typing import Any

import keras
from keras import layers, ops

from twostamp.utils.typing import Shape

# The user's keras.json may differ; networks, and their stored weights, are of these.
keras.config.set_image_data_format("channels_last")
keras.config.set_floatx("float32")
keras.config.set_epsilon(1e-7)

N_ROTATIONS = 4
PADDING = 3
_FIRST_KERNEL = 4


def scale(number: int, width: float) -> int:
    """Return the number of filters or neurons at a width, at least one.

    Examples
    --------
    >>> scale(64, 0.25), scale(32, 1.0)
    (16, 32)
    """
    return max(1, round(number * width))


@keras.saving.register_keras_serializable("twostamp")
class Dropout(layers.Dropout):
    """Keras's dropout with a `rate` that may be traced, so that one compiled graph serves every rate."""

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Return the inputs, in training a share of them set to zero."""
        if not training or isinstance(self.rate, float):
            return super().call(inputs, training=training)
        kept = keras.random.uniform(ops.shape(inputs), seed=self.seed_generator) >= self.rate
        return ops.where(kept, inputs / ops.cast(1 - self.rate, inputs.dtype), ops.cast(0, inputs.dtype))


@keras.saving.register_keras_serializable("twostamp")
class RotateStamps(layers.Layer):
    """Stack the four 90-degree rotations of each stamp on the batch axis: (n, s, s, c) to (4n, s, s, c).

    One convolution over 4n images is faster than four over n, and shares its weights by construction (decision A4).
    """

    def call(self, stamps: Any) -> Any:
        """Return the rotations of ``stamps``, object by object."""
        rotations = ops.stack([ops.rot90(stamps, k, axes=(1, 2)) for k in range(N_ROTATIONS)], axis=1)
        return ops.reshape(rotations, (-1, *stamps.shape[1:]))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return (4n, s, s, c)."""
        return (None, *input_shape[1:])


@keras.saving.register_keras_serializable("twostamp")
class GatherRotations(layers.Layer):
    """Undo the stacking of :class:`RotateStamps`: (4n, k) to (n, 4, k)."""

    def call(self, vectors: Any) -> Any:
        """Return one row of four vectors per object."""
        return ops.reshape(vectors, (-1, N_ROTATIONS, vectors.shape[-1]))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return (n, 4, k)."""
        return (None, N_ROTATIONS, input_shape[-1])


@keras.saving.register_keras_serializable("twostamp")
class DeepHiTS(layers.Layer):
    """Convolutions, rotations and cyclic pooling (section 4.1, Table 4.1; decisions A1-A4).

    Parameters
    ----------
    kernel_size : int
        Side of the last four convolutions, in pixels; the first one is 4 x 4.
    width : float
        Filters and neurons as a share of the thesis's.

    Attributes
    ----------
    stages : list of keras.layers.Layer
        The rows of Table 4.1, in order.

    Examples
    --------
    >>> import numpy as np
    >>> DeepHiTS(kernel_size=3)(np.zeros((2, 21, 21, 3), "float32")).shape
    TensorShape([2, 64])
    """

    def __init__(self, kernel_size: int, width: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.kernel_size, self.width = kernel_size, width
        same = {"kernel_size": kernel_size, "padding": "same", "activation": "relu"}
        self.stages = [
            layers.ZeroPadding2D(PADDING, name="zero_padding"),
            RotateStamps(name="rotation_augmentation"),
            layers.Conv2D(scale(32, width), _FIRST_KERNEL, activation="relu", name="convolution_1"),
            layers.Conv2D(scale(32, width), name="convolution_2", **same),
            layers.MaxPooling2D(2, name="max_pooling_1"),
            *(layers.Conv2D(scale(64, width), name=f"convolution_{i}", **same) for i in (3, 4, 5)),
            layers.MaxPooling2D(2, name="max_pooling_2"),
            layers.Flatten(name="flatten"),
            layers.Dense(scale(64, width), activation="relu", name="fully_connected"),
            GatherRotations(name="rotation_concatenation"),
            layers.GlobalAveragePooling1D(name="cyclic_pooling"),
        ]

    def build(self, input_shape: Shape) -> None:
        """Create the weights of every stage for stamps of ``input_shape`` (n, crop, crop, channels)."""
        for stage in self.stages:
            stage.build(input_shape)
            input_shape = stage.compute_output_shape(input_shape)

    def call(self, stamps: Any) -> Any:
        """Map stamps (n, crop, crop, channels) to vectors (n, 64)."""
        for stage in self.stages:
            stamps = stage(stamps)
        return stamps

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return (n, 64), or the share of it that the width leaves."""
        return (input_shape[0], scale(64, self.width))

    def get_config(self) -> dict[str, Any]:
        """Return what :func:`keras.saving.deserialize_keras_object` needs."""
        return {**super().get_config(), "kernel_size": self.kernel_size, "width": self.width}
