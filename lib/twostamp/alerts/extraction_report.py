"""What an extraction read, used and quarantined."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import pandas as pd

from twostamp.utils.files import write_file


@dataclass
class ExtractionReport:
    """What an extraction read, kept and left.

    Attributes
    ----------
    alerts_read, alerts_used, alerts_quarantined : int
        Alerts; an unreadable packet is one alert that is quarantined.
    alerts_not_selected : dict
        Reason -> alerts.
    not_public : int
        Of the alerts read, those of ZTF's partnership and Caltech (programid 2 and 3), whatever became of them.
    damaged_sources : int
        Tarballs that ended early or are damaged: rows of the quarantine without a member, not alerts.
    passed_over : int
        Files that look like alerts and are none, and sources without an alert: rows of the quarantine, not alerts.
    objects : dict
        Labelled, found, absent, with a whole alert, with one only, with two.
    contradicted : list of str
        Objects whose label their alerts contradict: supernovae whose first two alerts are more than a year apart.
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
        """Read a report; None when there is none, or when it was made from other inputs."""
        content = json.loads(path.read_text()) if path.exists() else {}
        return cls(**content) if content.pop("fingerprint", None) == fingerprint else None
