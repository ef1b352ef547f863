"""Sources: payloads with their position, from tarballs, folders and files (Kafka: `twostamp.stream.kafka`).

A position is (topic, partition, offset). In an archive, each source is a topic of one partition, and the offset counts
its files. A killed run can therefore resume.
"""

import re
import time
import zlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import NamedTuple, Protocol

from twostamp.alerts.archive import ArchiveError, list_sources, read_members
from twostamp.utils.fingerprints import describe_input


class Place(NamedTuple):
    """Sequence in which offsets count: a partition of a topic."""

    topic: str
    partition: int


@dataclass(frozen=True, slots=True)
class Payload:
    """Received bytes: an Avro container with one alert, rarely several.

    Attributes
    ----------
    place : Place
    offset : int
    data : bytes
    received : float
        Unix seconds.
    fault : str
        Reason why these bytes cannot be a container, if the source can tell.
    """

    place: Place
    offset: int
    data: bytes
    received: float
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Extent:
    """State of a place, which holds the offsets from `low` up to, but not including, `high`.

    `content` distinguishes one content of the place from a later one. All messages before `reached` have been yielded;
    offsets without a message, for example transaction markers, are passed too.
    """

    place: Place
    low: int
    high: int
    content: str = ""
    reached: int = 0


class Source(Protocol):
    """A source of payloads.

    Attributes
    ----------
    damage : list of str
        Missing or damaged data, one sentence each; everything readable before it has been yielded.
    """

    damage: list[str]

    def read(self, progress: Mapping[Place, tuple[int, str]]) -> Iterator[Payload | Extent | None]:
        """Yield payloads from the next offset of each place on, in order within it.

        Parameters
        ----------
        progress : mapping
            Place -> next offset, and its content; a place with another content restarts.

        Yields
        ------
        Payload, Extent or None
            An `Extent` before the first payload of a place and whenever it has grown; None while there is nothing to
            read.
        """


class ArchiveSource:
    """Tarballs, folders or Avro files of one archive, sorted by name.

    Parameters
    ----------
    archive : str
        As for `twostamp.alerts.archive.list_sources`.
    nights : collection of str
        YYYYMMDD: tarballs and folders with another date in their name are skipped; by default none.

    Raises
    ------
    ArchiveError
        The archive has nothing to read.
    """

    def __init__(self, archive: str, nights: Collection[str] = ()) -> None:
        self.damage: list[str] = []
        self.sources = [
            source for source in list_sources(archive) if not nights or _find_night(source) in (*nights, "")
        ]
        if not self.sources:
            raise ArchiveError(f"{archive} holds no alerts of {', '.join(nights)}")

    def read(self, progress: Mapping[Place, tuple[int, str]]) -> Iterator[Payload | Extent | None]:
        """Read as `Source.read`; a changed source restarts, and its known alerts count as duplicates."""
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


def name_payload(payload: Payload) -> str:
    """Name a file for a payload by its source and content, or by its offset if it is empty."""
    topic, partition = payload.place
    plain = re.sub(r"[^A-Za-z0-9._-]", "_", topic.rstrip("/").rpartition("/")[2])
    mark = "" if plain == topic else f".{zlib.crc32(topic.encode()):08x}"
    content = sha256(payload.data).hexdigest()[:16] if payload.data else payload.offset
    return f"{plain}{mark}.{partition}.{content}.avro"


def _find_night(source: str) -> str:
    """Find the date in the name of a tarball, folder or file; empty if there is none."""
    found = re.search(r"(?<!\d)20\d{6}(?!\d)", source.rpartition("/")[2])
    return found[0] if found else ""
