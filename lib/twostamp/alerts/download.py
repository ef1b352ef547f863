"""Nights of ZTF's public alert archive (thesis, section 3.1.1): whole tarballs, or the packets of some objects alone.

``python -m twostamp.alerts.download 20180601-20180607 FOLDER`` downloads nights, and goes on where it stopped. With
``--objects labels.csv`` a night is read as it arrives and only those objects' packets are kept: a year of nights takes
terabytes, the first alerts of a label file some gigabytes. Notebook 01 reads either.
"""

import argparse
import hashlib
import io
import re
import shutil
import sys
import time
from collections.abc import Container, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import requests
import urllib3
from tqdm.auto import tqdm

from twostamp.alerts.archive import ArchiveError, read_tarball
from twostamp.alerts.packet import PacketError, read_keys
from twostamp.alerts.resume import PUBLIC_ARCHIVE, Archive, NightError, download_file
from twostamp.alerts.web import explain

LOST = (requests.RequestException, urllib3.exceptions.HTTPError)  # a stream that breaks is urllib3's to report


@dataclass
class DownloadReport:
    """What became of the nights asked for; every one is in exactly one of the first four.

    ``checked`` nights had an entry in the archive's list of checksums; ``resumed_bytes`` were there from before.
    """

    downloaded: list[str] = field(default_factory=list)
    done_before: list[str] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    checked: int = 0
    bytes: int = 0
    resumed_bytes: int = 0

    def lines(self) -> list[str]:
        """Lines to print."""
        counts = {"downloaded": len(self.downloaded), "of them checked": self.checked}
        counts |= {"there before": len(self.done_before), "not in the archive": len(self.absent)}
        counts |= {"failed": len(self.failed)}
        lines = [f"{name:20}{n:8d}" for name, n in counts.items()]
        lines.append(f"{self.bytes / 1e6:.1f} MB, after {self.resumed_bytes / 1e6:.1f} MB of an earlier call")
        return lines + [f"  {night}: {reason}" for night, reason in self.failed.items()]


def parse_nights(text: str) -> list[str]:
    """Read nights and ranges of nights (UTC dates, both ends included).

    Examples
    --------
    >>> parse_nights("20180601-20180603,2020-02-29")
    ['20180601', '20180602', '20180603', '20200229']
    >>> parse_nights("20180631")
    Traceback (most recent call last):
    ValueError: '20180631' is no night: write YYYYMMDD, or YYYYMMDD-YYYYMMDD for a range
    """
    nights: set[str] = set()
    for part in re.split(r"[,\s]+", text.strip()):
        match = re.fullmatch(r"(\d{8})(?:-(\d{8}))?", re.sub(r"(\d{4})-(\d\d)-(\d\d)", r"\1\2\3", part))
        try:
            first, last = (pd.to_datetime(day, format="%Y%m%d") for day in (match[1], match[2] or match[1]))  # type: ignore[index]
        except (TypeError, ValueError):
            raise ValueError(f"{part!r} is no night: write YYYYMMDD, or YYYYMMDD-YYYYMMDD for a range") from None
        nights.update(pd.date_range(first, last).strftime("%Y%m%d"))
    return sorted(nights)


def download_nights(
    archive: Archive, nights: list[str], folder: Path, *, objects: Container[str] | None = None
) -> DownloadReport:
    """Download nights that are not there yet, one after another.

    Parameters
    ----------
    archive : Archive
    nights : list of str
        UTC dates YYYYMMDD, see `parse_nights`.
    folder : Path
        Gets ``ztf_public_YYYYMMDD.tar.gz``, or with `objects` folders ``ztf_public_YYYYMMDD`` of packets. A file has
        its name only once it is complete and, where there is a checksum, right.
    objects : container of str, optional
        objectIds whose packets are kept; all by default.

    Returns
    -------
    DownloadReport

    Raises
    ------
    requests.RequestException
        If the list of checksums cannot be asked for: then the archive is not there. A night that fails is reported.
    """
    folder.mkdir(parents=True, exist_ok=True)
    report = DownloadReport()
    checksums = archive.read_checksums()
    for night in tqdm(nights, unit="night"):
        path = folder / f"ztf_public_{night}.tar.gz"
        kept = folder / f"ztf_public_{night}"
        if path.exists() or (objects is not None and kept.exists()):
            report.done_before.append(night)
            continue
        try:
            if objects is None:
                received, resumed = download_file(archive, path, checksums.get(path.name, ""))
                report.bytes += received
                report.resumed_bytes += resumed
            else:
                _sift(archive, path.name, kept, objects, checksums.get(path.name, ""), report)
        except FileNotFoundError:
            report.absent.append(night)
        except (NightError, ArchiveError, *LOST) as error:
            report.failed[night] = explain(error)
        else:
            report.downloaded.append(night)
            report.checked += path.name in checksums
    return report


class _Hashed(io.RawIOBase):
    """A stream that is hashed as it is read."""

    def __init__(self, stream: Any) -> None:
        self.stream, self.digest, self.size = stream, hashlib.md5(), 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        block = self.stream.read(len(buffer))
        buffer[: len(block)] = block
        self.digest.update(block)
        self.size += len(block)
        return len(block)


def _sift(
    archive: Archive, name: str, folder: Path, objects: Container[str], checksum: str, report: DownloadReport
) -> None:
    """Keep the packets of some objects of a night as it streams by; the night is a folder once it is complete."""
    hidden = folder.with_name(f".{folder.name}.part")
    for attempt in range(archive.attempts):
        shutil.rmtree(hidden, ignore_errors=True)
        hidden.mkdir()
        try:
            with archive.open(name) as response:
                stream = _Hashed(response.raw)
                for member, data in _of_objects(stream, name, objects):
                    (hidden / member).write_bytes(data)
            if checksum and stream.digest.hexdigest() != checksum:
                raise ArchiveError("the checksum is not that of the archive's list")
            report.bytes += stream.size
            hidden.rename(folder)
            return
        except (ArchiveError, *LOST):
            if attempt + 1 == archive.attempts:
                raise
            time.sleep(archive.first_pause * 2**attempt)
        finally:
            shutil.rmtree(hidden, ignore_errors=True)


def _of_objects(stream: Any, name: str, objects: Container[str]) -> Iterator[tuple[str, bytes]]:
    for member in read_tarball(stream, name):
        try:
            wanted = any(key.objectId in objects for key in read_keys(member.data))
        except PacketError:
            wanted = True  # nobody can say whose it is: the extraction puts it in the quarantine
        if wanted:
            yield Path(member.name).name, member.data


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line: 0 if every night is there or absent from the archive, 1 if one failed."""
    parser = argparse.ArgumentParser(prog="python -m twostamp.alerts.download", description=__doc__.splitlines()[0])
    parser.add_argument("nights", help="YYYYMMDD, ranges YYYYMMDD-YYYYMMDD, or a list of them with commas")
    parser.add_argument("folder", type=Path, help="where the nights go")
    parser.add_argument("--objects", type=Path, help="CSV with a column objectId: keep the packets of these alone")
    parser.add_argument("--base-url", default=PUBLIC_ARCHIVE, help=f"another archive ({PUBLIC_ARCHIVE})")
    options = parser.parse_args(arguments)
    try:
        nights = parse_nights(options.nights)
        objects = frozenset(pd.read_csv(options.objects, dtype=str)["objectId"]) if options.objects else None
        report = download_nights(Archive(options.base_url), nights, options.folder, objects=objects)
    except (ValueError, KeyError, OSError) as error:  # requests' errors are OSErrors
        print(explain(error), file=sys.stderr)
        return 2
    print("\n".join(report.lines()))
    return int(bool(report.failed))


if __name__ == "__main__":
    sys.exit(main())
