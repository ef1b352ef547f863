"""Exports of a night's predictions: Parquet, ALeRCE's table of probabilities, and VOTable."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from astropy.table import MaskedColumn, Table

from twostamp.stream.night import CLOCK, FLAGS, Night
from twostamp.utils.files import replacing, write_table

_UNITS = dict.fromkeys(("jd_1", "jd", "deltajd"), "d") | dict.fromkeys(("ra", "dec"), "deg") | {"magpsf": "mag"}
_UNITS |= dict.fromkeys(CLOCK, "s")
_UCDS = {
    "object_id": "meta.id;meta.main",
    "revision": "meta.version",
    "supersedes": "meta.version",
    "n_alerts": "meta.number",
    "candid_1": "meta.id",
    "candid_2": "meta.id",
    "jd_1": "time.epoch;obs",
    "jd": "time.epoch;obs",
    "deltajd": "time.interval",
    "night": "time.epoch",
    "ra": "pos.eq.ra;meta.main",
    "dec": "pos.eq.dec;meta.main",
    "fid": "meta.id;instr.filter",
    "magpsf": "phot.mag",
    "ranking": "meta.code.class",
    "conformal": "meta.code.class",
    "model": "meta.id;meta.software",
    "model_version": "meta.version;meta.software",
    "received": "time.processing",
    "scored": "time.processing",
    "class": "meta.code.class",
} | dict.fromkeys(FLAGS, "meta.code")


def export_night(night: Night, folder: Path, alerce_rules: bool = False) -> list[Path]:
    """Write a night's predictions: ``NIGHT.parquet``, ``NIGHT.vot`` and ``NIGHT_alerce.csv``.

    Parameters
    ----------
    night : Night
    folder : Path
    alerce_rules : bool
        Apply ALeRCE's rules to ALeRCE's table; see `tabulate_alerce`.

    Returns
    -------
    list of Path
    """
    answers = night.answers()
    answers = answers[answers["night"] == night.night].drop(columns="has_packets").reset_index(drop=True)
    paths = name_exports(folder, night.night)
    write_table(answers.assign(data=night.mark) if night.mark else answers, paths[0])
    write_votable(answers, night, paths[1])
    write_table(tabulate_alerce(answers, night.classes, alerce_rules), paths[2])
    return paths


def name_exports(folder: Path, night: str) -> list[Path]:
    """Name the files of `export_night`."""
    return [folder / f"{night}{ending}" for ending in (".parquet", ".vot", "_alerce.csv")]


def tabulate_alerce(answers: pd.DataFrame, classes: tuple[str, ...], alerce_rules: bool = False) -> pd.DataFrame:
    """Make ALeRCE's long table: one row per class of a prediction.

    Its key (oid, classifier_name, classifier_version, class_name) has no field for a revision. The classifier's name
    therefore holds the number of alerts; of several predictions with that number the last one counts.

    Parameters
    ----------
    answers : DataFrame
        Table from `Night.answers`.
    classes : tuple of str
    alerce_rules : bool
        Apply the rules of ALeRCE's stamp classifier. An alert with a Solar System match is an asteroid with probability
        1. A supernova near a star or with a negative difference is left out.

    Returns
    -------
    DataFrame
        oid, class_name, classifier_name, classifier_version, probability, ranking (1 for the most probable).
    """
    last = answers.drop_duplicates(["object_id", "n_alerts"], keep="last")
    if alerce_rules:
        refused = (last["class"] == "SN") & (last["near_star"] | last["negative_difference"])
        last = last[~refused | last["solar_system_match"]].copy()
        for name in classes:
            last.loc[last["solar_system_match"], f"p_{name}"] = float(name == "asteroid")
    values = last[[f"p_{name}" for name in classes]].to_numpy(float)
    ranks = np.argsort(np.argsort(-values, axis=1, kind="stable"), axis=1, kind="stable") + 1
    named = "twostamp_" + last["model"] + "_" + last["n_alerts"].astype(str)
    columns = {
        "oid": np.repeat(last["object_id"].to_numpy(), len(classes)),
        "class_name": np.tile(classes, len(last)),
        "classifier_name": np.repeat(named.to_numpy(), len(classes)),
        "classifier_version": np.repeat(last["model_version"].to_numpy(), len(classes)),
        "probability": values.ravel(),
        "ranking": ranks.ravel(),
    }
    return pd.DataFrame(columns)


def write_votable(answers: pd.DataFrame, night: Night, path: Path) -> None:
    """Write predictions as a VOTable whose columns have units and UCDs, for TOPCAT and Aladin."""
    table = Table()
    for name in map(str, answers):
        table[name] = _make_column(answers[name])
        table[name].unit = _UNITS.get(name)
        is_probability = name.startswith(("p_", "night_"))
        table[name].meta["ucd"] = "stat.probability" if is_probability else _UCDS[name]
    table.meta["description"] = f"Two-Stamp, night {night.night}" + (f", {night.mark}" if night.mark else "")
    with replacing(path) as part:
        _as_votable(table).to_xml(str(part))


def _make_column(values: "pd.Series[Any]") -> MaskedColumn:
    missing = values.isna().to_numpy(bool)
    if values.dtype == "Int64":
        return MaskedColumn(values.fillna(0).to_numpy(np.int64), mask=missing)
    if values.dtype == object:
        return MaskedColumn(values.fillna("").to_numpy(str), mask=missing)
    return MaskedColumn(values.to_numpy(), mask=missing)


def _as_votable(table: Table) -> Any:
    from astropy.io.votable import from_table

    votable = from_table(table)
    votable.description = table.meta["description"]
    for field in votable.get_first_table().fields:
        field.ucd = table[field.name].meta["ucd"]
    return votable
