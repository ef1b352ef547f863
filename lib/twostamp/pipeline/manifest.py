"""Finished notebooks of a run: made from the current inputs, with all their outputs present."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

from twostamp.data.sources import find_archive, find_labels
from twostamp.params import Parameters
from twostamp.pipeline.run import MADE_BY
from twostamp.utils.files import write_file
from twostamp.utils.fingerprints import describe_input, hash_code
from twostamp.utils.paths import PACKAGE, notebooks_folder, outputs_root

MANIFEST = "manifest.json"
_RESULTS = ("figures", "tables")
_STORES = ("data", "models")
_CARD = "card.json"
"""A folder with this file is a packaged model."""

_BULKY = ".parquet"
"""Files of `_STORES` that are complete if their sizes are unchanged, like models; notes may grow."""

Files = dict[str, tuple[int, int]]


def fingerprints(params: Parameters, sequence: dict[str, tuple[str, ...]]) -> dict[str, str]:
    """Hash all inputs of every notebook's result.

    Parameters
    ----------
    params : Parameters
    sequence : dict of tuple of str
        Notebooks in order, and the earlier ones that each needs.

    Returns
    -------
    dict
        Notebook -> hexadecimal digest over its source, the library, the parameters, their inputs, and the digests of
        the notebooks that it needs. Inputs are files that the parameters name, or that were fetched for them (see
        `twostamp.utils.fingerprints.describe_input`).
    """
    data = outputs_root() / params.run_name / "data"
    given = () if params.simulated else (find_archive(params, data), find_labels(params, data))
    files = [*params.label_csvs, *params.bogus_csvs, params.bogus_reports, params.tns_csv]
    files += [params.real_archive, f"{params.real_archive}/labels.csv", f"{params.alerce_checkpoint}.index"]
    files += [str(outputs_root() / params.pretrained_run / "models")] if params.pretrained_run else []
    inputs = [describe_input(name) for name in (*given, *files)]
    common = "\n".join([params.model_dump_json(), hash_code(PACKAGE), *inputs])
    marks: dict[str, str] = {}
    for name, needs in sequence.items():
        digest = hashlib.sha256(common.encode())
        digest.update((notebooks_folder() / f"{name}.ipynb").read_bytes())
        digest.update("".join(marks[need] for need in needs).encode())
        marks[name] = digest.hexdigest()
    return marks


class Manifest:
    """The file ``manifest.json`` of a run: fingerprint, seconds, peak_mb, skipped, outputs and stale of every notebook.

    ``outputs`` are the files that it made, with their sizes if these must not change.

    Parameters
    ----------
    root : Path
        ``outputs/<run>``.
    """

    def __init__(self, root: Path) -> None:
        self.root, self.path = root, root / MANIFEST
        self.entries: dict[str, Any] = json.loads(self.path.read_text()) if self.path.exists() else {}
        for entry in self.entries.values():
            entry["outputs"] = dict.fromkeys(found) if isinstance(found := entry.get("outputs", []), list) else found

    def is_done(self, name: str, mark: str) -> bool:
        """Return whether a notebook was made from the inputs of `mark`, and all its outputs are present."""
        entry = self.entries.get(name, {})
        made = {f"notebooks/{name}.ipynb": None} | entry.get("outputs", {})
        return bool(entry.get("fingerprint") == mark and all(self._is_whole(*output) for output in made.items()))

    def _is_whole(self, file: str, size: int | None) -> bool:
        path = self.root / file
        return path.exists() and size in (None, path.stat().st_size)

    def list_files(self) -> Files:
        """List size and time of all files that notebooks make."""
        paths = [path for folder in (*_RESULTS, *_STORES) for path in (self.root / folder).rglob("*")]
        files = (path for path in (*paths, self.root / "ledger.csv") if path.is_file())
        statuses = {path.relative_to(self.root).as_posix(): path.stat() for path in files}
        return {name: (status.st_size, status.st_mtime_ns) for name, status in statuses.items() if "/." not in name}

    def record(self, name: str, mark: str, before: Files, **measured: float) -> None:
        """Record a notebook that has just ended, and remove files of an earlier state that it no longer makes.

        Parameters
        ----------
        name, mark : str
        before : dict
            Result of `list_files` before it started.
        **measured : float
            Values of seconds and peak_mb.
        """
        now, known = self.list_files(), set(self.entries.get(name, {}).get("outputs", ()))
        written = {file for file, status in now.items() if before.get(file) != status}
        self._remove(known - written)
        folders = {Path(file).parent for file in written if file.count("/") > 1}
        made = written | {file for file in now if file in known or Path(file).parent in folders}
        made |= {file for file in now for key, by in MADE_BY.items() if by == name and key in file.split("/")}
        outputs = {file: _fix_size(file, now[file][0]) for file in sorted(made) if (self.root / file).exists()}
        self.entries[name] = {"fingerprint": mark, **measured, "skipped": False, "outputs": outputs}
        for entry in self.entries.values():  # files of other notebooks that it changed keep their owners
            entry["outputs"] |= {file: size for file, size in outputs.items() if file in written & {*entry["outputs"]}}

    def _remove(self, stale: set[str]) -> None:
        for file in stale:
            if file.startswith(_RESULTS):
                (self.root / file).unlink(missing_ok=True)
            elif file.startswith("models/") and Path(file).name == _CARD:
                shutil.rmtree((self.root / file).parent, ignore_errors=True)

    def save(self, marks: dict[str, str]) -> None:
        """Write the file; an entry is stale if its notebook's fingerprint has changed."""
        for name, entry in self.entries.items():
            entry["stale"] = entry["fingerprint"] != marks.get(name)
        write_file(self.path, json.dumps(self.entries, indent=1) + "\n")


def _fix_size(file: str, size: int) -> int | None:
    return size if file.startswith((*_RESULTS, "models/")) or file.endswith(_BULKY) else None


def list_stale(root: Path) -> tuple[set[str], set[str]]:
    """List the notebooks of a run that have not run since their inputs changed, and the files that only they made."""
    entries = Manifest(root).entries
    stale = {name for name, entry in entries.items() if entry.get("stale")}
    files = {name: set(entry["outputs"]) for name, entry in entries.items()}
    fresh = set[str]().union(*(files[name] for name in entries if name not in stale))
    return stale, set[str]().union(*(files[name] for name in stale)) - fresh
