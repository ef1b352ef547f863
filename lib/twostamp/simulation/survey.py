"""Write a simulated survey: objects in parallel, then one tarball a night."""

import io
import json
import os
import shutil
import tarfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from hashlib import sha256
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pandas as pd
from isal import igzip
from threadpoolctl import threadpool_limits
from tqdm.auto import tqdm

from twostamp.simulation.ageing import Ageing
from twostamp.simulation.packets import make_alerts
from twostamp.simulation.schedule import Nights, Target, make_plan
from twostamp.taxonomy import LABEL_COLUMNS
from twostamp.utils.files import replacing, write_file

_CHUNK = 48  # objects a task: memory stays below 50 MB a worker
_DUPLICATES = 2  # alerts that stand in a second tarball as well
_PART_FOLDER = ".parts"
_FINGERPRINT = "survey.json"
"""Parameters, a digest of this package's code, and the report of a finished survey."""

Place = tuple[str, int, str, int, int]  # night, candid, part file, offset, length


@dataclass(frozen=True)
class SurveyReport:
    """What a survey holds; ``reused`` when an identical finished one was there already."""

    folder: Path
    nights: int
    objects: int
    labelled: int
    alerts: int
    faulty: int
    duplicates: int
    size_bytes: int
    reused: bool = False


def write_survey(
    folder: Path,
    *,
    pairs_per_class: int,
    unlabelled_objects: int,
    nights: int,
    seed: int,
    workers: int | None = None,
    ageing: Ageing | None = None,
    known_share: float = 0.0,
) -> SurveyReport:
    """Write a simulated survey into a folder, or leave an identical finished one as it is.

    Parameters
    ----------
    folder : Path
        Gets ``ztf_public_YYYYMMDD.tar.gz`` (members ``<candid>.avro``), ``labels.csv`` (objectId, classALeRCE,
        subclassALeRCE) and ``truth.csv`` (the same for the unlabelled objects).
    pairs_per_class : int
        Labelled objects with two alerts or more in each class (AGN and VS get 1.3 times as many); a fifth as many again
        have a single alert.
    unlabelled_objects : int
        Objects over the whole sky that ZTF sees (Dec > -30 deg), with one to three alerts.
    nights : int
        Observing nights between 2018 June and 2021 August.
    seed : int
    workers : int, optional
        Processes; all processors by default. The files do not depend on it.
    ageing : Ageing, optional
        Makes a survey of several years that ages; pairs_per_class and nights are then those of a year.
    known_share : float
        Share of the objects that had sent alerts before the archive begins, as most of a night's variables have.

    Returns
    -------
    SurveyReport

    Raises
    ------
    ValueError
        If a number is below 1 (``unlabelled_objects``: 0), or there are more nights than days.
    FileExistsError
        If the folder holds tarballs that are not a simulated survey's.

    Notes
    -----
    A killed call leaves finished parts in ``.parts``, which the next identical call takes up. See the package's
    docstring for the model and what in it is an assumption.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     report = write_survey(Path(folder), pairs_per_class=1, unlabelled_objects=0, nights=2, seed=1, workers=1)
    >>> report.nights, report.labelled
    (2, 10)
    """
    if min(pairs_per_class, nights, unlabelled_objects + 1) < 1:
        raise ValueError("a survey needs pairs_per_class and nights of 1 or more, unlabelled_objects of 0 or more")
    folder = Path(folder)
    sizes = {"pairs_per_class": pairs_per_class, "unlabelled_objects": unlabelled_objects, "nights": nights}
    wanted: dict[str, Any] = sizes | {"seed": seed, "code": _digest_code()}
    if ageing:
        wanted["ageing"] = asdict(ageing)
    if known_share:
        wanted["known_share"] = known_share
    finished = _read_json(folder / _FINGERPRINT)
    if finished.get("survey") == wanted and finished["files"] == _measure(folder, finished["files"]):
        return SurveyReport(folder, reused=True, **finished["report"])
    _clear(folder, wanted, finished)
    plan, targets = make_plan(pairs_per_class, unlabelled_objects, nights, seed, ageing, known_share)
    workers = workers or os.cpu_count() or 1
    places = _simulate(folder / _PART_FOLDER, plan, targets, seed, workers)
    tarballs = _assemble(folder, places, workers)
    _write_labels(folder, targets)
    report = _report(plan, targets, tarballs)
    files = _measure(folder, [*tarballs, "labels.csv", "truth.csv"])
    record = {"survey": wanted, "report": report, "files": files}
    write_file(folder / _FINGERPRINT, json.dumps(record, indent=1))
    shutil.rmtree(folder / _PART_FOLDER)
    return SurveyReport(folder, **report)


def _digest_code() -> str:
    digest = sha256()
    for path in sorted([*Path(__file__).parent.glob("*.py"), *(Path(__file__).parents[1] / "alerts").glob("*.json")]):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _read_json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text()) if path.is_file() else {}


def _measure(folder: Path, names: Iterable[str]) -> dict[str, int]:
    """Sizes in bytes by name, of the files that are there."""
    return {name: (folder / name).stat().st_size for name in names if (folder / name).is_file()}


def _clear(folder: Path, wanted: dict[str, Any], finished: dict[str, Any]) -> None:
    """Make room: keep the finished parts of the same survey, remove another's files."""
    folder.mkdir(parents=True, exist_ok=True)
    parts, tarballs = folder / _PART_FOLDER, sorted(folder.glob("ztf_public_*.tar.gz"))
    if tarballs and not finished and not parts.is_dir():
        raise FileExistsError(f"{folder} holds alerts that are not a simulated survey: choose another folder")
    for path in [*tarballs, folder / _FINGERPRINT]:
        path.unlink(missing_ok=True)
    if _read_json(parts / _FINGERPRINT) != wanted:
        shutil.rmtree(parts, ignore_errors=True)
        parts.mkdir()
        write_file(parts / _FINGERPRINT, json.dumps(wanted))


def _run(work: Callable[[Any], Any], tasks: list[Any], workers: int, title: str) -> Iterator[Any]:
    """Results in the order of the tasks."""
    progress = partial(tqdm, total=len(tasks), desc=title, unit="task")
    if workers == 1:
        yield from progress(map(work, tasks))
        return
    with ProcessPoolExecutor(min(workers, len(tasks)), mp_context=get_context("spawn")) as pool:
        yield from progress(pool.map(work, tasks))


def _simulate(parts: Path, plan: Nights, targets: list[Target], seed: int, workers: int) -> list[Place]:
    tasks = [(parts / f"{start:06d}.bin", targets[start : start + _CHUNK]) for start in range(0, len(targets), _CHUNK)]
    found = _run(partial(_simulate_part, plan=plan, seed=seed), tasks, workers, "simulating")
    return [place for part in found for place in part]


def _simulate_part(task: tuple[Path, list[Target]], plan: Nights, seed: int) -> list[Place]:
    """Write the alerts of some objects into one file; its index comes last, as the sign that it is whole."""
    path, targets = task
    index = path.with_suffix(".json")
    if index.is_file():
        return [tuple(place) for place in json.loads(index.read_text())]
    places: list[Place] = []
    # Small matrix products wait for each other's threads, and their sums would depend on how many there are.
    with path.open("wb") as file, threadpool_limits(1):
        for target in targets:
            for alert in make_alerts(target, plan, seed):
                places.append((alert.night, alert.candid, path.name, file.tell(), len(alert.data)))
                file.write(alert.data)
    write_file(index, json.dumps(places))
    return places


def _assemble(folder: Path, places: list[Place], workers: int) -> dict[str, int]:
    """Write the tarballs; returns their sizes in bytes by name."""
    nights: dict[str, list[Place]] = defaultdict(list)
    for place in sorted(places, key=lambda place: place[1]):
        nights[place[0]].append(place)
    names = sorted(nights)
    for again in sorted(places)[5 :: max(1, len(places) // _DUPLICATES)][:_DUPLICATES]:
        nights[names[names.index(again[0]) - 1]].append(again)
    tasks = [(folder / f"ztf_public_{night}.tar.gz", nights[night]) for night in names]
    return dict(_run(_write_tarball, tasks, workers, "packing nights"))


def _write_tarball(task: tuple[Path, list[Place]]) -> tuple[str, int]:
    """One night, in the order of candid; the same alerts always give the same bytes."""
    path, places = task
    with (
        replacing(path) as part,
        part.open("wb") as raw,
        igzip.IGzipFile(filename="", fileobj=raw, mode="wb", compresslevel=0, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w|", format=tarfile.USTAR_FORMAT) as tar,
    ):
        for _, candid, source, offset, length in sorted(places, key=lambda place: place[1]):
            member = tarfile.TarInfo(f"{candid}.avro")
            member.size = length
            tar.addfile(member, io.BytesIO(_read_piece(path.parent / _PART_FOLDER / source, offset, length)))
    return path.name, path.stat().st_size


def _read_piece(part: Path, offset: int, length: int) -> bytes:
    with part.open("rb") as file:
        file.seek(offset)
        return file.read(length)


def _write_labels(folder: Path, targets: list[Target]) -> None:
    for name, labelled in (("labels.csv", True), ("truth.csv", False)):
        rows = [(t.object_id, t.class_name, t.subclass) for t in targets if t.labelled == labelled]
        write_file(folder / name, pd.DataFrame(sorted(rows), columns=LABEL_COLUMNS).to_csv(index=False))


def _report(plan: Nights, targets: list[Target], sizes: dict[str, int]) -> dict[str, Any]:
    visits = [visit for target in targets for visit in target.visits]
    return {
        "nights": len(plan.days),
        "objects": len(targets),
        "labelled": sum(target.labelled for target in targets),
        "alerts": len(visits),
        "faulty": sum(bool(visit.fault) for visit in visits),
        "duplicates": min(_DUPLICATES, len(visits)),
        "size_bytes": sum(sizes.values()),
    }
