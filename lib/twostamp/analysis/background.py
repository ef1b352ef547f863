"""Computations for chapters 1 and 2 of the thesis: counts of supernovae, one object's alerts, convolution."""

import contextlib
from collections import defaultdict
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.signal import correlate2d

from twostamp.alerts.archive import ArchiveError, list_sources, read_members
from twostamp.alerts.cutouts import read_stamp
from twostamp.alerts.packet import BadStamp, find_candid, read_sound_packets
from twostamp.alerts.values import read_isdiffpos
from twostamp.data.label_files import find_column, read_table
from twostamp.data.sources import prepare_inputs
from twostamp.params import Parameters
from twostamp.simulation.survey import write_survey
from twostamp.thesis import read_printed
from twostamp.utils.dates import MJD
from twostamp.utils.typing import Floats, Floats32

STAMPS = ("Science", "Template", "Difference")
_TNS_COLUMNS = ["Name", "Obj. Type", "Reporting Group/s", "Discovery Date (UT)"]
_TNS_TOTAL, _TNS_BY_ALERCE = (int(read_printed(figure, "figure")) for figure in ("1.1", "1.2"))
TOTAL_COPIED = "total copied from the thesis"
"""Note on simulated supernovae whose totals are the thesis's."""
_TNS_SHARES = "SN Ia 70, SN II 15, SN IIn 3.5, SN Ic 3, SN Ib 2.5, SN IIb 2, SN Ib/c 1, SN Ic-BL 1, SLSN-I 1"


def find_supernovae(params: Parameters) -> pd.DataFrame | None:
    """Find the supernovae of a run: from its TNS export, else simulated in a simulated run, else None.

    Simulated supernovae share only two totals with the thesis: 8675 confirmed, 1431 of them reported by ALeRCE (figures
    1.1 and 1.2). Growth by year and shares of types are assumptions close to magnitude-limited samples.

    Returns
    -------
    DataFrame or None
        Name, Obj. Type, Reporting Group/s, Discovery Date (UT); rows whose type starts with "SN" or "SLSN".

    Raises
    ------
    ValueError
        If a column of the export is missing, or it has no supernova; the message names the file.

    Examples
    --------
    >>> find_supernovae(Parameters(archive="alerts", labels="labels.csv")) is None
    True
    """
    if params.tns_csv:
        return _read_tns(params.tns_csv)
    return _simulate_tns(params.seed) if params.simulated else None


def _read_tns(path: str) -> pd.DataFrame:
    table = read_table(path)
    found = {column: find_column(table, column) for column in _TNS_COLUMNS}
    if absent := [column for column, name in found.items() if not name]:
        raise ValueError(f"{path}: column '{absent[0]}' is missing; export the search of wis-tns.org/search as CSV")
    table = table[list(found.values())].set_axis(_TNS_COLUMNS, axis=1)
    dated = pd.to_datetime(table["Discovery Date (UT)"], errors="coerce", format="mixed").notna()
    supernovae = table[table["Obj. Type"].str.match(r"SN|SLSN") & dated].reset_index(drop=True)
    if supernovae.empty:
        raise ValueError(f"{path} has no supernova with a date of discovery among its {len(table)} rows")
    return supernovae


def _simulate_tns(seed: int) -> pd.DataFrame:
    """Simulate an export, with discoveries from 2011 to August 2021."""
    rng = np.random.default_rng(seed)
    start, end, alerce_start = (np.datetime64(day) for day in ("2011-01-01", "2021-09-01", "2019-08-01"))
    span = (end - start).astype(int)
    days = np.sort(start + (span * rng.beta(2.6, 1.0, _TNS_TOTAL)).astype(int))
    group = np.full(_TNS_TOTAL, "other", dtype=object)
    group[rng.choice(np.flatnonzero(days >= alerce_start), _TNS_BY_ALERCE, replace=False)] = "ALeRCE"
    names, shares = zip(*(entry.rsplit(" ", 1) for entry in _TNS_SHARES.split(", ")), strict=True)
    weights = np.array(shares, dtype=float)
    types = rng.choice(names, _TNS_TOTAL, p=weights / weights.sum())
    labels = [f"SN {day.astype(object).year}-{index}" for index, day in enumerate(days)]
    return pd.DataFrame(dict(zip(_TNS_COLUMNS, [labels, types, group, days.astype(str)], strict=True)))


def count_by_year(supernovae: pd.DataFrame) -> pd.Series:
    """Count supernovae by year of discovery, from the first year to the last (figure 1.1)."""
    years = pd.to_datetime(supernovae["Discovery Date (UT)"], format="mixed").dt.year
    return years.value_counts().reindex(range(years.min(), years.max() + 1), fill_value=0)


def count_types(supernovae: pd.DataFrame, group: str = "ALeRCE") -> pd.Series:
    """Count the supernovae that a group reported, by type, most frequent first (figure 1.2)."""
    return supernovae.loc[supernovae["Reporting Group/s"].str.contains(group, regex=False), "Obj. Type"].value_counts()


def read_literature() -> pd.DataFrame:
    """Read the articles that the thesis reviews (Table 2.1), all as text."""
    with resources.files("twostamp.analysis").joinpath("literature.csv").open(encoding="utf-8") as file:
        return pd.read_csv(file, dtype=str, keep_default_na=False)


def find_alerts(params: Parameters, data: Path) -> tuple[str, str]:
    """Find the archive and label file for examples: the run's own (fetched if needed), or a survey of a few objects.

    The run's simulated survey is made after this chapter. A simulated run therefore gets a tiny separate survey below
    `data`, the run's data folder.
    """
    if not params.simulated:
        return prepare_inputs(params, data)
    folder = data / "background_survey"
    write_survey(folder, pairs_per_class=4, unlabelled_objects=0, nights=600, seed=params.seed, workers=1)
    return str(folder), str(folder / "labels.csv")


def read_newest_packets(archive: str, limit: int = 1500) -> list[dict[str, Any]]:
    """Read whole packets from an archive's newest nights, without reading all of it.

    Parameters
    ----------
    archive : str
        As in `twostamp.alerts.archive.list_sources`.
    limit : int
        Stop after the tarball or file that reaches this many packets.

    Returns
    -------
    list of dict
        Packets by source, newest first. Unreadable or invalid packets are skipped: notebook 01 counts them.

    Raises
    ------
    ValueError
        No packet can be read.
    """
    packets: list[dict[str, Any]] = []
    for source in reversed(list_sources(archive)):
        with contextlib.suppress(ArchiveError):  # damage
            for member in read_members(source):
                packets += read_sound_packets(member.data)
                if len(packets) >= limit:
                    return packets
    if not packets:
        raise ValueError(f"{archive} holds no alert that can be read: notebook 01 says of each why")
    return packets


def make_light_curve(packets: list[dict[str, Any]], object_id: str) -> pd.DataFrame:
    """Make an object's light curve from its alerts and their previous candidates (figure 2.2).

    Parameters
    ----------
    packets : list of dict
        Whole packets, of any objects.
    object_id : str

    Returns
    -------
    DataFrame
        One row per exposure, sorted by mjd (days): fid (1 g, 2 r, 3 i), magpsf, sigmapsf and diffmaglim. These are
        magnitude, error and limiting magnitude; the first two are NaN without a detection.
    """
    fields = ["jd", "fid", "magpsf", "sigmapsf", "diffmaglim"]
    of_object = [packet for packet in packets if packet["objectId"] == object_id]
    records = [{field: record.get(field) for field in fields} for packet in of_object for record in _exposures(packet)]
    curve = pd.DataFrame(records, columns=fields).apply(pd.to_numeric, errors="coerce").dropna(subset=["jd", "fid"])
    curve = curve.sort_values(["jd", "magpsf"]).drop_duplicates(["jd", "fid"])
    curve.insert(0, "mjd", curve.pop("jd") - MJD)
    return curve.astype({"fid": int}).reset_index(drop=True)


def _exposures(packet: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the candidate of a packet and its previous candidates, if their time is given."""
    entries = [packet["candidate"], *(packet.get("prv_candidates") or [])]
    return [entry for entry in entries if isinstance(entry, dict) and entry.get("jd") is not None]


def choose_light_curve(packets: list[dict[str, Any]], labels: pd.DataFrame) -> str:
    """Choose the object with the most detections in packets and previous candidates, then the most upper limits.

    Objects labelled bogus or asteroid, which have no light curve at a fixed position, come last.

    Examples
    --------
    >>> alert = {"objectId": "a", "candidate": {"jd": 2.0, "magpsf": 19.0}}
    >>> other = {**alert, "objectId": "b", "prv_candidates": [{"jd": 1.0, "magpsf": 19.5}]}
    >>> choose_light_curve([alert, other], pd.DataFrame({"objectId": [], "classALeRCE": []}))
    'b'
    """
    exposures: dict[str, dict[float, bool]] = defaultdict(dict)
    for packet in packets:
        for record in _exposures(packet):
            exposures[packet["objectId"]][record["jd"]] = record.get("magpsf") is not None
    fixed = set(exposures) - set(labels.loc[labels["classALeRCE"].isin(["asteroid", "bogus"]), "objectId"])
    return min(fixed or exposures, key=lambda name: (-sum(exposures[name].values()), -len(exposures[name]), name))


def choose_triplet(packets: list[dict[str, Any]], labels: pd.DataFrame, class_name: str = "SN") -> tuple[str, Floats32]:
    """Choose the stamps of a class's brightest positive alert with three whole stamps (figure 2.11).

    Parameters
    ----------
    packets : list of dict
        Whole packets.
    labels : DataFrame
        objectId and classALeRCE.
    class_name : str
        Preferred class; other alerts are used only if it has none.

    Returns
    -------
    name : str
        Object and class.
    stamps : ndarray, shape (3, 63, 63), float32
        Science, template (the thesis's "reference") and difference, in DN.

    Raises
    ------
    LookupError
        If no packet has three whole stamps.
    """
    classes = dict(zip(labels["objectId"], labels["classALeRCE"], strict=True))

    def rank(packet: dict[str, Any]) -> tuple[bool, bool, float, int]:
        candidate, found = packet["candidate"], classes.get(packet["objectId"])
        magnitude = candidate.get("magpsf")
        brightness = np.inf if magnitude is None else float(magnitude)
        return found != class_name, read_isdiffpos(candidate["isdiffpos"]) == 0, brightness, find_candid(packet)

    for packet in sorted(packets, key=rank):
        try:
            stamps = [read_stamp(packet[f"cutout{kind}"]["stampData"]) for kind in STAMPS]
        except (BadStamp, KeyError, TypeError):
            continue
        if all(stamp.shape == (63, 63) and np.isfinite(stamp).all() for stamp in stamps):
            name = packet["objectId"]
            return f"{name} ({classes.get(name, 'no label')})", np.stack(stamps)
    raise LookupError("no alert has three whole stamps in the packets read")


def apparent_magnitude(absolute: float, parsecs: float) -> float:
    """Compute a star's apparent magnitude from absolute magnitude and distance, without extinction (section 2.1.1).

    Examples
    --------
    >>> apparent_magnitude(4.8, 10), apparent_magnitude(-0.2, 100)
    (4.8, 4.8)
    """
    return absolute + 5 * float(np.log10(parsecs / 10))


def slide_kernel(image: Floats, kernel: Floats) -> Floats:
    """Compute weighted sums under a kernel that slides over an image with stride 1 (figures 2.15, 2.17, 2.18).

    The kernel is not flipped, as in every neural network library. An image of shape (h, w) and a kernel of shape (k, k)
    give a feature map of shape (h - k + 1, w - k + 1).

    Examples
    --------
    >>> slide_kernel(np.arange(9.0).reshape(3, 3), np.array([[1.0, 0.0], [0.0, -1.0]]))
    array([[-4., -4.],
           [-4., -4.]])
    """
    return correlate2d(image, kernel, mode="valid")


def max_pool(image: Floats, size: int = 2) -> Floats:
    """Take the largest value of each block of an image, with adjacent blocks (figure 2.19).

    An image of shape (h, w) gives one of shape (h // size, w // size); incomplete blocks are left out.

    Examples
    --------
    >>> max_pool(np.arange(16.0).reshape(4, 4))
    array([[ 5.,  7.],
           [13., 15.]])
    """
    h, w = (side // size for side in image.shape)
    return image[: h * size, : w * size].reshape(h, size, w, size).max(axis=(1, 3))
