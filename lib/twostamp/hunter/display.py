"""Stamps as grey values: the six images of a candidate, stretched together."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from astropy.visualization import ZScaleInterval
from numpy.typing import NDArray

from twostamp.alerts.cutouts import SIZE, STAMPS, find_stamp, read_stamp, repair_stamp
from twostamp.alerts.packet import BadStamp, find_candidate
from twostamp.utils.typing import Floats32

STRETCHES = ("zscale", "percentile", "asinh")
NO_PIXEL = 255
"""Value of a pixel without data; grey values are 0 to 254."""
_PERCENTILES = (1.0, 99.5)
_ASINH_SOFTENING = 0.1


def read_images(packets: Sequence[Mapping[str, Any]]) -> Floats32:
    """Read the stamps of an object's alerts, and subtract the sky level (their median).

    Parameters
    ----------
    packets : sequence of mapping
        One or two packets from `twostamp.alerts.read_packets`.

    Returns
    -------
    ndarray, shape (2, 3, 63, 63), float32
        Science, template and difference of each alert, DN; NaN where there is none.
    """
    images = np.full((2, len(STAMPS), SIZE, SIZE), np.nan, np.float32)
    for row, packet in enumerate(packets):
        candidate = find_candidate(packet)
        place = [float(candidate.get(axis) or "nan") for axis in ("xpos", "ypos")]
        for column, name in enumerate(STAMPS):
            try:
                image = repair_stamp(read_stamp(find_stamp(packet, name)), *place)
            except BadStamp:
                continue  # shown as missing
            if np.isfinite(image).any():
                images[row, column] = image - np.nanmedian(image)
    return images


def stretch(images: Floats32, how: str) -> NDArray[np.uint8]:
    """Map pixels to grey values, with the same limits for a kind of stamp in both alerts, so that brighter looks
    brighter.

    Parameters
    ----------
    images : ndarray, shape (2, 3, 63, 63)
        Images from `read_images`.
    how : {"zscale", "percentile", "asinh"}
        Limits by IRAF's zscale; percentiles 1 and 99.5; or these after asinh, which shows faint and bright sources.

    Returns
    -------
    ndarray, shape (2, 3, 63, 63), uint8
        Grey values 0 to 254, and `NO_PIXEL` for missing pixels.

    Raises
    ------
    ValueError
        There is no such stretch.
    """
    if how not in STRETCHES:
        raise ValueError(f"no stretch is called {how!r}; there are {', '.join(STRETCHES)}")
    grey = np.full(images.shape, NO_PIXEL, np.uint8)
    for column in range(images.shape[1]):
        pair = images[:, column]
        there = np.isfinite(pair)
        if not there.any():
            continue
        values = pair[there]
        if how == "zscale":
            low, high = ZScaleInterval().get_limits(values)
        else:
            low, high = np.percentile(values, _PERCENTILES)
        scaled = np.clip((values - low) / max(high - low, 1e-9), 0, 1)
        if how == "asinh":
            scaled = np.arcsinh(scaled / _ASINH_SOFTENING) / np.arcsinh(1 / _ASINH_SOFTENING)
        grey[:, column][there] = np.round(scaled * (NO_PIXEL - 1))
    return grey
