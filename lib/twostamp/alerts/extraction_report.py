"""Report of an extraction: alerts read, used and quarantined."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import pandas as pd

from twostamp.taxonomy import LABEL_COLUMNS
from twostamp.utils.files import write_file

UNREAD = ("bad", "damaged", "passed")
"""Kinds of notes of the key pass that are rows of the quarantine."""


@dataclass
class ExtractionReport:
    """Counts of alerts and objects of an extraction.

    Attributes
    ----------
    alerts_read, alerts_used, alerts_quarantined : int
        Alerts; an unreadable packet is one alert that is quarantined.
    alerts_not_selected : dict
        Reason -> alerts.
    not_public : int
        Alerts read that belong to ZTF's partnership or Caltech (programid 2 and 3), whether used or not.
    damaged_sources : int
        Truncated or damaged tarballs: rows of the quarantine without a member, not alerts.
    passed_over : int
        Files that look like alerts but are none, and sources without an alert: rows of the quarantine, not alerts.
    objects : dict
        Labelled, found, absent, with a whole alert, with one only, with two.
    contradicted : list of str
        Objects whose alerts contradict their label: supernovae whose first two alerts are more than a year apart.
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
    not_public: int = 0
    damaged_sources: int = 0
    passed_over: int = 0
    objects: dict[str, int] = field(default_factory=dict)
    contradicted: list[str] = field(default_factory=list)
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
        """Return the report as lines of text, the same for the same alerts (no times, no paths).

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
        rows |= {"  of them not public (programid 2 or 3)": self.not_public} if self.not_public else {}
        rows |= {f"  not selected: {reason}": count for reason, count in self.alerts_not_selected.items()}
        rows |= {"  quarantined": self.alerts_quarantined, "sources damaged": self.damaged_sources}
        rows |= {"files passed over": self.passed_over} if self.passed_over else {}
        rows |= {f"objects {state}": count for state, count in self.objects.items()}
        lines = [f"{name:<48}{count:>10}" for name, count in rows.items()]
        if self.contradicted:
            names = ", ".join(self.contradicted[:5])
            lines.append(f"labelled SN, but first two alerts over a year apart{len(self.contradicted):>7}  ({names})")
        return lines

    def save(self, path: Path, fingerprint: str) -> None:
        """Write the report and the fingerprint of its inputs as JSON."""
        write_file(path, json.dumps({"fingerprint": fingerprint} | asdict(self), indent=1) + "\n")

    @classmethod
    def load(cls, path: Path, fingerprint: str) -> "ExtractionReport | None":
        """Read a report; None if there is none, or if it was made from other inputs."""
        content = json.loads(path.read_text()) if path.exists() else {}
        return cls(**content) if content.pop("fingerprint", None) == fingerprint else None


def make_report(
    sums: pd.DataFrame, counts: dict[tuple[str, str], int], unlabelled: int, labels: pd.DataFrame | None
) -> ExtractionReport:
    """Make a report from independent counts, so that their sum can be checked.

    Parameters
    ----------
    sums : DataFrame
        Sums of the key pass's notes: kind, text (night or fields), rows, alerts, partnership, bytes.
    counts : dict
        (what, name) -> number, of `twostamp.alerts.first_two.count_outcomes`.
    unlabelled : int
        Alerts of objects that were not requested.
    labels : DataFrame or None
        ``objects``: wanted objects, by classALeRCE and subclassALeRCE where there are any; None for all objects.
    """
    kinds = sums.groupby("kind")[["rows", "alerts", "partnership"]].sum()
    totals = {kind: dict(row) for kind, row in kinds.reindex(["night", *UNREAD], fill_value=0).astype(int).iterrows()}
    nights = sums[sums["kind"] == "night"].sort_values("text")
    unread = int(totals["bad"]["alerts"])
    by = {what: {name: n for (kind, name), n in counts.items() if kind == what} for what, _ in counts}
    states = by.get("state", {})
    report = ExtractionReport(
        alerts_read=int(totals["night"]["alerts"]) + unread,
        alerts_used=states.get("used", 0),
        alerts_quarantined=unread + states.get("quarantined", 0),
        alerts_not_selected={
            "object not labelled": unlabelled,
            "copy of an alert (same candid)": counts.get(("copies", ""), 0) - sum(states.values()),
            "same exposure as a used alert": states.get("same exposure", 0),
            "third or later": states.get("later", 0),
        },
        not_public=int(totals["night"]["partnership"]),
        damaged_sources=int(totals["damaged"]["rows"]),
        passed_over=int(totals["passed"]["rows"]),
        square_stamps=_share_square(by.get("square", {})),
        bytes_per_night={night: int(size) for night, size in zip(nights["text"], nights["bytes"], strict=True)},
    )
    none, one, two = (by.get("alerts", {}).get(number, 0) for number in "012")
    found = none + one + two
    wanted = found if labels is None else int(labels["objects"].sum())
    report.objects = {
        "wanted": wanted,
        "found in the archive": found,
        "absent from the archive": wanted - found,
        "without a whole alert": none,
        "with one alert only": one,
        "with two alerts": two,
    }
    report.contradicted = sorted(by.get("contradicted", {}))
    if labels is not None and {*LABEL_COLUMNS[1:]} <= {*labels}:
        for names, group in labels.groupby(LABEL_COLUMNS[1:]):
            of_both = (by.get(what, {}).get(json.dumps(names), 0) for what in ("found", "pairs"))
            report.classes.append([*names, int(group["objects"].sum()), *of_both])
    return report


def _share_square(pairs: dict[str, int]) -> dict[str, float]:
    """Compute the shares of pairs with square stamps in the first, second or both alerts; `pairs` counts ``10`` etc."""
    total = sum(pairs.values()) or float("nan")
    first, second = (sum(n for name, n in pairs.items() if name[at] == "1") for at in (0, 1))
    return {"first": first / total, "second": second / total, "both": pairs.get("11", 0) / total}
