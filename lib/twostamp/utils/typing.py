"""Type aliases."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.typing import NDArray

Inputs = Mapping[str, NDArray[Any]]

Shape = tuple[int | None, ...]

Floats = NDArray[np.float32]

FloatArray = npt.NDArray[np.float64]
