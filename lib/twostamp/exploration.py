"""What the exploratory analysis looks at: a sample of every class, its filters, its stamps (thesis section 3.3)."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from twostamp.arrays import read_batches, read_triplets
from twostamp.features import ALL_FEATURES, FEATURE_LISTS, compute_features
from twostamp.stamps import SIZE, expected_shape
from twostamp.taxonomy import CLASSES

FILTER_PAIRS = ("gg", "gr", "rg", "rr", "other")
EXPLORED = tuple(name for name in FEATURE_LISTS["thesis26"] if not name.startswith("fid_"))
"""The 24 metadata of figures C.1 to C.4: Table 3.2's 18, what is derived from them, and elong."""

_FROM_CATALOGUE = "Pan-STARRS1 source closest to the candidate"
_METADATA = (
    ("sgscore1, sgscore2, sgscore3", "", "packet", f"star/galaxy score of the first, second, third {_FROM_CATALOGUE}: "
     "near 1 is a star; -999 without a source"),
    ("distpsnr1, distpsnr2, distpsnr3", "arcsec", "packet", f"distance to the first, second, third {_FROM_CATALOGUE}, "
     "within 30 arcsec; -999 without a source"),
    ("isdiffpos", "", "packet", "1 where science minus template is positive, else 0"),
    ("fwhm", "pixel", "packet", "full width at half maximum of a Gaussian core, of SExtractor on the science image"),
    ("magpsf", "mag", "packet", "magnitude of PSF-fit photometry on the difference image"),
    ("sigmapsf", "mag", "packet", "1 sigma uncertainty of magpsf"),
    ("ra, dec", "deg", "packet", "right ascension and declination, J2000"),
    ("diffmaglim", "mag", "packet", "5 sigma limiting magnitude of the difference image"),
    ("classtar", "", "packet", "star/galaxy classification of SExtractor on the science image"),
    ("ndethist", "", "packet", "detections within 1.5 arcsec since the survey began, to a signal/noise of about 3"),
    ("ncovhist", "", "packet", "times that the position fell on any field and readout channel since the survey began"),
    ("chinr, sharpnr", "", "packet", "chi and sharp of DAOPhot of the closest source of the reference image, "
     "within 30 arcsec"),
    ("ecl_lat, ecl_long", "deg", "ra, dec", "ecliptic latitude and longitude, J2000"),
    ("gal_lat, gal_long", "deg", "ra, dec", "Galactic latitude and longitude"),
    ("non_detections", "", "ncovhist - ndethist", "visits to the position without a detection, approximately"),
    ("elong", "", "packet", "ratio of the major to the minor axis (added by the thesis)"),
    ("fid_g, fid_r", "", "fid", "filter of the alert, one-hot (added by the thesis)"),
    ("deltajd", "day", "jd_2 - jd_1", "time between the two alerts (added by the thesis)"),
)  # fmt: skip


def make_metadata_table() -> pd.DataFrame:
    """Table 3.2: every metadatum, its unit, where it comes from and what it is, with what the thesis adds to it.

    Returns
    -------
    DataFrame
        Columns metadatum, unit, source, description. (Section 3.1.2; diffmaglim's 5 sigma is of ZTF's schema.)

    Examples
    --------
    >>> make_metadata_table()["metadatum"].tolist()[-1]
    'deltajd'
    """
    return pd.DataFrame(_METADATA, columns=["metadatum", "unit", "source", "description"])


def order_classes(names: pd.Series) -> list[str]:
    """Classes that occur, in the order of the taxonomy; any other (a promoted subclass) after them, by name.

    Examples
    --------
    >>> order_classes(pd.Series(["YSO", "bogus", "AGN", "bogus"]))
    ['AGN', 'bogus', 'YSO']
    """
    found = set(names)
    return [name for name in CLASSES if name in found] + sorted(found - set(CLASSES))


def sample_per_class(table: pd.DataFrame, size: int, seed: int) -> pd.DataFrame:
    """Draw up to `size` objects of every class, whatever the order of the rows.

    Parameters
    ----------
    table : DataFrame
        Columns objectId and classALeRCE.
    size : int
        The thesis takes 2000.
    seed : int

    Returns
    -------
    DataFrame
        In random order, so that no class is drawn on top of another.

    Examples
    --------
    >>> table = pd.DataFrame({"objectId": list("abcde"), "classALeRCE": ["SN"] * 4 + ["VS"]})
    >>> sample_per_class(table, 2, seed=1)["classALeRCE"].value_counts().to_dict()
    {'SN': 2, 'VS': 1}
    """
    shuffled = table.sort_values("objectId").sample(frac=1, random_state=np.random.default_rng(seed))
    return shuffled.groupby("classALeRCE").head(size).reset_index(drop=True)


def filter_pairs_of(fid_1: pd.Series, fid_2: pd.Series) -> pd.Series:
    """Filters of the first and second alert, such as ``gr``; any with the i band is ``other`` (figure 3.6).

    Examples
    --------
    >>> filter_pairs_of(pd.Series([1, 2, 3]), pd.Series([2, 2, 1])).tolist()
    ['gr', 'rr', 'other']
    """
    names = {1: "g", 2: "r"}
    return (fid_1.map(names) + fid_2.map(names)).fillna("other")


def count_whole_stamps(table: pd.DataFrame) -> pd.DataFrame:
    """Objects by class whose stamps are 63 x 63, as the positions on the chip say (S1); no stamp is opened.

    Parameters
    ----------
    table : DataFrame
        Columns classALeRCE and xpos_1, ypos_1, xpos_2, ypos_2, pixels.

    Returns
    -------
    DataFrame
        Columns class, objects, first, second, both: percent of the objects, with ``all`` in the last row.
    """
    whole = pd.DataFrame({name: _are_whole(table, alert) for name, alert in (("first", 1), ("second", 2))})
    whole["both"] = whole["first"] & whole["second"]
    groups = {name: whole[(table["classALeRCE"] == name).to_numpy()] for name in order_classes(table["classALeRCE"])}
    rows = [(name, len(group), *(100 * group.mean()).round(2)) for name, group in (groups | {"all": whole}).items()]
    return pd.DataFrame(rows, columns=["class", "objects", *whole])


def _are_whole(table: pd.DataFrame, alert: int) -> list[bool]:
    positions = zip(table[f"xpos_{alert}"], table[f"ypos_{alert}"], strict=True)
    return [expected_shape(x, y) == (SIZE, SIZE) for x, y in positions]


def explored_metadata(table: pd.DataFrame) -> dict[int, pd.DataFrame]:
    """The 24 metadata of annex C for the first and the second alert, sentinels of -999 made NaN.

    Returns
    -------
    dict of DataFrame
        Keys 1 and 2; columns `EXPLORED`, rows as in `table`.
    """
    frames = {}
    for alert in (1, 2):
        values = pd.DataFrame(compute_features(table, alert), columns=list(ALL_FEATURES), index=table.index)
        frames[alert] = values[list(EXPLORED)].where(values != -999)
    return frames


def read_gallery(path: Path, table: pd.DataFrame, per_class: int) -> dict[str, NDArray[Any]]:
    """Stamps of the first alert of the first objects of every class in `table`.

    Parameters
    ----------
    path : Path
        ``pairs.parquet`` or ``first_alerts.parquet``.
    table : DataFrame
        Columns objectId and classALeRCE, drawn at random before.
    per_class : int

    Returns
    -------
    dict of ndarray, shape (at most per_class, 63, 63, 3), float32
        By class, in DN with NaN where there is no pixel.
    """
    chosen = table.groupby("classALeRCE").head(per_class)
    drawn = pd.concat(read_batches(path, object_ids=chosen["objectId"].tolist())).sort_values("objectId")
    groups = dict(list(drawn.groupby("classALeRCE")))
    return {name: read_triplets(groups[name], alert=1) for name in order_classes(drawn["classALeRCE"])}
