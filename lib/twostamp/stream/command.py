"""The command ``twostamp tonight``: turns its options into a source, a scorer and a sink."""

import argparse
import sys
from contextlib import closing
from functools import partial
from pathlib import Path

from twostamp import stream
from twostamp.alerts.ztf_archive import parse_nights
from twostamp.data.sources import find_archive
from twostamp.params import ParameterError, Parameters, read_parameters
from twostamp.stream.exports import export_night, name_exports
from twostamp.stream.night import Night
from twostamp.stream.night_model import NightModel
from twostamp.stream.payloads import ArchiveSource, Source
from twostamp.stream.scorer import KINDS, READ, Scorer
from twostamp.stream.sink import FORGOTTEN, LOST, UNREAD, Sink
from twostamp.stream.tonight import score_stream, stopping_at_signals
from twostamp.utils.paths import find_parameters, outputs_root

FILE = "tonight.sqlite"
_REASONS = 10


def run_tonight(options: argparse.Namespace) -> int:
    """Score the alerts that the options name; see `twostamp.stream.options.add_options`.

    Returns
    -------
    int
        0 if all alerts are processed and the counts balance, 1 if a source is damaged or they do not.
    """
    params = read_parameters(find_parameters(options.run)) if options.run else None
    root = outputs_root() / (params.run_name if params else "real")
    source = _open_source(options, params)
    if options.model:
        model = NightModel.load(options.model, options.first_model, options.adapter)
    else:
        model = NightModel.of_run(root / "models", options.adapter)
    publish = None
    scorer = Scorer(model, options.programid)
    path = (options.output or root / "tonight") / FILE
    with open_sink(path, model, options.keep_class, options.keep_above) as sink, stopping_at_signals() as stop:
        if options.output_topic:
            sender = sink.meta["id"]
            publish = stream.Publisher(options.kafka, options.output_topic, _read_kafka(options), sender).publish
        newest = score_stream(source, scorer, sink, stop, publish)
        sink.forget(newest - options.remember)
        export_nights(sink, options.alerce_rules)
        print("\n".join(describe_account(sink)))
        faults = [*source.damage, *sink.check_account()]
    for fault in faults:
        print(fault, file=sys.stderr)
    return int(bool(faults))


def open_sink(path: Path, model: NightModel, keep_class: str = "SN", keep_above: float = 0.1) -> closing[Sink]:
    """Open a model's file of predictions, closed at the end of a ``with`` block; see `Sink`."""
    about = {"name": model.name, "version": model.version}
    meta = {"classes": list(model.classes), "model": about, "keep_class": keep_class, "keep_above": keep_above}
    return closing(Sink(path, meta))


def export_nights(sink: Sink, alerce_rules: bool = False) -> None:
    """Export the nights with new predictions, with a missing file, or last exported with another option."""
    folder = sink.path.parent
    for night, n in sink.count_nights().items():
        exported, state = sink.meta.get("exported", {}), [n, alerce_rules]
        if exported.get(night) != state or not all(path.exists() for path in name_exports(folder, night)):
            export_night(Night(sink.path, night), folder, alerce_rules)
            with sink.transaction():
                sink.set_meta("exported", exported | {night: state})


def describe_account(sink: Sink) -> list[str]:
    """Describe the outcomes of the alerts of a file, one line each."""
    counts = sink.account()
    parts = ", ".join(f"{counts[kind]} {kind}" for kind in KINDS if kind != READ)
    lines = [f"{counts[READ]} alerts read: {parts}"]
    lines += [f"  quarantined, {n}: {reason}" for reason, n in list(sink.reasons().items())[:_REASONS]]
    if counts[LOST]:
        lines.append(f"{counts[LOST]} alerts lost to retention: they were deleted before they could be read")
    if counts[FORGOTTEN]:
        lines.append(f"{counts[FORGOTTEN]} objects forgotten, whose alerts are too old")
    lines.append(f"{counts[UNREAD]} messages are unread; answers are in {sink.path}")
    return lines


def _read_kafka(options: argparse.Namespace) -> dict[str, str]:
    pairs = [text.partition("=") for text in options.kafka_option]
    return {key: value for key, _, value in pairs}


def _open_source(options: argparse.Namespace, params: Parameters | None) -> Source:
    nights = parse_nights(options.night) if options.night else []
    if options.kafka:
        registry, topics = stream.SchemaRegistry(options.schemas), partial(stream.name_topics, options.topic, nights)
        settings = {"follow": options.follow, "group": options.group, "options": _read_kafka(options)}
        return stream.KafkaSource(options.kafka, topics, registry, **settings)
    if options.archive:
        return ArchiveSource(options.archive, nights)
    if params is None:
        raise ParameterError("name a run, or an --archive of alerts")
    if not (nights or params.simulated):
        raise ParameterError(f"{options.run} has an archive of real nights: name one")
    archive = find_archive(params, outputs_root() / params.run_name / "data")
    if archive != params.archive and not Path(archive).exists():
        raise ParameterError(f"{options.run} has no alerts yet: get them with `twostamp run {options.run} --only 01`")
    return ArchiveSource(archive, nights)
