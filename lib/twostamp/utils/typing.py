"""Type aliases."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float32Array = NDArray[np.float32]
Float64Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]

Inputs = Mapping[str, NDArray[Any]]
"""Arrays of a network, by the names of its inputs."""
Shape = tuple[int | None, ...]

Floats = Float32Array
FloatArray = Float64Array
