"""Account of an extraction: the outcome of every alert and object (thesis, sections 3.2 and 3.3)."""

import pandas as pd

from twostamp.alerts.extraction_report import ExtractionReport
from twostamp.taxonomy import SSDISTNR_MAX

_OBJECTS_OF_ZTF = 61_000_000
"""Objects that ZTF had detected when the thesis was written (chapter 3)."""


def compare_with_thesis(
    report: ExtractionReport, labels: pd.DataFrame, asteroids: pd.DataFrame, cost: pd.DataFrame
) -> list[tuple[str, str, str, str]]:
    """List our values of the numbers printed in sections 3 to 3.3 and 7.3.

    Parameters
    ----------
    report : ExtractionReport
    labels : DataFrame
        objectId and classALeRCE of the labels.
    asteroids : DataFrame
        ssdistnr_1 and ssdistnr_2 (arcsec) of the pairs labelled asteroid.
    cost : DataFrame
        Table from `cluster_cost`.

    Returns
    -------
    list of (section, title, value, note)
    """
    catalogued = ~labels["classALeRCE"].isin(["asteroid", "bogus"])
    size = f"{report.written_bytes / 1e9:.3f} GB"
    square = {name: f"{100 * share:.2f} %" for name, share in report.square_stamps.items()}
    repair = f"{100 * (1 - report.square_stamps['both']):.2f} %"
    total, hours, core = cost["cost"].iloc[-1], cost["hours"].iloc[-1], cost.iloc[1]
    own = "from the thesis's own counts (D7)"
    return [
        ("3", "first night of alerts", min(report.bytes_per_night, default="none"), "of the archive"),
        ("3", "alerts transmitted", f"{report.alerts_read}", "read from the archive"),
        ("3.1.4", "ALeRCE's labels", f"{catalogued.sum()}", "neither asteroid nor bogus"),
        ("3.1.4", "labels as a share of all objects", f"{100 * 250_000 / _OBJECTS_OF_ZTF:.2f} %", own),
        ("3.1.4", "objects that meet the asteroid cut", f"{_count_in_cut(asteroids)}", "of the pairs found (D1)"),
        ("3.1.4", "asteroids sampled", f"{(labels['classALeRCE'] == 'asteroid').sum()}", "labelled asteroids"),
        ("3.1.4", "labels in total", f"{len(labels)}", ""),
        ("3.2", "size of the archive read", f"{report.archive_bytes / 1e12:.6f} TB", "as stored"),
        ("3.2", "size of the data recovered", size, "both tables; first alerts of pairs are in both"),
        ("3.2", "objects recovered", f"{report.objects['found in the archive']}", ""),
        ("3.2", "objects with two alerts", f"{report.objects['with two alerts']}", "with whole stamps"),
        ("3.2", "cost of the extraction", f"{total:.2f} USD", "computed from the prices and minutes (D8)"),
        ("3.2", "price of a core node per hour", f"{core['price']} USD", "a parameter"),
        ("3.2", "price of the master node per hour", f"{cost['price'].iloc[0]} USD", "a parameter"),
        ("3.2", "core nodes", f"{core['nodes']}", "a parameter"),
        ("3.2", "duration of the extraction", f"{60 * hours:g} min", "a parameter; our own time is in the notebook"),
        ("3.2", "objects used as a share of all objects", f"{100 * 289_077 / _OBJECTS_OF_ZTF:.2f} %", own),
        ("3.3", "square stamps, first alert", square["first"], "all three stamps 63 x 63, of the pairs"),
        ("3.3", "square stamps, second alert", square["second"], "all three stamps 63 x 63, of the pairs"),
        ("3.3", "square stamps, both alerts", square["both"], "all three stamps 63 x 63, of the pairs"),
        ("3.3", "objects with a stamp to repair", repair, "of the pairs"),
        ("7.3", "cost of the cluster", f"{total:.2f} USD", "computed from the prices and minutes (D8)"),
        ("7.3", "nodes of the cluster", f"{core['nodes']}", "core nodes, a parameter"),
    ]


def _count_in_cut(pairs: pd.DataFrame) -> int:
    """Count pairs with 0 <= ssdistnr < 10 arcsec on both alerts (D1)."""
    return int(((pairs >= 0) & (pairs < SSDISTNR_MAX)).all(axis=1).sum())


def cluster_cost(core_nodes: int, core_price: float, master_price: float, minutes: float) -> pd.DataFrame:
    """Compute the cost of a cluster run; it is never copied (section 3.2, decision D8).

    Parameters
    ----------
    core_nodes : int
        Number of core nodes, in addition to one master.
    core_price, master_price : float
        USD per hour and node.
    minutes : float
        Running time of the cluster.

    Returns
    -------
    DataFrame
        item, nodes, price (USD per hour and node), hours, cost (USD), with a total in the last row.

    Examples
    --------
    >>> cluster_cost(30, 0.185, 0.192, 36)["cost"].round(2).tolist()
    [0.12, 3.33, 3.45]
    """
    table = pd.DataFrame({"item": ["master", "core"], "nodes": [1, core_nodes], "price": [master_price, core_price]})
    table["hours"] = minutes / 60
    table["cost"] = table["nodes"] * table["price"] * table["hours"]
    total = {"item": "total", "nodes": table["nodes"].sum(), "hours": minutes / 60, "cost": table["cost"].sum()}
    return pd.concat([table, pd.DataFrame([total])], ignore_index=True)
