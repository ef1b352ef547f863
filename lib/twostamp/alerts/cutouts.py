"""Stamps of one alert: decode gzipped FITS to arrays, and repair them at the chip's edges."""

import math
import warnings
from collections.abc import Mapping
from functools import lru_cache
from io import BytesIO
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.utils.exceptions import AstropyWarning
from isal import igzip, igzip_lib

from twostamp.alerts.packet import BadStamp, find_candidate
from twostamp.alerts.values import read_number
from twostamp.utils.typing import Floats32

STAMPS = ("science", "template", "difference")
SIZE = 63
CENTRE = SIZE // 2
CHIP_WIDTH, CHIP_HEIGHT = 3072, 3080  # pixels of one readout channel (quadrant) of ZTF
_FITS_BLOCK, _FITS_CARD = 2880, 80


def read_cutouts(packet: Mapping[str, Any]) -> tuple[dict[str, bytes], bool]:
    """Check the three stamps of a packet from `twostamp.alerts.packet.read_packets`.

    Returns
    -------
    stamps : dict
        `STAMPS` -> gzipped FITS.
    square : bool
        All three are 63 x 63.

    Raises
    ------
    BadStamp
        One is missing, unreadable or of a shape that S1 does not explain.
    """
    stamps = {name: find_stamp(packet, name) for name in STAMPS}
    shapes = {_check_stamp(name, stamp, find_candidate(packet)) for name, stamp in stamps.items()}
    return stamps, shapes == {(SIZE, SIZE)}


def read_stamp(data: bytes) -> Floats32:
    """Decode one stamp of an alert packet.

    Plain primary images (one 2880-byte header, BITPIX -32, two axes, no scaling) are read directly. ZTF has sent no
    others so far. Anything else goes through `astropy.io.fits`.

    Parameters
    ----------
    data : bytes
        Gzipped FITS, as in ``cutoutScience["stampData"]``.

    Returns
    -------
    ndarray, shape (h, w), float32
        Pixel values in DN, native byte order, NaN for masked pixels.

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
    shape = _plain_shape(raw[:_FITS_BLOCK])
    if shape is None or len(raw) < _FITS_BLOCK + 4 * shape[0] * shape[1]:
        return _read_unusual(raw)
    pixels = np.frombuffer(raw, dtype=">f4", count=shape[0] * shape[1], offset=_FITS_BLOCK)
    return pixels.astype(np.float32).reshape(shape)


def expected_shape(xpos: float, ypos: float) -> tuple[int, int]:
    """Compute the shape that ZTF gives a stamp cut at pixel (xpos, ypos) of a 3072 x 3080 quadrant (S1).

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


def repair_stamp(stamp: Floats32, xpos: float, ypos: float) -> Floats32:
    """Pad a stamp cut at the chip's edge to 63 x 63, with the source in pixel (31, 31) (S1, section 3.1.3).

    A stamp cut at a low edge lacks its first columns or rows, one at a high edge its last; the padding replaces them.

    Parameters
    ----------
    stamp : ndarray, shape (h, w), float32
    xpos, ypos : float
        Position of the candidate on the chip, pixels.

    Returns
    -------
    ndarray, shape (63, 63), float32
        NaN outside the chip. A stamp of 63 x 63 is returned unchanged.

    Raises
    ------
    BadStamp
        The shape is not the one expected from the position.

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
    (height, width), low_y, low_x = stamp.shape, missing_before(ypos), missing_before(xpos)
    repaired = np.full((SIZE, SIZE), np.nan, dtype=np.float32)
    repaired[low_y : low_y + height, low_x : low_x + width] = stamp
    return repaired


def missing_before(position: float) -> int:
    """Count the rows or columns that a stamp lacks at a low edge of the chip, from the candidate's xpos or ypos."""
    return max(0, CENTRE + 1 - round(position))


def find_stamp(packet: Mapping[str, Any], name: str) -> bytes:
    """Find the gzipped FITS of one of `STAMPS` in a decoded packet; `BadStamp` if there is none."""
    cutout = packet.get(f"cutout{name.title()}")
    stamp = cutout.get("stampData") if isinstance(cutout, Mapping) else cutout
    if not isinstance(stamp, bytes | bytearray | memoryview | None):
        raise BadStamp(f"the {name} stamp is of type {type(stamp).__name__}, not bytes")
    if not stamp:
        raise BadStamp(f"the {name} stamp is missing")
    return bytes(stamp)


def _check_stamp(name: str, stamp: bytes, candidate: Mapping[str, Any]) -> tuple[int, ...]:
    try:
        shape = read_stamp(stamp).shape
    except BadStamp as error:
        raise BadStamp(f"the {name} stamp cannot be used: {error.reason}") from error
    position = [read_number(axis, candidate.get(axis)) for axis in ("xpos", "ypos")]
    expected = expected_shape(*position) if all(map(math.isfinite, position)) else (SIZE, SIZE)
    if shape != expected:
        sizes = f"is {shape[0]} x {shape[1]}, where its position explains {expected[0]} x {expected[1]}"
        raise BadStamp(f"the {name} stamp {sizes} (S1)")
    return shape


@lru_cache(maxsize=1024)
def _plain_shape(header: bytes) -> tuple[int, int] | None:
    """Return the shape (h, w) of a plain float image; None if the header needs a full FITS reader."""
    cards = {header[i : i + 8].strip(): header[i + 10 : i + _FITS_CARD] for i in range(0, len(header), _FITS_CARD)}
    if not header.startswith(b"SIMPLE") or b"END" not in cards or cards.keys() & {b"BSCALE", b"BZERO"}:
        return None
    try:
        bitpix, naxis, width, height = (
            int(cards[name].partition(b"/")[0]) for name in (b"BITPIX", b"NAXIS", b"NAXIS1", b"NAXIS2")
        )
    except (KeyError, ValueError):
        return None
    return (height, width) if (bitpix, naxis) == (-32, 2) and min(height, width) > 0 else None


def _read_unusual(raw: bytes) -> Floats32:
    """Read the first two-dimensional image of any FITS file: compressed, scaled, integer, or in an extension."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AstropyWarning)
            with fits.open(BytesIO(raw), memmap=False) as hdus:
                images = [hdu.data for hdu in hdus if hdu.is_image and hdu.data is not None and hdu.data.ndim == 2]
    except Exception as error:  # damaged headers make astropy fail in many ways
        raise BadStamp(f"stamp is not readable FITS: {error}") from error
    if not images or not images[0].size:
        raise BadStamp("stamp holds no two-dimensional image")
    return np.ascontiguousarray(images[0], dtype=np.float32)


def _expected_length(position: float, chip: int) -> int:
    return min(SIZE, CENTRE + round(position), chip + CENTRE + 1 - round(position))
