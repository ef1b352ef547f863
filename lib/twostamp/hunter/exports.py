"""Exports of the hunter: a CSV, a report for TNS that is not sent, and verdicts as training labels."""

from pathlib import Path

import pandas as pd

from twostamp.hunter.candidates import HunterError, ScoredNight, list_candids
from twostamp.hunter.light_curve import read_light_curve
from twostamp.hunter.tns import DryRun, TNSCatalogue, make_dry_run
from twostamp.taxonomy import LABEL_COLUMNS
from twostamp.utils.files import replacing, write_json, write_table

LABELS, CANDIDS, PACKETS = "labels.csv", "candids.csv", "packets"
_CLASSES = {"SN": ("SN", ""), "bogus": ("bogus", "bogus")}
"""Verdicts that give the class of an object, with class and subclass."""


def export_csv(candidates: pd.DataFrame, final: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Write the candidates with the verdicts on them.

    Parameters
    ----------
    candidates : DataFrame
        Table from `twostamp.hunter.candidates.make_candidates`.
    final : DataFrame
        Table from `twostamp.hunter.agreement.make_final_list`.
    path : Path
        A .csv or .parquet.
    """
    judged = final.drop(columns=["candids", "simulated"])
    table = candidates.merge(judged, on="object_id", how="left")
    write_table(table, path)
    return table


def export_tns(
    night: ScoredNight,
    candidates: pd.DataFrame,
    path: Path,
    *,
    reporting_group: str,
    reporter: str,
    tns_csv: str = "",
    remarks: str = "",
) -> DryRun:
    """Write the report for TNS as JSON, and a CSV of refused candidates with reasons. Nothing is sent.

    Parameters
    ----------
    night : ScoredNight
    candidates : DataFrame
        Candidates to report.
    path : Path
        JSON file.
    reporting_group, reporter, remarks : str
        See `twostamp.hunter.tns.make_dry_run`.
    tns_csv : str
        TNS list of known objects.
    """
    curves = {
        str(row.object_id): read_light_curve([night.alert(candid) for candid in list_candids(row)])
        for row in candidates.itertuples()
    }
    catalogue = TNSCatalogue(tns_csv) if tns_csv else None
    who = {"reporting_group": reporting_group, "reporter": reporter}
    dry_run = make_dry_run(candidates, curves, catalogue=catalogue, remarks=remarks, **who)
    write_json(path, dry_run.report)
    write_table(dry_run.refused, path.with_suffix(".refused.csv"))
    return dry_run


def export_labels(night: ScoredNight, candidates: pd.DataFrame, final: pd.DataFrame, folder: Path) -> pd.DataFrame:
    """Write verdicts as a labelled set: ``archive: FOLDER/packets`` and ``labels: FOLDER/labels.csv`` of a run.

    Only SN and bogus are classes; the verdicts not SN and unsure are left out.

    Parameters
    ----------
    night : ScoredNight
    candidates, final : DataFrame
        As for `export_csv`.
    folder : Path
        Receives ``labels.csv`` (`LABEL_COLUMNS`, and whether the alerts are simulated), ``candids.csv`` (object_id,
        candid_1, candid_2) and ``packets/`` with the alerts. Existing files are replaced.

    Raises
    ------
    HunterError
        No verdict gives a class.
    """
    said = candidates.merge(final[["object_id", "verdict"]], on="object_id")
    said = said[said["verdict"].isin(list(_CLASSES))].reset_index(drop=True)
    if said.empty:
        raise HunterError("no verdict is SN or bogus, so there is nothing to train on")
    labels = pd.DataFrame([_CLASSES[verdict] for verdict in said["verdict"]], columns=LABEL_COLUMNS[1:])
    labels.insert(0, LABEL_COLUMNS[0], said["object_id"])
    with replacing(folder) as part:
        (part / PACKETS).mkdir(parents=True)
        write_table(labels.assign(simulated=night.simulated), part / LABELS)
        write_table(said[["object_id", "candid_1", "candid_2"]], part / CANDIDS)
        for candid in (candid for row in said.itertuples() for candid in list_candids(row)):
            (part / PACKETS / f"{candid}.avro").write_bytes(night.packet(candid))
    return labels


def describe_dry_run(dry_run: DryRun) -> str:
    """Describe how many candidates would be reported, and why others are refused."""
    counts = dry_run.refused["reason"].value_counts()
    refused = [f"{count} refused: {reason}" for reason, count in counts.items()]
    return "\n".join([f"{len(dry_run.report['at_report'])} would be reported; nothing is sent", *refused])
