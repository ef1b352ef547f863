"""Stamps: gzipped FITS to arrays, repair at the chip's edges, normalisation, crop.

Pure functions on arrays (thesis sections 3.1.3 and 3.5.1; decisions S1 to S5). An image is ``(63, 63)``, rows are y.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from twostamp.alerts.cutouts import CENTRE, SIZE
from twostamp.utils.typing import Bools, Floats, Floats32

QUANTILES = (0.1, 0.9)
RANGE = (-1, 1)  # of a normalised pixel
_NORMALISATIONS = ("range", "literal", "minmax")

_TOGETHER = 32  # images that stay in the processor's cache


def normalise_stamps(
    stamps: Floats32, method: str = "range", nan_value: float = 2.0, crop: int | None = None
) -> Floats32:
    """Scale every image by itself, whatever its neighbours hold (S2, section 3.5.1).

    Parameters
    ----------
    stamps : ndarray, shape (..., h, w), float32
        Images in DN; pixels that are not finite are missing and do not enter the scale.
    method : {"range", "literal", "minmax"}
        ``range``: (x - q10) / (q90 - q10). ``literal``: (x - q10) / q90, the thesis's sentence word for word. Both are
        clipped to [-1, 1]. ``minmax``: (x - min) / max(x - min), as ALeRCE does (Carrasco-Davis et al. 2021).
    nan_value : float
        Value of a missing pixel in ``range`` and ``literal``; in ``minmax`` it is ALeRCE's 0.
    crop : int, optional
        Side of the central crop: as `crop_stamps` afterwards, without scaling the rest.

    Returns
    -------
    ndarray, same shape or (..., crop, crop), float32
        Always finite. An image without contrast becomes 0, one without pixels `nan_value`: `count_degenerate` counts
        them.

    Examples
    --------
    >>> image = np.arange(101, dtype=np.float32).reshape(1, 101)
    >>> normalise_stamps(image)[0, [0, 10, 50, 90, 100]].tolist()
    [-0.125, 0.0, 0.5, 1.0, 1.0]
    """
    if method not in _NORMALISATIONS:
        raise ValueError(f"normalisation {method!r} is not one of {', '.join(_NORMALISATIONS)}")
    images = np.asarray(stamps, dtype=np.float32).reshape(-1, *stamps.shape[-2:])
    kept = (slice(None), slice(None)) if crop is None else _centre(crop)
    scaled = np.empty((len(images), *images[:0][:, *kept].shape[1:]), dtype=np.float32)
    for start in range(0, len(images), _TOGETHER):
        part = slice(start, start + _TOGETHER)
        _normalise(images[part], method, nan_value, kept, scaled[part])
    return scaled.reshape(*stamps.shape[:-2], *scaled.shape[1:])


def _normalise(images: Floats32, method: str, nan_value: float, kept: tuple[slice, slice], out: Floats32) -> None:
    """Scale the kept part of images, shape (n, h, w), into `out`."""
    missing = ~np.isfinite(images)
    if missing.any():
        images = np.where(missing, np.float32(np.nan), images)
    pixels = images.shape[-2] * images.shape[-1]
    flat = images.reshape(-1, pixels), missing.reshape(-1, pixels)
    low, high = _find_quantiles(*flat, (0.0, 1.0) if method == "minmax" else QUANTILES)
    with np.errstate(over="ignore", under="ignore"):
        scale = (high if method == "literal" else high - low).astype(np.float32)
        usable = (high > low) & (scale != 0)  # false for an image of NaN as well
        low = np.where(usable, low, 0)
        nearest = low.astype(np.float32)
        np.subtract(images[:, *kept], nearest[:, None, None], out=out)
        # in two steps nothing of a faint contrast is rounded away
        out -= (low - nearest).astype(np.float32)[:, None, None]
        out /= np.where(usable, scale, np.float32(np.inf))[:, None, None]
    np.clip(out, *RANGE, out=out)
    np.copyto(out, np.float32(0 if method == "minmax" else nan_value), where=missing[:, *kept])


@dataclass(frozen=True)
class Degenerate:
    """Images that normalisation could not scale: `flat` have no contrast, `empty` no pixel at all."""

    flat: int
    empty: int


def count_degenerate(images: Floats32, nan_value: float = 2.0) -> Degenerate:
    """Count the images in which `normalise_stamps` left only zeros and missing pixels (S2).

    Parameters
    ----------
    images : ndarray, shape (..., 63, 63), float32
        Whole and normalised; a crop may be flat where its stamp is not.
    nan_value : float
        Value given to missing pixels; ALeRCE's 0 (``minmax``) is indistinguishable from flat, so those count as flat.

    Examples
    --------
    >>> images = np.zeros((2, 3, 63, 63), np.float32)
    >>> images[0], images[1, 0] = 0.5, 2
    >>> count_degenerate(images)
    Degenerate(flat=2, empty=1)
    """
    missing, axes = images == nan_value, (-2, -1)
    empty = missing.all(axis=axes) if nan_value != 0 else np.zeros(1, dtype=bool)
    dull = (missing | (images == 0)).all(axis=axes)
    return Degenerate(flat=int(dull.sum() - empty.sum()), empty=int(empty.sum()))


def crop_stamps(stamps: Floats32, size: int) -> Floats32:
    """Central crop; an even size, which has no centre, takes the extra row and column before (42: 10 to 51) (S4).

    Parameters
    ----------
    stamps : ndarray, shape (..., 63, 63, c)
    size : int
        1 to 63; the thesis uses 21, 42 and 63.

    Returns
    -------
    ndarray, shape (..., size, size, c)
        A view.

    Examples
    --------
    >>> [crop_stamps(np.zeros((2, 63, 63, 3)), size).shape[1] for size in (21, 42, 63)]
    [21, 42, 63]
    """
    return stamps[..., *_centre(size), :]


def _centre(size: int) -> tuple[slice, slice]:
    if not 1 <= size <= SIZE:
        raise ValueError(f"crop size {size} is not between 1 and {SIZE}")
    start = CENTRE - size // 2
    return (slice(start, start + size),) * 2


_HANDS, _MARGIN = 9, 28
"""Strided subsets, and values of each that are merged on either side of a quantile (four sigma of a tenth of 441)."""


def _find_quantiles(images: Floats32, missing: Bools, quantiles: tuple[float, float]) -> tuple[Floats, Floats]:
    """`numpy.nanquantile` of images, shape (n, pixels), NaN where `missing`: linear interpolation, twice as fast."""
    found = np.empty((2, len(images)))
    difficult = np.ones(len(images), dtype=bool)
    inside = min(quantiles) > 0.07 and max(quantiles) < 0.93  # the margin has to fit in a hand
    if inside and images.shape[-1] == SIZE**2:
        found, difficult = _deal_for_quantiles(images, quantiles)
        difficult |= missing.any(axis=-1)
    if difficult.any():
        found[:, difficult] = _sort_for_quantiles(images[difficult], missing[difficult], quantiles)
    return found[0], found[1]


def _sort_for_quantiles(images: Floats32, missing: Bools, quantiles: tuple[float, float]) -> tuple[Floats, Floats]:
    """The quantiles by sorting each image: any number of pixels, missing ones among them."""
    ordered = np.sort(images, axis=-1)  # NaN at the end
    last = np.maximum(images.shape[-1] - missing.sum(axis=-1) - 1, 0)

    def at(quantile: float) -> Floats:
        place = quantile * last
        below = np.floor(place).astype(np.intp)
        first, second = (
            np.take_along_axis(ordered, index[..., None], axis=-1)[..., 0]
            for index in (below, np.minimum(below + 1, last))
        )
        return _interpolate(first, second, place - below)

    return at(quantiles[0]), at(quantiles[1])


def _deal_for_quantiles(images: Floats32, quantiles: tuple[float, float]) -> tuple[Floats, Bools]:
    """The quantiles of whole 63 x 63 images, four times as fast, and which of them it cannot do.

    Sort nine strided subsets of 441 pixels, which numpy does in registers, and merge only the pixels near each
    quantile. A result is doubtful unless every other pixel provably lies outside the two around the quantile.
    """
    count, size = len(images), images.shape[-1]
    hands = np.ascontiguousarray(images.reshape(count, -1, _HANDS).swapaxes(1, 2))
    hands.sort(axis=-1)
    found, doubtful = np.empty((2, count)), np.zeros(count, dtype=bool)
    for i, quantile in enumerate(quantiles):
        place = quantile * (size - 1)
        centre, below = round(place / _HANDS), int(place)
        start, stop = centre - _MARGIN, centre + _MARGIN
        near = hands[:, :, start:stop].reshape(count, -1)
        near.sort(axis=-1)
        rank = below - start * _HANDS
        first, second = near[:, rank], near[:, rank + 1]
        # written so that a NaN is doubtful too
        doubtful |= ~(hands[:, :, start - 1].max(axis=-1) <= first)
        doubtful |= ~(hands[:, :, stop].min(axis=-1) >= second)
        found[i] = _interpolate(first, second, place - below)
    return found, doubtful


def _interpolate(first: Floats32, second: Floats32, share: Any) -> Floats:
    """Interpolate in double precision: a sky of 10 000 DN leaves single precision 1e-3 DN."""
    return first + share * (second.astype(np.float64) - first)
