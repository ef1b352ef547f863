"""Nights of ZTF's public alert archive (thesis, section 3.1.1): whole tarballs, or only the packets of some objects.

``twostamp download 20180601-20180607 FOLDER`` downloads nights, and resumes after an interruption. With ``--objects
labels.csv`` a night is read as it arrives, and only those objects' packets are kept. A year of nights takes terabytes,
the first alerts of a label file some gigabytes. Notebook 01 reads either.
"""

import hashlib
import io
import json
import re
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import requests
import urllib3
from tqdm.auto import tqdm

from twostamp.alerts.archive import ArchiveError, read_tarball
from twostamp.alerts.avro import collecting_reasons
from twostamp.alerts.packet import GZIP, AlertKey, try_keys
from twostamp.utils.files import replacing, write_file
from twostamp.utils.http import PoliteSession, RateLimit, explain, retry

PUBLIC_ARCHIVE = "https://ztf.uw.edu/alerts/public/"
_CHECKSUMS = "MD5SUMS"
_SIFTED = ".sifted.json"  # the objects for which a night was read, and its checksum at that time
_BLOCK_BYTES = 1 << 20
_ATTEMPTS_ANEW = 2
"""Downloads of a file from its beginning after a wrong checksum."""
_WRONG_CHECKSUM = "the checksum is not that of the archive's list"
_LOST = (requests.RequestException, urllib3.exceptions.HTTPError)  # urllib3 reports a broken stream


class NightError(RuntimeError):
    """A night could not be downloaded; the message is one sentence."""


class ZTFArchive:
    """Web server with one tarball per night.

    Parameters
    ----------
    base_url : str
        Address of the tarballs ``ztf_public_YYYYMMDD.tar.gz`` and of the list of their checksums, ``MD5SUMS``, if there
        is one.
    timeout, attempts, first_pause
        See `twostamp.utils.http.PoliteSession`; in a download `attempts` counts those that receive no bytes.
    """

    def __init__(
        self, base_url: str = PUBLIC_ARCHIVE, *, timeout: float = 60.0, attempts: int = 5, first_pause: float = 1.0
    ) -> None:
        self.base_url = base_url.rstrip("/") + "/"
        self.attempts, self.first_pause = attempts, first_pause
        self.session = PoliteSession(RateLimit(2), timeout=timeout, attempts=attempts, first_pause=first_pause)
        self.session.headers["Accept-Encoding"] = "identity"

    def read_checksums(self) -> dict[str, str]:
        """Read the list of checksums, name -> MD5; empty if the archive has none."""
        response = self.session.get(self.base_url + _CHECKSUMS)
        if response.status_code == 404:
            return {}
        response.raise_for_status()
        entries = re.findall(r"^([0-9a-fA-F]{32})[ \t]+\*?(?:\S*/)?(\S+)$", response.text, re.MULTILINE)
        return {name: checksum.lower() for checksum, name in entries}

    def open(self, name: str, headers: dict[str, str] | None = None) -> requests.Response:
        """Open a file to be streamed.

        Raises
        ------
        FileNotFoundError
            If the archive has no such night.
        """
        response = self.session.get(self.base_url + name, headers=headers, stream=True)
        if response.status_code == 404:
            raise FileNotFoundError(name)
        if response.status_code != 416:
            response.raise_for_status()
        return response

    def read_version(self, name: str) -> str:
        """Request the version of a file without its content; empty if the server gives none."""
        try:
            response = self.session.head(self.base_url + name, allow_redirects=True)
        except requests.RequestException:
            return ""
        return _find_mark(response) if response.ok else ""


@dataclass
class DownloadReport:
    """Outcome of the requested nights; each is in exactly one of the first four counts.

    ``checked`` nights had an entry in the archive's list of checksums; ``resumed_bytes`` come from an earlier call.
    """

    downloaded: list[str] = field(default_factory=list)
    done_before: list[str] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    checked: int = 0
    bytes: int = 0
    resumed_bytes: int = 0

    def lines(self) -> list[str]:
        """Return the report as lines of text."""
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
            if last < first:
                raise ValueError
        except (TypeError, ValueError):
            raise ValueError(f"{part!r} is no night: write YYYYMMDD, or YYYYMMDD-YYYYMMDD for a range") from None
        nights.update(pd.date_range(first, last).strftime("%Y%m%d"))
    return sorted(nights)


def download_nights(
    archive: ZTFArchive, nights: list[str], folder: Path, *, objects: Collection[str] | None = None
) -> DownloadReport:
    """Download nights that are missing, or that the archive has republished, one after another.

    Parameters
    ----------
    archive : ZTFArchive
    nights : list of str
        UTC dates YYYYMMDD, see `parse_nights`.
    folder : Path
        Receives ``ztf_public_YYYYMMDD.tar.gz``, or with `objects` folders ``ztf_public_YYYYMMDD`` of packets. A file
        gets its name only when it is complete and matches its checksum, if there is one.
    objects : collection of str, optional
        objectIds whose packets are kept; all by default. Nights read for other objects are read again.

    Returns
    -------
    DownloadReport

    Raises
    ------
    requests.RequestException
        If a night is missing and the list of checksums cannot be reached: the archive is then unavailable. A night that
        fails is reported.
    """
    folder.mkdir(parents=True, exist_ok=True)
    report = DownloadReport()
    find_version: Callable[[str], str] = archive.read_version
    try:
        checksums = archive.read_checksums()
    except requests.RequestException:
        checksums, find_version = {}, lambda name: ""
        if not all(_is_there(folder / f"ztf_public_{night}", "", find_version, objects) for night in nights):
            raise
    for night in tqdm(nights, unit="night"):
        path = folder / f"ztf_public_{night}.tar.gz"
        kept = folder / f"ztf_public_{night}"
        if _is_there(kept, checksums.get(path.name, ""), find_version, objects):
            report.done_before.append(night)
            continue
        try:
            if objects is None:
                received, resumed = _download_file(archive, path, checksums.get(path.name, ""))
                report.bytes += received
                report.resumed_bytes += resumed
            else:
                report.bytes += _keep_packets(archive, path.name, kept, objects, checksums.get(path.name, ""))
        except FileNotFoundError:
            report.absent.append(night)
        except (NightError, ArchiveError, *_LOST) as error:
            report.failed[night] = explain(error)
        else:
            report.downloaded.append(night)
            report.checked += path.name in checksums
    return report


def _is_there(night: Path, checksum: str, find_version: Callable[[str], str], objects: Collection[str] | None) -> bool:
    """Whether the current version of a night is present: whole, or the packets of these objects.

    Without a checksum, the server's version mark of the file is compared; without a mark, nothing is.
    """
    whole = night.with_name(f"{night.name}.tar.gz")
    if whole.exists():
        mark = _mark_path(whole)
        found = {"checksum": "", "version": mark.read_text() if mark.exists() else ""}
        if checksum:
            return not _find_fault(whole, checksum)
    elif objects is None or not (night / _SIFTED).exists():
        return False
    else:
        found = json.loads((night / _SIFTED).read_text())
        if found["objects"] != _hash_objects(objects):
            return False
    if checksum:
        return bool(found["checksum"] == checksum)
    known = found.get("version", "")
    return not known or find_version(whole.name) in ("", known)


def _hash_objects(objects: Collection[str]) -> str:
    return hashlib.sha256("\n".join(sorted(objects)).encode()).hexdigest()


def _keep_packets(archive: ZTFArchive, name: str, folder: Path, objects: Collection[str], checksum: str) -> int:
    """Keep the packets of some objects while a night is downloaded; return the bytes of the whole night."""

    def read_night() -> int:
        with replacing(folder) as part, archive.open(name) as response:
            part.mkdir()
            stream = _Hashed(response.raw)
            for member, data in _packets_of(stream, name, objects):
                (part / member).write_bytes(data)
            if checksum and stream.digest.hexdigest() != checksum:
                raise ArchiveError(_WRONG_CHECKSUM)
            found = {"objects": _hash_objects(objects), "checksum": checksum, "version": _find_mark(response)}
            (part / _SIFTED).write_text(json.dumps(found))
        return stream.size

    return retry(read_night, (ArchiveError, *_LOST), archive.attempts, archive.first_pause)


def _download_file(archive: ZTFArchive, path: Path, checksum: str = "") -> tuple[int, int]:
    """Download a gzip file, resuming an interrupted call; return the bytes of this call and of the earlier one.

    Raises `NightError` if the connection breaks repeatedly without progress, or if the response is not the file.
    """
    partial = path.with_name(f".{path.name}.part")
    resumed = furthest = _size(partial)
    received = idle = wrong = 0
    while idle < archive.attempts:
        complete, new = _continue(archive, path.name, partial)
        received += new
        if complete:
            if not (fault := _find_fault(partial, checksum)):
                partial.replace(path)
                _mark_path(partial).replace(_mark_path(path))
                return received, resumed
            partial.unlink()
            if (wrong := wrong + 1) == _ATTEMPTS_ANEW:
                raise NightError(fault)
        # A bad connection breaks often on a long file: only breaks without new bytes count.
        idle = 0 if _size(partial) > furthest else idle + 1
        furthest = max(furthest, _size(partial))
        time.sleep(archive.first_pause * 2**idle)
    raise NightError("the connection breaks repeatedly")


def _continue(archive: ZTFArchive, name: str, partial: Path) -> tuple[bool, int]:
    """Request the missing part of a file; return whether it is complete, and the bytes received. A changed file
    restarts."""
    start, mark = _size(partial), _mark_path(partial)
    known = mark.read_text() if start and mark.exists() else ""
    # A weak mark may stand for two files that differ in bytes.
    resumable = known and not known.startswith("W/")
    headers = {"Range": f"bytes={start}-", "If-Range": known} if resumable else {}
    with archive.open(name, headers) as response:
        content_range = response.headers.get("Content-Range", "")
        if response.status_code == 416:
            if not (complete := content_range == f"bytes */{start}"):
                partial.unlink()
            return complete, 0
        write_file(mark, _find_mark(response))
        resumes = response.status_code == 206 and content_range.startswith(f"bytes {start}-")
        left = int(response.headers.get("Content-Length", 0)) or None
        with (
            partial.open("ab" if resumes else "wb") as stream,
            tqdm(total=left, unit="B", unit_scale=True, desc=name, leave=False) as progress,
        ):
            received = 0
            try:
                for block in response.raw.stream(_BLOCK_BYTES, decode_content=False):
                    stream.write(block)
                    received += len(block)
                    progress.update(len(block))
            except urllib3.exceptions.HTTPError:
                return False, received
    return True, received


def _find_mark(response: requests.Response) -> str:
    """Find the server's mark of a file's version: a strong ETag, the date, or a weak ETag; empty if there is none."""
    tag, date = response.headers.get("ETag", ""), response.headers.get("Last-Modified", "")
    return date if date and (not tag or tag.startswith("W/")) else tag


def _mark_path(file: Path) -> Path:
    """Path of the version mark of a night, or of its first part."""
    return file.with_name(f".{file.name.removeprefix('.')}.version")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _find_fault(path: Path, checksum: str) -> str:
    with path.open("rb") as stream:
        if stream.read(len(GZIP)) != GZIP:
            return "the response is no gzip file"
        stream.seek(0)
        if checksum and hashlib.file_digest(stream, "md5").hexdigest() != checksum:
            return _WRONG_CHECKSUM
    return ""


class _Hashed(io.RawIOBase):
    """Stream that is hashed as it is read."""

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


def _packets_of(stream: Any, name: str, objects: Collection[str]) -> Iterator[tuple[str, bytes]]:
    for member in read_tarball(stream, name):
        if member.fault:
            continue
        wanted = True  # keep a packet without a readable key: the extraction quarantines it
        with collecting_reasons():
            wanted = any(not isinstance(key, AlertKey) or key.objectId in objects for key in try_keys(member.data))
        if wanted:
            yield Path(member.name).name, member.data
