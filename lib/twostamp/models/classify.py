"""Classify the packets of a folder or tarball, one prediction per object."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from twostamp.alerts.first_packets import read_first_packets
from twostamp.alerts.packet import find_candid
from twostamp.data.decode import decode_objects
from twostamp.data.feature_ranges import FEATURE_RANGE, find_unusual_features
from twostamp.data.features import packet_fields
from twostamp.models.architectures import SECOND_SEEN, input_shapes

if TYPE_CHECKING:
    from twostamp.models.classifier import Classifier


@dataclass(frozen=True)
class Answers:
    """Predictions of a classifier for an archive.

    Attributes
    ----------
    table : DataFrame
        One row per object, sorted by objectId: n_alerts (1 or 2, used for the prediction), candid_1, candid_2, deltajd,
        seen_before, class, and one probability per class. candid_2 and deltajd (days) are missing without a second
        alert. With seen_before, the packet counts earlier detections: its first alert here was not the object's first.
    left_out : DataFrame
        source, member, objectId, reason: unreadable packets, and objects without a prediction.
    unusual : dict of str to float
        Share of first alerts outside the training set's range, by feature; only large shares.
    """

    table: pd.DataFrame
    left_out: pd.DataFrame
    unusual: dict[str, float]


def classify_archive(classifier: "Classifier", archive: Path | str) -> Answers:
    """Pair the packets of an archive by object, and classify every object by its first alerts.

    A classifier for one alert or two uses the second alert if there is one, otherwise the first alone.

    Parameters
    ----------
    classifier : Classifier
    archive : Path or str
        Folder (to its full depth), tarball or Avro file, or the URL of one.

    Returns
    -------
    Answers

    Raises
    ------
    twostamp.alerts.archive.ArchiveError
        The archive has nothing to read.
    """
    revises = SECOND_SEEN in input_shapes(classifier.variant, classifier.crop_size) and not classifier.first_alone
    read = read_first_packets(str(archive), classifier.n_alerts, fewest=1 if revises else classifier.n_alerts)
    tables, left_out, decoded = [], [read.left_out], []
    single = classifier.at_first_alert() if revises else classifier
    for used, model in {1: single, classifier.n_alerts: classifier}.items():
        objects = [(name, packets) for name, packets in read.objects.items() if len(packets) == used]
        answers = model.predict([packets for _, packets in objects], on_error="nan")
        failed = [(objects[number][0], reason) for number, reason in answers.failures.items()]
        left_out.append(pd.DataFrame(failed, columns=["objectId", "reason"]))
        answered = [number for number in range(len(objects)) if number not in answers.failures]
        chosen = [objects[number][1] for number in answered]
        if chosen:
            decoded.append(decode_objects(chosen, used, fields=packet_fields(classifier.features)))
            tables.append(_describe(chosen, decoded[-1]).join(_tabulate(model, np.asarray(answers)[answered])))
    table = pd.concat(tables) if tables else _describe([], pd.DataFrame()).join(_tabulate(classifier, []))
    ranges = classifier.card.get(FEATURE_RANGE, {})
    unusual = find_unusual_features(ranges, pd.concat(decoded)) if decoded else {}
    return Answers(table.sort_values("objectId", ignore_index=True), pd.concat(left_out, ignore_index=True), unusual)


def _describe(objects: Sequence[Sequence[Any]], decoded: pd.DataFrame) -> pd.DataFrame:
    """Tabulate the alerts behind the predictions; `decoded` comes from `twostamp.data.decode.decode_objects`."""
    columns = ["objectId", "n_alerts", "candid_1", "candid_2", "deltajd", "seen_before"]
    table = decoded.reindex(columns=["objectId", "deltajd"])
    table["n_alerts"] = [len(packets) for packets in objects]
    for place in (0, 1):
        candids = [find_candid(packets[place]) if place < len(packets) else pd.NA for packets in objects]
        table[f"candid_{place + 1}"] = pd.array(candids, dtype="Int64")
    table["seen_before"] = decoded.get("ndethist_1", pd.Series(dtype=float)).astype(float) > 1
    return table[columns].astype({"deltajd": float})


def _tabulate(classifier: "Classifier", probabilities: Any) -> pd.DataFrame:
    scores = np.reshape(probabilities, (-1, len(classifier.classes)))
    table = pd.DataFrame(scores, columns=list(classifier.classes))
    table.insert(0, "class", np.array(classifier.classes)[scores.argmax(axis=1)])
    return table
