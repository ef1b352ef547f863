"""The unlabelled set of thesis section 6.6: cones on a grid (D6), of the archive's objects or of ALeRCE's database."""

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from twostamp.alerts.web import write_file
from twostamp.params import ALERCE, Parameters
from twostamp.sources import fetch_alerts, find_archive, find_labels
from twostamp.taxonomy import read_labels

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

FETCHED = "unlabelled_alerts"
CONES = "cones"


def find_unlabelled(
    spark: "SparkSession", params: Parameters, data: Path, labelled: pd.Series | None = None
) -> tuple[str, pd.DataFrame, dict[str, int]]:
    """Find the objects in the cones that nobody has labelled, and where their alerts are.

    Parameters
    ----------
    spark : SparkSession
    params : Parameters
        ``unlabelled_from`` and those of the cones. Objects of the database whose archive is ALeRCE's API are fetched.
    data : Path
        The run's data folder.
    labelled : Series, optional
        objectIds to leave out; by default those of the run's label file.

    Returns
    -------
    archive : str
        Where their alerts are.
    selected : DataFrame
        objectId, ra, dec (degrees), n_alerts, cone; each object once, sorted by objectId.
    counts : dict
        Objects by what became of them; all but the first sum to the first.
    """
    from twostamp import sky

    if labelled is None:
        labelled = read_labels(find_labels(params, data))[0]["objectId"]
    centres = sky.cone_centres(params.cone_step, params.min_dec)
    archive = find_archive(params, data)
    if params.unlabelled_from == "archive":
        from twostamp.extract import read_objects

        objects = read_objects(spark, archive)
        others = objects[~objects["objectId"].isin(labelled)]
        selected, counts = sky.select_in_cones(others, centres, params.cone_radius, params.cone_cap, params.seed)
        found = {"objects in the archive": len(objects), "labelled": len(objects) - len(others)}
        return archive, selected, found | {name: n for name, n in counts.items() if name != "objects read"}
    from twostamp.alerts.catalog import Catalog, search_cones

    selected, counts = search_cones(
        Catalog(params.database),
        centres,
        params.cone_radius,
        params.cone_cap,
        params.seed,
        data / CONES,
        leave_out=labelled,
        min_detections=sky.MIN_ALERTS,
    )
    if params.archive == ALERCE:
        archive = str(data / FETCHED)
        lines = fetch_alerts(params, selected["objectId"], Path(archive))
        write_file(data / f"{FETCHED}.txt", ("\n".join(lines) + "\n").encode())
    return archive, selected, counts
