"""One large file of a web server, in as many pieces as the line needs, under its name only when it is whole."""

import hashlib
import re
import time
from pathlib import Path

import requests
import urllib3
from tqdm.auto import tqdm

from twostamp.alerts.web import PoliteSession, RateLimit, write_file

PUBLIC_ARCHIVE = "https://ztf.uw.edu/alerts/public/"
CHECKSUMS = "MD5SUMS"
GZIP = b"\x1f\x8b"
BLOCK = 1 << 20
ANEW = 2
"""Times that a file is downloaded from its beginning when its checksum is wrong."""


class NightError(RuntimeError):
    """A night that could not be had; one sentence."""


class Archive:
    """A web server with one tarball a night.

    Parameters
    ----------
    base_url : str
        Where the tarballs ``ztf_public_YYYYMMDD.tar.gz`` are, with a list ``MD5SUMS`` of their checksums if the archive
        gives one.
    timeout, attempts, first_pause
        See `twostamp.alerts.web.PoliteSession`; `attempts` that bring not a byte, for a download.
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
        response = self.session.get(self.base_url + CHECKSUMS)
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


def download_file(archive: Archive, path: Path, checksum: str = "") -> tuple[int, int]:
    """Download a gzip file, from where an earlier call was interrupted.

    Parameters
    ----------
    archive : Archive
    path : Path
        Where it goes; its name is that on the server.
    checksum : str
        MD5, if it is known.

    Returns
    -------
    received, resumed : int
        Bytes of this call, and bytes that were there from an earlier one.

    Raises
    ------
    FileNotFoundError
        If the archive does not have it.
    requests.RequestException
        If the archive cannot be asked for it.
    NightError
        If it breaks off again and again without progress, or what arrives is not the file.
    """
    partial = path.with_name(f".{path.name}.part")
    resumed = furthest = _size(partial)
    received = idle = wrong = 0
    while idle < archive.attempts:
        complete, new = _continue(archive, path.name, partial)
        received += new
        if complete:
            _validator_path(partial).unlink(missing_ok=True)
            if not (fault := _find_fault(partial, checksum)):
                partial.replace(path)
                return received, resumed
            partial.unlink()
            if (wrong := wrong + 1) == ANEW:
                raise NightError(fault)
        # Over a bad line a long file breaks often: only breaks that brought nothing new count.
        idle = 0 if _size(partial) > furthest else idle + 1
        furthest = max(furthest, _size(partial))
        time.sleep(archive.first_pause * 2**idle)
    raise NightError("it breaks off again and again")


def _continue(archive: Archive, name: str, partial: Path) -> tuple[bool, int]:
    """Ask for what is missing of a file: whether nothing is left, and bytes received. A changed file starts again."""
    start, validator = _size(partial), _validator_path(partial)
    headers = {}
    if start and validator.exists():
        headers = {"Range": f"bytes={start}-", "If-Range": validator.read_text()}
    with archive.open(name, headers) as response:
        content_range = response.headers.get("Content-Range", "")
        if response.status_code == 416:
            if complete := content_range == f"bytes */{start}":
                return complete, 0
            partial.unlink()
            return False, 0
        _keep_validator(response, validator)
        resumes = response.status_code == 206 and content_range.startswith(f"bytes {start}-")
        left = int(response.headers.get("Content-Length", 0)) or None
        with (
            partial.open("ab" if resumes else "wb") as stream,
            tqdm(total=left, unit="B", unit_scale=True, desc=name, leave=False) as progress,
        ):
            try:
                for block in response.raw.stream(BLOCK, decode_content=False):
                    stream.write(block)
                    progress.update(len(block))
            except urllib3.exceptions.HTTPError:
                return False, int(progress.n)
    return True, int(progress.n)


def _keep_validator(response: requests.Response, path: Path) -> None:
    """Keep the server's mark of a file's version, so that two versions are never joined."""
    strong = [mark for mark in [response.headers.get("ETag", "")] if not mark.startswith("W/")]
    if mark := next(filter(None, [*strong, response.headers.get("Last-Modified", "")]), ""):
        write_file(path, mark.encode())
    else:
        path.unlink(missing_ok=True)


def _validator_path(partial: Path) -> Path:
    return partial.with_suffix(".version")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _find_fault(path: Path, checksum: str) -> str:
    with path.open("rb") as stream:
        if stream.read(2) != GZIP:
            return "the answer is no gzip file"
        stream.seek(0)
        if checksum and hashlib.file_digest(stream, "md5").hexdigest() != checksum:
            return "the checksum is not that of the archive's list"
    return ""
