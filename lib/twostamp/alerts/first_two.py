"""Selection of the first two alerts of an object (thesis, section 3.2; decisions D1 and D9).

Pure functions on tables of alerts: objectId, candid, jd, and ``reason`` once packets were opened. ``reason`` is null
for an alert with three whole stamps.
"""

import json

import numpy as np
import pandas as pd

from twostamp.taxonomy import LABEL_COLUMNS

_LONGEST_SUPERNOVA = 365.0  # days between its first two alerts, at most


def choose_alerts(alerts: pd.DataFrame, tried: pd.DataFrame, effort: int = 1) -> pd.DataFrame:
    """Choose which packets to open next.

    Parameters
    ----------
    alerts : DataFrame
        objectId, candid (distinct) and jd of the alerts to choose from; other columns are kept.
    tried : DataFrame
        objectId, candid, jd and reason of the alerts that were opened before.
    effort : int
        Packets opened for each alert that an object still needs. More than one shortens the search among many bad
        stamps, and never changes the result.

    Returns
    -------
    DataFrame
        Rows of `alerts`, at most one per exposure of an object; none if every object has its two or none left.

    Examples
    --------
    >>> alerts = pd.DataFrame({"objectId": "ZTF18a", "candid": [7, 8, 9], "jd": [1.0, 1.0, 2.0]})
    >>> tried = pd.DataFrame({"objectId": [], "candid": [], "jd": [], "reason": []})
    >>> choose_alerts(alerts, tried)["candid"].tolist()
    [7, 9]
    """
    if alerts.empty:  # pandas would select columns of it, not rows
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
    """Keep the opened alerts that would be an object's first or second but for a bad stamp.

    A bad alert after the second whole one was opened in advance; it counts as a third or later alert.
    """
    used = first_two(tried)
    second = used[used["place"] == 2].set_index("objectId")["jd"]
    before = tried["jd"] <= tried["objectId"].map(second).fillna(np.inf)
    return tried[tried["reason"].notna() & before]


def count_outcomes(alerts: pd.DataFrame, tried: pd.DataFrame) -> pd.DataFrame:
    """Count the outcomes of alerts and objects independently, so that their sums can be checked.

    Parameters
    ----------
    alerts : DataFrame
        objectId, candid (distinct), jd, ``copies`` (alerts that have this candid) and, where the objects are labelled,
        classALeRCE and subclassALeRCE.
    tried : DataFrame
        objectId, candid, jd, reason and ``square`` of the alerts of these objects that were opened.

    Returns
    -------
    DataFrame
        what, name, n. ``state``: alerts by outcome; ``copies``: all alerts; ``alerts``: objects by the number of alerts
        used. ``square``: pairs by square stamps in the first and second alert (``10``: only the first). ``found`` and
        ``pairs``: objects with an alert and with two by label (JSON); ``contradicted``: supernovae that lasted too
        long.
    """
    used = first_two(tried)
    keys = ["objectId", "candid"]
    times = used.pivot_table(index="objectId", columns="place", values="jd").reindex(columns=[1, 2])
    jd_1, jd_2 = (alerts["objectId"].map(times[place]) for place in (1, 2))
    index = pd.MultiIndex.from_frame(alerts[keys])
    state = pd.Series("unexplained", alerts.index)
    state[alerts["jd"] > jd_2] = "later"
    state[(alerts["jd"] == jd_1) | (alerts["jd"] == jd_2)] = "same exposure"
    state[index.isin(pd.MultiIndex.from_frame(bad_alerts(tried)[keys]))] = "quarantined"
    state[index.isin(pd.MultiIndex.from_frame(used[keys]))] = "used"
    objects = alerts.drop_duplicates("objectId").set_index("objectId")
    n_used = used.groupby("objectId").size().reindex(objects.index, fill_value=0)
    both = used[used["objectId"].map(n_used) == 2].sort_values(["objectId", "place"])
    first, second = (both["square"].iloc[at::2].astype(int).astype(str).to_numpy() for at in (0, 1))
    square = pd.Series(first + second, dtype=object)
    counts = {"state": state.value_counts(), "copies": pd.Series({"": alerts["copies"].sum()})}
    counts |= {"alerts": n_used.value_counts(), "square": square.value_counts()}
    if set(LABEL_COLUMNS) <= set(alerts):
        for what, least in (("found", 1), ("pairs", 2)):
            count = objects[n_used >= least].groupby(LABEL_COLUMNS[1:]).size()
            counts[what] = count.set_axis([json.dumps(label) for label in count.index])
    if "classALeRCE" in objects:
        span = (times[2] - times[1]).reindex(objects.index)
        names = objects.index[(objects["classALeRCE"] == "SN") & (span > _LONGEST_SUPERNOVA)]
        counts["contradicted"] = pd.Series(1, names)
    tables = [
        pd.DataFrame({"what": what, "name": count.index.astype(str), "n": count.to_numpy("int64")})
        for what, count in counts.items()
    ]
    return pd.concat(tables, ignore_index=True)
