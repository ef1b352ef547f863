"""The packets of the first two alerts of many objects, from a broker into an archive on disk (thesis, section 3.2)."""

import json
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import requests
from tqdm.auto import tqdm

from twostamp.alerts.broker import Broker, check_packet
from twostamp.alerts.packet import BadStamp, PacketError, read_packets
from twostamp.alerts.passes import night_of, read_cutouts
from twostamp.alerts.web import explain, write_file

JOURNAL = "broker.jsonl"
FAILURES = "broker_failures.csv"
MJD = 2400000.5


@dataclass
class FetchReport:
    """What became of the objects asked for; every one is in exactly one of the last four counts.

    ``done_before`` are those of them that an earlier call had finished; ``failures`` has objectId and reason.
    """

    objects: int = 0
    done_before: int = 0
    packets: int = 0
    packets_with_a_bad_stamp: int = 0
    requests: int = 0
    retries: int = 0
    seconds: float = 0.0
    with_two_alerts: int = 0
    with_one_alert: int = 0
    without_a_whole_alert: int = 0
    failed: int = 0
    failures: pd.DataFrame = field(default_factory=lambda: pd.DataFrame({"objectId": [], "reason": []}, dtype=str))

    def lines(self) -> list[str]:
        """Lines to print."""
        counts = {name: value for name, value in asdict(self).items() if name != "failures"}
        reasons = self.failures["reason"].value_counts()
        return [f"{name.replace('_', ' '):26}{value:10g}" for name, value in counts.items()] + [
            f"  failed: {reason} ({n})" for reason, n in reasons.items()
        ]


def fetch_first_two(broker: Broker, object_ids: Iterable[str], folder: Path, *, workers: int = 4) -> FetchReport:
    """Fetch the packets of the first two alerts of every object, by the rule of `twostamp.extract.extract_first_two`.

    A packet with a bad stamp is kept, so that the extraction can put it in the quarantine, and the object's next alert
    is fetched. Objects that failed are listed in ``broker_failures.csv`` and tried again by the next call.

    Parameters
    ----------
    broker : Broker
    object_ids : iterable of str
    folder : Path
        Archive of the packets.
    workers : int
        Threads.

    Returns
    -------
    FetchReport
    """
    started = time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    wanted = list(dict.fromkeys(object_ids))
    done = _read_journal(folder)
    outcomes = [done[name] for name in wanted if name in done]
    before = len(outcomes)
    left = [name for name in wanted if name not in done]
    with (folder / JOURNAL).open("a") as journal, tqdm(total=len(wanted), initial=before, unit="object") as progress:
        for outcome in _in_threads(lambda name: _fetch_object(broker, name, folder), left, workers):
            if "reason" not in outcome:
                journal.write(json.dumps(outcome) + "\n")
                journal.flush()
            outcomes.append(outcome)
            progress.update()
    report = _make_report(outcomes, before)
    report.requests, report.retries = broker.limit.requests, broker.limit.retries
    report.seconds = round(time.monotonic() - started, 1)
    write_file(folder / FAILURES, report.failures.to_csv(index=False).encode())
    return report


def _in_threads(work: Callable[[str], Any], names: list[str], workers: int) -> Iterator[Any]:
    executor = ThreadPoolExecutor(max_workers=workers)
    try:
        for future in as_completed([executor.submit(work, name) for name in names]):
            yield future.result()
    finally:
        executor.shutdown(cancel_futures=True)  # an interrupt waits for what is under way, not for all that is left


def _read_journal(folder: Path) -> dict[str, dict[str, Any]]:
    """Objects that are done and whose packets are still there; a line cut by a kill counts for nothing."""
    path, done = folder / JOURNAL, {}
    if not path.exists():
        return {}
    text = path.read_text()
    for line in text.splitlines():
        try:
            outcome = json.loads(line)
            if all((folder / name).exists() for name in outcome["files"]):
                done[outcome["objectId"]] = outcome
        except (ValueError, KeyError, TypeError):
            continue
    if text and not text.endswith("\n"):
        with path.open("a") as journal:
            journal.write("\n")
    return done


def _fetch_object(broker: Broker, object_id: str, folder: Path) -> dict[str, Any]:
    """Fetch what one object needs; says what went wrong instead of raising, but for the disk."""
    files: list[str] = []
    fetched: dict[str, bytes] = {}
    whole: list[float] = []
    try:
        for mjd, candid in broker.find_detections(object_id):
            if len(whole) == 2:
                break
            if mjd in whole:  # the same exposure (D9)
                continue
            name = f"ztf_public_{night_of(mjd + MJD).replace('-', '')}/{candid}.avro"
            files.append(name)
            if (data := _read(folder / name, object_id, candid)) is None:
                data = fetched[name] = broker.fetch_packet(object_id, candid)
            if _is_whole(data):
                whole.append(mjd)
    except Exception as error:
        if isinstance(error, OSError) and not isinstance(error, requests.RequestException):
            raise
        return {"objectId": object_id, "reason": explain(error)}
    for name, data in fetched.items():
        write_file(folder / name, data)
    return {"objectId": object_id, "files": files, "whole": len(whole)}


def _read(path: Path, object_id: str, candid: int) -> bytes | None:
    """Read a packet that an earlier call has fetched; None if there is none that can be used."""
    try:
        return check_packet(path.read_bytes(), object_id, candid)
    except (FileNotFoundError, PacketError):
        return None


def _is_whole(data: bytes) -> bool:
    try:
        read_cutouts(read_packets(data)[0])
    except BadStamp:
        return False
    return True


def _make_report(outcomes: list[dict[str, Any]], done_before: int) -> FetchReport:
    failures = [(o["objectId"], o["reason"]) for o in outcomes if "reason" in o]
    fetched = [o for o in outcomes if "reason" not in o]
    whole = [o["whole"] for o in fetched]
    return FetchReport(
        objects=len(outcomes),
        done_before=done_before,
        packets=sum(len(o["files"]) for o in fetched),
        packets_with_a_bad_stamp=sum(len(o["files"]) - o["whole"] for o in fetched),
        with_two_alerts=whole.count(2),
        with_one_alert=whole.count(1),
        without_a_whole_alert=whole.count(0),
        failed=len(failures),
        failures=pd.DataFrame(failures, columns=["objectId", "reason"]).sort_values("objectId", ignore_index=True),
    )
