"""Sources of a run's alerts and labels: simulated, given, or fetched as its parameters specify.

``twostamp fetch alerce`` assembles the labels and fetches the alerts of a run ahead of its notebooks. Both resume if
interrupted, and do nothing if finished.
"""

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from twostamp.data import labels as labelling
from twostamp.data.label_files import read_label_csv
from twostamp.data.labels import read_labels
from twostamp.params import ALERCE, ASSEMBLED, PUBLIC, SIMULATED, Parameters
from twostamp.taxonomy import LABEL_COLUMNS
from twostamp.utils.files import write_file
from twostamp.utils.fingerprints import describe_input

if TYPE_CHECKING:
    from twostamp.alerts.alerce_api import AlerceAPI

_log = logging.getLogger(__name__)
LABELS, PROVENANCE, _FINGERPRINT, REPORT = "labels.csv", "label_provenance.csv", "labels.json", "fetched.txt"
_ALERTS, _SURVEY = "alerts", "survey"


def find_archive(params: Parameters, data: Path) -> str:
    """Return the archive of a run's alerts, also before they are fetched."""
    own = {SIMULATED: data / _SURVEY, ALERCE: data / _ALERTS, PUBLIC: data / _ALERTS}
    return str(own.get(params.archive, params.archive))


def find_labels(params: Parameters, data: Path) -> str:
    """Return the path of a run's label file, also before it is assembled."""
    return str({SIMULATED: data / _SURVEY / LABELS, ASSEMBLED: data / LABELS}.get(params.labels, params.labels))


def prepare_inputs(params: Parameters, data: Path) -> tuple[str, str]:
    """Assemble the labels and fetch the alerts that a run's parameters specify; given files are left unchanged.

    Parameters
    ----------
    params : Parameters
    data : Path
        Data folder of the run. Receives ``labels.csv`` (Table 3.4), ``label_provenance.csv``, and ``alerts/``.

    Returns
    -------
    archive, labels : str
        As of `find_archive` and `find_labels`.

    Raises
    ------
    ValueError, AlerceAPIError, AlerceDatabaseError
        If a source of labels cannot be used. Objects and nights that fail are reported in ``fetched.txt``.
    """
    data.mkdir(parents=True, exist_ok=True)
    if params.labels == ASSEMBLED:
        _prepare_labels(params, data)
    archive, label_file = find_archive(params, data), find_labels(params, data)
    if params.archive in (ALERCE, PUBLIC):
        wanted, _ = read_labels(label_file)
        lines = fetch_alerts(params, wanted["objectId"], Path(archive))
        write_file(data / REPORT, ("\n".join(lines) + "\n").encode())
    return archive, label_file


def describe_sources(params: Parameters, data: Path) -> str:
    """Report on the result of `prepare_inputs`: labels by source and state, conflicts, and fetched alerts."""
    lines = []
    if params.labels == ASSEMBLED:
        provenance = pd.read_csv(data / PROVENANCE, dtype=str, keep_default_na=False)
        lines.append(labelling.count_provenance(provenance).to_string(index=False))
        conflicts = provenance[provenance["state"] == "conflicting"]
        if len(conflicts):
            lines.append(
                f"{conflicts['objectId'].nunique()} objects with conflicting labels, dropped; the first of them:"
            )
            lines.append(conflicts[labelling.PROVENANCE_COLUMNS[:-1]].head(10).to_string(index=False))
    if params.archive in (ALERCE, PUBLIC):
        lines.append((data / REPORT).read_text().rstrip())
    return "\n".join(lines) or f"labels: {find_labels(params, data)}\nalerts: {find_archive(params, data)}"


def _prepare_labels(params: Parameters, data: Path) -> None:
    """Assemble the label file of section 3.1.4, unless it already exists from the same sources."""
    fingerprint = _fingerprint(params)
    done = data / _FINGERPRINT
    if not done.exists() or json.loads(done.read_text()) != fingerprint or not (data / LABELS).exists():
        labels, provenance = labelling.assemble_labels(_read_sources(params), _read_opinions(params))
        if labels.empty:
            raise ValueError("the sources of labels give no label: see label_csvs and the parameters after it")
        for name, table in ((LABELS, labels), (PROVENANCE, provenance)):
            write_file(data / name, table.to_csv(index=False).encode())
        write_file(done, json.dumps(fingerprint).encode())


def _fingerprint(params: Parameters) -> dict[str, Any]:
    """Describe the inputs of the labels; database and broker are queried once per set of parameters."""
    names = (
        *("label_csvs", "label_columns", "bogus_csvs", "bogus_reports", "report_columns", "bogus_astronomers"),
        *("asteroids", "database", "seed", "broker_labels", "broker_probability", "broker_per_label"),
    )
    files = [*params.label_csvs, *params.bogus_csvs, *filter(None, [params.bogus_reports])]
    return {name: getattr(params, name) for name in names} | {"files": {name: describe_input(name) for name in files}}


def _read_sources(params: Parameters) -> dict[str, pd.DataFrame]:
    sources = {path: read_label_csv(path, params.label_columns) for path in params.label_csvs}
    sources |= {path: labelling.read_bogus_csv(path) for path in params.bogus_csvs}
    if params.bogus_reports:
        sources[params.bogus_reports] = labelling.read_bogus_reports(
            params.bogus_reports, params.report_columns, params.bogus_astronomers
        )
    if params.asteroids:
        from twostamp.alerts.alerce_database import AlerceDatabase

        drawn = AlerceDatabase(params.database).sample_asteroids(params.asteroids, params.seed)
        sources["asteroids of the database"] = labelling.label_objects(drawn["objectId"], "asteroid")
    return sources


def _read_opinions(params: Parameters) -> dict[str, pd.DataFrame]:
    from twostamp.alerts.alerce_api import RENAMED

    opinions = {}
    for name in params.broker_labels:
        classifier, class_name = name.split("/", 1)
        found = make_broker(params).find_objects(
            classifier, class_name, params.broker_probability, params.broker_per_label
        )
        if found.empty:
            _log.warning("ALeRCE has no object of %s; %s", name, RENAMED)
        # The stamp classifier's AGN is a class, the light-curve classifier's a subclass of it.
        column = LABEL_COLUMNS[1 if classifier.startswith("stamp_classifier") else 2]
        opinions[name] = (
            found[["objectId"]].reindex(columns=LABEL_COLUMNS, fill_value="").assign(**{column: class_name})
        )
    return opinions


def make_broker(params: Parameters) -> "AlerceAPI":
    """Make ALeRCE's API with a run's rate and servers."""
    from twostamp.alerts.alerce_api import AlerceAPI

    return AlerceAPI(params.broker_api_url, params.broker_avro_url, rate=params.broker_rate)


def fetch_alerts(params: Parameters, object_ids: pd.Series, folder: Path) -> list[str]:
    """Fetch the alerts of objects from the source that a run's parameters name, and report on it in lines."""
    if params.archive == ALERCE:
        from twostamp.alerts.alerce_api import fetch_first_two

        return fetch_first_two(make_broker(params), object_ids, folder, workers=params.broker_workers).lines()
    from twostamp.alerts.ztf_archive import ZTFArchive, download_nights, parse_nights

    objects = None if params.whole_nights else frozenset(object_ids)
    return download_nights(ZTFArchive(params.nights_url), parse_nights(params.nights), folder, objects=objects).lines()
