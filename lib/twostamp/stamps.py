"""Stamps: gzipped FITS to arrays, repair at the chip's edges, normalisation, crop.

Pure functions on arrays (thesis sections 3.1.3 and 3.5.1; decisions S1 to S5). An image is ``(63, 63)``, rows are y.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.utils.exceptions import AstropyWarning
from isal import igzip, igzip_lib
from numpy.typing import NDArray

from twostamp.alerts.packet import BadStamp
from twostamp.quantiles import find_quantiles

SIZE = 63
CENTRE = SIZE // 2
CHIP_WIDTH, CHIP_HEIGHT = 3072, 3080  # pixels of one readout channel (quadrant) of ZTF
QUANTILES = (0.1, 0.9)
RANGE = (-1, 1)  # of a normalised pixel
NORMALISATIONS = ("range", "literal", "minmax")
_BLOCK, _CARD = 2880, 80
_TOGETHER = 32  # images that stay in the processor's cache

Floats = NDArray[np.float32]


def read_stamp(data: bytes) -> Floats:
    """Decode one stamp of an alert packet.

    Plain primary images (one 2880-byte header, BITPIX -32, two axes, no scaling), which is all that ZTF has sent so
    far, are read directly; anything else goes through `astropy.io.fits`.

    Parameters
    ----------
    data : bytes
        Gzipped FITS, as in ``cutoutScience["stampData"]``.

    Returns
    -------
    ndarray, shape (h, w), float32
        Pixel values in DN, native byte order, NaN where ZTF masked.

    Raises
    ------
    BadStamp
        The bytes are missing, not gzip, not FITS, or hold no two-dimensional image.

    Examples
    --------
    >>> image = fits.PrimaryHDU(np.ones((63, 55), "float32"))
    >>> stream = BytesIO()
    >>> image.writeto(stream)
    >>> read_stamp(igzip.compress(stream.getvalue())).shape
    (63, 55)
    """
    if not data:
        raise BadStamp("stamp is missing")
    try:
        raw = igzip.decompress(data)
    except (OSError, EOFError, igzip_lib.IsalError) as error:  # type: ignore[misc]  # its stub is no class
        raise BadStamp(f"stamp is not readable gzip: {error}") from error
    shape = _plain_shape(raw[:_BLOCK])
    if shape is None or len(raw) < _BLOCK + 4 * shape[0] * shape[1]:
        return _read_unusual(raw)
    pixels = np.frombuffer(raw, dtype=">f4", count=shape[0] * shape[1], offset=_BLOCK)
    return pixels.astype(np.float32).reshape(shape)


@lru_cache(maxsize=1024)
def _plain_shape(header: bytes) -> tuple[int, int] | None:
    """Shape (h, w) of a plain float image, None when the header asks for a real FITS reader."""
    cards = {header[i : i + 8].strip(): header[i + 10 : i + _CARD] for i in range(0, len(header), _CARD)}
    if not header.startswith(b"SIMPLE") or b"END" not in cards or cards.keys() & {b"BSCALE", b"BZERO"}:
        return None
    try:
        bitpix, naxis, width, height = (
            int(cards[name].partition(b"/")[0]) for name in (b"BITPIX", b"NAXIS", b"NAXIS1", b"NAXIS2")
        )
    except (KeyError, ValueError):
        return None
    return (height, width) if (bitpix, naxis) == (-32, 2) and min(height, width) > 0 else None


def _read_unusual(raw: bytes) -> Floats:
    """First two-dimensional image of a FITS file: compressed, scaled, integer, in an extension."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AstropyWarning)
            with fits.open(BytesIO(raw), memmap=False) as hdus:
                images = [hdu.data for hdu in hdus if hdu.is_image and hdu.data is not None and hdu.data.ndim == 2]
    except (OSError, ValueError, TypeError, KeyError, IndexError) as error:
        raise BadStamp(f"stamp is not readable FITS: {error}") from error
    if not images or not images[0].size:
        raise BadStamp("stamp holds no two-dimensional image")
    return np.ascontiguousarray(images[0], dtype=np.float32)


def expected_shape(xpos: float, ypos: float) -> tuple[int, int]:
    """Shape that ZTF gives to a stamp cut at pixel (xpos, ypos) of a 3072 x 3080 quadrant (S1).

    Parameters
    ----------
    xpos, ypos : float
        Candidate's position on the chip, pixels counted from 1, as in the packet.

    Returns
    -------
    (int, int)
        Height and width. Not positive when the position is off the chip by more than half a stamp.

    Examples
    --------
    >>> expected_shape(1500.2, 1500.2), expected_shape(3048.63, 791.28), expected_shape(2875.64, 19.78)
    ((63, 63), (63, 55), (51, 63))
    """
    return _expected_length(ypos, CHIP_HEIGHT), _expected_length(xpos, CHIP_WIDTH)


def _expected_length(position: float, chip: int) -> int:
    return min(SIZE, CENTRE + round(position), chip + CENTRE + 1 - round(position))


def repair_stamp(stamp: Floats, xpos: float, ypos: float) -> Floats:
    """Put a stamp cut at the chip's edge back to 63 x 63, its source in the centre pixel (31, 31) (S1, section 3.1.3).

    A piece cut at a low edge lacks its first columns or rows, at a high edge its last: the padding goes there.

    Parameters
    ----------
    stamp : ndarray, shape (h, w), float32
    xpos, ypos : float
        Position of the candidate on the chip, pixels.

    Returns
    -------
    ndarray, shape (63, 63), float32
        NaN where there is no chip. A stamp that is 63 x 63 already is returned as it is.

    Raises
    ------
    BadStamp
        The shape is not the one that the position explains.

    Examples
    --------
    >>> repaired = repair_stamp(np.zeros((51, 63), np.float32), xpos=2875.6, ypos=19.8)
    >>> np.isnan(repaired).any(axis=1).nonzero()[0].tolist()
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]
    """
    if stamp.shape == (SIZE, SIZE):
        return stamp
    if not np.isfinite([xpos, ypos]).all():
        raise BadStamp(f"stamp of shape {stamp.shape} and no xpos, ypos to explain it")
    if stamp.shape != expected_shape(xpos, ypos):
        raise BadStamp(
            f"stamp of shape {stamp.shape}: xpos {xpos:.1f}, ypos {ypos:.1f} explain {expected_shape(xpos, ypos)}"
        )
    (height, width), low_y, low_x = stamp.shape, _missing_before(ypos), _missing_before(xpos)
    repaired = np.full((SIZE, SIZE), np.nan, dtype=np.float32)
    repaired[low_y : low_y + height, low_x : low_x + width] = stamp
    return repaired


def _missing_before(position: float) -> int:
    return max(0, CENTRE + 1 - round(position))


def normalise_stamps(stamps: Floats, method: str = "range", nan_value: float = 2.0, crop: int | None = None) -> Floats:
    """Scale every image by itself, whatever its neighbours hold (S2, section 3.5.1).

    Parameters
    ----------
    stamps : ndarray, shape (..., h, w), float32
        Images in DN; pixels that are not finite are taken as missing and have no say in the scale.
    method : {"range", "literal", "minmax"}
        ``range``: (x - q10) / (q90 - q10). ``literal``: (x - q10) / q90, the thesis's sentence word for word. Both are
        clipped to [-1, 1]. ``minmax``: (x - min) / max(x - min), as ALeRCE does (Carrasco-Davis et al. 2021).
    nan_value : float
        What a missing pixel becomes in ``range`` and ``literal``; in ``minmax`` it is ALeRCE's 0.
    crop : int, optional
        Side of the centre that is wanted: as `crop_stamps` afterwards, without scaling what is cut off.

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
    if method not in NORMALISATIONS:
        raise ValueError(f"normalisation {method!r} is not one of {', '.join(NORMALISATIONS)}")
    images = np.asarray(stamps, dtype=np.float32).reshape(-1, *stamps.shape[-2:])
    kept = (slice(None), slice(None)) if crop is None else _centre(crop)
    scaled = np.empty((len(images), *images[:0][:, *kept].shape[1:]), dtype=np.float32)
    for start in range(0, len(images), _TOGETHER):
        part = slice(start, start + _TOGETHER)
        _normalise(images[part], method, nan_value, kept, scaled[part])
    return scaled.reshape(*stamps.shape[:-2], *scaled.shape[1:])


def _normalise(images: Floats, method: str, nan_value: float, kept: tuple[slice, slice], out: Floats) -> None:
    """Scale the kept part of images, shape (n, h, w), into `out`."""
    missing = ~np.isfinite(images)
    if missing.any():
        images = np.where(missing, np.float32(np.nan), images)
    pixels = images.shape[-2] * images.shape[-1]
    flat = images.reshape(-1, pixels), missing.reshape(-1, pixels)
    low, high = find_quantiles(*flat, (0.0, 1.0) if method == "minmax" else QUANTILES)
    scale = high if method == "literal" else high - low
    usable = (high > low) & (scale != 0)  # false for an image of NaN as well
    with np.errstate(over="ignore", under="ignore"):
        low = np.where(usable, low, 0)
        nearest = low.astype(np.float32)
        np.subtract(images[:, *kept], nearest[:, None, None], out=out)
        # in two steps nothing of a faint contrast is rounded away
        out -= (low - nearest).astype(np.float32)[:, None, None]
        out /= np.where(usable, scale, np.inf).astype(np.float32)[:, None, None]
    np.clip(out, *RANGE, out=out)
    np.copyto(out, np.float32(0 if method == "minmax" else nan_value), where=missing[:, *kept])


@dataclass(frozen=True)
class Degenerate:
    """Images that normalisation could not scale: `flat` have no contrast, `empty` no pixel at all."""

    flat: int
    empty: int


def count_degenerate(triplets: Floats, nan_value: float = 2.0) -> Degenerate:
    """Count the images that `normalise_stamps` turned into nothing but zeros and missing pixels (S2).

    Parameters
    ----------
    triplets : ndarray, shape (..., 63, 63, c), float32
        Normalised whole images, as `make_triplets` returns them. (A crop may be flat where its stamp is not.)
    nan_value : float
        Value given to missing pixels; ALeRCE's 0 (``minmax``) cannot be told from flat, so those count as flat.

    Examples
    --------
    >>> triplets = np.zeros((2, 63, 63, 3), np.float32)
    >>> triplets[0], triplets[1, :, :, 0] = 0.5, 2
    >>> count_degenerate(triplets)
    Degenerate(flat=2, empty=1)
    """
    missing, axes = triplets == nan_value, (-3, -2)
    empty = missing.all(axis=axes) if nan_value != 0 else np.zeros(1, dtype=bool)
    dull = (missing | (triplets == 0)).all(axis=axes)
    return Degenerate(flat=int(dull.sum() - empty.sum()), empty=int(empty.sum()))


def crop_stamps(stamps: Floats, size: int) -> Floats:
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


def make_triplets(
    science: Sequence[bytes],
    template: Sequence[bytes],
    difference: Sequence[bytes],
    xpos: Sequence[float] | NDArray[Any],
    ypos: Sequence[float] | NDArray[Any],
    method: str | None = "range",
    nan_value: float = 2.0,
) -> Floats:
    """Decode, repair and normalise the three stamps of n alerts (section 3.5.1; channels as in S5).

    Parameters
    ----------
    science, template, difference : sequence of n bytes
        Gzipped FITS.
    xpos, ypos : sequence of n floats
        Position on the chip, pixels.
    method : {"range", "literal", "minmax"} or None
        See `normalise_stamps`; None leaves DN and NaN.
    nan_value : float
        What a missing pixel becomes.

    Returns
    -------
    ndarray, shape (n, 63, 63, 3), float32
        Contiguous; about 48 kB an alert, so call it on batches.

    Raises
    ------
    BadStamp
        The first stamp that cannot be read or explained; extraction has quarantined such alerts before.
    """
    images = read_images(science, template, difference, xpos, ypos)
    if method is not None:
        images = normalise_stamps(images, method, nan_value)
    return put_channels_last(images)


def read_images(
    science: Sequence[bytes],
    template: Sequence[bytes],
    difference: Sequence[bytes],
    xpos: Sequence[float] | NDArray[Any],
    ypos: Sequence[float] | NDArray[Any],
) -> Floats:
    """Decode and repair, shape (n, 3, 63, 63), in DN with NaN: `make_triplets` before it normalises."""
    images = np.empty((len(science), 3, SIZE, SIZE), dtype=np.float32)
    for channel, stamps in enumerate((science, template, difference)):
        for i, (data, x, y) in enumerate(zip(stamps, xpos, ypos, strict=True)):
            images[i, channel] = repair_stamp(read_stamp(data), x, y)
    return images


def put_channels_last(images: Floats) -> Floats:
    """Turn images, shape (n, 3, h, w), into contiguous triplets, shape (n, h, w, 3)."""
    return np.ascontiguousarray(np.moveaxis(images, 1, -1))
