"""Type aliases."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

Inputs = Mapping[str, NDArray[Any]]
"""Arrays of a network, by the names of its inputs."""
Shape = tuple[int | None, ...]
