"""Alerts from ALeRCE's public API: the first two of each object, as the Avro packets that ZTF sent (thesis, 3.2).

``twostamp fetch labels.csv FOLDER`` fetches them for the objectIds of a file. The folders are by night,
``FOLDER/ztf_public_YYYYMMDD/<candid>.avro``, which notebook 01 reads like any other archive. An object's packets are
written only when all are present, so the packets on disk are always its *first* alerts. ``broker.jsonl`` lists the
finished objects, which are not requested again.
"""

import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pandas as pd
import requests
from tqdm.auto import tqdm

from twostamp.alerts.cutouts import read_cutouts
from twostamp.alerts.packet import CorruptPacket, PacketError, find_candidate, read_keys, read_packets
from twostamp.alerts.values import check_values
from twostamp.utils.dates import MJD, night_of
from twostamp.utils.files import write_file
from twostamp.utils.http import Answer, PoliteSession, RateLimit, explain, retry

PAGE_SIZE = 500
MOST_DETECTIONS = 10**6
JOURNAL = "broker.jsonl"
FAILURES = "broker_failures.csv"
RENAMED = "ALeRCE may have renamed the classifier or the class"


class AlerceAPIError(RuntimeError):
    """A response of ALeRCE's API that cannot be used; the message is one sentence."""


_UNREADABLE = (CorruptPacket, AlerceAPIError, requests.exceptions.JSONDecodeError)


class AlerceAPI:
    """ALeRCE's API for ZTF, through its own client, with limited rate and retries.

    Parameters
    ----------
    api_url, avro_url : str
        Servers of the catalogue and of the packets; those of the client by default.
    rate : float
        Requests a second, over all threads.
    timeout, attempts, first_pause
        See `twostamp.utils.http.PoliteSession`. An unreadable response is requested again too. Eight attempts take two
        minutes.
    """

    def __init__(
        self,
        api_url: str = "",
        avro_url: str = "",
        *,
        rate: float = 5.0,
        timeout: float = 30.0,
        attempts: int = 8,
        first_pause: float = 1.0,
    ) -> None:
        self.api_url, self.avro_url = api_url, avro_url
        self.attempts, self.first_pause = attempts, first_pause
        self.limit = RateLimit(rate)
        self._options: dict[str, Any] = {"timeout": timeout, "attempts": attempts, "first_pause": first_pause}
        self._local = threading.local()  # requests does not guarantee that threads can share a session

    @property
    def client(self) -> Any:
        """ALeRCE's client of this thread."""
        if not hasattr(self._local, "client"):
            from alerce.core import Alerce  # late: it loads matplotlib, which takes seconds

            client = Alerce()
            catalogue, packets = client.legacy_ztf_client, client.legacy_stamps_client
            catalogue.session = PoliteSession(self.limit, **self._options)
            packets.session = PoliteSession(self.limit, raise_errors=True, **self._options)
            if self.api_url:
                catalogue.load_config_from_object({"ZTF_API_URL": self.api_url.rstrip("/")})
            if self.avro_url:
                packets.load_config_from_object({"AVRO_URL": self.avro_url.rstrip("/")})
            self._local.client = client
        return self._local.client

    def find_objects(
        self, classifier: str, class_name: str, probability: float, limit: int, *, min_detections: int = 2
    ) -> pd.DataFrame:
        """Find objects that a classifier of ALeRCE assigns to a class, the most certain first.

        Parameters
        ----------
        classifier, class_name : str
            As ALeRCE names them, for instance ``stamp_classifier`` and ``SN``.
        probability : float
            Of the class, at least.
        limit : int
            Objects, at most.
        min_detections : int
            Of each object, at least; a detection need not have stamps.

        Returns
        -------
        DataFrame
            objectId, probability; each object once.

        Raises
        ------
        AlerceAPIError
            The API cannot be reached, or its response is not as expected.
        """
        found: dict[str, float | None] = {}
        with tqdm(total=limit, unit="object", desc=f"{classifier} {class_name}") as progress:
            for items in self._pages(classifier, class_name, probability, min_detections):
                # Without a total the last page is unknown: the search ends at a page that adds nothing new.
                new = {str(item["oid"]): item.get("probability") for item in items if str(item["oid"]) not in found}
                found |= new
                progress.update(len(new))
                if not new or len(found) >= limit:
                    break
        table = pd.DataFrame({"objectId": list(found), "probability": list(found.values())})
        return table.astype({"objectId": str, "probability": float})[:limit]

    def _pages(
        self, classifier: str, class_name: str, probability: float, min_detections: int
    ) -> Iterator[list[dict[str, Any]]]:
        query = {
            "classifier": classifier,
            "class_name": class_name,
            "probability": probability,
            "ndet": [min_detections, MOST_DETECTIONS],
            "order_by": "probability",
            "order_mode": "DESC",
            "page_size": PAGE_SIZE,
            "count": "false",
        }
        for page in count(1):
            try:
                answer = self._insist(partial(self._page, query | {"page": page}))
            except Exception as error:
                code = getattr(error, "code", 0)
                if page > 1 and code == 404:
                    return
                hint = f"; {RENAMED}" * (code in (400, 404, 422))
                raise AlerceAPIError(f"objects of {classifier}, class {class_name}: {explain(error)}{hint}") from error
            yield answer["items"]

    def _page(self, query: dict[str, Any]) -> dict[str, Any]:
        answer = self.client.query_objects(format="json", survey="ztf", **query)
        if not isinstance(answer, dict) or not isinstance(answer.get("items"), list):
            raise AlerceAPIError("the response has no list of objects")
        return answer

    def find_detections(self, object_id: str) -> list[tuple[float, int]]:
        """List an object's detections that have stamps, as (mjd, candid), in order of time."""
        answer = self._insist(lambda: self._detections(object_id))
        return sorted({(float(row["mjd"]), int(row["candid"])) for row in answer if row["has_stamp"]})

    def _detections(self, object_id: str) -> list[dict[str, Any]]:
        answer = self.client.query_detections(object_id, format="json", survey="ztf")
        if not isinstance(answer, list) or not all({"mjd", "candid", "has_stamp"} <= set(row) for row in answer):
            raise AlerceAPIError("the response is no list of detections")
        return answer

    def fetch_packet(self, object_id: str, candid: int) -> bytes:
        """Fetch one Avro packet, and check that it is the requested one, complete and readable."""
        return self._insist(
            lambda: _check_packet(self.client.get_avro(object_id, candid, survey="ztf"), object_id, candid)
        )

    def _insist(self, ask: Callable[[], Answer]) -> Answer:
        """Repeat a request whose complete response cannot be read; the session handles all other faults."""
        return retry(ask, _UNREADABLE, self.attempts, self.first_pause)


@dataclass
class FetchReport:
    """Outcome of the requested objects; each is in exactly one of the last four counts.

    ``done_before`` counts those that an earlier call finished; ``failures`` has objectId and reason.
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
        """Return the report as lines of text."""
        counts = {name: value for name, value in asdict(self).items() if name != "failures"}
        lines = [f"{name.replace('_', ' '):26}{value:10g}" for name, value in counts.items()]
        return lines + [f"  failed: {reason} ({n})" for reason, n in self.failures["reason"].value_counts().items()]


def fetch_first_two(api: AlerceAPI, object_ids: Iterable[str], folder: Path, *, workers: int = 4) -> FetchReport:
    """Fetch the packets of the first two alerts of every object, for `twostamp.alerts.extract_first_two`.

    A packet with a bad stamp is kept, so that the extraction can quarantine it, and the object's next alert is fetched.
    Failed objects are listed in ``broker_failures.csv``; the next call tries them again.

    Parameters
    ----------
    api : AlerceAPI
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
        for outcome in _in_threads(lambda name: _fetch_object(api, name, folder), left, workers):
            if "reason" not in outcome:
                journal.write(json.dumps(outcome) + "\n")
                journal.flush()
            outcomes.append(outcome)
            progress.update()
    report = _make_report(outcomes, before)
    report.requests, report.retries = api.limit.requests, api.limit.retries
    report.seconds = round(time.monotonic() - started, 1)
    write_file(folder / FAILURES, report.failures.to_csv(index=False))
    return report


def _in_threads(work: Callable[[str], Any], names: list[str], workers: int) -> Iterator[Any]:
    executor = ThreadPoolExecutor(max_workers=workers)
    try:
        for future in as_completed([executor.submit(work, name) for name in names]):
            yield future.result()
    finally:
        executor.shutdown(cancel_futures=True)  # an interrupt waits for the current requests, not for all that remain


def _read_journal(folder: Path) -> dict[str, dict[str, Any]]:
    """Read the finished objects whose packets still exist; ignore a line that a kill cut short."""
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


def _fetch_object(api: AlerceAPI, object_id: str, folder: Path) -> dict[str, Any]:
    """Fetch the packets of one object; return the error in place of raising it, unless the disk fails."""
    files: list[str] = []
    fetched: dict[str, bytes] = {}
    whole: list[float] = []
    try:
        for mjd, candid in api.find_detections(object_id):
            if len(whole) == 2:
                break
            if mjd in whole:  # the same exposure (D9)
                continue
            name = f"ztf_public_{night_of(mjd + MJD).replace('-', '')}/{candid}.avro"
            files.append(name)
            if (data := _read(folder / name, object_id, candid)) is None:
                data = fetched[name] = api.fetch_packet(object_id, candid)
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
    """Read a packet that an earlier call fetched; None if none can be used."""
    try:
        return _check_packet(path.read_bytes(), object_id, candid)
    except (FileNotFoundError, PacketError):
        return None


def _check_packet(data: bytes, object_id: str, candid: int) -> bytes:
    """Return an Avro packet if it is the requested one; raise `CorruptPacket` otherwise."""
    read_packets(data)  # the key can be read even from half a packet
    key = read_keys(data)[0]
    if (key.objectId, key.candid) != (object_id, candid):
        raise CorruptPacket("the server sent another packet")
    return data


def _is_whole(data: bytes) -> bool:
    """Whether the extraction will use a packet: its values are possible and its stamps whole."""
    packet = read_packets(data, history=False)[0]
    try:
        check_values(find_candidate(packet))
        read_cutouts(packet)
    except PacketError:
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
