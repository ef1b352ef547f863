"""Which two alerts of an object are its first two (thesis, section 3.2; decisions D1 and D9).

Pure functions on tables of alerts: objectId, candid, jd, and, once their packets were opened, ``reason`` (null for an
alert whose three stamps are whole).
"""

import numpy as np
import pandas as pd


def choose_alerts(alerts: pd.DataFrame, tried: pd.DataFrame, effort: int = 1) -> pd.DataFrame:
    """Choose which packets to open next.

    Parameters
    ----------
    alerts : DataFrame
        objectId, candid (distinct) and jd of the alerts to choose from, besides any other columns.
    tried : DataFrame
        objectId, candid, jd and reason of the alerts that were opened before.
    effort : int
        Packets opened for each alert that an object still needs; more than one shortens the search among many bad
        stamps and never changes what is found.

    Returns
    -------
    DataFrame
        Rows of `alerts`, at most one for each exposure of an object; none when every object has its two or none left.

    Examples
    --------
    >>> alerts = pd.DataFrame({"objectId": "ZTF18a", "candid": [7, 8, 9], "jd": [1.0, 1.0, 2.0]})
    >>> tried = pd.DataFrame({"objectId": [], "candid": [], "jd": [], "reason": []})
    >>> choose_alerts(alerts, tried)["candid"].tolist()
    [7, 9]
    """
    if alerts.empty:  # of which pandas would choose columns, not rows
        return alerts
    whole = first_two(tried)
    done = pd.MultiIndex.from_frame(tried[["objectId", "candid"]])
    exposures = pd.MultiIndex.from_frame(whole[["objectId", "jd"]])
    second = whole[whole["place"] == 2].set_index("objectId")["jd"]
    missing = 2 - whole.groupby("objectId").size()
    left = alerts[
        ~pd.MultiIndex.from_frame(alerts[["objectId", "candid"]]).isin(done)
        & ~pd.MultiIndex.from_frame(alerts[["objectId", "jd"]]).isin(exposures)
        & (alerts["jd"] < alerts["objectId"].map(second).fillna(np.inf))
    ]
    left = left.sort_values(["objectId", "jd", "candid"]).drop_duplicates(["objectId", "jd"])
    # An object may hold two whole alerts while an exposure before them, with one bad candidate, has another to try.
    need = left["objectId"].map(missing).fillna(2).clip(lower=1)
    return left[left.groupby("objectId").cumcount() < need * effort]


def first_two(tried: pd.DataFrame) -> pd.DataFrame:
    """Keep the first two whole alerts of each object, by object and time, with the column ``place``: 1 or 2."""
    whole = tried[tried["reason"].isna()].sort_values(["objectId", "jd", "candid"]).drop_duplicates(["objectId", "jd"])
    place = whole.groupby("objectId").cumcount() + 1
    return whole.assign(place=place.astype("int64"))[place <= 2]


def bad_alerts(tried: pd.DataFrame) -> pd.DataFrame:
    """Keep the opened alerts that lost an object's first or second place because of a bad stamp.

    A bad alert behind the second whole one was opened in advance, and is a third or later alert like any other.
    """
    used = first_two(tried)
    second = used[used["place"] == 2].set_index("objectId")["jd"]
    before = tried["jd"] <= tried["objectId"].map(second).fillna(np.inf)
    return tried[tried["reason"].notna() & before]
