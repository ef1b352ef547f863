"""Alerts from ALeRCE's public API: the first two of each object, as the Avro packets that ZTF sent (thesis, 3.2).

``python -m twostamp.alerts.broker labels.csv FOLDER`` fetches them for the objectIds of a file. They are laid out by
night, ``FOLDER/ztf_public_YYYYMMDD/<candid>.avro``, which notebook 01 reads like any other archive. An object's packets
are written when it has all that it needs, so that what is on disk are always its *first* alerts; ``broker.jsonl`` says
which objects are done, and they are not asked for again.
"""

import argparse
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
import requests
from tqdm.auto import tqdm

from twostamp.alerts.packet import CorruptPacket, read_keys, read_packets
from twostamp.alerts.web import PoliteSession, RateLimit, explain

PAGE_SIZE = 500
MOST_DETECTIONS = 10**6

Answer = TypeVar("Answer")


class BrokerError(RuntimeError):
    """An answer of the broker that cannot be used; one sentence."""


class Broker:
    """ALeRCE's API for ZTF, through its own client, politely.

    Parameters
    ----------
    api_url, avro_url : str
        Servers of the catalogue and of the packets; those of the client by default.
    rate : float
        Requests a second, over all threads.
    timeout, attempts, first_pause
        See `twostamp.alerts.web.PoliteSession`. An answer that arrives whole and cannot be read is asked for again
        as well.
    """

    def __init__(
        self,
        api_url: str = "",
        avro_url: str = "",
        *,
        rate: float = 5.0,
        timeout: float = 30.0,
        attempts: int = 5,
        first_pause: float = 1.0,
    ) -> None:
        self.api_url, self.avro_url = api_url, avro_url
        self.attempts, self.first_pause = attempts, first_pause
        self.limit = RateLimit(rate)
        self._options: dict[str, Any] = {"timeout": timeout, "attempts": attempts, "first_pause": first_pause}
        self._local = threading.local()  # requests does not promise that threads can share a session

    @property
    def client(self) -> Any:
        """ALeRCE's client of this thread."""
        if not hasattr(self._local, "client"):
            from alerce.core import Alerce

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
        """Find objects by what a classifier of ALeRCE says of them, the most certain first.

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
        BrokerError
            The API cannot be asked, or does not answer as expected.
        """
        found: dict[str, float | None] = {}
        with tqdm(total=limit, unit="object", desc=f"{classifier} {class_name}") as progress:
            for items in self._pages(classifier, class_name, probability, min_detections):
                # An uncounted answer does not say whether there is more: the end is a page that brings nothing new.
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
                if page > 1 and getattr(error, "code", 0) == 404:
                    return
                raise BrokerError(f"objects of {classifier}, class {class_name}: {explain(error)}") from error
            yield answer["items"]

    def _page(self, query: dict[str, Any]) -> dict[str, Any]:
        answer = self.client.query_objects(format="json", survey="ztf", **query)
        if not isinstance(answer, dict) or not isinstance(answer.get("items"), list):
            raise BrokerError("the answer has no list of objects")
        return answer

    def find_detections(self, object_id: str) -> list[tuple[float, int]]:
        """List an object's detections that have stamps, as (mjd, candid), in the order of time."""
        answer = self._insist(
            lambda: _check_detections(self.client.query_detections(object_id, format="json", survey="ztf"))
        )
        return sorted({(float(row["mjd"]), int(row["candid"])) for row in answer if row["has_stamp"]})

    def fetch_packet(self, object_id: str, candid: int) -> bytes:
        """Fetch one Avro packet and make sure that it is the one asked for, whole and readable."""
        return self._insist(
            lambda: check_packet(self.client.get_avro(object_id, candid, survey="ztf"), object_id, candid)
        )

    def _insist(self, ask: Callable[[], Answer]) -> Answer:
        """Ask again when an answer came whole and cannot be read; the session sees to all other faults."""
        for attempt in range(self.attempts - 1):
            try:
                return ask()
            except (CorruptPacket, BrokerError, requests.exceptions.JSONDecodeError):
                time.sleep(self.first_pause * 2**attempt)
        return ask()


def _check_detections(answer: Any) -> list[dict[str, Any]]:
    if not isinstance(answer, list) or not all({"mjd", "candid", "has_stamp"} <= set(row) for row in answer):
        raise BrokerError("the answer is no list of detections")
    return answer


def check_packet(data: bytes, object_id: str, candid: int) -> bytes:
    """Return an Avro packet if it is the one that was asked for, and raise `CorruptPacket` if it is not."""
    read_packets(data)  # a key can be read from half a packet
    key = read_keys(data)[0]
    if (key.objectId, key.candid) != (object_id, candid):
        raise CorruptPacket("the server sent another packet")
    return data


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line: 0 if no object failed, 1 if some did."""
    from twostamp.alerts.fetch import fetch_first_two

    parser = argparse.ArgumentParser(prog="python -m twostamp.alerts.broker", description=__doc__.splitlines()[0])
    parser.add_argument("labels", type=Path, help="CSV with a column objectId")
    parser.add_argument("folder", type=Path, help="where the packets go")
    parser.add_argument("--rate", type=float, default=5.0, help="requests a second (5)")
    parser.add_argument("--workers", type=int, default=4, help="requests under way at once (4)")
    parser.add_argument("--api-url", default="", help="another server of ALeRCE's ZTF API")
    parser.add_argument("--avro-url", default="", help="another server of its packets")
    options = parser.parse_args(arguments)
    table = pd.read_csv(options.labels, dtype=str)
    if "objectId" not in table:
        parser.error(f"{options.labels} has no column objectId")
    broker = Broker(options.api_url, options.avro_url, rate=options.rate)
    report = fetch_first_two(broker, table["objectId"].dropna(), options.folder, workers=options.workers)
    print("\n".join(report.lines()))
    return int(report.failed > 0)


if __name__ == "__main__":
    sys.exit(main())
