"""Train the shipped classifier, and write its scores on real packets on its card."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from twostamp.analysis import real_sky
from twostamp.data.arrays import read_metadata
from twostamp.data.feature_ranges import FEATURE_RANGE, measure_ranges
from twostamp.data.real_packets import extract_real
from twostamp.data.tfrecords import Records
from twostamp.evaluation.bootstrap import Bootstrap
from twostamp.evaluation.calibration import calibration_scores
from twostamp.evaluation.metrics import accuracy, confusion_counts
from twostamp.models.classifier import Classifier
from twostamp.models.pretrained import average_classifiers
from twostamp.models.results import SearchResults, describe_origin
from twostamp.params import Parameters
from twostamp.pipeline.notebooks import run_notebooks
from twostamp.pipeline.run import SIMULATED_MARK
from twostamp.utils.paths import outputs_root

_NOTEBOOKS = ["01_data_extraction", "03_dataset_preparation", "04_model_search"]
_NOT_FOR = [
    "It learned from simulated alerts alone. A share of a class that it finds is no rate on the sky.",
    "Probabilities are not calibrated on real alerts: rank by them, and set thresholds on alerts of your own.",
    "First and second alert are meant: of an object with a longer history only the first two packets count.",
    "Five classes only. What is none of them gets the nearest one.",
]


def make_pretrained(params: Parameters, folder: Path) -> Classifier:
    """Run the notebooks that train a run's networks, average the repetitions of the best, and save that classifier.

    Parameters
    ----------
    params : Parameters
        Parameters of ``params/pretrained.yaml``. If its ``real_archive`` exists, the card gets the scores on real
        packets.
    folder : Path
        Folder of the classifier; replaced.

    Returns
    -------
    Classifier
    """
    run_notebooks(params, _NOTEBOOKS)
    root = outputs_root() / params.run_name
    records = Records(root / "data" / "records", params.metadata_recipe)
    results = SearchResults.read(root / "models" / "search", params.report_weights)
    trials = results.winners()[params.search_variants[0]]
    classifier = average_classifiers([trial.load(records) for trial in trials])
    first_alerts = read_metadata(root / "data" / "first_alerts.parquet")
    card = {name: value for name, value in classifier.card.items() if name not in ("training", "metrics")}
    card |= {"trained on": SIMULATED_MARK if params.simulated else "real alerts", "not for": _NOT_FOR}
    card |= {
        "training": {"networks": len(trials), "objects": records.info.counts},
        "run": describe_origin(root / "models", params),
    }
    card |= {"test": _test(classifier, records), FEATURE_RANGE: measure_ranges(first_alerts, classifier.features)}
    if real := extract_real(root / "data", params):
        card["real packets"] = _test_on_real(classifier, real, params)
    for name in ("real_archive", "alerce_checkpoint"):  # paths of this machine
        del card["run"]["parameters"][name]
    classifier = replace(classifier, card=card)
    classifier.save(folder)
    return classifier


def _test(classifier: Classifier, records: Records) -> dict[str, Any]:
    """Measure accuracy and confusion (rows true) on the run's own test set, at the first and at the second alert."""
    arrays = classifier.load_split(records, "test")
    answers = {"first alert": arrays.first_alone(), "second alert": arrays}
    found = {}
    for name, objects in answers.items():
        predicted = classifier.predict_arrays(objects).argmax(axis=1)
        counts = confusion_counts(np.asarray(arrays.labels), predicted, len(classifier.classes))
        found[name] = {"accuracy": accuracy(counts), "confusion": counts.tolist()}
    return found


def _test_on_real(classifier: Classifier, folder: Path, params: Parameters) -> dict[str, Any]:
    """Measure recall at the first real packet by class and epoch, with nights and intervals, and the second's
    changes."""
    path = folder / "first_alerts.parquet"
    objects = real_sky.read_objects(path)
    first = real_sky.predict_objects(classifier.at_first_alert(), path)
    bootstrap = Bootstrap(params.bootstrap_resamples, params.seed)
    recalls = real_sky.tabulate_recalls({"shipped": first}, objects, classifier.classes, bootstrap)
    labels = objects["classALeRCE"].map(classifier.classes.index)
    error = calibration_scores(first, labels, params.calibration_bins)[1]
    pairs = real_sky.read_objects(folder / "pairs.parquet")
    single = real_sky.predict_objects(classifier.at_first_alert(), folder / "pairs.parquet")
    double = real_sky.predict_objects(classifier, folder / "pairs.parquet")
    changes = real_sky.compare_answers(single, double, pairs, classifier.classes)
    rows = recalls.drop(columns="classifier").round(3).to_dict("records")
    return {
        "recall by class and epoch": [{k: None if v != v else v for k, v in row.items()} for row in rows],
        "expected calibration error": {"n": len(labels), "value": round(float(error), 3)},
        "changed by the second packet": changes.to_dict("records"),
    }
