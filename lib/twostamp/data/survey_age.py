"""The features that count visits since the survey began, of a training set by class or of a night: what ages first."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from twostamp.data.feature_lists import ALL_FEATURES, SURVEY_AGE
from twostamp.utils.files import replacing
from twostamp.utils.typing import Floats, Floats32, Ints

AGES = "survey_age.npz"
"""File beside a classifier, or in a folder of records, with those of its training set."""
PLACES = [ALL_FEATURES.index(name) for name in SURVEY_AGE]
_FIELD = 7.2  # degrees, about a field of ZTF


@dataclass(frozen=True)
class SurveyAges:
    """Survey-age features of alerts, and what they are grouped by.

    Attributes
    ----------
    values : ndarray, shape (n, len(SURVEY_AGE)), float32
        Raw; NaN where a packet has none, or a sentinel of -999.
    groups : ndarray, shape (n, 3), str
        From coarse to fine: all alerts (empty), the filter, the filter and the field on the sky.
    order : ndarray, shape (n,), int
        1 for the first alert of an object, 2 for its second.
    labels : ndarray, shape (n,), int
        Class; -1 where it is not known.
    """

    values: Floats32
    groups: NDArray[np.str_]
    order: Ints
    labels: Ints

    @classmethod
    def measure(cls, metadata: Sequence[Floats32], labels: ArrayLike = -1) -> "SurveyAges":
        """Take them from the raw features of each alert, as of `twostamp.data.arrays.UnscaledArrays`.

        Parameters
        ----------
        metadata : sequence of ndarray, shape (n, len(ALL_FEATURES))
            Of the first alerts, and of the second ones where there are any.
        labels : array_like of int, shape (n,), optional
        """
        features, n = np.concatenate(list(metadata)), len(metadata[0])
        known = np.broadcast_to(np.asarray(labels, np.int64), n)
        order = np.repeat(np.arange(1, len(metadata) + 1), n)
        return cls(read_ages(features), name_groups(features), order, np.tile(known, len(metadata)))

    def first(self, alerts: int) -> "SurveyAges":
        """Those of so many first alerts of each object."""
        kept = self.order <= alerts
        return SurveyAges(*(values[kept] for values in vars(self).values()))

    def save(self, path: Path) -> None:
        """Write one ``.npz`` file, the same bytes for the same content."""
        with replacing(path) as part:
            np.savez_compressed(part, **vars(self))

    @classmethod
    def load(cls, path: Path) -> "SurveyAges | None":
        """Read `save`'s file; None if there is none."""
        if not path.exists():
            return None
        with np.load(path) as content:
            return cls(**content)


def read_ages(features: ArrayLike) -> Floats32:
    """Survey-age columns of raw features, NaN for the sentinel too."""
    values = np.array(np.asarray(features)[:, PLACES], np.float32)
    values[values <= -999] = np.nan
    return values


def name_groups(features: ArrayLike) -> NDArray[np.str_]:
    """Name the groups of `SurveyAges` of each alert from its raw features, shape (n, 3).

    Fields are cells of a fixed grid of the size of ZTF's fields, which every packet has by its position.

    Examples
    --------
    >>> features = np.zeros((1, len(ALL_FEATURES)))
    >>> features[0, ALL_FEATURES.index("fid_r")] = 1
    >>> name_groups(features)[0].tolist()
    ['', 'r', 'r 12.0']
    """
    columns: dict[str, Floats] = {
        name: np.nan_to_num(np.asarray(features, float)[:, ALL_FEATURES.index(name)])
        for name in ("fid_g", "fid_r", "ra", "dec")
    }
    filters = np.select([columns["fid_g"] == 1, columns["fid_r"] == 1], ["g", "r"], "i")
    rows = np.floor((columns["dec"] + 90) / _FIELD).astype(int)
    around = np.cos(np.radians((rows + 0.5) * _FIELD - 90))
    cells = np.floor(columns["ra"] * around / _FIELD).astype(int)
    names = [f"{band} {row}.{cell}" for band, row, cell in zip(filters, rows, cells, strict=True)]
    return np.column_stack([np.full(len(filters), ""), filters, np.array(names, dtype=str)])
