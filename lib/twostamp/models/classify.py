"""Classify whatever packets one has: a folder or a tarball in, one answer an object out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from twostamp.alerts.first_packets import read_first_packets
from twostamp.alerts.packet import find_candidate
from twostamp.data.decode import decode_objects
from twostamp.data.feature_ranges import FEATURE_RANGE, find_unusual_features
from twostamp.models.architectures import SECOND_SEEN, input_shapes

if TYPE_CHECKING:
    from twostamp.models.classifier import Classifier


@dataclass(frozen=True)
class Answers:
    """What a classifier says of an archive.

    Attributes
    ----------
    table : DataFrame
        One row an object, sorted by objectId: n_alerts (1 or 2, that the answer rests on), candid_1, candid_2 and
        deltajd (days; missing without a second alert), seen_before (the packet counts earlier detections: the first
        alert here was not the object's first), class, and one probability a class.
    left_out : DataFrame
        source, member, objectId, reason: packets that could not be read, and objects without an answer.
    unusual : dict of str to float
        Share of the first alerts whose value lies outside the training set's, by feature; only large shares.
    """

    table: pd.DataFrame
    left_out: pd.DataFrame
    unusual: dict[str, float]


def classify_archive(classifier: "Classifier", archive: Path | str) -> Answers:
    """Pair the packets of an archive by object, and classify every object by its first alerts.

    A classifier for one alert or two answers at the second alert where there is one, otherwise at the first.

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
        There is nothing to read.
    """
    revises = SECOND_SEEN in input_shapes(classifier.variant, classifier.crop_size) and not classifier.first_alone
    read = read_first_packets(str(archive), classifier.n_alerts, fewest=1 if revises else classifier.n_alerts)
    tables, left_out, firsts = [], [read.left_out], []
    single = classifier.at_first_alert() if revises else classifier
    for used, model in {1: single, classifier.n_alerts: classifier}.items():
        objects = {name: packets for name, packets in read.objects.items() if len(packets) == used}
        answers = model.predict(objects.values(), on_error="nan")
        failed = [(name, answers.failures[number]) for number, name in enumerate(objects) if number in answers.failures]
        left_out.append(pd.DataFrame(failed, columns=["objectId", "reason"]))
        answered = [number for number in range(len(objects)) if number not in answers.failures]
        chosen = dict(list(objects.items())[number] for number in answered)
        tables.append(_make_table(model, chosen, np.asarray(answers)[answered]))
        firsts += [packets[:1] for packets in chosen.values()]
    table = pd.concat([table for table in tables if len(table)] or tables[:1])
    ranges = classifier.card.get(FEATURE_RANGE, {})
    unusual = find_unusual_features(ranges, decode_objects(firsts, 1)) if ranges and firsts else {}
    return Answers(table.sort_values("objectId", ignore_index=True), pd.concat(left_out, ignore_index=True), unusual)


def _make_table(classifier: "Classifier", objects: Mapping[str, Sequence[Any]], probabilities: Any) -> pd.DataFrame:
    rows = []
    for name, packets in objects.items():
        candidates = [find_candidate(packet) for packet in packets]
        row = {"objectId": name, "n_alerts": len(packets), "candid_1": packets[0]["candid"]}
        if len(packets) > 1:
            row |= {"candid_2": packets[1]["candid"], "deltajd": candidates[1]["jd"] - candidates[0]["jd"]}
        rows.append(row | {"seen_before": (candidates[0].get("ndethist") or 1) > 1})
    columns = ["objectId", "n_alerts", "candid_1", "candid_2", "deltajd", "seen_before"]
    table = pd.DataFrame(rows, columns=columns).astype({"candid_2": "Int64", "deltajd": float, "seen_before": bool})
    scores = np.reshape(probabilities, (len(rows), len(classifier.classes)))
    table["class"] = np.array(classifier.classes)[scores.argmax(axis=1)]
    return table.join(pd.DataFrame(scores, columns=list(classifier.classes)))
