"""Reports of candidates in the format of the Transient Name Server, to inspect: nothing is sent."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pandas as pd
from astropy.time import Time

from twostamp.data.label_files import find_column, read_table
from twostamp.hunter.light_curve import last_limit

AB_MAG, POSSIBLE_SUPERNOVA, ZTF_SOURCE, ZTF_CAMERA, OTHER_ARCHIVE = "1", "1", "48", "196", "0"
"""TNS's numbers for flux units, type, data source, instrument, and an archive not on its list."""
FILTERS = {"g": "110", "r": "111", "i": "112"}
PUBLIC = 1
"""``programid`` of exposures that may be reported."""

_NEAR_ARCSEC = 3.0
_MAGNITUDES = (5.0, 25.0)
_EXPOSURE_SECONDS = "30"
_ARCHIVAL_REMARK = "no earlier public exposure without a detection is in the alert packets"


@dataclass(frozen=True)
class DryRun:
    """Report that would be sent, and refused candidates.

    Attributes
    ----------
    report : dict
        ``{"at_report": {"0": {...}}}``, as in TNS's bulk reports.
    refused : DataFrame
        object_id, reason.
    """

    report: dict[str, Any]
    refused: pd.DataFrame


class TNSCatalogue:
    """Objects with a TNS name.

    Parameters
    ----------
    path : Path or str
        CSV from TNS: its daily list of all objects, or an export of its search.

    Raises
    ------
    ValueError
        The file has neither internal names nor coordinates.
    """

    def __init__(self, path: Path | str) -> None:
        table = _read_csv(path)
        columns = {name: find_column(table, name) for name in ("internal_names", "ra", "declination")}
        columns["internal_names"] = columns["internal_names"] or find_column(table, "Disc. Internal Name")
        columns["declination"] = columns["declination"] or find_column(table, "DEC")
        if not columns["internal_names"] and not (columns["ra"] and columns["declination"]):
            raise ValueError(f"{path} has neither internal names nor coordinates; it has {', '.join(table.columns)}")
        names = table[columns["internal_names"]] if columns["internal_names"] else pd.Series(dtype=str)
        self.names = {name.strip() for cell in names for name in re.split(r"[,;]", cell)} - {""}
        places = [table[columns[axis]] if columns[axis] else pd.Series(dtype=str) for axis in ("ra", "declination")]
        self.ra, self.dec = (_degrees(column, hours) for column, hours in zip(places, (True, False)))

    def find(self, object_id: str, ra: float, dec: float) -> str:
        """Find how an object is known, by its name or a position within 3 arcsec; empty if it is not."""
        if object_id in self.names:
            return "its name"
        across = (self.ra - ra + 180) % 360 - 180
        away = np.hypot(across * np.cos(np.radians(dec)), self.dec - dec) * 3600
        return f"an object {np.nanmin(away):.1f} arcsec away" if (away < _NEAR_ARCSEC).any() else ""


def make_dry_run(
    candidates: pd.DataFrame,
    curves: Mapping[str, pd.DataFrame],
    *,
    reporting_group: str,
    reporter: str,
    catalogue: TNSCatalogue | None = None,
    remarks: str = "",
) -> DryRun:
    """Make the bulk report of candidates in TNS's format, and list the refused ones with reasons.

    Parameters
    ----------
    candidates : DataFrame
        object_id, ra, dec (degrees), simulated.
    curves : mapping
        object_id -> light curve, from `twostamp.hunter.light_curve.read_light_curve`.
    reporting_group : str
        Number of the group at TNS.
    reporter : str
        Names, as they should be printed.
    catalogue : TNSCatalogue, optional
        Known objects.
    remarks : str
        Remarks on every report.

    Raises
    ------
    ValueError
        The reporting group is no number, or there is no reporter.
    """
    if not re.fullmatch(r"[1-9]\d*", str(reporting_group)):
        raise ValueError(f"reporting_group is {reporting_group!r}: give your group's number at TNS")
    if not reporter.strip():
        raise ValueError("reporter is empty: give the names of the reporters")
    reports: list[dict[str, Any]] = []
    refused = []
    for row in candidates.itertuples():
        curve = curves[str(row.object_id)]
        if reason := find_obstacle(row, curve, catalogue):
            refused.append((row.object_id, reason))
            continue
        own = {"reporting_group_id": str(reporting_group), "reporter": reporter.strip(), "remarks": remarks}
        reports.append(_make_report(row, curve) | own)
    numbered = {str(number): report for number, report in enumerate(reports)}
    return DryRun({"at_report": numbered}, pd.DataFrame(refused, columns=["object_id", "reason"]))


def find_obstacle(candidate: Any, curve: pd.DataFrame, catalogue: TNSCatalogue | None = None) -> str:
    """Give the reason why a candidate may not be reported; empty if there is none."""
    if candidate.simulated:
        return "it comes from a simulated survey"
    if not (0 <= candidate.ra < 360 and -90 <= candidate.dec <= 90):
        return f"its position is not on the sky: {candidate.ra}, {candidate.dec}"
    detected = curve[curve["mag"].notna()]
    if detected.empty:
        return "it has no detection"
    if not detected["positive"].all():
        return "a detection is negative: it is fainter than in the template"
    if not (detected["programid"] == PUBLIC).all():
        return "a detection is not public"
    if not detected["mag"].between(*_MAGNITUDES).all() or not (detected["error"] > 0).all():
        return "a magnitude or its error is impossible"
    if not detected["band"].isin(list(FILTERS)).all():
        return "a detection is in no ZTF filter of TNS"
    if detected["jd"].max() > Time.now().jd:
        return "a detection is in the future"
    if catalogue and (known := catalogue.find(str(candidate.object_id), candidate.ra, candidate.dec)):
        return f"TNS knows it by {known}"
    return ""


def _make_report(candidate: Any, curve: pd.DataFrame) -> dict[str, Any]:
    detected = curve[curve["mag"].notna()]
    return {
        "ra": {"value": f"{candidate.ra:.7f}", "error": "", "units": "arcsec"},
        "dec": {"value": f"{candidate.dec:.7f}", "error": "", "units": "arcsec"},
        "discovery_data_source_id": ZTF_SOURCE,
        "discovery_datetime": _write_time(detected["jd"].iloc[0]),
        "at_type": POSSIBLE_SUPERNOVA,
        "internal_name": str(candidate.object_id),
        "non_detection": _make_non_detection(curve),
        "photometry": {
            "photometry_group": {str(number): _photometry(row) for number, row in enumerate(detected.itertuples())}
        },
    }


def _photometry(row: Any) -> dict[str, str]:
    flux = {"flux": f"{row.mag:.3f}", "flux_error": f"{row.error:.3f}"}
    return _exposure(row.jd, row.band) | flux | {"limiting_flux": "" if np.isnan(row.limit) else f"{row.limit:.3f}"}


def _make_non_detection(curve: pd.DataFrame) -> dict[str, str]:
    """Make the last public exposure without a detection before the discovery, or TNS's form for archival data alone."""
    limit = last_limit(curve[curve["programid"] == PUBLIC])
    if limit is None or limit["band"] not in FILTERS:
        return {"archiveid": OTHER_ARCHIVE, "archival_remarks": _ARCHIVAL_REMARK}
    return _exposure(limit["jd"], limit["band"]) | {"limiting_flux": f"{limit['limit']:.3f}"}


def _exposure(jd: float, band: str) -> dict[str, str]:
    values = {"obsdate": _write_time(jd), "filter_value": FILTERS[band], "exptime": _EXPOSURE_SECONDS}
    return values | {"instrument_value": ZTF_CAMERA, "flux_units": AB_MAG, "observer": "Robot", "comments": ""}


def _write_time(jd: float) -> str:
    return str(Time(jd, format="jd").iso)


def _read_csv(path: Path | str) -> pd.DataFrame:
    """Read a CSV of TNS; the daily list has a line with its date before the header."""
    with fsspec.open(str(path), "rt", compression="infer", errors="replace") as stream:
        dated = re.match(r'"?\d{4}-\d\d-\d\d', stream.readline())
    return pd.read_csv(path, skiprows=1, dtype=str, keep_default_na=False) if dated else read_table(path)


def _degrees(column: pd.Series, hours: bool) -> "np.ndarray[Any, np.dtype[np.float64]]":
    """Read decimal degrees or sexagesimal text (hours for right ascension); NaN if it is neither."""

    def read(text: str) -> float:
        parts = re.split(r"[:\s]+", text.strip())
        try:
            numbers = [abs(float(part)) for part in parts]
        except ValueError:
            return float("nan")
        size = sum(number / 60**power for power, number in enumerate(numbers))
        return (-1 if text.strip().startswith("-") else 1) * size * (15 if hours and len(parts) > 1 else 1)

    return np.array([read(text) for text in column], dtype=float)
