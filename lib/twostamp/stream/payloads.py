"""What comes in: payloads with their position, from tarballs, folders and files (Kafka: `twostamp.stream.kafka`).

A position is (topic, partition, offset). An archive has them as well: its sources are topics of one partition, and the
offset counts their files, so that a killed run goes on where it stopped.
"""

import re
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import NamedTuple, Protocol

from twostamp.alerts.archive import ArchiveError, list_sources, read_members
from twostamp.alerts.tarballs import is_tarball
from twostamp.utils.fingerprints import describe_input


class Place(NamedTuple):
    """Where offsets count."""

    topic: str
    partition: int


@dataclass(frozen=True, slots=True)
class Payload:
    """Bytes as they came: an Avro container with one alert, seldom several.

    Attributes
    ----------
    place : Place
    offset : int
    data : bytes
    received : float
        Unix seconds.
    fault : str
        Why these bytes cannot be a container, where the source knows.
    """

    place: Place
    offset: int
    data: bytes
    received: float
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Extent:
    """What a source says of a place, which holds the offsets from `low` to before `high`.

    `content` tells one filling of the place from another. All that there is before `reached` has been given: offsets
    without a message, such as marks of transactions, are behind it too.
    """

    place: Place
    low: int
    high: int
    content: str = ""
    reached: int = 0


class Source(Protocol):
    """Where payloads come from.

    Attributes
    ----------
    damage : list of str
        What was found to be missing, in one sentence each; what could be read before it has been given.
    """

    damage: list[str]

    def read(self, progress: Mapping[Place, tuple[int, str]]) -> Iterator[Payload | Extent | None]:
        """Give payloads from the next offset of each place on, in order within it.

        Parameters
        ----------
        progress : mapping
            Place -> next offset, and the content that it counts in; a place of another content begins anew.

        Yields
        ------
        Payload, Extent or None
            An `Extent` before the first payload of a place and whenever it has grown; None where nothing is there yet.
        """


class ArchiveSource:
    """Tarballs, folders or Avro files of one archive, in the order of their names.

    Parameters
    ----------
    archive : str
        As for `twostamp.alerts.archive.list_sources`.
    nights : collection of str
        YYYYMMDD: tarballs with another date in their name are passed over; by default none is.

    Raises
    ------
    ArchiveError
        There is nothing to read.
    """

    def __init__(self, archive: str, nights: Collection[str] = ()) -> None:
        self.damage: list[str] = []
        self.sources = [
            source for source in list_sources(archive) if not nights or _find_night(source) in (*nights, "")
        ]
        if not self.sources:
            raise ArchiveError(f"{archive} holds no alerts of {', '.join(nights)}")

    def read(self, progress: Mapping[Place, tuple[int, str]]) -> Iterator[Payload | Extent | None]:
        """As `Source.read`; a source that has changed begins anew, and what is known of it counts as duplicates."""
        for source in self.sources:
            place, content = Place(source, 0), sha256(describe_input(source).encode()).hexdigest()[:16]
            done, before = progress.get(place, (0, ""))
            start, offset = done if content == before else 0, 0
            yield Extent(place, 0, start, content)
            try:
                for offset, member in enumerate(read_members(source), start=1):
                    if offset > start:
                        yield Payload(place, offset - 1, member.data, time.time(), member.fault)
            except ArchiveError as error:
                self.damage.append(str(error))


def _find_night(source: str) -> str:
    """Find the date in the name of a tarball; empty if there is none."""
    found = re.search(r"(?<!\d)20\d{6}(?!\d)", source.rpartition("/")[2]) if is_tarball(source) else None
    return found[0] if found else ""
