"""Folders that users keep: a study to work in, and the reference results of the repository."""

import shutil
from pathlib import Path

from twostamp.utils.paths import original_study, outputs_root

REFERENCE = "reference"


def copy_study(folder: Path) -> None:
    """Copy the package's notebooks and parameter files into a folder.

    Raises
    ------
    FileExistsError
        If the folder already has notebooks or parameter files.
    """
    for name in ("notebooks", "params"):
        if (folder / name).exists():
            raise FileExistsError(f"{folder / name} exists already, and may have been changed: choose another folder")
    for name, pattern in (("notebooks", "*.ipynb"), ("params", "*.yaml")):
        (folder / name).mkdir(parents=True)
        for path in sorted((original_study() / name).glob(pattern)):
            shutil.copyfile(path, folder / name / path.name)


def copy_reference(run: str) -> Path:
    """Replace the results in ``outputs/reference``, the only ones under version control, by a run's.

    Parameters
    ----------
    run : str
        Name of the run, whose figures, tables and ledger are copied; the table of ``make bench`` too, if there is one.

    Returns
    -------
    Path
        The folder ``outputs/reference``.

    Raises
    ------
    ValueError
        If the run has no results.
    """
    root, reference = outputs_root() / run, outputs_root() / REFERENCE
    if run == REFERENCE or not (root / "ledger.csv").exists():
        raise ValueError(f"{root} has no results to copy: run `twostamp run {run}` first")
    for name in ("figures", "tables"):
        shutil.rmtree(reference / name, ignore_errors=True)
        shutil.copytree(root / name, reference / name)
    benchmarks = sorted((outputs_root() / "bench").glob("bench.*"))
    for path in (root / "ledger.csv", *benchmarks):
        shutil.copyfile(path, reference / path.name)
    return reference
