"""Two-Stamp: fetch alerts, run the notebooks, and share their results."""

import argparse
import sys
from pathlib import Path
from typing import Any

import twostamp
from twostamp import alerts, data, models, pipeline, stream, utils
from twostamp.params import ParameterError, Parameters, read_parameters

INPUT_ERRORS = (ValueError, RuntimeError, OSError, ImportError, utils.MissingExtraError)
"""Errors that a command prints as one sentence: bad parameters or files, no network, no Java, a missing extra."""


def main(arguments: list[str] | None = None) -> int:
    """Run a command line.

    Returns
    -------
    int
        0 on success, 1 if a notebook stopped or some objects or nights failed, 2 if the input is refused.
    """
    options = _make_parser().parse_args(arguments)
    try:
        with utils.naming_extras():
            utils.show_log()
            return options.command(options) or 0
    except INPUT_ERRORS as error:
        print(utils.explain(error), file=sys.stderr)
        return 2


def _init(options: argparse.Namespace) -> None:
    pipeline.copy_study(options.folder)
    print(f"{options.folder} has notebooks/ and params/: cd {options.folder} && twostamp run quick")


def _run(options: argparse.Namespace) -> int:
    params = _read(options.run)
    utils.require_java()
    notebooks = pipeline.find_notebooks(
        options.only or list(pipeline.EXTENDED if options.extend else pipeline.STANDS_ON)
    )
    if not params.simulated:  # before the notebooks, so that failed downloads are tried again
        _, labels = data.prepare_inputs(params, _folder(params) / "data")
        data.read_labels(labels)  # refuse bad labels before anything runs
    try:
        manifest = pipeline.run_notebooks(params, notebooks, force=options.force)
    except pipeline.NotebookError as error:
        print(utils.explain(error), file=sys.stderr)
        return 1
    print(pipeline.summarise_run(params, manifest))
    return 0


def _classify(options: argparse.Namespace) -> int:
    classifier = models.load_classifier(options.model or models.PRETRAINED, options.adapter)
    answers = classifier.predict_folder(options.archive)
    utils.write_table(answers.table, options.output)
    print(f"{len(answers.table)} objects of {options.archive} are in {options.output}")
    if len(answers.table):
        print(answers.table["class"].value_counts().to_string())
    for name, share in answers.unusual.items():
        print(f"warning: {share:.0%} of the first alerts have {name} outside the training set's range", file=sys.stderr)
    if answers.left_out.empty:
        return 0
    path = options.output.with_name(f"{options.output.stem}.left_out.csv")
    utils.write_table(answers.left_out, path)
    print(f"{len(answers.left_out)} packets were left out, for the reasons in {path}", file=sys.stderr)
    return 1


def _adapt(options: argparse.Namespace) -> None:
    folder = options.model or models.PRETRAINED
    adapter = models.fit_adapter(models.load_classifier(folder), options.archive)
    path = options.output or folder / models.ADAPTER
    adapter.save(path)
    print(f"{path} has an adapter to {adapter.alerts} objects of {adapter.night}: name it with --adapter")
    print("estimated shares: " + ", ".join(f"{name} {share:.2f}" for name, share in adapter.shares.items()))


def _tonight(options: argparse.Namespace) -> int:
    return stream.run_tonight(options)


def _pretrain(options: argparse.Namespace) -> None:
    classifier = pipeline.make_pretrained(_read(options.run), options.folder)
    print(f"{options.folder} has a classifier {classifier.variant}; its card.json has its scores")


def _report(options: argparse.Namespace) -> None:
    path = pipeline.write_report(utils.outputs_root() / options.run)
    print(f"{path} ({path.stat().st_size / 2**20:.1f} MB)")


def _reference(options: argparse.Namespace) -> None:
    print(f"{options.run}'s results are in {pipeline.copy_reference(options.run)}")


def _claims(options: argparse.Namespace) -> None:
    print(f"{pipeline.write_claims(options.run, options.page)} has the claims of {options.run}")


def _plan(options: argparse.Namespace) -> None:
    # A plan comes before the archive, so neither archive nor labels need exist.
    params = read_parameters(utils.find_parameters(options.run), without=("archive", "labels"))
    n_objects, source = pipeline.count_training_objects(params)
    rates, own = pipeline.read_rates(), pipeline.describe_run(params)
    print("The search alone, without the other notebooks.")
    print(f"{n_objects} training objects ({source}), {params.epochs} epochs; processors: {own.name}, fp32")
    print(pipeline.plan_trials(params, rates, n_objects, own).round(2).to_string(index=False))
    print()
    print(pipeline.compare_machines(params, rates, n_objects).round(2).to_string(index=False))


def _fetch(options: argparse.Namespace) -> int:
    if options.folder:
        broker = alerts.AlerceAPI(options.api_url, options.avro_url, rate=options.rate)
        objects = _read_objects(options.source)
        report = alerts.fetch_first_two(broker, objects, options.folder, workers=options.workers)
        print("\n".join(report.lines()))
        return int(report.failed > 0)
    if options.source.endswith(".csv"):
        raise ParameterError(f"{options.source}: a CSV needs an output folder: twostamp fetch {options.source} FOLDER")
    params = _read(options.source)
    if params.simulated:
        raise ParameterError(f"{options.source}: a simulated run has nothing to fetch; notebook 01 makes its survey")
    archive, labels = data.prepare_inputs(params, _folder(params) / "data")
    print(data.describe_sources(params, _folder(params) / "data"))
    print(f"labels: {labels}\nalerts: {archive}")
    return 0


def _download(options: argparse.Namespace) -> int:
    objects = frozenset(_read_objects(options.objects)) if options.objects else None
    archive = alerts.ZTFArchive(options.base_url) if options.base_url else alerts.ZTFArchive()
    report = alerts.download_nights(archive, alerts.parse_nights(options.nights), options.folder, objects=objects)
    print("\n".join(report.lines()))
    return int(bool(report.failed))


def _release(options: argparse.Namespace) -> None:
    params = _read(options.run)
    folder = data.write_dataset(params, _folder(params))
    print(f"{len(data.open_dataset(folder))} labelled pairs are in {folder}; README.md describes them")


def _read(run: str) -> Parameters:
    return read_parameters(utils.find_parameters(run))


def _folder(params: Parameters) -> Path:
    return utils.outputs_root() / params.run_name


def _read_objects(path: str) -> list[str]:
    if not (names := [name for name in data.read_column(path, "objectId") if name]):
        raise ValueError(f"{path} names no object")
    return names


def _make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="twostamp", description=__doc__)
    parser.add_argument("--version", action="version", version=twostamp.__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    run = argparse.ArgumentParser(add_help=False)
    run.add_argument("run", metavar="RUN", help="a run, for example quick (params/quick.yaml), or FILE.yaml")

    def add(name: str, command: object, text: str, **options: Any) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text, **options)
        added.set_defaults(command=command)
        return added

    init = add("init", _init, "create a folder with the notebooks and parameter files, to run and to edit")
    init.add_argument("folder", metavar="DIR", type=Path)
    for name, text in (
        ("run", "execute notebooks 00-09, those of the thesis, into outputs/RUN"),
        ("extend", "execute notebooks 10 and on, beyond the thesis, on a run's data"),
    ):
        executing = add(name, _run, text, parents=[run])
        executing.set_defaults(extend=name == "extend")
        executing.add_argument("--force", action="store_true", help="run finished notebooks again")
        executing.add_argument(
            "--only", nargs="+", metavar="NOTEBOOK", help="only these, by name or number: 04_model_search or 04"
        )
    text = "classify the packets of a folder or tarball, one prediction per object, with the shipped classifier"
    classify = add("classify", _classify, text)
    classify.add_argument("archive", metavar="FOLDER_OR_TARBALL", help="Avro packets, or a URL")
    classify.add_argument(
        "-o", "--output", type=Path, required=True, metavar="FILE", help="output file, .csv or .parquet"
    )
    classify.add_argument("--adapter", default="", metavar="FILE", help="of twostamp adapt, for a survey that has aged")
    text = "adapt a classifier, without labels, to a night or month on which the survey is older"
    adapt = add("adapt", _adapt, text)
    adapt.add_argument("archive", metavar="FOLDER_OR_TARBALL", help="of that night's Avro packets, or a URL")
    adapt.add_argument("-o", "--output", type=Path, metavar="FILE", help="adapter.json beside the model by default")
    for command in (classify, adapt):
        text = "another classifier, for example outputs/quick/models/stacked"
        command.add_argument("--model", type=Path, metavar="FOLDER", help=text)
    text = "score a night as it arrives: predict from an object's first alert, revise at its second"
    stream.add_options(add("tonight", _tonight, text))
    for name, report, text in (
        ("report", _report, "write outputs/NAME/report.html, one page with all results of a run"),
        ("reference", _reference, "copy a run's figures, tables and ledger to outputs/reference"),
    ):
        add(name, report, text).add_argument("run", metavar="NAME", help="name of a run, for example quick")
    text = "copy a run's claims to outputs/reference/claims, and write their page"
    claims = add("claims", _claims, text)
    claims.add_argument("run", metavar="NAME", help="name of a run, for example decide")
    claims.add_argument("page", metavar="FILE", type=Path, help="the page, for example docs/claims.md")
    text = "train a run's networks, and save the mean of the best one's repetitions, as for the shipped classifier"
    pretrain = add("pretrain", _pretrain, text, parents=[run])
    pretrain.add_argument("folder", metavar="FOLDER", type=Path, help="folder of the classifier")
    add("plan", _plan, "estimate trials, hours and cost of a run's search on several machines", parents=[run])
    add("release", _release, "write a run's pairs as a data set to publish: outputs/RUN/dataset", parents=[run])
    _add_fetch(add("fetch", _fetch, "assemble the labels and fetch the alerts of a run, or of the objects of a CSV"))
    _add_download(add("download", _download, "download nights of ZTF's public archive; resumes if interrupted"))
    return parser


def _add_fetch(fetch: argparse.ArgumentParser) -> None:
    fetch.add_argument("source", help="a run or FILE.yaml; with FOLDER, a CSV with a column objectId")
    fetch.add_argument("folder", nargs="?", type=Path, metavar="FOLDER", help="output folder for a CSV's objects")
    fetch.add_argument("--rate", type=float, default=5.0, help="requests per second for a CSV (%(default)g)")
    fetch.add_argument("--workers", type=int, default=4, help="parallel requests (%(default)s)")
    fetch.add_argument("--api-url", default="", help="another server of ALeRCE's ZTF API")
    fetch.add_argument("--avro-url", default="", help="another server of its packets")


def _add_download(download: argparse.ArgumentParser) -> None:
    download.add_argument("nights", help="YYYYMMDD, ranges YYYYMMDD-YYYYMMDD, or a list separated by commas")
    download.add_argument("folder", type=Path, metavar="FOLDER", help="output folder")
    download.add_argument("--objects", metavar="CSV", help="keep only packets of the objects in its column objectId")
    download.add_argument("--base-url", default="", help="another archive than ZTF's")
