"""The account of an extraction: where every alert and every object went (thesis, sections 3.2 and 3.3)."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import pandas as pd

OBJECTS_OF_ZTF = 61_000_000
"""Objects that ZTF had seen when the thesis was written (chapter 3)."""


@dataclass
class ExtractionReport:
    """What an extraction read, kept and left.

    Attributes
    ----------
    alerts_read, alerts_used, alerts_quarantined : int
        Alerts; an unreadable packet is one alert that is quarantined.
    alerts_not_selected : dict
        Reason -> alerts.
    damaged_sources : int
        Tarballs that ended early or are damaged: rows of the quarantine without a member, not alerts.
    objects : dict
        Labelled, found, absent, with a whole alert, with one only, with two.
    classes : list of [class, subclass, labelled, found, pairs]
        Objects; empty when there are no labels.
    square_stamps : dict
        Share (0 to 1) of pairs whose stamps are 63 x 63: first, second and both alerts.
    bytes_per_night : dict
        UTC night (YYYY-MM-DD) -> bytes of its alerts as transmitted (Avro).
    sources, archive_bytes, written_bytes : int
        Sources of the archive, their size as stored, size of the Parquet folders.
    seconds : float
        Time of the run that made the output.
    """

    alerts_read: int = 0
    alerts_used: int = 0
    alerts_quarantined: int = 0
    alerts_not_selected: dict[str, int] = field(default_factory=dict)
    damaged_sources: int = 0
    objects: dict[str, int] = field(default_factory=dict)
    classes: list[list] = field(default_factory=list)
    square_stamps: dict[str, float] = field(default_factory=dict)
    bytes_per_night: dict[str, int] = field(default_factory=dict)
    sources: int = 0
    archive_bytes: int = 0
    written_bytes: int = 0
    seconds: float = 0.0

    @property
    def alert_bytes(self) -> int:
        """Bytes of all readable alerts (Avro)."""
        return sum(self.bytes_per_night.values())

    @property
    def rate(self) -> float:
        """Alerts read per second of the whole extraction, both passes included."""
        return self.alerts_read / self.seconds if self.seconds else float("nan")

    def check(self) -> None:
        """Raise RuntimeError unless alerts read = used + not selected + quarantined."""
        accounted = self.alerts_used + sum(self.alerts_not_selected.values()) + self.alerts_quarantined
        if accounted != self.alerts_read:
            raise RuntimeError(f"{self.alerts_read} alerts were read, but {accounted} are accounted for")

    def class_table(self) -> pd.DataFrame:
        """Objects labelled, found (with a whole alert) and with two alerts, one row a subclass."""
        return pd.DataFrame(self.classes, columns=["class", "subclass", "labelled", "found", "pairs"])

    def lines(self) -> Iterable[str]:
        """Give the account as text, the same for the same alerts (no times, no paths).

        Examples
        --------
        >>> report = ExtractionReport(alerts_read=3, alerts_used=2, alerts_not_selected={"third or later": 1})
        >>> print(*report.lines(), sep="\\n")
        alerts read                                              3
          used                                                   2
          not selected: third or later                           1
          quarantined                                            0
        sources damaged                                          0
        """
        rows = {"alerts read": self.alerts_read, "  used": self.alerts_used}
        rows |= {f"  not selected: {reason}": count for reason, count in self.alerts_not_selected.items()}
        rows |= {"  quarantined": self.alerts_quarantined, "sources damaged": self.damaged_sources}
        rows |= {f"objects {state}": count for state, count in self.objects.items()}
        return (f"{name:<48}{count:>10}" for name, count in rows.items())

    def save(self, path: Path, fingerprint: str) -> None:
        """Write the report and the fingerprint of its inputs as JSON."""
        partial = path.with_name(f".{path.name}")
        partial.write_text(json.dumps({"fingerprint": fingerprint} | asdict(self), indent=1) + "\n")
        partial.replace(path)

    @classmethod
    def load(cls, path: Path, fingerprint: str) -> "ExtractionReport | None":
        """Read a report; None when there is none, or when it was made from other inputs."""
        content = json.loads(path.read_text()) if path.exists() else {}
        return cls(**content) if content.pop("fingerprint", None) == fingerprint else None


def compare_with_thesis(
    report: ExtractionReport, labels: pd.DataFrame, asteroids: pd.DataFrame, cost: pd.DataFrame
) -> list[tuple[str, str, str, str]]:
    """Our values of the numbers that sections 3 to 3.3 and 7.3 print.

    Parameters
    ----------
    report : ExtractionReport
    labels : DataFrame
        objectId and classALeRCE of the labels.
    asteroids : DataFrame
        ssdistnr_1 and ssdistnr_2 (arcsec) of the pairs that are labelled asteroids.
    cost : DataFrame
        As `cluster_cost` gives it.

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
        ("3.1.4", "labels as a share of all objects", f"{100 * 250_000 / OBJECTS_OF_ZTF:.2f} %", own),
        ("3.1.4", "objects that meet the asteroid cut", f"{asteroids_in_cut(asteroids)}", "of the pairs found (D1)"),
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
        ("3.2", "objects used as a share of all objects", f"{100 * 289_077 / OBJECTS_OF_ZTF:.2f} %", own),
        ("3.3", "square stamps, first alert", square["first"], "all three stamps 63 x 63, of the pairs"),
        ("3.3", "square stamps, second alert", square["second"], "all three stamps 63 x 63, of the pairs"),
        ("3.3", "square stamps, both alerts", square["both"], "all three stamps 63 x 63, of the pairs"),
        ("3.3", "objects with a stamp to repair", repair, "of the pairs"),
        ("7.3", "cost of the cluster", f"{total:.2f} USD", "computed from the prices and minutes (D8)"),
        ("7.3", "nodes of the cluster", f"{core['nodes']}", "core nodes, a parameter"),
    ]


def asteroids_in_cut(pairs: pd.DataFrame) -> int:
    """Count pairs with 0 <= ssdistnr < 10 arcsec on both alerts (D1)."""
    return int(pairs[["ssdistnr_1", "ssdistnr_2"]].apply(lambda s: (s >= 0) & (s < 10)).all(axis=1).sum())


def longest_gap(nights: Iterable[str]) -> int:
    """Longest run of nights without alerts, days (thesis, section 6.11).

    Examples
    --------
    >>> longest_gap(["2018-06-01", "2018-06-02", "2018-06-05"])
    2
    """
    steps = pd.Series(pd.DatetimeIndex(sorted(nights))).diff().dt.days
    return int(steps.max() - 1) if len(steps) > 1 else 0


def cluster_cost(core_nodes: int, core_price: float, master_price: float, minutes: float) -> pd.DataFrame:
    """Cost of a cluster run, computed and never copied (section 3.2, decision D8).

    Parameters
    ----------
    core_nodes : int
        Number of core nodes, beside one master.
    core_price, master_price : float
        USD an hour and node.
    minutes : float
        Time that the cluster runs.

    Returns
    -------
    DataFrame
        item, nodes, price (USD an hour and node), hours, cost (USD), with a total in the last row.

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
