"""Two quantiles of many images at once: what normalising stamps spends its time on."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

DEALT = 63**2
"""Pixels of an image that `deal_for_quantiles` takes."""
HANDS, MARGIN = 9, 28
"""Hands dealt, and cards of each looked at on either side of a quantile: four standard deviations of a tenth of 441."""

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]


def find_quantiles(
    images: Floats, missing: NDArray[np.bool_], quantiles: tuple[float, float]
) -> tuple[Doubles, Doubles]:
    """`numpy.nanquantile` along the last axis (linear interpolation), twice as fast and more.

    Parameters
    ----------
    images : ndarray, shape (n, pixels), float32
    missing : ndarray, shape (n, pixels), bool
        Where `images` is NaN.
    quantiles : (float, float)

    Returns
    -------
    low, high : ndarray, shape (n,), float64
        NaN where an image has no pixel.

    Examples
    --------
    >>> images = np.arange(101, dtype=np.float32)[None]
    >>> [float(value[0]) for value in find_quantiles(images, np.isnan(images), (0.1, 0.9))]
    [10.0, 90.0]
    """
    found = np.empty((2, len(images)))
    difficult = np.ones(len(images), dtype=bool)
    inside = min(quantiles) > 0.07 and max(quantiles) < 0.93  # the margin has to fit in a hand
    if inside and images.shape[-1] == DEALT:
        found, difficult = deal_for_quantiles(images, quantiles)
        difficult |= missing.any(axis=-1)
    if difficult.any():
        found[:, difficult] = sort_for_quantiles(images[difficult], missing[difficult], quantiles)
    return found[0], found[1]


def sort_for_quantiles(
    images: Floats, missing: NDArray[np.bool_], quantiles: tuple[float, float]
) -> tuple[Doubles, Doubles]:
    """The quantiles by sorting each image: any number of pixels, missing ones among them."""
    ordered = np.sort(images, axis=-1)  # NaN at the end
    last = np.maximum(images.shape[-1] - missing.sum(axis=-1) - 1, 0)

    def at(quantile: float) -> Doubles:
        place = quantile * last
        below = np.floor(place).astype(np.intp)
        first, second = (
            np.take_along_axis(ordered, index[..., None], axis=-1)[..., 0]
            for index in (below, np.minimum(below + 1, last))
        )
        return between(first, second, place - below)

    return at(quantiles[0]), at(quantiles[1])


def deal_for_quantiles(images: Floats, quantiles: tuple[float, float]) -> tuple[Doubles, NDArray[np.bool_]]:
    """The quantiles of whole 63 x 63 images, four times as fast, and which of them it cannot do.

    Each image is dealt into nine hands, and each hand is sorted: numpy sorts 441 numbers in its registers, and takes
    seven times as long for nine times as many. Both pixels around a quantile have nearly the same place in every hand,
    so that only the hands' cards near it are sorted together; that no other card belongs between them is checked.
    """
    count, size = len(images), images.shape[-1]
    hands = np.ascontiguousarray(images.reshape(count, -1, HANDS).swapaxes(1, 2))
    hands.sort(axis=-1)
    found, doubtful = np.empty((2, count)), np.zeros(count, dtype=bool)
    for i, quantile in enumerate(quantiles):
        place = quantile * (size - 1)
        centre, below = round(place / HANDS), int(place)
        start, stop = centre - MARGIN, centre + MARGIN
        near = hands[:, :, start:stop].reshape(count, -1)
        near.sort(axis=-1)
        rank = below - start * HANDS
        first, second = near[:, rank], near[:, rank + 1]
        # written so that a NaN is doubtful too
        doubtful |= ~(hands[:, :, start - 1].max(axis=-1) <= first)
        doubtful |= ~(hands[:, :, stop].min(axis=-1) >= second)
        found[i] = between(first, second, place - below)
    return found, doubtful


def between(first: Floats, second: Floats, share: Any) -> Doubles:
    """Interpolate in double precision: a sky of 10 000 DN leaves single precision 1e-3 DN."""
    return first + share * (second.astype(np.float64) - first)
